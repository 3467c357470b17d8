package model

import "echofs/echo/doc"

// MaxChanged is the number of pointers that Changed returns at most.
const MaxChanged = 32

// maxChangedDepth is how deep Changed looks into maps.
const maxChangedDepth = 3

// Changed returns JSON pointers to what differs between two versions, for
// people to read: fields of maps, up to three levels deep, and lists and
// strings as a whole; first what next has, then what is gone. It returns nil
// where they are the same data, [""] where one of them is no map, and
// MaxChanged pointers at most.
func Changed(old, next *doc.Value) []string {
	c := changes{}
	c.value(old, next, nil)
	return c.pointers
}

type changes struct{ pointers []string }

func (c *changes) value(old, next *doc.Value, path doc.Path) {
	switch {
	case len(c.pointers) >= MaxChanged || Same(old, next):
	case old != nil && next != nil && old.Kind == doc.Map && next.Kind == doc.Map && len(path) < maxChangedDepth:
		c.fields(old, next, path)
	default:
		c.pointers = append(c.pointers, path.Pointer())
	}
}

func (c *changes) fields(old, next *doc.Value, path doc.Path) {
	find := lookup{fields: old.Fields}
	for i, f := range next.Fields {
		was, _ := find.at(i, f.Key)
		c.value(was, f.Value, append(path, doc.Key(f.Key)))
	}
	find = lookup{fields: next.Fields}
	for i, f := range old.Fields {
		if _, ok := find.at(i, f.Key); !ok {
			c.value(f.Value, nil, append(path, doc.Key(f.Key)))
		}
	}
}
