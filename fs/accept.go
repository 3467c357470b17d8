package fs

import (
	"context"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// maxAccepted bounds what can be written to a file of a control directory.
const maxAccepted = 4 << 20

// acceptHandle is a file of a control directory that is open for writing. What
// was written is handed over as a whole at the close; it starts from nothing.
type acceptHandle struct {
	c       *control
	view    view
	appends bool

	mu    sync.Mutex // guards the below
	buf   []byte
	wrote bool // bytes that were not handed over
}

func (h *acceptHandle) read(buf []byte, off int64) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return buf[:copy(buf, slice(h.buf, off))], nil
}

func (h *acceptHandle) write(_ uint32, data []byte, off int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.appends {
		off = int64(len(h.buf)) // the kernel counts from the size of what is read
	}
	end := off + int64(len(data))
	if off < 0 || end > maxAccepted {
		return syscall.EFBIG
	}
	if missing := int(end) - len(h.buf); missing > 0 {
		h.buf = append(h.buf, make([]byte, missing)...)
	}
	copy(h.buf[off:], data)
	h.wrote = true
	return nil
}

func (h *acceptHandle) truncate(size int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if size > int64(len(h.buf)) {
		return syscall.EINVAL
	}
	h.buf = h.buf[:size]
	return nil
}

func (h *acceptHandle) flush(ctx context.Context, _ uint32) error {
	h.mu.Lock()
	data, wrote := slices.Clone(h.buf), h.wrote
	h.wrote = false
	h.mu.Unlock()
	if !wrote {
		return nil
	}
	return h.view.accept(ctx, data)
}

func (h *acceptHandle) fsync(ctx context.Context) error {
	if err := h.flush(ctx, 0); err != nil {
		return err
	}
	return h.c.t.repo.Flush()
}

func (h *acceptHandle) release(ctx context.Context) {
	if err := h.flush(ctx, 0); err != nil {
		h.c.t.log.Warn("what was written to a control file was refused", "error", err)
	}
}

// setAttr answers for a file that can be written: emptying it is no act of its
// own, and times and permissions are not kept.
func (c *control) setAttr(in *fuse.SetAttrIn, out *fuse.AttrOut) error {
	p, v, err := c.at(in.NodeId)
	switch {
	case err != nil:
		return err
	case v.accept == nil || c.t.opts.ReadOnly:
		return syscall.EROFS
	}
	size, sized := in.GetSize()
	if fh, ok := in.GetFh(); ok && sized {
		if h := c.t.handle(fh); h != nil {
			if err := h.truncate(int64(size)); err != nil {
				return err
			}
		}
	}
	return c.attr(p, v, &out.Attr)
}

// access reports whether a place may be used in the ways of a mask.
func (c *control) access(id uint64, mask uint32) error {
	if mask&fuse.W_OK == 0 {
		return nil
	}
	_, v, err := c.at(id)
	if err == nil && (v.accept == nil || c.t.opts.ReadOnly) {
		err = syscall.EROFS
	}
	return err
}
