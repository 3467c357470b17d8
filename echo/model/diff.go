package model

import (
	"slices"

	"echofs/echo/doc"
)

// DiffOptions say where and how a value is compared.
type DiffOptions struct {
	// Prefix is the path of the value in the document.
	Prefix doc.Path
	// Schema tells merge modes; nil leaves all to the rule for prose.
	Schema *Schema
	// ForeignTexts is set for a document that has Texts of software which makes
	// every string a Text. There a Text that has no white space before and
	// after a change is taken for a token and replaced as one value; otherwise
	// a Text is prose because it had white space once.
	ForeignTexts bool
}

// Diff returns the smallest edits that make base, a value of the document, the
// data of next, a value that Parse returned; nil where they are the same data.
// A nil base stands for a value to be created. The package comment says which
// edits those are. Neither value is changed; edits share memory with next.
func Diff(base, next *doc.Value, opt DiffOptions) []doc.Edit {
	d := differ{
		keeper: keeper{prints: newPrints(), foreign: opt.ForeignTexts},
		path:   slices.Clone(opt.Prefix),
	}
	d.value(base, next, opt.Schema)
	return d.edits
}

type differ struct {
	keeper
	path  doc.Path
	edits []doc.Edit
}

func (d *differ) edit(op doc.Op, e doc.Edit, steps ...doc.Step) {
	e.Op, e.Path = op, d.path.Join(steps...)
	d.edits = append(d.edits, e)
}

func (d *differ) at(s doc.Step, base, next *doc.Value, schema *Schema) {
	d.path = append(d.path, s)
	d.value(base, next, schema)
	d.path = d.path[:len(d.path)-1]
}

func (d *differ) put(base, next *doc.Value, s *Schema) {
	d.edit(doc.Put, doc.Edit{Value: d.adopt(base, next, s)})
}

func (d *differ) value(base, next *doc.Value, s *Schema) {
	switch {
	case base == nil:
		d.put(nil, next, s)
	case base.Kind == doc.Map && next.Kind == doc.Map:
		d.fields(base, next, s)
	case base.Kind == doc.List && next.Kind == doc.List:
		d.items(base.Items, next.Items, s)
	case Same(base, next): // another spelling is no change
	case base.Kind == doc.Counter:
		d.counter(base, next, s)
	case next.IsString() && d.splices(base, next.Str, s):
		d.edits = append(d.edits, DiffText(base.Str, next.Str, d.path)...)
	default:
		d.put(base, next, s)
	}
}

func (d *differ) counter(base, next *doc.Value, s *Schema) {
	if to, ok := integer(next); ok {
		if by, ok := difference(base.Int, to); ok {
			d.edit(doc.Increment, doc.Edit{By: by})
			return
		}
	}
	d.put(base, next, s)
}

func (d *differ) fields(base, next *doc.Value, s *Schema) {
	find := lookup{fields: next.Fields}
	for i, f := range base.Fields {
		if _, ok := find.at(i, f.Key); !ok {
			d.edit(doc.Delete, doc.Edit{}, doc.Key(f.Key))
		}
	}
	find = lookup{fields: base.Fields}
	for i, f := range next.Fields {
		old, _ := find.at(i, f.Key)
		d.at(doc.Key(f.Key), old, f.Value, fieldSchema(next, f.Key, s))
	}
}

func (d *differ) items(base, next []*doc.Value, s *Schema) {
	at := 0
	for _, st := range d.script(base, next) {
		switch st.op {
		case stepPair:
			d.at(doc.Index(at), base[st.i], next[st.j], s.items())
			at++
		case stepRemove:
			d.edit(doc.Delete, doc.Edit{}, doc.Index(at))
		case stepInsert:
			var moved *doc.Value
			if st.i >= 0 {
				moved = base[st.i]
			}
			d.edit(doc.Insert, doc.Edit{Value: d.adopt(moved, next[st.j], s.items())}, doc.Index(at))
			at++
		}
	}
}
