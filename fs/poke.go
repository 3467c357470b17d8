package fs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A poke makes the kernel do what it would do if a local program made a change
// that in truth came from elsewhere, so that those who watch hear of it. It is
// the work of a process of its own, the helper: a daemon that waits for its own
// mount cannot be ended.
//
// The helper reads requests from its standard input and answers each with a line
// on its standard output: the number of the error, 0 for none. Its first line is
// the number of the thread that makes the system calls. A request is the fields
// of poke, each with a zero byte behind it.

// pokeOp is what the helper does.
type pokeOp string

const (
	pokeChange pokeOp = "change" // OPEN, MODIFY, CLOSE_WRITE
	pokeCreate pokeOp = "create" // CREATE, OPEN, MODIFY, CLOSE_WRITE
	pokeMkdir  pokeOp = "mkdir"
	pokeLink   pokeOp = "symlink"
	pokeUnlink pokeOp = "unlink"
	pokeRmdir  pokeOp = "rmdir"
	pokeRename pokeOp = "rename"
)

// pokeRequest is one request to the helper.
type pokeRequest struct {
	op       pokeOp
	root     string // the mountpoint
	minor    int    // of the device of the mount: what else is at root is left alone
	from, to pokePath
}

// pokePath is a name in a directory, which is a path relative to the mountpoint.
type pokePath struct{ dir, name string }

const maxPokeField = 64 << 10 // a path of the kernel has 4 KiB at most

func (r pokeRequest) encode() []byte {
	fields := []string{string(r.op), r.root, strconv.Itoa(r.minor), r.from.dir, r.from.name, r.to.dir, r.to.name}
	return []byte(strings.Join(fields, "\x00") + "\x00")
}

func readPoke(in *bufio.Reader) (r pokeRequest, err error) {
	var fields [7]string
	for i := range fields {
		if fields[i], err = readField(in); err != nil {
			return r, err
		}
	}
	minor, err := strconv.Atoi(fields[2])
	if err != nil {
		return r, fmt.Errorf("read request: %w", err)
	}
	return pokeRequest{pokeOp(fields[0]), fields[1], minor, pokePath{fields[3], fields[4]}, pokePath{fields[5], fields[6]}}, nil
}

func readField(in *bufio.Reader) (string, error) {
	field, err := in.ReadSlice(0)
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("read request: a field of more than %d bytes", maxPokeField)
	}
	if err != nil {
		return "", err
	}
	return string(field[:len(field)-1]), nil
}

// PokeMain is the whole life of the helper of a mount (see Options.Helper): it
// does what it reads from stdin until that is closed. It gives up for good what a
// program could gain by executing others.
func PokeMain(stdin, stdout *os.File) error {
	runtime.LockOSThread() // the thread by which it is known
	defer runtime.UnlockOSThread()
	if err := noNewPrivileges(); err != nil {
		return fmt.Errorf("helper: %w", err)
	}
	// It ends with the daemon, not when somebody presses ctrl-C in its terminal.
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	if _, err := fmt.Fprintln(stdout, unix.Gettid()); err != nil {
		return fmt.Errorf("helper: %w", err)
	}
	in := bufio.NewReaderSize(stdin, maxPokeField)
	for {
		r, err := readPoke(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = fmt.Fprintln(stdout, int(errnoOf(r.do())))
		}
		if err != nil {
			return fmt.Errorf("helper: %w", err)
		}
	}
}

// noNewPrivileges sets the attribute of that name. It belongs to a thread and is
// inherited by what the thread executes, so the program starts once more.
func noNewPrivileges() error {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err != nil || set == 1 {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

func errnoOf(err error) syscall.Errno {
	var number syscall.Errno
	if err == nil || errors.As(err, &number) {
		return number
	}
	return syscall.EIO
}

// do makes the system calls of a request. No symbolic link is followed below the
// mountpoint and no other file system entered, whatever became of the paths
// since the request was made.
func (r pokeRequest) do() error {
	root, err := unix.Open(r.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return err
	}
	if unix.Major(st.Dev) != 0 || int(unix.Minor(st.Dev)) != r.minor {
		return unix.ENODEV // it was unmounted
	}
	dir, err := openBeneath(root, r.from.dir)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if r.op != pokeRename {
		return r.doIn(dir)
	}
	to, err := openBeneath(root, r.to.dir)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	return unix.Renameat2(dir, r.from.name, to, r.to.name, unix.RENAME_NOREPLACE)
}

func (r pokeRequest) doIn(dir int) error {
	switch r.op {
	case pokeChange:
		return touch(dir, r.from.name, 0)
	case pokeCreate:
		return touch(dir, r.from.name, unix.O_CREAT|unix.O_EXCL)
	case pokeMkdir:
		return unix.Mkdirat(dir, r.from.name, 0o700)
	case pokeLink:
		return unix.Symlinkat("x", dir, r.from.name) // the target that the mount knows
	case pokeUnlink:
		return unix.Unlinkat(dir, r.from.name, 0)
	case pokeRmdir:
		return unix.Unlinkat(dir, r.from.name, unix.AT_REMOVEDIR)
	}
	return unix.ENOSYS
}

// openBeneath opens a directory of the mount.
func openBeneath(root int, path string) (int, error) {
	if path == "" {
		path = "."
	}
	return unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
}

// touch opens a file for writing, sets its time and closes it. Where it may not
// be written, the time alone makes those hear it who watch for changes.
func touch(dir int, name string, flags int) error {
	now := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|flags, 0o600)
	if err != nil {
		if flags == 0 && (err == unix.EACCES || err == unix.EROFS) {
			return unix.UtimesNanoAt(dir, name, now, unix.AT_SYMLINK_NOFOLLOW)
		}
		return err
	}
	err = unix.UtimesNanoAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), now, 0)
	return errors.Join(err, unix.Close(fd))
}
