package fs

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
)

// handle is an open file: a readHandle, a writeHandle or a localHandle.
type handle interface {
	// read returns the bytes at an offset, in buf or in memory of its own.
	read(buf []byte, off int64) ([]byte, error)
	// write stores bytes that a thread wrote; 0 where it is not known.
	write(tid uint32, data []byte, off int64) error
	truncate(size int64) error
	// flush is called at each close of a descriptor, before close returns.
	flush(ctx context.Context, tid uint32) error
	fsync(ctx context.Context) error
	// release is called once, when the last descriptor is closed.
	release(ctx context.Context)
}

// endless is a handle of a file that is read as it comes.
type endless interface {
	handle
	// next returns the bytes that come next, at most so many, and none at the end.
	// It waits for some if wait is set, until cancel is closed (EINTR).
	next(cancel <-chan struct{}, most int, wait bool) ([]byte, error)
}

// addHandle gives a handle its number.
func (t *tree) addHandle(h handle) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastID++
	t.handles[t.lastID] = h
	return t.lastID
}

// handle returns a handle by its number, or nil.
func (t *tree) handle(id uint64) handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.handles[id]
}

func (t *tree) removeHandle(id uint64) handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.handles[id]
	delete(t.handles, id)
	return h
}

// closeHandles saves what the kernel will not ask for any more, because the
// connection to it was cut.
func (t *tree) closeHandles(ctx context.Context) {
	t.mu.Lock()
	left := t.handles
	t.handles = make(map[uint64]handle)
	t.mu.Unlock()
	for id, h := range left {
		t.noteClosed(id)
		h.release(ctx)
	}
}

// Open implements fuse.RawFileSystem.
func (t *tree) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if isControl(in.NodeId) {
		return errno(t.control.open(in.NodeId, in.Flags, out))
	}
	n, _, err := t.node(echo.Ino(in.NodeId))
	if err != nil {
		return errno(err)
	}
	return errno(t.open(n, in.Caller, in.Flags, out))
}

func (t *tree) open(n echo.Node, c fuse.Caller, flags uint32, out *fuse.OpenOut) error {
	var mask uint32
	if wantsRead(flags) {
		mask |= fuse.R_OK
	}
	if wantsWrite(flags) || flags&syscall.O_TRUNC != 0 {
		mask |= fuse.W_OK
	}
	if err := t.mayOpen(c, n, mask); err != nil {
		return err
	}
	return t.openAs(n, t.proc.author(c.Pid), flags, out)
}

// openAs opens a file in the way of its kind.
func (t *tree) openAs(n echo.Node, a author, flags uint32, out *fuse.OpenOut) error {
	var h handle
	var err error
	switch {
	case n.Kind.IsDir():
		return syscall.EISDIR
	case n.Kind == echo.KindLocal:
		h, err = t.openLocal(n, flags, a)
		out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	case n.Kind == echo.KindBlob || t.blobs.has(n.Ino):
		h, out.OpenFlags, err = t.openBlob(t.ctx, n, flags, a)
	case n.Kind.IsFile() && (wantsWrite(flags) || flags&syscall.O_TRUNC != 0):
		h, err = t.openWrite(n, flags, a)
		out.OpenFlags = fuse.FOPEN_DIRECT_IO
	case n.Kind.IsFile():
		h, out.OpenFlags, err = t.openRead(n, a)
	default:
		return syscall.ELOOP // a symbolic link
	}
	if err != nil {
		return err
	}
	out.Fh = t.addHandle(h)
	if t.opts.Opened != nil && n.Kind != echo.KindLocal {
		t.noteOpen(out.Fh, t.opts.Opened(n))
	}
	return nil
}

// noteOpen keeps what is to be called when a handle of an object is closed.
func (t *tree) noteOpen(id uint64, closed func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closers[id] = closed
}

// noteClosed tells that a handle is closed.
func (t *tree) noteClosed(id uint64) {
	t.mu.Lock()
	closed := t.closers[id]
	delete(t.closers, id)
	t.mu.Unlock()
	if closed != nil {
		closed()
	}
}

// readHandle is an object that is open for reading: through the kernel's cache,
// or as a snapshot of the time of the open.
type readHandle struct {
	f      *file // nil for files of the control directories
	reader author
	cached bool // there is no snapshot

	mu      sync.Mutex   // guards the below
	data    []byte       // the snapshot
	version echo.Version // as recorded for the reader
	modTime time.Time    // of the snapshot
	served  bool         // some of the snapshot was read
	ended   bool         // the reader was told that it has all of the snapshot
}

func (t *tree) openRead(n echo.Node, a author) (*readHandle, uint32, error) {
	h := &readHandle{f: t.acquire(n), reader: a, version: n.Version}
	if h.cached = h.f.joinCached(h, n, time.Now()); !h.cached {
		c, err := t.repo.Content(n.Ino)
		if err != nil {
			h.f.drop()
			return nil, 0, err
		}
		h.data, h.version, h.modTime = c.Data, c.Version, c.ModTime
		t.bases.read(a, n.ID, c.Version, c.Draft)
		return h, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, nil
	}
	t.bases.read(a, n.ID, n.Version, n.Draft)
	return h, fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH, nil
}

func (h *readHandle) read(_ []byte, off int64) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.served = true
	if h.cached {
		c, err := h.f.current()
		if err != nil {
			return nil, err
		}
		h.recordVersion(c.Version, c.Draft)
		return slice(c.Data, off), nil
	}
	if h.ended && h.f != nil {
		if err := h.follow(); err != nil {
			return nil, err
		}
	}
	h.ended = off >= int64(len(h.data))
	return slice(h.data, off), nil
}

// follow takes a new snapshot for a reader that came to the end and goes on, as
// those do that follow what is appended; h.mu is held.
func (h *readHandle) follow() error {
	c, err := h.f.t.repo.Content(h.f.ino)
	if errors.Is(err, echo.ErrNotFound) {
		return nil // it was removed; the snapshot stays
	}
	if err != nil {
		return err
	}
	h.data, h.modTime = c.Data, c.ModTime
	h.recordVersion(c.Version, c.Draft)
	return nil
}

// recordVersion records that the reader sees a version; h.mu is held.
func (h *readHandle) recordVersion(v echo.Version, isDraft bool) {
	if !v.Heads.Equal(h.version.Heads) {
		h.f.t.bases.read(h.reader, h.f.last().ID, v, isDraft)
		h.version = v
	}
}

// slice returns what lies at and behind an offset. The caller cuts it.
func slice(data []byte, off int64) []byte {
	if off < 0 || off >= int64(len(data)) {
		return nil
	}
	return data[off:]
}

func (h *readHandle) write(uint32, []byte, int64) error { return syscall.EBADF }
func (h *readHandle) truncate(int64) error              { return syscall.EINVAL }

// flush never fails: programs that only read take it for a failure to read.
func (h *readHandle) flush(context.Context, uint32) error { return nil }

func (h *readHandle) fsync(context.Context) error {
	if h.f == nil {
		return nil
	}
	return h.f.t.repo.Flush()
}

// release ends the handle. A snapshot that was mapped into memory has filled the
// kernel's cache with what may be old by now.
func (h *readHandle) release(context.Context) {
	if h.f == nil {
		return
	}
	h.mu.Lock()
	stale, modTime := !h.cached && h.served, h.modTime
	h.mu.Unlock()
	if h.cached {
		h.f.leaveCached(h)
	}
	if stale {
		if n, err := h.f.t.repo.Node(h.f.ino); err == nil && !n.ModTime.Equal(modTime) {
			h.f.t.dirty.node(h.f.ino)
		}
	}
	h.f.drop()
}

// Read implements fuse.RawFileSystem.
func (t *tree) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	var data []byte
	var err error
	switch h := t.handle(in.Fh).(type) {
	case nil:
		return nil, fuse.EBADF
	case endless:
		data, err = h.next(cancel, len(buf), in.Flags&syscall.O_NONBLOCK == 0)
	default:
		data, err = h.read(buf, int64(in.Offset))
	}
	if err != nil {
		return nil, errno(err)
	}
	return fuse.ReadResultData(data[:min(len(data), len(buf))]), fuse.OK
}

// Write implements fuse.RawFileSystem.
func (t *tree) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h := t.handle(in.Fh)
	if h == nil {
		return 0, fuse.EBADF
	}
	tid := in.Pid
	if in.WriteFlags&fuse.WRITE_CACHE != 0 {
		tid = 0 // a dirty page: the kernel guesses whose it is
	}
	if err := h.write(tid, data, int64(in.Offset)); err != nil {
		return 0, errno(err)
	}
	return uint32(len(data)), fuse.OK
}

// Flush implements fuse.RawFileSystem.
func (t *tree) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	h := t.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	return errno(h.flush(ctx, in.Pid))
}

// Fsync implements fuse.RawFileSystem.
func (t *tree) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := t.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	return errnoElsewhere(h.fsync(ctx))
}

// Release implements fuse.RawFileSystem.
func (t *tree) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	h := t.removeHandle(in.Fh)
	t.noteClosed(in.Fh)
	if h == nil {
		return
	}
	// What is still unsaved must be kept even while the file system is closed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), saveTime)
	defer cancel()
	h.release(ctx)
}

// Fallocate implements fuse.RawFileSystem. Space is not reserved; programs and
// the C library do without.
func (t *tree) Fallocate(<-chan struct{}, *fuse.FallocateIn) fuse.Status {
	return fuse.Status(syscall.EOPNOTSUPP)
}

// CopyFileRange implements fuse.RawFileSystem: ENOSYS makes the kernel read and
// write instead.
func (t *tree) CopyFileRange(<-chan struct{}, *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}
