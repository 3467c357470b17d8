package doc

import (
	"bytes"
	"math"
)

// Kind tells what a Value holds.
type Kind uint8

// The kinds of values. Their numbers are part of the stored form of a value
// (docs/FORMAT.md): add at the end only.
const (
	Null      Kind = iota
	Bool           // Value.Bool
	Int            // Value.Int
	Uint           // Value.Uint; written by other software only, for integers above 1<<63-1
	Float          // Value.Float
	String         // Value.Str: one value, the last writer wins
	Text           // Value.Str: merged by Unicode code point
	Bytes          // Value.Bytes
	Counter        // Value.Int
	Timestamp      // Value.Int: milliseconds since 1970
	Map            // Value.Fields
	List           // Value.Items
	Unknown        // Value.Bytes: a type this version does not know; never written
)

var kindNames = [...]string{"null", "bool", "int", "uint", "float", "string", "text", "bytes",
	"counter", "timestamp", "map", "list", "unknown"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

// Value is a part of a document at one version. Only the member that Kind
// names is meaningful. A Value is not changed once it was handed on; copies
// share memory.
type Value struct {
	Kind   Kind
	Bool   bool
	Int    int64
	Uint   uint64
	Float  float64
	Str    string
	Bytes  []byte
	Fields []Field
	Items  []*Value
}

// Field is one entry of a map.
type Field struct {
	Key   string
	Value *Value
}

// Constructors for the common kinds.

// NewNull returns a null.
func NewNull() *Value { return &Value{Kind: Null} }

// NewBool returns a boolean.
func NewBool(b bool) *Value { return &Value{Kind: Bool, Bool: b} }

// NewInt returns an integer.
func NewInt(i int64) *Value { return &Value{Kind: Int, Int: i} }

// NewFloat returns a floating point number.
func NewFloat(f float64) *Value { return &Value{Kind: Float, Float: f} }

// NewString returns a string that is one value.
func NewString(s string) *Value { return &Value{Kind: String, Str: s} }

// NewText returns a string that is merged by character.
func NewText(s string) *Value { return &Value{Kind: Text, Str: s} }

// NewMap returns a map of the fields in their order.
func NewMap(fields ...Field) *Value { return &Value{Kind: Map, Fields: fields} }

// NewList returns a list.
func NewList(items ...*Value) *Value { return &Value{Kind: List, Items: items} }

// Get returns the field of a map, or nil where v is nil, no map, or has no
// such field.
func (v *Value) Get(key string) *Value {
	if v == nil || v.Kind != Map {
		return nil
	}
	for i := range v.Fields {
		if v.Fields[i].Key == key {
			return v.Fields[i].Value
		}
	}
	return nil
}

// At follows keys through nested maps; nil where one is missing.
func (v *Value) At(keys ...string) *Value {
	for _, k := range keys {
		v = v.Get(k)
	}
	return v
}

// IsString reports whether v is a string of either kind.
func (v *Value) IsString() bool { return v != nil && (v.Kind == String || v.Kind == Text) }

// Text returns the string of either kind, and "" for anything else.
func (v *Value) Text() string {
	if v.IsString() {
		return v.Str
	}
	return ""
}

// Equal reports whether v and other hold the same data in the same kinds. The
// order of a map's fields does not matter; NaN equals NaN, and 0 differs from
// -0, since they are different values in a document.
func (v *Value) Equal(other *Value) bool {
	if v == nil || other == nil {
		return v == other
	}
	if v.Kind != other.Kind {
		return false
	}
	switch v.Kind {
	case Null:
		return true
	case Bool:
		return v.Bool == other.Bool
	case Int, Counter, Timestamp:
		return v.Int == other.Int
	case Uint:
		return v.Uint == other.Uint
	case Float:
		return math.Float64bits(v.Float) == math.Float64bits(other.Float) ||
			math.IsNaN(v.Float) && math.IsNaN(other.Float)
	case String, Text:
		return v.Str == other.Str
	case Bytes, Unknown:
		return bytes.Equal(v.Bytes, other.Bytes)
	case List:
		return equalItems(v.Items, other.Items)
	case Map:
		return equalFields(v.Fields, other.Fields)
	}
	return false
}

func equalItems(a, b []*Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

func equalFields(a, b []Field) bool {
	if len(a) != len(b) {
		return false
	}
	index := make(map[string]*Value, len(b))
	for _, f := range b {
		index[f.Key] = f.Value
	}
	for i, f := range a {
		if b[i].Key == f.Key { // the same order is the common case
			if !f.Value.Equal(b[i].Value) {
				return false
			}
			continue
		}
		other, ok := index[f.Key]
		if !ok || !f.Value.Equal(other) {
			return false
		}
	}
	return true
}
