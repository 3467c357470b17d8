package echo

import (
	"slices"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
)

// origins tells which changes put the values at a place of a document. The core
// lists concurrent values without their authors, so this follows the operations
// of all changes, as the core does, but without values and without the inside
// of texts.
type origins struct {
	objects map[guard.OpID]*crdtObject
}

// crdtObject is a map or a list of the document.
type crdtObject struct {
	keys  map[string][]liveOp
	elems map[guard.OpID][]liveOp     // by the operation that inserted them
	after map[guard.OpID][]guard.OpID // elements inserted after an element
}

// liveOp is an operation whose value stands.
type liveOp struct {
	id     guard.OpID
	change doc.ChangeHash
}

func newOrigins() *origins {
	return &origins{objects: map[guard.OpID]*crdtObject{{}: {keys: map[string][]liveOp{}}}}
}

// write takes the next operation of a document, in causal order of the changes.
func (o *origins) write(w *guard.Write, change doc.ChangeHash) {
	at := o.objects[w.Object]
	if at == nil {
		return // a text, whose characters are not contested
	}
	switch w.Kind {
	case guard.WriteMap:
		o.objects[w.ID] = &crdtObject{keys: map[string][]liveOp{}}
	case guard.WriteList:
		o.objects[w.ID] = &crdtObject{elems: map[guard.OpID][]liveOp{}, after: map[guard.OpID][]guard.OpID{}}
	case guard.WriteIncrement, guard.WriteMark:
		return // the value stays
	}
	at.write(w, change)
}

func (c *crdtObject) write(w *guard.Write, change doc.ChangeHash) {
	replace := func(ops []liveOp) []liveOp {
		ops = slices.DeleteFunc(ops, func(op liveOp) bool { return slices.Contains(w.Prev, op.id) })
		if w.Kind == guard.WriteDelete {
			return ops
		}
		return append(ops, liveOp{w.ID, change})
	}
	switch {
	case !w.InList && c.keys != nil:
		c.keys[w.Key] = replace(c.keys[w.Key])
	case w.InList && c.elems != nil && w.Insert:
		c.after[w.Elem] = append(c.after[w.Elem], w.ID)
		c.elems[w.ID] = []liveOp{{w.ID, change}}
	case w.InList && c.elems != nil:
		c.elems[w.Elem] = replace(c.elems[w.Elem])
	}
}

// at returns the changes that put the values at a path, the winner first; nil
// where there is no such path.
func (o *origins) at(path doc.Path) []doc.ChangeHash {
	object := o.objects[guard.OpID{}]
	for i, step := range path {
		ops := object.ops(step)
		slices.SortFunc(ops, func(a, b liveOp) int {
			if a.id.After(b.id) {
				return -1
			}
			return 1
		})
		if i == len(path)-1 {
			out := make([]doc.ChangeHash, 0, len(ops))
			for _, op := range ops {
				out = append(out, op.change)
			}
			return out
		}
		if len(ops) == 0 {
			return nil
		}
		if object = o.objects[ops[0].id]; object == nil {
			return nil
		}
	}
	return nil
}

func (c *crdtObject) ops(step doc.Step) []liveOp {
	if !step.IsIndex {
		return slices.Clone(c.keys[step.Key])
	}
	left := step.Index
	var found []liveOp
	c.eachElement(func(id guard.OpID) bool {
		if left--; left < 0 {
			found = slices.Clone(c.elems[id])
		}
		return found == nil
	})
	return found
}

// eachElement calls yield for the elements that a list has, in its order, until
// that returns false.
func (c *crdtObject) eachElement(yield func(guard.OpID) bool) {
	stack := c.elements(guard.OpID{})
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = append(stack[:len(stack)-1], c.elements(id)...)
		if len(c.elems[id]) > 0 && !yield(id) {
			return
		}
	}
}

// winner returns the operation whose value is shown of those that stand at a
// place.
func winner(ops []liveOp) (best guard.OpID) {
	for _, op := range ops {
		if op.id.After(best) {
			best = op.id
		}
	}
	return best
}

// elements returns what was inserted after an element, the first of the list
// last: of insertions at one place the later comes first.
func (c *crdtObject) elements(id guard.OpID) []guard.OpID {
	out := slices.Clone(c.after[id])
	slices.SortFunc(out, func(a, b guard.OpID) int {
		if b.After(a) {
			return -1
		}
		return 1
	})
	return out
}
