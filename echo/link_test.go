package echo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"echofs/echo"
	"echofs/echo/echotest"
)

func link(tb testing.TB, v *echotest.Vault, path, target string) error {
	tb.Helper()
	dir, name := split(path)
	parent, err := v.Resolve(dir)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := v.CreateLink(context.Background(), parent.Ino, name, target)
	if err != nil {
		return err
	}
	if !n.Kind.IsLocal() {
		err = v.Settle(context.Background(), n.Ino)
	}
	return err
}

func target(tb testing.TB, v *echotest.Vault, path string) (string, error) {
	tb.Helper()
	n, err := v.Resolve(path)
	if err != nil {
		tb.Fatal(err)
	}
	return v.Target(n)
}

func TestCheckTarget(t *testing.T) {
	for _, c := range []struct {
		target string
		depth  int
		ok     bool
	}{
		{"a.json", 0, true},
		{"./a//b/", 0, true},
		{".", 0, true},
		{"../a", 1, true},
		{"../..", 2, true},
		{"", 0, false},
		{"/etc/shadow", 9, false},
		{"../a", 0, false},
		{"../../a", 1, false},
		{"a/../b", 3, false}, // where a leads is another link's matter
		{"../a/..", 3, false},
		{".echofs/trash", 0, false},
		{"a/.echofs", 0, false},
		{".git/config", 0, false},
		{"a\x00b", 0, false},
		{strings.Repeat("a/", 2047), 0, true},
		{strings.Repeat("a/", 2048), 0, false},
	} {
		err := echo.CheckTarget(c.target, c.depth)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, echo.ErrBadTarget) {
			t.Errorf("%.40q at depth %d: got %v, want ok %v", c.target, c.depth, err, c.ok)
		}
	}
}

// TestNoChainOfLinksLeavesTheSpace follows links of accepted targets on a disk:
// wherever they lead, together, it is in the directory that stands for the space.
func TestNoChainOfLinksLeavesTheSpace(t *testing.T) {
	dirs := []string{".", "a", "a/b", "a/b/c", "d"}
	parts := []string{"..", ".", "a", "b", "c", "d", "l0", "l1", "l2", "l3", "outside", ""}
	rapid.Check(t, func(rt *rapid.T) {
		top := t.TempDir()
		space := filepath.Join(top, "space")
		for _, dir := range append([]string{"../outside"}, dirs...) {
			if err := os.MkdirAll(filepath.Join(space, dir), 0o755); err != nil {
				rt.Fatal(err)
			}
		}
		var links []string
		for i := range rapid.IntRange(1, 12).Draw(rt, "links") {
			dir := rapid.SampledFrom(dirs).Draw(rt, "dir")
			to := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 6).Draw(rt, "target"), "/")
			depth := strings.Count("/"+dir, "/")
			if dir == "." {
				depth = 0
			}
			path := filepath.Join(space, dir, fmt.Sprintf("l%d", i%4))
			if echo.CheckTarget(to, depth) == nil && os.Symlink(to, path) == nil {
				links = append(links, path)
			}
		}
		for _, l := range links {
			real, err := filepath.EvalSymlinks(l) // an error: it leads nowhere, or in a circle
			if err == nil && real != space && !strings.HasPrefix(real, space+"/") {
				rt.Fatalf("%s leads to %s", l, real)
			}
		}
	})
}

func TestLinksReplicate(t *testing.T) {
	w := newWorld(t)
	mkdir(t, w.ada, "notes/d")
	put(t, w.ada, "notes/a.json", `{}`)
	if err := link(t, w.ada, "notes/d/l", "../a.json"); err != nil {
		t.Fatal(err)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "a.json", "d/", "d/l")
	n, err := w.bob.Resolve("notes/d/l")
	if err != nil || n.Kind != echo.KindLink || n.Size != int64(len("../a.json")) {
		t.Errorf("bob has %+v, %v, want a link", n, err)
	}
	if got, err := target(t, w.bob, "notes/d/l"); got != "../a.json" || err != nil {
		t.Errorf("bob's link: got %q, %v", got, err)
	}

	// Moved up, it would lead out: nobody follows it.
	mustMove(t, w.bob, "notes/d/l", "notes/l")
	echotest.Exchange(t, w.adas, w.bobs)
	for _, v := range []*echotest.Vault{w.ada, w.bob} {
		if got, err := target(t, v, "notes/l"); got != "" || !errors.Is(err, echo.ErrBadTarget) {
			t.Errorf("a link that leads out: got %q, %v, want ErrBadTarget", got, err)
		}
	}

	// A rename onto it gives it another target; it stays the object that it is.
	before, _ := w.ada.Resolve("notes/l")
	if err := link(t, w.ada, "notes/new", "a.json"); err != nil {
		t.Fatal(err)
	}
	fresh, _ := w.ada.Resolve("notes/new")
	if err := w.ada.Relink(context.Background(), fresh.Ino, before.Ino); err != nil {
		t.Fatal(err)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "a.json", "d/", "l")
	after, _ := w.bob.Resolve("notes/l")
	if got, err := target(t, w.bob, "notes/l"); got != "a.json" || err != nil || after.ID != before.ID {
		t.Errorf("got %q, %v, object %s; want a.json of object %s", got, err, after.ID, before.ID)
	}

	for _, v := range []*echotest.Vault{w.ada, w.bob} {
		if report, err := v.Fsck(context.Background(), false); err != nil || len(report.Problems) > 0 {
			t.Errorf("fsck: %q, %v", report.Problems, err)
		}
	}
	remove(t, w.bob, "notes/l")
	reopen(t, w.bob)
	w.bobs, _ = w.bob.SpaceByID(w.bobs.ID())
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "a.json", "d/")
}

func TestLinksRefused(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{}`)
	for _, to := range []string{"/etc/passwd", "../other/x", ".secret", ".echofs/status.json"} {
		if err := link(t, w.ada, "notes/l", to); !errors.Is(err, echo.ErrBadTarget) {
			t.Errorf("%q: got %v, want ErrBadTarget", to, err)
		}
	}
	if err := link(t, w.ada, "notes/f.json", "x"); !errors.Is(err, echo.ErrExists) {
		t.Errorf("a name that is taken: got %v, want ErrExists", err)
	}
	if err := link(t, w.ada, "notes/.l", "/etc/passwd"); err != nil {
		t.Errorf("a link of this machine: %v", err)
	}
	sameTreeOf(t, w.ada, "notes", ".l", "f.json")
}

// TestLinkReplacesAndIsReplaced renames links and files over each other.
func TestLinkReplacesAndIsReplaced(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	put(t, w.ada, "notes/g.json", `{"x":2}`)
	for _, name := range []string{"l", "k"} {
		if err := link(t, w.ada, "notes/"+name, "g.json"); err != nil {
			t.Fatal(err)
		}
	}
	echotest.Exchange(t, w.adas, w.bobs)
	mustMove(t, w.ada, "notes/f.json", "notes/l")
	mustMove(t, w.ada, "notes/k", "notes/g.json")
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "g.json", "l")
	if got := show(t, w.bob, "notes/l"); got != "{\"x\":1}\n" {
		t.Errorf("the file that replaced a link holds %q", got)
	}
	if got, err := target(t, w.bob, "notes/g.json"); got != "g.json" || err != nil {
		t.Errorf("the link that replaced a file: got %q, %v", got, err)
	}
}
