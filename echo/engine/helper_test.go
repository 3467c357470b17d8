package engine_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"echofs/echo/doc"
	"echofs/echo/engine"
)

// TestMain makes this test program its own engine worker.
func TestMain(m *testing.M) {
	if engine.IsWorker() {
		if err := engine.Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func newEngine(tb testing.TB, opts engine.Options) *engine.Engine {
	tb.Helper()
	e, err := engine.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

func testContext(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

// replica keeps one document as a store would: its changes and its version.
type replica struct {
	tb      testing.TB
	e       *engine.Engine
	id      doc.DocumentID
	actor   doc.ActorID
	last    doc.ChangeHash
	heads   doc.Heads
	value   *doc.Value
	changes []doc.Change
	history []doc.Heads // versions it had
	loads   int         // how often the engine asked for the chunks
	time    int64
}

func newReplica(tb testing.TB, e *engine.Engine, n byte) *replica {
	return &replica{tb: tb, e: e, id: doc.DocumentID{n}, actor: doc.ActorID{n}}
}

func (r *replica) source() doc.Source {
	return doc.Source{ID: r.id, Heads: r.heads, Load: func(context.Context) ([][]byte, error) {
		r.loads++
		var chunks [][]byte
		for _, c := range r.changes {
			chunks = append(chunks, c.Bytes)
		}
		return chunks, nil
	}}
}

// try makes a change at base and keeps it; nil is the current version.
func (r *replica) try(base doc.Heads, edits ...doc.Edit) (doc.Result, error) {
	r.time++
	res, err := r.e.Edit(testContext(r.tb), r.source(), doc.EditRequest{
		Base: base, Branches: []doc.Branch{{Actor: r.actor, Last: r.last}}, Time: r.time, Edits: edits})
	if err == nil {
		if !res.Change.Hash.IsZero() {
			r.last = res.Change.Hash
			r.changes = append(r.changes, res.Change)
		}
		r.heads, r.value = res.Heads, res.Value
	}
	return res, err
}

func (r *replica) edit(edits ...doc.Edit) doc.Result {
	r.tb.Helper()
	res, err := r.try(nil, edits...)
	if err != nil {
		r.tb.Fatal(err)
	}
	return res
}

// pull merges the changes of another replica that r lacks.
func (r *replica) pull(from *replica) {
	r.tb.Helper()
	have := map[doc.ChangeHash]bool{}
	for _, c := range r.changes {
		have[c.Hash] = true
	}
	var chunks [][]byte
	var fresh []doc.Change
	for _, c := range from.changes {
		if !have[c.Hash] {
			chunks = append(chunks, c.Bytes)
			fresh = append(fresh, c)
		}
	}
	if len(chunks) == 0 {
		return
	}
	res, err := r.e.Merge(testContext(r.tb), r.source(), chunks)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.changes = append(r.changes, fresh...)
	r.heads, r.value = res.Heads, res.Value
}

func put(v *doc.Value, keys ...string) doc.Edit {
	return doc.Edit{Op: doc.Put, Path: doc.Keys(keys...), Value: v}
}

func field(key string, v *doc.Value) doc.Field { return doc.Field{Key: key, Value: v} }
