package fs

import (
	"time"

	"echofs/echo"
)

// A local file that lost its name is kept for a moment, as if somebody had it
// open. A program that opens the name at the same time has looked up the old
// file and is about to ask for it; any file system gives it either the old or
// the new one. (An object is different: what takes its name over is the same
// object, under the same number.)
const (
	graveTime = 500 * time.Millisecond
	maxGraves = 64 // each can be an open descriptor
)

type grave struct {
	file  *file
	until time.Time
}

// bury keeps a local file that is about to lose its name.
func (t *tree) bury(n echo.Node) {
	if n.Kind != echo.KindLocal && n.Kind != echo.KindLocalLink {
		return
	}
	f := t.acquire(n)
	if n.Kind == echo.KindLocal {
		if _, err := f.openBacking(); err != nil {
			f.drop()
			return
		}
	}
	var oldest *file
	t.mu.Lock()
	t.graves = append(t.graves, grave{f, time.Now().Add(graveTime)})
	if len(t.graves) > maxGraves {
		oldest = t.graves[0].file
		t.graves = t.graves[1:]
	}
	t.mu.Unlock()
	t.dirty.wake()
	if oldest != nil {
		oldest.drop()
	}
}

func (t *tree) hasGraves() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.graves) > 0
}

// emptyGraves lets go of the files whose time is over, or of all for the zero
// time.
func (t *tree) emptyGraves(now time.Time) {
	t.mu.Lock()
	n := 0
	for n < len(t.graves) && (now.IsZero() || !t.graves[n].until.After(now)) {
		n++
	}
	over := t.graves[:n:n]
	t.graves = append([]grave(nil), t.graves[n:]...)
	t.mu.Unlock()
	for _, g := range over {
		g.file.drop()
	}
}
