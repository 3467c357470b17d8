package fs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
	"echofs/echo/blob"
)

// blobHandle is an open blob.
type blobHandle struct {
	v     *blobView
	flags uint32
	who   *writerOf
}

// stream is a handle whose content is not in memory.
type stream interface {
	handle
	size() int64
}

var (
	_ stream = (*blobHandle)(nil)
	_ stream = (*localHandle)(nil)
)

// openBlob opens a blob, and returns how the kernel is to use its cache.
func (t *tree) openBlob(ctx context.Context, n echo.Node, flags uint32, a author) (*blobHandle, uint32, error) {
	v, cached, keep := t.blobs.get(n, false)
	h := &blobHandle{v: v, flags: flags, who: &writerOf{opener: a}}
	if wantsWrite(flags) {
		t.blobs.mu.Lock()
		v.writers++
		t.blobs.mu.Unlock()
	}
	if flags&syscall.O_TRUNC != 0 {
		if err := h.empty(ctx, n, a); err != nil {
			h.release(ctx)
			return nil, 0, err
		}
	} else if wantsRead(flags) {
		t.bases.read(a, n.ID, n.Version, false)
	}
	switch {
	case !cached:
		return h, fuse.FOPEN_DIRECT_IO, nil
	case keep:
		return h, fuse.FOPEN_KEEP_CACHE, nil
	}
	return h, 0, nil
}

// empty begins a new content. What it replaces is what its author was looking
// at, not what is there by now.
func (h *blobHandle) empty(ctx context.Context, n echo.Node, a author) error {
	v := h.v
	if h.v.size() == 0 {
		return nil
	}
	base, rule := v.all.t.bases.base(a, n.ID)
	if base != nil && n.Kind == echo.KindBlob && !v.dirty() {
		seen, err := v.all.t.repo.BlobSeen(ctx, n.Ino, *base)
		if err != nil {
			return err
		}
		v.mu.Lock()
		v.base, v.rule = seen, rule
		v.mu.Unlock()
	}
	return h.truncate(0)
}

// waiting bounds what waits for chunks that are elsewhere.
func (h *blobHandle) waiting() (context.Context, context.CancelFunc) {
	t := h.v.all.t
	h.v.mu.Lock()
	defer h.v.mu.Unlock()
	if time.Since(h.v.vain) < waitAgain {
		return context.WithTimeout(t.ctx, min(t.opts.BlobWait, waitAgain/10))
	}
	return context.WithTimeout(t.ctx, t.opts.BlobWait)
}

func (h *blobHandle) read(buf []byte, off int64) ([]byte, error) {
	ctx, cancel := h.waiting()
	defer cancel()
	c, err := h.v.content(ctx)
	n := 0
	if err == nil {
		n, err = c.ReadAt(ctx, buf, off)
	}
	if err == nil || errors.Is(err, io.EOF) {
		return buf[:n], nil
	}
	if errors.Is(err, echo.ErrUnavailable) {
		h.v.mu.Lock()
		h.v.vain = time.Now()
		h.v.mu.Unlock()
	}
	return nil, err
}

func (h *blobHandle) write(tid uint32, data []byte, off int64) error {
	ctx, cancel := h.waiting()
	defer cancel()
	if err := h.v.all.t.room.Take(int64(len(data))); err != nil {
		return err
	}
	w, err := h.v.forWriting(ctx)
	if err != nil {
		return err
	}
	if h.flags&syscall.O_APPEND != 0 && h.v.isDirect() {
		off = w.Size() // the kernel counts from another version's size
	}
	if err := w.WriteAt(ctx, data, off); err != nil {
		return err
	}
	h.v.touched(h.who.writing(h.v.all.t.proc, tid))
	return nil
}

func (v *blobView) isDirect() bool {
	v.all.mu.Lock()
	defer v.all.mu.Unlock()
	return v.direct
}

func (h *blobHandle) truncate(size int64) error {
	ctx, cancel := h.waiting()
	defer cancel()
	if size == h.v.size() {
		return nil
	}
	w, err := h.v.forWriting(ctx)
	if err != nil {
		return err
	}
	if err := w.Truncate(ctx, size); err != nil {
		return err
	}
	h.v.touched(h.who.last())
	return nil
}

func (h *blobHandle) size() int64 { return h.v.size() }

// flush makes a version of what was written, unless the process or one of its
// ancestors goes on writing.
func (h *blobHandle) flush(ctx context.Context, tid uint32) error {
	t := h.v.all.t
	if !wantsWrite(h.flags) || !h.v.dirty() {
		return nil
	}
	if tid != 0 && t.heldElsewhere(tid, h.v.f.ino) {
		return nil
	}
	err := h.v.save(ctx)
	t.tellAttr(h.v.f)
	return err
}

func (h *blobHandle) fsync(context.Context) error {
	h.v.mu.Lock()
	w := h.v.work
	h.v.mu.Unlock()
	if w != nil {
		if err := w.Sync(); err != nil {
			return err
		}
		if w.Dirty() {
			h.v.all.saveLater(h.v)
		}
	}
	return h.v.all.t.repo.Flush()
}

func (h *blobHandle) release(ctx context.Context) {
	v, t := h.v, h.v.all.t
	last := false
	if wantsWrite(h.flags) {
		t.blobs.mu.Lock()
		v.writers--
		last = v.writers == 0
		t.blobs.mu.Unlock()
	}
	if last {
		if err := v.save(ctx); err != nil {
			t.log.Error("close blob", "inode", v.f.ino, "error", err)
		}
	}
	ino := v.f.ino
	t.blobs.drop(v)
	t.changed(ino)
}

// looksBinary reports whether bytes that are written to a new file show that it
// is no text. Characters at the ends may be cut.
func looksBinary(p []byte) bool {
	const enough = 4096
	p = p[:min(len(p), enough)]
	if bytes.IndexByte(p, 0) >= 0 {
		return true
	}
	for i := 0; i < utf8.UTFMax-1 && len(p) > 0 && !utf8.RuneStart(p[0]); i++ {
		p = p[1:]
	}
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			return utf8.FullRune(p)
		}
		p = p[n:]
	}
	return false
}

// fileContent is the content of a plain file, of which all is to be stored.
type fileContent struct {
	f    *os.File
	size int64
}

func (c fileContent) Size() int64            { return c.size }
func (c fileContent) Base() *blob.Index      { return nil }
func (c fileContent) Block(int64) blob.State { return blob.Changed }
func (c fileContent) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return c.f.ReadAt(p, off)
}
