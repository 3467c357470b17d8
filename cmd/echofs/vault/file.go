package vault

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
)

// replaceFile makes content the file at path, mode 0600, or leaves the old one
// as it was: a temporary file, fsync, rename, fsync of the directory. With
// keep, the old file stays under the name path+".1".
func replaceFile(path string, content []byte, keep bool) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if keep {
		if err := keepPrevious(path); err != nil {
			return err
		}
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// keepPrevious gives the file at path a second name that survives its
// replacement.
func keepPrevious(path string) error {
	previous := path + ".1"
	if err := os.Remove(previous); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, previous); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

// readPrivate reads a file of at most limit bytes that must belong to this
// user and be closed to others. It follows no symbolic link in the last place.
func readPrivate(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if err := checkPrivate(f); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, limit)
	}
	return b, nil
}

// checkPrivate refuses a file or directory that is not this user's own, or
// that others may use.
func checkPrivate(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &iofs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	if int(st.Uid) != os.Getuid() {
		return control.WithHint(fmt.Errorf("%s belongs to user %d, you are user %d: %w", f.Name(), st.Uid, os.Getuid(), control.ErrRefused),
			fmt.Sprintf("run echofs as that user, or use another vault (--home), or: chown %d %s", os.Getuid(), f.Name()))
	}
	if st.Mode&0o077 != 0 {
		fix := "chmod 600 "
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			fix = "chmod 700 "
		}
		return control.WithHint(fmt.Errorf("%s is open to other users (mode %04o): %w", f.Name(), st.Mode&0o7777, control.ErrRefused),
			fix+f.Name())
	}
	return nil
}
