package model_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// describe writes edits one a line, values with their kinds where that is not
// the one of their JSON.
func describe(edits []doc.Edit) string {
	var out []string
	for _, e := range edits {
		at := e.Path.Pointer()
		switch e.Op {
		case doc.Put:
			out = append(out, "put "+at+" "+describeValue(e.Value))
		case doc.Insert:
			out = append(out, "insert "+at+" "+describeValue(e.Value))
		case doc.Delete:
			out = append(out, "delete "+at)
		case doc.Splice:
			out = append(out, fmt.Sprintf("splice %s %d -%d +%q", at, e.Pos, e.Del, e.Ins))
		case doc.Increment:
			out = append(out, fmt.Sprintf("increment %s %+d", at, e.By))
		}
	}
	return strings.Join(out, "\n")
}

func describeValue(v *doc.Value) string {
	switch v.Kind {
	case doc.Map:
		var out []string
		for _, f := range v.Fields {
			out = append(out, f.Key+":"+describeValue(f.Value))
		}
		return "{" + strings.Join(out, " ") + "}"
	case doc.List:
		var out []string
		for _, item := range v.Items {
			out = append(out, describeValue(item))
		}
		return "[" + strings.Join(out, " ") + "]"
	case doc.Text, doc.Counter, doc.Timestamp, doc.Bytes:
		return v.Kind.String() + canonical(v)
	}
	return strings.TrimSpace(string(model.Render(v, model.RenderOptions{})))
}

// adopted is what a document has that was created from a text.
func adopted(tb testing.TB, text string) *doc.Value {
	tb.Helper()
	return model.Adopt(mustParse(tb, text), nil)
}

func TestDiff(t *testing.T) {
	tests := []struct{ name, base, next, want string }{
		{"nothing", `{"a":1}`, `{ "a": 1.0 }`, ``},
		{"order of keys", `{"a":1,"b":2}`, `{"b":2,"a":1}`, ``},
		{"field changed", `{"a":1,"b":2}`, `{"a":1,"b":3}`, `put /b 3`},
		{"field new and gone", `{"a":1}`, `{"b":"x y"}`, "delete /a\nput /b text\"x y\""},
		{"nested", `{"a":{"b":{"c":1,"d":1}}}`, `{"a":{"b":{"c":2,"d":1}}}`, `put /a/b/c 2`},
		{"float of the value of an int", `{"a":1}`, `{"a":1.5}`, `put /a 1.5`},
		{"minus zero", `{"a":0}`, `{"a":-0}`, `put /a -0.0`},
		{"kind of container", `{"a":[1]}`, `{"a":{"b":1}}`, `put /a {b:1}`},
		{"null is not missing", `{"a":1}`, `{"a":null}`, `put /a null`},
		{"token", `{"s":"todo"}`, `{"s":"done"}`, `put /s "done"`},
		{"token becomes prose", `{"s":"todo"}`, `{"s":"to do"}`, `put /s text"to do"`},
		{"prose", `{"s":"buy milk"}`, `{"s":"buy oat milk"}`, `splice /s 4 -0 +"oat "`},
		{"prose becomes one word", `{"s":"buy milk"}`, `{"s":"milk"}`, `splice /s 0 -4 +""`},
		{"reference", `{"r":{"/":"a b"}}`, `{"r":{"/":"a c"}}`, `put /r/~1 text"a c"`},
		{"list append", `{"l":[1,2]}`, `{"l":[1,2,3]}`, `insert /l/2 3`},
		{"list front", `{"l":[1,2]}`, `{"l":[0,1,2]}`, `insert /l/0 0`},
		{"list delete", `{"l":["a","b","c"]}`, `{"l":["a","c"]}`, `delete /l/1`},
		{"list of numbers", `{"l":[1,2,3]}`, `{"l":[1,9,3]}`, `put /l/1 9`},
		{"tags", `{"l":["a","b","c"]}`, `{"l":["a","x","c"]}`, "delete /l/1\ninsert /l/1 \"x\""},
		{"list of prose", `{"l":["buy milk","call bob"]}`, `{"l":["buy oat milk","call bob"]}`, `splice /l/0 4 -0 +"oat "`},
		{"several places", `{"l":["a","b","c","d"]}`, `{"l":["x","a","c","d","y"]}`,
			"insert /l/0 \"x\"\ndelete /l/2\ninsert /l/4 \"y\""},
		{"identity", `{"l":[{"id":1,"n":"a"},{"id":2,"n":"b"}]}`, `{"l":[{"id":3,"n":"a"},{"id":1,"n":"a"},{"id":2,"n":"c"}]}`,
			"insert /l/0 {id:3 n:\"a\"}\nput /l/2/n \"c\""},
		{"moved", `{"l":[{"id":1},{"id":2},{"id":3,"t":"a b"}]}`, `{"l":[{"id":3,"t":"b"},{"id":1},{"id":2}]}`,
			"insert /l/0 {id:3 t:text\"b\"}\ndelete /l/3"},
		{"renamed", `{"l":[{"name":"bob","a":1,"b":2}]}`, `{"l":[{"name":"rob","a":1,"b":2}]}`, `put /l/0/name "rob"`},
		{"another of the same name field", `{"l":[{"name":"bob","a":1}]}`, `{"l":[{"name":"eve","a":2}]}`,
			"delete /l/0\ninsert /l/0 {name:\"eve\" a:2}"},
		{"identity that is not unique", `{"l":[{"id":1,"a":1},{"id":1,"a":2}]}`, `{"l":[{"id":1,"a":1},{"id":1,"a":3}]}`,
			`put /l/1/a 3`},
		{"maps without identity", `{"l":[{"x":1,"y":1},{"x":2,"y":2}]}`, `{"l":[{"z":0},{"x":1,"y":9},{"x":2,"y":2}]}`,
			"insert /l/0 {z:0}\nput /l/1/y 9"},
		{"lists in lists", `{"l":[[1,2],[3]]}`, `{"l":[[1,2],[3,4]]}`, `insert /l/1/1 4`},
		{"escaped key", `{"a/b":{"~":1}}`, `{"a/b":{"~":2}}`, `put /a~1b/~0 2`},
	}
	for _, tt := range tests {
		got := model.Diff(adopted(t, tt.base), mustParse(t, tt.next), model.DiffOptions{})
		if describe(got) != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, describe(got), tt.want)
		}
	}
}

// The kinds that JSON does not have survive a save, and what was not touched
// is not written.
func TestDiffStoredKinds(t *testing.T) {
	tests := []struct{ name, from, to, want string }{
		{"counter", `"counter": 3`, `"counter": 5`, `increment /counter +2`},
		{"counter down", `"counter": 3`, `"counter": -1.0`, `increment /counter -4`},
		{"counter becomes a fraction", `"counter": 3`, `"counter": 3.5`, `put /counter 3.5`},
		{"counter becomes text", `"counter": 3`, `"counter": "three"`, `put /counter "three"`},
		{"time", `"2023-11-14T22:13:20.001Z"`, `"2024-01-01T00:00:00Z"`, `put /time timestamp"2024-01-01T00:00:00.000Z"`},
		{"time spelled in another way", `"2023-11-14T22:13:20.001Z"`, `"2023-11-14T22:13:20.001000Z"`, ``},
		{"time becomes a date", `"2023-11-14T22:13:20.001Z"`, `"2024-01-01"`, `put /time "2024-01-01"`},
		{"bytes", `3q0=`, `3q4=`, `put /bytes bytes{"/":{"bytes":"3q4="}}`},
		{"bytes without padding", `3q0=`, `3q0`, ``},
		{"late time", `9223372036854775807`, `1`, `put /late 1`},
		{"unknown replaced", `{"/": {"unknown": "CQ=="}}`, `7`, `put /odd 7`},
		{"nan", `"NaN"`, `"Infinity"`, `put /nan {"/": {"float": "Infinity"}}`},
	}
	for _, tt := range tests {
		text := strings.Replace(storedText, tt.from, tt.to, 1)
		next, err := model.Parse([]byte(text), model.Limits{Foreign: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := describe(model.Diff(stored, next, model.DiffOptions{})); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// An element that is moved has the kinds it had.
func TestDiffMovedKinds(t *testing.T) {
	moved := doc.NewMap(
		doc.Field{Key: "id", Value: doc.NewInt(1)},
		doc.Field{Key: "count", Value: &doc.Value{Kind: doc.Counter, Int: 3}},
		doc.Field{Key: "time", Value: &doc.Value{Kind: doc.Timestamp, Int: 0}},
		doc.Field{Key: "late", Value: &doc.Value{Kind: doc.Timestamp, Int: 1 << 60}},
		doc.Field{Key: "float", Value: doc.NewFloat(2)},
		doc.Field{Key: "word", Value: doc.NewText("word")},
		doc.Field{Key: "list", Value: doc.NewList(doc.NewText("x"), doc.NewFloat(1))},
		doc.Field{Key: "odd", Value: &doc.Value{Kind: doc.Unknown, Bytes: []byte{1}}},
	)
	base := doc.NewList(moved, mustParse(t, `{"id":2}`), mustParse(t, `{"id":3}`))
	next := mustParse(t, `[{"id":2},{"id":3},{"id":1,"count":4,"time":"1970-01-01T00:00:00.000Z","late":1152921504606846976,`+
		`"float":2,"word":"words","list":["x",1],"odd":{"/":{"unknown":"AQ=="}}}]`)
	want := "delete /l/0\ninsert /l/2 {id:1 count:counter4 time:timestamp\"1970-01-01T00:00:00.000Z\" late:timestamp1152921504606846976 " +
		`float:2.0 word:text"words" list:[text"x" 1.0] odd:{/:{unknown:"AQ=="}}}`
	if got := describe(model.Diff(base, next, model.DiffOptions{Prefix: doc.Keys("l")})); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// An element that was moved is not taken for a new one that looks like it.
func TestDiffMovedIsNotRenamed(t *testing.T) {
	element := func(id string) string { return `{"id":` + id + `,"a":1,"b":1}` }
	list := func(ids ...string) *doc.Value {
		var out []string
		for _, id := range ids {
			out = append(out, element(id))
		}
		return mustParse(t, "["+strings.Join(out, ",")+"]")
	}
	for _, next := range []*doc.Value{list("3", "2", "1"), list("2", "1", "3"), list("2", "3", "1")} {
		for _, e := range model.Diff(list("1", "2"), next, model.DiffOptions{Prefix: doc.Keys("l")}) {
			if e.Op == doc.Put {
				t.Errorf("%s: got put %s", canonical(next), e.Path.Pointer())
			}
		}
	}
}

func TestDiffCreates(t *testing.T) {
	next := mustParse(t, `{"title":"a b","tags":["x","y z"],"ref":{"/":"a b.json"},"n":1}`)
	got := describe(model.Diff(nil, next, model.DiffOptions{Prefix: doc.Keys("objects", "x", "data")}))
	want := `put /objects/x/data {title:text"a b" tags:["x" text"y z"] ref:{/:text"a b.json"} n:1}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDiffForeignTexts(t *testing.T) {
	base := doc.NewMap(doc.Field{Key: "s", Value: doc.NewText("todo")}, doc.Field{Key: "p", Value: doc.NewText("a b")})
	next := mustParse(t, `{"s":"done","p":"a c"}`)
	tests := map[bool]string{
		false: "splice /s 0 -4 +\"done\"\nsplice /p 2 -1 +\"c\"",
		true:  "put /s \"done\"\nsplice /p 2 -1 +\"c\"",
	}
	for foreign, want := range tests {
		if got := describe(model.Diff(base, next, model.DiffOptions{ForeignTexts: foreign})); got != want {
			t.Errorf("foreign %v: got %s, want %s", foreign, got, want)
		}
	}
}

func TestDiffSizeOfStrings(t *testing.T) {
	long := strings.Repeat("word ", model.MaxText/5)
	tests := []struct {
		name string
		base *doc.Value
		next string
		want string // how the first edit starts
	}{
		{"grows too long", doc.NewText(long), long + "x y z w v u", "put /s \"word"},
		{"stays short enough", doc.NewText(long), long + "x", "splice /s 65535 -0 +\"x\""},
		{"was too long already", doc.NewText(long + long), long + long + "x", "splice /s"},
		{"becomes far too long", doc.NewText(long + long), strings.Repeat(long, 6), "put /s \"word"},
		{"shrinks", doc.NewString(long + long), "two words", "put /s text"},
	}
	for _, tt := range tests {
		base := doc.NewMap(doc.Field{Key: "s", Value: tt.base})
		next := doc.NewMap(doc.Field{Key: "s", Value: doc.NewString(tt.next)})
		got := describe(model.Diff(base, next, model.DiffOptions{}))
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: got %.60s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestDiffSchema(t *testing.T) {
	schema, err := model.ParseSchema([]byte(`{"type":"object","properties":{
		"slug":{"type":"string","x-echofs-merge":"text"},
		"note":{"x-echofs-merge":"value"},
		"hits":{"x-echofs-merge":"counter"},
		"rows":{"items":{"properties":{"n":{"x-echofs-merge":"counter"}}}},
		"plain":{"type":"string"}},
		"additionalProperties":{"x-echofs-merge":"value"}}`))
	if err != nil {
		t.Fatal(err)
	}
	base := model.Adopt(mustParse(t, `{"slug":"abc","note":"a b","hits":1,"rows":[{"id":1,"n":1}],"plain":"a b","other":"a b"}`), schema)
	if got, want := describeValue(base), `{slug:text"abc" note:"a b" hits:counter1 rows:[{id:1 n:counter1}] plain:text"a b" other:"a b"}`; got != want {
		t.Errorf("adopted %s, want %s", got, want)
	}
	next := mustParse(t, `{"slug":"abd","note":"a c","hits":3,"rows":[{"id":1,"n":5}],"plain":"a c","other":"c b"}`)
	want := `splice /slug 2 -1 +"d"
put /note "a c"
increment /hits +2
increment /rows/0/n +4
splice /plain 2 -1 +"c"
put /other "c b"`
	if got := describe(model.Diff(base, next, model.DiffOptions{Schema: schema})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestParseSchema(t *testing.T) {
	for _, text := range []string{`{}`, `true`, `{"type":"object","properties":{"a":{"type":"string"}}}`} {
		if s, err := model.ParseSchema([]byte(text)); s != nil || err != nil {
			t.Errorf("ParseSchema(%s): got %+v, %v, want nothing", text, s, err)
		}
	}
	for _, text := range []string{`{`, `{"properties":{"a":{"x-echofs-merge":"sum"}}}`, `{"items":{"x-echofs-merge":1}}`} {
		if _, err := model.ParseSchema([]byte(text)); err == nil {
			t.Errorf("ParseSchema(%s): got no error", text)
		}
	}
}

// A list of tokens is changed by as few edits as there can be.
func TestDiffListIsMinimal(t *testing.T) {
	tokens := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		a, b := tokens.Draw(t, "a"), tokens.Draw(t, "b")
		edits := model.Diff(listOf(a), listOf(b), model.DiffOptions{Prefix: doc.Keys("l")})
		if got, want := len(edits), len(a)+len(b)-2*longestCommon(a, b); got != want {
			t.Fatalf("%v to %v: got %d edits, want %d:\n%s", a, b, got, want, describe(edits))
		}
	})
}

func listOf(tokens []string) *doc.Value {
	v := doc.NewList()
	for _, s := range tokens {
		v.Items = append(v.Items, doc.NewString(s))
	}
	return v
}

func longestCommon(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			row[j+1] = max(row[j], above)
			if x == y {
				row[j+1] = diagonal + 1
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// Reordering moves as few elements as can be, however many there are.
func TestDiffShuffledList(t *testing.T) {
	const n = 3000
	base, next := doc.NewList(), doc.NewList()
	for i := range n {
		base.Items = append(base.Items, doc.NewMap(doc.Field{Key: "id", Value: doc.NewInt(int64(i))}))
	}
	next.Items = slices.Clone(base.Items)
	slices.Reverse(next.Items)
	edits := model.Diff(base, next, model.DiffOptions{Prefix: doc.Keys("l")})
	if got, want := len(edits), 2*(n-1); got != want {
		t.Errorf("reversed: got %d edits, want %d", got, want)
	}
	next.Items = append(slices.Clone(base.Items[1:]), base.Items[0])
	edits = model.Diff(base, next, model.DiffOptions{Prefix: doc.Keys("l")})
	if got, want := len(edits), 2; got != want {
		t.Errorf("first to last: got %d edits, want %d", got, want)
	}
}

// Two people who change different things make edits at different places.
func TestDiffDisjoint(t *testing.T) {
	base := adopted(t, `{"title":"a b","done":false,"people":[{"id":1,"name":"ada","mail":"a"},{"id":2,"name":"bob","mail":"b"}],
		"deep":{"x":{"a":1,"b":2}},"tags":["x","y"]}`)
	saves := []string{
		`{"title":"a b c","done":false,"people":[{"id":1,"name":"ada","mail":"a"},{"id":2,"name":"bob","mail":"b"}],"deep":{"x":{"a":1,"b":2}},"tags":["x","y"]}`,
		`{"title":"a b","done":true,"people":[{"id":1,"name":"ada","mail":"a"},{"id":2,"name":"bob","mail":"b"}],"deep":{"x":{"a":1,"b":2}},"tags":["x","y"]}`,
		`{"title":"a b","done":false,"people":[{"id":1,"name":"ada","mail":"z"},{"id":2,"name":"bob","mail":"b"}],"deep":{"x":{"a":1,"b":2}},"tags":["x","y"]}`,
		`{"title":"a b","done":false,"people":[{"id":1,"name":"ada","mail":"a"},{"id":2,"name":"robert","mail":"b"}],"deep":{"x":{"a":1,"b":2}},"tags":["x","y"]}`,
		`{"title":"a b","done":false,"people":[{"id":1,"name":"ada","mail":"a"},{"id":2,"name":"bob","mail":"b"}],"deep":{"x":{"a":3,"b":2}},"tags":["x","y"]}`,
		`{"title":"a b","done":false,"people":[{"id":1,"name":"ada","mail":"a"},{"id":2,"name":"bob","mail":"b"}],"deep":{"x":{"a":1}},"tags":["x","y"]}`,
		`{"title":"a b","done":false,"people":[{"id":1,"name":"ada","mail":"a"},{"id":2,"name":"bob","mail":"b"}],"deep":{"x":{"a":1,"b":2},"n":1},"tags":["x","y","z"]}`,
	}
	seen := map[string]int{}
	for i, text := range saves {
		for _, e := range model.Diff(base, mustParse(t, text), model.DiffOptions{}) {
			at := e.Path.Pointer()
			if before, ok := seen[at]; ok && before != i {
				t.Errorf("saves %d and %d both edit %s", before, i, at)
			}
			seen[at] = i
		}
	}
	want := []string{"/deep/n", "/deep/x/a", "/deep/x/b", "/done", "/people/0/mail", "/people/1/name", "/tags/2", "/title"}
	var got []string
	for at := range seen {
		got = append(got, at)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got edits at %v, want %v", got, want)
	}
}

func FuzzDiff(f *testing.F) {
	for _, pair := range [][2]string{
		{`{"a":[1,2,{"id":3}]}`, `{"a":[2,{"id":3,"b":"x y"}]}`},
		{`["a b","c"]`, `["a c","c","c"]`}, {`{"/":{"bytes":"AQI="}}`, `{"/":{"bytes":1}}`}, {`1`, `1.0`},
	} {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		base, err := model.Parse(a, model.Limits{Foreign: true})
		if err != nil {
			return
		}
		next, err := model.Parse(b, model.Limits{Foreign: true})
		if err != nil {
			return
		}
		checkDiff(t, base, next, model.DiffOptions{})
		checkDiff(t, model.Adopt(base, nil), next, model.DiffOptions{})
	})
}
