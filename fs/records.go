package fs

import (
	"context"
	"encoding/json"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
	"echofs/echo/names"
)

// record is a file of JSON.
func record(modTime time.Time, v any) view {
	return view{modTime: modTime, content: func(context.Context) ([]byte, error) {
		out, err := json.MarshalIndent(v, "", "  ")
		return append(out, '\n'), err
	}}
}

// blame mirrors the tree of a space; each file tells who wrote what of the file
// at its path.
func (c *control) blame(dir echo.Node, rest string) (view, error) {
	n, name, err := c.mirror(dir, rest)
	switch {
	case err != nil:
		return view{}, err
	case name != "":
		return view{}, echo.ErrNotDir
	case n.Kind.IsFile():
		return view{modTime: n.ModTime, costly: true, content: func(ctx context.Context) ([]byte, error) {
			all, err := c.t.repo.BlameOf(ctx, n.Ino)
			if err != nil {
				return nil, err
			}
			out, err := json.MarshalIndent(all, "", "  ")
			return append(out, '\n'), err
		}}, nil
	}
	return view{modTime: n.ModTime, list: func() ([]viewEntry, error) {
		var out []viewEntry
		err := c.t.repo.List(n.Ino, 0, func(n echo.Node) bool {
			if n.Kind.IsFile() || n.Kind == echo.KindFolder {
				out = append(out, viewEntry{name: n.Name, dir: n.Kind == echo.KindFolder})
			}
			return len(out) < maxListed
		})
		return out, err
	}}, nil
}

// memberRecord is a member as the command shows it.
type memberRecord struct {
	DID     string         `json:"did"`
	Name    string         `json:"name"`
	Role    string         `json:"role"`
	Devices []deviceRecord `json:"devices"`
}

type deviceRecord struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	LastSeen *time.Time `json:"last_seen"`
}

// members has a file for each member of the space.
func (c *control) members(dir echo.Node, rest string) (view, error) {
	return c.made(dir, "members", rest, func(context.Context) ([]item, error) {
		s, err := c.space(dir)
		if err != nil {
			return nil, err
		}
		var out []item
		taken := map[string]bool{}
		for _, m := range s.MemberList() {
			r := memberRecord{DID: m.DID, Name: m.Name, Role: strings.ToLower(m.Role), Devices: []deviceRecord{}}
			for _, d := range m.Devices {
				r.Devices = append(r.Devices, deviceRecord{d.ID, d.Name, whenSeen(d.LastSeen)})
			}
			name := plainName(m.Name)
			if taken[name] {
				name += "@" + m.DID[max(0, len(m.DID)-6):]
			}
			taken[name] = true
			out = append(out, item{name + jsonExt, record(dir.Changed, r)})
		}
		return out, nil
	})
}

func whenSeen(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// trashRecord is a deleted object.
type trashRecord struct {
	ID      string     `json:"id"`
	Path    string     `json:"path"`
	Kind    string     `json:"kind"`
	Type    string     `json:"type"`
	Deleted time.Time  `json:"deleted"`
	By      string     `json:"by"`
	Device  string     `json:"device"`
	Waiting *time.Time `json:"waiting_until,omitempty"`
}

// trash has a file for each deleted object, by the names that they had, with
// what is known of it.
func (c *control) trash(dir echo.Node, rest string) (view, error) {
	return c.made(dir, "trash", rest, func(ctx context.Context) ([]item, error) {
		s, err := c.space(dir)
		if err != nil {
			return nil, err
		}
		all, err := s.Trash(ctx)
		if err != nil {
			return nil, err
		}
		out := make([]item, 0, len(all))
		taken := map[string]bool{}
		for _, x := range all {
			r := trashRecord{ID: x.ID.String(), Path: x.Path, Kind: x.Kind.String(), Type: x.Type,
				Deleted: x.Deleted, By: x.By, Device: x.Device}
			if x.Waiting {
				r.Waiting = &x.Until
			}
			name := plainName(path.Base(x.Path))
			if taken[name] {
				name = names.Suffixed(name, r.ID)
			}
			taken[name] = true
			v := record(x.Deleted, r)
			v.deleted = x.ID
			out = append(out, item{name, v})
		}
		return out, nil
	})
}

// takeFromTrash restores a deleted object that is renamed out of the trash, and
// gives it the new place.
func (t *tree) takeFromTrash(in *fuse.RenameIn, oldName, newName string) error {
	target := in.InHeader
	target.NodeId = in.Newdir
	if err := t.mayMake(&target, newName); err != nil {
		return err
	}
	p, err := t.control.place(in.NodeId)
	if err != nil {
		return err
	}
	v, err := t.control.view(p.child(oldName))
	if err != nil {
		return err
	}
	if v.deleted.IsZero() {
		return syscall.EROFS
	}
	dir, err := t.repo.Node(p.dir)
	if err != nil {
		return err
	}
	to := place{echo.Ino(in.Newdir), newName}
	switch n, err := t.repo.Node(to.parent); {
	case err != nil:
		return err
	case n.Space != dir.Space || n.Kind == echo.KindRoot:
		return syscall.EXDEV
	}
	if _, err := t.repo.Lookup(to.parent, to.name); err == nil {
		return syscall.EEXIST
	}
	ctx, cancel := t.saveContext()
	defer cancel()
	n, err := t.repo.RestoreDeleted(ctx, dir.Space, v.deleted)
	if err == nil && (place{n.Parent, n.Name} != to) {
		_, _, err = t.repo.Move(ctx, n.Ino, to.parent, to.name, false)
	}
	t.control.forgetListing(p)
	t.dirty.entry(to) // the kernel has moved the other inode there
	return err
}
