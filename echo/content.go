package echo

import (
	"bytes"
	"errors"
	"strings"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// A view is the part of an object's structure that its file shows: for a
// structured object a map of its @-fields and its data, for a text its body.

// viewOf returns what the file of an object of a kind shows.
func viewOf(kind Kind, structure *doc.Value) *doc.Value {
	data := structure.Get(keyData)
	if kind == KindBlob {
		return data // its file shows none of it
	}
	if kind == KindText {
		body, _ := model.BodyText(data.Get(bodyField))
		return doc.NewText(body)
	}
	view := doc.NewMap()
	add := func(key string, v *doc.Value) {
		if v != nil {
			view.Fields = append(view.Fields, doc.Field{Key: key, Value: v})
		}
	}
	system := structure.Get(keySystem)
	if typ := refText(system.Get(keyType)); typ != "" {
		add("@type", doc.NewString(typ))
	}
	if system.Get(keyKind).Text() == kindRelation {
		add("@relationSource", system.Get(keySource))
		add("@relationTarget", system.Get(keyTarget))
	}
	if data != nil && data.Kind == doc.Map {
		for _, f := range data.Fields {
			if !strings.HasPrefix(f.Key, "@") { // reserved: kept in the document
				view.Fields = append(view.Fields, f)
			}
		}
	}
	return view
}

// parseView reads a file's content; base is the view of the version it is
// compared with, or nil. It fails with *InvalidError.
func parseView(kind Kind, data []byte, base *doc.Value) (*doc.Value, error) {
	switch kind {
	case KindBlob:
		return nil, &InvalidError{Reason: ErrBlob.Error()}
	case KindText:
		return parseBody(data)
	}
	lim := model.DefaultLimits
	lim.Foreign = base != nil && model.HasForeign(base)
	v, err := model.Parse(data, lim)
	var syntax *model.SyntaxError
	switch {
	case errors.Is(err, model.ErrEmpty):
		return nil, errEmpty
	case errors.Is(err, model.ErrTooLarge):
		return nil, &InvalidError{Reason: err.Error(), TooLarge: true}
	case errors.As(err, &syntax):
		return nil, &InvalidError{Line: syntax.Line, Column: syntax.Column, Pointer: syntax.Pointer, Reason: syntax.Reason}
	case err != nil:
		return nil, &InvalidError{Reason: err.Error()}
	case v.Kind != doc.Map:
		return nil, &InvalidError{Line: 1, Column: 1, Reason: "the top level of an object must be { … }, not a " + v.Kind.String()}
	}
	return v, nil
}

func parseBody(data []byte) (*doc.Value, error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, &InvalidError{Line: 1 + bytes.Count(data[:i], []byte{'\n'}), Column: 1, Reason: "a NUL byte is in no text", NotText: true}
	}
	body, err := model.ParseBody(data, 0)
	var syntax *model.SyntaxError
	switch {
	case errors.Is(err, model.ErrTooLarge):
		return nil, &InvalidError{Reason: err.Error(), TooLarge: true}
	case errors.As(err, &syntax):
		return nil, &InvalidError{Line: syntax.Line, Column: syntax.Column, Reason: syntax.Reason, NotText: true}
	case err != nil:
		return nil, &InvalidError{Reason: err.Error()}
	}
	return doc.NewString(body), nil
}

// adopt returns the data of a new object whose file shows view, and its type.
func (t *txn) adopt(kind Kind, view *doc.Value) (data *doc.Value, typ string, err error) {
	if kind == KindText {
		return doc.NewMap(doc.Field{Key: bodyField, Value: model.NewBody(view.Str)}), TypeText, nil
	}
	own, fields := splitView(view)
	if typ, err = own.check(doc.ObjectID{}); err != nil {
		return nil, "", err
	}
	return model.Adopt(doc.NewMap(fields...), t.schemaOf(typ)), typ, nil
}

// editView returns the edits that make what the file of object id shows out of
// base into next.
//
// foreignTexts is set for objects of software that writes every string as a
// text, where that says nothing about how a string is to be merged.
func (t *txn) editView(kind Kind, id doc.ObjectID, structure, next *doc.Value, foreignTexts bool) ([]doc.Edit, error) {
	if kind == KindText {
		return model.DiffBody(structure.At(keyData, bodyField), next.Str, at(id, keyData, bodyField)), nil
	}
	base := viewOf(kind, structure)
	ownBase, fieldsBase := splitView(base)
	ownNext, fieldsNext := splitView(next)
	edits, err := ownNext.edits(id, ownBase)
	if err != nil {
		return nil, err
	}
	return append(edits, model.Diff(doc.NewMap(fieldsBase...), doc.NewMap(fieldsNext...),
		model.DiffOptions{Prefix: at(id, keyData), ForeignTexts: foreignTexts, Schema: t.schemaOf(ownNext.typ)})...), nil
}

// renderView returns the text of a view: old, the file's text until now, with
// only what changed between the views changed; without an old text the layout
// of an object that was never written here. rank lists keys in the order in
// which they were created.
func renderView(kind Kind, old []byte, before, after *doc.Value, rank []string) []byte {
	if kind == KindText {
		return []byte(after.Str)
	}
	opt := model.RenderOptions{}
	if len(rank) > 0 {
		order := make(map[string]int, len(rank))
		for i, k := range rank {
			order[k] = i
		}
		opt.Rank = func(_ doc.Path, key string) int {
			if i, ok := order[key]; ok {
				return i
			}
			return len(order)
		}
	}
	if old == nil || before == nil {
		return model.Render(after, opt)
	}
	return model.Patch(old, before, after, opt)
}

// shows reports whether a text, which parses to parsed, is a text of view.
func shows(kind Kind, parsed, view *doc.Value) bool {
	if kind == KindText {
		return parsed.Str == view.Str
	}
	_, a := splitView(parsed)
	_, b := splitView(view)
	return model.Same(doc.NewMap(a...), doc.NewMap(b...))
}

// ownFields are the fields of a structured file that ECHO gives a meaning.
type ownFields struct {
	typ            string
	source, target *doc.Value
	id             string
	reserved       string // the first @-field that a file may not have
}

// splitView parts the @-fields of a view from its data.
func splitView(view *doc.Value) (own ownFields, data []doc.Field) {
	for _, f := range view.Fields {
		switch f.Key {
		case "@type":
			own.typ = f.Value.Text()
			if own.typ == "" {
				own.typ = refText(f.Value)
			}
			if own.typ == "" {
				own.reserved = f.Key
			}
		case "@relationSource":
			own.source = f.Value
		case "@relationTarget":
			own.target = f.Value
		case "@id":
			own.id = f.Value.Text()
		default:
			if strings.HasPrefix(f.Key, "@") {
				own.reserved = f.Key
				continue
			}
			data = append(data, f)
		}
	}
	return own, data
}

// check fails where the fields are not ones a file of object id may have. A
// zero id is that of a new object, which takes no id from its file.
func (o ownFields) check(id doc.ObjectID) (typ string, err error) {
	invalid := func(field, reason string) error {
		return &InvalidError{Pointer: "/" + field, Reason: reason}
	}
	switch {
	case o.reserved == "@type":
		return "", invalid("@type", "@type must be the name of a type, such as \"dxn:type:example.com/type/Contact:0.1.0\"")
	case o.reserved != "":
		return "", invalid(o.reserved, "fields that begin with @ are reserved")
	case o.typ == TypeFolder || o.typ == TypeText || o.typ == TypeBlob || o.typ == TypeProperties:
		return "", invalid("@type", "this type is made by the file system only")
	case o.typ != "" && !strings.HasPrefix(o.typ, "dxn:"):
		return "", invalid("@type", "the name of a type begins with \"dxn:\"")
	case (o.source == nil) != (o.target == nil):
		return "", invalid("@relationSource", "a relation has both @relationSource and @relationTarget")
	case o.source != nil && (refText(o.source) == "" || refText(o.target) == ""):
		return "", invalid("@relationSource", "the ends of a relation are references, such as {\"/\": \"echo:///01J…\"}")
	case o.id != "" && !id.IsZero() && o.id != id.String():
		return "", invalid("@id", "the id of an object cannot be changed")
	}
	return o.typ, nil
}

// edits returns the edits of the object's system part.
func (o ownFields) edits(id doc.ObjectID, base ownFields) ([]doc.Edit, error) {
	if o.typ != base.typ || o.reserved != "" || o.id != "" || !sameEnds(o, base) {
		if _, err := o.check(id); err != nil {
			return nil, err
		}
	}
	var edits []doc.Edit
	put := func(key string, v *doc.Value) {
		edits = append(edits, doc.Edit{Op: doc.Put, Path: at(id, keySystem, key), Value: v})
	}
	remove := func(key string) {
		edits = append(edits, doc.Edit{Op: doc.Delete, Path: at(id, keySystem, key)})
	}
	switch {
	case o.typ == base.typ:
	case o.typ == "":
		remove(keyType)
	default:
		put(keyType, newType(o.typ))
	}
	if !sameEnds(o, base) {
		if o.source == nil {
			remove(keyKind)
			remove(keySource)
			remove(keyTarget)
		} else {
			put(keyKind, doc.NewText(kindRelation))
			put(keySource, model.Adopt(o.source, nil))
			put(keyTarget, model.Adopt(o.target, nil))
		}
	}
	return edits, nil
}

func sameEnds(a, b ownFields) bool {
	return refText(a.source) == refText(b.source) && refText(a.target) == refText(b.target)
}

// sameBytes reports whether two texts are the same.
func sameBytes(a, b []byte) bool { return bytes.Equal(a, b) }
