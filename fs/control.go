package fs

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
	"echofs/echo/doc"
)

// control answers for the directories called .echofs: the mount's and those of
// the spaces. What is in them is made when it is asked for and cached nowhere.
type control struct {
	t       *tree
	started time.Time
	seed    maphash.Seed

	mu       sync.Mutex // guards the below
	nodes    map[uint64]*controlNode
	dirs     map[uint64][]fuse.DirEntry // open directories
	listings *lru[controlPlace, listing]
	moments  *lru[controlPlace, *moment]
	lastOpen uint64
}

// controlNode is a node that the kernel knows.
type controlNode struct {
	controlPlace
	lookups uint64
}

// controlPlace is a path within the control directory of a directory.
type controlPlace struct {
	dir  echo.Ino
	path string // "" for .echofs itself
}

// view is what there is at a place: a directory, a file, or a symbolic link.
type view struct {
	link    string                                       // where a link leads
	list    func() ([]viewEntry, error)                  // of a directory
	content func(ctx context.Context) ([]byte, error)    // of a file that is read as a whole
	open    func(ctx context.Context) (handle, error)    // of any other file
	accept  func(ctx context.Context, data []byte) error // takes what is written to a file; nil: nothing can be
	costly  bool                                         // a file whose content takes long to make, or has no end: its size is 0, as in /proc
	sized   bool                                         // a file whose size is known without its content: size
	size    int64
	modTime time.Time
	deleted doc.ObjectID // the object in the trash that it stands for
}

type viewEntry struct {
	name string
	dir  bool
	link bool
}

// entry is the view as an entry of a listing.
func (v view) entry(name string) viewEntry { return viewEntry{name, v.isDir(), v.link != ""} }

func (v view) isDir() bool { return v.list != nil }

// provider is one name in the control directories. To add one is to add a line
// to the table below.
type provider struct {
	name    string
	inRoot  bool // in the mount's
	inSpace bool // in a space's
	dir     bool
	view    func(c *control, dir echo.Node, rest string) (view, error)
}

var providers = []provider{
	{name: "status.json", inRoot: true, inSpace: true, view: told("status.json")},
	{name: "identity.json", inRoot: true, view: told("identity.json")},
	{name: "peers.json", inRoot: true, view: told("peers.json")},
	{name: eventsName, inRoot: true, inSpace: true, view: (*control).events},
	{name: "meta", inSpace: true, dir: true, view: (*control).meta},
	{name: "by-id", inSpace: true, dir: true, view: (*control).byID},
	{name: "by-type", inSpace: true, dir: true, view: (*control).byType},
	{name: "query", inSpace: true, dir: true, view: (*control).query},
	{name: "refs", inSpace: true, dir: true, view: mirrored("refs", graph((*echo.Space).Refs))},
	{name: "backlinks", inSpace: true, dir: true, view: mirrored("backlinks", graph((*echo.Space).Backlinks))},
	{name: "history", inSpace: true, dir: true, view: (*control).history},
	{name: "at", inSpace: true, dir: true, view: (*control).past},
	{name: "blame", inSpace: true, dir: true, view: (*control).blame},
	{name: "members", inSpace: true, dir: true, view: (*control).members},
	{name: "drafts", inSpace: true, dir: true, view: (*control).drafts},
	{name: "conflicts", inSpace: true, dir: true, view: (*control).conflicts},
	{name: "trash", inSpace: true, dir: true, view: (*control).trash},
}

func newControl(t *tree) *control {
	return &control{t: t, started: time.Now(), seed: maphash.MakeSeed(),
		listings: newLRU[controlPlace, listing](maxListings), moments: newLRU[controlPlace, *moment](maxMoments),
		nodes: make(map[uint64]*controlNode), dirs: make(map[uint64][]fuse.DirEntry)}
}

// view finds what there is at a place.
func (c *control) view(p controlPlace) (view, error) {
	dir, err := c.t.repo.Node(p.dir)
	if err != nil {
		return view{}, err
	}
	if p.path == "" {
		return view{list: func() ([]viewEntry, error) { return c.top(dir), nil }, modTime: c.started}, nil
	}
	first, rest, deeper := strings.Cut(p.path, "/")
	for _, pr := range providers {
		if pr.name != first || !pr.in(dir.Kind) {
			continue
		}
		if deeper && !pr.dir {
			return view{}, echo.ErrNotDir
		}
		return pr.view(c, dir, rest)
	}
	return view{}, echo.ErrNotFound
}

func (p provider) in(k echo.Kind) bool {
	return k == echo.KindRoot && p.inRoot || k == echo.KindSpace && p.inSpace
}

func (c *control) top(dir echo.Node) []viewEntry {
	var out []viewEntry
	for _, p := range providers {
		if p.in(dir.Kind) && (p.dir || p.name == eventsName || c.t.opts.Control != nil) {
			out = append(out, viewEntry{name: p.name, dir: p.dir})
		}
	}
	return out
}

// id returns the number of a place; c.mu is held. Numbers are hashes, so that
// nothing is kept for places that the kernel does not know.
func (c *control) id(p controlPlace) uint64 {
	id := uint64(echo.MaxIno) + 1 + maphash.Comparable(c.seed, p)>>3
	for {
		n, ok := c.nodes[id]
		if !ok || n.controlPlace == p {
			return id
		}
		id++
	}
}

// root answers a lookup of .echofs itself.
func (c *control) root(dir echo.Ino, out *fuse.EntryOut) error {
	return c.enter(controlPlace{dir: dir}, out)
}

func (c *control) lookup(parent uint64, name string, out *fuse.EntryOut) error {
	p, err := c.place(parent)
	if err != nil {
		return err
	}
	return c.enter(p.child(name), out)
}

func (p controlPlace) child(name string) controlPlace {
	if p.path != "" {
		name = p.path + "/" + name
	}
	return controlPlace{p.dir, name}
}

// enter makes a place known to the kernel, if there is something.
func (c *control) enter(p controlPlace, out *fuse.EntryOut) error {
	v, err := c.view(p)
	if err != nil {
		return err
	}
	if err := c.attr(p, v, &out.Attr); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.id(p)
	n, ok := c.nodes[id]
	if !ok {
		n = &controlNode{controlPlace: p}
		c.nodes[id] = n
	}
	n.lookups++
	setEntry(out, id, 0)
	out.Ino = id
	return nil
}

func (c *control) place(id uint64) (controlPlace, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.nodes[id]
	if !ok {
		return controlPlace{}, syscall.ESTALE
	}
	return n.controlPlace, nil
}

func (c *control) at(id uint64) (controlPlace, view, error) {
	p, err := c.place(id)
	if err != nil {
		return p, view{}, err
	}
	v, err := c.view(p)
	return p, v, err
}

func (c *control) forget(id, lookups uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.nodes[id]
	if !ok {
		return
	}
	if n.lookups -= min(lookups, n.lookups); n.lookups == 0 {
		delete(c.nodes, id)
	}
}

// attr fills in attributes. The size of a file is that of its content as it is
// now, which may be another one when it is read.
func (c *control) attr(p controlPlace, v view, out *fuse.Attr) error {
	n := echo.Node{Kind: echo.KindLocal, Mode: 0o444, ModTime: v.modTime, Changed: v.modTime}
	switch {
	case v.link != "":
		n.Kind, n.Target = echo.KindLocalLink, v.link
	case v.isDir():
		n.Kind, n.Mode = echo.KindFolder, 0o555
	case v.costly:
	case v.sized:
		n.Size = v.size
	default:
		data, err := c.read(v)
		if err != nil {
			return err
		}
		n.Size = int64(len(data))
		if v.accept != nil {
			n.Mode |= 0o200
		}
	}
	if c.t.owner.private {
		n.Mode &= 0o700
	}
	c.t.owner.attr(n, out)
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Ino = c.id(p)
	return nil
}

func (c *control) read(v view) ([]byte, error) {
	ctx, cancel := context.WithTimeout(c.t.ctx, controlTime)
	defer cancel()
	return v.content(ctx)
}

func (c *control) getAttr(id uint64, out *fuse.AttrOut) error {
	p, v, err := c.at(id)
	if err != nil {
		return err
	}
	out.SetTimeout(0)
	return c.attr(p, v, &out.Attr)
}

// readlink returns where a link leads.
func (c *control) readlink(id uint64) ([]byte, error) {
	_, v, err := c.at(id)
	if err == nil && v.link == "" {
		err = syscall.EINVAL
	}
	return []byte(v.link), err
}

// open makes a snapshot of a file.
func (c *control) open(id uint64, flags uint32, out *fuse.OpenOut) error {
	_, v, err := c.at(id)
	switch {
	case err != nil:
		return err
	case v.isDir():
		return syscall.EISDIR
	case v.link != "":
		return syscall.ELOOP
	case wantsWrite(flags) && (v.accept == nil || c.t.opts.ReadOnly):
		return syscall.EROFS
	case wantsWrite(flags):
		out.Fh = c.t.addHandle(&acceptHandle{view: v, c: c, appends: flags&syscall.O_APPEND != 0})
		out.OpenFlags = fuse.FOPEN_DIRECT_IO
		return nil
	}
	h, err := c.handle(v)
	if err != nil {
		return err
	}
	out.Fh = c.t.addHandle(h)
	out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH
	if _, endless := h.(endless); endless {
		out.OpenFlags |= fuse.FOPEN_NONSEEKABLE | fuse.FOPEN_STREAM
	}
	return nil
}

// handle opens a file for reading.
func (c *control) handle(v view) (handle, error) {
	if v.open != nil {
		return v.open(c.t.ctx)
	}
	data, err := c.read(v)
	if err != nil {
		return nil, err
	}
	return &readHandle{data: data}, nil
}

// openDir lists a directory; the listing stays until it is closed.
func (c *control) openDir(id uint64, out *fuse.OpenOut) error {
	p, v, err := c.at(id)
	if err != nil {
		return err
	}
	if !v.isDir() {
		return syscall.ENOTDIR
	}
	list, err := v.list()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastOpen++
	c.dirs[c.lastOpen] = c.entries(p, id, list)
	out.Fh = c.lastOpen
	return nil
}

// entries makes directory entries of a listing; c.mu is held.
func (c *control) entries(p controlPlace, id uint64, list []viewEntry) []fuse.DirEntry {
	out := []fuse.DirEntry{{Name: ".", Mode: syscall.S_IFDIR, Ino: id}, {Name: "..", Mode: syscall.S_IFDIR, Ino: uint64(p.dir)}}
	for _, e := range list {
		mode := uint32(syscall.S_IFREG)
		switch {
		case e.dir:
			mode = syscall.S_IFDIR
		case e.link:
			mode = syscall.S_IFLNK
		}
		out = append(out, fuse.DirEntry{Name: e.name, Mode: mode, Ino: c.id(p.child(e.name))})
	}
	return out
}

func (c *control) readDir(in *fuse.ReadIn, add func(fuse.DirEntry) bool) fuse.Status {
	c.mu.Lock()
	list := c.dirs[in.Fh]
	c.mu.Unlock()
	for i := in.Offset; i < uint64(len(list)); i++ {
		e := list[i]
		e.Off = i + 1
		if !add(e) {
			break
		}
	}
	return fuse.OK
}

func (c *control) releaseDir(fh uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.dirs, fh)
}
