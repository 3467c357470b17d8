package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
)

// gate stands before the tree and decides by whom a request is made.
//
// The owner of the mount and root are let in. Others are refused unless
// Options.AllowOther is set, whatever the kernel let pass, and then they may do
// what permissions give them; what the operations of the tree do not check is
// checked here. Control directories are not for them. Requests of a handle are
// not checked again: who was given an open file may use it.
//
// The helper's requests (see poke) go to the poker.
type gate struct{ *tree }

// foreign reports whether a caller is neither the owner of the mount nor root.
func (g gate) foreign(c *fuse.Caller) bool { return c.Uid != 0 && c.Uid != g.owner.uid }

// admit is the check that every request passes.
func (g gate) admit(h *fuse.InHeader) fuse.Status {
	if g.foreign(&h.Caller) && (!g.opts.AllowOther || isControl(h.NodeId)) {
		return fuse.EACCES
	}
	return fuse.OK
}

// helper returns the poker where a request is the helper's.
func (g gate) helper(h *fuse.InHeader) (*poker, bool) {
	p := g.poker.Load()
	return p, p.is(&h.Caller)
}

// admitChange is admit for what the helper must not do.
func (g gate) admitChange(h *fuse.InHeader) fuse.Status {
	if _, ok := g.helper(h); ok {
		return fuse.EPERM
	}
	return g.admit(h)
}

func (g gate) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if st := g.admit(h); st != fuse.OK {
		return st
	}
	if g.foreign(&h.Caller) {
		n, _, err := g.node(echo.Ino(h.NodeId))
		if err == nil {
			err = g.mayOpen(h.Caller, n, fuse.X_OK)
		}
		if err == nil && name == echo.ControlName && hasControl(n.Kind) {
			err = syscall.EACCES
		}
		if err != nil {
			return errno(err)
		}
	}
	if p, ok := g.helper(h); ok {
		if st, ok := p.lookup(g.tree, place{echo.Ino(h.NodeId), name}, out); ok {
			return st
		}
	} else if p != nil {
		g.askers.note(h.Pid)
	}
	return g.tree.Lookup(cancel, h, name, out)
}

func (g gate) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if st := g.admit(&in.InHeader); st != fuse.OK {
		return st
	}
	return g.tree.GetAttr(cancel, in, out)
}

func (g gate) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if _, ok := g.helper(&in.InHeader); ok {
		return errno(g.answerAttr(echo.Ino(in.NodeId), out))
	}
	if st := g.admit(&in.InHeader); st != fuse.OK {
		return st
	}
	if g.foreign(&in.Caller) {
		if err := g.maySetAttr(in); err != nil {
			return errno(err)
		}
	}
	return g.tree.SetAttr(cancel, in, out)
}

// maySetAttr refuses others what only the owner of a file may: all but to set
// its time to now, which is as good as writing it, and its size, which is
// checked where it is set.
func (g gate) maySetAttr(in *fuse.SetAttrIn) error {
	const owners = fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID
	now := func(set, now uint32) bool { return in.Valid&set == 0 || in.Valid&now != 0 }
	if in.Valid&owners != 0 || !now(fuse.FATTR_ATIME, fuse.FATTR_ATIME_NOW) || !now(fuse.FATTR_MTIME, fuse.FATTR_MTIME_NOW) {
		return syscall.EPERM
	}
	if in.Valid&(fuse.FATTR_ATIME|fuse.FATTR_MTIME) == 0 {
		return nil
	}
	n, _, err := g.node(echo.Ino(in.NodeId))
	if err != nil {
		return err
	}
	return g.mayOpen(in.Caller, n, fuse.W_OK)
}

func (g gate) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	if st := g.admit(&in.InHeader); st != fuse.OK {
		return st
	}
	return g.tree.Access(cancel, in)
}

func (g gate) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	if st := g.admit(h); st != fuse.OK {
		return nil, st
	}
	return g.tree.Readlink(cancel, h)
}

func (g gate) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if p, ok := g.helper(&in.InHeader); ok {
		return p.open(g.tree, echo.Ino(in.NodeId), out)
	}
	if st := g.admit(&in.InHeader); st != fuse.OK {
		return st
	}
	return g.tree.Open(cancel, in, out)
}

func (g gate) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	g.askers.note(in.Pid)
	if st := g.admit(&in.InHeader); st != fuse.OK {
		return st
	}
	return g.tree.OpenDir(cancel, in, out)
}

func (g gate) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if p, ok := g.helper(&in.InHeader); ok {
		n, st := p.comes(g.tree, place{echo.Ino(in.NodeId), name}, &out.EntryOut)
		if st == fuse.OK {
			st = p.open(g.tree, n.Ino, &out.OpenOut)
		}
		return st
	}
	if st := g.admit(&in.InHeader); st != fuse.OK {
		return st
	}
	return g.tree.Create(cancel, in, name, out)
}

func (g gate) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if st := g.admitChange(&in.InHeader); st != fuse.OK {
		return st
	}
	return g.tree.Mknod(cancel, in, name, out)
}

func (g gate) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if p, ok := g.helper(&in.InHeader); ok {
		_, st := p.comes(g.tree, place{echo.Ino(in.NodeId), name}, out)
		return st
	}
	if st := g.admit(&in.InHeader); st != fuse.OK {
		return st
	}
	return g.tree.Mkdir(cancel, in, name, out)
}

func (g gate) Symlink(cancel <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if p, ok := g.helper(h); ok {
		_, st := p.comes(g.tree, place{echo.Ino(h.NodeId), name}, out)
		return st
	}
	if st := g.admit(h); st != fuse.OK {
		return st
	}
	return g.tree.Symlink(cancel, h, target, name, out)
}

func (g gate) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if st := g.admitChange(&in.InHeader); st != fuse.OK {
		return st
	}
	return g.tree.Link(cancel, in, name, out)
}

func (g gate) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if p, ok := g.helper(h); ok {
		return p.goes(g.tree, place{echo.Ino(h.NodeId), name})
	}
	if st := g.admit(h); st != fuse.OK {
		return st
	}
	return g.tree.Unlink(cancel, h, name)
}

func (g gate) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if p, ok := g.helper(h); ok {
		return p.goes(g.tree, place{echo.Ino(h.NodeId), name})
	}
	if st := g.admit(h); st != fuse.OK {
		return st
	}
	return g.tree.Rmdir(cancel, h, name)
}

func (g gate) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if p, ok := g.helper(&in.InHeader); ok {
		return p.moves(g.tree, place{echo.Ino(in.NodeId), oldName}, place{echo.Ino(in.Newdir), newName})
	}
	if st := g.admit(&in.InHeader); st != fuse.OK {
		return st
	}
	return g.tree.Rename(cancel, in, oldName, newName)
}

func (g gate) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	if st := g.admit(h); st != fuse.OK {
		return 0, st
	}
	return g.tree.GetXAttr(cancel, h, attr, dest)
}

func (g gate) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	if st := g.admit(h); st != fuse.OK {
		return 0, st
	}
	return g.tree.ListXAttr(cancel, h, dest)
}

func (g gate) StatFs(cancel <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	if st := g.admit(h); st != fuse.OK {
		return st
	}
	return g.tree.StatFs(cancel, h, out)
}
