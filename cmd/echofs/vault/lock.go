package vault

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
)

// ErrLocked is wrapped where another process uses the vault.
var ErrLocked = errors.New("vault is in use")

// Lock is the right to use a vault. The kernel takes it back when the process
// ends, however it ends.
type Lock struct{ f *os.File }

// Lock takes the vault for this process, or fails with ErrLocked, naming the
// process that has it.
func (d *Dir) Lock() (*Lock, error) {
	if err := d.writable(); err != nil {
		return nil, fmt.Errorf("lock vault: %w", err)
	}
	f, err := os.OpenFile(d.file(lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock vault: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, d.locked(f)
		}
		return nil, fmt.Errorf("lock vault: %w", &iofs.PathError{Op: "flock", Path: f.Name(), Err: err})
	}
	if err := writePID(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock vault: %w", err)
	}
	return &Lock{f}, nil
}

// WaitLock is Lock, but waits for another process until ctx ends. Commands
// without a daemon take turns this way.
func (d *Dir) WaitLock(ctx context.Context) (*Lock, error) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		l, err := d.Lock()
		if !errors.Is(err, ErrLocked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// Release gives the vault back.
func (l *Lock) Release() error { return l.f.Close() }

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// locked says who has the vault.
func (d *Dir) locked(f *os.File) error {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid := strings.TrimSpace(string(b[:n]))
	if pid == "" {
		pid = "unknown"
	}
	return control.WithHint(fmt.Errorf("lock vault %s: %w by process %s", d.path, ErrLocked, pid),
		"wait until it has ended, or stop it (echofs umount DIR)")
}
