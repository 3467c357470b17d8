package guard_test

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
)

// files returns the contents of the files that match, by name.
func files(tb testing.TB, pattern string) map[string][]byte {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		tb.Fatalf("no files match %s: %v", pattern, err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		out[filepath.Base(name)] = b
	}
	return out
}

// pack makes a chunk of contents, as a change of the given type.
func pack(typ byte, contents []byte) []byte {
	hashed := append(binary.AppendUvarint([]byte{1}, uint64(len(contents))), contents...)
	sum := sha256.Sum256(hashed)
	out := append([]byte{0x85, 0x6f, 0x4a, 0x83}, sum[:4]...)
	if typ != 2 {
		hashed[0] = typ
		return append(out, hashed...)
	}
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestSpeed)
	w.Write(contents)
	w.Close()
	out = binary.AppendUvarint(append(out, 2), uint64(packed.Len()))
	return append(out, packed.Bytes()...)
}

// draft is a change to be written; each test spoils one thing of a good one,
// which puts false at the key a.
type draft struct {
	deps    [][]byte
	actor   []byte
	seq     uint64
	start   uint64
	message string
	others  [][]byte
	cols    map[uint64][]byte
	order   []uint64 // of the columns; nil: ascending
}

func good() *draft {
	return &draft{actor: bytes.Repeat([]byte{7}, 16), seq: 1, start: 1, cols: map[uint64][]byte{
		21: {0x7f, 1, 'a'}, 52: {1}, 66: {0x7f, 1}, 86: {0x7f, 1}, 112: {0x7f, 0},
	}}
}

func (d *draft) contents() []byte {
	bytesOf := func(b, s []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b := binary.AppendUvarint(nil, uint64(len(d.deps)))
	for _, dep := range d.deps {
		b = append(b, dep...)
	}
	b = bytesOf(b, d.actor)
	b = binary.AppendUvarint(b, d.seq)
	b = binary.AppendUvarint(b, d.start)
	b = append(b, 0) // time
	b = bytesOf(b, []byte(d.message))
	b = binary.AppendUvarint(b, uint64(len(d.others)))
	for _, o := range d.others {
		b = bytesOf(b, o)
	}
	order := d.order
	if order == nil {
		for spec := range d.cols {
			order = append(order, spec)
		}
		slices.Sort(order)
	}
	b = binary.AppendUvarint(b, uint64(len(order)))
	for _, spec := range order {
		b = binary.AppendUvarint(binary.AppendUvarint(b, spec), uint64(len(d.cols[spec])))
	}
	for _, spec := range order {
		b = append(b, d.cols[spec]...)
	}
	return b
}

func TestHonestChanges(t *testing.T) {
	all := files(t, "changes/*.bin")
	for name, b := range all {
		info, err := guard.Check(b, guard.Rules{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if hash, err := guard.Hash(b); err != nil || hash != info.Hash {
			t.Errorf("%s: Hash gives %v, %v; want %v", name, hash, err, info.Hash)
		}
		if _, ok := info.ActorID(); !ok || info.Ops == 0 || info.Time == 0 {
			t.Errorf("%s: %+v lacks something", name, info)
		}
		actor, _ := info.ActorID()
		if _, err := guard.Check(b, guard.Rules{Actor: actor}); err != nil {
			t.Errorf("%s: of its own actor: %v", name, err)
		}
		wantReason(t, name, b, guard.Rules{Actor: doc.ActorID{0xff}}, guard.ReasonActor)
	}
	info, err := guard.Check(all["0.bin"], guard.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	keys := strings.Join(info.Keys, " ")
	if want := "all bool bytes counter"; !strings.HasPrefix(keys, want) || !strings.HasSuffix(keys, " a z l c") {
		t.Errorf("keys %q, want %q first and \" a z l c\" last", keys, want)
	}
}

func wantReason(t *testing.T, name string, chunk []byte, rules guard.Rules, want guard.Reason) {
	t.Helper()
	_, err := guard.Check(chunk, rules)
	var refusal *guard.Error
	if !errors.As(err, &refusal) || !errors.Is(err, guard.ErrRefused) || refusal.Reason != want {
		t.Errorf("%s: %v, want a refusal for %q", name, err, want)
	}
}

func TestRefusals(t *testing.T) {
	if info, err := guard.Check(pack(1, good().contents()), guard.Rules{}); err != nil || info.Ops != 1 ||
		!slices.Equal(info.Keys, []string{"a"}) || info.MaxOp() != 1 {
		t.Fatalf("the good one: %+v, %v", info, err)
	}
	if _, err := guard.Check(pack(2, good().contents()), guard.Rules{}); err != nil {
		t.Fatalf("the good one, compressed: %v", err)
	}
	dep := func(c byte) []byte { return bytes.Repeat([]byte{c}, 32) }
	col := func(spec uint64, b ...byte) func(*draft) { return func(d *draft) { d.cols[spec] = b } }
	list := func(d *draft) { // make a list at a, insert into it
		d.cols = map[uint64][]byte{1: {0, 1, 0x7f, 0}, 2: {0, 1, 0x7f, 1}, 19: {0, 1, 0x7f, 0},
			21: {0x7f, 1, 'a', 0, 1}, 52: {1, 1}, 66: {0x7e, 2, 1}, 86: {0x7e, 0, 1}, 112: {2, 0}}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*draft)
		want  guard.Reason
	}{
		{"a list", list, ""},
		{"empty change", func(d *draft) { d.cols = nil }, ""},
		{"too many dependencies", func(d *draft) {
			for i := range 257 {
				d.deps = append(d.deps, append([]byte{byte(i >> 8), byte(i)}, dep(0)[2:]...))
			}
		}, guard.ReasonLimit},
		{"unsorted dependencies", func(d *draft) { d.deps = [][]byte{dep(2), dep(1)} }, guard.ReasonHeader},
		{"repeated dependencies", func(d *draft) { d.deps = [][]byte{dep(2), dep(2)} }, guard.ReasonHeader},
		{"no actor", func(d *draft) { d.actor = nil }, guard.ReasonActor},
		{"long actor", func(d *draft) { d.actor = make([]byte, 65) }, guard.ReasonActor},
		{"seq 0", func(d *draft) { d.seq = 0 }, guard.ReasonHeader},
		{"seq too high", func(d *draft) { d.seq = 1 << 32 }, guard.ReasonHeader},
		{"start 0", func(d *draft) { d.start = 0 }, guard.ReasonLimit},
		{"start too high", func(d *draft) { d.start = 1<<31 + 1 }, guard.ReasonLimit},
		{"long message", func(d *draft) { d.message = strings.Repeat("x", 1025) }, guard.ReasonLimit},
		{"message no UTF-8", func(d *draft) { d.message = "\xff" }, guard.ReasonColumns},
		{"author twice", func(d *draft) { d.others = [][]byte{d.actor} }, guard.ReasonHeader},
		{"unknown column", col(33, 0x7f, 0), guard.ReasonColumns},
		{"deflated column", col(66|8, 0x7f, 0), guard.ReasonColumns},
		{"unsorted columns", func(d *draft) { d.order = []uint64{52, 21, 66, 86, 112} }, guard.ReasonColumns},
		{"column too long", col(21, 0x7e, 1, 'a', 1, 'b'), guard.ReasonColumns},
		{"column too short", func(d *draft) { d.cols[66], d.cols[52] = []byte{2, 1}, []byte{2} }, guard.ReasonColumns},
		{"column missing", func(d *draft) { delete(d.cols, 52) }, guard.ReasonColumns},
		{"overlong number", col(66, 0x7f, 0x81, 0), guard.ReasonColumns},
		{"overlong run", col(66, 0xff, 0x7f, 1), guard.ReasonColumns},
		{"key no UTF-8", col(21, 0x7f, 1, 0xff), guard.ReasonColumns},
		{"billion operations", col(66, 0x80, 0x94, 0xeb, 0xdc, 0x03, 1), guard.ReasonLimit},
		{"unknown action", col(66, 0x7f, 8), guard.ReasonOps},
		{"increment by false", col(66, 0x7f, 5), guard.ReasonOps},
		{"delete without predecessor", func(d *draft) { d.cols[66], d.cols[86] = []byte{0x7f, 3}, []byte{0x7f, 0} }, guard.ReasonOps},
		{"map with a value", col(66, 0x7f, 0), guard.ReasonOps},
		{"false with bytes", func(d *draft) { d.cols[86], d.cols[87] = []byte{0x7f, 0x11}, []byte{1} }, guard.ReasonOps},
		{"float of 7 bytes", func(d *draft) { d.cols[86], d.cols[87] = []byte{0x7f, 0x75}, make([]byte, 7) }, guard.ReasonOps},
		{"string no UTF-8", func(d *draft) { d.cols[86], d.cols[87] = []byte{0x7f, 0x16}, []byte{0xff} }, guard.ReasonOps},
		{"overlong integer", func(d *draft) { d.cols[86], d.cols[87] = []byte{0x7f, 0x24}, []byte{0x80, 0} }, guard.ReasonOps},
		{"values too short", col(86, 0x7f, 0x16), guard.ReasonColumns},
		{"values too long", col(87, 1), guard.ReasonColumns},
		{"predecessor missing", col(112, 0x7f, 1), guard.ReasonOps},
		{"predecessor of the future", func(d *draft) {
			d.cols[112], d.cols[113], d.cols[115] = []byte{0x7f, 1}, []byte{0x7f, 0}, []byte{0x7f, 1}
		}, guard.ReasonOps},
		{"predecessors too many", col(113, 0x7f, 0), guard.ReasonColumns},
		{"billion predecessors", col(112, 0x7f, 0x80, 0x94, 0xeb, 0xdc, 0x03), guard.ReasonLimit},
		{"object of unknown actor", func(d *draft) { d.start = 9; d.cols[1], d.cols[2] = []byte{0x7f, 3}, []byte{0x7f, 1} }, guard.ReasonOps},
		{"object without actor", func(d *draft) { d.start = 9; d.cols[2] = []byte{0x7f, 1} }, guard.ReasonOps},
		{"object that was not made", func(d *draft) {
			list(d)
			d.cols[66] = []byte{2, 1}
			d.cols[86] = []byte{2, 1}
		}, guard.ReasonOps},
		{"list addressed by key", func(d *draft) {
			list(d)
			delete(d.cols, 19)
			d.cols[21], d.cols[52] = []byte{2, 1, 'a'}, []byte{2}
		}, guard.ReasonOps},
		{"element of the root", func(d *draft) {
			delete(d.cols, 21)
			d.cols[19], d.cols[52] = []byte{0x7f, 0}, []byte{0, 1}
		}, guard.ReasonOps},
		{"start of a list replaced", func(d *draft) { list(d); d.cols[52] = []byte{2} }, guard.ReasonOps},
		{"mark in a map", col(66, 0x7f, 7), guard.ReasonOps},
	} {
		d := good()
		tt.spoil(d)
		if tt.want != "" {
			wantReason(t, tt.name, pack(1, d.contents()), guard.Rules{}, tt.want)
		} else if _, err := guard.Check(pack(1, d.contents()), guard.Rules{}); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestChunks(t *testing.T) {
	chunk := pack(1, good().contents())
	flipped := slices.Clone(chunk)
	flipped[len(flipped)-1] ^= 1
	wantReason(t, "flipped", flipped, guard.Rules{}, guard.ReasonChecksum)
	wantReason(t, "trailing", append(slices.Clone(chunk), 0), guard.Rules{}, guard.ReasonChunk)
	wantReason(t, "cut", chunk[:len(chunk)-1], guard.Rules{}, guard.ReasonChunk)
	wantReason(t, "empty", nil, guard.Rules{}, guard.ReasonChunk)
	wantReason(t, "document", pack(0, good().contents()), guard.Rules{}, guard.ReasonType)
	wantReason(t, "bundle", pack(3, good().contents()), guard.Rules{}, guard.ReasonType)
	wantReason(t, "great", make([]byte, guard.MaxChunk+1), guard.Rules{}, guard.ReasonLimit)
	bomb := pack(2, make([]byte, guard.MaxInflated+1))
	if len(bomb) > guard.MaxChunk {
		t.Fatalf("bomb of %d bytes does not test the inflation", len(bomb))
	}
	wantReason(t, "deflate bomb", bomb, guard.Rules{}, guard.ReasonLimit)
	packed := pack(2, good().contents())
	packed[9]++ // one byte more of compressed data than the stream has
	wantReason(t, "after the stream", append(packed, 0), guard.Rules{}, guard.ReasonChunk)
}

func TestDeflate(t *testing.T) {
	d := good()
	d.cols[86], d.cols[87] = []byte{0x7f, 0x86, 0xe2, 0x09}, bytes.Repeat([]byte("x"), 10000)
	d.cols[86] = append([]byte{0x7f}, binary.AppendUvarint(nil, 10000<<4|6)...)
	chunk := pack(1, d.contents())
	packed := guard.Deflate(chunk)
	if len(packed) >= len(chunk)/2 || packed[8] != byte(guard.TypeCompressed) {
		t.Fatalf("%d bytes of type %d, want fewer than %d of type 2", len(packed), packed[8], len(chunk)/2)
	}
	one, err1 := guard.Check(chunk, guard.Rules{})
	two, err2 := guard.Check(packed, guard.Rules{})
	if err1 != nil || err2 != nil || one.Hash != two.Hash || one.Ops != two.Ops {
		t.Errorf("got %+v, %v and %+v, %v; want the same", one, err1, two, err2)
	}
	if small := pack(1, good().contents()); !bytes.Equal(guard.Deflate(small), small) {
		t.Error("a small change was changed")
	}
	if !bytes.Equal(guard.Deflate(packed), packed) {
		t.Error("a compressed change was changed")
	}
}

func TestSplitChunks(t *testing.T) {
	document, change, packed := pack(0, []byte("document")), pack(1, good().contents()), pack(2, good().contents())
	all := slices.Concat(document, change, packed)
	got, err := guard.SplitChunks(all)
	if err != nil || len(got) != 3 {
		t.Fatalf("%d chunks, %v; want 3", len(got), err)
	}
	for i, want := range [][]byte{document, change, packed} {
		if !bytes.Equal(got[i].Bytes, want) || got[i].Type != guard.Type(i) {
			t.Errorf("chunk %d of type %d differs", i, got[i].Type)
		}
	}
	if got, err := guard.SplitChunks(nil); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
	for name, b := range map[string][]byte{"cut": all[:len(all)-1], "garbage": append(slices.Clone(all), 1),
		"bundle": append(slices.Clone(all), pack(3, nil)...)} {
		if _, err := guard.SplitChunks(b); !errors.Is(err, guard.ErrRefused) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}

// passing are the inputs that kill, stall or spoil the core only because of the
// document they meet, or only at some size; engine tests show what happens
// with those.
var passing = map[string]bool{
	"listbomb-1000.bin": true, "listbomb-1000000.bin": true, "opbomb-1000.bin": true,
}

func TestCrashersAreRefused(t *testing.T) {
	for name, b := range files(t, "crashers/*.bin") {
		if name == "listbomb-1000000.bin" && testing.Short() {
			continue // a million operations that are as many as may be
		}
		if _, err := guard.Check(b, guard.Rules{}); err == nil && !passing[name] && !strings.HasPrefix(name, "unloadable-") {
			t.Errorf("%s is accepted", name)
		} else if err != nil && !errors.Is(err, guard.ErrRefused) {
			t.Errorf("%s: %v is no refusal", name, err)
		}
	}
}

func TestCheckContext(t *testing.T) {
	// The changes of testdata in causal order: 0, then 1 and 2 beside each
	// other, then 3, then 4.
	all := files(t, "changes/*.bin")
	known := map[doc.ChangeHash]uint64{}
	last := map[string]uint64{}
	objects := map[string]bool{}
	key := func(n uint64, actor []byte) string { return string(binary.AppendUvarint(nil, n)) + string(actor) }
	context := func(info *guard.Info) guard.Context {
		return guard.Context{
			LastSeq: last[string(info.Actor)],
			MaxOp:   func(h doc.ChangeHash) (uint64, bool) { n, ok := known[h]; return n, ok },
			IsMap:   func(n uint64, actor []byte) (bool, bool) { m, ok := objects[key(n, actor)]; return m, ok },
		}
	}
	for _, name := range []string{"0.bin", "1.bin", "2.bin", "3.bin", "4.bin"} {
		info, err := guard.Check(all[name], guard.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context(info)
		if err := guard.CheckContext(info, ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for what, spoil := range map[string]func(*guard.Context){
			"seq": func(c *guard.Context) { c.LastSeq++ },
			"dep": func(c *guard.Context) {
				c.MaxOp = func(doc.ChangeHash) (uint64, bool) { return 0, len(info.Deps) == 0 }
			},
			"operation": func(c *guard.Context) {
				c.MaxOp = func(doc.ChangeHash) (uint64, bool) { return info.StartOp, true }
			},
			"object": func(c *guard.Context) { c.IsMap = func(uint64, []byte) (bool, bool) { return false, false } },
			"kind": func(c *guard.Context) {
				c.IsMap = func(n uint64, a []byte) (bool, bool) { m, ok := ctx.IsMap(n, a); return !m, ok }
			},
		} {
			if name != "1.bin" && what != "seq" { // the others have no deps or work in the root
				continue
			}
			bad := ctx
			spoil(&bad)
			if err := guard.CheckContext(info, bad); !errors.Is(err, guard.ErrRefused) {
				t.Errorf("%s, wrong %s: %v, want a refusal", name, what, err)
			}
		}
		last[string(info.Actor)] = info.Seq
		known[info.Hash] = info.MaxOp()
		for n, isMap := range info.Objects {
			objects[key(n, info.Actor)] = isMap
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, b := range files(f, "changes/*.bin") {
		f.Add(b)
	}
	for name, b := range files(f, "crashers/*.bin") {
		if len(b) < 400 && !strings.Contains(name, "bomb-1000000") {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// A checksum that is made to fit lets the fuzzer past the first gate.
		if len(b) > 10 {
			if chunks, err := guard.SplitChunks(b); err == nil && len(chunks) == 1 && chunks[0].Type == guard.TypeChange {
				sum := sha256.Sum256(b[8:])
				b = slices.Concat(b[:4], sum[:4], b[8:])
			}
		}
		info, err := guard.Check(b, guard.Rules{})
		if err != nil {
			if !errors.Is(err, guard.ErrRefused) {
				t.Errorf("%v is no refusal", err)
			}
			return
		}
		if hash, err := guard.Hash(b); err != nil || hash != info.Hash {
			t.Errorf("accepted, but Hash gives %v, %v", hash, err)
		}
		if again, err := guard.Check(guard.Deflate(b), guard.Rules{}); err != nil || again.Hash != info.Hash {
			t.Errorf("accepted, but not compressed: %v", err)
		}
		if info.Ops > guard.MaxOps || len(info.Deps) > guard.MaxDeps || len(info.Keys) > info.Ops || info.Seq == 0 {
			t.Errorf("accepted beyond the limits: %+v", info)
		}
	})
}

func FuzzSplitChunks(f *testing.F) {
	f.Add(pack(1, good().contents()))
	f.Add(append(pack(0, []byte("x")), pack(2, good().contents())...))
	f.Fuzz(func(t *testing.T, b []byte) {
		chunks, err := guard.SplitChunks(b)
		if err != nil {
			return
		}
		var all []byte
		for _, c := range chunks {
			all = append(all, c.Bytes...)
		}
		if !bytes.Equal(all, b) {
			t.Error("the chunks are not the whole")
		}
	})
}
