package fs

import (
	"sync"
	"time"

	"echofs/echo"
)

// successors remember for a moment which object took the place of a file that a
// rename moved over it. Until it is told better the kernel has the file's inode
// under the object's name, and not every call looks the path up again when that
// inode is answered ESTALE (fstat of an O_PATH descriptor does not).
type successors struct {
	mu   sync.Mutex // guards list
	list []successor
}

type successor struct {
	gone, object echo.Ino
	until        time.Time
}

const (
	successorTime = 2 * time.Second
	maxSuccessors = 256 // the oldest are forgotten
)

func (s *successors) add(gone, object echo.Ino) {
	if gone == object {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) >= maxSuccessors {
		s.list = append(s.list[:0], s.list[1:]...)
	}
	s.list = append(s.list, successor{gone, object, time.Now().Add(successorTime)})
}

// of returns the object that took the place of a file, if that was just now.
func (s *successors) of(gone echo.Ino) (echo.Ino, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for i := len(s.list) - 1; i >= 0; i-- {
		if e := s.list[i]; e.gone == gone && now.Before(e.until) {
			return e.object, true
		}
	}
	return 0, false
}
