package model_test

import (
	"bytes"
	"strings"
	"testing"

	"echofs/echo/doc"
	"echofs/echo/model"
)

func TestPatchKeepsLayout(t *testing.T) {
	tests := []struct{ name, text, next, want string }{
		{"value", "{ \"b\" :1e0,\n\t\"a\": \"\\u0041\" }\n", `{"a":"A","b":2}`, "{ \"b\" :2,\n\t\"a\": \"\\u0041\" }\n"},
		{"new key", "{\n    \"a\": 1\n}\n", `{"a":1,"b":{"c":[1]}}`, "{\n    \"a\": 1,\n    \"b\": {\n        \"c\": [\n            1\n        ]\n    }\n}\n"},
		{"new key on one line", `{"a":1}`, `{"a":1,"b":{"c":[1,2]}}`, `{"a":1,"b":{"c":[1,2]}}`},
		{"new key on one line with spaces", `{"a": 1, "b": 2}`, `{"a":1,"b":2,"c":[1,2]}`, `{"a": 1, "b": 2, "c": [1, 2]}`},
		{"new key with a tab and CRLF", "{\r\n\t\"a\": 1\r\n}\r\n", `{"a":1,"b":[1]}`, "{\r\n\t\"a\": 1,\r\n\t\"b\": [\r\n\t\t1\r\n\t]\r\n}\r\n"},
		{"first key gone", "{\n  \"a\": 1,\n  \"b\": 2\n}", `{"b":2}`, "{\n  \"b\": 2\n}"},
		{"first key gone on one line", `{"a": 1, "b": 2}`, `{"b":2}`, `{"b": 2}`},
		{"last key gone", "{\n  \"a\": 1,\n  \"b\": 2\n}", `{"a":1}`, "{\n  \"a\": 1\n}"},
		{"middle key gone", "{\n  \"a\": 1,\n\n  \"b\": 2,\n  \"c\": 3\n}", `{"a":1,"c":3}`, "{\n  \"a\": 1,\n  \"c\": 3\n}"},
		{"all keys gone", "{\n  \"a\": 1\n}\n", `{}`, "{}\n"},
		{"into an empty map", "{}\n", `{"a":1}`, "{\n  \"a\": 1\n}\n"},
		{"into an empty map within", "{\n \"a\": {}\n}", `{"a":{"b":1}}`, "{\n \"a\": {\n  \"b\": 1\n }\n}"},
		{"comma first", "{ \"a\": 1\n, \"b\": 2\n}", `{"a":1,"b":3}`, "{ \"a\": 1\n, \"b\": 3\n}"},
		{"list on one line in a map on many", "{\n  \"t\": [\"a\", \"b\"]\n}", `{"t":["a","b",{"c":1}]}`, "{\n  \"t\": [\"a\", \"b\", {\"c\": 1}]\n}"},
		{"list of maps", "[\n  {\"id\": 1, \"n\": 1.0},\n  {\"id\": 2, \"n\": 2.0}\n]", `[{"id":2,"n":3},{"id":1,"n":1}]`, "[\n  {\"id\": 2, \"n\": 3},\n  {\"id\": 1, \"n\": 1.0}\n]"},
		{"spaces before commas", `{ "a": 1 , "b": 2 , "c": 3 }`, `{"a":1,"b":4}`, `{ "a": 1 , "b": 4 }`},
		{"list front", "[ 1, 2 ]", `[0,1,2]`, "[ 0, 1, 2 ]"},
		{"spelling of what stays", "[1.00, 1e2,\"\\/\", 5]", `[1,100,"/",6]`, "[1.00, 1e2,\"\\/\", 6]"},
		{"blank lines stay where they are", "{\n  \"a\": 1,\n\n  \"b\": 2\n}", `{"a":1,"b":2,"c":3}`, "{\n  \"a\": 1,\n\n  \"b\": 2,\n  \"c\": 3\n}"},
		{"value becomes a map", "{\n\t\"a\": 1\n}", `{"a":{"b":1}}`, "{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}"},
		{"bytes", `{"a": {"/": {"bytes": "AQI"}},"b":1}`, `{"a":{"/":{"bytes":"AQI="}},"b":2}`, `{"a": {"/": {"bytes": "AQI"}},"b":2}`},
	}
	for _, tt := range tests {
		old, next := mustParse(t, tt.text), mustParse(t, tt.next)
		if got := string(model.Patch([]byte(tt.text), old, next, model.RenderOptions{})); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestPatchFallsBack(t *testing.T) {
	next := mustParse(t, `{"a":2}`)
	want := "{\n  \"a\": 2\n}\n"
	for _, text := range []string{``, `{"a":`, `{"a":9}`} {
		if got := string(model.Patch([]byte(text), mustParse(t, `{"a":1}`), next, model.RenderOptions{})); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestPatchRank(t *testing.T) {
	rank := func(_ doc.Path, key string) int { return -int(key[0]) }
	got := string(model.Patch([]byte(`{"a":1}`), mustParse(t, `{"a":1}`), mustParse(t, `{"a":1,"b":2,"c":3}`),
		model.RenderOptions{Rank: rank}))
	if want := `{"a":1,"c":3,"b":2}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A file that shows stored kinds is patched after a remote change of one.
func TestPatchStoredKinds(t *testing.T) {
	next, err := model.Apply(stored, []doc.Edit{
		{Op: doc.Increment, Path: doc.Keys("counter"), By: 4},
		{Op: doc.Splice, Path: doc.Keys("title"), Pos: 4, Ins: "some "},
	})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(storedText, "22:13:20.001Z", "22:13:20.001000Z", 1)
	want := strings.Replace(strings.Replace(text, `"counter": 3`, `"counter": 7`, 1), "Buy <milk>", "Buy some <milk>", 1)
	if got := model.Patch([]byte(text), stored, next, model.RenderOptions{}); string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte("{\n  \"a\": 1,\n\n \"b\" : [1 ,2]}"), []byte(`{"b":[2,3],"c":null}`))
	f.Add([]byte(" [ {\"id\":1} , {\"id\":2}\r\n] "), []byte(`[{"id":2,"x":1}]`))
	f.Add([]byte(`{"/":{"bytes":"AQI="}}`), []byte(`{"/":1}`))
	f.Fuzz(func(t *testing.T, text, to []byte) {
		old, err := model.Parse(text, model.Limits{Foreign: true})
		if err != nil {
			return
		}
		next, err := model.Parse(to, model.Limits{Foreign: true})
		if err != nil {
			return
		}
		checkPatch(t, bytes.Clone(text), old, next)
	})
}
