package engine_test

import (
	"context"
	"strings"
	"testing"

	"echofs/echo/doc"
	"echofs/echo/engine"
	"echofs/echo/engine/first"
	"echofs/echo/engine/guard"
)

// BenchmarkEdit changes one field of a small document that the worker holds.
func BenchmarkEdit(b *testing.B) {
	r := newReplica(b, newEngine(b, engine.Options{}), 1)
	r.edit(put(allKinds(), "all"), put(doc.NewInt(0), "n"))
	ctx := context.Background()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		src := doc.Source{ID: r.id, Heads: r.heads}
		res, err := r.e.Edit(ctx, src, doc.EditRequest{
			Branches: []doc.Branch{{Actor: r.actor, Last: r.last}}, Time: 1,
			Edits: []doc.Edit{put(doc.NewInt(int64(i+1)), "n")}})
		if err != nil {
			b.Fatal(err)
		}
		r.heads, r.last = res.Heads, res.Change.Hash
	}
}

// BenchmarkReadNew reads small documents that the worker has to load.
func BenchmarkReadNew(b *testing.B) {
	r := newReplica(b, newEngine(b, engine.Options{}), 1)
	r.edit(put(allKinds(), "all"))
	ctx := context.Background()
	for i := 0; b.Loop(); i++ {
		src := r.source()
		src.ID = doc.DocumentID{byte(i), byte(i >> 8), byte(i >> 16)}
		if _, err := r.e.Read(ctx, src, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFirst is the first change of an object with a kilobyte of text.
func BenchmarkFirst(b *testing.B) {
	edits := []doc.Edit{put(doc.NewMap(field("title", doc.NewText("task")), field("done", doc.NewBool(false)),
		field("notes", doc.NewText(strings.Repeat("lorem ipsum dolor sit amet ", 35)))), "objects")}
	change, _, err := first.Write(doc.ActorID{1}, 0, "", edits)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := first.Write(doc.ActorID{1}, 0, "", edits); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if _, err := guard.Check(change.Bytes, guard.Rules{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := first.Read(change.Bytes); err != nil {
				b.Fatal(err)
			}
		}
	})
}
