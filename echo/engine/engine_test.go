package engine_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"echofs/echo/doc"
	"echofs/echo/engine"
	"echofs/echo/engine/guard"
)

func allKinds() *doc.Value {
	return doc.NewMap(
		field("bool", doc.NewBool(true)),
		field("bytes", &doc.Value{Kind: doc.Bytes, Bytes: []byte{0, 255}}),
		field("counter", &doc.Value{Kind: doc.Counter, Int: -9}),
		field("empty", doc.NewString("")),
		field("false", doc.NewBool(false)),
		field("float", doc.NewFloat(math.Copysign(0, -1))),
		field("inf", doc.NewFloat(math.Inf(1))),
		field("list", doc.NewList(doc.NewNull(), doc.NewList(), doc.NewText("in a list"), doc.NewMap())),
		field("max", doc.NewInt(math.MaxInt64)),
		field("min", doc.NewInt(math.MinInt64)),
		field("nan", doc.NewFloat(math.NaN())),
		field("null", doc.NewNull()),
		field("string", doc.NewString("a\x00b")),
		field("text", doc.NewText("a😀é👍🏼z")),
		field("time", &doc.Value{Kind: doc.Timestamp, Int: 1700000000123}),
		field("uint", &doc.Value{Kind: doc.Uint, Uint: math.MaxUint64}),
		field("ключ/~", doc.NewMap(field("a", doc.NewInt(-1)))),
	)
}

func TestEditWritesEveryKind(t *testing.T) {
	r := newReplica(t, newEngine(t, engine.Options{}), 1)
	want := allKinds()
	res := r.edit(put(want, "all"), put(doc.NewInt(1), "z"), put(doc.NewInt(2), "a"))
	if got := res.Value.Get("all"); !got.Equal(want) {
		t.Errorf("read back %v, want %v", got, want)
	}
	var keys []string
	for _, f := range res.Value.Fields {
		keys = append(keys, f.Key)
	}
	if got := strings.Join(keys, " "); got != "a all z" {
		t.Errorf("keys %q, want them sorted", got)
	}
	if res.Change.Hash.IsZero() || len(res.Heads) != 1 || res.Heads[0] != res.Change.Hash {
		t.Errorf("change %v, heads %v; want the change as the only head", res.Change.Hash, res.Heads)
	}
	// The same from the stored change alone.
	other := newReplica(t, newEngine(t, engine.Options{Workers: 1}), 2)
	other.pull(r)
	if !other.value.Equal(res.Value) {
		t.Errorf("after Merge: %v, want %v", other.value, res.Value)
	}
}

func TestEditsInOrder(t *testing.T) {
	r := newReplica(t, newEngine(t, engine.Options{}), 1)
	list := func(i int) doc.Path { return doc.Keys("l").Join(doc.Index(i)) }
	r.edit(
		put(doc.NewList(doc.NewInt(0)), "l"),
		doc.Edit{Op: doc.Insert, Path: list(1), Value: doc.NewText("äöü")},
		doc.Edit{Op: doc.Insert, Path: list(0), Value: doc.NewString("first")},
		doc.Edit{Op: doc.Splice, Path: list(2), Pos: 1, Del: 1, Ins: "😀x"},
		doc.Edit{Op: doc.Put, Path: list(1), Value: &doc.Value{Kind: doc.Counter, Int: 40}},
		doc.Edit{Op: doc.Increment, Path: list(1), By: 2},
		doc.Edit{Op: doc.Delete, Path: list(0)},
	)
	want := doc.NewMap(field("l", doc.NewList(&doc.Value{Kind: doc.Counter, Int: 42}, doc.NewText("ä😀xü"))))
	if !r.value.Equal(want) {
		t.Errorf("got %v, want %v", r.value.Get("l").Items, want.Get("l").Items)
	}
}

func TestEditThatChangesNothing(t *testing.T) {
	r := newReplica(t, newEngine(t, engine.Options{}), 1)
	r.edit(put(doc.NewInt(1), "a"), put(doc.NewText("t"), "t"), put(&doc.Value{Kind: doc.Counter}, "c"))
	heads, last := r.heads, r.last
	res := r.edit(put(doc.NewInt(1), "a"),
		doc.Edit{Op: doc.Delete, Path: doc.Keys("missing")},
		doc.Edit{Op: doc.Splice, Path: doc.Keys("t")},
		doc.Edit{Op: doc.Increment, Path: doc.Keys("c")})
	if !res.Change.Hash.IsZero() || res.Change.Bytes != nil || !res.Heads.Equal(heads) || r.last != last {
		t.Errorf("got change %v and heads %v, want none and %v", res.Change, res.Heads, heads)
	}
	if r.edit(put(doc.NewInt(1), "a")); r.loads != 1 {
		t.Errorf("the document was loaded %d times, want once, since its first change needs no worker", r.loads)
	}
}

func TestEditErrorsLeaveNothing(t *testing.T) {
	r := newReplica(t, newEngine(t, engine.Options{}), 1)
	r.edit(put(doc.NewMap(field("x", doc.NewInt(1))), "m"), put(doc.NewText("abc"), "t"), put(doc.NewList(), "l"))
	before := r.value
	deep := doc.NewInt(1)
	for range doc.MaxDepth + 1 {
		deep = doc.NewList(deep)
	}
	for _, tt := range []struct {
		name string
		edit doc.Edit
		want string
	}{
		{"missing parent", put(doc.NewInt(1), "m", "no", "k"), "/m/no"},
		{"through a scalar", put(doc.NewInt(1), "m", "x", "k"), "/m/x"},
		{"root", doc.Edit{Op: doc.Put, Value: doc.NewMap()}, "root"},
		{"key into list", put(doc.NewInt(1), "l", "k"), "/l/k"},
		{"index into map", doc.Edit{Op: doc.Put, Path: doc.Path{doc.Index(0)}, Value: doc.NewInt(1)}, "/0"},
		{"index too high", doc.Edit{Op: doc.Put, Path: doc.Keys("l").Join(doc.Index(0)), Value: doc.NewInt(1)}, "/l/0"},
		{"insert too high", doc.Edit{Op: doc.Insert, Path: doc.Keys("l").Join(doc.Index(1)), Value: doc.NewInt(1)}, "/l/1"},
		{"insert into map", doc.Edit{Op: doc.Insert, Path: doc.Keys("m", "y"), Value: doc.NewInt(1)}, "/m/y"},
		{"negative index", doc.Edit{Op: doc.Delete, Path: doc.Keys("l").Join(doc.Index(-1))}, "/l/-1"},
		{"splice no text", doc.Edit{Op: doc.Splice, Path: doc.Keys("m"), Ins: "x"}, "/m"},
		{"splice too far", doc.Edit{Op: doc.Splice, Path: doc.Keys("t"), Pos: 4, Ins: "x"}, "/t"},
		{"splice too much", doc.Edit{Op: doc.Splice, Path: doc.Keys("t"), Pos: 1, Del: 3}, "/t"},
		{"splice negative", doc.Edit{Op: doc.Splice, Path: doc.Keys("t"), Pos: -1, Ins: "x"}, "/t"},
		{"increment no counter", doc.Edit{Op: doc.Increment, Path: doc.Keys("m", "x"), By: 1}, "/m/x"},
		{"empty key", put(doc.NewInt(1), ""), "empty key"},
		{"bad UTF-8", put(doc.NewString("\xff"), "s"), "UTF-8"},
		{"no value", put(nil, "s"), "no value"},
		{"unknown kind", put(&doc.Value{Kind: doc.Unknown}, "s"), "unknown"},
		{"too deep", put(deep, "d"), "/d"},
		{"unknown operation", doc.Edit{Op: 99, Path: doc.Keys("m")}, "operation"},
	} {
		_, err := r.try(nil, put(doc.NewInt(9), "half"), tt.edit)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one about %q", tt.name, err, tt.want)
		} else if !errors.Is(err, engine.ErrEdit) || errors.Is(err, doc.ErrEngine) {
			t.Errorf("%s: error %v, want ErrEdit", tt.name, err)
		}
		v, err := r.e.Read(testContext(t), r.source(), nil)
		if err != nil || !v.Equal(before) {
			t.Fatalf("%s: afterwards %v, %v; want the document unchanged", tt.name, v, err)
		}
	}
}

func TestStaleBaseKeepsBoth(t *testing.T) {
	r := newReplica(t, newEngine(t, engine.Options{}), 1)
	base := r.edit(put(doc.NewText("hello world"), "t"), put(doc.NewInt(1), "a")).Heads
	first := r.last
	r.edit(doc.Edit{Op: doc.Splice, Path: doc.Keys("t"), Ins: ">> "}, put(doc.NewInt(2), "b"))
	// An editor that saw base saves now; the first actor cannot sign that.
	res, err := r.e.Edit(testContext(t), r.source(), doc.EditRequest{
		Base:     base,
		Branches: []doc.Branch{{Actor: r.actor, Last: r.last}, {Actor: doc.ActorID{77}}},
		Edits:    []doc.Edit{{Op: doc.Splice, Path: doc.Keys("t"), Pos: 6, Del: 5, Ins: "Welt"}, put(doc.NewInt(3), "a")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if res.Branch != 1 {
		t.Errorf("branch %d, want 1", res.Branch)
	}
	if got, want := res.Value.Get("t").Text(), ">> hello Welt"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if len(res.Heads) != 2 || !res.Heads.Contains(res.Change.Hash) || !res.Heads.Contains(r.last) {
		t.Errorf("heads %v, want both changes", res.Heads)
	}
	if res.Value.Get("a").Int != 3 || res.Value.Get("b").Int != 2 {
		t.Errorf("got a=%v b=%v, want 3 and 2", res.Value.Get("a"), res.Value.Get("b"))
	}
	// Where a branch has been seen by the base, it signs.
	res, err = r.e.Edit(testContext(t), r.source(), doc.EditRequest{
		Base: base, Branches: []doc.Branch{{Actor: doc.ActorID{78}, Last: r.last}, {Actor: doc.ActorID{1}, Last: first}},
		Edits: []doc.Edit{put(doc.NewInt(0), "c")}})
	if !errors.Is(err, engine.ErrChange) {
		t.Errorf("an actor that forks its own sequence: %v, want ErrChange", err)
	}
	_, err = r.e.Edit(testContext(t), r.source(), doc.EditRequest{
		Base: base, Branches: []doc.Branch{{Actor: r.actor, Last: r.last}}, Edits: []doc.Edit{put(doc.NewInt(0), "c")}})
	if !errors.Is(err, engine.ErrBranch) {
		t.Errorf("no branch fits: %v, want ErrBranch", err)
	}
	_, err = r.try(doc.Heads{{1}}, put(doc.NewInt(0), "c"))
	if !errors.Is(err, engine.ErrBase) {
		t.Errorf("unknown base: %v, want ErrBase", err)
	}
}

func TestReadAtHeads(t *testing.T) {
	r := newReplica(t, newEngine(t, engine.Options{}), 1)
	one := r.edit(put(doc.NewText("one"), "t"), put(&doc.Value{Kind: doc.Counter, Int: 5}, "c"))
	r.edit(doc.Edit{Op: doc.Splice, Path: doc.Keys("t"), Pos: 3, Ins: " two"}, put(doc.NewInt(1), "new"),
		doc.Edit{Op: doc.Increment, Path: doc.Keys("c"), By: 1})
	for _, tt := range []struct {
		at   doc.Heads
		want *doc.Value
	}{{nil, r.value}, {r.heads, r.value}, {one.Heads, one.Value}, {doc.Heads{}, doc.NewMap()}} {
		got, err := r.e.Read(testContext(t), r.source(), tt.at)
		if err != nil || !got.Equal(tt.want) {
			t.Errorf("at %v: %v, %v; want %v", tt.at, got, err, tt.want)
		}
	}
	if _, err := r.e.Read(testContext(t), r.source(), doc.Heads{{1}}); !errors.Is(err, engine.ErrBase) {
		t.Errorf("unknown version: %v, want ErrBase", err)
	}
}

func TestMergeWantsEveryChange(t *testing.T) {
	e := newEngine(t, engine.Options{})
	a, b := newReplica(t, e, 1), newReplica(t, e, 2)
	a.edit(put(doc.NewInt(1), "a"))
	b.pull(a)
	a.edit(put(doc.NewInt(2), "a"))
	a.edit(put(doc.NewInt(3), "a"))
	before := b.value
	flipped := append([]byte(nil), a.changes[1].Bytes...)
	flipped[len(flipped)-1] ^= 1
	for name, chunks := range map[string][][]byte{
		"not ready": {a.changes[2].Bytes},
		"garbage":   {[]byte("garbage")},
		"flipped":   {flipped},
		"trailing":  {append(append([]byte(nil), a.changes[1].Bytes...), 0)},
	} {
		_, err := e.Merge(testContext(t), b.source(), chunks)
		if !errors.Is(err, engine.ErrChange) {
			t.Errorf("%s: %v, want ErrChange", name, err)
		}
		if v, err := e.Read(testContext(t), b.source(), nil); err != nil || !v.Equal(before) {
			t.Errorf("%s: afterwards %v, %v; want the document unchanged", name, v, err)
		}
	}
	res, err := e.Merge(testContext(t), b.source(), [][]byte{a.changes[0].Bytes, a.changes[1].Bytes, a.changes[2].Bytes})
	if err != nil || !res.Heads.Equal(a.heads) || !res.Value.Equal(a.value) {
		t.Errorf("all: %v, %v; want %v", res.Heads, err, a.heads)
	}
	if !res.Change.Hash.IsZero() {
		t.Errorf("Merge made a change %v", res.Change.Hash)
	}
}

func TestCompactAndChanges(t *testing.T) {
	e := newEngine(t, engine.Options{})
	r := newReplica(t, e, 1)
	for i := range 20 {
		r.edit(put(doc.NewInt(int64(i)), "a"), put(doc.NewText(strings.Repeat("x", i)), "t"))
	}
	chunk, err := e.Compact(testContext(t), r.source())
	if err != nil {
		t.Fatal(err)
	}
	list, err := e.Changes(testContext(t), r.source())
	if err != nil || len(list) != len(r.changes) {
		t.Fatalf("%d changes, %v; want %d", len(list), err, len(r.changes))
	}
	for i, c := range list {
		if c.Hash != r.changes[i].Hash || string(c.Bytes) != string(r.changes[i].Bytes) {
			t.Errorf("change %d differs from what Edit returned", i)
		}
	}
	// The compact form and two more changes make the same document.
	compacted := newReplica(t, e, 2)
	compacted.heads = r.heads
	compacted.changes = []doc.Change{{Bytes: chunk}}
	v, err := e.Read(testContext(t), compacted.source(), nil)
	if err != nil || !v.Equal(r.value) {
		t.Errorf("from the compact form: %v, %v", v, err)
	}
	res := r.edit(put(doc.NewInt(99), "a"))
	compacted.changes = append(compacted.changes, res.Change)
	compacted.heads = r.heads
	if v, err := e.Read(testContext(t), compacted.source(), nil); err != nil || !v.Equal(r.value) {
		t.Errorf("from the compact form and a change: %v, %v", v, err)
	}
}

func TestSourceIsChecked(t *testing.T) {
	e := newEngine(t, engine.Options{})
	r := newReplica(t, e, 1)
	r.edit(put(doc.NewInt(1), "a"))
	good := r.changes
	for name, changes := range map[string][]doc.Change{
		"nothing": nil,
		"garbage": {{Bytes: []byte("garbage")}},
		"tail":    {good[0], {Bytes: []byte{0}}},
	} {
		other := newReplica(t, e, 9)
		other.heads, other.changes = r.heads, changes
		if _, err := e.Read(testContext(t), other.source(), nil); !errors.Is(err, engine.ErrSource) {
			t.Errorf("%s: %v, want ErrSource", name, err)
		}
	}
	if _, err := e.Read(testContext(t), doc.Source{ID: doc.DocumentID{8}, Heads: r.heads}, nil); !errors.Is(err, engine.ErrSource) {
		t.Errorf("no Load: %v, want ErrSource", err)
	}
	want := errors.New("disk on fire")
	src := doc.Source{ID: doc.DocumentID{8}, Heads: r.heads, Load: func(context.Context) ([][]byte, error) { return nil, want }}
	if _, err := e.Read(testContext(t), src, nil); !errors.Is(err, want) {
		t.Errorf("failing Load: %v, want its error", err)
	}
}

func TestConflicts(t *testing.T) {
	e := newEngine(t, engine.Options{})
	a, b := newReplica(t, e, 1), newReplica(t, e, 2)
	a.edit(put(doc.NewMap(field("list", doc.NewList(doc.NewInt(0), doc.NewInt(1))), field("k", doc.NewInt(0))), "m"))
	b.pull(a)
	at := doc.Keys("m", "list").Join(doc.Index(1))
	a.edit(put(doc.NewString("a"), "m", "k"), doc.Edit{Op: doc.Put, Path: at, Value: doc.NewMap(field("x", doc.NewInt(1)))})
	b.edit(put(doc.NewString("b"), "m", "k"), doc.Edit{Op: doc.Put, Path: at, Value: doc.NewText("b")})
	a.pull(b)
	got, err := e.Conflicts(testContext(t), a.source())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d conflicts, want 2: %v", len(got), got)
	}
	for i, want := range []string{"/m/k", "/m/list/1"} {
		if got[i].Path.Pointer() != want || len(got[i].Values) != 2 {
			t.Errorf("conflict %d at %s with %d values, want 2 at %s", i, got[i].Path.Pointer(), len(got[i].Values), want)
		}
	}
	if !got[0].Values[0].Equal(a.value.At("m", "k")) || !got[1].Values[0].Equal(a.value.At("m", "list").Items[1]) {
		t.Errorf("the first value is not the winner: %v", got)
	}
	if got[0].Values[1].Equal(got[0].Values[0]) || got[1].Values[1].Kind == got[1].Values[0].Kind {
		t.Errorf("the second value is not the loser: %v", got)
	}
}

// What other devices would refuse is refused here.
func TestEditTooMuchForOneChange(t *testing.T) {
	r := newReplica(t, newEngine(t, engine.Options{CallTimeout: 20 * time.Second}), 1)
	r.edit(put(doc.NewString(strings.Repeat("compressible ", 1<<17)), "s")) // 1.6 MiB that become little
	before := r.value
	noise := make([]byte, guard.MaxChunk+1)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	if _, err := r.try(nil, put(&doc.Value{Kind: doc.Bytes, Bytes: noise}, "b")); !errors.Is(err, engine.ErrLimit) {
		t.Errorf("%d bytes of noise: %v, want ErrLimit", len(noise), err)
	}
	if _, err := r.e.Edit(testContext(t), r.source(), doc.EditRequest{
		Branches: []doc.Branch{{Actor: r.actor, Last: r.last}}, Message: strings.Repeat("x", guard.MaxMessage+1),
		Edits: []doc.Edit{put(doc.NewInt(1), "i")}}); !errors.Is(err, engine.ErrLimit) {
		t.Errorf("long message: %v, want ErrLimit", err)
	}
	if v, err := r.e.Read(testContext(t), r.source(), nil); err != nil || !v.Equal(before) {
		t.Errorf("afterwards: %v; want the document unchanged", err)
	}
}
