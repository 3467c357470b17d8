package echo_test

import (
	"context"
	"errors"
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
)

// exchange exchanges what is at two paths.
func exchange(tb testing.TB, v *echotest.Vault, a, b string) error {
	tb.Helper()
	first, err := v.Resolve(a)
	if err != nil {
		tb.Fatal(err)
	}
	second, err := v.Resolve(b)
	if err != nil {
		tb.Fatal(err)
	}
	return v.Exchange(context.Background(), first.Ino, second.Ino)
}

func TestExchange(t *testing.T) {
	w := newWorld(t)
	mkdir(t, w.ada, "notes/d")
	put(t, w.ada, "notes/d/a.json", `{"was":"d/a"}`)
	put(t, w.ada, "notes/a.json", `{"was":"a"}`)
	put(t, w.ada, "notes/b.json", `{"was":"b"}`)
	echotest.Exchange(t, w.adas, w.bobs)
	for _, pair := range [][2]string{{"notes/a.json", "notes/b.json"}, {"notes/d/a.json", "notes/a.json"}, {"notes/d", "notes/b.json"}} {
		if err := exchange(t, w.ada, pair[0], pair[1]); err != nil {
			t.Fatalf("exchange %q: %v", pair, err)
		}
	}
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, "a.json", "b.json/", "b.json/a.json", "d")
	for _, v := range []*echotest.Vault{w.ada, w.bob} {
		for path, want := range map[string]string{"notes/d": "a", "notes/a.json": "d/a", "notes/b.json/a.json": "b"} {
			if got := show(t, v, path); got != "{\"was\":\""+want+"\"}\n" {
				t.Errorf("%s holds %q, want what was %s", path, got, want)
			}
		}
	}
}

func TestExchangeTwins(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"by":"ada"}`)
	put(t, w.bob, "notes/f.json", `{"by":"bob"}`)
	echotest.Exchange(t, w.adas, w.bobs)
	names := tree(t, w.ada, w.adas.Ino())
	if len(names) != 2 {
		t.Fatalf("got %q, want two names", names)
	}
	before := show(t, w.ada, "notes/"+names[0])
	if err := exchange(t, w.ada, "notes/"+names[0], "notes/"+names[1]); err != nil {
		t.Fatal(err)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	sameTree(t, w, names...)
	if got := show(t, w.bob, "notes/"+names[1]); got != before {
		t.Errorf("%s holds %q, want %q", names[1], got, before)
	}
}

func TestExchangeRefused(t *testing.T) {
	w := newWorld(t)
	mkdir(t, w.ada, "notes/d")
	mkdir(t, w.ada, "notes/d/e")
	if _, err := w.ada.CreateFile(context.Background(), w.adas.Ino(), ".local", 0); err != nil {
		t.Fatal(err)
	}
	put(t, w.ada, "notes/f.json", `{}`)
	if err := exchange(t, w.ada, "notes/d", "notes/d/e"); !errors.Is(err, echo.ErrLoop) {
		t.Errorf("a folder and one in it: got %v, want ErrLoop", err)
	}
	if err := exchange(t, w.ada, "notes/.local", "notes/f.json"); !errors.Is(err, echo.ErrInvalidName) {
		t.Errorf("a local file and an object: got %v, want ErrInvalidName", err)
	}
	if err := exchange(t, w.ada, "notes/f.json", "notes"); !errors.Is(err, echo.ErrReserved) {
		t.Errorf("a space: got %v, want ErrReserved", err)
	}
	if _, err := w.ada.CreateSpace(context.Background(), "other"); err != nil {
		t.Fatal(err)
	}
	put(t, w.ada, "other/g.json", `{}`)
	if err := exchange(t, w.ada, "notes/f.json", "other/g.json"); !errors.Is(err, echo.ErrCrossSpace) {
		t.Errorf("files of two spaces: got %v, want ErrCrossSpace", err)
	}
	sameTreeOf(t, w.ada, "notes", ".local", "d/", "d/e/", "f.json")
}

func sameTreeOf(t *testing.T, v *echotest.Vault, space string, want ...string) {
	t.Helper()
	root, err := v.Resolve(space)
	if err != nil {
		t.Fatal(err)
	}
	got := tree(t, v, root.Ino)
	if len(got) != len(want) {
		t.Fatalf("%s has %q, want %q", space, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s has %q, want %q", space, got, want)
		}
	}
}
