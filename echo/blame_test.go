package echo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/echotest"
)

func TestBlame(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	put(t, w.ada, "notes/f.json", `{"a":1,"l":[{"id":"x","v":1},{"id":"y","v":1}],"m":{},"p":"some prose","z":0}`)
	put(t, w.ada, "notes/t.md", "one\n")
	echotest.Exchange(t, w.adas, w.bobs)
	write(t, w.bob, "notes/f.json", `{"a":1,"l":[{"id":"n","v":9},{"id":"x","v":1},{"id":"y","v":2}],"m":{},"p":"some more prose","z":0}`)
	write(t, w.bob, "notes/t.md", "one\ntwo\n")
	write(t, w.ada, "notes/f.json", `{"a":2,"l":[{"id":"x","v":1},{"id":"y","v":1}],"m":{},"p":"some prose","z":0}`)
	echotest.Exchange(t, w.adas, w.bobs)
	want := map[string]string{"/a": "ada", "/l/0/id": "bob", "/l/0/v": "bob", "/l/1/id": "ada", "/l/1/v": "ada",
		"/l/2/id": "ada", "/l/2/v": "bob", "/m": "ada", "/p": "bob", "/z": "ada"}
	for _, v := range []*echotest.Vault{w.ada, w.bob} {
		n, err := v.Resolve("notes/f.json")
		if err != nil {
			t.Fatal(err)
		}
		all, err := v.BlameOf(ctx, n.Ino)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, b := range all {
			got[b.Pointer] = b.Author
			if b.Change == "" || b.Device == "" || b.Identity == "" || b.Time.IsZero() {
				t.Errorf("not all is known: %+v", b)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		text, _ := v.Resolve("notes/t.md")
		if all, err := v.BlameOf(ctx, text.Ino); err != nil || len(all) != 1 || all[0].Pointer != "" || all[0].Author != "bob" {
			t.Errorf("text: got %+v, %v; want one line of bob", all, err)
		}
		if _, err := v.BlameOf(ctx, n.Parent); !errors.Is(err, echo.ErrNotFound) {
			t.Errorf("space: got %v, want ErrNotFound", err)
		}
	}
}

// told waits for the next changes of a feed.
func told(t *testing.T, f *echo.ChangeFeed) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	changes, err := f.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range changes {
		if c.Time.IsZero() || c.ID == "" {
			t.Errorf("not all is known: %+v", c)
		}
		out = append(out, c.Event+" "+c.Path+" "+c.Author+" "+c.Origin)
	}
	return out
}

func TestWatchChanges(t *testing.T) {
	w := newWorld(t)
	mkdir(t, w.ada, "notes/d")
	echotest.Exchange(t, w.adas, w.bobs)
	d, err := w.bob.Resolve("notes/d")
	if err != nil {
		t.Fatal(err)
	}
	all, err := w.bob.Watch(echo.RootIno)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	below, err := w.bob.Watch(d.Ino)
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	for _, step := range []struct {
		do   func()
		want []string
	}{
		{func() { put(t, w.bob, "notes/f.json", `{"v":1}`) }, []string{"create notes/f.json bob local"}},
		{func() { write(t, w.bob, "notes/f.json", `{"v":2}`) }, []string{"change notes/f.json bob local"}},
		{func() { echotest.Exchange(t, w.adas, w.bobs); write(t, w.ada, "notes/f.json", `{"v":3}`) }, nil},
		{func() { echotest.Exchange(t, w.adas, w.bobs) }, []string{"change notes/f.json ada remote"}},
		{func() { mustMove(t, w.ada, "notes/f.json", "notes/d/g.json"); echotest.Exchange(t, w.adas, w.bobs) }, []string{"move notes/d/g.json ada remote"}},
		{func() { mustMove(t, w.bob, "notes/d/g.json", "notes/f.json") }, []string{"move notes/f.json bob local"}},
		{func() {
			n, _ := w.bob.Resolve("notes/f.json")
			if err := w.bob.Remove(context.Background(), n.Ino); err != nil {
				t.Fatal(err)
			}
		}, []string{"delete notes/f.json bob local"}},
	} {
		if step.do(); step.want == nil {
			continue
		}
		if got := told(t, all); !slices.Equal(got, step.want) {
			t.Errorf("got %q, want %q", got, step.want)
		}
		if step.want[0] == "move notes/d/g.json ada remote" {
			if got := told(t, below); !slices.Equal(got, step.want) {
				t.Errorf("below the folder: got %q, want %q", got, step.want)
			}
		}
	}
}

// TestWatchSettling watches a new file become a document, which changes nothing
// that anybody sees.
func TestWatchSettling(t *testing.T) {
	w := newWorld(t)
	feed, err := w.bob.Watch(echo.RootIno)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	write(t, w.bob, "notes/f.json", `{"v":1}`)
	if got, want := told(t, feed), []string{"create notes/f.json bob local"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := w.bobs.SettleAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := feed.Take(); len(got) != 0 {
		t.Errorf("settling: got %v, want nothing", got)
	}
	write(t, w.bob, "notes/f.json", `{"v":2}`)
	if got, want := told(t, feed), []string{"change notes/f.json bob local"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWatchTellsWhatIsLost does more than is kept before anybody looks.
func TestWatchTellsWhatIsLost(t *testing.T) {
	w := newWorld(t)
	feed, err := w.ada.WatchFew(echo.RootIno, 6)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	for i := range 20 {
		write(t, w.ada, fmt.Sprintf("notes/f%d.json", i), `{}`)
	}
	got := feed.Take()
	if n := len(got); n < 2 || n > 7 || got[0].Event != echo.ChangeCreate || got[n-1].Event != echo.ChangeLost || got[n-1].N < 14 {
		t.Errorf("got %+v, want what fits and how much is lost", got)
	}
	write(t, w.ada, "notes/f0.json", `{"v":1}`)
	if got := feed.Take(); len(got) != 1 || got[0].Path != "notes/f0.json" {
		t.Errorf("after that: got %+v, want the change alone", got)
	}
}
