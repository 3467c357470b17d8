package echo

import (
	"context"
	"fmt"
	"time"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/halo"
)

// Blame tells who gave a place of a file the value that it shows.
type Blame struct {
	Pointer  string    `json:"pointer"` // a JSON pointer; "" for the body of a text
	Author   string    `json:"author"`
	Identity string    `json:"identity"` // its DID
	Device   string    `json:"device"`
	Time     time.Time `json:"time"` // as the author says
	Change   string    `json:"change"`
}

// maxBlame bounds what is told of one file.
const maxBlame = 100_000

// BlameOf returns who wrote what a file shows, in the order of the document: for
// each scalar and each text, the text as a whole by who changed it last, and for
// empty maps and lists. It reads the whole history. ErrNotFound for a node that
// is no object or was not saved yet, ErrIsDir for a folder.
func (r *Repo) BlameOf(ctx context.Context, ino Ino) ([]Blame, error) {
	row, s, err := r.objectNode(ino)
	switch {
	case err != nil:
		return nil, fmt.Errorf("blame: %w", err)
	case !row.Kind.IsFile():
		return nil, fmt.Errorf("blame %q: %w", row.Name, ErrIsDir)
	case row.Stage != Settled:
		return nil, fmt.Errorf("blame %q: nothing of it is shared yet: %w", row.Name, ErrNotFound)
	}
	out, err := s.blame(ctx, row)
	return out, wrapf(err, "blame %q", row.Name)
}

func (s *Space) blame(ctx context.Context, row *nodeRow) ([]Blame, error) {
	obj, err := getObject(s.repo.store, s.id, row.ID)
	if err != nil {
		return nil, err
	}
	structure, err := getValue(s.repo.store, s.id, row.ID)
	if err != nil {
		return nil, err
	}
	src, err := s.sourceOf(obj.Doc)
	if err != nil {
		return nil, err
	}
	changes, err := s.repo.engine.Changes(ctx, src)
	if err != nil {
		return nil, err
	}
	all := newStrays()
	for _, c := range changes {
		if err := all.add(c); err != nil {
			return nil, fmt.Errorf("change %s: %w", c.Hash, err)
		}
	}
	b := &blamer{s: s, all: all, doc: obj.Doc, text: row.Kind == KindText, known: map[doc.ChangeHash]Blame{}}
	object, ok := all.objectAt(at(row.ID, keyData))
	if !ok {
		return []Blame{}, nil
	}
	b.inside(nil, object, structure.Get(keyData))
	return b.out, nil
}

// objectAt returns the map at a path of keys.
func (s *strays) objectAt(path doc.Path) (object guard.OpID, ok bool) {
	for _, step := range path {
		obj := s.objects[object]
		if obj == nil || len(obj.keys[step.Key]) == 0 {
			return object, false
		}
		object = winner(obj.keys[step.Key])
	}
	return object, s.objects[object] != nil
}

// blamer walks a value and the operations that made it side by side.
type blamer struct {
	s     *Space
	all   *strays
	doc   doc.DocumentID
	text  bool
	known map[doc.ChangeHash]Blame
	out   []Blame
}

// inside tells of what is in a map or list.
func (b *blamer) inside(path doc.Path, object guard.OpID, v *doc.Value) {
	ops := b.all.objects[object]
	if ops == nil || v == nil {
		return
	}
	if v.Kind == doc.List {
		i := 0
		ops.eachElement(func(elem guard.OpID) bool {
			if i < len(v.Items) {
				b.place(path.Join(doc.Index(i)), ops.elems[elem], v.Items[i])
			}
			i++
			return len(b.out) < maxBlame
		})
		return
	}
	for _, f := range v.Fields {
		if len(b.out) < maxBlame {
			b.place(path.Join(doc.Key(f.Key)), ops.keys[f.Key], f.Value)
		}
	}
}

// place tells of one place, whose value the winner of some operations made.
func (b *blamer) place(path doc.Path, ops []liveOp, v *doc.Value) {
	best := winner(ops)
	for _, op := range ops {
		if op.id != best {
			continue
		}
		in := b.all.inside[best]
		switch {
		case v.Kind == doc.Text && in != nil && len(in.touched) > 0:
			b.tell(path, in.touched[len(in.touched)-1])
		case len(v.Fields)+len(v.Items) > 0:
			b.inside(path, best, v)
		default:
			b.tell(path, op.change)
		}
	}
}

func (b *blamer) tell(path doc.Path, change doc.ChangeHash) {
	x, ok := b.known[change]
	if !ok {
		x = Blame{Change: change.String()}
		if o, err := changeOrigin(b.s.repo.store, b.s, b.doc, change); err == nil {
			state := b.s.State()
			x.Author, x.Device, x.Time = b.s.nameOf(state, o.identity), b.s.deviceName(o.device), timeOf(o.time)
			if root, ok := state.Root(o.identity); ok {
				x.Identity = halo.DID(root.Sign[:])
			}
		}
		b.known[change] = x
	}
	if x.Pointer = path.Pointer(); b.text {
		x.Pointer = ""
	}
	b.out = append(b.out, x)
}
