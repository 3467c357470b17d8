package echotest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"echofs/echo"
)

// TestStore runs the suite. open returns a new, empty store and arranges with
// t.Cleanup for its end.
func TestStore(t *testing.T, open func(t *testing.T) echo.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s echo.Store)
	}{
		{"Get", testGet},
		{"Overwrite", testOverwrite},
		{"Delete", testDelete},
		{"DeleteRange", testDeleteRange},
		{"BatchOrder", testBatchOrder},
		{"EmptyBatch", testEmptyBatch},
		{"UnknownWrite", testUnknownWrite},
		{"EmptyKeyAndValue", testEmptyKeyAndValue},
		{"LargeValue", testLargeValue},
		{"ScanBounds", testScanBounds},
		{"ScanStops", testScanStops},
		{"ScanSnapshot", testScanSnapshot},
		{"CommitCopies", testCommitCopies},
		{"GetOwned", testGetOwned},
		{"Model", testModel},
		{"BatchesAreAtomic", testBatchesAreAtomic},
		{"ReadersGoForward", testReadersGoForward},
		{"ManyWriters", testManyWriters},
		{"Reopen", testReopen},
		{"Kill", testKill},
		{"PowerCut", testPowerCut},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func testGet(t *testing.T, s echo.Store) {
	wantMissing(t, s, "k")
	put(t, s, "k", "v")
	wantGet(t, s, "k", "v")
	for _, near := range []string{"", "j", "k\x00", "kk", "l"} {
		wantMissing(t, s, near)
	}
}

func testOverwrite(t *testing.T, s echo.Store) {
	put(t, s, "k", "a longer value")
	put(t, s, "k", "v")
	wantGet(t, s, "k", "v")
	wantScan(t, s, "k=v")
}

func testDelete(t *testing.T, s echo.Store) {
	put(t, s, "a", "1", "b", "2")
	var b echo.Batch
	b.Delete([]byte("a"))
	b.Delete([]byte("missing"))
	commit(t, s, &b, echo.Kernel)
	wantMissing(t, s, "a")
	wantScan(t, s, "b=2")
	put(t, s, "a", "3")
	wantScan(t, s, "a=3", "b=2")
}

func testDeleteRange(t *testing.T, s echo.Store) {
	tests := []struct {
		from, to []byte
		want     []string
	}{
		{[]byte("b"), []byte("d"), []string{"a=", "d=", "e="}},
		{[]byte("b\x00"), []byte("d\x00"), []string{"a=", "b=", "e="}},
		{nil, []byte("e"), []string{"e="}},
		{[]byte(""), []byte("\xff"), nil},
		{[]byte("c"), []byte("c"), []string{"a=", "b=", "c=", "d=", "e="}},
		{[]byte("d"), []byte("b"), []string{"a=", "b=", "c=", "d=", "e="}},
		{[]byte("a"), nil, []string{"a=", "b=", "c=", "d=", "e="}},
		{nil, nil, []string{"a=", "b=", "c=", "d=", "e="}},
	}
	for _, tt := range tests {
		put(t, s, "a", "", "b", "", "c", "", "d", "", "e", "")
		var b echo.Batch
		b.DeleteRange(tt.from, tt.to)
		commit(t, s, &b, echo.Kernel)
		if got := scan(t, s, nil, nil); !slices.Equal(got, tt.want) {
			t.Errorf("after DeleteRange(%q, %q): got %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}

// testBatchOrder: every write applies to what the writes before it left.
func testBatchOrder(t *testing.T, s echo.Store) {
	put(t, s, "a1", "old", "a2", "old", "b", "old")
	var b echo.Batch
	b.Put([]byte("a0"), []byte("gone"))
	b.DeleteRange([]byte("a"), []byte("b"))
	b.Put([]byte("a2"), []byte("new"))
	b.Delete([]byte("b"))
	b.Put([]byte("b"), []byte("1"))
	b.Put([]byte("b"), []byte("2"))
	b.Put([]byte("c"), []byte("gone"))
	b.Delete([]byte("c"))
	commit(t, s, &b, echo.Disk)
	wantScan(t, s, "a2=new", "b=2")
}

func testEmptyBatch(t *testing.T, s echo.Store) {
	for _, d := range []echo.Durability{echo.Kernel, echo.Disk} {
		commit(t, s, new(echo.Batch), d)
	}
	put(t, s, "k", "v")
	commit(t, s, new(echo.Batch), echo.Disk)
	wantScan(t, s, "k=v")
}

// testUnknownWrite: a write that a store does not understand is an error, and
// nothing of its batch happens. The batch is patched through Ops, since Batch
// offers no way to make one.
func testUnknownWrite(t *testing.T, s echo.Store) {
	var b echo.Batch
	b.Put([]byte("a"), []byte("1"))
	b.Put([]byte("b"), []byte("2"))
	b.Ops()[1].Kind = 200
	if err := s.Commit(&b, echo.Kernel); err == nil {
		t.Error("Commit of an unknown kind of write: got no error")
	}
	wantScan(t, s)
}

func testEmptyKeyAndValue(t *testing.T, s echo.Store) {
	put(t, s, "", "empty key", "empty value", "")
	wantGet(t, s, "", "empty key")
	wantGet(t, s, "empty value", "")
	wantScan(t, s, "=empty key", "empty value=")
	var b echo.Batch
	b.Put([]byte("nil"), nil)
	b.Delete(nil)
	commit(t, s, &b, echo.Kernel)
	wantGet(t, s, "nil", "")
	wantMissing(t, s, "")
}

func testLargeValue(t *testing.T, s echo.Store) {
	value := make([]byte, 2<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	var b echo.Batch
	b.Put([]byte("large"), value)
	commit(t, s, &b, echo.Disk)
	got, err := s.Get([]byte("large"))
	if err != nil || !bytes.Equal(got, value) {
		t.Errorf("Get of %d bytes: got %d bytes, equal %v, %v", len(value), len(got), bytes.Equal(got, value), err)
	}
}

func testScanBounds(t *testing.T, s echo.Store) {
	// Keys whose order by bytes differs from other orders one could think of:
	// by length, by signed byte, by locale.
	keys := []string{"", "\x00", "A", "a", "a\x00", "a\x00b", "aa", "b", "\x7f", "\x80", "\xff", "\xff\x00", "\xff\xff"}
	for _, i := range rand.Perm(len(keys)) {
		put(t, s, keys[i], "")
	}
	bound := func(i int) []byte {
		if i == len(keys) {
			return nil
		}
		return []byte(keys[i])
	}
	for from := range keys {
		for to := range len(keys) + 1 {
			var want []string
			for i := from; i < to; i++ {
				want = append(want, keys[i]+"=")
			}
			if got := scan(t, s, bound(from), bound(to)); !slices.Equal(got, want) {
				t.Errorf("Scan(%q, %q): got %q, want %q", bound(from), bound(to), got, want)
			}
		}
	}
	if got := scan(t, s, nil, []byte("a")); len(got) != 3 {
		t.Errorf("Scan(nil, a): got %q, want the 3 keys below", got)
	}
	if got := scan(t, s, []byte("\xff\xff\x00"), nil); got != nil {
		t.Errorf("Scan above the last key: got %q", got)
	}
}

func testScanStops(t *testing.T, s echo.Store) {
	put(t, s, "a", "", "b", "", "c", "")
	var seen []string
	err := s.Scan(nil, nil, func(key, _ []byte) bool {
		seen = append(seen, string(key))
		return len(seen) < 2
	})
	if want := []string{"a", "b"}; err != nil || !slices.Equal(seen, want) {
		t.Errorf("Scan that stops at the second key: got %q, %v, want %q", seen, err, want)
	}
}

// testScanSnapshot: the function uses the store it scans, and the scan goes on
// as if nothing had happened.
func testScanSnapshot(t *testing.T, s echo.Store) {
	put(t, s, "a", "1", "c", "1", "e", "1")
	var seen []string
	err := s.Scan(nil, nil, func(key, value []byte) bool {
		seen = append(seen, string(key)+"="+string(value))
		var b echo.Batch
		b.Put([]byte("b"), []byte("2"))
		b.Put([]byte("c"), []byte("2"))
		b.DeleteRange([]byte("d"), []byte("f"))
		commit(t, s, &b, echo.Kernel)
		wantGet(t, s, "c", "2")
		return true
	})
	if want := []string{"a=1", "c=1", "e=1"}; err != nil || !slices.Equal(seen, want) {
		t.Errorf("Scan with commits inside: got %q, %v, want %q", seen, err, want)
	}
	wantScan(t, s, "a=1", "b=2", "c=2")
}

func testCommitCopies(t *testing.T, s echo.Store) {
	key, value := []byte("key"), []byte("value")
	var b echo.Batch
	b.Put(key, value)
	commit(t, s, &b, echo.Kernel)
	copy(key, "XXX")
	copy(value, "XXXXX")
	wantScan(t, s, "key=value")

	b.Put([]byte("more"), []byte("2"))
	commit(t, s, &b, echo.Kernel) // a batch can be committed again
	wantScan(t, s, "XXX=XXXXX", "key=value", "more=2")
}

func testGetOwned(t *testing.T, s echo.Store) {
	put(t, s, "k", "value")
	got, err := s.Get([]byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	copy(got, "XXXXX")
	_ = append(got, "XXXXX"...)
	wantGet(t, s, "k", "value")
}

// testModel compares the store with a map over some hundred random batches.
func testModel(t *testing.T, s echo.Store) {
	rng := rand.New(rand.NewPCG(3, 4))
	model := map[string]string{}
	randomKey := func() []byte { return fmt.Appendf(nil, "%02d", rng.IntN(60)) }
	for i := range 300 {
		var b echo.Batch
		for range rng.IntN(6) {
			switch key := randomKey(); rng.IntN(5) {
			case 0:
				b.Delete(key)
				delete(model, string(key))
			case 1:
				to := randomKey()
				b.DeleteRange(key, to)
				for k := range model {
					if k >= string(key) && k < string(to) {
						delete(model, k)
					}
				}
			default:
				value := fmt.Sprint(i, rng.IntN(100))
				b.Put(key, []byte(value))
				model[string(key)] = value
			}
		}
		commit(t, s, &b, echo.Durability(rng.IntN(2)))
		wantScan(t, s, modelLines(model)...)
	}
}

func modelLines(model map[string]string) []string {
	lines := make([]string, 0, len(model))
	for k, v := range model {
		lines = append(lines, k+"="+v)
	}
	slices.Sort(lines)
	return lines
}

// put commits pairs of key and value as one Kernel batch.
func put(t testing.TB, s echo.Store, pairs ...string) {
	t.Helper()
	var b echo.Batch
	for i := 0; i < len(pairs); i += 2 {
		b.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	commit(t, s, &b, echo.Kernel)
}

// commit may be used in any goroutine, so it does not end the test.
func commit(t testing.TB, s echo.Store, b *echo.Batch, d echo.Durability) {
	t.Helper()
	if err := s.Commit(b, d); err != nil {
		t.Errorf("Commit: %v", err)
	}
}

// scan returns the range as lines "key=value".
func scan(t testing.TB, s echo.Store, from, to []byte) []string {
	t.Helper()
	var lines []string
	err := s.Scan(from, to, func(key, value []byte) bool {
		lines = append(lines, string(key)+"="+string(value))
		return true
	})
	if err != nil {
		t.Fatalf("Scan(%q, %q): %v", from, to, err)
	}
	return lines
}

func wantScan(t testing.TB, s echo.Store, want ...string) {
	t.Helper()
	if got := scan(t, s, nil, nil); !slices.Equal(got, want) {
		t.Errorf("Scan of everything: got %q, want %q", got, want)
	}
}

func wantGet(t testing.TB, s echo.Store, key, want string) {
	t.Helper()
	got, err := s.Get([]byte(key))
	if err != nil || string(got) != want || got == nil {
		t.Errorf("Get(%q): got %q, %v, want %q", key, got, err, want)
	}
}

func wantMissing(t testing.TB, s echo.Store, key string) {
	t.Helper()
	if got, err := s.Get([]byte(key)); !errors.Is(err, echo.ErrNotFound) {
		t.Errorf("Get(%q): got %q, %v, want an error that wraps ErrNotFound", key, got, err)
	}
}
