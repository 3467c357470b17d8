package fs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
	"echofs/echo/blob"
)

// tree answers the kernel's requests. Its methods with names of requests are
// called by package fuse, each in a goroutine of its own.
type tree struct {
	fuse.RawFileSystem // answers ENOSYS to what is not here

	repo    *echo.Repo
	opts    Options
	log     *slog.Logger
	owner   owner
	proc    *authors
	bases   *bases
	local   localDir
	room    *blob.Room // on the disk of what is being written
	blobs   *blobViews
	heirs   successors
	control *control
	dirty   *dirtySet
	watch   *watch
	askers  *askers
	ctx     context.Context // ends when the file system is closed

	server atomic.Pointer[fuse.Server] // set by Init
	told   atomic.Int64                // notifications about nodes so far
	poked  atomic.Int64                // requests to the helper so far
	mount  atomic.Int64                // the id of the mount in /proc/self/mountinfo, 0 while unknown

	poker      atomic.Pointer[poker]      // nil: those who watch hear nothing of others' changes
	mounted    atomic.Pointer[mountEntry] // nil while unknown
	unmounting atomic.Bool
	leave      sync.Once     // closes leaving
	leaving    chan struct{} // closed when somebody unmounts: what is endless ends

	mu       sync.Mutex // guards the below
	files    map[echo.Ino]*file
	handles  map[uint64]handle
	closers  map[uint64]func() // of handles, for Options.Opened
	lastID   uint64
	sources  *lru[echo.Ino, source]
	departed *lru[place, departure]
	own      map[entryKey]time.Time
	graves   []grave
}

// maxSources is for how many files it is remembered who wrote them.
const maxSources = 4096

// maxDeparted is for how many names it is remembered what object was just there.
const maxDeparted = 1024

func newTree(ctx context.Context, repo *echo.Repo, opts Options, proc procfs) *tree {
	t := &tree{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		closers:       make(map[uint64]func()),
		repo:          repo, opts: opts, log: opts.Logger, proc: newAuthors(proc),
		owner: owner{uid: uint32(syscall.Geteuid()), gid: uint32(syscall.Getegid()), private: opts.AllowOther},
		bases: newBases(proc), local: localDir{opts.LocalDir}, room: blob.NewRoom(opts.LocalDir, blob.DefaultReserve), dirty: newDirtySet(), watch: newWatch(), askers: newAskers(), ctx: ctx,
		files: make(map[echo.Ino]*file), handles: make(map[uint64]handle),
		sources: newLRU[echo.Ino, source](maxSources), departed: newLRU[place, departure](maxDeparted),
		own: make(map[entryKey]time.Time), leaving: make(chan struct{}),
	}
	t.control = newControl(t)
	t.blobs = newBlobViews(t, opts.LocalDir)
	return t
}

// Init implements fuse.RawFileSystem.
func (t *tree) Init(s *fuse.Server) { t.server.Store(s) }

// String implements fuse.RawFileSystem; it is the file system's type after
// "fuse." in the table of mounts.
func (t *tree) String() string { return "echofs" }

// saveContext bounds what a request may take that waits for the engine.
func (t *tree) saveContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.ctx, saveTime)
}

// isControl reports whether a node id is one of the control directories'.
func isControl(id uint64) bool { return echo.Ino(id) > echo.MaxIno }

// visible reports whether the mount shows a node of the root.
func (t *tree) visible(n echo.Node) bool {
	return t.opts.Space.IsZero() || n.Kind != echo.KindSpace || n.Space == t.opts.Space
}

// hasControl reports whether a directory has a control directory.
func hasControl(k echo.Kind) bool { return k == echo.KindRoot || k == echo.KindSpace }

// child looks a name up that is not the control directory's.
func (t *tree) child(parent echo.Ino, name string) (echo.Node, error) {
	n, err := t.repo.Lookup(parent, name)
	if err == nil && !t.visible(n) {
		return echo.Node{}, echo.ErrNotFound
	}
	return n, err
}

// Lookup implements fuse.RawFileSystem.
func (t *tree) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if len(name) > maxName {
		return fuse.Status(syscall.ENAMETOOLONG)
	}
	if isControl(h.NodeId) {
		return errno(t.control.lookup(h.NodeId, name, out))
	}
	parent := echo.Ino(h.NodeId)
	if name == echo.ControlName {
		if st, ok := t.lookupControl(parent, out); ok {
			return st
		}
	}
	n, err := t.child(parent, name)
	if err != nil {
		return errno(err)
	}
	t.entry(n, out)
	return fuse.OK
}

// lookupControl answers with the control directory of a directory that has one.
func (t *tree) lookupControl(parent echo.Ino, out *fuse.EntryOut) (fuse.Status, bool) {
	dir, err := t.repo.Node(parent)
	if err != nil {
		return errno(err), true
	}
	if !hasControl(dir.Kind) {
		return fuse.OK, false
	}
	return errno(t.control.root(parent, out)), true
}

// entry fills in the answer that makes a node known to the kernel.
func (t *tree) entry(n echo.Node, out *fuse.EntryOut) {
	setEntry(out, uint64(n.Ino), cacheTime)
	if !t.attr(n, &out.Attr) {
		out.SetAttrTimeout(0)
	}
}

// attr fills in a node's attributes as they are now; it returns false where
// they are not to be cached, because the file is being written.
func (t *tree) attr(n echo.Node, out *fuse.Attr) bool {
	f := t.openFile(n.Ino)
	if f == nil {
		t.owner.attr(n, out)
		return true
	}
	n, writing := f.live(t.blobs.live(n))
	t.owner.attr(n, out)
	return !writing
}

// node returns a node, also if it was unlinked and is still open.
func (t *tree) node(ino echo.Ino) (echo.Node, bool, error) {
	n, err := t.repo.Node(ino)
	if err == nil && (n.Name != "" || n.Kind == echo.KindRoot) {
		return n, true, nil
	}
	if f := t.openFile(ino); f != nil {
		return f.last(), false, nil
	}
	if err == nil || errors.Is(err, echo.ErrNotFound) {
		err = syscall.ESTALE // makes the kernel look the path up again
	}
	return echo.Node{}, false, err
}

// GetAttr implements fuse.RawFileSystem.
func (t *tree) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if isControl(in.NodeId) {
		return errno(t.control.getAttr(in.NodeId, out))
	}
	if err := t.answerAttr(echo.Ino(in.NodeId), out); err != nil {
		return errno(err)
	}
	if in.Flags()&fuse.FUSE_GETATTR_FH == 0 {
		return fuse.OK
	}
	switch h := t.handle(in.Fh()).(type) { // a seek to the end
	case *writeHandle:
		out.Size = uint64(h.size())
		out.SetTimeout(0)
	case *blobHandle:
		out.Size = uint64(h.size())
		out.SetTimeout(0)
	}
	return fuse.OK
}

func (t *tree) answerAttr(ino echo.Ino, out *fuse.AttrOut) error {
	n, linked, err := t.node(ino)
	if object, ok := t.heirs.of(ino); err != nil && ok {
		n, linked, err = t.node(object)
		n.Ino = ino // the kernel asks about the inode it has
	}
	if err != nil {
		return err
	}
	out.SetTimeout(cacheTime)
	if !t.attr(n, &out.Attr) {
		out.SetTimeout(0)
	}
	if !linked {
		out.Nlink = 0
	}
	return nil
}

// SetAttr implements fuse.RawFileSystem.
func (t *tree) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if isControl(in.NodeId) {
		return errno(t.control.setAttr(in, out))
	}
	ino := echo.Ino(in.NodeId)
	if size, ok := in.GetSize(); ok {
		if err := t.truncate(ino, in, size); err != nil {
			return errno(err)
		}
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	if err := t.setAttr(ctx, ino, in); err != nil {
		return errno(err)
	}
	return errno(t.answerAttr(ino, out))
}

// truncate sets the size of a file: of the private content of a handle, or,
// without one, of the file as a program would that opens, truncates and closes.
func (t *tree) truncate(ino echo.Ino, in *fuse.SetAttrIn, size uint64) error {
	if size > maxFile {
		return syscall.EFBIG
	}
	if fh, ok := in.GetFh(); ok {
		if h := t.handle(fh); h != nil {
			return h.truncate(int64(size))
		}
	}
	n, _, err := t.node(ino)
	if err != nil {
		return err
	}
	if err := t.mayOpen(in.Caller, n, fuse.W_OK); err != nil {
		return err
	}
	h, err := t.openToTruncate(n, t.proc.author(in.Pid))
	if err != nil {
		return err
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	if err = h.truncate(int64(size)); err == nil {
		err = h.flush(ctx, 0)
	}
	h.release(ctx)
	return err
}

func (t *tree) openToTruncate(n echo.Node, a author) (handle, error) {
	switch {
	case n.Kind == echo.KindLocal:
		return t.openLocal(n, syscall.O_WRONLY, a)
	case n.Kind == echo.KindBlob || t.blobs.has(n.Ino):
		h, _, err := t.openBlob(t.ctx, n, syscall.O_WRONLY, a)
		return h, err
	case n.Kind.IsFile():
		return t.openWrite(n, syscall.O_WRONLY, a)
	}
	return nil, syscall.EISDIR
}

// setAttr stores permissions and times. Owner and group cannot be changed, and
// access times are not kept; both are answered with success, since programs that
// copy files stop otherwise.
func (t *tree) setAttr(ctx context.Context, ino echo.Ino, in *fuse.SetAttrIn) error {
	var c echo.AttrChange
	if mode, ok := in.GetMode(); ok {
		mode = mode&0o777 | modeSet
		c.Mode = &mode
	}
	if mtime, ok := in.GetMTime(); ok {
		c.ModTime = &mtime
	}
	if c == (echo.AttrChange{}) {
		return nil
	}
	if f := t.openFile(ino); f != nil {
		f.setAttr(c)
	}
	_, err := t.repo.SetAttr(ctx, ino, c)
	if errors.Is(err, echo.ErrNotFound) && t.openFile(ino) != nil {
		return nil // unlinked and still open
	}
	return err
}

// Access implements fuse.RawFileSystem.
func (t *tree) Access(_ <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	if isControl(in.NodeId) {
		return errno(t.control.access(in.NodeId, in.Mask))
	}
	n, _, err := t.node(echo.Ino(in.NodeId))
	if err != nil {
		return errno(err)
	}
	return errno(t.mayOpen(in.Caller, n, in.Mask))
}

// mayOpen checks permissions and, for writing, the role in the space.
func (t *tree) mayOpen(c fuse.Caller, n echo.Node, mask uint32) error {
	if mask&fuse.W_OK != 0 && (n.ReadOnly || t.opts.ReadOnly) {
		return syscall.EROFS
	}
	var a fuse.Attr
	t.owner.attr(n, &a)
	if !permits(c.Owner, &a, mask) {
		return syscall.EACCES
	}
	return nil
}

// Readlink implements fuse.RawFileSystem.
func (t *tree) Readlink(_ <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	if isControl(h.NodeId) {
		target, err := t.control.readlink(h.NodeId)
		return target, errno(err)
	}
	n, _, err := t.node(echo.Ino(h.NodeId))
	if err != nil {
		return nil, errno(err)
	}
	if !isLink(n.Kind) {
		return nil, fuse.EINVAL
	}
	target, err := t.repo.Target(n)
	return []byte(target), errno(err)
}

// Forget implements fuse.RawFileSystem. Nodes of the repository take no memory.
func (t *tree) Forget(id, n uint64) {
	if isControl(id) {
		t.control.forget(id, n)
	}
}

// StatFs implements fuse.RawFileSystem: the disk that the vault lies on.
func (t *tree) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	var s syscall.Statfs_t
	if err := syscall.Statfs(t.opts.LocalDir, &s); err != nil {
		return fuse.ToStatus(err)
	}
	out.FromStatfsT(&s)
	out.NameLen = maxName
	return fuse.OK
}
