package fs

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"echofs/echo"
	"echofs/echo/blob"
)

// versionHandle is a version of a blob that is open for reading; it is not the
// file's content now.
type versionHandle struct {
	t     *tree
	wait  time.Duration // for what is not here
	letGo func()

	reader *blob.Reader // nil for an empty one
}

// lostTime is how long a reader waits for an old version that is not here. Most
// devices drop what was replaced after a while, so nobody may have it.
const lostTime = 2 * time.Second

// openVersion opens a version of a blob. ENODATA where its content is not here
// and comes from nowhere.
func (t *tree) openVersion(ctx context.Context, s *echo.Space, v echo.BlobVersion) (*versionHandle, error) {
	h := &versionHandle{t: t, wait: min(t.opts.BlobWait, lostTime), letGo: t.repo.HoldBlob(s.ID(), v.Root)}
	if v.Root.IsHole() {
		return h, nil
	}
	ctx, cancel := h.waiting(ctx)
	defer cancel()
	var err error
	if h.reader, err = t.repo.OpenBlob(ctx, s.ID(), v); err != nil {
		h.letGo()
		return nil, lost(err)
	}
	return h, nil
}

func (h *versionHandle) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, h.wait)
}

// lost says of content that did not come that it is not there.
func lost(err error) error {
	if errors.Is(err, echo.ErrUnavailable) || errors.Is(err, blob.ErrMissing) {
		return errors.Join(syscall.ENODATA, err)
	}
	return err
}

func (h *versionHandle) read(buf []byte, off int64) ([]byte, error) {
	if h.reader == nil {
		return nil, nil
	}
	ctx, cancel := h.waiting(h.t.ctx)
	defer cancel()
	n, err := h.reader.ReadAt(ctx, buf, off)
	if err == nil || errors.Is(err, io.EOF) {
		return buf[:n], nil
	}
	return nil, lost(err)
}

func (h *versionHandle) write(uint32, []byte, int64) error   { return syscall.EBADF }
func (h *versionHandle) truncate(int64) error                { return syscall.EINVAL }
func (h *versionHandle) flush(context.Context, uint32) error { return nil }
func (h *versionHandle) fsync(context.Context) error         { return nil }
func (h *versionHandle) release(context.Context)             { h.letGo() }
