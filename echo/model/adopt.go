package model

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"echofs/echo/doc"
)

// Sizes that decide how a string is kept. The core needs about 600 bytes of
// memory for each character of a Text.
const (
	// MaxText is the length in bytes up to which a string is merged by
	// character; a longer one is one value.
	MaxText = 64 << 10
	// MaxForeignText is the length in code points up to which a Text that
	// other software made longer than MaxText stays a Text.
	MaxForeignText = 300_000
)

// Adopt returns the value to create for a value that Parse returned: prose,
// a string with white space, becomes a Text, a token stays a String, and so
// does what is longer than MaxText. A reference (the value of a map's single key
// "/") becomes a Text, since other ECHO software takes nothing else for one, and
// is replaced as one value all the same. A schema, which may be nil, can say
// otherwise.
func Adopt(v *doc.Value, schema *Schema) *doc.Value {
	k := keeper{prints: newPrints()}
	return k.adopt(nil, v, schema)
}

// isProse reports whether s has white space.
func isProse(s string) bool { return strings.IndexFunc(s, unicode.IsSpace) >= 0 }

// keeper chooses the kinds of new values.
type keeper struct {
	*prints
	foreign bool // as DiffOptions.ForeignTexts
}

var reference = &Schema{Merge: mergeReference}

// fieldSchema returns what is known of a field of a map: whether it is a
// reference.
func fieldSchema(m *doc.Value, key string, s *Schema) *Schema {
	if key == linkKey && len(m.Fields) == 1 {
		return reference
	}
	return s.field(key)
}

// adopt returns next in the kinds that base has where base is an earlier
// version of it, or nil.
func (k keeper) adopt(base, next *doc.Value, s *Schema) *doc.Value {
	switch {
	case next.Kind == doc.Map:
		return k.adoptMap(base, next, s)
	case next.Kind == doc.List:
		return k.adoptList(base, next, s)
	case next.IsString():
		return k.adoptString(base, next.Str, s)
	}
	if i, ok := integer(next); ok && (s.mode() == MergeCounter || base != nil && base.Kind == doc.Counter) {
		return &doc.Value{Kind: doc.Counter, Int: i}
	}
	if base != nil && base.Kind != doc.Unknown && Same(base, next) {
		return base
	}
	return next
}

func (k keeper) adoptMap(base, next *doc.Value, s *Schema) *doc.Value {
	out := &doc.Value{Kind: doc.Map, Fields: make([]doc.Field, 0, len(next.Fields))}
	var find lookup
	if base != nil && base.Kind == doc.Map {
		find.fields = base.Fields
	}
	for i, f := range next.Fields {
		old, _ := find.at(i, f.Key)
		v := k.adopt(old, f.Value, fieldSchema(next, f.Key, s))
		out.Fields = append(out.Fields, doc.Field{Key: f.Key, Value: v})
	}
	return out
}

func (k keeper) adoptList(base, next *doc.Value, s *Schema) *doc.Value {
	out := &doc.Value{Kind: doc.List, Items: make([]*doc.Value, 0, len(next.Items))}
	var items []*doc.Value
	if base != nil && base.Kind == doc.List {
		items = base.Items
	}
	for _, st := range k.script(items, next.Items) {
		if st.op == stepRemove {
			continue
		}
		var old *doc.Value
		if st.i >= 0 {
			old = items[st.i]
		}
		out.Items = append(out.Items, k.adopt(old, next.Items[st.j], s.items()))
	}
	return out
}

func (k keeper) adoptString(base *doc.Value, next string, s *Schema) *doc.Value {
	if base != nil && base.Kind == doc.Timestamp {
		if ms, ok := parseTimestamp(next); ok {
			return &doc.Value{Kind: doc.Timestamp, Int: ms}
		}
	}
	if k.isText(base, next, s) && len(next) <= MaxText {
		return doc.NewText(next)
	}
	return doc.NewString(next)
}

// isText reports whether a string is merged by character, if its length
// permits: it has or had white space.
func (k keeper) isText(base *doc.Value, next string, s *Schema) bool {
	switch s.mode() {
	case MergeText, mergeReference:
		return true
	case MergeValue:
		return false
	}
	if isProse(next) || isProse(base.Text()) {
		return true
	}
	return base != nil && base.Kind == doc.Text && !k.foreign
}

// splices reports whether the change of the Text base to next is made of
// splices.
func (k keeper) splices(base *doc.Value, next string, s *Schema) bool {
	if base.Kind != doc.Text || s.mode() == mergeReference || !k.isText(base, next, s) {
		return false
	}
	return len(next) <= MaxText || len(base.Str) > MaxText && utf8.RuneCountInString(next) <= MaxForeignText
}

// integer returns the value of a number that is an integer of 64 bits.
func integer(v *doc.Value) (int64, bool) {
	p := plain(v)
	if v.Kind == doc.Timestamp || p.Kind != doc.Int {
		return 0, false
	}
	return p.Int, true
}

// difference returns next - base, if that fits.
func difference(base, next int64) (int64, bool) {
	d := next - base
	if (next >= base) != (d >= 0) || d == math.MinInt64 {
		return 0, false
	}
	return d, true
}
