package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
)

// blockSize is the unit in which programs are advised to read and write.
const blockSize = 4096

// owner is to whom all files belong, and what their permissions are by default.
type owner struct {
	uid, gid uint32
	private  bool // other users are let in: permissions keep them out
}

// modeSet is set beside permissions that are kept, so that none at all are not
// taken for the default.
const modeSet = 1 << 16

func (o owner) mode(n echo.Node) uint32 {
	perm := n.Mode & 0o777
	if n.Mode == 0 {
		perm = 0o644
		if n.Kind.IsDir() {
			perm = 0o755
		}
		if o.private {
			perm &= 0o700
		}
		if o.private && n.Kind == echo.KindRoot {
			perm = 0o711 // others come through to spaces that their modes open
		}
	}
	if n.ReadOnly {
		perm &^= 0o222
	}
	return perm | fileType(n.Kind)
}

func fileType(k echo.Kind) uint32 {
	switch {
	case k.IsDir():
		return syscall.S_IFDIR
	case isLink(k):
		return syscall.S_IFLNK
	}
	return syscall.S_IFREG
}

func isLink(k echo.Kind) bool { return k == echo.KindLocalLink || k == echo.KindLink }

// attr fills in the attributes of a node.
func (o owner) attr(n echo.Node, out *fuse.Attr) {
	*out = fuse.Attr{Ino: uint64(n.Ino), Size: uint64(n.Size), Mode: o.mode(n), Nlink: 1,
		Owner: fuse.Owner{Uid: o.uid, Gid: o.gid}, Blksize: blockSize}
	switch {
	case n.Kind.IsDir():
		out.Size = blockSize // one link: subdirectories are not counted
	case isLink(n.Kind):
		out.Size, out.Mode = uint64(len(n.Target)), syscall.S_IFLNK|0o777
	}
	out.Blocks = (out.Size + 511) / 512
	mtime, ctime := orEpoch(n.ModTime), orEpoch(n.Changed)
	out.SetTimes(&mtime, &mtime, &ctime)
}

// orEpoch replaces the zero time, which stands for none, by that of 1970.
func orEpoch(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}

// permits reports whether permissions give a caller what it asks for: a mask of
// fuse.R_OK, W_OK and X_OK. As everywhere, they do not bind root.
func permits(caller fuse.Owner, a *fuse.Attr, mask uint32) bool {
	perm := a.Mode & 0o777
	switch {
	case caller.Uid == 0:
		return mask&fuse.X_OK == 0 || perm&0o111 != 0 || a.IsDir()
	case caller.Uid == a.Uid:
		perm >>= 6
	case caller.Gid == a.Gid:
		perm >>= 3
	}
	return perm&mask == mask&7
}

func setEntry(out *fuse.EntryOut, id uint64, valid time.Duration) {
	out.NodeId = id
	out.SetEntryTimeout(valid)
	out.SetAttrTimeout(valid)
}
