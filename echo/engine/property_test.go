package engine_test

import (
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"echofs/echo/doc"
	"echofs/echo/engine"
	"echofs/echo/engine/guard"
)

// drawEdit draws an edit that fits a value.
func drawEdit(t *rapid.T, root *doc.Value) doc.Edit {
	keys := rapid.SampledFrom([]string{"a", "b", "ключ"})
	path, at := doc.Path{}, root
	for {
		var step doc.Step
		if at.Kind == doc.List {
			if len(at.Items) == 0 || rapid.Bool().Draw(t, "insert") {
				i := rapid.IntRange(0, len(at.Items)).Draw(t, "position")
				return doc.Edit{Op: doc.Insert, Path: path.Join(doc.Index(i)), Value: drawValue(t, 2)}
			}
			step = doc.Index(rapid.IntRange(0, len(at.Items)-1).Draw(t, "index"))
		} else {
			step = doc.Key(keys.Draw(t, "key"))
		}
		path = path.Join(step)
		at = follow(at, step)
		if at == nil {
			return doc.Edit{Op: doc.Put, Path: path, Value: drawValue(t, 2)}
		}
		switch choice := rapid.IntRange(0, 9).Draw(t, "choice"); {
		case choice == 0:
			return doc.Edit{Op: doc.Delete, Path: path}
		case choice == 1:
			return doc.Edit{Op: doc.Put, Path: path, Value: drawValue(t, 2)}
		case at.Kind == doc.Text:
			n := utf8.RuneCountInString(at.Str)
			pos := rapid.IntRange(0, n).Draw(t, "pos")
			return doc.Edit{Op: doc.Splice, Path: path, Pos: pos, Del: rapid.IntRange(0, n-pos).Draw(t, "del"),
				Ins: rapid.StringN(0, 4, 16).Draw(t, "ins")}
		case at.Kind == doc.Counter:
			return doc.Edit{Op: doc.Increment, Path: path, By: rapid.Int64Range(-5, 5).Draw(t, "by")}
		case at.Kind != doc.Map && at.Kind != doc.List:
			return doc.Edit{Op: doc.Put, Path: path, Value: drawValue(t, 1)}
		}
	}
}

func follow(v *doc.Value, step doc.Step) *doc.Value {
	if step.IsIndex {
		return v.Items[step.Index]
	}
	return v.Get(step.Key)
}

func drawValue(t *rapid.T, depth int) *doc.Value {
	switch rapid.IntRange(0, 5+depth).Draw(t, "kind") {
	case 0:
		return doc.NewInt(rapid.Int64().Draw(t, "int"))
	case 1:
		return doc.NewString(rapid.StringN(0, 5, 20).Draw(t, "string"))
	case 2, 3:
		return doc.NewText(rapid.StringN(0, 8, 32).Draw(t, "text"))
	case 4:
		return &doc.Value{Kind: doc.Counter, Int: rapid.Int64Range(-9, 9).Draw(t, "counter")}
	case 5:
		return doc.NewBool(rapid.Bool().Draw(t, "bool"))
	case 6:
		return doc.NewList(drawValue(t, depth-1), drawValue(t, depth-1))
	}
	return doc.NewMap(field("a", drawValue(t, depth-1)), field("b", drawValue(t, depth-1)))
}

// Three replicas edit, at the current and at older versions, and exchange
// changes in any order; in the end they are equal, and so is what a new engine
// makes of the changes.
func TestReplicasConverge(t *testing.T) {
	e := newEngine(t, engine.Options{})
	run := byte(0)
	rapid.Check(t, func(rt *rapid.T) {
		run++
		replicas := make([]*replica, 3)
		for i := range replicas {
			replicas[i] = newReplica(t, e, byte(i+1))
			replicas[i].id = doc.DocumentID{byte(i), run}
			replicas[i].value = doc.NewMap()
		}
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			r := replicas[rapid.IntRange(0, 2).Draw(rt, "replica")]
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				r.pull(replicas[rapid.IntRange(0, 2).Draw(rt, "from")])
				if len(r.heads) > 0 {
					r.history = append(r.history, r.heads)
				}
			case 1:
				staleEdit(rt, r)
			default:
				r.edit(drawEdit(rt, r.value))
				r.history = append(r.history, r.heads)
			}
		}
		for range 2 {
			replicas[0].pull(replicas[1])
			replicas[1].pull(replicas[2])
			replicas[2].pull(replicas[0])
		}
		for _, r := range replicas[1:] {
			if !r.heads.Equal(replicas[0].heads) || !r.value.Equal(replicas[0].value) {
				rt.Fatalf("replicas differ: %v, %v", r.heads, replicas[0].heads)
			}
		}
		checkStored(rt, replicas[0])
	})
}

// staleEdit edits at a version that the replica had before, which may have
// several heads. Where that lacks the replica's last change, a new actor signs.
func staleEdit(rt *rapid.T, r *replica) {
	if len(r.history) == 0 {
		return
	}
	base := rapid.SampledFrom(r.history).Draw(rt, "base")
	v, err := r.e.Read(testContext(r.tb), r.source(), base)
	if err != nil {
		rt.Fatal(err)
	}
	req := doc.EditRequest{Base: base, Edits: []doc.Edit{drawEdit(rt, v)}, Branches: []doc.Branch{
		{Actor: r.actor, Last: r.last}, {Actor: doc.ActorID{r.actor[0], byte(len(r.changes)), 1}}}}
	if r.last.IsZero() {
		req.Branches = req.Branches[1:]
	}
	res, err := r.e.Edit(testContext(r.tb), r.source(), req)
	if err != nil {
		rt.Fatal(err)
	}
	if res.Change.Hash.IsZero() {
		return
	}
	if req.Branches[res.Branch].Actor == r.actor {
		r.last = res.Change.Hash
	}
	r.changes = append(r.changes, res.Change)
	r.heads, r.value = res.Heads, res.Value
	r.history = append(r.history, r.heads)
}

// checkStored loads the document from its changes and from its compact form,
// and passes every change through the guard.
func checkStored(rt *rapid.T, r *replica) {
	for _, c := range r.changes {
		info, err := guard.Check(c.Bytes, guard.Rules{})
		if err != nil || info.Hash != c.Hash {
			rt.Fatalf("the guard: %v, %+v for %v", err, info, c.Hash)
		}
	}
	if len(r.changes) == 0 {
		return
	}
	again := *r
	again.id[2]++
	if v, err := r.e.Read(testContext(r.tb), again.source(), nil); err != nil || !v.Equal(r.value) {
		rt.Fatalf("loaded from the changes: %v", err)
	}
	saved, err := r.e.Compact(testContext(r.tb), r.source())
	if err != nil {
		rt.Fatal(err)
	}
	again.id[2]++
	again.changes = []doc.Change{{Bytes: saved}}
	if v, err := r.e.Read(testContext(r.tb), again.source(), nil); err != nil || !v.Equal(r.value) {
		rt.Fatalf("loaded from the compact form: %v", err)
	}
}
