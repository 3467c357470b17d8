package echo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"echofs/echo"
	"echofs/echo/blob"
	"echofs/echo/echotest"
	"echofs/halo"
)

// binary returns content that is no text, so much of it.
func binary(seed string, n int) []byte {
	return append([]byte{0xff, 0}, bytes.Repeat([]byte(seed), n/len(seed)+1)[:n]...)
}

// bytesContent is a blob.Content of bytes.
type bytesContent struct{ *bytes.Reader }

func (c bytesContent) Size() int64            { return c.Reader.Size() }
func (c bytesContent) Base() *blob.Index      { return nil }
func (c bytesContent) Block(int64) blob.State { return blob.Changed }
func (c bytesContent) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return c.Reader.ReadAt(p, off)
}

// writeBlob saves a file as a program does that replaces all of it and has seen a
// version of it.
func writeBlob(tb testing.TB, v *echotest.Vault, path string, content []byte, base echo.BlobVersion) echo.Saved {
	tb.Helper()
	ctx := context.Background()
	n, err := v.Resolve(path)
	if errors.Is(err, echo.ErrNotFound) {
		dir, name := split(path)
		parent, err := v.Resolve(dir)
		if err != nil {
			tb.Fatal(err)
		}
		if n, err = v.CreateFile(ctx, parent.Ino, name, 0); err != nil {
			tb.Fatal(err)
		}
	} else if err != nil {
		tb.Fatal(err)
	}
	out, err := v.SaveBlob(ctx, echo.BlobSave{Ino: n.Ino, Content: bytesContent{bytes.NewReader(content)}, Base: base, Rule: "test"})
	if err != nil {
		tb.Fatalf("save %s: %v", path, err)
	}
	return out
}

// version returns the version that a file shows.
func version(tb testing.TB, v *echotest.Vault, path string) echo.BlobVersion {
	tb.Helper()
	n, err := v.Resolve(path)
	if err != nil {
		tb.Fatal(err)
	}
	b, ok := n.Blob()
	if !ok {
		tb.Fatalf("%s is of kind %s, want blob", path, n.Kind)
	}
	return b
}

// readBlob reads a blob without waiting for what is missing.
func readBlob(v *echotest.Vault, n echo.Node) ([]byte, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b, _ := n.Blob()
	r, err := v.OpenBlob(ctx, n.Space, b)
	if err != nil {
		return nil, err
	}
	out := make([]byte, r.Size())
	if _, err := r.ReadAt(ctx, out, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return out, nil
}

// blobs reads all files of a space: content by name.
func blobs(tb testing.TB, v *echotest.Vault, s *echo.Space) map[string]string {
	tb.Helper()
	out := map[string]string{}
	err := v.List(s.Ino(), 0, func(n echo.Node) bool {
		if n.Kind == echo.KindBlob {
			b, err := readBlob(v, n)
			if err != nil {
				tb.Fatalf("read %s: %v", n.Name, err)
			}
			out[n.Name] = string(b)
			return true
		}
		c, err := v.Content(n.Ino)
		if err != nil {
			tb.Fatalf("read %s: %v", n.Name, err)
		}
		out[n.Name] = string(c.Data)
		return true
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func exchangeAll(tb testing.TB, a, b *echo.Space) {
	tb.Helper()
	echotest.Exchange(tb, a, b)
	echotest.SendChunks(tb, a, b)
	echotest.SendChunks(tb, b, a)
}

func settleSpaces(tb testing.TB, spaces ...*echo.Space) {
	tb.Helper()
	for _, s := range spaces {
		if err := s.SettleAll(context.Background()); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestABlobComesToOthers(t *testing.T) {
	w := newWorld(t)
	content := binary("photo", 3<<20)
	writeBlob(t, w.ada, "notes/photo.png", content, echo.BlobVersion{})
	if n, err := w.ada.Resolve("notes/photo.png"); err != nil || n.Kind != echo.KindBlob || n.Size != int64(len(content)) {
		t.Fatalf("got %+v, %v", n, err)
	}
	settleSpaces(t, w.adas)
	echotest.Exchange(t, w.adas, w.bobs)
	n, err := w.bob.Resolve("notes/photo.png")
	if err != nil || n.Kind != echo.KindBlob || n.Size != int64(len(content)) {
		t.Fatalf("at the other vault: %+v, %v", n, err)
	}
	if _, err := readBlob(w.bob, n); !errors.Is(err, echo.ErrUnavailable) {
		t.Errorf("read without chunks: got %v, want ErrUnavailable", err)
	}
	if st := w.bobs.BlobState(); st.Incomplete != 1 || st.Missing != n.Size {
		t.Errorf("got %+v, want one version incomplete", st)
	}
	if st, err := w.bob.Stat(context.Background(), n.Ino); err != nil || st.Missing != n.Size {
		t.Errorf("stat: %+v, %v; want %d bytes missing", st, err, n.Size)
	}
	echotest.SendChunks(t, w.adas, w.bobs)
	if got, err := readBlob(w.bob, n); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(content))
	}
	if st := w.bobs.BlobState(); st != (echo.BlobState{}) {
		t.Errorf("got %+v, want nothing missing", st)
	}
	st, err := w.bob.Stat(context.Background(), n.Ino)
	if err != nil || st.Kind != "blob" || st.Missing != 0 {
		t.Errorf("stat: %+v, %v; want kind blob", st, err)
	}
}

func TestAChunkThatIsAnotherIsRefused(t *testing.T) {
	w := newWorld(t)
	if err := w.adas.PutChunk([32]byte{1}, binary("x", 200)); !errors.Is(err, echo.ErrPeerFault) {
		t.Errorf("got %v, want ErrPeerFault", err)
	}
}

// TestAReaderWaitsForAChunk reads what is not here while it comes.
func TestAReaderWaitsForAChunk(t *testing.T) {
	w := newWorld(t)
	content := binary("late", 100)
	writeBlob(t, w.ada, "notes/a.bin", content, echo.BlobVersion{})
	settleSpaces(t, w.adas)
	echotest.Exchange(t, w.adas, w.bobs)
	sub := w.bob.Subscribe(echo.Chunks)
	defer sub.Close()
	v := version(t, w.bob, "notes/a.bin")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := w.bob.OpenBlob(ctx, w.bobs.ID(), v)
		done <- err
	}()
	<-sub.C()
	echotest.SendChunks(t, w.adas, w.bobs)
	if err := <-done; err != nil {
		t.Errorf("got %v, want the content", err)
	}
}

func TestConcurrentSavesAreBothKept(t *testing.T) {
	w := newWorld(t)
	writeBlob(t, w.ada, "notes/a.png", binary("first", 100), echo.BlobVersion{})
	settleSpaces(t, w.adas)
	exchangeAll(t, w.adas, w.bobs)
	base := version(t, w.bob, "notes/a.png")
	writeBlob(t, w.ada, "notes/a.png", binary("ada", 100), base)
	writeBlob(t, w.ada, "notes/a.png", binary("ada again", 100), version(t, w.ada, "notes/a.png"))
	writeBlob(t, w.bob, "notes/a.png", binary("bob", 100), base)
	exchangeAll(t, w.adas, w.bobs)
	all := blobs(t, w.ada, w.adas)
	if others := blobs(t, w.bob, w.bobs); !maps.Equal(all, others) || len(all) != 2 {
		t.Fatalf("got %q and %q, want the same two files", slices.Collect(maps.Keys(all)), slices.Collect(maps.Keys(others)))
	}
	if all["a.png"] != string(binary("ada again", 100)) {
		t.Error("the version with more saves does not have the name")
	}
	beside := besideOf(t, all, "a.png")

	// A save of the one leaves the other alone.
	writeBlob(t, w.bob, "notes/a.png", binary("third", 100), version(t, w.bob, "notes/a.png"))
	exchangeAll(t, w.adas, w.bobs)
	if got := blobs(t, w.ada, w.adas); len(got) != 2 || got[beside] != all[beside] || got["a.png"] != string(binary("third", 100)) {
		t.Errorf("after another save: %d files", len(got))
	}
	// A rename makes it an object of its own.
	rename(t, w.bob, "notes/"+beside, "notes/other.png")
	settleSpaces(t, w.bobs)
	exchangeAll(t, w.adas, w.bobs)
	got := blobs(t, w.ada, w.adas)
	if len(got) != 2 || got["other.png"] != all[beside] || got["a.png"] != string(binary("third", 100)) {
		t.Errorf("after a rename: %q", slices.Collect(maps.Keys(got)))
	}
}

func besideOf(tb testing.TB, all map[string]string, name string) string {
	tb.Helper()
	stem, ext, _ := strings.Cut(name, ".")
	for n := range all {
		if strings.HasPrefix(n, stem+"@") && strings.HasSuffix(n, "."+ext) && len(n) == len(name)+7 {
			return n
		}
	}
	tb.Fatalf("no version beside %s among %q", name, slices.Collect(maps.Keys(all)))
	return ""
}

func rename(tb testing.TB, v *echotest.Vault, from, to string) {
	tb.Helper()
	n, err := v.Resolve(from)
	if err != nil {
		tb.Fatal(err)
	}
	dir, name := split(to)
	parent, err := v.Resolve(dir)
	if err != nil {
		tb.Fatal(err)
	}
	if _, _, err := v.Move(context.Background(), n.Ino, parent.Ino, name, false); err != nil {
		tb.Fatal(err)
	}
}

func TestRemovingOneOfTwoVersionsLeavesTheOther(t *testing.T) {
	for _, which := range []string{"named", "beside"} {
		t.Run(which, func(t *testing.T) {
			w := newWorld(t)
			writeBlob(t, w.ada, "notes/a.png", binary("first", 100), echo.BlobVersion{})
			settleSpaces(t, w.adas)
			exchangeAll(t, w.adas, w.bobs)
			base := version(t, w.bob, "notes/a.png")
			writeBlob(t, w.ada, "notes/a.png", binary("ada", 100), base)
			writeBlob(t, w.bob, "notes/a.png", binary("bob", 100), base)
			exchangeAll(t, w.adas, w.bobs)
			all := blobs(t, w.ada, w.adas)
			name := "a.png"
			if which == "beside" {
				name = besideOf(t, all, "a.png")
			}
			remove(t, w.ada, "notes/"+name)
			exchangeAll(t, w.adas, w.bobs)
			got := blobs(t, w.bob, w.bobs)
			if len(got) != 1 || got["a.png"] == all[name] {
				t.Errorf("%q is left", got)
			}
		})
	}
}

// TestAFileChangesItsKind saves what is no text over a text that somebody else
// edits at the same time, and the other way round.
func TestAFileChangesItsKind(t *testing.T) {
	t.Run("text to blob", func(t *testing.T) {
		w := newWorld(t)
		write(t, w.ada, "notes/a.txt", "one\n")
		settleSpaces(t, w.adas)
		exchangeAll(t, w.adas, w.bobs)
		before, _ := w.ada.Resolve("notes/a.txt")
		writeBlob(t, w.ada, "notes/a.txt", binary("two", 100), echo.BlobVersion{})
		if after, _ := w.ada.Resolve("notes/a.txt"); after.Ino != before.Ino || after.Kind != echo.KindBlob {
			t.Errorf("got %+v, want a blob with the number of the text", after)
		}
		write(t, w.bob, "notes/a.txt", "one\nand more\n")
		settleSpaces(t, w.adas)
		exchangeAll(t, w.adas, w.bobs)
		wantBoth(t, w, "one\nand more\n", string(binary("two", 100)))
	})
	t.Run("blob to text", func(t *testing.T) {
		w := newWorld(t)
		writeBlob(t, w.ada, "notes/a.txt", binary("one", 100), echo.BlobVersion{})
		settleSpaces(t, w.adas)
		exchangeAll(t, w.adas, w.bobs)
		write(t, w.ada, "notes/a.txt", "now a text\n")
		writeBlob(t, w.bob, "notes/a.txt", binary("two", 100), version(t, w.bob, "notes/a.txt"))
		settleSpaces(t, w.adas)
		exchangeAll(t, w.adas, w.bobs)
		wantBoth(t, w, "now a text\n", string(binary("two", 100)))
	})
	t.Run("alone", func(t *testing.T) {
		w := newWorld(t)
		write(t, w.ada, "notes/a.txt", "one\n")
		settleSpaces(t, w.adas)
		writeBlob(t, w.ada, "notes/a.txt", binary("two", 100), echo.BlobVersion{})
		settleSpaces(t, w.adas)
		exchangeAll(t, w.adas, w.bobs)
		if got := blobs(t, w.bob, w.bobs); len(got) != 1 || got["a.txt"] != string(binary("two", 100)) {
			t.Errorf("got %q, want the blob alone", got)
		}
	})
}

func wantBoth(tb testing.TB, w *world, contents ...string) {
	tb.Helper()
	a, b := blobs(tb, w.ada, w.adas), blobs(tb, w.bob, w.bobs)
	if !maps.Equal(a, b) {
		tb.Errorf("the vaults differ: %q and %q", a, b)
	}
	got := slices.Sorted(maps.Values(a))
	slices.Sort(contents)
	if !slices.Equal(got, contents) {
		tb.Errorf("got %q, want %q", got, contents)
	}
}

func TestHistoryOfABlob(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	writeBlob(t, w.ada, "notes/a.bin", binary("one", 200), echo.BlobVersion{})
	settleSpaces(t, w.adas)
	writeBlob(t, w.ada, "notes/a.bin", binary("two", 200), version(t, w.ada, "notes/a.bin"))
	n, err := w.ada.Resolve("notes/a.bin")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := summaries(t, w.ada, "notes/a.bin"), []string{"created", "changed"}; !slices.Equal(got, want) {
		t.Errorf("log: got %q, want %q", got, want)
	}
	old, err := w.ada.BlobAt(ctx, n.Ino, "1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ada.OpenBlob(ctx, n.Space, old); err != nil {
		t.Errorf("the old version: %v", err)
	}
	if _, err := w.ada.Restore(ctx, n.Ino, "1"); err != nil {
		t.Fatal(err)
	}
	if got := blobs(t, w.ada, w.adas)["a.bin"]; got != string(binary("one", 200)) {
		t.Error("restore did not bring the old content back")
	}
	if _, err := w.ada.UndoLast(ctx, n.Ino); err != nil {
		t.Fatal(err)
	}
	if got := blobs(t, w.ada, w.adas)["a.bin"]; got != string(binary("two", 200)) {
		t.Error("undo did not bring the newer content back")
	}
	removed(t, w.ada, "notes/a.bin")
	if _, err := w.adas.CollectChunks(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ada.RestoreDeleted(ctx, w.adas.ID(), n.ID); err != nil {
		t.Fatal(err)
	}
	if got := blobs(t, w.ada, w.adas)["a.bin"]; got != string(binary("two", 200)) {
		t.Error("what came back from the trash is not what was removed")
	}
}

func TestCollectingKeepsWhatIsNeeded(t *testing.T) {
	store := blob.NewMem()
	v := echotest.NewVault(t, "ada", echo.Options{Chunks: func(echo.SpaceID) (blob.Store, error) { return store, nil }})
	ctx := context.Background()
	s, err := v.CreateSpace(ctx, "notes")
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		_ = store.Walk(func(blob.Address, int64) error { n++; return nil })
		return n
	}
	writeBlob(t, v, "notes/a.bin", binary("one", 2<<20), echo.BlobVersion{})
	settleSpaces(t, s)
	one := version(t, v, "notes/a.bin")
	writeBlob(t, v, "notes/a.bin", binary("two", 2<<20), one)
	two := count()
	_ = store.Put(blob.Address{1}, binary("orphan", 100))
	if _, err := s.CollectChunks(ctx, time.Hour); err != nil || count() != two {
		t.Errorf("%d chunks are left, %v; want all %d but the orphan", count(), err, two)
	}
	release := v.HoldBlob(s.ID(), one.Root)
	if _, err := s.CollectChunks(ctx, -time.Hour); err != nil || count() != two {
		t.Errorf("%d chunks are left, %v; want all %d of a version in use", count(), err, two)
	}
	release()
	freed, err := s.CollectChunks(ctx, -time.Hour)
	if err != nil || count() != two/2 || freed < 2<<20 {
		t.Errorf("%d chunks are left, %d bytes freed, %v; want %d", count(), freed, err, two/2)
	}
	if got := blobs(t, v, s)["a.bin"]; got != string(binary("two", 2<<20)) {
		t.Error("the content is not what was saved last")
	}
}

func TestAWorkFileIsSavedByItsChanges(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	content := binary("large", 3<<20)
	writeBlob(t, w.ada, "notes/a.bin", content, echo.BlobVersion{})
	settleSpaces(t, w.adas)
	n, _ := w.ada.Resolve("notes/a.bin")
	base, _ := n.Blob()
	r, err := w.ada.OpenBlob(ctx, n.Space, base)
	if err != nil {
		t.Fatal(err)
	}
	work, err := blob.NewWork(filepath.Join(t.TempDir(), "work"), nil, r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = work.Close(false) }()
	if err := work.WriteAt(ctx, []byte("here"), 1<<20); err != nil {
		t.Fatal(err)
	}
	saved, err := w.ada.SaveBlob(ctx, echo.BlobSave{Ino: n.Ino, Work: work, Base: base})
	if err != nil || !saved.Changed {
		t.Fatalf("got %+v, %v", saved, err)
	}
	copy(content[1<<20:], "here")
	if got := blobs(t, w.ada, w.adas)["a.bin"]; got != string(content) {
		t.Error("the saved content differs")
	}
	if saved, err = w.ada.SaveBlob(ctx, echo.BlobSave{Ino: n.Ino, Work: work, Base: base}); err != nil || saved.Changed {
		t.Errorf("a second save: %+v, %v; want nothing changed", saved, err)
	}
}

// TestBlobsConverge lets three vaults save, rename and remove, apart and
// together: all of them show the same in the end, and no version is lost that
// nobody replaced or removed knowingly.
func TestBlobsConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		cleo := echotest.NewVault(t, "cleo", echo.Options{})
		vaults := []*echotest.Vault{w.ada, w.bob, cleo}
		spaces := []*echo.Space{w.adas, w.bobs, w.ada.Invite(w.adas, cleo, halo.RoleEditor)}
		writeBlob(t, w.ada, "notes/a.bin", binary("begin", 10), echo.BlobVersion{})
		settleSpaces(t, w.adas)
		live := map[string]bool{string(binary("begin", 10)): true}
		seen := []map[string]string{}
		for i := 1; i < 3; i++ {
			exchangeAll(t, spaces[0], spaces[i])
		}
		for i := range vaults {
			seen = append(seen, blobs(t, vaults[i], spaces[i]))
		}
		for step := range rapid.IntRange(1, 10).Draw(rt, "steps") {
			i := rapid.IntRange(0, 2).Draw(rt, "who")
			names := slices.Sorted(maps.Keys(seen[i]))
			if len(names) == 0 {
				continue
			}
			name := rapid.SampledFrom(names).Draw(rt, "name")
			switch rapid.SampledFrom([]string{"save", "save", "remove", "meet"}).Draw(rt, "what") {
			case "save":
				content := binary(fmt.Sprintf("%d-%d", i, step), 10)
				writeBlob(t, vaults[i], "notes/"+name, content, version(t, vaults[i], "notes/"+name))
				live[string(content)] = true
				delete(live, seen[i][name])
			case "remove":
				if len(names) == 1 {
					continue // deletes the object: see TestDelete
				}
				remove(t, vaults[i], "notes/"+name)
				delete(live, seen[i][name])
			case "meet":
				j := (i + 1) % 3
				settleSpaces(t, spaces[i], spaces[j])
				exchangeAll(t, spaces[i], spaces[j])
				seen[j] = blobs(t, vaults[j], spaces[j])
			}
			seen[i] = blobs(t, vaults[i], spaces[i])
		}
		settleSpaces(t, spaces...)
		for i, v := range vaults {
			reopen(t, v) // closing does what waits for its time: removals
			spaces[i], _ = v.SpaceByID(spaces[i].ID())
		}
		for range 2 {
			for i := range spaces {
				exchangeAll(t, spaces[i], spaces[(i+1)%3])
			}
		}
		all := blobs(t, vaults[0], spaces[0])
		for i := 1; i < 3; i++ {
			if got := blobs(t, vaults[i], spaces[i]); !maps.Equal(got, all) {
				rt.Fatalf("vault %d shows %q, vault 0 %q", i, got, all)
			}
		}
		for content := range live {
			if !slices.Contains(slices.Collect(maps.Values(all)), content) {
				rt.Fatalf("%q is lost; there is %q", content, all)
			}
		}
	})
}
