package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"echofs/echo/blob"
	"echofs/halo"
)

// keys are those of one epoch of one space.
type keys struct {
	space halo.SpaceID
	key   halo.EpochKey
}

func newKeys(tb testing.TB) keys {
	tb.Helper()
	k, err := halo.NewEpochKey()
	if err != nil {
		tb.Fatal(err)
	}
	return keys{halo.SpaceID{1}, k}
}

func (k keys) SealKey(id [32]byte) (halo.EpochID, halo.Secret, error) {
	return k.key.ID(k.space), k.key.BlobKey(k.space, id), nil
}

func (k keys) OpenKey(epoch halo.EpochID, id [32]byte) (halo.Secret, error) {
	if epoch != k.key.ID(k.space) {
		return halo.Secret{}, errors.New("no key of that epoch")
	}
	return k.key.BlobKey(k.space, id), nil
}

// stores are the implementations that the suite runs on.
func stores(t *testing.T, run func(t *testing.T, s blob.Store)) {
	t.Run("mem", func(t *testing.T) { run(t, blob.NewMem()) })
	t.Run("dir", func(t *testing.T) {
		d, err := blob.OpenDir(filepath.Join(t.TempDir(), "chunks"))
		if err != nil {
			t.Fatal(err)
		}
		run(t, d)
	})
}

func pattern(seed byte, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{seed})
	_, _ = r.Read(b)
	return b
}

// plain is a blob.Content of bytes.
type plain []byte

func (p plain) Size() int64            { return int64(len(p)) }
func (p plain) Base() *blob.Index      { return nil }
func (p plain) Block(int64) blob.State { return blob.Changed }
func (p plain) ReadAt(_ context.Context, b []byte, off int64) (int, error) {
	return bytes.NewReader(p).ReadAt(b, off)
}

func build(tb testing.TB, s blob.Store, k keys, content []byte) blob.Address {
	tb.Helper()
	root, _, err := blob.Build(context.Background(), s.Put, k, plain(content))
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

func open(tb testing.TB, s blob.Source, k keys, root blob.Address) *blob.Reader {
	tb.Helper()
	x, err := blob.ReadIndex(context.Background(), s, k, root)
	if err != nil {
		tb.Fatal(err)
	}
	return blob.NewReader(s, k, blob.NewCache(4<<20), x)
}

func readAll(tb testing.TB, r interface {
	ReadAt(context.Context, []byte, int64) (int, error)
	Size() int64
}) []byte {
	tb.Helper()
	out := make([]byte, r.Size())
	if n, err := r.ReadAt(context.Background(), out, 0); n != len(out) || err != nil && !errors.Is(err, io.EOF) {
		tb.Fatalf("read %d of %d bytes: %v", n, len(out), err)
	}
	return out
}

func TestAVersionReadsBackAsItWasWritten(t *testing.T) {
	sizes := []int{0, 1, blob.InlineSize, blob.InlineSize + 1, blob.ChunkSize - 1, blob.ChunkSize, blob.ChunkSize + 1, 3*blob.ChunkSize + 77}
	stores(t, func(t *testing.T, s blob.Store) {
		k := newKeys(t)
		for i, size := range sizes {
			want := pattern(byte(i), size)
			root := build(t, s, k, want)
			r := open(t, s, k, root)
			if got := readAll(t, r); !bytes.Equal(got, want) {
				t.Errorf("%d bytes read back differ", size)
			}
			if again := build(t, s, k, want); again == root {
				t.Errorf("%d bytes: two versions have one root", size)
			}
		}
		if err := s.Sync(); err != nil {
			t.Error(err)
		}
	})
}

func TestStoredChunksTellNothing(t *testing.T) {
	s, k := blob.NewMem(), newKeys(t)
	content := bytes.Repeat([]byte("MARKER-in-the-content "), 100_000)
	build(t, s, k, content)
	err := s.Walk(func(a blob.Address, size int64) error {
		sealed, err := s.Get(context.Background(), a)
		if err != nil {
			return err
		}
		if blob.AddressOf(sealed) != a {
			t.Errorf("chunk %s does not have its hash", a)
		}
		if bytes.Contains(sealed, []byte("MARKER")) {
			t.Errorf("chunk %s has content in the clear", a)
		}
		if size > blob.MaxSealed {
			t.Errorf("chunk %s has %d bytes, want %d at most", a, size, blob.MaxSealed)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDamagedAndMissingChunksAreErrors(t *testing.T) {
	s, k := blob.NewMem(), newKeys(t)
	content := pattern(1, 2*blob.ChunkSize+5)
	root := build(t, s, k, content)
	x := open(t, s, k, root).Index()
	var chunk blob.Address
	x.Chunks(func(a blob.Address) bool { chunk = a; return false })
	sealed, err := s.Get(context.Background(), chunk)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(sealed)
	bad[len(bad)/2] ^= 1
	read := func() error {
		_, err := open(t, s, k, root).ReadAt(context.Background(), make([]byte, 10), 100)
		return err
	}
	if err := s.Put(chunk, bad); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("a flipped bit: got %v, want ErrDamaged", err)
	}
	if err := s.Delete(chunk); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, blob.ErrMissing) {
		t.Errorf("a chunk that is not here: got %v, want ErrMissing", err)
	}
	if err := s.Delete(root); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.ReadIndex(context.Background(), s, k, root); !errors.Is(err, blob.ErrMissing) {
		t.Errorf("a root that is not here: got %v, want ErrMissing", err)
	}
}

// TestMissingLeadsToACompleteCopy copies a version chunk by chunk, as those do
// that fetch it from elsewhere. It is so large, with holes, that it has lists.
func TestMissingLeadsToACompleteCopy(t *testing.T) {
	ctx, from, to, k := context.Background(), blob.NewMem(), blob.NewMem(), newKeys(t)
	w := newWork(t, nil)
	const size = 3 << 30 // 3 GiB, nearly all of it holes
	for _, off := range []int64{5, 1 << 30, size - 10} {
		if err := w.WriteAt(ctx, []byte("0123456789"), off); err != nil {
			t.Fatal(err)
		}
	}
	root, want := save(t, w, from, k)
	has := func(a blob.Address) bool { ok, _ := to.Has(a); return ok }
	for round := 0; ; round++ {
		lack, complete, err := blob.Missing(ctx, to, k, root, has, 2)
		if err != nil {
			t.Fatal(err)
		}
		if complete {
			break
		}
		if len(lack) == 0 || len(lack) > 2 || round > 20 {
			t.Fatalf("round %d: %d chunks are missing", round, len(lack))
		}
		for _, a := range lack {
			sealed, err := from.Get(ctx, a)
			if err != nil {
				t.Fatal(err)
			}
			if err := to.Put(a, sealed); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := open(t, to, k, root)
	if r.Size() != size || r.Index().Stored() != want.Stored() {
		t.Errorf("got %d bytes, %d stored; want %d, %d", r.Size(), r.Index().Stored(), int64(size), want.Stored())
	}
	buf := make([]byte, 12)
	if _, err := r.ReadAt(ctx, buf, 1<<30-1); err != nil || string(buf) != "\x000123456789\x00" {
		t.Errorf("in the middle: got %q, %v", buf, err)
	}
}

func newWork(tb testing.TB, base *blob.Reader) *blob.Work {
	tb.Helper()
	w, err := blob.NewWork(filepath.Join(tb.TempDir(), "work"), []byte("note"), base)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.Close(false); err != nil {
			tb.Error(err)
		}
	})
	return w
}

// save makes a version of a work file.
func save(tb testing.TB, w *blob.Work, s blob.Store, k keys) (root blob.Address, index *blob.Index) {
	tb.Helper()
	open := func(x *blob.Index) *blob.Reader {
		index = x
		return blob.NewReader(s, k, blob.NewCache(4<<20), x)
	}
	err := w.Save(context.Background(), s.Put, k, open, func(a blob.Address, _ int64) ([]byte, error) {
		root = a
		return []byte("saved"), nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return root, index
}

func TestWritingAByteOfALargeFileStoresOneChunk(t *testing.T) {
	s, k, ctx := blob.NewMem(), newKeys(t), context.Background()
	root := build(t, s, k, pattern(7, 20*blob.ChunkSize))
	count := func() (n int, bytes int64) {
		_ = s.Walk(func(_ blob.Address, size int64) error { n++; bytes += size; return nil })
		return n, bytes
	}
	n, stored := count()
	w := newWork(t, open(t, s, k, root))
	if err := w.WriteAt(ctx, []byte{0xff}, 7*blob.ChunkSize+99); err != nil {
		t.Fatal(err)
	}
	next, _ := save(t, w, s, k)
	n2, stored2 := count()
	if n2 != n+2 || stored2-stored > blob.MaxSealed+2048 {
		t.Errorf("%d chunks of %d bytes were stored, want the changed one and the root", n2-n, stored2-stored)
	}
	want := pattern(7, 20*blob.ChunkSize)
	want[7*blob.ChunkSize+99] = 0xff
	if !bytes.Equal(readAll(t, open(t, s, k, next)), want) {
		t.Error("the new version is not the old one with a byte changed")
	}
}

// TestWorkIsAFile runs random writes, reads, truncations and saves against a
// slice of bytes.
func TestWorkIsAFile(t *testing.T) {
	k := newKeys(t)
	rapid.Check(t, func(rt *rapid.T) {
		s, ctx := blob.NewMem(), context.Background()
		oracle := pattern(9, rapid.SampledFrom([]int{0, 100, blob.InlineSize + 7, 2*blob.ChunkSize + 1000}).Draw(rt, "begin"))
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		w, err := blob.NewWork(filepath.Join(dir, "work"), nil, open(t, s, k, build(t, s, k, oracle)))
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = w.Close(false) }()
		// Places near the edges of blocks are where things go wrong.
		place := rapid.Custom(func(rt *rapid.T) int {
			edge := rapid.IntRange(0, 3).Draw(rt, "edge") * blob.ChunkSize
			return max(0, edge+rapid.IntRange(-3000, 3000).Draw(rt, "off"))
		})
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				off, n := place.Draw(rt, "at"), rapid.SampledFrom([]int{1, 500, 4096, blob.ChunkSize, blob.ChunkSize + 5000}).Draw(rt, "n")
				p := pattern(rapid.Byte().Draw(rt, "seed"), n)
				if err := w.WriteAt(ctx, p, int64(off)); err != nil {
					rt.Fatal(err)
				}
				if end := off + n; end > len(oracle) {
					oracle = append(oracle, make([]byte, end-len(oracle))...)
				}
				copy(oracle[off:], p)
			},
			"truncate": func(rt *rapid.T) {
				size := place.Draw(rt, "size")
				if err := w.Truncate(ctx, int64(size)); err != nil {
					rt.Fatal(err)
				}
				oracle = append(oracle[:min(size, len(oracle)):min(size, len(oracle))], make([]byte, max(0, size-len(oracle)))...)
			},
			"save": func(rt *rapid.T) {
				if !w.Dirty() {
					return
				}
				root, _ := save(t, w, s, k)
				if !bytes.Equal(readAll(t, open(t, s, k, root)), oracle) {
					rt.Fatal("the saved version differs")
				}
			},
			"": func(rt *rapid.T) {
				if w.Size() != int64(len(oracle)) {
					rt.Fatalf("size %d, want %d", w.Size(), len(oracle))
				}
				off := place.Draw(rt, "read")
				p := make([]byte, 9000)
				n, _ := w.ReadAt(ctx, p, int64(off))
				want := oracle[min(off, len(oracle)):min(off+len(p), len(oracle))]
				if !bytes.Equal(p[:n], want) {
					rt.Fatalf("%d bytes at %d differ", n, off)
				}
			},
		})
		if !bytes.Equal(readAll(t, w), oracle) {
			rt.Fatal("the content differs at the end")
		}
	})
}

// crash copies a work file as a killed process leaves it.
func crash(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "work")
	for _, suffix := range []string{"", ".journal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestAKilledProcessLosesNothingOfAWorkFile(t *testing.T) {
	s, k, ctx := blob.NewMem(), newKeys(t), context.Background()
	base := open(t, s, k, build(t, s, k, pattern(3, 2*blob.ChunkSize)))
	path := filepath.Join(t.TempDir(), "work")
	w, err := blob.NewWork(path, []byte("who"), base)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(false)
	if err := w.WriteAt(ctx, []byte("changed"), 10); err != nil {
		t.Fatal(err)
	}
	if err := w.Truncate(ctx, blob.ChunkSize+100); err != nil {
		t.Fatal(err)
	}
	if err := w.Truncate(ctx, 3*blob.ChunkSize); err != nil {
		t.Fatal(err)
	}
	want := readAll(t, w)
	rec, err := blob.Recover(crash(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if string(rec.Note) != "who" || !rec.Dirty() {
		t.Errorf("note %q, dirty %v", rec.Note, rec.Dirty())
	}
	w2, err := rec.Resume(base)
	if err != nil {
		t.Fatal(err)
	}
	defer w2.Close(false)
	if !bytes.Equal(readAll(t, w2), want) {
		t.Error("the recovered content differs")
	}
	if _, err := blob.Recover(path); !errors.Is(err, blob.ErrBusy) {
		t.Errorf("recover a file in use: got %v, want ErrBusy", err)
	}
}

// TestOnlyWhatWasSyncedCountsAfterAPowerCut changes the boot id in the journal:
// the file is then read as after a restart of the machine.
func TestOnlyWhatWasSyncedCountsAfterAPowerCut(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "work")
	w, err := blob.NewWork(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(false)
	write := func(s string, off int64) {
		t.Helper()
		if err := w.WriteAt(ctx, []byte(s), off); err != nil {
			t.Fatal(err)
		}
	}
	write("synced", 0)
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	write("not synced", 5*blob.ChunkSize)
	cut := crash(t, path)
	b, err := os.ReadFile(cut + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	rec, err := blob.ParseOfAnotherBoot(b)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Size != 6 || len(rec.Blocks) != 1 || rec.Blocks[0] != 0 || !rec.Dirty {
		t.Errorf("got %+v, want 6 bytes in block 0", rec)
	}
}

func TestTheVersionThatWasBuiltIsKnownAfterACrash(t *testing.T) {
	s, k, ctx := blob.NewMem(), newKeys(t), context.Background()
	path := filepath.Join(t.TempDir(), "work")
	w, err := blob.NewWork(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(false)
	if err := w.WriteAt(ctx, []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no")
	var root blob.Address
	var between string
	err = w.Save(ctx, s.Put, k, nil, func(a blob.Address, _ int64) ([]byte, error) {
		root, between = a, crash(t, path)
		return nil, failed
	})
	if !errors.Is(err, failed) {
		t.Fatalf("got %v, want the error of the commit", err)
	}
	for at, want := range map[string]bool{between: true, crash(t, path): false} {
		rec, err := blob.Recover(at)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Equal(rec.Built[:8], root[:8]); got != want || !rec.Dirty() {
			t.Errorf("built %x, root %s, dirty %v; want them to agree: %v, and dirty", rec.Built[:8], root, rec.Dirty(), want)
		}
		_ = rec.Close()
	}
	if !w.Dirty() {
		t.Error("a failed save left nothing to be saved")
	}
}

func TestADirIsClearedOfHalfWrittenChunks(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "ab")
	if err := os.MkdirAll(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(sub, "new-123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := blob.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(sub); len(left) != 0 {
		t.Errorf("%d files are left", len(left))
	}
	// What a power cut may leave: the name without the content.
	a := blob.AddressOf([]byte("gone"))
	if err := os.MkdirAll(filepath.Join(dir, a.String()[:2]), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, a.String()[:2], a.String()), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, err := d.Has(a); ok || err != nil {
		t.Errorf("an empty file is a chunk: %v, %v", ok, err)
	}
}

func FuzzJournal(f *testing.F) {
	path := filepath.Join(f.TempDir(), "work")
	w, err := blob.NewWork(path, []byte("note"), nil)
	if err != nil {
		f.Fatal(err)
	}
	_ = w.WriteAt(context.Background(), []byte("x"), 3<<20)
	_ = w.Sync()
	b, err := os.ReadFile(path + ".journal")
	if err != nil {
		f.Fatal(err)
	}
	_ = w.Close(false)
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := blob.ParseOfAnotherBoot(b)
		if err != nil {
			return
		}
		for _, block := range s.Blocks {
			if block < 0 {
				t.Errorf("block %d", block)
			}
		}
	})
}

func FuzzRoot(f *testing.F) {
	f.Add(make([]byte, 9))
	f.Add(append([]byte{0, 0, 0, 0, 0, 0x30, 0, 0, 1}, make([]byte, 96)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := blob.DecodeRoot(b)
		if err != nil {
			return
		}
		if x.Size < 0 || x.Size > blob.MaxSize || x.Stored() > x.Size {
			t.Errorf("size %d, stored %d", x.Size, x.Stored())
		}
	})
}

func BenchmarkChunks(b *testing.B) {
	d, err := blob.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	k := newKeys(b)
	content := pattern(1, 16*blob.ChunkSize)
	var root blob.Address
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			root = build(b, d, k, content)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			readAll(b, open(b, d, k, root))
		}
	})
}
