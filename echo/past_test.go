package echo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"echofs/echo"
	"echofs/echo/echotest"
)

// moment returns the time now, after which nothing happens in its millisecond.
func moment() time.Time {
	now := time.Now()
	for time.Now().UnixMilli() == now.UnixMilli() {
		runtime.Gosched()
	}
	return now
}

// plainContent makes contents of equal data equal.
func plainContent(kind echo.Kind, content []byte) string {
	if kind != echo.KindObject {
		return string(content)
	}
	var v any
	if err := json.Unmarshal(content, &v); err != nil {
		return err.Error()
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// presentFiles lists all of a space: path -> kind and content.
func presentFiles(tb testing.TB, v *echotest.Vault, s *echo.Space) map[string]string {
	tb.Helper()
	out := map[string]string{}
	for _, path := range tree(tb, v, s.Ino()) {
		path = strings.TrimSuffix(path, "/")
		n, err := v.Resolve(s.Name() + "/" + path)
		if err != nil {
			tb.Fatal(err)
		}
		content := n.Target
		switch {
		case n.Kind == echo.KindBlob:
			b, err := readBlob(v, n)
			if err != nil {
				tb.Fatal(err)
			}
			content = string(b)
		case n.Kind.IsFile():
			c, err := v.Content(n.Ino)
			if err != nil {
				tb.Fatal(err)
			}
			content = plainContent(n.Kind, c.Data)
		}
		out[path] = fmt.Sprint(n.Kind, " ", content)
	}
	return out
}

// pastFiles is presentFiles of a Past, and checks that sizes are those of what is
// read.
func pastFiles(tb testing.TB, v *echotest.Vault, s *echo.Space, p *echo.Past) map[string]string {
	tb.Helper()
	out := map[string]string{}
	var walk func(dir echo.PastNode, prefix string)
	walk = func(dir echo.PastNode, prefix string) {
		list, err := p.List(context.Background(), dir)
		if err != nil {
			tb.Fatal(err)
		}
		for _, n := range list {
			content := n.Target
			if b, ok := n.Blob(); ok {
				content = string(pastBlob(tb, v, s, b))
			} else if n.Kind.IsFile() {
				data, err := p.Read(context.Background(), n)
				if err != nil {
					tb.Fatal(err)
				}
				if int64(len(data)) != n.Size {
					tb.Errorf("%s at %s: size is %d, content has %d", n.Name, p.When(), n.Size, len(data))
				}
				content = plainContent(n.Kind, data)
			}
			out[prefix+n.Name] = fmt.Sprint(n.Kind, " ", content)
			if n.Kind == echo.KindFolder {
				walk(n, prefix+n.Name+"/")
			}
		}
	}
	walk(p.Root(), "")
	return out
}

func pastBlob(tb testing.TB, v *echotest.Vault, s *echo.Space, b echo.BlobVersion) []byte {
	tb.Helper()
	r, err := v.OpenBlob(context.Background(), s.ID(), b)
	if err != nil {
		tb.Fatal(err)
	}
	out := make([]byte, r.Size())
	if _, err := r.ReadAt(context.Background(), out, 0); err != nil && !errors.Is(err, io.EOF) {
		tb.Fatal(err)
	}
	return out
}

// pasts is a run of the model: what a space was after each step.
type pasts struct {
	*world
	t    caseTB
	rt   *rapid.T
	when []time.Time
	was  []map[string]string
}

// step does something, waits until it is in the documents, and notes what there
// is.
func (p *pasts) step() {
	all := presentFiles(p.t, p.ada, p.adas)
	var files, folders []string
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(all[path], "folder") {
			folders = append(folders, path)
		} else {
			files = append(files, path)
		}
	}
	in := func() string {
		return rapid.SampledFrom(append([]string{"notes"}, prefixed("notes/", folders)...)).Draw(p.rt, "in")
	}
	name := fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"a", "b"}).Draw(p.rt, "name"), len(p.when))
	content := rapid.StringMatching(`[a-z ]{1,20}`).Draw(p.rt, "content")
	switch what := rapid.IntRange(0, 7).Draw(p.rt, "what"); {
	case what == 0:
		mkdir(p.t, p.ada, in()+"/"+name)
	case what == 1:
		put(p.t, p.ada, in()+"/"+name+".md", content)
	case what == 2:
		writeBlob(p.t, p.ada, in()+"/"+name+".bin", binary(content, 100), echo.BlobVersion{})
	case what == 3 || len(files) == 0:
		put(p.t, p.ada, in()+"/"+name+".json", fmt.Sprintf(`{"v":  %q}`, content))
	case what == 4:
		p.change("notes/"+rapid.SampledFrom(files).Draw(p.rt, "file"), content)
	case what == 5:
		path := rapid.SampledFrom(append(files, folders...)).Draw(p.rt, "moved")
		err := move(p.t, p.ada, "notes/"+path, in()+"/"+name+ext(path))
		if err != nil && !errors.Is(err, echo.ErrLoop) {
			p.t.Fatal(err)
		}
	case what == 6:
		removed(p.t, p.ada, "notes/"+rapid.SampledFrom(files).Draw(p.rt, "removed"))
	case what == 7 && len(folders) > 0:
		n, _ := p.ada.Resolve("notes/" + rapid.SampledFrom(folders).Draw(p.rt, "removed"))
		if err := p.ada.RemoveDir(context.Background(), n.Ino); err != nil && !errors.Is(err, echo.ErrNotEmpty) {
			p.t.Fatal(err)
		}
	}
	settleSpaces(p.t, p.adas)
	p.note()
}

func (p *pasts) change(path, content string) {
	n, err := p.ada.Resolve(path)
	if err != nil {
		p.t.Fatal(err)
	}
	switch n.Kind {
	case echo.KindBlob:
		b, _ := n.Blob()
		writeBlob(p.t, p.ada, path, binary(content, 200), b)
	case echo.KindText:
		write(p.t, p.ada, path, content)
	default:
		write(p.t, p.ada, path, fmt.Sprintf(`{"v":%q,   "w":[1]}`, content))
	}
}

func (p *pasts) note() {
	exchangeAll(p.t, p.adas, p.bobs)
	p.was = append(p.was, presentFiles(p.t, p.ada, p.adas))
	p.when = append(p.when, moment())
}

func prefixed(prefix string, list []string) (out []string) {
	for _, s := range list {
		out = append(out, prefix+s)
	}
	return out
}

func ext(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[i:]
	}
	return ""
}

// TestPastIsWhatWas does things at random and looks back at each moment, on the
// vault where they were done and on another.
func TestPastIsWhatWas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tb := caseTB{t, rt}
		p := &pasts{world: newWorld(tb), t: tb, rt: rt}
		for range rapid.IntRange(1, 14).Draw(rt, "steps") {
			p.step()
		}
		for i, when := range p.when {
			for _, s := range []struct {
				v *echotest.Vault
				s *echo.Space
			}{{p.ada, p.adas}, {p.bob, p.bobs}} {
				if got := pastFiles(tb, s.v, s.s, s.s.At(when)); !maps.Equal(got, p.was[i]) {
					rt.Fatalf("after step %d:\ngot  %q\nwant %q", i, got, p.was[i])
				}
			}
		}
		if got := pastFiles(tb, p.ada, p.adas, p.adas.At(time.Unix(1, 0))); len(got) != 0 {
			rt.Fatalf("before all: got %q, want nothing", got)
		}
	})
}

// TestPastShowsWhatLostItsFolder makes a file in a folder that somebody else
// removes at the same time.
func TestPastShowsWhatLostItsFolder(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/first.json", `{}`)
	mkdir(t, w.ada, "notes/d")
	mkdir(t, w.ada, "notes/d/e")
	echotest.Exchange(t, w.adas, w.bobs)
	before := moment()
	n, _ := w.bob.Resolve("notes/d/e")
	if err := w.bob.RemoveDir(context.Background(), n.Ino); err != nil {
		t.Fatal(err)
	}
	put(t, w.ada, "notes/d/e/x.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	together := moment()
	removed(t, w.ada, "notes/d/x.json")
	echotest.Exchange(t, w.adas, w.bobs)
	for when, want := range map[time.Time][]string{
		before:   {"d", "d/e", "first.json"},
		together: {"d", "d/x.json", "first.json"},
		moment(): {"d", "first.json"},
	} {
		for name, got := range map[string]map[string]string{"ada": pastFiles(t, w.ada, w.adas, w.adas.At(when)),
			"bob": pastFiles(t, w.bob, w.bobs, w.bobs.At(when))} {
			if got := slices.Sorted(maps.Keys(got)); !slices.Equal(got, want) {
				t.Errorf("%s at %s: got %q, want %q", name, when, got, want)
			}
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 24, 18, 30, 15, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-20T18:00":          time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC),
		"2026-11-20T18:00:05":       time.Date(2026, 11, 20, 18, 0, 5, 0, time.UTC),
		"2026-11-20T18:00:05+01:00": time.Date(2026, 11, 20, 17, 0, 5, 0, time.UTC),
		"2026-11-20":                time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
		"2026-11":                   time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		"18:00":                     time.Date(2026, 11, 24, 18, 0, 0, 0, time.UTC),
		"-2h":                       now.Add(-2 * time.Hour),
		"-90m":                      now.Add(-90 * time.Minute),
		"-3d":                       now.Add(-72 * time.Hour),
		"2w":                        now.Add(-14 * 24 * time.Hour),
	} {
		if got, err := echo.ParseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "d", "-d", "yesterday", "2026-13", "-3dd", "--3d", "-99999999999d", "-99999w"} {
		if got, err := echo.ParseTime(bad, now); !errors.Is(err, echo.ErrBadTime) {
			t.Errorf("%q: got %v, %v, want ErrBadTime", bad, got, err)
		}
	}
}
