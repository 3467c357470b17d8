package echo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"echofs/echo"
	"echofs/echo/echotest"
)

// tree lists all paths of a space, sorted, folders with a slash at the end.
func tree(tb testing.TB, v *echotest.Vault, root echo.Ino) []string {
	tb.Helper()
	var out []string
	var walk func(ino echo.Ino, prefix string)
	walk = func(ino echo.Ino, prefix string) {
		var after echo.Ino
		err := v.List(ino, 0, func(n echo.Node) bool {
			if n.Ino <= after {
				tb.Errorf("listing is not in ascending order of inode numbers")
			}
			after = n.Ino
			if n.Kind.IsDir() {
				out = append(out, prefix+n.Name+"/")
				walk(n.Ino, prefix+n.Name+"/")
			} else {
				out = append(out, prefix+n.Name)
			}
			if found, err := v.Lookup(ino, n.Name); err != nil || found.Ino != n.Ino {
				tb.Errorf("lookup of listed %q: %v, %v", n.Name, found.Ino, err)
			}
			return true
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	walk(root, "")
	slices.Sort(out)
	return out
}

func mkdir(tb testing.TB, v *echotest.Vault, path string) echo.Node {
	tb.Helper()
	dir, name := split(path)
	parent, err := v.Resolve(dir)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := v.Mkdir(context.Background(), parent.Ino, name, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if err := v.Settle(context.Background(), n.Ino); err != nil {
		tb.Fatal(err)
	}
	return n
}

func move(tb testing.TB, v *echotest.Vault, from, to string) error {
	tb.Helper()
	n, err := v.Resolve(from)
	if err != nil {
		return err
	}
	dir, name := split(to)
	parent, err := v.Resolve(dir)
	if err != nil {
		return err
	}
	_, _, err = v.Move(context.Background(), n.Ino, parent.Ino, name, true)
	return err
}

func mustMove(tb testing.TB, v *echotest.Vault, from, to string) {
	tb.Helper()
	if err := move(tb, v, from, to); err != nil {
		tb.Fatalf("move %s to %s: %v", from, to, err)
	}
}

func put(tb testing.TB, v *echotest.Vault, path, content string) {
	tb.Helper()
	write(tb, v, path, content)
	settle(tb, v, path)
}

func sameTree(t *testing.T, w *world, want ...string) {
	t.Helper()
	slices.Sort(want)
	for name, got := range map[string][]string{"ada": tree(t, w.ada, w.adas.Ino()), "bob": tree(t, w.bob, w.bobs.Ino())} {
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
}

func TestFoldersAndRenamesReplicate(t *testing.T) {
	w := newWorld(t)
	mkdir(t, w.ada, "notes/a")
	put(t, w.ada, "notes/a/f.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "a/", "a/f.json")
	mustMove(t, w.bob, "notes/a/f.json", "notes/g.json")
	mustMove(t, w.bob, "notes/a", "notes/b")
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "b/", "g.json")
}

func TestNewFolderAndNewNameAreThereAtOnce(t *testing.T) {
	w := newWorld(t)
	w.ada.Opts.SettleDelay = time.Minute
	reopen(t, w.ada)
	space, _ := w.ada.Resolve("notes")
	ctx := context.Background()
	if _, err := w.ada.Mkdir(ctx, space.Ino, "d", 0); err != nil {
		t.Fatal(err)
	}
	write(t, w.ada, "notes/f.json", `{"x":1}`)
	mustMove(t, w.ada, "notes/f.json", "notes/d/f.json")
	local, err := w.ada.CreateFile(ctx, space.Ino, ".g.json.swp", 0)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := w.ada.Attach(ctx, local.Ino, space.Ino, "g.json", echo.Save{Data: []byte(`{"y":1}`)})
	if err != nil || saved.Node.Ino != local.Ino || saved.Node.Kind != echo.KindObject {
		t.Fatalf("a local file that gets an object's name: %+v, %v", saved, err)
	}
	if got, want := tree(t, w.ada, space.Ino), []string{"d/", "d/f.json", "g.json"}; !slices.Equal(got, want) {
		t.Errorf("tree %q, want %q", got, want)
	}
}

func TestSameNamesGetASuffix(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"by":"ada"}`)
	put(t, w.bob, "notes/f.json", `{"by":"bob"}`)
	echotest.Exchange(t, w.adas, w.bobs)
	a, b := tree(t, w.ada, w.adas.Ino()), tree(t, w.bob, w.bobs.Ino())
	if !slices.Equal(a, b) || len(a) != 2 || !slices.Contains(a, "f.json") {
		t.Fatalf("ada has %q, bob has %q, want the same two names, one of them plain", a, b)
	}
	other := a[0]
	if other == "f.json" {
		other = a[1]
	}
	if !strings.HasPrefix(other, "f@") || !strings.HasSuffix(other, ".json") {
		t.Errorf("the other name is %q", other)
	}
	mustMove(t, w.ada, "notes/f.json", "notes/first.json")
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "first.json", "f.json")
}

func TestConcurrentMovesIntoEachOther(t *testing.T) {
	w := newWorld(t)
	mkdir(t, w.ada, "notes/a")
	mkdir(t, w.ada, "notes/b")
	put(t, w.ada, "notes/a/f.json", `{}`)
	echotest.Exchange(t, w.adas, w.bobs)
	mustMove(t, w.ada, "notes/a", "notes/b/a")
	mustMove(t, w.bob, "notes/b", "notes/a/b")
	echotest.Exchange(t, w.adas, w.bobs)
	a, b := tree(t, w.ada, w.adas.Ino()), tree(t, w.bob, w.bobs.Ino())
	if !slices.Equal(a, b) || len(a) != 3 {
		t.Fatalf("ada has %q, bob has %q, want the same three nodes", a, b)
	}
	if err := move(t, w.ada, "notes/b", "notes/b/a/b"); err == nil {
		t.Error("a folder was moved into itself")
	}
}

func TestRemovedFolderKeepsConcurrentFile(t *testing.T) {
	w := newWorld(t)
	dir := mkdir(t, w.ada, "notes/a")
	echotest.Exchange(t, w.adas, w.bobs)
	put(t, w.bob, "notes/a/f.json", `{}`)
	if err := w.ada.RemoveDir(context.Background(), dir.Ino); err != nil {
		t.Fatal(err)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "f.json")
}

// remove unlinks and waits until the object is marked deleted.
func remove(tb testing.TB, v *echotest.Vault, path string) {
	tb.Helper()
	n, err := v.Resolve(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := v.Remove(context.Background(), n.Ino); err != nil {
		tb.Fatal(err)
	}
}

func TestRemovedAndRecreatedFileIsTheSameObject(t *testing.T) {
	w := newWorld(t)
	w.ada.Opts.RemoveGrace = time.Minute
	reopen(t, w.ada)
	put(t, w.ada, "notes/f.json", `{"x":1,"y":1}`)
	before, _ := w.ada.Resolve("notes/f.json")
	remove(t, w.ada, "notes/f.json")
	if _, err := w.ada.Resolve("notes/f.json"); !errors.Is(err, echo.ErrNotFound) {
		t.Errorf("after removing: %v", err)
	}
	parent, _ := w.ada.Resolve("notes")
	n, err := w.ada.CreateFile(context.Background(), parent.Ino, "f.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	if n.ID != before.ID || n.Ino == before.Ino {
		t.Errorf("re-created as object %s inode %d, was object %s inode %d", n.ID, n.Ino, before.ID, before.Ino)
	}
	if got := read(t, w.ada, "notes/f.json"); got != "" {
		t.Errorf("a re-created file holds %q", got)
	}
	write(t, w.ada, "notes/f.json", `{"x":1,"y":2}`)
	if got := show(t, w.ada, "notes/f.json"); got != "{\"x\":1,\"y\":2}\n" {
		t.Errorf("after the save: %s", got)
	}
	if history, err := w.ada.History(context.Background(), n.Ino); err != nil || len(history) != 2 {
		t.Errorf("history %+v, %v; want two revisions", history, err)
	}
}

func reopen(tb testing.TB, v *echotest.Vault) {
	tb.Helper()
	if err := v.Close(); err != nil {
		tb.Fatal(err)
	}
	v.Open()
}

func TestRemovedFileIsDeletedForAll(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	remove(t, w.ada, "notes/f.json")
	reopen(t, w.ada) // closing does what waits for its time
	w.adas, _ = w.ada.SpaceByID(w.adas.ID())
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w)
}

func TestBackupByRenameKeepsTheObject(t *testing.T) {
	w := newWorld(t)
	w.ada.Opts.RemoveGrace = time.Minute
	reopen(t, w.ada)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	before, _ := w.ada.Resolve("notes/f.json")
	ctx := context.Background()
	local, _, err := w.ada.Detach(ctx, before.Ino, before.Parent, "f.json~")
	if err != nil {
		t.Fatal(err)
	}
	if local.Kind != echo.KindLocal || local.Ino != before.Ino || local.Origin != before.ID {
		t.Errorf("the backup is %+v", local)
	}
	n, err := w.ada.CreateFile(ctx, before.Parent, "f.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	if n.ID != before.ID {
		t.Errorf("re-created as another object")
	}
	write(t, w.ada, "notes/f.json", `{"x":2}`)
	if err := w.ada.Remove(ctx, local.Ino); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, w.ada, before.Parent); !slices.Equal(got, []string{"f.json"}) {
		t.Errorf("tree %q", got)
	}
	// A failed save: the editor renames the backup back.
	local, _, err = w.ada.Detach(ctx, n.Ino, before.Parent, "f.json~")
	if err != nil {
		t.Fatal(err)
	}
	saved, err := w.ada.Attach(ctx, local.Ino, before.Parent, "f.json", echo.Save{Data: []byte(`{"x":2}`)})
	if err != nil {
		t.Fatal(err)
	}
	if saved.Changed || saved.Node.ID != before.ID {
		t.Errorf("renaming the backup back: changed %v, object %s", saved.Changed, saved.Node.ID)
	}
}

func TestRenameOverAnObjectIsASave(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	before, _ := w.ada.Resolve("notes/f.json")
	write(t, w.ada, "notes/t", `{"x":2}`)
	tmp, _ := w.ada.Resolve("notes/t")
	saved, err := w.ada.Save(context.Background(), echo.Save{Ino: before.Ino, Data: []byte(`{"x":2}`), Consume: tmp.Ino})
	if err != nil || !saved.Changed {
		t.Fatalf("save: %+v, %v", saved, err)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "f.json")
	if got := show(t, w.bob, "notes/f.json"); got != "{\"x\":2}\n" {
		t.Errorf("bob has %s", got)
	}
}

func TestNewObjectsReplicateByThemselves(t *testing.T) {
	w := newWorld(t)
	sub := w.ada.Subscribe(echo.Log)
	defer sub.Close()
	write(t, w.ada, "notes/f.json", `{"x":1}`)
	select {
	case <-sub.C():
	case <-time.After(10 * time.Second):
		t.Fatal("no entry was written for a new object")
	}
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "f.json")
}

// TestTreesConverge lets three vaults create, move and remove at random with
// partial exchanges in between: in the end all show the same tree, and every
// object that nobody deleted is in it.
func TestTreesConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		vaults := []*echotest.Vault{w.ada, w.bob}
		spaces := []*echo.Space{w.adas, w.bobs}
		steps := rapid.IntRange(5, 40).Draw(rt, "steps")
		for i := range steps {
			who := rapid.IntRange(0, 1).Draw(rt, "who")
			randomStep(rt, t, vaults[who], spaces[who], i)
			if rapid.IntRange(0, 5).Draw(rt, "exchange") == 0 {
				echotest.Exchange(t, spaces[0], spaces[1])
			}
		}
		for i, v := range vaults {
			reopen(t, v) // closing does what waits for its time
			spaces[i], _ = v.SpaceByID(spaces[i].ID())
		}
		echotest.Exchange(t, spaces[0], spaces[1])
		a, b := tree(t, w.ada, w.adas.Ino()), tree(t, w.bob, w.bobs.Ino())
		if !slices.Equal(a, b) {
			rt.Fatalf("ada has %q\nbob has %q", a, b)
		}
		for _, v := range vaults {
			report, err := v.Fsck(context.Background(), false)
			if err != nil || len(report.Problems) > 0 {
				rt.Fatalf("fsck: %v %v", report.Problems, err)
			}
		}
	})
}

func randomStep(rt *rapid.T, t *testing.T, v *echotest.Vault, s *echo.Space, i int) {
	paths := tree(t, v, s.Ino())
	folders := []string{"notes"}
	for _, p := range paths {
		if strings.HasSuffix(p, "/") {
			folders = append(folders, "notes/"+strings.TrimSuffix(p, "/"))
		}
	}
	into := rapid.SampledFrom(folders).Draw(rt, "into")
	name := fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "name"), i%3)
	switch op := rapid.IntRange(0, 3).Draw(rt, "op"); {
	case op == 0:
		if _, err := v.Resolve(into + "/" + name); err != nil {
			mkdir(t, v, into+"/"+name)
		}
	case op == 1:
		if n, err := v.Resolve(into + "/" + name + ".json"); err != nil || !n.Kind.IsDir() {
			put(t, v, into+"/"+name+".json", fmt.Sprintf(`{"i":%d}`, i))
		}
	case len(paths) == 0:
	case op == 2:
		from := strings.TrimSuffix(rapid.SampledFrom(paths).Draw(rt, "from"), "/")
		_ = move(t, v, "notes/"+from, into+"/"+name) // may be refused
	default:
		victim := strings.TrimSuffix(rapid.SampledFrom(paths).Draw(rt, "victim"), "/")
		n, err := v.Resolve("notes/" + victim)
		if err != nil {
			t.Fatal(err)
		}
		if n.Kind.IsDir() {
			_ = v.RemoveDir(context.Background(), n.Ino) // may be refused
		} else if err := v.Remove(context.Background(), n.Ino); err != nil {
			t.Fatal(err)
		}
	}
}
