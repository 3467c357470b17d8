package fs

import (
	"sync"
	"time"

	"echofs/echo"
	"echofs/echo/doc"
)

// source is where the content of a file comes from: by whom it was written, or
// of which version of an object it is a copy.
type source struct {
	author author
	copyOf *echo.Version
}

func (t *tree) setSource(ino echo.Ino, s source) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sources.put(ino, s)
}

func (t *tree) source(ino echo.Ino) source {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, _ := t.sources.get(ino)
	return s
}

// writerOf knows who writes through a handle: the thread of the last write, or
// else who opened it.
type writerOf struct {
	opener author

	mu     sync.Mutex // guards the below
	writer author
	tid    uint32 // whose process writer is
}

// writing returns the author of a write by a thread. The pages of a mapping are
// written by nobody known: they are the opener's.
func (w *writerOf) writing(p *authors, tid uint32) author {
	w.mu.Lock()
	known := tid == 0 || tid == w.tid
	w.mu.Unlock()
	if !known {
		a := p.author(tid)
		w.mu.Lock()
		w.writer, w.tid = a, tid
		w.mu.Unlock()
	}
	return w.last()
}

func (w *writerOf) last() author {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writer.known() {
		return w.writer
	}
	return w.opener
}

// place is a name in a directory.
type place struct {
	parent echo.Ino
	name   string
}

// departure is an object that lost its name moments ago.
type departure struct {
	id   doc.ObjectID
	when time.Time
}

// depart notes that an object was removed or renamed away from a place.
func (t *tree) depart(p place, id doc.ObjectID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.departed.put(p, departure{id, time.Now()})
}

// departedFrom returns the object that was just at a place, which comes back if
// a file is renamed there.
func (t *tree) departedFrom(p place) (doc.ObjectID, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, ok := t.departed.get(p)
	return d.id, ok && time.Since(d.when) < echo.DefaultRemoveGrace
}
