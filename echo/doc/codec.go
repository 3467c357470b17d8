package doc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// The stored form of a Value, version 1. It is what the store keeps and what
// the engine sends through its pipe, so what is here must stay readable.
//
//	value   = 0x01 node
//	node    = kind payload            one byte: the number of the Kind
//	payload:
//	  Null                            nothing
//	  Bool                            one byte, 0 or 1
//	  Int, Counter, Timestamp         varint: zigzag, then as uvarint
//	  Uint                            uvarint
//	  Float                           8 bytes, IEEE 754 bits, little endian
//	  String, Text                    uvarint length in bytes, UTF-8
//	  Bytes, Unknown                  uvarint length, bytes
//	  List                            uvarint count, count nodes
//	  Map                             uvarint count, count fields
//	field   = uvarint length, UTF-8 key, node
//
// An uvarint has 7 bits per byte, the lowest first, the top bit set in all but
// the last byte; it is the shortest possible and at most 10 bytes. The fields
// of a map stand in the order of the Value and have different keys. Nothing
// follows the node. So what decodes, encodes to the same bytes again.
const valueVersion = 1

// Limits of the stored form. DecodeValue refuses more; a document within the
// engine's memory limit stays below them.
const (
	// MaxDepth is how deep maps and lists may nest; a scalar has depth 1.
	MaxDepth = 128
	// MaxNodes is how many values one Value may have in all.
	MaxNodes = 1 << 21
	// MaxEncoded is the greatest length in bytes, 128 MiB.
	MaxEncoded = 128 << 20
)

// ErrBadValue is wrapped by every error of DecodeValue.
var ErrBadValue = errors.New("malformed value")

// EncodeValue returns the stored form of v; nil is written as a null. Equal
// values with their fields in the same order give equal bytes. A value that
// exceeds MaxDepth, MaxNodes or MaxEncoded gives bytes that DecodeValue
// refuses.
func EncodeValue(v *Value) []byte { return AppendValue(nil, v) }

// AppendValue appends the stored form of v to b.
func AppendValue(b []byte, v *Value) []byte {
	return appendNode(append(b, valueVersion), v)
}

func appendNode(b []byte, v *Value) []byte {
	if v == nil {
		return append(b, byte(Null))
	}
	b = append(b, byte(v.Kind))
	switch v.Kind {
	case Bool:
		if v.Bool {
			return append(b, 1)
		}
		return append(b, 0)
	case Int, Counter, Timestamp:
		return binary.AppendVarint(b, v.Int)
	case Uint:
		return binary.AppendUvarint(b, v.Uint)
	case Float:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float))
	case String, Text:
		return append(binary.AppendUvarint(b, uint64(len(v.Str))), v.Str...)
	case Bytes, Unknown:
		return append(binary.AppendUvarint(b, uint64(len(v.Bytes))), v.Bytes...)
	case List:
		b = binary.AppendUvarint(b, uint64(len(v.Items)))
		for _, item := range v.Items {
			b = appendNode(b, item)
		}
	case Map:
		b = binary.AppendUvarint(b, uint64(len(v.Fields)))
		for _, f := range v.Fields {
			b = append(binary.AppendUvarint(b, uint64(len(f.Key))), f.Key...)
			b = appendNode(b, f.Value)
		}
	}
	return b
}

// DecodeValue reads a stored form that is all of b. It keeps no reference to
// b. Its errors wrap ErrBadValue.
func DecodeValue(b []byte) (*Value, error) {
	if len(b) > MaxEncoded {
		return nil, fmt.Errorf("%d bytes, more than %d: %w", len(b), MaxEncoded, ErrBadValue)
	}
	if len(b) == 0 || b[0] != valueVersion {
		return nil, fmt.Errorf("unknown version: %w", ErrBadValue)
	}
	// One string for all strings of the value: one allocation, and the parts of
	// a value usually live and die together.
	d := valueDecoder{b: b, s: string(b), at: 1, nodes: MaxNodes}
	v := new(Value)
	d.node(v, MaxDepth)
	if d.err == nil && d.at != len(b) {
		d.fail("%d bytes after the end", len(b)-d.at)
	}
	if d.err != nil {
		return nil, d.err
	}
	return v, nil
}

// valueDecoder reads nodes; after the first error it reads nothing more.
type valueDecoder struct {
	b     []byte
	s     string // b as a string, of which the strings are parts
	at    int
	nodes int // how many more values may follow
	err   error
}

func (d *valueDecoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("at byte %d: %s: %w", d.at, fmt.Sprintf(format, args...), ErrBadValue)
	}
	d.at = len(d.b)
}

func (d *valueDecoder) byte() byte {
	if d.at >= len(d.b) {
		d.fail("ends early")
		return 0
	}
	d.at++
	return d.b[d.at-1]
}

func (d *valueDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b[d.at:])
	if n <= 0 || n > 1 && d.b[d.at+n-1] == 0 {
		d.fail("bad number")
		return 0
	}
	d.at += n
	return v
}

func (d *valueDecoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// length reads a count of things of at least size bytes each.
func (d *valueDecoder) length(size int) int {
	n := d.uvarint()
	if n > uint64((len(d.b)-d.at)/size) {
		d.fail("count %d exceeds the data", n)
		return 0
	}
	return int(n)
}

func (d *valueDecoder) string() string {
	n := d.length(1)
	s := d.s[d.at : d.at+n]
	if !utf8.ValidString(s) {
		d.fail("not UTF-8")
		return ""
	}
	d.at += n
	return s
}

func (d *valueDecoder) bytes() []byte {
	n := d.length(1)
	d.at += n
	return []byte(d.s[d.at-n : d.at])
}

func (d *valueDecoder) node(v *Value, depth int) {
	if depth == 0 {
		d.fail("nested deeper than %d", MaxDepth)
		return
	}
	v.Kind = Kind(d.byte())
	switch v.Kind {
	case Null:
	case Bool:
		c := d.byte()
		if c > 1 {
			d.fail("bad boolean")
		}
		v.Bool = c == 1
	case Int, Counter, Timestamp:
		v.Int = d.varint()
	case Uint:
		v.Uint = d.uvarint()
	case Float:
		d.float(v)
	case String, Text:
		v.Str = d.string()
	case Bytes, Unknown:
		v.Bytes = d.bytes()
	case List:
		d.list(v, depth)
	case Map:
		d.fields(v, depth)
	default:
		d.fail("unknown kind %d", v.Kind)
	}
}

func (d *valueDecoder) float(v *Value) {
	if len(d.b)-d.at < 8 {
		d.fail("ends early")
		return
	}
	v.Float = math.Float64frombits(binary.LittleEndian.Uint64(d.b[d.at:]))
	d.at += 8
}

// children returns memory for n values, or nil where there may not be so many.
func (d *valueDecoder) children(n int) []Value {
	if n > d.nodes {
		d.fail("more than %d values", MaxNodes)
		return nil
	}
	d.nodes -= n
	return make([]Value, n)
}

func (d *valueDecoder) list(v *Value, depth int) {
	values := d.children(d.length(1))
	v.Items = make([]*Value, len(values))
	for i := range values {
		v.Items[i] = &values[i]
		if d.node(&values[i], depth-1); d.err != nil {
			return
		}
	}
}

func (d *valueDecoder) fields(v *Value, depth int) {
	values := d.children(d.length(2))
	v.Fields = make([]Field, len(values))
	sorted := true
	for i := range values {
		key := d.string()
		v.Fields[i] = Field{Key: key, Value: &values[i]}
		sorted = sorted && (i == 0 || v.Fields[i-1].Key < key)
		if d.node(&values[i], depth-1); d.err != nil {
			return
		}
	}
	if !sorted { // keys in ascending order cannot repeat
		d.distinct(v.Fields)
	}
}

func (d *valueDecoder) distinct(fields []Field) {
	seen := make(map[string]struct{}, len(fields))
	for _, f := range fields {
		if _, ok := seen[f.Key]; ok {
			d.fail("key %q twice", f.Key)
			return
		}
		seen[f.Key] = struct{}{}
	}
}
