package halo

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

const maxElements = 1024 // of a list

// MaxBlobs is how many blobs a Data entry names at most.
const MaxBlobs = maxElements

// The encoding of everything that is signed, hashed or stored: deterministic
// CBOR (RFC 8949, 4.2.1) with integer map keys, definite lengths, no tags and
// no floating point numbers.
var (
	encMode = mustEncMode()
	decMode = mustDecMode(maxElements)
)

func mustEncMode() cbor.EncMode {
	opts := cbor.CoreDetEncOptions()
	opts.NilContainers = cbor.NilContainerAsEmpty // a list has one empty form
	opts.TagsMd = cbor.TagsForbidden
	mode, err := opts.EncMode()
	if err != nil {
		panic("halo: encoder options: " + err.Error()) // a constant set of options
	}
	return mode
}

func mustDecMode(elements int) cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8RejectInvalid,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  elements,
		MaxMapPairs:       64,
		IntDec:            cbor.IntDecConvertSignedOrFail,
	}.DecMode()
	if err != nil {
		panic("halo: decoder options: " + err.Error()) // a constant set of options
	}
	return mode
}

// encode returns the deterministic encoding of v. It fails only where v is of
// a type that has none, which is an error of the program.
func encode(v any) ([]byte, error) {
	b, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// decode reads the one item b into v, a pointer to a zero value. It refuses
// bytes longer than limit, unknown fields, and every encoding but the one
// encode would produce: the decoder alone accepts, for example, integers that
// are longer than need be.
func decode(b []byte, v any, limit int) error { return decodeWith(decMode, b, v, limit) }

func decodeWith(mode cbor.DecMode, b []byte, v any, limit int) error {
	if len(b) > limit {
		return fmt.Errorf("decode %T: %d bytes, at most %d: %w", v, len(b), limit, ErrTooLarge)
	}
	if err := mode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %T: %w: %w", v, ErrMalformed, err)
	}
	again, err := encode(reflect.ValueOf(v).Elem().Interface())
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("decode %T: not in canonical form: %w", v, ErrMalformed)
	}
	return nil
}

// malformed returns an ErrMalformed that says what is wrong.
func malformed(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrMalformed)...)
}
