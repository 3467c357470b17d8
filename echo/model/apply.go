package model

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"echofs/echo/doc"
)

// ErrBadEdit is wrapped where an edit does not fit the value it is applied to.
var ErrBadEdit = errors.New("edit does not fit")

// Apply returns v after edits, whose paths start at v. It is the reference for
// what edits mean, and needs no engine; v is not changed. It fails with an
// error that wraps ErrBadEdit at the first edit that does not fit: a path that
// leads nowhere, an index or a range beyond the end, an edit of another kind
// of value.
func Apply(v *doc.Value, edits []doc.Edit) (*doc.Value, error) {
	root := &doc.Value{Kind: doc.List, Items: []*doc.Value{clone(v)}}
	for n, e := range edits {
		if err := apply(root, e); err != nil {
			return nil, fmt.Errorf("edit %d at %q: %w: %w", n, e.Path.Pointer(), err, ErrBadEdit)
		}
	}
	return root.Items[0], nil
}

func clone(v *doc.Value) *doc.Value {
	if v == nil {
		return nil
	}
	c := *v
	c.Fields = slices.Clone(v.Fields)
	for i := range c.Fields {
		c.Fields[i].Value = clone(c.Fields[i].Value)
	}
	c.Items = slices.Clone(v.Items)
	for i := range c.Items {
		c.Items[i] = clone(c.Items[i])
	}
	return &c
}

// apply applies one edit below the only element of root.
func apply(root *doc.Value, e doc.Edit) error {
	path := doc.Path{doc.Index(0)}.Join(e.Path...)
	parent := root
	for _, s := range path[:len(path)-1] {
		if parent = child(parent, s); parent == nil {
			return errors.New("no value on the way")
		}
	}
	last := path[len(path)-1]
	switch e.Op {
	case doc.Put:
		return put(parent, last, clone(e.Value))
	case doc.Insert:
		if !last.IsIndex || parent.Kind != doc.List || last.Index < 0 || last.Index > len(parent.Items) {
			return errors.New("no place in a list")
		}
		parent.Items = slices.Insert(parent.Items, last.Index, clone(e.Value))
		return nil
	case doc.Delete:
		return remove(parent, last)
	case doc.Splice:
		return splice(child(parent, last), e)
	case doc.Increment:
		v := child(parent, last)
		if v == nil || v.Kind != doc.Counter {
			return errors.New("no counter")
		}
		v.Int += e.By
		return nil
	}
	return fmt.Errorf("unknown operation %d", e.Op)
}

func child(v *doc.Value, s doc.Step) *doc.Value {
	if !s.IsIndex {
		return v.Get(s.Key)
	}
	if v.Kind != doc.List || s.Index < 0 || s.Index >= len(v.Items) {
		return nil
	}
	return v.Items[s.Index]
}

func put(parent *doc.Value, s doc.Step, v *doc.Value) error {
	switch {
	case v == nil:
		return errors.New("no value")
	case s.IsIndex:
		if child(parent, s) == nil {
			return errors.New("no element")
		}
		parent.Items[s.Index] = v
		return nil
	case parent.Kind != doc.Map:
		return errors.New("no map")
	}
	for i := range parent.Fields {
		if parent.Fields[i].Key == s.Key {
			parent.Fields[i].Value = v
			return nil
		}
	}
	parent.Fields = append(parent.Fields, doc.Field{Key: s.Key, Value: v})
	return nil
}

func remove(parent *doc.Value, s doc.Step) error {
	switch {
	case s.IsIndex && child(parent, s) == nil:
		return errors.New("no element")
	case s.IsIndex:
		parent.Items = slices.Delete(parent.Items, s.Index, s.Index+1)
		return nil
	case parent.Kind != doc.Map:
		return errors.New("no map")
	}
	parent.Fields = slices.DeleteFunc(parent.Fields, func(f doc.Field) bool { return f.Key == s.Key })
	return nil
}

func splice(v *doc.Value, e doc.Edit) error {
	if v == nil || v.Kind != doc.Text {
		return errors.New("no text")
	}
	runes := []rune(v.Str)
	if e.Pos < 0 || e.Del < 0 || e.Pos > len(runes) || e.Del > len(runes)-e.Pos {
		return errors.New("range beyond the text")
	}
	if !utf8.ValidString(e.Ins) {
		return errors.New("text is not UTF-8")
	}
	v.Str = string(runes[:e.Pos]) + e.Ins + string(runes[e.Pos+e.Del:])
	return nil
}
