package model

import (
	"math"

	"echofs/echo/doc"
)

// Same reports whether a and b are the same data for somebody who reads JSON:
// what differs is at most the spelling. A number is its value, 1 is 1.0 (but
// 0 is not -0); a Text, a String, a Counter, a Timestamp is what [Render]
// shows for it; the order of keys does not matter. A Timestamp is also every
// other RFC 3339 spelling of its millisecond. Saving a file whose text is the
// same data as the document makes no edit.
func Same(a, b *doc.Value) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	if ms, ok := sameInstant(a, b); ok {
		return ms
	}
	x, y := plain(a), plain(b)
	if x.Kind != y.Kind {
		return false
	}
	switch x.Kind {
	case doc.Map:
		return sameFields(x.Fields, y.Fields)
	case doc.List:
		return sameItems(x.Items, y.Items)
	}
	return x.Equal(&y)
}

// plain returns v in the kinds that Parse has: what its JSON says. The
// contents of maps and lists are left as they are. A number that an Int can
// hold becomes one.
func plain(v *doc.Value) doc.Value {
	switch v.Kind {
	case doc.Text:
		return doc.Value{Kind: doc.String, Str: v.Str}
	case doc.Counter:
		return doc.Value{Kind: doc.Int, Int: v.Int}
	case doc.Uint:
		return plainUint(v.Uint)
	case doc.Float:
		return plainFloat(v.Float)
	case doc.Timestamp:
		if s, ok := formatTimestamp(v.Int); ok {
			return doc.Value{Kind: doc.String, Str: s}
		}
		return doc.Value{Kind: doc.Int, Int: v.Int}
	case doc.Unknown:
		return link(unknownKey, encodeBase64(v.Bytes))
	case doc.Map:
		if special, ok := unlink(v); ok {
			return special
		}
	}
	return *v
}

func plainUint(u uint64) doc.Value {
	if u <= math.MaxInt64 {
		return doc.Value{Kind: doc.Int, Int: int64(u)}
	}
	return doc.Value{Kind: doc.Uint, Uint: u}
}

func plainFloat(f float64) doc.Value {
	isInteger := f == math.Trunc(f) && !(f == 0 && math.Signbit(f))
	if isInteger && f >= -1<<63 && f < 1<<63 {
		return doc.Value{Kind: doc.Int, Int: int64(f)}
	}
	return doc.Value{Kind: doc.Float, Float: f}
}

// sameInstant compares a timestamp with a string; ok is false where the two
// are something else.
func sameInstant(a, b *doc.Value) (same, ok bool) {
	if b.Kind == doc.Timestamp {
		a, b = b, a
	}
	if a.Kind != doc.Timestamp || !b.IsString() {
		return false, false
	}
	ms, valid := parseTimestamp(b.Str)
	return valid && ms == a.Int, true
}

func sameItems(a, b []*doc.Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !Same(a[i], b[i]) {
			return false
		}
	}
	return true
}

func sameFields(a, b []doc.Field) bool {
	if len(a) != len(b) {
		return false
	}
	find := lookup{fields: b}
	for i, f := range a {
		other, ok := find.at(i, f.Key)
		if !ok || !Same(f.Value, other) {
			return false
		}
	}
	return true
}

// lookup finds fields by key. Maps are mostly compared with a version of
// themselves, so the same place is tried before an index is built.
type lookup struct {
	fields []doc.Field
	index  map[string]int
}

// at returns the value of key, which the other map has as its field i.
func (l *lookup) at(i int, key string) (*doc.Value, bool) {
	if i < len(l.fields) && l.fields[i].Key == key {
		return l.fields[i].Value, true
	}
	if l.index == nil {
		l.index = make(map[string]int, len(l.fields))
		for i, f := range l.fields {
			l.index[f.Key] = i
		}
	}
	i, ok := l.index[key]
	if !ok {
		return nil, false
	}
	return l.fields[i].Value, true
}
