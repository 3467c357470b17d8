package model

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"echofs/echo/doc"
)

// MaxBody is the length of a text body, in bytes.
const MaxBody = 16 << 20

// ParseBody reads the bytes of a text file, which must be UTF-8; a byte order
// mark is part of the text. limit 0 stands for MaxBody. It fails with an error
// that wraps ErrTooLarge or with a *SyntaxError. An empty text is a body.
func ParseBody(text []byte, limit int) (string, error) {
	if limit == 0 {
		limit = MaxBody
	}
	if len(text) > limit {
		return "", fmt.Errorf("%d bytes, at most %d are allowed: %w", len(text), limit, ErrTooLarge)
	}
	if !utf8.Valid(text) {
		valid := len(text) - len(trimValid(text))
		return "", newSyntaxError(text, valid, "", "invalid UTF-8")
	}
	return string(text), nil
}

// trimValid returns text from its first invalid byte on.
func trimValid(text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			break
		}
		text = text[n:]
	}
	return text
}

// NewBody returns the value to create for a text body: a Text, merged by
// character, up to MaxText bytes; beyond, a list of its lines, each with its
// line end, merged by line.
func NewBody(text string) *doc.Value {
	if len(text) <= MaxText {
		return doc.NewText(text)
	}
	return doc.NewList(lineValues(text)...)
}

func lineValues(text string) []*doc.Value {
	lines := splitLines(text)
	out := make([]*doc.Value, len(lines))
	for i, line := range lines {
		out[i] = doc.NewString(line)
	}
	return out
}

// BodyText returns the text of a body in any of the forms that DiffBody
// accepts; false where v is none.
func BodyText(v *doc.Value) (string, bool) {
	if v.IsString() {
		return v.Str, true
	}
	if v == nil || v.Kind != doc.List {
		return "", false
	}
	var b strings.Builder
	for _, line := range v.Items {
		if !line.IsString() {
			return "", false
		}
		b.WriteString(line.Str)
	}
	return b.String(), true
}

// DiffBody returns the edits that make base, the body at prefix, the text
// next; nil where it is that text. A Text is spliced as long as next is short
// enough for one, or was too long already. A list of lines stays one however
// short it gets, since a change of form merges with no concurrent edit: lines
// are inserted and removed, and the concurrent changes of one line are both
// kept. Everything else is replaced by NewBody.
func DiffBody(base *doc.Value, next string, prefix doc.Path) []doc.Edit {
	text, ok := BodyText(base)
	switch {
	case ok && text == next:
		return nil
	case ok && base.Kind == doc.Text && (len(next) <= MaxText || tooLong(text, next)):
		return DiffText(text, next, prefix)
	case ok && base.Kind == doc.List:
		return diffLines(base.Items, next, prefix)
	}
	return []doc.Edit{{Op: doc.Put, Path: slices.Clone(prefix), Value: NewBody(next)}}
}

// tooLong reports whether a Text that other software made too long can stay
// one.
func tooLong(base, next string) bool {
	return len(base) > MaxText && utf8.RuneCountInString(next) <= MaxForeignText
}

// diffLines compares line by line. The elements of base are strings, mostly
// one line each; a merge may have left others.
func diffLines(base []*doc.Value, next string, prefix doc.Path) []doc.Edit {
	a := make([]string, len(base))
	for i, line := range base {
		a[i] = line.Str
	}
	b := splitLines(next)
	var out []doc.Edit
	at, j, work := 0, 0, maxWork
	insert := func(end int) {
		for ; j < end; j++ {
			out = append(out, doc.Edit{Op: doc.Insert, Path: prefix.Join(doc.Index(at)), Value: doc.NewString(b[j])})
			at++
		}
	}
	for _, p := range alignTokens(a, b, &work) {
		if p < 0 {
			out = append(out, doc.Edit{Op: doc.Delete, Path: prefix.Join(doc.Index(at))})
			continue
		}
		insert(p)
		j++
		at++
	}
	insert(len(b))
	return out
}

// IsText reports whether the start of a file looks like text rather than
// binary data: UTF-8 without NUL. A code point may be cut off at the end.
func IsText(head []byte) bool {
	if bytes.IndexByte(head, 0) >= 0 {
		return false
	}
	rest := trimValid(head)
	return len(rest) == 0 || len(rest) < utf8.UTFMax && !utf8.FullRune(rest)
}
