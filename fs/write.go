package fs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"echofs/echo"
)

// writeHandle is an object that is open for writing: a private buffer, and what
// its author was looking at.
type writeHandle struct {
	t     *tree
	f     *file
	flags uint32
	who   *writerOf
	loose atomic.Bool // the file was made by this open, and may be lost with the process until something is stored

	commitMu sync.Mutex // held through a commit; guards the next two
	failed   error      // the reason of a draft that close has yet to tell of
	untold   bool       // close has yet to tell the kernel of a save

	mu      sync.Mutex // guards the below
	buf     []byte
	shared  bool // buf is memory of others: copy before writing
	dirty   bool // buf was not saved
	wrote   bool // bytes were written since buf was last emptied
	changes uint64
	hasRead bool
	base    *echo.Version // the version that buf started from; nil where nothing of it is left
	began   int           // the size that buf started with
	covered int           // how much from its beginning was written over
	tail    int           // where in buf the bytes begin that were appended since the last save; -1: it did more
	stream  stream        // the file became a blob, or a local one
}

// errEmptied is why a truncation with nothing written after it is not a save.
var errEmptied = &echo.InvalidError{Reason: "the file was emptied and nothing was written to it"}

func (t *tree) openWrite(n echo.Node, flags uint32, a author) (*writeHandle, error) {
	h := &writeHandle{t: t, flags: flags, who: &writerOf{opener: a}}
	if flags&syscall.O_TRUNC != 0 {
		h.dirty = n.Size > 0
	} else {
		c, err := t.repo.Content(n.Ino)
		if err != nil {
			return nil, err
		}
		seen := t.bases.seen(n.ID, c)
		h.buf, h.shared, h.base, h.began = c.Data, true, &seen, len(c.Data)
		h.tail = len(c.Data)
		if wantsRead(flags) {
			t.bases.read(a, n.ID, c.Version, c.Draft)
		}
	}
	if n.Stage == echo.Fresh {
		h.base = nil // there is no version yet
	}
	h.f = t.acquire(n)
	h.f.mu.Lock()
	h.f.writers[h] = struct{}{}
	h.f.mu.Unlock()
	return h, nil
}

// size is that of the private content.
func (h *writeHandle) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stream != nil {
		return int(h.stream.size())
	}
	return len(h.buf)
}

func (h *writeHandle) unsaved() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dirty
}

// streaming returns the handle that took the place of this one, or nil.
func (h *writeHandle) streaming() stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stream
}

func (h *writeHandle) read(buf []byte, off int64) ([]byte, error) {
	if l := h.streaming(); l != nil {
		return l.read(buf, off)
	}
	if !wantsRead(h.flags) {
		return nil, syscall.EBADF
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hasRead = true
	return buf[:copy(buf, slice(h.buf, off))], nil
}

func (h *writeHandle) write(tid uint32, data []byte, off int64) error {
	for {
		l := h.streaming()
		if l != nil {
			return l.write(tid, data, off)
		}
		err := error(syscall.EFBIG)
		if !h.isFresh() || !looksBinary(data) {
			err = h.writeBuffer(tid, data, off)
		}
		if !errors.Is(err, syscall.EFBIG) {
			return err
		}
		ctx, cancel := h.t.saveContext()
		err = h.outgrow(ctx)
		cancel()
		if err != nil {
			h.t.log.Debug("file too large", "inode", h.f.ino, "error", err)
			return syscall.EFBIG
		}
	}
}

// isFresh reports whether the file is new and can become a blob.
func (h *writeHandle) isFresh() bool {
	n := h.f.last()
	return n.Kind == echo.KindText && n.Stage == echo.Fresh
}

// writeBuffer writes into the buffer, which grows as needed; EFBIG where the
// content would be more than an object may have.
func (h *writeHandle) writeBuffer(tid uint32, data []byte, off int64) error {
	limit := int64(maxBuffer)
	if h.isFresh() {
		limit = maxText
	}
	h.who.writing(h.t.proc, tid)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.flags&syscall.O_APPEND != 0 {
		off = int64(len(h.buf)) // the kernel counts from the last save's size
	}
	end := off + int64(len(data))
	if off < 0 || end > limit {
		return syscall.EFBIG
	}
	h.grow(int(end))
	copy(h.buf[off:], data)
	h.dirty, h.wrote = true, true
	h.changes++
	if off <= int64(h.covered) {
		h.covered = max(h.covered, int(end))
	}
	h.forgetBase(h.began)
	return nil
}

// forgetBase notes that bytes from size on went. Where those before it were
// written over, nothing is left of what the buffer started with; and if it was
// not read here either, its author was looking at something else. h.mu is held.
func (h *writeHandle) forgetBase(size int) {
	if !h.hasRead && h.covered >= min(h.began, size) {
		h.base = nil
	}
	h.began = min(h.began, size)
}

// grow makes the buffer its own and at least size long; h.mu is held.
func (h *writeHandle) grow(size int) {
	if h.shared {
		h.buf, h.shared = slices.Clone(h.buf), false
	}
	if missing := size - len(h.buf); missing > 0 {
		old := len(h.buf)
		h.buf = slices.Grow(h.buf, missing)[:size]
		clear(h.buf[old:])
	}
}

func (h *writeHandle) truncate(size int64) error {
	if l := h.streaming(); l != nil {
		return l.truncate(size)
	}
	if size > maxText && h.isFresh() {
		ctx, cancel := h.t.saveContext()
		defer cancel()
		if err := h.outgrow(ctx); err != nil {
			return err
		}
		return h.streaming().truncate(size)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if size > maxBuffer {
		return syscall.EFBIG
	}
	h.forgetBase(int(size))
	h.tail = -1
	if size == int64(len(h.buf)) {
		return nil
	}
	h.grow(int(size))
	h.buf = h.buf[:size]
	h.dirty, h.wrote = true, size > 0
	h.changes++
	return nil
}

// flush commits. Content that is not valid is left alone until the last close.
func (h *writeHandle) flush(ctx context.Context, tid uint32) error {
	if l := h.streaming(); l != nil {
		return l.flush(ctx, tid)
	}
	h.commitMu.Lock()
	dirty := h.unsaved()
	tell := h.untold || dirty
	err := h.commit(ctx)
	if err == nil && !dirty {
		err = h.keep()
	}
	if err == nil {
		err = h.failed
	}
	if err != nil {
		if tid != 0 && h.t.heldElsewhere(tid, h.f.ino) {
			h.commitMu.Unlock()
			return nil
		}
		err = h.reject(ctx, err)
		h.failed = nil
	}
	h.untold = false
	h.commitMu.Unlock()
	if tell { // a shell closes several descriptors of a file
		h.t.tellKernel(h.f)
	}
	return err
}

// keep makes sure that the file survives the death of this process; whatever is
// stored does that, too.
func (h *writeHandle) keep() error {
	if !h.loose.Swap(false) {
		return nil
	}
	return h.t.repo.Keep()
}

// fsync commits and makes all that was saved survive a power cut.
func (h *writeHandle) fsync(ctx context.Context) error {
	if l := h.streaming(); l != nil {
		return l.fsync(ctx)
	}
	h.commitMu.Lock()
	h.untold = h.untold || h.unsaved()
	err := h.commit(ctx)
	switch {
	case errors.Is(err, errEmptied):
		err = nil
	case err != nil:
		err = h.reject(ctx, err)
		h.failed = err
	}
	h.commitMu.Unlock()
	h.changed()
	if err != nil {
		return err
	}
	return h.t.repo.Flush()
}

// changed tells the kernel soon that the file was saved.
func (h *writeHandle) changed() {
	h.t.changed(h.f.ino)
	if ino, _ := h.f.saveTo(); ino != h.f.ino {
		h.t.changed(ino)
	}
}

// release saves what came after the last close, from pages of a mapping, and
// keeps as a draft what cannot be saved.
func (h *writeHandle) release(ctx context.Context) {
	if l := h.streaming(); l != nil {
		if err := l.flush(ctx, 0); err != nil {
			h.t.log.Error("close file", "inode", h.f.ino, "error", err)
		}
		if b, ok := l.(*blobHandle); ok {
			b.release(ctx)
		}
		h.t.changed(h.f.ino)
	} else if h.unsaved() { // else close has saved it and told the kernel
		h.commitMu.Lock()
		if err := h.commit(ctx); err != nil {
			_ = h.reject(ctx, err) // logs what it cannot keep
		}
		h.commitMu.Unlock()
		h.changed()
	}
	h.f.mu.Lock()
	delete(h.f.writers, h)
	h.f.mu.Unlock()
	h.f.drop()
}
