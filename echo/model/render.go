package model

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"echofs/echo/doc"
)

// RenderOptions say how a text without a layout of its own is written.
type RenderOptions struct {
	// Rank orders the keys of the map at a path, lowest first; keys of one rank
	// keep the order of the fields. Nil keeps the order of the fields. The path
	// is only valid during the call.
	Rank func(path doc.Path, key string) int
}

// Render returns v as JSON: two spaces for each level, keys that start with
// "@" first (@type, @relationSource, @relationTarget, then the others), a
// newline at the end. Nothing is escaped that need not be, except control
// characters beyond ASCII's.
//
// Floats have a fraction or an exponent, so that Parse returns what Render
// was given, but for what JSON has no kinds for: Text comes back as String,
// Counter as Int, Timestamp as a String in RFC 3339 with milliseconds (as an
// Int where its year has not four digits), a Uint below 1<<63 as Int, and
// Unknown as the map {"/": {"unknown": base64}}.
func Render(v *doc.Value, opt RenderOptions) []byte {
	w := writer{style: defaultStyle, rank: opt.Rank}
	w.value(v)
	return append(w.out, '\n')
}

// Canonical returns v as compact JSON with keys sorted by code point, without a
// newline, and with numbers by value: what an Int can hold is written as one.
// It is equal for equal data.
func Canonical(v *doc.Value) []byte {
	w := writer{canonical: true}
	w.value(v)
	return w.out
}

// style is how a text separates its tokens.
type style struct {
	multiline bool
	newline   string // the line end, if multiline
	indent    string // of one level, if multiline
	colon     string // between key and value, with the colon
	space     string // after a comma on one line
}

var defaultStyle = style{multiline: true, newline: "\n", indent: "  ", colon: ": ", space: " "}

// writer writes values in a style.
type writer struct {
	style
	canonical bool
	rank      func(doc.Path, string) int
	margin    string // before the indent of every line
	out       []byte
	path      doc.Path
	depth     int
}

func (w *writer) value(v *doc.Value) {
	if v == nil {
		w.out = append(w.out, "null"...)
		return
	}
	p := plain(v)
	switch {
	case v.Kind == doc.Unknown:
		w.link(unknownKey, encodeBase64(v.Bytes))
		return
	case v.Kind == doc.Float && !w.canonical:
		p = *v // keeps its kind
	}
	switch p.Kind {
	case doc.Null:
		w.out = append(w.out, "null"...)
	case doc.Bool:
		w.out = strconv.AppendBool(w.out, p.Bool)
	case doc.Int:
		w.out = strconv.AppendInt(w.out, p.Int, 10)
	case doc.Uint:
		w.out = strconv.AppendUint(w.out, p.Uint, 10)
	case doc.Float:
		w.float(p.Float)
	case doc.String:
		w.quote(p.Str)
	case doc.Bytes:
		w.link(bytesKey, encodeBase64(p.Bytes))
	case doc.Map:
		w.fields(p.Fields)
	case doc.List:
		w.items(p.Items)
	}
}

func (w *writer) float(f float64) {
	switch {
	case isSpecialFloat(f):
		w.link(floatKey, floatName(f))
	default:
		w.out = appendFloat(w.out, f)
	}
}

// link writes a special form on one line.
func (w *writer) link(key, value string) {
	inner := link(key, value)
	one := writer{style: w.style, canonical: w.canonical}
	one.multiline = false
	one.fields(inner.Fields)
	w.out = append(w.out, one.out...)
}

func (w *writer) items(items []*doc.Value) {
	if len(items) == 0 {
		w.out = append(w.out, "[]"...)
		return
	}
	w.out = append(w.out, '[')
	w.depth++
	for i, item := range items {
		w.path = append(w.path, doc.Index(i))
		w.separate(i)
		w.value(item)
		w.path = w.path[:len(w.path)-1]
	}
	w.close(']')
}

func (w *writer) fields(fields []doc.Field) {
	if len(fields) == 0 {
		w.out = append(w.out, "{}"...)
		return
	}
	w.out = append(w.out, '{')
	w.depth++
	for i, f := range w.ordered(fields) {
		w.path = append(w.path, doc.Key(f.Key))
		w.separate(i)
		w.quote(f.Key)
		if w.canonical {
			w.out = append(w.out, ':')
		} else {
			w.out = append(w.out, w.colon...)
		}
		w.value(f.Value)
		w.path = w.path[:len(w.path)-1]
	}
	w.close('}')
}

// separate writes what stands before element i of a map or list.
func (w *writer) separate(i int) {
	if i > 0 {
		w.out = append(w.out, ',')
	}
	switch {
	case w.canonical:
	case w.multiline:
		w.line(w.depth)
	case i > 0:
		w.out = append(w.out, w.space...)
	}
}

func (w *writer) close(c byte) {
	w.depth--
	if w.multiline {
		w.line(w.depth)
	}
	w.out = append(w.out, c)
}

func (w *writer) line(depth int) {
	w.out = append(w.out, w.newline...)
	w.out = append(w.out, w.margin...)
	for range depth {
		w.out = append(w.out, w.indent...)
	}
}

func (w *writer) quote(s string) { w.out = appendQuoted(w.out, s) }

// ordered returns the fields in the order in which they are written.
func (w *writer) ordered(fields []doc.Field) []doc.Field {
	fields = slices.Clone(fields)
	if w.canonical { // the order of UTF-8 is that of code points
		slices.SortFunc(fields, func(a, b doc.Field) int { return cmp.Compare(a.Key, b.Key) })
		return fields
	}
	slices.SortStableFunc(fields, func(a, b doc.Field) int {
		if c := cmp.Compare(atRank(a.Key), atRank(b.Key)); c != 0 || w.rank == nil {
			return c
		}
		return cmp.Compare(w.rank(w.path, a.Key), w.rank(w.path, b.Key))
	})
	return fields
}

// atRank puts the fields reserved for ECHO before the user's.
func atRank(key string) int {
	switch {
	case key == "@type":
		return 0
	case key == "@relationSource":
		return 1
	case key == "@relationTarget":
		return 2
	case len(key) > 0 && key[0] == '@':
		return 3
	}
	return 4
}

// appendQuoted appends s as a JSON string. DEL and the C1 controls are escaped
// as well, since a terminal obeys them. Invalid UTF-8 becomes U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	start := len(dst)
	dst, _ = jsontext.AppendQuote(dst, s)
	if !hasLateControl(dst[start:]) {
		return dst
	}
	quoted := bytes.Clone(dst[start:])
	dst = dst[:start]
	for _, r := range string(quoted) {
		if isLateControl(r) {
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
			continue
		}
		dst = append(dst, string(r)...)
	}
	return dst
}

func hasLateControl(b []byte) bool {
	for _, r := range string(b) {
		if isLateControl(r) {
			return true
		}
	}
	return false
}

func isLateControl(r rune) bool { return r >= 0x7f && r <= 0x9f }
