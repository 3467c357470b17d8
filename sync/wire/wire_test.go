package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"echofs/sync/wire"
)

type sample struct {
	N    uint64   `cbor:"1,keyasint"`
	S    string   `cbor:"2,keyasint,omitempty"`
	B    []byte   `cbor:"3,keyasint"`
	List [][]byte `cbor:"4,keyasint"`
	ID   [4]byte  `cbor:"5,keyasint"`
}

var zero = sample{B: []byte{}, List: [][]byte{}}

func TestRoundTrip(t *testing.T) {
	for _, want := range []sample{
		zero,
		{N: 1 << 63, S: "é", B: []byte{1}, List: [][]byte{{}, {2, 3}}, ID: [4]byte{9}},
	} {
		b, err := wire.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		var got sample
		if err := wire.Decode(b, &got); err != nil {
			t.Fatal(err)
		}
		if got.N != want.N || got.S != want.S || !bytes.Equal(got.B, want.B) || got.ID != want.ID {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestOneFormOnly(t *testing.T) {
	tests := map[string]string{
		"long integer":    "a4011800034004800544" + "00000000",
		"keys disordered": "a4030001000480" + "054400000000",
		"double key":      "a5010001000340048005" + "4400000000",
		"unknown key":     "a5010003400480054400000000" + "0600",
		"trailing bytes":  "a401000340048005440000000000",
		"indefinite":      "bf0100034004800544" + "00000000ff",
		"tag":             "c0a40100034004800544" + "00000000",
		"negative":        "a4012003400480054400000000",
		"float":           "a401f90000034004800544" + "00000000",
		"short array":     "a40100034004800543000000",
		"bad text":        "a5010002" + "61ff" + "0340048005" + "4400000000",
		"empty":           "",
	}
	for name, text := range tests {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		var got sample
		if err := wire.Decode(b, &got); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v, want %v", name, err, wire.ErrMalformed)
		}
	}
	b, err := wire.Encode(zero)
	if err != nil {
		t.Fatal(err)
	}
	if want := "a40100034004800544" + "00000000"; hex.EncodeToString(b) != want {
		t.Errorf("got %x, want %s", b, want)
	}
}

func FuzzDecode(f *testing.F) {
	b, err := wire.Encode(zero)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var v sample
		if wire.Decode(b, &v) != nil {
			return
		}
		again, err := wire.Encode(v)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x, %v", b, again, err)
		}
	})
}
