package echo_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"echofs/echo"
	"echofs/echo/doc"
	"echofs/echo/echotest"
	"echofs/halo"
)

// removed unlinks a file and waits until it is marked deleted.
func removed(tb testing.TB, v *echotest.Vault, path string) {
	tb.Helper()
	n, err := v.Resolve(path)
	if err != nil {
		tb.Fatal(err)
	}
	s, _ := v.SpaceByID(n.Space)
	sub := v.Subscribe(echo.Log)
	defer sub.Close()
	remove(tb, v, path)
	waitFor(tb, sub, func() bool {
		trash, err := s.Trash(context.Background())
		if err != nil {
			tb.Fatal(err)
		}
		return slices.ContainsFunc(trash, func(x echo.Trashed) bool { return x.ID == n.ID && !x.Waiting })
	})
}

// waitFor waits until something is so, which a subscription tells of.
func waitFor(tb testing.TB, sub *echo.Subscription, so func() bool) {
	tb.Helper()
	deadline := time.After(10 * time.Second)
	for !so() {
		select {
		case <-sub.C():
			sub.Take()
		case <-deadline:
			tb.Fatal("it did not become so")
		}
	}
}

// summaries lists what the history of an object says, oldest first.
func summaries(tb testing.TB, v *echotest.Vault, path string) []string {
	tb.Helper()
	n, err := v.Resolve(path)
	if err != nil {
		tb.Fatal(err)
	}
	revs, err := v.History(context.Background(), n.Ino)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, r := range slices.Backward(revs) {
		out = append(out, r.Summary)
	}
	return out
}

func TestDelete(t *testing.T) {
	restore := func(v *echotest.Vault, s *echo.Space) {
		trash, err := s.Trash(context.Background())
		if err != nil || len(trash) != 1 {
			t.Fatalf("trash: %+v, %v; want one object", trash, err)
		}
		if _, err := v.RestoreDeleted(context.Background(), s.ID(), trash[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name     string
		ada, bob func(w *world)
		want     []string // the tree in the end
		content  string
	}{
		{name: "of what was seen",
			ada: func(w *world) { removed(t, w.ada, "notes/f.json") }},
		{name: "after an own edit", ada: func(w *world) {
			put(t, w.ada, "notes/f.json", `{"x":2}`)
			removed(t, w.ada, "notes/f.json")
		}},
		{name: "by two", ada: func(w *world) { removed(t, w.ada, "notes/f.json") },
			bob: func(w *world) { removed(t, w.bob, "notes/f.json") }},
		{name: "by two, one after an own edit", ada: func(w *world) { removed(t, w.ada, "notes/f.json") },
			bob: func(w *world) {
				put(t, w.bob, "notes/f.json", `{"x":2}`)
				removed(t, w.bob, "notes/f.json")
			}},
		{name: "beside an edit", ada: func(w *world) { removed(t, w.ada, "notes/f.json") },
			bob:  func(w *world) { put(t, w.bob, "notes/f.json", `{"x":2}`) },
			want: []string{"f.json"}, content: "{\"x\":2}\n"},
		{name: "beside an edit that was taken back", ada: func(w *world) { removed(t, w.ada, "notes/f.json") },
			bob: func(w *world) {
				put(t, w.bob, "notes/f.json", `{"x":2}`)
				put(t, w.bob, "notes/f.json", `{"x":1}`)
			},
			want: []string{"f.json"}, content: "{\"x\":1}\n"},
		{name: "beside a rename", ada: func(w *world) { removed(t, w.ada, "notes/f.json") },
			bob:  func(w *world) { mustMove(t, w.bob, "notes/f.json", "notes/g.json") },
			want: []string{"g.json"}, content: "{\"x\":1}\n"},
		{name: "and restored", ada: func(w *world) {
			removed(t, w.ada, "notes/f.json")
			restore(w.ada, w.adas)
		}, want: []string{"f.json"}, content: "{\"x\":1}\n"},
		{name: "restored, deleted again", ada: func(w *world) {
			removed(t, w.ada, "notes/f.json")
			restore(w.ada, w.adas)
			removed(t, w.ada, "notes/f.json")
		}},
		{name: "restored beside another delete", ada: func(w *world) {
			removed(t, w.ada, "notes/f.json")
			restore(w.ada, w.adas)
		}, bob: func(w *world) { removed(t, w.bob, "notes/f.json") },
			want: []string{"f.json"}, content: "{\"x\":1}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			put(t, w.ada, "notes/f.json", `{"x":1}`)
			echotest.Exchange(t, w.adas, w.bobs)
			c.ada(w)
			if c.bob != nil {
				c.bob(w)
			}
			echotest.Exchange(t, w.adas, w.bobs)
			sameTree(t, w, c.want...)
			if len(c.want) == 1 {
				for _, v := range []*echotest.Vault{w.ada, w.bob} {
					if got := show(t, v, "notes/"+c.want[0]); got != c.content {
						t.Errorf("%s has %q, want %q", v.Opts.IdentityName, got, c.content)
					}
				}
			}
			checkVaults(t, w.ada, w.bob)
		})
	}
}

// checkVaults checks that what is stored follows from the entries.
func checkVaults(tb testing.TB, vaults ...*echotest.Vault) {
	tb.Helper()
	for _, v := range vaults {
		report, err := v.Fsck(context.Background(), false)
		if err != nil || len(report.Problems) > 0 {
			tb.Errorf("check of %s: %v, %v", v.Opts.IdentityName, report.Problems, err)
		}
	}
}

func TestHistoryHasBothFacts(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	removed(t, w.ada, "notes/f.json")
	put(t, w.bob, "notes/f.json", `{"x":2}`)
	echotest.Exchange(t, w.adas, w.bobs)
	const back = "restored: edited concurrently by bob"
	want := map[string][]string{"ada": {"created", "deleted", back}, "bob": {"created", "changed", "deleted", back}}
	for _, v := range []*echotest.Vault{w.ada, w.bob} {
		if got := summaries(t, v, "notes/f.json"); !slices.Equal(got, want[v.Opts.IdentityName]) {
			t.Errorf("%s's history is %q, want %q", v.Opts.IdentityName, got, want[v.Opts.IdentityName])
		}
	}
}

// A delete that others brought back can be repeated, and then it counts; an
// edit of what came back makes it stay whatever it says.
func TestDeleteOfWhatCameBack(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	put(t, w.ada, "notes/g.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	for _, path := range []string{"notes/f.json", "notes/g.json"} {
		removed(t, w.ada, path)
		put(t, w.bob, path, `{"x":2}`)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	removed(t, w.bob, "notes/f.json")
	put(t, w.ada, "notes/g.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "g.json")
	checkVaults(t, w.ada, w.bob)
}

// What arrives while a removed file waits was not seen by who removed it.
func TestEditArrivesWhileRemovedFileWaits(t *testing.T) {
	w := newWorld(t)
	w.ada.Opts.RemoveGrace = time.Minute
	reopen(t, w.ada)
	w.adas, _ = w.ada.SpaceByID(w.adas.ID())
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	remove(t, w.ada, "notes/f.json")
	put(t, w.bob, "notes/f.json", `{"x":2}`)
	echotest.Exchange(t, w.adas, w.bobs)
	if got := tree(t, w.ada, w.adas.Ino()); len(got) != 0 {
		t.Errorf("a removed file that waits is shown: %q", got)
	}
	reopen(t, w.ada)
	w.adas, _ = w.ada.SpaceByID(w.adas.ID())
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "f.json")
	if got := summaries(t, w.ada, "notes/f.json"); !strings.HasPrefix(got[len(got)-1], "restored: edited concurrently by bob") {
		t.Errorf("ada's history is %q", got)
	}
}

// The order in which entries arrive makes no difference, long after too.
func TestDeleteInAnyOrder(t *testing.T) {
	w := newWorld(t)
	eve := echotest.NewVault(t, "eve", echo.Options{})
	eves := w.ada.Invite(w.adas, eve, halo.RoleEditor)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	echotest.Exchange(t, w.adas, eves)
	put(t, w.bob, "notes/f.json", `{"x":2}`)
	removed(t, w.ada, "notes/f.json")
	echotest.Send(t, w.adas, eves)
	if got := tree(t, eve, eves.Ino()); len(got) != 0 {
		t.Fatalf("eve has %q after the delete alone", got)
	}
	put(t, w.ada, "notes/other.json", `{}`)
	echotest.Send(t, w.adas, eves)
	echotest.Send(t, w.bobs, eves)
	echotest.Send(t, eves, w.adas)
	echotest.Send(t, eves, w.bobs)
	sameTree(t, w, "f.json", "other.json")
	if got := tree(t, eve, eves.Ino()); !slices.Equal(got, []string{"f.json", "other.json"}) {
		t.Errorf("eve has %q", got)
	}
	checkVaults(t, w.ada, w.bob, eve)
}

// TestDeletesConverge lets people edit, rename, delete and restore one file at
// random, and compares with the rule: the file is deleted if a delete stands
// that nobody replaced who had seen it, and the standing deletes together have
// seen every other change.
func TestDeletesConverge(t *testing.T) {
	soak(t, "3000")
	rapid.Check(t, func(rt *rapid.T) {
		tb := caseTB{t, rt}
		w := newWorld(tb)
		vaults, spaces := []*echotest.Vault{w.ada, w.bob}, []*echo.Space{w.adas, w.bobs}
		put(tb, w.ada, "notes/f.json", `{"x":-1}`)
		echotest.Exchange(tb, w.adas, w.bobs)
		file, _ := w.ada.Resolve("notes/f.json")
		var all []deed
		known := []map[int]bool{{}, {}}
		for i := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			who := rapid.IntRange(0, 1).Draw(rt, "who")
			if rapid.IntRange(0, 3).Draw(rt, "meet") == 0 {
				echotest.Exchange(tb, w.adas, w.bobs)
				maps.Copy(known[0], known[1])
				known[1] = maps.Clone(known[0])
			}
			deletes := act(tb, rt, vaults[who], spaces[who], file.ID, i)
			all = append(all, deed{deletes, maps.Clone(known[who])})
			known[who][len(all)-1] = true
		}
		echotest.Exchange(tb, w.adas, w.bobs)
		for i, s := range spaces {
			n, err := s.NodeByID(file.ID)
			if got, want := err != nil, isDeleted(all); got != want {
				rt.Errorf("vault %d: deleted %v, want %v (%v)", i, got, want, n.Name)
			}
		}
		if a, b := tree(tb, w.ada, w.adas.Ino()), tree(tb, w.bob, w.bobs.Ino()); !slices.Equal(a, b) {
			rt.Errorf("ada has %q, bob has %q", a, b)
		}
		checkVaults(tb, w.ada, w.bob)
	})
}

// deed is what somebody did to the file, and what they had seen.
type deed struct {
	deletes bool
	seen    map[int]bool
}

func isDeleted(all []deed) bool {
	seen, stands := map[int]bool{}, false
	for n, d := range all {
		replaced := slices.ContainsFunc(all, func(by deed) bool { return by.seen[n] })
		if d.deletes && !replaced {
			stands = true
			maps.Copy(seen, d.seen)
			seen[n] = true
		}
	}
	for n, d := range all {
		stands = stands && (d.deletes || seen[n])
	}
	return stands
}

// act does one thing to the file, and reports whether that was deleting it.
func act(tb testing.TB, rt *rapid.T, v *echotest.Vault, s *echo.Space, id doc.ObjectID, i int) bool {
	ctx := context.Background()
	n, err := s.NodeByID(id)
	if err != nil {
		if _, err := v.RestoreDeleted(ctx, s.ID(), id); err != nil {
			rt.Fatal(err)
		}
		return false
	}
	content := []byte(fmt.Sprintf(`{"x":%d}`, i))
	switch rapid.IntRange(0, 2).Draw(rt, "act") {
	case 0:
		if _, err := v.Save(ctx, echo.Save{Ino: n.Ino, Data: content}); err != nil {
			rt.Fatal(err)
		}
	case 1:
		if _, _, err := v.Move(ctx, n.Ino, n.Parent, fmt.Sprintf("f%d.json", i), false); err != nil {
			rt.Fatal(err)
		}
	default: // renamed over another, which is a delete at once
		other := fmt.Sprintf("notes/%s%d.json", v.Opts.IdentityName, i)
		put(tb, v, other, `{}`)
		over, _ := v.Resolve(other)
		if _, err := v.Save(ctx, echo.Save{Ino: over.Ino, Data: content, Consume: n.Ino}); err != nil {
			rt.Fatal(err)
		}
		return true
	}
	return false
}
