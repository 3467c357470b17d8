package echo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"echofs/echo/blob"
	"echofs/echo/doc"
	"echofs/echo/names"
)

// Past is a space as it was at a time: the objects that were there, by the names
// and in the folders they had then, by the clocks of those who changed them. It
// follows the rules of the tree (tree.go) for what the objects were then. An
// object whose folder was not there yet, since its maker's clock was ahead, lies
// where that folder came to lie.
//
// A folder is listed when somebody looks at it, from the log of the objects that
// are or once were in it (place.go); documents are read only for the content of
// files that changed since. Listings are kept for pastFresh, in case something
// comes from somebody who wrote it back then. A Past may be used by several
// goroutines.
type Past struct {
	s    *Space
	when time.Time

	mu      sync.Mutex // guards the below
	folders map[doc.ObjectID]*pastFolder
	states  map[doc.ObjectID]*state // of folders; nil: not there yet
	kept    int                     // nodes in folders and states
	since   time.Time               // when the oldest of them was read
}

const (
	// pastFresh is how long a Past shows what it has read.
	pastFresh = 10 * time.Second
	// maxPast is how many nodes a Past keeps before it forgets all of them.
	maxPast = 200_000
)

// pastFolder is a listing.
type pastFolder struct {
	list  []PastNode // by name
	names map[string]int
}

// PastNode is a file, folder or symbolic link as it was.
type PastNode struct {
	ID      doc.ObjectID
	Name    string // one path component
	Kind    Kind   // KindSpace for the root, or one of those that replicate
	Size    int64  // of its file
	ModTime time.Time
	Target  string // KindLink

	blob   BlobVersion
	heads  doc.Heads
	logged uint64 // the number of revisions if it is as it was then, else 0
}

// Blob returns the version of a blob that a node shows; false for other nodes.
func (n PastNode) Blob() (BlobVersion, bool) { return n.blob, n.Kind == KindBlob }

// At returns the space as it was at a time.
func (s *Space) At(when time.Time) *Past {
	p := &Past{s: s, when: when}
	p.forget()
	return p
}

// When returns the time.
func (p *Past) When() time.Time { return p.when }

// forget drops what was read; p.mu is held.
func (p *Past) forget() {
	p.folders, p.states = map[doc.ObjectID]*pastFolder{}, map[doc.ObjectID]*state{}
	p.kept, p.since = 0, time.Now()
}

// Root returns the space itself.
func (p *Past) Root() PastNode { return PastNode{Kind: KindSpace, ModTime: p.when} }

// List returns what lay in a folder or the root, by name. The slice is not to be
// changed.
func (p *Past) List(ctx context.Context, folder PastNode) ([]PastNode, error) {
	f, err := p.folder(ctx, folder)
	if err != nil {
		return nil, fmt.Errorf("list %q at %s: %w", folder.Name, p.when.Format(time.RFC3339), err)
	}
	return f.list, nil
}

// Lookup returns what lay in a folder or the root by a name. ErrNotFound,
// ErrNotDir.
func (p *Past) Lookup(ctx context.Context, folder PastNode, name string) (PastNode, error) {
	f, err := p.folder(ctx, folder)
	if err != nil {
		return PastNode{}, fmt.Errorf("%q at %s: %w", name, p.when.Format(time.RFC3339), err)
	}
	i, ok := f.names[name]
	if !ok {
		return PastNode{}, fmt.Errorf("%q at %s: %w", name, p.when.Format(time.RFC3339), ErrNotFound)
	}
	return f.list[i], nil
}

// Read returns the content of a structured object or a text: the very file where
// the object is now what it was then, else in the layout of one that was never
// written here. ErrBlob for blobs: see Blob and OpenBlob.
func (p *Past) Read(ctx context.Context, n PastNode) ([]byte, error) {
	switch {
	case n.Kind == KindBlob:
		return nil, ErrBlob
	case !n.Kind.IsFile():
		return nil, ErrIsDir
	}
	data, err := p.read(ctx, n)
	return data, wrapf(err, "read %q at %s", n.Name, p.when.Format(time.RFC3339))
}

func (p *Past) read(ctx context.Context, n PastNode) ([]byte, error) {
	r := p.s.repo
	if n.logged > 0 {
		obj, err := getObject(r.store, p.s.id, n.ID)
		if err != nil {
			return nil, err
		}
		if obj.Logged == n.logged && obj.Ino != 0 {
			if row, err := getNode(r.store, obj.Ino); err == nil {
				return currentText(r.store, row)
			}
		}
	}
	structure, err := r.readStructure(ctx, p.s, n.ID, n.heads)
	if err != nil {
		return nil, err
	}
	return renderView(n.Kind, nil, nil, viewOf(n.Kind, structure), nil), nil
}

func (p *Past) folder(ctx context.Context, n PastNode) (*pastFolder, error) {
	if n.Kind != KindFolder && n.Kind != KindSpace {
		return nil, ErrNotDir
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept > maxPast || time.Since(p.since) > pastFresh {
		p.forget()
	}
	if f, ok := p.folders[n.ID]; ok {
		return f, nil
	}
	f, err := p.listing(ctx, n.ID)
	if err != nil {
		return nil, err
	}
	p.folders[n.ID] = f
	p.kept += len(f.list)
	return f, nil
}

// listing lists one folder; p.mu is held.
func (p *Past) listing(ctx context.Context, id doc.ObjectID) (*pastFolder, error) {
	c := &pastListing{p: p, ctx: ctx, folder: id, seen: map[doc.ObjectID]bool{}}
	if err := c.collect(id); err != nil {
		return nil, err
	}
	return c.named(), nil
}

// pastListing makes one listing.
type pastListing struct {
	p      *Past
	ctx    context.Context
	folder doc.ObjectID
	seen   map[doc.ObjectID]bool // looked at
	found  []pastEntry
}

// pastEntry is a node and the name it would have were it alone.
type pastEntry struct {
	PastNode
	plain string
	claim doc.ObjectID // decides who has a name that several claim
}

// collect finds what is shown in the folder among what is or was declared to lie
// in a folder: the folder itself, and those in it that were not there then, whose
// children are shown above them.
func (c *pastListing) collect(id doc.ObjectID) error {
	ids, err := c.p.s.onceIn(id)
	if err != nil {
		return err
	}
	for _, child := range ids {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if c.seen[child] {
			continue
		}
		c.seen[child] = true
		if err := c.look(child); err != nil {
			return err
		}
	}
	return nil
}

// look decides about one object.
func (c *pastListing) look(id doc.ObjectID) error {
	s := c.p.s
	obj, err := getObject(s.repo.store, s.id, id)
	if err != nil {
		return ignoreNotFound(err)
	}
	st, err := s.stateAt(c.ctx, id, obj, c.p.when)
	if err != nil {
		return fmt.Errorf("object %s: %w", id, err)
	}
	if st == nil || st.Deleted || st.Kind == 0 {
		if obj.Kind == KindFolder {
			return c.collect(id)
		}
		return nil
	}
	at, err := c.p.folderOf(c.ctx, id, st)
	if err != nil || at != c.folder {
		return err
	}
	c.add(id, obj, st)
	return nil
}

func (c *pastListing) add(id doc.ObjectID, obj *objectRow, st *state) {
	plain := names.Component(st.Label, id.String(), st.Foreign)
	if c.folder.IsZero() && isReserved(plain) {
		plain = names.Suffixed(plain, id6(id))
	}
	n := PastNode{ID: id, Kind: st.Kind, Size: st.size, ModTime: timeOf(st.revision.Time), Target: st.Target, heads: st.revision.Heads}
	if st.latest {
		n.logged = obj.Logged
	}
	if st.Kind != KindBlob {
		c.found = append(c.found, pastEntry{n, plain, id})
		return
	}
	for i, v := range st.Versions {
		n.blob, n.Size = BlobVersion(v), v.Size
		e := pastEntry{n, plain, id}
		if i > 0 {
			e.claim = besideID(v.Root)
			e.plain = names.Suffixed(plain, id6(e.claim))
		}
		c.found = append(c.found, e)
	}
	if len(st.Versions) == 0 {
		c.found = append(c.found, pastEntry{n, plain, id})
	}
}

// named gives what was found its names, as settleNames does.
func (c *pastListing) named() *pastFolder {
	slices.SortFunc(c.found, func(a, b pastEntry) int {
		if by := strings.Compare(a.plain, b.plain); by != 0 {
			return by
		}
		return a.claim.Compare(b.claim)
	})
	f := &pastFolder{names: make(map[string]int, len(c.found))}
	taken := make(map[string]bool, len(c.found))
	for i, e := range c.found {
		taken[e.plain] = true
		e.Name = e.plain
		if i > 0 && c.found[i-1].plain == e.plain {
			if e.Name = names.Suffixed(e.plain, id6(e.claim)); taken[e.Name] {
				e.Name = names.Suffixed(e.plain, e.claim.String())
			}
			taken[e.Name] = true
		}
		f.list = append(f.list, e.PastNode)
	}
	slices.SortFunc(f.list, func(a, b PastNode) int { return strings.Compare(a.Name, b.Name) })
	for i, n := range f.list {
		f.names[n.Name] = i
	}
	return f
}

// onceIn returns the objects that lie or lay in a folder, or the root.
func (s *Space) onceIn(folder doc.ObjectID) ([]doc.ObjectID, error) {
	var ids []doc.ObjectID
	add := func(k, _ []byte) bool {
		ids = append(ids, doc.ObjectID(k[len(k)-len(doc.ObjectID{}):]))
		return true
	}
	err := errors.Join(scanPrefix(s.repo.store, key(tableOnce, s.id, folder), add),
		scanPrefix(s.repo.store, key(tableChild, s.id, folder), add))
	if err != nil || !folder.IsZero() {
		return ids, err
	}
	shown := func(row *nodeRow) {
		if !row.Kind.IsLocal() {
			ids = append(ids, row.objectID())
		}
	}
	return ids, s.eachAtRoot(shown)
}

// eachAtRoot calls fn for the nodes in the root of the space, also those that
// were just removed from there.
func (s *Space) eachAtRoot(fn func(*nodeRow)) error {
	store := s.repo.store
	var inos []Ino
	err := errors.Join(
		scanPrefix(store, key(tableList, s.ino), func(k, _ []byte) bool {
			inos = append(inos, keyIno(k, 9))
			return true
		}),
		scanPrefix(store, key(tableHidden, s.ino), func(_, v []byte) bool {
			inos = append(inos, keyIno(v, 0))
			return true
		}))
	for _, ino := range inos {
		row, bad := getNode(store, ino)
		if bad != nil {
			if err = errors.Join(err, ignoreNotFound(bad)); err != nil {
				return err
			}
			continue
		}
		fn(row)
	}
	return err
}

// folderOf is where an object lay; see txn.folderOf.
func (p *Past) folderOf(ctx context.Context, id doc.ObjectID, st *state) (doc.ObjectID, error) {
	var root doc.ObjectID
	chain, err := p.ancestors(ctx, st.Parent)
	if err != nil {
		return root, err
	}
	if top, ok := cycleTop(id, chain); ok && top == id {
		return root, nil
	}
	for i, a := range chain {
		if a.row != nil && !a.row.Deleted && a.row.Kind == KindFolder {
			return a.id, nil
		}
		if top, ok := cycleTop(a.id, chain[i+1:]); ok && top == a.id {
			break
		}
	}
	return root, nil
}

// ancestors is txn.ancestors for what folders were. One that was not there yet
// counts as deleted, in the folder in which it was made.
func (p *Past) ancestors(ctx context.Context, next doc.ObjectID) ([]ancestor, error) {
	var chain []ancestor
	seen := map[doc.ObjectID]bool{}
	for !next.IsZero() && len(chain) < maxDepth {
		st, err := p.folderState(ctx, next)
		if err != nil {
			return nil, err
		}
		if st == nil {
			return append(chain, ancestor{next, nil}), nil
		}
		chain = append(chain, ancestor{next, &objectRow{Deleted: st.Deleted, Kind: st.Kind, Parent: st.Parent}})
		if seen[next] {
			break
		}
		seen[next] = true
		next = st.Parent
	}
	return chain, nil
}

// folderState returns what an object was that others lie in; nil where it is not
// known at all. p.mu is held.
func (p *Past) folderState(ctx context.Context, id doc.ObjectID) (*state, error) {
	if st, ok := p.states[id]; ok {
		return st, nil
	}
	obj, err := getObject(p.s.repo.store, p.s.id, id)
	if err != nil {
		return nil, ignoreNotFound(err)
	}
	st, err := p.s.stateAt(ctx, id, obj, p.when)
	if err == nil && st == nil {
		st, err = p.s.firstState(ctx, id, obj)
	}
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", id, err)
	}
	p.states[id] = st
	p.kept++
	return st, nil
}

// firstState returns what an object was at first, as deleted; nil where it has no
// document.
func (s *Space) firstState(ctx context.Context, id doc.ObjectID, obj *objectRow) (*state, error) {
	revs, err := s.revisions(id)
	if err != nil {
		return nil, err
	}
	var first *state
	err = s.statesOf(ctx, id, obj, revs, func(st state) bool {
		st.Deleted = true
		first = &st
		return true
	})
	return first, err
}

// HasBlob reports whether a version of a blob is here as a whole.
func (s *Space) HasBlob(v BlobVersion) bool {
	has := func(a blob.Address) bool { ok, err := s.chunks.store.Has(a); return ok && err == nil }
	_, complete, err := blob.Missing(context.Background(), s.chunks.store, s.blobKeys(), v.Root, has, 1)
	return err == nil && complete
}
