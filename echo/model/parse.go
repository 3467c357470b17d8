package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"echofs/echo/doc"
)

// Parse reads the text of an object strictly: RFC 8259, UTF-8 without a byte
// order mark, no duplicate keys, no lone surrogates, nothing after the value.
// The fields of maps keep the order of the text.
//
// A number without fraction and exponent is an Int and must fit 64 bits
// (see [Limits.Foreign]); every other number, and -0, is a Float and must be
// the decimal value that the nearest float's shortest form has. So every
// number that is accepted comes back with the same value: 0.1, 1.50 and 1e3
// are fine, 1e400 and 0.1000000000000000055511 are refused.
//
// Strings are of kind String; [Diff] and [Adopt] choose which become Text.
// {"/": {"bytes": base64}} is Bytes, and {"/": {"float": "NaN"}}, with
// "Infinity" and "-Infinity", is a Float. Other maps stay maps.
//
// It fails with ErrEmpty, an error that wraps ErrTooLarge, or a *SyntaxError.
func Parse(text []byte, lim Limits) (*doc.Value, error) {
	root, err := scan(text, lim, false)
	if err != nil {
		return nil, err
	}
	return root.value, nil
}

// node is a value and where its text is.
type node struct {
	value            *doc.Value
	start, end       int
	keyStart, keyEnd int    // of the key with its quotes, in a map
	kids             []node // of a map or list, if the scan keeps places
}

type scanner struct {
	text   []byte
	dec    *jsontext.Decoder
	lim    Limits
	places bool
	values int
}

// scan parses text; with places, the nodes keep their children.
func scan(text []byte, lim Limits, places bool) (node, error) {
	lim = lim.orDefault()
	if len(text) > lim.Bytes {
		return node{}, fmt.Errorf("%d bytes, at most %d are allowed: %w", len(text), lim.Bytes, ErrTooLarge)
	}
	if len(bytes.Trim(text, " \t\r\n")) == 0 {
		return node{}, ErrEmpty
	}
	s := &scanner{text: text, dec: jsontext.NewDecoder(bytes.NewBuffer(text)), lim: lim, places: places}
	root, err := s.value(0)
	if err != nil {
		return node{}, s.explain(err)
	}
	if rest := bytes.TrimLeft(text[root.end:], " \t\r\n"); len(rest) > 0 {
		return node{}, newSyntaxError(text, len(text)-len(rest), "", "text after the end of the value")
	}
	return root, nil
}

// explain turns the decoder's error into ours.
func (s *scanner) explain(err error) error {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return err
	}
	offset := int(syntax.ByteOffset)
	reason := "not valid JSON"
	switch {
	case bytes.HasPrefix(s.text, []byte("\ufeff")):
		reason = "byte order mark before the value"
	case s.isTrailingComma(offset):
		reason = "comma without a value after it"
	case errors.Is(err, io.ErrUnexpectedEOF):
		reason, offset = "text ends within a value", len(s.text)
	case errors.Is(err, jsontext.ErrDuplicateName):
		reason = "duplicate key " + strconv.Quote(shorten(syntax.JSONPointer.LastToken()))
	case syntax.Err != nil:
		reason = syntax.Err.Error()
	}
	return newSyntaxError(s.text, offset, string(syntax.JSONPointer), reason)
}

func (s *scanner) isTrailingComma(offset int) bool {
	if offset >= len(s.text) || s.text[offset] != ',' {
		return false
	}
	rest := bytes.TrimLeft(s.text[offset+1:], " \t\r\n")
	return len(rest) > 0 && (rest[0] == '}' || rest[0] == ']')
}

// refuse reports a reason at an offset, for the value the decoder is at.
func (s *scanner) refuse(offset int, reason string) error {
	return newSyntaxError(s.text, offset, string(s.dec.StackPointer()), reason)
}

// value reads one value at a depth of maps and lists around it.
func (s *scanner) value(depth int) (node, error) {
	if s.values++; s.values > s.lim.Values {
		return node{}, s.refuse(int(s.dec.InputOffset()), fmt.Sprintf("more than %d values", s.lim.Values))
	}
	switch s.dec.PeekKind() {
	case '{':
		return s.container(depth, s.fields)
	case '[':
		return s.container(depth, s.items)
	}
	return s.scalar()
}

func (s *scanner) container(depth int, read func(*node, int) error) (node, error) {
	if _, err := s.dec.ReadToken(); err != nil {
		return node{}, err
	}
	n := node{start: int(s.dec.InputOffset()) - 1}
	if depth >= s.lim.Depth {
		return node{}, s.refuse(n.start, fmt.Sprintf("nested deeper than %d", s.lim.Depth))
	}
	if err := read(&n, depth+1); err != nil {
		return node{}, err
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return node{}, err
	}
	n.end = int(s.dec.InputOffset())
	return n, nil
}

func (s *scanner) items(n *node, depth int) error {
	n.value = &doc.Value{Kind: doc.List}
	for s.dec.PeekKind() != ']' {
		kid, err := s.value(depth)
		if err != nil {
			return err
		}
		n.value.Items = append(n.value.Items, kid.value)
		s.keep(n, kid)
	}
	return nil
}

func (s *scanner) fields(n *node, depth int) error {
	n.value = &doc.Value{Kind: doc.Map}
	for s.dec.PeekKind() != '}' {
		raw, err := s.dec.ReadValue()
		if err != nil {
			return err
		}
		end := int(s.dec.InputOffset())
		start := end - len(raw)
		key, err := unquote(raw)
		switch {
		case err != nil:
			return err
		case key == "" && !s.lim.Foreign:
			return s.refuse(start, "empty key")
		case len(n.value.Fields) >= s.lim.Keys:
			return s.refuse(start, fmt.Sprintf("more than %d keys in one map", s.lim.Keys))
		}
		kid, err := s.value(depth)
		if err != nil {
			return err
		}
		kid.keyStart, kid.keyEnd = start, end
		n.value.Fields = append(n.value.Fields, doc.Field{Key: key, Value: kid.value})
		s.keep(n, kid)
	}
	if special, ok := unlink(n.value); ok {
		n.value, n.kids = &special, nil
	}
	return nil
}

func (s *scanner) keep(n *node, kid node) {
	if s.places {
		n.kids = append(n.kids, kid)
	}
}

func (s *scanner) scalar() (node, error) {
	raw, err := s.dec.ReadValue()
	if err != nil {
		return node{}, err
	}
	n := node{end: int(s.dec.InputOffset())}
	n.start = n.end - len(raw)
	switch raw.Kind() {
	case 'n':
		n.value = doc.NewNull()
	case 't', 'f':
		n.value = doc.NewBool(raw[0] == 't')
	case '"':
		text, err := unquote(raw)
		if err != nil {
			return node{}, err
		}
		n.value = doc.NewString(text)
	default:
		v, reason := parseNumber(string(raw), s.lim.Foreign)
		if reason != "" {
			return node{}, s.refuse(n.start, reason)
		}
		n.value = v
	}
	return n, nil
}

func unquote(raw jsontext.Value) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	return string(b), err
}

// HasForeign reports whether v holds something that only other software
// writes and that Parse accepts with [Limits.Foreign] only.
func HasForeign(v *doc.Value) bool {
	if v == nil {
		return false
	}
	if v.Kind == doc.Uint && v.Uint > 1<<63-1 {
		return true
	}
	for _, f := range v.Fields {
		if f.Key == "" || HasForeign(f.Value) {
			return true
		}
	}
	for _, item := range v.Items {
		if HasForeign(item) {
			return true
		}
	}
	return false
}
