package model_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// The generators make small values from small alphabets, so that equal keys,
// equal elements and near misses are common.

func genString(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "b", "todo", "done", "2026-01-02T03:04:05.678Z", "é", "👍🏼", "\u0000\u007f\u2028\""}),
		rapid.StringMatching(`[ab é]{0,12}`),
		rapid.StringMatching(`([a-c]{1,4} ){0,6}`),
		rapid.String(),
	).Filter(func(s string) bool { return !strings.ContainsRune(s, '\ufffd') }).Draw(t, "string")
}

func genFloat(t *rapid.T) float64 {
	return rapid.OneOf(
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, 2.5, 1e21, 1e-7, 1 << 53, 1 << 63, 1 << 64, math.MaxFloat64,
			math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1)}),
		rapid.Float64(),
	).Draw(t, "float")
}

func genInt(t *rapid.T) int64 {
	return rapid.OneOf(rapid.Int64Range(-2, 3), rapid.Int64()).Draw(t, "int")
}

// genScalar makes a value of a kind that Parse returns, or, if stored, of any
// kind a document has.
func genScalar(t *rapid.T, stored bool) *doc.Value {
	kinds := []doc.Kind{doc.Null, doc.Bool, doc.Int, doc.Float, doc.String, doc.String, doc.Bytes}
	if stored {
		kinds = append(kinds, doc.Text, doc.Text, doc.Counter, doc.Timestamp, doc.Uint, doc.Unknown)
	}
	v := &doc.Value{Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	switch v.Kind {
	case doc.Bool:
		v.Bool = rapid.Bool().Draw(t, "bool")
	case doc.Int, doc.Counter:
		v.Int = genInt(t)
	case doc.Timestamp:
		v.Int = rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 1<<41)).Draw(t, "ms")
	case doc.Uint:
		v.Uint = rapid.Uint64().Draw(t, "uint")
	case doc.Float:
		v.Float = genFloat(t)
	case doc.String, doc.Text:
		v.Str = genString(t)
	case doc.Bytes, doc.Unknown:
		v.Bytes = rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "bytes")
	}
	return v
}

var genKey = rapid.OneOf(
	rapid.SampledFrom([]string{"a", "b", "c", "id", "name", "key", "@id", "@type", "/", "bytes", "float", "unknown"}),
	rapid.StringN(1, 5, -1).Filter(func(s string) bool { return !strings.ContainsRune(s, '\ufffd') }),
)

func genValue(t *rapid.T, depth int, stored bool) *doc.Value {
	shape := rapid.IntRange(0, 5).Draw(t, "shape")
	switch {
	case depth <= 0 || shape < 2:
		return genScalar(t, stored)
	case shape < 4:
		v := &doc.Value{Kind: doc.Map}
		for _, key := range rapid.SliceOfNDistinct(genKey, 0, 5, rapid.ID[string]).Draw(t, "keys") {
			v.Fields = append(v.Fields, doc.Field{Key: key, Value: genValue(t, depth-1, stored)})
		}
		return v
	}
	v := &doc.Value{Kind: doc.List}
	for range rapid.IntRange(0, 7).Draw(t, "len") {
		v.Items = append(v.Items, genValue(t, depth-1, stored))
	}
	return v
}

// reread returns what Parse makes of v's text.
func reread(tb interface{ Fatalf(string, ...any) }, v *doc.Value) *doc.Value {
	text := model.Render(v, model.RenderOptions{})
	got, err := model.Parse(text, model.Limits{Foreign: true, Depth: 100})
	if err != nil {
		tb.Fatalf("parse what was rendered: %v\n%s", err, text)
	}
	return got
}

// mutate returns v with some random changes, as an author makes them.
func mutate(t *rapid.T, v *doc.Value, depth int) *doc.Value {
	switch rapid.IntRange(0, 9).Draw(t, "mutation") {
	case 0:
		return genValue(t, depth, false)
	case 1:
		return genScalar(t, false)
	case 2, 3:
		return v
	}
	switch v.Kind {
	case doc.Map:
		return mutateMap(t, v, depth)
	case doc.List:
		return mutateList(t, v, depth)
	case doc.String:
		return doc.NewString(mutateString(t, v.Str))
	case doc.Int:
		return doc.NewInt(v.Int + rapid.Int64Range(-2, 2).Draw(t, "add"))
	}
	return v
}

func mutateString(t *rapid.T, s string) string {
	runes := []rune(s)
	at := rapid.IntRange(0, len(runes)).Draw(t, "at")
	end := rapid.IntRange(at, len(runes)).Draw(t, "end")
	return string(runes[:at]) + genString(t) + string(runes[end:])
}

func mutateMap(t *rapid.T, v *doc.Value, depth int) *doc.Value {
	out := &doc.Value{Kind: doc.Map}
	for _, f := range v.Fields {
		if rapid.IntRange(0, 5).Draw(t, "drop") > 0 {
			out.Fields = append(out.Fields, doc.Field{Key: f.Key, Value: mutate(t, f.Value, depth-1)})
		}
	}
	if key := genKey.Draw(t, "new key"); out.Get(key) == nil {
		at := rapid.IntRange(0, len(out.Fields)).Draw(t, "place")
		out.Fields = slices.Insert(out.Fields, at, doc.Field{Key: key, Value: genValue(t, depth-1, false)})
	}
	return out
}

func mutateList(t *rapid.T, v *doc.Value, depth int) *doc.Value {
	out := &doc.Value{Kind: doc.List}
	for _, item := range v.Items {
		switch rapid.IntRange(0, 7).Draw(t, "item") {
		case 0:
		case 1:
			out.Items = append(out.Items, genValue(t, depth-1, false), item)
		case 2:
			out.Items = append(out.Items, mutate(t, item, depth-1))
		case 3:
			out.Items = slices.Insert(out.Items, rapid.IntRange(0, len(out.Items)).Draw(t, "to"), item)
		default:
			out.Items = append(out.Items, item)
		}
	}
	return out
}

func canonical(v *doc.Value) string { return string(model.Canonical(v)) }

func mustParse(tb testing.TB, text string) *doc.Value {
	tb.Helper()
	v, err := model.Parse([]byte(text), model.Limits{})
	if err != nil {
		tb.Fatalf("parse %s: %v", text, err)
	}
	return v
}
