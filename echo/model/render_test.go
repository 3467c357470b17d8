package model_test

import (
	"math"
	"testing"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// stored has every kind of value.
var stored = doc.NewMap(
	doc.Field{Key: "title", Value: doc.NewText("Buy <milk> & \"bread\"\n")},
	doc.Field{Key: "@x", Value: doc.NewInt(1)},
	doc.Field{Key: "@relationTarget", Value: doc.NewString("t")},
	doc.Field{Key: "@relationSource", Value: doc.NewString("s")},
	doc.Field{Key: "@type", Value: doc.NewString("dxn:type:example.com/type/Task:0.1.0")},
	doc.Field{Key: "float", Value: doc.NewFloat(1)},
	doc.Field{Key: "small", Value: doc.NewFloat(1e-7)},
	doc.Field{Key: "nan", Value: doc.NewFloat(math.NaN())},
	doc.Field{Key: "uint", Value: &doc.Value{Kind: doc.Uint, Uint: math.MaxUint64}},
	doc.Field{Key: "counter", Value: &doc.Value{Kind: doc.Counter, Int: 3}},
	doc.Field{Key: "time", Value: &doc.Value{Kind: doc.Timestamp, Int: 1700000000001}},
	doc.Field{Key: "late", Value: &doc.Value{Kind: doc.Timestamp, Int: math.MaxInt64}},
	doc.Field{Key: "bytes", Value: &doc.Value{Kind: doc.Bytes, Bytes: []byte{0xde, 0xad}}},
	doc.Field{Key: "odd", Value: &doc.Value{Kind: doc.Unknown, Bytes: []byte{9}}},
	doc.Field{Key: "list", Value: doc.NewList(doc.NewNull(), doc.NewList(), doc.NewMap(), doc.NewBool(true))},
	doc.Field{Key: "\u2028\u0085\x7f\x1b", Value: doc.NewString("\x00")},
)

const storedText = `{
  "@type": "dxn:type:example.com/type/Task:0.1.0",
  "@relationSource": "s",
  "@relationTarget": "t",
  "@x": 1,
  "title": "Buy <milk> & \"bread\"\n",
  "float": 1.0,
  "small": 1e-7,
  "nan": {"/": {"float": "NaN"}},
  "uint": 18446744073709551615,
  "counter": 3,
  "time": "2023-11-14T22:13:20.001Z",
  "late": 9223372036854775807,
  "bytes": {"/": {"bytes": "3q0="}},
  "odd": {"/": {"unknown": "CQ=="}},
  "list": [
    null,
    [],
    {},
    true
  ],
  "` + "\u2028" + `\u0085\u007f\u001b": "\u0000"
}
`

func TestRender(t *testing.T) {
	if got := string(model.Render(stored, model.RenderOptions{})); got != storedText {
		t.Errorf("got\n%s\nwant\n%s", got, storedText)
	}
	v, err := model.Parse([]byte(storedText), model.Limits{Foreign: true})
	if err != nil || !model.Same(v, stored) {
		t.Errorf("read back: %v, %s", err, canonical(v))
	}
	if edits := model.Diff(stored, v, model.DiffOptions{}); edits != nil {
		t.Errorf("saving what was shown: got %v, want no edits", edits)
	}
}

func TestRenderRank(t *testing.T) {
	v := mustParse(t, `{"a":{"x":1,"y":2},"b":1,"@id":"i","c":2}`)
	rank := func(path doc.Path, key string) int {
		switch path.Pointer() + "/" + key {
		case "/c":
			return -2
		case "/b", "/a/y":
			return -1
		}
		return 0
	}
	got := string(model.Render(v, model.RenderOptions{Rank: rank}))
	want := "{\n  \"@id\": \"i\",\n  \"c\": 2,\n  \"b\": 1,\n  \"a\": {\n    \"y\": 2,\n    \"x\": 1\n  }\n}\n"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCanonical(t *testing.T) {
	tests := []struct{ text, want string }{
		{`{ "b": 1.0, "a": [1e0, 1e21, -0, 0.0, 1e-7, 1e20] }`, `{"a":[1,1e+21,-0.0,0,1e-7,100000000000000000000.0],"b":1}`},
		{"{\"\U0001f44d\":1,\"\uffee\":2,\"a\":3}", "{\"a\":3,\"\uffee\":2,\"\U0001f44d\":1}"},
		{`{"/":{"bytes":"AQI"}}`, `{"/":{"bytes":"AQI="}}`},
		{`"\u0041\/"`, `"A/"`},
	}
	for _, tt := range tests {
		if got := canonical(mustParse(t, tt.text)); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestSame(t *testing.T) {
	stamp := &doc.Value{Kind: doc.Timestamp, Int: 1700000000000}
	tests := []struct {
		a, b *doc.Value
		want bool
	}{
		{doc.NewInt(1), doc.NewFloat(1), true},
		{doc.NewInt(0), doc.NewFloat(math.Copysign(0, -1)), false},
		{doc.NewInt(1<<53 + 1), doc.NewFloat(1 << 53), false},
		{doc.NewInt(math.MaxInt64), doc.NewFloat(1 << 63), false},
		{&doc.Value{Kind: doc.Uint, Uint: 1 << 63}, doc.NewFloat(1 << 63), false},
		{&doc.Value{Kind: doc.Uint, Uint: 7}, doc.NewInt(7), true},
		{&doc.Value{Kind: doc.Counter, Int: 7}, doc.NewInt(7), true},
		{doc.NewFloat(math.NaN()), doc.NewFloat(math.NaN()), true},
		{doc.NewText("a"), doc.NewString("a"), true},
		{stamp, doc.NewString("2023-11-14T22:13:20.000Z"), true},
		{stamp, doc.NewString("2023-11-14T22:13:20Z"), true},
		{stamp, doc.NewString("2023-11-15T00:13:20+02:00"), true},
		{stamp, doc.NewString("2023-11-14T22:13:20.0001Z"), false},
		{stamp, doc.NewString("2023-11-14T22:13:20,000Z"), false},
		{&doc.Value{Kind: doc.Timestamp}, doc.NewString("1970-01-01T0:00:00.000Z"), false},
		{stamp, doc.NewInt(1700000000000), false},
		{doc.NewString("1"), doc.NewInt(1), false},
		{doc.NewBool(false), doc.NewNull(), false},
		{mustParse(t, `{"a":1,"b":2}`), mustParse(t, `{"b":2.0,"a":1}`), true},
		{mustParse(t, `{"a":1}`), mustParse(t, `{"a":1,"b":2}`), false},
		{mustParse(t, `[1,2]`), mustParse(t, `[2,1]`), false},
		{nil, doc.NewNull(), false},
		{nil, nil, true},
	}
	for _, tt := range tests {
		if got := model.Same(tt.a, tt.b); got != tt.want {
			t.Errorf("Same(%+v, %+v): got %v", tt.a, tt.b, got)
		}
		if got := model.Same(tt.b, tt.a); got != tt.want {
			t.Errorf("Same(%+v, %+v): got %v", tt.b, tt.a, got)
		}
	}
}
