package pebble

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// space refuses commits while the disk is all but full, since a log that
// cannot be written is the end of the database. It asks the file system for its
// free space now and then only.
type space struct {
	fs    vfs.FS
	dir   string
	probe func() error // Options.Probe

	mu      sync.Mutex // guards what follows
	reserve int64      // bytes; negative for none
	budget  int64      // bytes that may be written before the next question
	checked time.Time
}

// How often space asks.
const (
	spaceBudget   = 1 << 20 // bytes written
	spaceInterval = time.Second
)

// take admits size bytes, or fails with the error of the probe, or with one that
// wraps syscall.ENOSPC.
func (s *space) take(size int64) error {
	if s.probe != nil {
		if err := s.probe(); err != nil {
			return fmt.Errorf("nothing can be written: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserve < 0 {
		return nil
	}
	if s.budget < size || time.Since(s.checked) >= spaceInterval {
		if err := s.ask(size); err != nil {
			return err
		}
	}
	s.budget -= size
	return nil
}

// ask sets the budget to cover size at least, or fails.
func (s *space) ask(size int64) error {
	s.budget = 0 // a refusal makes the next commit ask again
	usage, err := s.fs.GetDiskUsage(s.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		s.reserve = -1
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if free := usage.AvailBytes; free < uint64(s.reserve)+uint64(size) {
		return fmt.Errorf("%d bytes are free, %d are kept in reserve: %w", free, s.reserve, syscall.ENOSPC)
	}
	s.budget = max(size, spaceBudget)
	s.checked = time.Now()
	return nil
}

// free returns the free space of the disk in bytes, or -1 where the file system
// does not tell.
func (s *space) free() int64 {
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err != nil {
		return -1
	}
	return int64(min(usage.AvailBytes, 1<<62))
}
