// Package wire is the encoding of everything that sync puts on a network:
// deterministic CBOR (RFC 8949, 4.2.1), decoded so strictly that each value has
// exactly one encoding.
package wire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// ErrMalformed: bytes that no correct program sends.
var ErrMalformed = errors.New("malformed message")

var (
	encMode = mustEncMode()
	decMode = mustDecMode()
)

func mustEncMode() cbor.EncMode {
	opts := cbor.CoreDetEncOptions()
	opts.TagsMd = cbor.TagsForbidden
	mode, err := opts.EncMode()
	if err != nil {
		panic("wire: encoder options: " + err.Error()) // a constant set of options
	}
	return mode
}

func mustDecMode() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8RejectInvalid,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  MaxElements,
		MaxMapPairs:       64,
		IntDec:            cbor.IntDecConvertSignedOrFail,
	}.DecMode()
	if err != nil {
		panic("wire: decoder options: " + err.Error()) // a constant set of options
	}
	return mode
}

// MaxElements is the largest number of elements in an array.
const MaxElements = 4096

// Encode returns the one encoding of v, a struct with integer keys. It fails
// only for types that have none, which is an error of the program.
func Encode(v any) ([]byte, error) {
	b, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// Decode reads b, all of it, into v, a pointer to a zero value. It fails with
// ErrMalformed for anything but what Encode would have produced. The caller
// bounds the size of b.
func Decode(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %T: %w: %w", v, ErrMalformed, err)
	}
	again, err := Encode(reflect.ValueOf(v).Elem().Interface())
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("decode %T: not in canonical form: %w", v, ErrMalformed)
	}
	return nil
}
