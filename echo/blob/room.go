package blob

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultReserve is what content leaves free of a disk, in bytes. The database
// refuses commits below a reserve of its own, which is less: so content never
// takes the room in which files are removed.
const DefaultReserve = 96 << 20

// Room refuses content that would all but fill a disk. It asks the file system
// for its free space now and then only. Its methods may be called from any
// goroutine.
type Room struct {
	dir     string
	reserve int64

	mu      sync.Mutex // guards what follows
	budget  int64      // bytes that may be written before the next question
	checked time.Time
}

// How often a Room asks.
const (
	roomBudget   = 4 << 20 // bytes written
	roomInterval = time.Second
)

// NewRoom returns the room on the disk of a directory, of which reserve bytes
// are to stay free. The directory need not be there yet.
func NewRoom(dir string, reserve int64) *Room { return &Room{dir: dir, reserve: reserve} }

// Take admits size bytes, or fails with an error that wraps syscall.ENOSPC.
func (r *Room) Take(size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.budget < size || time.Since(r.checked) >= roomInterval {
		if err := r.ask(size); err != nil {
			return err
		}
	}
	r.budget -= size
	return nil
}

// ask sets the budget to cover size at least, or fails; r.mu is held.
func (r *Room) ask(size int64) error {
	r.budget = 0 // a refusal makes the next caller ask again
	free, err := freeBytes(r.dir)
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if free-r.reserve < size {
		return fmt.Errorf("%d bytes are free on the disk of the vault, %d are kept in reserve: %w", free, r.reserve, syscall.ENOSPC)
	}
	r.budget, r.checked = max(size, min(roomBudget, free-r.reserve)), time.Now()
	return nil
}

// freeBytes returns the free space on the disk of a directory, or of the first
// above it that is there.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			return int64(min(st.Bavail, 1<<42) * uint64(st.Bsize)), nil
		}
		up := filepath.Dir(dir)
		if up == dir || !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
		dir = up
	}
}
