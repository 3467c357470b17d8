package model_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"echofs/echo/doc"
	"echofs/echo/model"
)

func TestParseKinds(t *testing.T) {
	tests := []struct {
		text string
		want *doc.Value
	}{
		{`null`, doc.NewNull()},
		{` true `, doc.NewBool(true)},
		{`0`, doc.NewInt(0)},
		{`-0`, doc.NewFloat(math.Copysign(0, -1))},
		{`-0.0`, doc.NewFloat(math.Copysign(0, -1))},
		{`9223372036854775807`, doc.NewInt(math.MaxInt64)},
		{`-9223372036854775808`, doc.NewInt(math.MinInt64)},
		{`1.0`, doc.NewFloat(1)},
		{`1e3`, doc.NewFloat(1000)},
		{`0.1`, doc.NewFloat(0.1)},
		{`1.50`, doc.NewFloat(1.5)},
		{`100e-2`, doc.NewFloat(1)},
		{`0e99999999999999`, doc.NewFloat(0)},
		{`5e-324`, doc.NewFloat(5e-324)},
		{`1.7976931348623157e308`, doc.NewFloat(math.MaxFloat64)},
		{`9007199254740993`, doc.NewInt(9007199254740993)},
		{`"a\u00e9\ud83d\udc4d\n\u0000"`, doc.NewString("aé👍\n\x00")},
		{"\"\u2028\"", doc.NewString("\u2028")},
		{`[]`, doc.NewList()},
		{`{"b":1,"a":{}}`, doc.NewMap(doc.Field{Key: "b", Value: doc.NewInt(1)}, doc.Field{Key: "a", Value: doc.NewMap()})},
		{`{"/":{"bytes":"AQI="}}`, &doc.Value{Kind: doc.Bytes, Bytes: []byte{1, 2}}},
		{`{"/":{"bytes":"AQI"}}`, &doc.Value{Kind: doc.Bytes, Bytes: []byte{1, 2}}},
		{`{"/":{"float":"NaN"}}`, doc.NewFloat(math.NaN())},
		{`{"/":{"float":"-Infinity"}}`, doc.NewFloat(math.Inf(-1))},
	}
	for _, tt := range tests {
		got, err := model.Parse([]byte(tt.text), model.Limits{})
		if err != nil || !got.Equal(tt.want) {
			t.Errorf("Parse(%s): got %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
	}
}

func TestParseKeepsMapsThatAreNoSpecialForm(t *testing.T) {
	for _, text := range []string{
		`{"/":"../people/ada.json"}`, `{"/":{"bytes":"AQ*="}}`, `{"/":{"bytes":"AR=="}}`, `{"/":{"bytes":"AQ==\n"}}`,
		`{"/":{"bytes":1}}`, `{"/":{"float":"nan"}}`, `{"/":{"bytes":"AQI=","x":1}}`, `{"/":{"bytes":"AQI="},"x":1}`,
		`{"/":{"unknown":"AQI="}}`, `{"/":null}`,
	} {
		if v := mustParse(t, text); v.Kind != doc.Map || canonical(v) != text {
			t.Errorf("Parse(%s): got %v %s", text, v.Kind, canonical(v))
		}
	}
}

func TestParseKeepsOrder(t *testing.T) {
	v := mustParse(t, `{"z":1,"a":2,"m":3}`)
	var got []string
	for _, f := range v.Fields {
		got = append(got, f.Key)
	}
	if want := "z a m"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		text    string
		line    int
		column  int
		pointer string
		reason  string // a part of it
	}{
		{`{"a":1,"a":2}`, 1, 8, "/a", `duplicate key "a"`},
		{`{"a":1,"\u0061":2}`, 1, 8, "/a", "duplicate key"},
		{"{\n  \"é\": \"\xff\"}", 2, 9, "/é", "UTF-8"},
		{`{"a":"\ud800"}`, 1, 7, "/a", "surrogate"},
		{`{"a":"\udc00\ud800"}`, 1, 7, "/a", "surrogate"},
		{"\ufeff{}", 1, 1, "", "byte order mark"},
		{`{} x`, 1, 4, "", "after the end"},
		{`{}{}`, 1, 3, "", "after the end"},
		{`{"a":1`, 1, 7, "", "ends within"},
		{`["abc`, 1, 6, "/0", "ends within"},
		{"{\n \"a\": [1,\n  2,]\n}", 3, 4, "/a", "comma without a value"},
		{`{"a":1,}`, 1, 7, "", "comma without a value"},
		{`{"a" 1}`, 1, 6, "/a", "expecting ':'"},
		{`{'a':1}`, 1, 2, "", "invalid character"},
		{"[\"a\tb\"]", 1, 4, "/0", "control"},
		{`[01]`, 1, 3, "", "expecting"},
		{`[+1]`, 1, 2, "/0", "invalid character"},
		{`[NaN]`, 1, 2, "/0", "invalid character"},
		{`[1e400]`, 1, 2, "/0", "range of a 64-bit float"},
		{`[1e-400]`, 1, 2, "/0", "more digits"},
		{`[0.1000000000000000055511]`, 1, 2, "/0", "more digits"},
		{`[9007199254740993.0]`, 1, 2, "/0", "more digits"},
		{`[9223372036854775808]`, 1, 2, "/0", "range of 64 bits"},
		{`[-9223372036854775809]`, 1, 2, "/0", "range of 64 bits"},
		{`{"a":{"":1}}`, 1, 7, "/a/", "empty key"},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), 1, 65, strings.Repeat("/0", 64), "deeper than 64"},
		{"// c\n{}", 1, 1, "", "invalid character"},
		{`nul`, 1, 4, "", "ends within"},
	}
	for _, tt := range tests {
		_, err := model.Parse([]byte(tt.text), model.Limits{})
		var got *model.SyntaxError
		if !errors.As(err, &got) {
			t.Errorf("Parse(%q): got %v, want a SyntaxError", tt.text, err)
			continue
		}
		if got.Line != tt.line || got.Column != tt.column || got.Pointer != tt.pointer || !strings.Contains(got.Reason, tt.reason) {
			t.Errorf("Parse(%q):\ngot  %d:%d %q %s\nwant %d:%d %q %s", tt.text,
				got.Line, got.Column, got.Pointer, got.Reason, tt.line, tt.column, tt.pointer, tt.reason)
		}
	}
}

func TestParseLimits(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ",%q:0", fmt.Sprint(i))
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	tests := []struct {
		name  string
		text  string
		lim   model.Limits
		check func(error) bool
	}{
		{"empty", "", model.Limits{}, func(err error) bool { return errors.Is(err, model.ErrEmpty) }},
		{"blank", " \n\t\r\n", model.Limits{}, func(err error) bool { return errors.Is(err, model.ErrEmpty) }},
		{"long", `"` + strings.Repeat("a", 4<<20) + `"`, model.Limits{}, func(err error) bool { return errors.Is(err, model.ErrTooLarge) }},
		{"as long as can be", `"` + strings.Repeat("a", 4<<20-2) + `"`, model.Limits{}, isNil},
		{"as deep as can be", deep(64), model.Limits{}, isNil},
		{"as many keys as can be", keys(10_000), model.Limits{}, isNil},
		{"too many keys", keys(10_001), model.Limits{}, isSyntax},
		{"too many values", `[1,2,3]`, model.Limits{Values: 3}, isSyntax},
		{"foreign integer", `18446744073709551615`, model.Limits{Foreign: true}, isNil},
		{"beyond foreign integers", `18446744073709551616`, model.Limits{Foreign: true}, isSyntax},
		{"foreign key", `{"":1}`, model.Limits{Foreign: true}, isNil},
	}
	for _, tt := range tests {
		if _, err := model.Parse([]byte(tt.text), tt.lim); !tt.check(err) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func isNil(err error) bool { return err == nil }

func isSyntax(err error) bool {
	var syntax *model.SyntaxError
	return errors.As(err, &syntax)
}

func TestHasForeign(t *testing.T) {
	tests := []struct {
		v    *doc.Value
		want bool
	}{
		{nil, false},
		{mustParse(t, `{"a":[1,{"b":2}]}`), false},
		{doc.NewList(&doc.Value{Kind: doc.Uint, Uint: 5}), false},
		{doc.NewList(&doc.Value{Kind: doc.Uint, Uint: 1 << 63}), true},
		{doc.NewMap(doc.Field{Key: "a", Value: doc.NewMap(doc.Field{Key: "", Value: doc.NewNull()})}), true},
	}
	for _, tt := range tests {
		if got := model.HasForeign(tt.v); got != tt.want {
			t.Errorf("HasForeign(%v): got %v, want %v", tt.v, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x\u00e9",null,true]}`, `{"/":{"bytes":"AQI="}}`, `[-0,1e3,1e21,0.1]`, `{"":1}`,
		`18446744073709551615`, "\ufeff1", `[1,]`, "{\"\xff\":1}", `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, lim := range []model.Limits{{}, {Foreign: true}} {
			v, err := model.Parse(text, lim)
			if err != nil {
				continue
			}
			for _, again := range [][]byte{model.Render(v, model.RenderOptions{}), model.Canonical(v)} {
				lim.Bytes, lim.Foreign = 64<<20, true
				got, err := model.Parse(again, lim)
				if err != nil || !model.Same(got, v) {
					t.Fatalf("%q was accepted, and became %q: %v", text, again, err)
				}
			}
			if got := model.Patch(text, v, v, model.RenderOptions{}); string(got) != string(text) {
				t.Fatalf("%q was patched to %q without a change", text, got)
			}
		}
	})
}
