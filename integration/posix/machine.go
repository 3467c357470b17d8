package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// machine runs the steps of one case and keeps what they hold open and remember.
type machine struct {
	open       map[string]int    // descriptors by name
	remembered map[string]string // "path field" to what it was
}

func newMachine() *machine {
	unix.Umask(0) // modes are as given
	return &machine{open: map[string]int{}, remembered: map[string]string{}}
}

// close closes what is still open.
func (m *machine) close() {
	for _, fd := range m.open {
		_ = unix.Close(fd) // nothing depends on it any more
	}
}

// run does the steps until one does not do what it should.
func (m *machine) run(steps []step) error {
	for _, s := range steps {
		got, err := m.do(s)
		if err != nil {
			got = errorName(err)
		}
		switch {
		case s.want == nil && err == nil:
		case s.want == nil:
			return fmt.Errorf("%s: got %s, want success", s.line, got)
		case err == nil && slices.Contains(s.want, "ok"):
		case !slices.Contains(s.want, got):
			return fmt.Errorf("%s: got %q", s.line, got)
		}
	}
	return nil
}

// do does one step, as another user where that is said. Only this thread becomes
// the other user.
func (m *machine) do(s step) (string, error) {
	op := ops[s.op]
	if s.user < 0 {
		return op.do(m, s.args)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := become(s.user); err != nil {
		return "", fmt.Errorf("become user %d: %w", s.user, err)
	}
	out, err := op.do(m, s.args)
	if back := become(0); back != nil {
		fmt.Fprintln(os.Stderr, "posix: become root again:", back)
		os.Exit(1) // all that follows would be somebody else's
	}
	return out, err
}

// become makes this thread act for a user, whose group has the same number.
func become(user int) error {
	const keep = ^uintptr(0)
	id := uintptr(user)
	if user == 0 {
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, keep, id, keep); e != 0 {
			return e
		}
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
		return e
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, keep, id, keep); e != 0 {
		return e
	}
	if user == 0 {
		return nil
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, keep, id, keep); e != 0 {
		return e
	}
	return nil
}

// errorName is the name of an error number, "ENOENT", or the text of another
// error.
func errorName(err error) string {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err.Error()
	}
	if number == unix.EOPNOTSUPP {
		return "EOPNOTSUPP" // which Linux calls ENOTSUP too
	}
	if name := unix.ErrnoName(number); name != "" {
		return name
	}
	return strconv.Itoa(int(number))
}

// flags reads names of constants with commas between them, as O_RDWR,O_CREAT.
func flags(s string, names map[string]int) (int, error) {
	value := 0
	for name := range strings.SplitSeq(s, ",") {
		v, ok := names[name]
		if !ok {
			return 0, fmt.Errorf("no constant %q", name)
		}
		value |= v
	}
	return value, nil
}
