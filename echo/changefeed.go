package echo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"echofs/echo/doc"
)

// Change is what happened to a file or folder, as people who watch are told.
type Change struct {
	Event  string    `json:"event"` // create, change, move, delete; lost
	Path   string    `json:"path"`  // "<space>/…"; after a move where it is now
	ID     string    `json:"id"`    // "" for what is gone and was never an object
	Author string    `json:"author"`
	Origin string    `json:"origin"`      // local, remote
	Time   time.Time `json:"time"`        // when it was seen here
	N      int       `json:"n,omitempty"` // lost: how many at least, anywhere in the vault; everything is to be looked at again
}

// The values of Change.Event and Change.Origin.
const (
	ChangeCreate = "create"
	ChangeChange = "change"
	ChangeMove   = "move"
	ChangeDelete = "delete"
	ChangeLost   = "lost" // more happened between two Takes than is kept

	OriginLocal  = "local"
	OriginRemote = "remote"
)

// ChangeFeed collects what happens to objects below a directory. What happens to
// one object between two Takes is one change: it takes room once, and whoever
// makes changes never waits. Files of this machine are left out. What happens to
// more than maxPending nodes between two Takes is not told, but for that it was so.
type ChangeFeed struct {
	r     *Repo
	sub   *Subscription
	under string // a path; "" for all
	paths map[Ino]seenAs
}

// seenAs is what was known of a node before it went.
type seenAs struct {
	path, id string
	object   doc.ObjectID
	space    SpaceID
}

// maxPending bounds what is kept for who does not Take, in events.
const maxPending = 20_000

// maxSeen bounds for how many nodes it is remembered what they were.
const maxSeen = 10_000

// Watch begins to collect the changes of a file or of what is below a directory;
// RootIno is everything. The caller closes the feed.
func (r *Repo) Watch(under Ino) (*ChangeFeed, error) { return r.watch(under, maxPending) }

func (r *Repo) watch(under Ino, limit int) (*ChangeFeed, error) {
	f := &ChangeFeed{r: r, paths: map[Ino]seenAs{}}
	if under != RootIno {
		var err error
		if f.under, err = r.Path(under); err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
	}
	f.sub = r.hub.subscribe(Data|Added|Removed, limit)
	return f, nil
}

// Close ends the feed.
func (f *ChangeFeed) Close() { f.sub.Close() }

// C receives when there may be something to Take.
func (f *ChangeFeed) C() <-chan struct{} { return f.sub.C() }

// Next waits until there are changes, or ctx ends.
func (f *ChangeFeed) Next(ctx context.Context) ([]Change, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.C():
			if out := f.Take(); len(out) > 0 {
				return out, nil
			}
		}
	}
}

// happened is what happened to one node.
type happened struct {
	what    What
	remote  bool
	removed string // where it was
}

// Take returns what happened since the last Take, in the order in which it began.
func (f *ChangeFeed) Take() []Change {
	all := map[Ino]*happened{}
	var order []Ino
	for _, e := range f.sub.Take() {
		if e.Kind.IsLocal() || e.Kind == KindRoot || e.Kind.IsDir() && e.What == Data {
			continue // that a folder's time moved is told by what happened in it
		}
		h := all[e.Ino]
		if h == nil {
			h = &happened{}
			all[e.Ino] = h
			order = append(order, e.Ino)
		}
		h.what |= e.What
		h.remote = h.remote || e.Remote
		if e.What == Removed {
			if dir, err := f.r.Path(e.Parent); err == nil {
				h.removed = strings.TrimPrefix(dir+"/"+e.Name, "/")
			}
		}
	}
	now := f.r.now()
	var out []Change
	for _, ino := range order {
		if c, ok := f.change(ino, all[ino]); ok {
			c.Time = now
			out = append(out, c)
		}
	}
	if n := f.sub.TakeLost(); n > 0 {
		out = append(out, Change{Event: ChangeLost, Time: now, N: n})
	}
	return out
}

// change puts into words what happened to a node; false where it is of no
// concern.
func (f *ChangeFeed) change(ino Ino, h *happened) (Change, bool) {
	was := f.paths[ino]
	c := Change{Origin: OriginLocal, ID: was.id}
	if h.remote {
		c.Origin = OriginRemote
	}
	n, err := f.r.Node(ino)
	if err != nil || n.Name == "" {
		delete(f.paths, ino)
		c.Event, c.Path = ChangeDelete, h.removed
		if err == nil && !n.ID.IsZero() {
			c.ID = n.ID.String()
			was.object, was.space = n.ID, n.Space
		}
		c.Author = f.author(was.space, was.object, h.remote)
		return c, h.what&Removed != 0 && f.concerns(c.Path, was.path)
	}
	c.Path, err = f.r.Path(ino)
	if err != nil || n.Kind.IsLocal() {
		return c, false
	}
	switch {
	case h.what&Added != 0 && (h.what&Removed != 0 || was.path != "" && was.path != c.Path):
		c.Event = ChangeMove
	case h.what&Added != 0:
		c.Event = ChangeCreate
	default:
		c.Event = ChangeChange
	}
	if !n.ID.IsZero() {
		c.ID = n.ID.String()
	}
	f.remember(ino, seenAs{c.Path, c.ID, n.ID, n.Space})
	c.Author = f.author(n.Space, n.ID, h.remote)
	return c, f.concerns(c.Path, h.removed)
}

func (f *ChangeFeed) remember(ino Ino, s seenAs) {
	if len(f.paths) >= maxSeen {
		clear(f.paths)
	}
	f.paths[ino] = s
}

// author returns who changed an object last: who uses this vault, or for a change
// from elsewhere the author of the last revision; "" where nobody knows.
func (f *ChangeFeed) author(space SpaceID, id doc.ObjectID, remote bool) string {
	s, ok := f.r.SpaceByID(space)
	if !ok {
		return ""
	}
	if !remote {
		return s.nameOf(s.State(), f.r.me.id)
	}
	obj, err := getObject(f.r.store, s.id, id)
	if err != nil || obj.Logged == 0 {
		return ""
	}
	var last revisionRow
	if ok, err := getRow(f.r.store, key(tableLog, s.id, id, obj.Logged-1), &last); err != nil || !ok {
		return ""
	}
	return s.nameOf(s.State(), last.Identity)
}

// concerns reports whether one of some paths is what is watched, or below it.
func (f *ChangeFeed) concerns(paths ...string) bool {
	for _, p := range paths {
		if p != "" && (f.under == "" || p == f.under || strings.HasPrefix(p, f.under+"/")) {
			return true
		}
	}
	return false
}
