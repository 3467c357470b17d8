package fs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
)

// The cookies of a directory stream. Each entry has the place after it: its
// inode number, moved up to make room for the two that every directory has. So
// they mean the same whatever else is added or removed.
const (
	afterDot    = 1
	afterDotDot = 2
)

// OpenDir implements fuse.RawFileSystem.
func (t *tree) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if isControl(in.NodeId) {
		return errno(t.control.openDir(in.NodeId, out))
	}
	n, err := t.repo.Node(echo.Ino(in.NodeId))
	if errors.Is(err, echo.ErrNotFound) {
		return fuse.Status(syscall.ESTALE)
	}
	if err == nil {
		err = t.mayOpen(in.Caller, n, fuse.R_OK)
	}
	if err == nil {
		t.acquire(n) // it answers for itself also when it is removed
	}
	return errno(err)
}

// ReleaseDir implements fuse.RawFileSystem.
func (t *tree) ReleaseDir(in *fuse.ReleaseIn) {
	if isControl(in.NodeId) {
		t.control.releaseDir(in.Fh)
		return
	}
	if f := t.openFile(echo.Ino(in.NodeId)); f != nil {
		f.drop()
	}
}

// FsyncDir implements fuse.RawFileSystem.
func (t *tree) FsyncDir(<-chan struct{}, *fuse.FsyncIn) fuse.Status {
	return errno(t.repo.Flush())
}

// ReadDir implements fuse.RawFileSystem.
func (t *tree) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if isControl(in.NodeId) {
		return t.control.readDir(in, func(e fuse.DirEntry) bool { return out.AddDirEntry(e) })
	}
	return t.list(in, func(e fuse.DirEntry, _ *echo.Node) bool { return out.AddDirEntry(e) })
}

// ReadDirPlus implements fuse.RawFileSystem. The nodes of control directories
// are not made known by listing them, so that their lookups can be counted.
func (t *tree) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if isControl(in.NodeId) {
		return t.control.readDir(in, func(e fuse.DirEntry) bool { return out.AddDirLookupEntry(e) != nil })
	}
	return t.list(in, func(e fuse.DirEntry, n *echo.Node) bool {
		entry := out.AddDirLookupEntry(e)
		if entry != nil && n != nil {
			t.entry(*n, entry)
		}
		return entry != nil
	})
}

// list calls add for the entries after a cookie until it returns false.
func (t *tree) list(in *fuse.ReadIn, add func(fuse.DirEntry, *echo.Node) bool) fuse.Status {
	ino := echo.Ino(in.NodeId)
	if in.Offset < afterDot && !add(fuse.DirEntry{Name: ".", Mode: syscall.S_IFDIR, Ino: uint64(ino), Off: afterDot}, nil) {
		return fuse.OK
	}
	if in.Offset < afterDotDot {
		parent := ino
		if n, err := t.repo.Node(ino); err == nil {
			parent = n.Parent
		}
		if !add(fuse.DirEntry{Name: "..", Mode: syscall.S_IFDIR, Ino: uint64(parent), Off: afterDotDot}, nil) {
			return fuse.OK
		}
	}
	after := echo.Ino(0)
	if in.Offset > afterDotDot {
		after = echo.Ino(in.Offset - afterDotDot)
	}
	err := t.repo.List(ino, after, func(n echo.Node) bool {
		if !t.visible(n) {
			return true
		}
		return add(fuse.DirEntry{Name: n.Name, Mode: fileType(n.Kind), Ino: uint64(n.Ino),
			Off: uint64(n.Ino) + afterDotDot}, &n)
	})
	return errno(err)
}

// mayMake checks a name and a directory in which something is to be made,
// renamed or removed.
func (t *tree) mayMake(h *fuse.InHeader, name string) error {
	switch {
	case isControl(h.NodeId), t.opts.ReadOnly:
		return syscall.EROFS
	case len(name) > maxName:
		return syscall.ENAMETOOLONG
	case name == echo.ControlName && t.isControlPlace(echo.Ino(h.NodeId)):
		return syscall.EPERM
	}
	n, _, err := t.node(echo.Ino(h.NodeId))
	if err != nil {
		return err
	}
	var a fuse.Attr
	t.owner.attr(n, &a)
	a.Mode |= 0o200 // the role of a reader does not bar local files
	if n.Mode != 0 {
		a.Mode = fileType(n.Kind) | n.Mode&0o777
	}
	if !permits(h.Owner, &a, fuse.W_OK|fuse.X_OK) {
		return syscall.EACCES
	}
	return nil
}

func (t *tree) isControlPlace(dir echo.Ino) bool {
	n, err := t.repo.Node(dir)
	return err == nil && hasControl(n.Kind)
}

// newMode is what is stored of the permissions of a new file: 0, the default,
// where they are that.
func (t *tree) newMode(mode, usual uint32) uint32 {
	mode &= 0o777
	if t.owner.private {
		mode, usual = mode&0o700, usual&0o700
	}
	if mode == usual {
		return 0
	}
	return mode | modeSet
}

// Create implements fuse.RawFileSystem.
func (t *tree) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if err := t.mayMake(&in.InHeader, name); err != nil {
		return errno(err)
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	parent := echo.Ino(in.NodeId)
	n, err := t.repo.CreateOpenFile(ctx, parent, name, t.newMode(in.Mode, 0o644))
	switch {
	case err == nil:
		// New content starts from nothing, also where it is that of an object
		// which was there before.
		err = t.openAs(n, t.proc.author(in.Pid), in.Flags|syscall.O_TRUNC, &out.OpenOut)
		if h, ok := t.handle(out.Fh).(*writeHandle); ok && err == nil {
			h.loose.Store(true)
		}
	case errors.Is(err, echo.ErrExists) && in.Flags&syscall.O_EXCL == 0:
		if n, err = t.child(parent, name); err == nil {
			err = t.open(n, in.Caller, in.Flags, &out.OpenOut)
		}
	}
	if err != nil {
		return errno(err)
	}
	t.entry(n, &out.EntryOut)
	return fuse.OK
}

// Mknod implements fuse.RawFileSystem: plain files only.
func (t *tree) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if in.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return fuse.EPERM
	}
	if err := t.mayMake(&in.InHeader, name); err != nil {
		return errno(err)
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	n, err := t.repo.CreateFile(ctx, echo.Ino(in.NodeId), name, t.newMode(in.Mode, 0o644))
	if err != nil {
		return errno(err)
	}
	t.entry(n, out)
	return fuse.OK
}

// Mkdir implements fuse.RawFileSystem. At the root it makes a space.
func (t *tree) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if err := t.mayMake(&in.InHeader, name); err != nil {
		return errno(err)
	}
	parent := echo.Ino(in.NodeId)
	if parent == echo.RootIno && !t.opts.Space.IsZero() {
		return fuse.EPERM // it would not be seen here
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	n, err := t.repo.Mkdir(ctx, parent, name, t.newMode(in.Mode, 0o755))
	if err != nil {
		return errno(err)
	}
	t.entry(n, out)
	return fuse.OK
}

// Symlink implements fuse.RawFileSystem. A link is an object, or local where its
// name is.
func (t *tree) Symlink(_ <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if err := t.mayMake(h, name); err != nil {
		return errno(err)
	}
	if h.NodeId == uint64(echo.RootIno) {
		return fuse.EPERM
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	n, err := t.repo.CreateLink(ctx, echo.Ino(h.NodeId), name, target)
	if err != nil {
		return errno(err)
	}
	t.entry(n, out)
	return fuse.OK
}

// Link implements fuse.RawFileSystem. There are no hard links; programs that try
// one go on with a copy or a rename when it is not permitted.
func (t *tree) Link(<-chan struct{}, *fuse.LinkIn, string, *fuse.EntryOut) fuse.Status {
	return fuse.EPERM
}

// Unlink implements fuse.RawFileSystem.
func (t *tree) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if err := t.mayMake(h, name); err != nil {
		return errno(err)
	}
	parent := echo.Ino(h.NodeId)
	n, err := t.child(parent, name)
	if err != nil {
		return errno(err)
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	gone := entryKey{parent, name, n.Ino}
	t.expect(gone)
	t.bury(n)
	if err := t.repo.Remove(ctx, n.Ino); err != nil {
		t.isExpected(gone)
		return errno(err)
	}
	if n.Kind.IsFile() {
		t.depart(place{parent, name}, n.ID)
	}
	t.markGone(n.Ino, 0)
	if n.Kind == echo.KindLocal {
		t.local.drop(n.Ino)
	}
	return fuse.OK
}

// Rmdir implements fuse.RawFileSystem. Leaving a space is a command.
func (t *tree) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if err := t.mayMake(h, name); err != nil {
		return errno(err)
	}
	parent := echo.Ino(h.NodeId)
	n, err := t.child(parent, name)
	if err != nil {
		return errno(err)
	}
	if n.Kind == echo.KindSpace {
		return fuse.EPERM
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	gone := entryKey{parent, name, n.Ino}
	t.expect(gone)
	if err := t.repo.RemoveDir(ctx, n.Ino); err != nil {
		t.isExpected(gone)
		return errno(err)
	}
	return fuse.OK
}
