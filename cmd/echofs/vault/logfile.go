package vault

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxLog is how large the log of a daemon grows before it begins a new one, in
// bytes. The one before is kept, so there are at most two of these.
const maxLog = 4 << 20

// LogFile is the log of a daemon in the background. Standard output and error
// go there too, for what the runtime says when the program dies.
type LogFile struct {
	path string

	mu   sync.Mutex // guards the below
	f    *os.File
	size int64
}

// OpenLog opens the log and makes it this process's standard output and error.
func (d *Dir) OpenLog() (*LogFile, error) {
	if err := d.writable(); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &LogFile{path: d.LogPath()}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// open begins or continues the file; l.mu is held, or l is new.
func (l *LogFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("open log: %w", err)
	}
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			_ = f.Close()
			return fmt.Errorf("open log: %w", err)
		}
	}
	if l.f != nil {
		_ = l.f.Close()
	}
	l.f, l.size = f, st.Size()
	return nil
}

// Write appends one record. A log that cannot be written does not stop the
// daemon: there is nobody to tell.
func (l *LogFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(p)) > maxLog {
		if err := os.Rename(l.path, l.path+".1"); err == nil {
			_ = l.open() // else it goes on in the old file
		}
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	return n, err
}
