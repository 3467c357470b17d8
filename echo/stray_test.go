package echo_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"echofs/echo/echotest"
)

// What somebody changed in an element that another moved meanwhile is shown as a
// conflict of the element where it is now, and can be settled.
func TestEditsOfMovedElements(t *testing.T) {
	const base = `{"l":[{"id":"a","x":1,"t":"some words"},{"id":"b","x":1},{"id":"c","x":1,"d":{"e":1},"s":[1]}]}`
	for _, c := range []struct {
		name     string
		ada, bob string
		want     map[string][]string // the values by pointer, the winner first
	}{
		{name: "field", ada: `{"l":[{"id":"c","x":1,"d":{"e":1},"s":[1]},{"id":"a","x":1,"t":"some words"},{"id":"b","x":1}]}`,
			bob:  `{"l":[{"id":"a","x":1,"t":"some words"},{"id":"b","x":1},{"id":"c","x":2,"d":{"e":1},"s":[1]}]}`,
			want: map[string][]string{"/l/0/x": {"1", "2"}}},
		{name: "deeper, new and in a list", ada: `{"l":[{"id":"c","x":1,"d":{"e":1},"s":[1]},{"id":"a","x":1,"t":"some words"},{"id":"b","x":1}]}`,
			bob:  `{"l":[{"id":"a","x":1,"t":"some words"},{"id":"b","x":1},{"id":"c","x":1,"d":{"e":7},"s":[1,2],"n":true}]}`,
			want: map[string][]string{"/l/0/d/e": {"1", "7"}, "/l/0/s": {"[1]", "[1,2]"}, "/l/0/n": {"true"}}},
		{name: "prose", ada: `{"l":[{"id":"b","x":1},{"id":"c","x":1,"d":{"e":1},"s":[1]},{"id":"a","x":1,"t":"some words"}]}`,
			bob:  `{"l":[{"id":"a","x":1,"t":"some more words"},{"id":"b","x":1},{"id":"c","x":1,"d":{"e":1},"s":[1]}]}`,
			want: map[string][]string{"/l/2/t": {`"some words"`, `"some more words"`}}},
		{name: "the same edit", ada: `{"l":[{"id":"c","x":2,"d":{"e":1},"s":[1]},{"id":"a","x":1,"t":"some words"},{"id":"b","x":1}]}`,
			bob: `{"l":[{"id":"a","x":1,"t":"some words"},{"id":"b","x":1},{"id":"c","x":2,"d":{"e":1},"s":[1]}]}`},
		{name: "another element", ada: `{"l":[{"id":"c","x":1,"d":{"e":1},"s":[1]},{"id":"a","x":1,"t":"some words"},{"id":"b","x":1}]}`,
			bob: `{"l":[{"id":"a","x":5,"t":"some words"},{"id":"b","x":1},{"id":"c","x":1,"d":{"e":1},"s":[1]}]}`},
		{name: "both move it", ada: `{"l":[{"id":"c","x":1,"d":{"e":1},"s":[1]},{"id":"a","x":1,"t":"some words"},{"id":"b","x":1}]}`,
			bob:  `{"l":[{"id":"c","x":1,"d":{"e":1},"s":[1]},{"id":"a","x":1,"t":"some words"},{"id":"b","x":1}]}`,
			want: map[string][]string{"*": {`{"d":{"e":1},"id":"c","s":[1],"x":1}`, `{"d":{"e":1},"id":"c","s":[1],"x":1}`}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			ctx := context.Background()
			put(t, w.ada, "notes/f.json", base)
			echotest.Exchange(t, w.adas, w.bobs)
			write(t, w.ada, "notes/f.json", c.ada)
			write(t, w.bob, "notes/f.json", c.bob)
			echotest.Exchange(t, w.adas, w.bobs)
			for _, s := range []struct{ got, want map[string][]string }{
				{strayValues(t, w, true), c.want}, {strayValues(t, w, false), c.want},
			} {
				if _, any := s.want["*"]; any && len(s.got) == 1 {
					s.got = map[string][]string{"*": slices.Collect(maps.Values(s.got))[0]}
				}
				if !maps.EqualFunc(s.got, s.want, slices.Equal[[]string]) {
					t.Errorf("conflicts: %q, want %q", s.got, c.want)
				}
			}
			info, err := w.adas.Info(ctx)
			if err != nil || info.Conflicts != len(c.want) {
				t.Errorf("%d conflicts are counted, %v; want %d", info.Conflicts, err, len(c.want))
			}
			found, err := w.bobs.Conflicts(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range found { // the value that is shown, and then one that is not
				if err := w.bob.SettleConflict(ctx, f.Ino, f.Pointer, f.Values[(i+1)%len(f.Values)].Value); err != nil {
					t.Fatal(err)
				}
			}
			echotest.Exchange(t, w.adas, w.bobs)
			if a, b := strayValues(t, w, true), strayValues(t, w, false); len(a)+len(b) > 0 {
				t.Errorf("left after settling: %q, %q", a, b)
			}
			var f struct{ L []struct{ ID string } }
			if err := json.Unmarshal([]byte(show(t, w.ada, "notes/f.json")), &f); err != nil || len(f.L) != 3 {
				t.Errorf("got %+v, %v; want three elements", f, err)
			}
			checkVaults(t, w.ada, w.bob)
		})
	}
}

// strayValues are the values of each conflict.
func strayValues(t *testing.T, w *world, ada bool) map[string][]string {
	t.Helper()
	s := w.bobs
	if ada {
		s = w.adas
	}
	found, err := s.Conflicts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, c := range found {
		for _, v := range c.Values {
			if v.Author == "" || v.Time.IsZero() {
				t.Errorf("%s: value %s has no author or time", c.Pointer, v.Value)
			}
			out[c.Pointer] = append(out[c.Pointer], string(v.Value))
		}
	}
	return out
}

// A decision stays one when the element is moved again, and an edit stays astray.
func TestStraysOutlastMoves(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"l":[{"id":-70,"x":1},{"id":"b","x":1},{"id":300,"x":1}]}`)
	echotest.Exchange(t, w.adas, w.bobs)
	write(t, w.ada, "notes/f.json", `{"l":[{"id":300,"x":1},{"id":-70,"x":1},{"id":"b","x":1}]}`)
	write(t, w.bob, "notes/f.json", `{"l":[{"id":-70,"x":1},{"id":"b","x":1},{"id":300,"x":2}]}`)
	echotest.Exchange(t, w.adas, w.bobs)
	write(t, w.bob, "notes/f.json", `{"l":[{"id":-70,"x":1},{"id":"b","x":1},{"id":300,"x":1}]}`)
	echotest.Exchange(t, w.adas, w.bobs)
	want := map[string][]string{"/l/2/x": {"1", "2"}}
	if got := strayValues(t, w, true); !maps.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Fatalf("moved again: %q, want %q", got, want)
	}
	write(t, w.ada, "notes/f.json", `{"l":[{"id":-70,"x":1},{"id":"b","x":1},{"id":300,"x":3}]}`)
	write(t, w.ada, "notes/f.json", `{"l":[{"id":300,"x":3},{"id":-70,"x":1},{"id":"b","x":1}]}`)
	echotest.Exchange(t, w.adas, w.bobs)
	if got := strayValues(t, w, false); len(got) > 0 {
		t.Errorf("settled, then moved: %q", got)
	}
	checkVaults(t, w.ada, w.bob)
}
