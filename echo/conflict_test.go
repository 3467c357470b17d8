package echo_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
)

// contested lists the conflicts of a space: pointer, values, authors.
func contested(tb testing.TB, s *echo.Space) map[string]map[string]string {
	tb.Helper()
	found, err := s.Conflicts(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, c := range found {
		values := map[string]string{}
		for i, v := range c.Values {
			if v.Winner != (i == 0) {
				tb.Errorf("%s: value %d of %d: winner %v", c.Pointer, i, len(c.Values), v.Winner)
			}
			if v.Time.IsZero() || v.Device == "" {
				tb.Errorf("%s: value %s has no time or device: %+v", c.Pointer, v.Value, v)
			}
			values[string(v.Value)] = v.Author
		}
		out[c.Path+"#"+c.Pointer] = values
	}
	return out
}

func TestConflicts(t *testing.T) {
	long := "some prose, which is merged by character"
	for _, c := range []struct {
		name          string
		file          string
		base          string
		ada, bob      func(w *world)
		pointer, path string
		values        map[string]string
	}{
		{name: "field", base: `{"a":{"x":1},"y":1}`, pointer: "/a/x", values: map[string]string{"2": "ada", "3": "bob"},
			ada: func(w *world) { write(t, w.ada, "notes/f.json", `{"a":{"x":2},"y":1}`) },
			bob: func(w *world) { write(t, w.bob, "notes/f.json", `{"a":{"x":3},"y":1}`) }},
		{name: "element", base: `{"l":["p",{"id":"a","x":1},{"id":"b","x":1}]}`, pointer: "/l/3/x",
			values: map[string]string{"2": "ada", "3": "bob"},
			ada:    func(w *world) { write(t, w.ada, "notes/f.json", `{"l":["p","q",{"id":"a","x":1},{"id":"b","x":2}]}`) },
			bob:    func(w *world) { write(t, w.bob, "notes/f.json", `{"l":["p",{"id":"a","x":1},{"id":"b","x":3}]}`) }},
		{name: "map", base: `{"y":1}`, pointer: "/m", values: map[string]string{`{"p":1}`: "ada", `{"q":[1,2]}`: "bob"},
			ada: func(w *world) { write(t, w.ada, "notes/f.json", `{"y":1,"m":{"p":1}}`) },
			bob: func(w *world) { write(t, w.bob, "notes/f.json", `{"y":1,"m":{"q":[1,2]}}`) }},
		{name: "name", base: `{}`, pointer: "name", values: map[string]string{`"g.json"`: "ada", `"h.json"`: "bob"},
			ada: func(w *world) { mustMove(t, w.ada, "notes/f.json", "notes/g.json") },
			bob: func(w *world) { mustMove(t, w.bob, "notes/f.json", "notes/h.json") }},
		{name: "parent", base: `{}`, pointer: "parent", values: map[string]string{`"/d"`: "ada", `"/e"`: "bob"},
			ada: func(w *world) { mustMove(t, w.ada, "notes/f.json", "notes/d/f.json") },
			bob: func(w *world) { mustMove(t, w.bob, "notes/f.json", "notes/e/f.json") }},
		{name: "the same value", base: `{"x":1}`,
			ada: func(w *world) { write(t, w.ada, "notes/f.json", `{"x":2}`) },
			bob: func(w *world) { write(t, w.bob, "notes/f.json", `{"x":2}`) }},
		{name: "prose", base: `{"x":"` + long + `"}`,
			ada: func(w *world) { write(t, w.ada, "notes/f.json", `{"x":"`+long+` and"}`) },
			bob: func(w *world) { write(t, w.bob, "notes/f.json", `{"x":"so `+long+`"}`) }},
		{name: "different fields", base: `{"x":1,"y":1}`,
			ada: func(w *world) { write(t, w.ada, "notes/f.json", `{"x":2,"y":1}`) },
			bob: func(w *world) { write(t, w.bob, "notes/f.json", `{"x":1,"y":2}`) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			mkdir(t, w.ada, "notes/d")
			mkdir(t, w.ada, "notes/e")
			put(t, w.ada, "notes/f.json", c.base)
			file, _ := w.ada.Resolve("notes/f.json")
			echotest.Exchange(t, w.adas, w.bobs)
			c.ada(w)
			c.bob(w)
			echotest.Exchange(t, w.adas, w.bobs)
			want := 0
			if c.values != nil {
				want = 1
			}
			for _, s := range []*echo.Space{w.adas, w.bobs} {
				found, err := s.Conflicts(context.Background())
				if err != nil || len(found) != want {
					t.Fatalf("conflicts: %+v, %v; want %d", found, err, want)
				}
				info, err := s.Info(context.Background())
				if err != nil || info.Conflicts != want {
					t.Errorf("%d conflicts are counted, %v; want %d", info.Conflicts, err, want)
				}
				for _, values := range contested(t, s) {
					if !mapsEqual(values, c.values) || found[0].Pointer != c.pointer || found[0].ID != file.ID {
						t.Errorf("%s at %q: %v; want %v at %q", found[0].ID, found[0].Pointer, values, c.values, c.pointer)
					}
				}
			}
			if want > 0 {
				settleAll(t, w)
			}
			checkVaults(t, w.ada, w.bob)
		})
	}
}

func mapsEqual(a, b map[string]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// settleAll settles the only conflict by the value that lost.
func settleAll(t *testing.T, w *world) {
	t.Helper()
	ctx := context.Background()
	found, err := w.adas.Conflicts(ctx)
	if err != nil || len(found) != 1 {
		t.Fatalf("conflicts: %+v, %v", found, err)
	}
	c := found[0]
	chosen := c.Values[len(c.Values)-1].Value
	if err := w.ada.SettleConflict(ctx, c.Ino, c.Pointer, chosen); err != nil {
		t.Fatal(err)
	}
	if err := w.ada.SettleConflict(ctx, c.Ino, c.Pointer, chosen); !errors.Is(err, echo.ErrNoConflict) {
		t.Errorf("settled again: %v, want ErrNoConflict", err)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	for _, s := range []*echo.Space{w.adas, w.bobs} {
		if left := contested(t, s); len(left) > 0 {
			t.Errorf("left after settling: %v", left)
		}
		if info, _ := s.Info(ctx); info.Conflicts != 0 {
			t.Errorf("%d conflicts are counted after settling", info.Conflicts)
		}
	}
	if a, b := tree(t, w.ada, w.adas.Ino()), tree(t, w.bob, w.bobs.Ino()); !slices.Equal(a, b) {
		t.Errorf("ada has %q, bob has %q", a, b)
	}
}

func TestConcurrentSettlingConverges(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	write(t, w.ada, "notes/f.json", `{"x":2}`)
	write(t, w.bob, "notes/f.json", `{"x":3}`)
	echotest.Exchange(t, w.adas, w.bobs)
	settleAs := func(v *echotest.Vault, value string) {
		n, _ := v.Resolve("notes/f.json")
		if err := v.SettleConflict(context.Background(), n.Ino, "/x", json.RawMessage(value)); err != nil {
			t.Fatal(err)
		}
	}
	settleAs(w.ada, `2`)
	settleAs(w.bob, `9`)
	echotest.Exchange(t, w.adas, w.bobs)
	if a, b := contested(t, w.adas), contested(t, w.bobs); len(a) != 1 || !mapsEqual(a["f.json#/x"], b["f.json#/x"]) || a["f.json#/x"]["2"] != "ada" || a["f.json#/x"]["9"] != "bob" {
		t.Errorf("ada sees %v, bob sees %v", a, b)
	}
	write(t, w.bob, "notes/f.json", `{"x":10}`) // a plain save settles it
	echotest.Exchange(t, w.adas, w.bobs)
	if a, b := contested(t, w.adas), contested(t, w.bobs); len(a)+len(b) != 0 {
		t.Errorf("after a save: ada sees %v, bob sees %v", a, b)
	}
	if a, b := show(t, w.ada, "notes/f.json"), show(t, w.bob, "notes/f.json"); a != b || a != "{\"x\":10}\n" {
		t.Errorf("ada has %s, bob has %s", a, b)
	}
}
