package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"echofs/echo/doc"
	"echofs/echo/engine"
)

// author edits one document at any version it had, with as many actors as that
// takes.
type author struct {
	tb       testing.TB
	e        *engine.Engine
	id       doc.DocumentID
	branches []doc.Branch
	heads    doc.Heads
	changes  []doc.Change
	versions []doc.Heads
	loads    int
}

func newAuthor(tb testing.TB, e *engine.Engine, id byte) *author {
	a := &author{tb: tb, e: e, id: doc.DocumentID{id}}
	for n := range byte(40) {
		a.branches = append(a.branches, doc.Branch{Actor: doc.ActorID{id, n + 1}})
	}
	return a
}

func (a *author) source() doc.Source {
	return doc.Source{ID: a.id, Heads: a.heads, Load: func(context.Context) ([][]byte, error) {
		a.loads++
		var chunks [][]byte
		for _, c := range a.changes {
			chunks = append(chunks, c.Bytes)
		}
		return chunks, nil
	}}
}

func (a *author) edit(base doc.Heads, edits ...doc.Edit) doc.Result {
	a.tb.Helper()
	res, err := a.e.Edit(testContext(a.tb), a.source(), doc.EditRequest{
		Base: base, Branches: a.branches, Time: int64(len(a.changes)), Edits: edits})
	if err != nil {
		a.tb.Fatal(err)
	}
	if !res.Change.Hash.IsZero() {
		a.branches[res.Branch].Last = res.Change.Hash
		a.changes = append(a.changes, res.Change)
	}
	a.heads = res.Heads
	a.versions = append(a.versions, a.heads)
	return res
}

func (a *author) merge(changes ...doc.Change) doc.Result {
	a.tb.Helper()
	var chunks [][]byte
	for _, c := range changes {
		chunks = append(chunks, c.Bytes)
	}
	res, err := a.e.Merge(testContext(a.tb), a.source(), chunks)
	if err != nil {
		a.tb.Fatal(err)
	}
	a.changes = append(a.changes, changes...)
	a.heads = res.Heads
	a.versions = append(a.versions, a.heads)
	return res
}

// An engine that keeps the past of a document at hand makes, bit by bit, the
// changes that one makes which goes back through the whole history each time.
func TestPastIsAsItWas(t *testing.T) {
	quick := newAuthor(t, newEngine(t, engine.Options{Workers: 1}), 1)
	slow := newAuthor(t, newEngine(t, engine.Options{Workers: 1, CacheBytes: 1}), 1)
	other := newAuthor(t, quick.e, 9)
	both := func(what string, f func(a *author) doc.Result) {
		got, want := f(quick), f(slow)
		if got.Change.Hash != want.Change.Hash || !got.Heads.Equal(want.Heads) || !got.Value.Equal(want.Value) {
			t.Fatalf("%s: got %v %v\n%v, want %v %v\n%v", what, got.Change.Hash, got.Heads, got.Value, want.Change.Hash, want.Heads, want.Value)
		}
	}
	both("first", func(a *author) doc.Result {
		return a.edit(nil, put(doc.NewMap(), "m"), put(doc.NewList(), "l"), put(doc.NewText("text"), "t"))
	})
	rnd := rand.New(rand.NewPCG(1, 2))
	edits := func(n int) []doc.Edit {
		return []doc.Edit{put(doc.NewInt(int64(n)), "m", fmt.Sprint("k", n%9)),
			{Op: doc.Insert, Path: doc.Keys("l").Join(doc.Index(0)), Value: doc.NewInt(int64(n))},
			{Op: doc.Splice, Path: doc.Keys("t"), Pos: rnd.IntN(4), Ins: fmt.Sprint(n)}}
	}
	var buffers [3]doc.Heads // what three editors have open
	for i := range buffers {
		buffers[i] = quick.heads
	}
	taken := 0
	for n := range 700 {
		e := edits(n)
		switch who := rnd.IntN(len(buffers)); rnd.IntN(8) {
		case 0, 1, 2:
			both("edit", func(a *author) doc.Result { return a.edit(nil, e...) })
		case 3, 4: // a buffer is saved
			both("stale", func(a *author) doc.Result { return a.edit(buffers[who], e...) })
			buffers[who] = doc.Heads{quick.changes[len(quick.changes)-1].Hash}
		case 5: // a file is opened again
			buffers[who] = quick.versions[max(0, len(quick.versions)-1-rnd.IntN(10))]
		case 6: // something comes from elsewhere, not for the first time
			if other.heads == nil {
				other.merge(quick.changes...)
			} else {
				other.merge(quick.changes[taken:]...)
			}
			other.edit(nil, e[0])
			news := other.changes[len(other.changes)-1]
			both("merge", func(a *author) doc.Result { return a.merge(news) })
			taken = len(quick.changes)
		default:
			v := quick.versions[max(0, len(quick.versions)-1-rnd.IntN(400))]
			got, err := quick.e.Read(testContext(t), quick.source(), v)
			want, werr := slow.e.Read(testContext(t), slow.source(), v)
			if err != nil || werr != nil || !got.Equal(want) {
				t.Fatalf("read %v: got %v, %v, want %v, %v", v, got, err, want, werr)
			}
		}
	}
	if quick.loads > 1 {
		t.Errorf("the document was loaded %d times, want once", quick.loads)
	}
}

// BenchmarkEditOld edits a document with a history of some length at the current
// version, and at versions of some changes ago as two editors in turn do.
func BenchmarkEditOld(b *testing.B) {
	for _, history := range []int{100, 1000, 10000} {
		a := newAuthor(b, newEngine(b, engine.Options{Workers: 1}), 1)
		a.edit(nil, put(doc.NewMap(), "m"))
		for n := range history {
			var base doc.Heads // of the newest version, and now and then of an older one
			if n%100 == 0 {
				base = a.versions[max(0, len(a.versions)-2)]
			}
			a.edit(base, put(doc.NewInt(int64(n)), "m", fmt.Sprint("k", n%9)))
		}
		for _, back := range []int{0, 1, 10} {
			b.Run(fmt.Sprintf("history=%d/back=%d", history, back), func(b *testing.B) {
				for n := 0; b.Loop(); n++ {
					base := a.versions[max(0, len(a.versions)-1-back)]
					a.edit(base, put(doc.NewInt(int64(n)), "m", fmt.Sprint("k", n%9)))
				}
			})
		}
	}
}
