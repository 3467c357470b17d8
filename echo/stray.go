package echo

import (
	"slices"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/echo/model"
)

// Moving an element of a list is removing it and inserting it elsewhere: the core
// knows nothing else. What somebody changed in the element meanwhile is in the
// one that was removed, where nobody sees it: it has gone astray. So it is shown
// as a conflict of the element that took its place, and as everything here it is
// a function of the set of changes alone.
//
//   - A change moves an element if it removes a map from a list and inserts one
//     with the same identity there; model says what an identity is.
//   - A change of the removed element is astray if the move had not seen it.
//   - It is settled when somebody who had seen it gives the field a value, in the
//     element that took the place or in one after it.
//   - Where two moves of one element did not know of each other, the list has it
//     twice; that is a conflict of the element whose move the core puts first.

// astray is an edit of an element that had been moved away.
type astray struct {
	path   doc.Path // where it would be, had the element not been moved
	depth  int      // how many steps of it lead to the element
	change doc.ChangeHash
	key    string // the element's identity, to find it at the version of the change
	id     string // as guard.Write tells values
}

// twice is an element that two people moved.
type twice struct {
	path   doc.Path // of the element that stays
	extra  doc.Path // of the one that is too many
	change doc.ChangeHash
}

// strays follows the operations of a document's changes, in causal order.
type strays struct {
	*origins
	deps    map[doc.ChangeHash][]doc.ChangeHash
	past    map[doc.ChangeHash]map[doc.ChangeHash]bool // of the changes that were asked for
	inside  map[guard.OpID]*insides
	removed []element // of the change that is being read
	added   []element
	moves   []move
}

// insides is what happened in an object.
type insides struct {
	up     guard.OpID // the object it lies in
	key    string     // in a map
	elem   guard.OpID // in a list
	list   bool       // it is a list or a text
	texts  bool
	puts   map[string][]liveOp // everything that was ever put at a key
	values map[string][]string // values that were put at a key
	// touched are the changes that did something in a list or a text.
	touched []doc.ChangeHash
}

// element is a map in a list.
type element struct{ list, object guard.OpID }

// move is that one map took the place of another.
type move struct {
	from, to guard.OpID
	key, id  string
	by       doc.ChangeHash
}

func newStrays() *strays {
	return &strays{origins: newOrigins(), deps: map[doc.ChangeHash][]doc.ChangeHash{},
		past: map[doc.ChangeHash]map[doc.ChangeHash]bool{}, inside: map[guard.OpID]*insides{{}: newInsides()}}
}

func newInsides() *insides {
	return &insides{puts: map[string][]liveOp{}, values: map[string][]string{}}
}

// add takes the document's next change.
func (s *strays) add(c doc.Change) error {
	s.removed, s.added = s.removed[:0], s.added[:0]
	info, err := guard.Writes(c.Bytes, func(w *guard.Write) {
		s.note(w, c.Hash)
		s.origins.write(w, c.Hash)
	})
	if err != nil {
		return err
	}
	s.deps[c.Hash] = info.Deps
	for _, r := range s.removed {
		s.pair(r, c.Hash)
	}
	return nil
}

// note keeps what an operation does, before it is done.
func (s *strays) note(w *guard.Write, change doc.ChangeHash) {
	at := s.inside[w.Object]
	if at == nil {
		return
	}
	switch {
	case at.list:
		if n := len(at.touched); n == 0 || at.touched[n-1] != change {
			at.touched = append(at.touched, change)
		}
		if w.Kind == guard.WriteDelete {
			s.noteRemoved(w)
		}
	case w.Kind != guard.WriteDelete && w.Kind != guard.WriteIncrement:
		at.puts[w.Key] = append(at.puts[w.Key], liveOp{w.ID, change})
		if w.Value != "" && !slices.Contains(at.values[w.Key], w.Value) {
			at.values[w.Key] = append(at.values[w.Key], w.Value)
		}
	}
	switch w.Kind {
	case guard.WriteMap, guard.WriteList, guard.WriteText:
		in := newInsides()
		in.up, in.key, in.elem = w.Object, w.Key, w.Elem
		in.list, in.texts = w.Kind != guard.WriteMap, w.Kind == guard.WriteText
		if w.Insert {
			in.elem = w.ID
		}
		s.inside[w.ID] = in
		if w.Kind == guard.WriteMap && w.Insert {
			s.added = append(s.added, element{w.Object, w.ID})
		}
	}
}

// noteRemoved keeps the maps that an operation removes from a list.
func (s *strays) noteRemoved(w *guard.Write) {
	for _, prev := range w.Prev {
		if in := s.inside[prev]; in != nil && !in.list {
			s.removed = append(s.removed, element{w.Object, prev})
		}
	}
}

// pair finds what a change inserted in the place of what it removed.
func (s *strays) pair(r element, by doc.ChangeHash) {
	was := s.inside[r.object]
	for _, a := range s.added {
		if a.list != r.list {
			continue
		}
		for _, key := range model.IdentityKeys() {
			for _, id := range s.inside[a.object].values[key] {
				if slices.Contains(was.values[key], id) {
					s.moves = append(s.moves, move{r.object, a.object, key, id, by})
					return
				}
			}
		}
	}
}

// saw reports whether the author of a change had seen another, or made it.
func (s *strays) saw(change, other doc.ChangeHash) bool {
	known := s.past[change]
	if known == nil {
		known = map[doc.ChangeHash]bool{}
		for todo := []doc.ChangeHash{change}; len(todo) > 0; {
			h := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if !known[h] {
				known[h] = true
				todo = append(todo, s.deps[h]...)
			}
		}
		s.past[change] = known
	}
	return known[other]
}

// maxStrays bounds what is listed of one document.
const maxStrays = 1000

// edits returns what went astray below a path and is not settled.
func (s *strays) edits() (out []astray) {
	for _, m := range s.moves {
		chain := s.chain(m)
		last := chain[len(chain)-1]
		base := s.pathOf(last.to)
		if base == nil {
			continue // it was removed for good
		}
		s.eachStray(m.from, m.by, nil, func(rel doc.Path, change doc.ChangeHash) {
			if len(out) < maxStrays && !s.settled(chain, rel, change) {
				out = append(out, astray{base.Join(rel...), len(base), change, m.key, m.id})
			}
		})
	}
	return out
}

// chain returns a move and those of the element after it.
func (s *strays) chain(m move) []move {
	out := []move{m}
	for i := slices.Index(s.moves, m) + 1; i < len(s.moves); i++ {
		if s.moves[i].from == out[len(out)-1].to {
			out = append(out, s.moves[i])
		}
	}
	return out
}

// eachStray calls yield for the edits of an object and of what is in it that a
// change had not seen. What is in lists and texts is one edit of the whole.
func (s *strays) eachStray(object guard.OpID, by doc.ChangeHash, rel doc.Path, yield func(doc.Path, doc.ChangeHash)) {
	obj := s.objects[object]
	if obj == nil || obj.keys == nil {
		return
	}
	for key, ops := range obj.keys {
		path := rel.Join(doc.Key(key))
		for _, op := range ops {
			if !s.saw(by, op.change) {
				yield(path, op.change)
				continue
			}
			in := s.inside[op.id]
			switch {
			case in == nil:
			case !in.list:
				s.eachStray(op.id, by, path, yield)
			default:
				s.lastTouch(in, by, path, yield)
			}
		}
	}
}

// lastTouch calls yield for the last changes in a list or text that a change had
// not seen.
func (s *strays) lastTouch(in *insides, by doc.ChangeHash, path doc.Path, yield func(doc.Path, doc.ChangeHash)) {
	var last []doc.ChangeHash
	for _, c := range in.touched {
		if s.saw(by, c) {
			continue
		}
		last = slices.DeleteFunc(last, func(earlier doc.ChangeHash) bool { return s.saw(c, earlier) })
		last = append(last, c)
	}
	for _, c := range last {
		yield(path, c)
	}
}

// settled reports whether somebody who had seen a change gave the place a value,
// in one of the elements that took the place one after another.
func (s *strays) settled(chain []move, rel doc.Path, change doc.ChangeHash) bool {
	for _, m := range chain {
		object := m.to
		for _, step := range rel {
			in := s.inside[object]
			if in == nil || in.list {
				break
			}
			ops := in.puts[step.Key]
			if slices.ContainsFunc(ops, func(op liveOp) bool { return op.change != m.by && s.saw(op.change, change) }) {
				return true
			}
			object = winner(ops)
		}
	}
	return false
}

// doubles returns the elements that two people moved.
func (s *strays) doubles() (out []twice) {
	for i, a := range s.moves {
		for _, b := range s.moves[i+1:] {
			if a.from != b.from || a.by == b.by || len(out) == maxStrays {
				continue
			}
			first, second := s.last(a), s.last(b)
			p, q := s.pathOf(first.to), s.pathOf(second.to)
			if p == nil || q == nil || first.to == second.to {
				continue
			}
			change := second.by
			if second.to.After(first.to) {
				p, q, change = q, p, first.by
			}
			out = append(out, twice{p, q, change})
		}
	}
	return out
}

func (s *strays) last(m move) move {
	chain := s.chain(m)
	return chain[len(chain)-1]
}

// pathOf returns where a map is that is in a list, or nil where it is not shown.
func (s *strays) pathOf(object guard.OpID) doc.Path {
	var path doc.Path
	for object != (guard.OpID{}) {
		in := s.inside[object]
		if in == nil {
			return nil
		}
		up := s.objects[in.up]
		switch {
		case up == nil:
			return nil
		case up.keys != nil:
			if winner(up.keys[in.key]) != object {
				return nil
			}
			path = append(path, doc.Key(in.key))
		default:
			i := up.indexOf(in.elem)
			if i < 0 || winner(up.elems[in.elem]) != object {
				return nil
			}
			path = append(path, doc.Index(i))
		}
		object = in.up
	}
	slices.Reverse(path)
	return path
}

// indexOf returns where an element is in a list, or -1.
func (c *crdtObject) indexOf(elem guard.OpID) int {
	i, found := 0, false
	c.eachElement(func(id guard.OpID) bool {
		if found = id == elem; !found {
			i++
		}
		return !found
	})
	if !found {
		return -1
	}
	return i
}

// findAt returns what an edit that went astray was at the version that it made,
// or nil.
func (a *astray) findAt(root *doc.Value) *doc.Value {
	v := findElement(root, a.path[:a.depth-1], a.key, a.id)
	for _, step := range a.path[a.depth:] {
		v = v.Get(step.Key)
	}
	return v
}

// findElement returns the element with an identity of the list at a path, in
// which an index stands for any.
func findElement(v *doc.Value, path doc.Path, key, id string) *doc.Value {
	for i, step := range path {
		if !step.IsIndex {
			v = v.Get(step.Key)
			continue
		}
		if v == nil {
			return nil
		}
		for _, item := range v.Items {
			if found := findElement(item, path[i+1:], key, id); found != nil {
				return found
			}
		}
		return nil
	}
	if v == nil {
		return nil
	}
	for _, item := range v.Items {
		switch x := item.Get(key); {
		case x == nil:
		case x.Kind == doc.String && guard.TextValue(x.Str) == id, x.Kind == doc.Int && guard.IntValue(x.Int) == id:
			return item
		}
	}
	return nil
}
