package echo_test

import (
	"context"
	"errors"
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
)

// world is two vaults that share a space.
type world struct {
	tb         testing.TB
	ada, bob   *echotest.Vault
	adas, bobs *echo.Space
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, ada: echotest.NewVault(tb, "ada", echo.Options{}), bob: echotest.NewVault(tb, "bob", echo.Options{})}
	var err error
	if w.adas, err = w.ada.CreateSpace(context.Background(), "notes"); err != nil {
		tb.Fatal(err)
	}
	w.bobs = w.ada.Invite(w.adas, w.bob, halo.RoleEditor)
	return w
}

// write saves a file as a program that reads nothing before.
func write(tb testing.TB, v *echotest.Vault, path, content string) echo.Saved {
	tb.Helper()
	saved, err := tryWrite(v, path, content, nil)
	if err != nil {
		tb.Fatalf("write %s: %v", path, err)
	}
	return saved
}

func tryWrite(v *echotest.Vault, path, content string, base *echo.Version) (echo.Saved, error) {
	n, err := v.Resolve(path)
	if errors.Is(err, echo.ErrNotFound) {
		dir, name := split(path)
		parent, err := v.Resolve(dir)
		if err != nil {
			return echo.Saved{}, err
		}
		if n, err = v.CreateFile(context.Background(), parent.Ino, name, 0); err != nil {
			return echo.Saved{}, err
		}
	} else if err != nil {
		return echo.Saved{}, err
	}
	return v.Save(context.Background(), echo.Save{Ino: n.Ino, Data: []byte(content), Base: base, Rule: "test"})
}

func split(path string) (dir, name string) {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i], path[i+1:]
		}
	}
	return "", path
}

func read(tb testing.TB, v *echotest.Vault, path string) string {
	tb.Helper()
	n, err := v.Resolve(path)
	if err != nil {
		tb.Fatalf("read: %v", err)
	}
	c, err := v.Content(n.Ino)
	if err != nil {
		tb.Fatalf("read %s: %v", path, err)
	}
	if int64(len(c.Data)) != n.Size {
		tb.Errorf("%s has size %d and %d bytes", path, n.Size, len(c.Data))
	}
	return string(c.Data)
}

func settle(tb testing.TB, v *echotest.Vault, path string) {
	tb.Helper()
	n, err := v.Resolve(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := v.Settle(context.Background(), n.Ino); err != nil {
		tb.Fatal(err)
	}
}

func show(tb testing.TB, v *echotest.Vault, path string) string {
	tb.Helper()
	n, err := v.Resolve(path)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := v.Show(context.Background(), n.Ino, "", true)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func TestSaveIsReadBackAsWritten(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{
		"{\"title\":\"Buy milk\",\"done\":false}\n",
		"{ \"done\" : true,\n\t\"title\":\"Buy milk\" }",
		"{\"a\": 1.0, \"b\": 1e3, \"title\": \"Buy oat milk\"}\n\n",
	} {
		write(t, w.ada, "notes/milk.json", text)
		if got := read(t, w.ada, "notes/milk.json"); got != text {
			t.Errorf("read %q, wrote %q", got, text)
		}
	}
}

func TestConcurrentEditsOfFieldsMerge(t *testing.T) {
	w := newWorld(t)
	write(t, w.ada, "notes/f.json", `{"x": 1, "y": 1}`)
	settle(t, w.ada, "notes/f.json")
	echotest.Exchange(t, w.adas, w.bobs)
	write(t, w.ada, "notes/f.json", `{"x": 2, "y": 1}`)
	write(t, w.bob, "notes/f.json", `{"x": 1, "y": 3}`)
	echotest.Exchange(t, w.adas, w.bobs)
	want := "{\"x\":2,\"y\":3}\n"
	if got := show(t, w.ada, "notes/f.json"); got != want {
		t.Errorf("ada has %s, want %s", got, want)
	}
	if got := show(t, w.bob, "notes/f.json"); got != want {
		t.Errorf("bob has %s, want %s", got, want)
	}
	if got, want := read(t, w.ada, "notes/f.json"), `{"x": 2, "y": 3}`; got != want {
		t.Errorf("ada's layout became %q, want %q", got, want)
	}
}

func TestStaleSaveKeepsOthersEdits(t *testing.T) {
	w := newWorld(t)
	first := write(t, w.ada, "notes/f.json", `{"x": 1, "y": 1, "z": 1}`)
	settle(t, w.ada, "notes/f.json")
	second := write(t, w.ada, "notes/f.json", `{"x": 2, "y": 1, "z": 1}`)
	saved, err := tryWrite(w.ada, "notes/f.json", `{"x": 1, "y": 5, "z": 1}`, &first.Wrote)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := show(t, w.ada, "notes/f.json"), "{\"x\":2,\"y\":5,\"z\":1}\n"; got != want {
		t.Fatalf("after a save against the first version: %s, want %s", got, want)
	}
	// The same buffer again says nothing new, and reverts nothing.
	again, err := tryWrite(w.ada, "notes/f.json", `{"x": 1, "y": 5, "z": 1}`, &saved.Wrote)
	if err != nil {
		t.Fatal(err)
	}
	if again.Changed {
		t.Error("saving the same buffer again was a change")
	}
	// A third writer who saw the second version.
	if _, err := tryWrite(w.ada, "notes/f.json", `{"x": 2, "y": 1, "z": 9}`, &second.Wrote); err != nil {
		t.Fatal(err)
	}
	want := "{\"x\":2,\"y\":5,\"z\":9}\n"
	if got := show(t, w.ada, "notes/f.json"); got != want {
		t.Fatalf("after a save against the second version: %s, want %s", got, want)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	if got := show(t, w.bob, "notes/f.json"); got != want {
		t.Errorf("bob has %s, want %s", got, want)
	}
}

func TestInvalidContentIsADraft(t *testing.T) {
	w := newWorld(t)
	write(t, w.ada, "notes/f.json", `{"x": 1}`)
	_, err := tryWrite(w.ada, "notes/f.json", "{\"x\": 1,\n}", nil)
	var invalid *echo.InvalidError
	if !errors.As(err, &invalid) || invalid.Line != 1 || invalid.Column != 8 {
		t.Fatalf("save of invalid JSON: %v, want an InvalidError at line 1, column 8", err)
	}
	if got := read(t, w.ada, "notes/f.json"); got != `{"x": 1}` {
		t.Errorf("after a refused save: %q", got)
	}
	n, _ := w.ada.Resolve("notes/f.json")
	if _, err := w.ada.PutDraft(context.Background(), n.Ino, []byte("{\"x\": 1,\n}"), invalid); err != nil {
		t.Fatal(err)
	}
	if err := w.ada.Close(); err != nil {
		t.Fatal(err)
	}
	w.ada.Open()
	if got := read(t, w.ada, "notes/f.json"); got != "{\"x\": 1,\n}" {
		t.Errorf("the draft after a restart: %q", got)
	}
	drafts, err := w.ada.Drafts(w.adas.ID())
	if err != nil || len(drafts) != 1 || drafts[0].Path != "f.json" || drafts[0].Why.Column != 8 {
		t.Fatalf("drafts: %+v, %v", drafts, err)
	}
	write(t, w.ada, "notes/f.json", `{"x": 2}`)
	if drafts, _ = w.ada.Drafts(w.adas.ID()); len(drafts) != 0 {
		t.Errorf("a valid save left drafts: %+v", drafts)
	}
}

func TestDraftsSayWhatHappenedMeanwhile(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"x": 1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	n, _ := w.ada.Resolve("notes/f.json")
	draft := func() echo.Draft {
		t.Helper()
		d, err := w.ada.DraftOf(n.Ino)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if _, err := w.ada.PutDraft(context.Background(), n.Ino, []byte("{bad"), &echo.InvalidError{Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if d := draft(); d.Changed || d.Gone {
		t.Errorf("a fresh draft: %+v", d)
	}
	write(t, w.bob, "notes/f.json", `{"x": 2}`)
	echotest.Exchange(t, w.adas, w.bobs)
	if d := draft(); !d.Changed || d.Gone {
		t.Errorf("after a change by somebody: %+v", d)
	}
	remove(t, w.bob, "notes/f.json")
	reopen(t, w.bob)
	w.bobs, _ = w.bob.SpaceByID(w.bobs.ID())
	echotest.Exchange(t, w.adas, w.bobs)
	if d := draft(); !d.Gone || string(d.Data) != "{bad" {
		t.Errorf("after a delete by somebody: %+v", d)
	}
}

func TestDraftsHaveAQuota(t *testing.T) {
	w := newWorld(t)
	w.ada.Opts.DraftQuota = 100
	reopen(t, w.ada)
	write(t, w.ada, "notes/f.json", `{"x": 1}`)
	n, _ := w.ada.Resolve("notes/f.json")
	why := &echo.InvalidError{Reason: "test"}
	for _, c := range []struct {
		size int
		want error
	}{{90, nil}, {100, nil}, {101, echo.ErrDraftQuota}, {20, nil}} {
		_, err := w.ada.PutDraft(context.Background(), n.Ino, make([]byte, c.size), why)
		if !errors.Is(err, c.want) {
			t.Errorf("a draft of %d bytes: %v, want %v", c.size, err, c.want)
		}
	}
	if used, quota := w.ada.DraftUsage(); used != 20 || quota != 100 {
		t.Errorf("%d of %d bytes are used, want 20 of 100", used, quota)
	}
}

func TestTextsMergeByCharacter(t *testing.T) {
	w := newWorld(t)
	write(t, w.ada, "notes/plan.md", "one two three\r\n")
	settle(t, w.ada, "notes/plan.md")
	echotest.Exchange(t, w.adas, w.bobs)
	write(t, w.ada, "notes/plan.md", "one 2 three\r\n")
	write(t, w.bob, "notes/plan.md", "one two three four\r\n")
	echotest.Exchange(t, w.adas, w.bobs)
	want := "one 2 three four\r\n"
	if a, b := read(t, w.ada, "notes/plan.md"), read(t, w.bob, "notes/plan.md"); a != want || b != want {
		t.Errorf("ada has %q, bob has %q, want %q", a, b, want)
	}
}

func TestReaderMayNotSave(t *testing.T) {
	w := newWorld(t)
	eve := echotest.NewVault(t, "eve", echo.Options{})
	w.ada.Invite(w.adas, eve, halo.RoleReader)
	write(t, w.ada, "notes/f.json", `{"x": 1}`)
	settle(t, w.ada, "notes/f.json")
	s, _ := eve.SpaceByID(w.adas.ID())
	echotest.Send(t, w.adas, s)
	if got := show(t, eve, "notes/f.json"); got != "{\"x\":1}\n" {
		t.Errorf("eve reads %s", got)
	}
	if _, err := tryWrite(eve, "notes/f.json", `{"x": 2}`, nil); !errors.Is(err, echo.ErrReadOnly) {
		t.Errorf("a reader's save: %v, want ErrReadOnly", err)
	}
	if n, _ := eve.Resolve("notes/f.json"); !n.ReadOnly {
		t.Error("the reader's file is not shown as read only")
	}
}
