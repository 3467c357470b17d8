package fs

import (
	"context"
	"time"

	"echofs/echo"
)

// Those who read through the kernel's cache have pages and a size that others
// share: where a file changes in the middle of a read, what is read is of no
// version. So a change waits for them. While a file is written or saved nobody
// new comes (each reads a snapshot then), and those who are there are done in a
// moment. A process is not waited for by itself, as some rename a file onto the
// one that they have open. Whoever keeps a file open for longer, as those do that follow it, is
// not waited for.

// readerTime is how long after its open a reader is waited for.
const readerTime = 250 * time.Millisecond

// joinCached lets a handle read through the kernel's cache; false where it is to
// read a snapshot, because the object is being written or was changed moments
// ago.
func (f *file) joinCached(h *readHandle, n echo.Node, now time.Time) bool {
	changed := n.Changed
	if n.ModTime.After(changed) {
		changed = n.ModTime
	}
	age := now.Sub(changed)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.writers) > 0 || f.saving > 0 || age < settled && age > -settled {
		return false
	}
	f.cached[h] = now
	return true
}

// leaveCached ends what joinCached began.
func (f *file) leaveCached(h *readHandle) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.cached, h)
	if f.left != nil {
		close(f.left)
		f.left = nil
	}
}

// readersLeft returns how long somebody other than but is to be waited for at most, and what is
// closed when a reader is done.
func (f *file) readersLeft(but author, now time.Time) (wait time.Duration, left <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h, since := range f.cached {
		if but.known() && h.reader.id == but.id {
			continue
		}
		wait = max(wait, readerTime-now.Sub(since))
	}
	if wait > 0 && f.left == nil {
		f.left = make(chan struct{})
	}
	return wait, f.left
}

// awaitReaders waits for those who read through the kernel's cache, but for the
// process that saves. No lock of a file is held.
func (f *file) awaitReaders(ctx context.Context, who author) {
	for {
		wait, left := f.readersLeft(who, time.Now())
		if wait <= 0 {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-left:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// beginSave keeps new readers out of the kernel's cache and waits for those who
// are there. The returned function must be called when the save is done.
func (t *tree) beginSave(ctx context.Context, n echo.Node, who author) (end func()) {
	f := t.acquire(n)
	f.mu.Lock()
	f.saving++
	f.mu.Unlock()
	f.awaitReaders(ctx, who)
	return func() {
		f.mu.Lock()
		f.saving--
		f.mu.Unlock()
		f.drop()
	}
}

// afterReaders does what makes a change from another device seen when those who
// read the file are done; false where nobody does.
func (t *tree) afterReaders(ino echo.Ino, see func()) bool {
	f := t.openFile(ino)
	if f == nil {
		return false
	}
	wait, _ := f.readersLeft(author{}, time.Now())
	if wait <= 0 {
		return false
	}
	time.AfterFunc(wait, func() {
		if t.ctx.Err() == nil {
			see()
		}
	})
	return true
}
