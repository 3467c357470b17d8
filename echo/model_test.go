package echo_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
)

// The model: what each acknowledged save did, and which saves its author had
// seen. A save of a field overwrites exactly those it had seen; an insertion
// into a list or a text is never undone.

// record is the content of the structured file.
type record struct {
	A string `json:"a"`
	B string `json:"b"`
	C struct {
		D string `json:"d"`
	} `json:"c"`
	L []string `json:"l"`
	K []keyed  `json:"k"`
}

// keyed is an element of a list that has an identity. It can be moved.
type keyed struct {
	ID string `json:"id"`
	V  string `json:"v"`
}

// elements are the keyed elements that a record has from the beginning; nobody
// adds or removes any.
var elements = []string{"p", "q", "r", "s"}

// fields are the single values of a record, by JSON pointer.
var fields = map[string]func(*record) *string{
	"/a":   func(r *record) *string { return &r.A },
	"/b":   func(r *record) *string { return &r.B },
	"/c/d": func(r *record) *string { return &r.C.D },
}

// saving is one acknowledged save.
type saving struct {
	field, value string
	seen         map[int]bool // numbers of the savings its author had seen
}

// buffer is what an editor holds: a content, and what it is a content of.
type buffer struct {
	path    string
	content string
	base    echo.Version
	seen    map[int]bool
}

// caseTB is the testing.TB of one case of a property: what fails in a helper
// fails the case, which is then made smaller, and what is opened ends with it.
type caseTB struct {
	testing.TB
	rt *rapid.T
}

func (c caseTB) Helper()                      {}
func (c caseTB) Cleanup(f func())             { c.rt.Cleanup(f) }
func (c caseTB) Error(args ...any)            { c.rt.Error(args...) }
func (c caseTB) Errorf(f string, args ...any) { c.rt.Errorf(f, args...) }
func (c caseTB) Fatal(args ...any)            { c.rt.Fatal(args...) }
func (c caseTB) Fatalf(f string, args ...any) { c.rt.Fatalf(f, args...) }

// editing is a run of the model.
type editing struct {
	t      caseTB
	rt     *rapid.T
	vaults []*echotest.Vault
	spaces []*echo.Space
	known  []map[int]bool // by vault: the savings it holds
	open   []*buffer      // by vault: a buffer that gets old
	all    []saving
	runes  []rune
	items  []string
}

const (
	recordPath = "notes/f.json"
	textPath   = "notes/t.md"
)

func newEditing(tb testing.TB, rt *rapid.T) *editing {
	t := caseTB{tb, rt}
	e := &editing{t: t, rt: rt}
	names := []string{"ada", "bob", "eve", "joe"}
	for i := range rapid.IntRange(2, 4).Draw(rt, "vaults") {
		v := echotest.NewVault(t, names[i], echo.Options{RemoveGrace: time.Minute})
		e.vaults = append(e.vaults, v)
		e.known = append(e.known, map[int]bool{})
		if i == 0 {
			s, err := v.CreateSpace(context.Background(), "notes")
			if err != nil {
				t.Fatal(err)
			}
			put(t, v, "notes/f.json", `{"a": "a0", "b": "b0", "c": {"d": "d0"}, "l": ["first", "last"],
				"k": [{"id": "p", "v": "p0"}, {"id": "q", "v": "q0"}, {"id": "r", "v": "r0"}, {"id": "s", "v": "s0"}]}`)
			put(t, v, "notes/t.md", "begin\nend\n")
			e.spaces = append(e.spaces, s)
			continue
		}
		e.spaces = append(e.spaces, e.vaults[0].Invite(e.spaces[0], v, halo.RoleEditor))
	}
	for i := range e.vaults {
		b := e.read(i, recordPath)
		e.open = append(e.open, &b)
	}
	return e
}

// read opens a file as an editor does.
func (e *editing) read(who int, path string) buffer {
	e.t.Helper()
	n, err := e.vaults[who].Resolve(path)
	if err != nil {
		e.rt.Fatal(err)
	}
	c, err := e.vaults[who].Content(n.Ino)
	if err != nil {
		e.rt.Fatal(err)
	}
	return buffer{path, string(c.Data), c.Version, maps.Clone(e.known[who])}
}

// exchange lets two vaults meet.
func (e *editing) exchange(a, b int) {
	echotest.Exchange(e.t, e.spaces[a], e.spaces[b])
	maps.Copy(e.known[a], e.known[b])
	e.known[b] = maps.Clone(e.known[a])
}

func (e *editing) meet() {
	a := rapid.IntRange(0, len(e.vaults)-1).Draw(e.rt, "one")
	b := rapid.IntRange(0, len(e.vaults)-1).Draw(e.rt, "other")
	if a != b {
		e.exchange(a, b)
	}
}

// step lets somebody edit or two vaults meet.
func (e *editing) step() {
	who := rapid.IntRange(0, len(e.vaults)-1).Draw(e.rt, "who")
	switch rapid.IntRange(0, 5).Draw(e.rt, "step") {
	case 0:
		e.meet()
	case 1: // another buffer is opened, and left alone for a while
		b := e.read(who, rapid.SampledFrom([]string{recordPath, textPath}).Draw(e.rt, "opened"))
		e.open[who] = &b
	case 2: // the old buffer is saved
		e.edit(who, e.open[who])
	default:
		b := e.read(who, rapid.SampledFrom([]string{recordPath, textPath}).Draw(e.rt, "path"))
		e.edit(who, &b)
	}
}

// edit changes a buffer and saves it.
func (e *editing) edit(who int, b *buffer) {
	number := len(e.all)
	s := saving{seen: b.seen}
	if b.path == textPath {
		e.insertRune(b, number)
	} else if field := rapid.SampledFrom([]string{"/a", "/b", "/c/d", "/l", "/k", "/k/v"}).Draw(e.rt, "field"); field == "/k" {
		e.changeRecord(b, e.moveElement)
	} else if field == "/k/v" {
		s.value = fmt.Sprintf("v%d", number)
		e.changeRecord(b, func(r *record) {
			x := &r.K[rapid.IntRange(0, len(r.K)-1).Draw(e.rt, "element")]
			s.field, x.V = "/k/"+x.ID, s.value
		})
	} else if field == "/l" {
		e.changeRecord(b, func(r *record) {
			item := fmt.Sprintf("item%d", number)
			e.items = append(e.items, item)
			r.L = slices.Insert(r.L, rapid.IntRange(0, len(r.L)).Draw(e.rt, "at"), item)
		})
	} else {
		s.field, s.value = field, fmt.Sprintf("v%d", number)
		e.changeRecord(b, func(r *record) { *fields[field](r) = s.value })
	}
	e.all = append(e.all, s)
	saved := e.save(who, b)
	if !saved.Changed {
		e.rt.Fatalf("save %d of %s: nothing changed", number, b.path)
	}
	b.base = saved.Wrote
	b.seen = maps.Clone(b.seen)
	b.seen[number] = true
	e.known[who][number] = true
}

// moveElement moves one of the keyed elements.
func (e *editing) moveElement(r *record) {
	from := rapid.IntRange(0, len(r.K)-1).Draw(e.rt, "from")
	x := r.K[from]
	rest := slices.Delete(slices.Clone(r.K), from, from+1)
	to := rapid.IntRange(0, len(rest)-1).Draw(e.rt, "to")
	if to >= from {
		to++
	}
	r.K = slices.Insert(rest, to, x)
}

// insertRune puts a character that comes nowhere else between two others.
func (e *editing) insertRune(b *buffer, number int) {
	text := []rune(b.content)
	r := rune(0x4e00 + number)
	e.runes = append(e.runes, r)
	b.content = string(slices.Insert(text, rapid.IntRange(0, len(text)).Draw(e.rt, "at"), r))
}

func (e *editing) changeRecord(b *buffer, change func(*record)) {
	var r record
	if err := json.Unmarshal([]byte(b.content), &r); err != nil {
		e.rt.Fatalf("%q: %v", b.content, err)
	}
	change(&r)
	out, err := json.Marshal(r)
	if err != nil {
		e.rt.Fatal(err)
	}
	b.content = string(out)
}

// save saves as one of the editors does that people have.
func (e *editing) save(who int, b *buffer) echo.Saved {
	ctx, v := context.Background(), e.vaults[who]
	n, err := v.Resolve(b.path)
	if err != nil {
		e.rt.Fatal(err)
	}
	s := echo.Save{Ino: n.Ino, Data: []byte(b.content), Base: &b.base, Rule: "test"}
	_, name := split(b.path)
	switch rapid.IntRange(0, 3).Draw(e.rt, "editor") {
	case 0: // the file is renamed to a backup and made again
		if _, _, err = v.Detach(ctx, n.Ino, n.Parent, name+"~"); err == nil {
			s.Ino = e.again(who, n.Parent, name)
		}
	case 1: // it is removed and made again
		if err = v.Remove(ctx, n.Ino); err == nil {
			s.Ino = e.again(who, n.Parent, name)
		}
	case 2: // another is renamed over it
		var temp echo.Node
		if temp, err = v.CreateFile(ctx, n.Parent, "."+name+".tmp", 0); err == nil {
			s.Consume = temp.Ino
		}
	}
	if err != nil {
		e.rt.Fatal(err)
	}
	saved, err := v.Save(ctx, s)
	if err != nil {
		e.rt.Fatal(err)
	}
	return saved
}

// again makes a file again that was just there; others may come in between.
func (e *editing) again(who int, parent echo.Ino, name string) echo.Ino {
	if rapid.IntRange(0, 3).Draw(e.rt, "meanwhile") == 0 {
		e.meet()
	}
	n, err := e.vaults[who].CreateFile(context.Background(), parent, name, 0)
	if err != nil {
		e.rt.Fatal(err)
	}
	return n.Ino
}

// finish brings everybody together.
func (e *editing) finish() {
	for range 2 {
		for i := 1; i < len(e.vaults); i++ {
			e.exchange(0, i)
		}
	}
}

// check compares the outcome with the model.
func (e *editing) check() {
	first := e.vaults[0]
	for i, v := range e.vaults {
		for _, path := range []string{recordPath, textPath} {
			if got, want := show(e.t, v, path), show(e.t, first, path); got != want {
				e.rt.Errorf("vault %d has %s\n%s\nvault 0 has\n%s", i, path, got, want)
			}
		}
		if got := tree(e.t, v, e.spaces[i].Ino()); !slices.Equal(visible(got), []string{"f.json", "t.md"}) {
			e.rt.Errorf("vault %d has the tree %q", i, got)
		}
	}
	var r record
	if err := json.Unmarshal([]byte(show(e.t, first, recordPath)), &r); err != nil {
		e.rt.Fatal(err)
	}
	e.checkFields(&r)
	e.checkElements(&r)
	want := append([]string{"first", "last"}, e.items...)
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(r.L)); !slices.Equal(got, want) {
		e.rt.Errorf("the list is %q, want %q in any order", r.L, want)
	}
	text := show(e.t, first, textPath)
	for _, c := range e.runes {
		if strings.Count(text, string(c)) != 1 {
			e.rt.Errorf("%c comes %d times in %q", c, strings.Count(text, string(c)), text)
		}
	}
	if n := len([]rune(text)); n != len("begin\nend\n")+len(e.runes) {
		e.rt.Errorf("the text has %d characters: %q", n, text)
	}
}

// visible leaves out the backups that editors leave.
func visible(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return strings.HasSuffix(p, "~") })
}

// checkFields checks that each field has a value that nobody knowingly
// overwrote, and that all such values are known as its conflict.
func (e *editing) checkFields(r *record) {
	var contested []map[string][]string
	for _, s := range e.spaces {
		contested = append(contested, conflictValues(e.rt, s))
	}
	for field, of := range fields {
		standing := e.standing(field)
		if len(standing) == 0 {
			standing = []string{field[len(field)-1:] + "0"}
		}
		if !slices.Contains(standing, *of(r)) {
			e.rt.Errorf("%s is %q, want one of %q", field, *of(r), standing)
		}
		slices.Sort(standing)
		for i, found := range contested {
			if got := found[field]; len(standing) > 1 && !slices.Equal(got, standing) || len(standing) == 1 && len(got) > 0 {
				e.rt.Errorf("vault %d knows for %s the values %q, want %q", i, field, got, standing)
			}
		}
	}
}

// standing returns the values of a field that nobody overwrote who had seen
// them.
func (e *editing) standing(field string) (out []string) {
	for n, s := range e.all {
		overwritten := slices.ContainsFunc(e.all, func(by saving) bool { return by.field == field && by.seen[n] })
		if s.field == field && !overwritten {
			out = append(out, s.value)
		}
	}
	return out
}

// checkElements checks that each keyed element is there, and that each value
// that nobody overwrote who had seen it is in it or known as a conflict: an
// element that was moved shows the value that whoever moved it had seen.
func (e *editing) checkElements(r *record) {
	shown := map[string][]string{}
	for _, x := range r.K {
		shown[x.ID] = append(shown[x.ID], x.V)
	}
	if ids := slices.Sorted(maps.Keys(shown)); !slices.Equal(ids, elements) {
		e.rt.Errorf("the elements are %q, want %q", ids, elements)
	}
	for i, s := range e.spaces {
		known := map[string][]string{}
		for pointer, values := range conflictValues(e.rt, s) {
			var n int
			if _, err := fmt.Sscanf(pointer, "/k/%d/v", &n); err == nil {
				known[r.K[n].ID] = append(known[r.K[n].ID], values...)
			}
		}
		for _, id := range elements {
			for _, v := range e.standing("/k/" + id) {
				if !slices.Contains(shown[id], v) && !slices.Contains(known[id], v) {
					e.rt.Errorf("vault %d has lost %s of element %s: it shows %q, and knows of %q", i, v, id, shown[id], known[id])
				}
			}
		}
	}
}

// conflictValues returns the strings of each conflict.
func conflictValues(rt *rapid.T, s *echo.Space) map[string][]string {
	found, err := s.Conflicts(context.Background())
	if err != nil {
		rt.Fatal(err)
	}
	out := map[string][]string{}
	for _, c := range found {
		for _, v := range c.Values {
			var text string
			if err := json.Unmarshal(v.Value, &text); err == nil { // else it is an element
				out[c.Pointer] = append(out[c.Pointer], text)
			}
		}
		slices.Sort(out[c.Pointer])
	}
	return out
}

// soak reports whether a test is to be thorough; then properties try as many
// cases as it says, unless somebody asked for a number.
func soak(t *testing.T, cases string) bool {
	t.Helper()
	if os.Getenv("ECHOFS_SOAK") == "" {
		return false
	}
	checks := flag.Lookup("rapid.checks").Value
	was := checks.String()
	if was != "100" {
		return true
	}
	if err := checks.Set(cases); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Set(was) })
	return true
}

// TestSavesLoseNothing lets people edit two files at random, with the ways that
// editors have, while they meet at random. ECHOFS_SOAK=1 makes it thorough.
func TestSavesLoseNothing(t *testing.T) {
	most := 16
	if soak(t, "2000") {
		most = 60
	}
	rapid.Check(t, func(rt *rapid.T) {
		e := newEditing(t, rt)
		for range rapid.IntRange(1, most).Draw(rt, "steps") {
			e.step()
		}
		e.finish()
		e.check()
		checkVaults(e.t, e.vaults...)
	})
}
