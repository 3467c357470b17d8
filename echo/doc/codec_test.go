package doc_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"echofs/echo/doc"
)

func nested(depth int) *doc.Value {
	v := doc.NewNull()
	for range depth - 1 {
		v = doc.NewList(v)
	}
	return v
}

// The stored form is kept for good, so it is written out here.
func TestValueStoredForm(t *testing.T) {
	for _, tt := range []struct {
		v    *doc.Value
		want string
	}{
		{nil, "0100"},
		{doc.NewNull(), "0100"},
		{doc.NewBool(false), "010100"},
		{doc.NewBool(true), "010101"},
		{doc.NewInt(0), "010200"},
		{doc.NewInt(-1), "010201"},
		{doc.NewInt(math.MinInt64), "0102ffffffffffffffffff01"},
		{&doc.Value{Kind: doc.Uint, Uint: math.MaxUint64}, "0103ffffffffffffffffff01"},
		{doc.NewFloat(1), "0104000000000000f03f"},
		{doc.NewString("é"), "010502c3a9"},
		{doc.NewText(""), "010600"},
		{&doc.Value{Kind: doc.Bytes, Bytes: []byte{0xff}}, "010701ff"},
		{&doc.Value{Kind: doc.Counter, Int: 64}, "01088001"},
		{&doc.Value{Kind: doc.Timestamp, Int: 1}, "010902"},
		{doc.NewMap(doc.Field{Key: "b", Value: doc.NewInt(1)}, doc.Field{Key: "a", Value: doc.NewList()}), "010a0201620202" + "01610b00"},
		{doc.NewList(doc.NewNull(), doc.NewMap()), "010b02000a00"},
		{&doc.Value{Kind: doc.Unknown, Bytes: []byte{10, 1}}, "010c020a01"},
	} {
		got := doc.EncodeValue(tt.v)
		if hex.EncodeToString(got) != tt.want {
			t.Errorf("%v: %x, want %s", tt.v, got, tt.want)
		}
		back, err := doc.DecodeValue(got)
		if want := tt.v; err != nil || want != nil && !back.Equal(want) || want == nil && back.Kind != doc.Null {
			t.Errorf("%s: read back %v, %v", tt.want, back, err)
		}
	}
}

func TestDecodeValueRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "",
		"version only":      "01",
		"other version":     "0200",
		"trailing":          "010000",
		"unknown kind":      "010d",
		"bool 2":            "010102",
		"overlong number":   "01028000",
		"number of 11":      "0103ffffffffffffffffffff01",
		"short float":       "010400000000000000",
		"string too long":   "01050261",
		"string no UTF-8":   "010501ff",
		"list too long":     "010b0200",
		"list of billions":  "010bffffffff0f00",
		"map without value": "010a010161",
		"key twice":         "010a0201610001610000",
		"key twice, apart":  "010a03016200016100016200",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(name, err)
		}
		if v, err := doc.DecodeValue(b); !errors.Is(err, doc.ErrBadValue) {
			t.Errorf("%s: %v, %v; want ErrBadValue", name, v, err)
		}
	}
	if _, err := doc.DecodeValue(doc.EncodeValue(nested(doc.MaxDepth))); err != nil {
		t.Errorf("nested %d: %v", doc.MaxDepth, err)
	}
	if _, err := doc.DecodeValue(doc.EncodeValue(nested(doc.MaxDepth + 1))); !errors.Is(err, doc.ErrBadValue) {
		t.Errorf("nested %d: %v, want ErrBadValue", doc.MaxDepth+1, err)
	}
	many := doc.NewList(make([]*doc.Value, doc.MaxNodes+1)...)
	if _, err := doc.DecodeValue(doc.EncodeValue(many)); !errors.Is(err, doc.ErrBadValue) {
		t.Errorf("%d values: %v, want ErrBadValue", len(many.Items), err)
	}
}

func FuzzDecodeValue(f *testing.F) {
	f.Add(doc.EncodeValue(doc.NewMap(doc.Field{Key: "b", Value: doc.NewText("é")},
		doc.Field{Key: "a", Value: doc.NewList(doc.NewFloat(math.NaN()), doc.NewInt(-300))})))
	f.Add(doc.EncodeValue(nested(20)))
	f.Add([]byte{1, 10, 2, 1, 'a', 0, 1, 'a', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := doc.DecodeValue(b)
		if err != nil {
			if !errors.Is(err, doc.ErrBadValue) {
				t.Errorf("%v does not wrap ErrBadValue", err)
			}
			return
		}
		if again := doc.EncodeValue(v); !bytes.Equal(again, b) {
			t.Errorf("decoded %x, encodes to %x", b, again)
		}
		if !v.Equal(v) {
			t.Error("value is not equal to itself")
		}
	})
}
