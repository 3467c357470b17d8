package echo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/echotest"
)

func TestRestoreAnOldContent(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	put(t, w.ada, "notes/f.json", `{"x": 1, "s": "two words"}`)
	write(t, w.ada, "notes/f.json", `{"x": 2, "y": [1, 2], "s": "two other words"}`)
	put(t, w.ada, "notes/t.md", "one\n")
	write(t, w.ada, "notes/t.md", "one\ntwo\n")
	for path, want := range map[string]string{"notes/f.json": "{\"s\":\"two words\",\"x\":1}\n", "notes/t.md": "one\n"} {
		n, _ := w.ada.Resolve(path)
		saved, err := w.ada.Restore(ctx, n.Ino, "1")
		if err != nil || !saved.Changed {
			t.Fatalf("restore %s: %+v, %v", path, saved, err)
		}
		if got := show(t, w.ada, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
		if revs, _ := w.ada.History(ctx, n.Ino); len(revs) != 3 {
			t.Errorf("%s has %d revisions, want 3", path, len(revs))
		}
		if _, err := w.ada.Restore(ctx, n.Ino, "9"); !errors.Is(err, echo.ErrBadRevision) {
			t.Errorf("restore a revision that is not there: %v", err)
		}
	}
}

func TestUndo(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	put(t, w.ada, "notes/f.json", `{"x":1,"y":1,"l":["a"]}`)
	put(t, w.ada, "notes/t.md", "one two three\n")
	echotest.Exchange(t, w.adas, w.bobs)
	write(t, w.ada, "notes/f.json", `{"x":2,"y":2,"l":["a","b"]}`)
	write(t, w.ada, "notes/t.md", "one 2 three\n")
	echotest.Exchange(t, w.adas, w.bobs)
	write(t, w.bob, "notes/f.json", `{"x":3,"y":2,"l":["a","b","c"]}`)
	write(t, w.bob, "notes/t.md", "one 2 three four\n")
	echotest.Exchange(t, w.adas, w.bobs)
	undo := func(path string) {
		n, _ := w.ada.Resolve(path)
		if _, err := w.ada.UndoLast(ctx, n.Ino); err != nil {
			t.Fatal(err)
		}
	}
	undo("notes/f.json")
	undo("notes/t.md")
	echotest.Exchange(t, w.adas, w.bobs)
	for path, want := range map[string]string{
		"notes/f.json": "{\"l\":[\"a\",\"c\"],\"x\":3,\"y\":1}\n", // x is bob's, y as before
		"notes/t.md":   "one two three four\n",
	} {
		if a, b := show(t, w.ada, path), show(t, w.bob, path); a != want || b != want {
			t.Errorf("%s: ada has %q, bob has %q, want %q", path, a, b, want)
		}
	}
	mustMove(t, w.ada, "notes/t.md", "notes/u.md")
	undo("notes/u.md")
	if got := show(t, w.ada, "notes/t.md"); got != "one two three four\n" {
		t.Errorf("after undoing a rename: %q", got)
	}
	put(t, w.ada, "notes/new.json", `{}`)
	n, _ := w.ada.Resolve("notes/new.json")
	if _, err := w.ada.UndoLast(ctx, n.Ino); !errors.Is(err, echo.ErrNothingToUndo) {
		t.Errorf("undo of a creation: %v", err)
	}
	checkVaults(t, w.ada, w.bob)
}

func TestTrash(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	mkdir(t, w.ada, "notes/d")
	put(t, w.ada, "notes/d/f.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	removed(t, w.ada, "notes/d/f.json")
	dir, _ := w.ada.Resolve("notes/d")
	if err := w.ada.RemoveDir(ctx, dir.Ino); err != nil {
		t.Fatal(err)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w)
	trash, err := w.bobs.Trash(ctx)
	if err != nil || len(trash) != 2 {
		t.Fatalf("trash: %+v, %v; want two objects", trash, err)
	}
	for _, x := range trash {
		if x.By != "ada" || x.Device != "ada-device" || x.Deleted.IsZero() || x.Waiting {
			t.Errorf("%s was deleted by %q on %q at %v", x.Path, x.By, x.Device, x.Deleted)
		}
	}
	file := trash[slices.IndexFunc(trash, func(x echo.Trashed) bool { return x.Path == "d/f.json" })]
	folder := trash[slices.IndexFunc(trash, func(x echo.Trashed) bool { return x.Path == "d" })]
	n, err := w.bob.RestoreDeleted(ctx, w.bobs.ID(), file.ID)
	if err != nil || n.Parent != w.bobs.Ino() || n.Name != "f.json" {
		t.Fatalf("restored as %+v, %v; want it in the root, since its folder is gone", n, err)
	}
	if _, err := w.bob.RestoreDeleted(ctx, w.bobs.ID(), file.ID); !errors.Is(err, echo.ErrNotFound) {
		t.Errorf("restored again: %v, want ErrNotFound", err)
	}
	if _, err := w.bob.RestoreDeleted(ctx, w.bobs.ID(), folder.ID); err != nil {
		t.Fatal(err)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "d/", "d/f.json")
	checkVaults(t, w.ada, w.bob)
}

// removeTree is rm -r.
func removeTree(tb testing.TB, v *echotest.Vault, dir echo.Ino) {
	tb.Helper()
	var children []echo.Node
	if err := v.List(dir, 0, func(n echo.Node) bool { children = append(children, n); return true }); err != nil {
		tb.Fatal(err)
	}
	for _, n := range children {
		if n.Kind.IsDir() {
			removeTree(tb, v, n.Ino)
		} else if err := v.Remove(context.Background(), n.Ino); err != nil {
			tb.Fatal(err)
		}
	}
	if err := v.RemoveDir(context.Background(), dir); err != nil {
		tb.Fatal(err)
	}
}

// many makes a tree of n files in two folders.
func many(t *testing.T, w *world, n int) []string {
	t.Helper()
	mkdir(t, w.ada, "notes/d")
	mkdir(t, w.ada, "notes/d/e")
	for i := range n {
		put(t, w.ada, fmt.Sprintf("notes/d/e/%d.json", i), `{}`)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	return tree(t, w.ada, w.adas.Ino())
}

func TestLargeRemovalsAreHeld(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.ada.Opts.HoldAfter, w.ada.Opts.HoldFor = 5, time.Minute
	reopen(t, w.ada)
	w.adas, _ = w.ada.SpaceByID(w.adas.ID())
	before := many(t, w, 10)
	d, _ := w.ada.Resolve("notes/d")
	removeTree(t, w.ada, d.Ino)
	for range 2 { // the second time after a restart
		if got := tree(t, w.ada, w.adas.Ino()); len(got) != 0 {
			t.Errorf("after removing: %q", got)
		}
		held := w.ada.HeldDeletes()
		if len(held) != 1 || held[0].Count != 12 || held[0].Space != w.adas.ID() || time.Until(held[0].Until) < 30*time.Second {
			t.Fatalf("held: %+v, want 12 objects for a minute", held)
		}
		reopen(t, w.ada)
		w.adas, _ = w.ada.SpaceByID(w.adas.ID())
	}
	echotest.Exchange(t, w.adas, w.bobs)
	if got := tree(t, w.bob, w.bobs.Ino()); !slices.Equal(got, before) {
		t.Errorf("bob has %q, want %q", got, before)
	}
	put(t, w.bob, "notes/d/e/new.json", `{}`)
	echotest.Exchange(t, w.adas, w.bobs)
	if got := tree(t, w.ada, w.adas.Ino()); !slices.Equal(got, []string{"new.json"}) {
		t.Errorf("a file that arrives in a removed folder: %q", got)
	}
	n, err := w.ada.CancelHeld(ctx, w.adas.ID())
	if err != nil || n != 12 {
		t.Fatalf("cancelled %d, %v; want 12", n, err)
	}
	want := append(slices.Clone(before), "d/e/new.json")
	sameTree(t, w, want...)
	if held := w.ada.HeldDeletes(); len(held) != 0 {
		t.Errorf("held after cancelling: %+v", held)
	}
	checkVaults(t, w.ada, w.bob)
}

func TestHeldRemovalsGoOn(t *testing.T) {
	w := newWorld(t)
	w.ada.Opts.HoldAfter, w.ada.Opts.HoldFor = 3, 50*time.Millisecond
	reopen(t, w.ada)
	w.adas, _ = w.ada.SpaceByID(w.adas.ID())
	many(t, w, 5)
	d, _ := w.ada.Resolve("notes/d")
	sub := w.ada.Subscribe(echo.Log)
	defer sub.Close()
	removeTree(t, w.ada, d.Ino)
	waitFor(t, sub, func() bool {
		trash, err := w.adas.Trash(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return len(trash) == 7 && !slices.ContainsFunc(trash, func(x echo.Trashed) bool { return x.Waiting })
	})
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w)
	checkVaults(t, w.ada, w.bob)
}
