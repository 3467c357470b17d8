package guard_test

import (
	"crypto/sha256"
	"slices"
	"testing"

	"echofs/echo/engine/guard"
)

// whole checks that Writes reads a change that Check lets pass as what it is.
func whole(tb testing.TB, b []byte, info *guard.Info) {
	tb.Helper()
	n, puts, keys := 0, false, map[string]bool{}
	got, err := guard.Writes(b, func(w *guard.Write) {
		if w.ID.Number != info.StartOp+uint64(n) || w.ID.Actor != string(info.Actor) {
			tb.Errorf("operation %d is %d of %x", n, w.ID.Number, w.ID.Actor)
		}
		for _, prev := range w.Prev {
			if !w.ID.After(prev) {
				tb.Errorf("operation %d replaces %d, which is not before it", w.ID.Number, prev.Number)
			}
		}
		sets := w.Kind != guard.WriteDelete && w.Kind != guard.WriteIncrement
		puts = puts || sets && w.Kind != guard.WriteMark && !w.Insert
		if sets && !w.InList {
			keys[w.Key] = true
		}
		n++
	})
	if err != nil {
		tb.Fatalf("let pass, but: %v", err)
	}
	if got.Hash != info.Hash || n != info.Ops || puts != info.Puts || len(keys) != len(info.Keys) ||
		!slices.Equal(got.Deps, info.Deps) || got.Seq != info.Seq {
		tb.Errorf("read %d operations, puts %v, keys %v of %+v", n, puts, keys, info)
	}
}

func TestWrites(t *testing.T) {
	found := files(t, "changes/*.bin")
	for name, b := range found {
		info, err := guard.Check(b, guard.Rules{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		whole(t, b, info)
	}
	if len(found) == 0 {
		t.Error("no changes to read")
	}
}

func FuzzWrites(f *testing.F) {
	for _, b := range files(f, "changes/*.bin") {
		f.Add(b)
	}
	for _, b := range files(f, "crashers/*.bin") {
		if len(b) < 400 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 10 {
			sum := sha256.Sum256(b[8:]) // lets the fuzzer past the checksum
			b = slices.Concat(b[:4], sum[:4], b[8:])
		}
		info, err := guard.Check(b, guard.Rules{})
		if err == nil {
			whole(t, b, info)
			return
		}
		_, _ = guard.Writes(b, func(*guard.Write) {}) // must not panic
	})
}
