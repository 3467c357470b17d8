package echo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"echofs/echo"
	"echofs/echo/doc"
	"echofs/echo/echotest"
	"echofs/halo"
)

// TestThreeTreesConverge is TestTreesConverge with three vaults, which exchange in
// pairs: in the end, and after a restart, all show the same objects under the same
// names in the same folders, and whatever is not deleted is in the tree.
func TestThreeTreesConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		eve := echotest.NewVault(t, "eve", echo.Options{})
		vaults := []*echotest.Vault{w.ada, w.bob, eve}
		spaces := []*echo.Space{w.adas, w.bobs, w.ada.Invite(w.adas, eve, halo.RoleEditor)}
		for i := range rapid.IntRange(5, 30).Draw(rt, "steps") {
			who := rapid.IntRange(0, 2).Draw(rt, "who")
			randomStep(rt, t, vaults[who], spaces[who], i)
			if rapid.IntRange(0, 5).Draw(rt, "exchange") == 0 {
				other := (who + rapid.IntRange(1, 2).Draw(rt, "with")) % 3
				echotest.Exchange(t, spaces[who], spaces[other])
			}
		}
		for restart := range 2 {
			for i, v := range vaults {
				reopen(t, v) // closing does what waits for its time
				spaces[i], _ = v.SpaceByID(spaces[i].ID())
			}
			if restart == 0 {
				for _, pair := range [][2]int{{0, 1}, {1, 2}, {0, 2}, {0, 1}} {
					echotest.Exchange(t, spaces[pair[0]], spaces[pair[1]])
				}
			}
			first := objectsOf(rt, vaults[0], spaces[0])
			for i, v := range vaults[1:] {
				if got := objectsOf(rt, v, spaces[i+1]); !slices.Equal(got, first) {
					rt.Fatalf("restarts: %d\nvault 0 has %q\nvault %d has %q", restart, first, i+1, got)
				}
			}
		}
		for _, v := range vaults {
			report, err := v.Fsck(context.Background(), false)
			if err != nil || len(report.Problems) > 0 {
				rt.Fatalf("fsck: %v %v", report.Problems, err)
			}
		}
	})
}

// objectsOf lists the objects of a space by path and id. All that are alive are
// reached from the root, each once.
func objectsOf(rt *rapid.T, v *echotest.Vault, s *echo.Space) (out []string) {
	seen := map[doc.ObjectID]bool{}
	var walk func(ino echo.Ino, path string)
	walk = func(ino echo.Ino, path string) {
		var dirs []echo.Node
		err := v.List(ino, 0, func(n echo.Node) bool {
			if seen[n.ID] {
				rt.Fatalf("%s%s is there twice", path, n.Name)
			}
			if n.Parent != ino {
				rt.Fatalf("%s%s has another parent", path, n.Name)
			}
			seen[n.ID] = true
			out = append(out, fmt.Sprintf("%s%s %s", path, n.Name, n.ID))
			if n.Kind.IsDir() {
				dirs = append(dirs, n)
			}
			return true
		})
		if err != nil {
			rt.Fatal(err)
		}
		for _, n := range dirs {
			walk(n.Ino, path+n.Name+"/")
		}
	}
	walk(s.Ino(), "")
	alive, err := s.Query(context.Background(), echo.Query{})
	if err != nil {
		rt.Fatal(err)
	}
	for _, o := range alive {
		if !seen[o.ID] {
			rt.Fatalf("object %s is alive and not in the tree", o.ID)
		}
	}
	slices.Sort(out)
	return out
}

// TestDeepChainIsBounded makes folders in folders until it is refused, and then a
// chain that is longer still by moving one chain into the other: everybody shows the
// same of it, and all that is in it.
func TestDeepChainIsBounded(t *testing.T) {
	if os.Getenv("ECHOFS_SOAK") != "1" {
		t.Skip("takes half a minute; ECHOFS_SOAK=1 runs it")
	}
	w := newWorld(t)
	chain := func(top string) (first, last echo.Node, depth int) {
		parent := w.adas.Ino()
		for name := top; ; name = "d" {
			n, err := w.ada.Mkdir(context.Background(), parent, name, 0)
			if errors.Is(err, echo.ErrTooDeep) {
				return first, last, depth
			}
			if err != nil || depth > 600 {
				t.Fatalf("folder %d: %v", depth, err)
			}
			if depth == 0 {
				first = n
			}
			parent, last, depth = n.Ino, n, depth+1
		}
	}
	_, end, depth := chain("a")
	if depth != 500 {
		t.Errorf("got %d folders in each other, want 500", depth)
	}
	second, _, _ := chain("b")
	if _, _, err := w.ada.Move(context.Background(), second.Ino, end.Ino, "b", false); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*echotest.Vault{w.ada, w.bob} {
		reopen(t, v) // closing does what waits for its time
	}
	w.adas, _ = w.ada.SpaceByID(w.adas.ID())
	w.bobs, _ = w.bob.SpaceByID(w.bobs.ID())
	echotest.Exchange(t, w.adas, w.bobs)
	count := func(v *echotest.Vault, s *echo.Space) (all []string) {
		dirs := []echo.Ino{s.Ino()}
		for len(dirs) > 0 {
			dir := dirs[0]
			dirs = dirs[1:]
			if err := v.List(dir, 0, func(n echo.Node) bool {
				dirs, all = append(dirs, n.Ino), append(all, n.ID.String())
				return len(all) < 2000
			}); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(all)
		return all
	}
	ada, bob := count(w.ada, w.adas), count(w.bob, w.bobs)
	if len(ada) != 2*depth || !slices.Equal(ada, bob) {
		t.Errorf("got %d and %d folders, want %d on both, the same", len(ada), len(bob), 2*depth)
	}
}
