package echo

import (
	"echofs/echo/doc"
	"echofs/echo/model"
)

// The types this version gives a meaning of its own. The body of a text is the
// field "content", as other ECHO software has it.
const (
	TypeFolder     = "dxn:type:echofs/type/Folder:0.1.0"
	TypeText       = "dxn:type:dxos.org/type/Text:0.1.0"
	TypeProperties = "dxn:type:dxos.org/type/Properties:0.1.0"

	bodyField = "content"
)

// Names inside of a document.
const (
	keyObjects = "objects"
	keySystem  = "system"
	keyMeta    = "meta"
	keyData    = "data"
	keyRef     = "/"
	keyOwn     = "echofs" // meta.echofs is what only echofs gives a meaning
	keyName    = "name"
	keyParent  = "parent"
	keyType    = "type"
	keyDeleted = "deleted"
	keySource  = "source"
	keyTarget  = "target"
	keyKind    = "kind"

	kindRelation = "relation"
)

// shape is what the tree needs to know of an object's structure, the map
// {system, meta, data} that a document holds under objects.<id>.
type shape struct {
	Kind    Kind // 0: shown nowhere
	Type    string
	Deleted bool
	Parent  doc.ObjectID // zero: the space's root
	Label   string       // "" where the object has no name of its own
	Data    *doc.Value
	Target  string // KindLink
}

func readShape(v *doc.Value) shape {
	system := v.Get(keySystem)
	s := shape{
		Type:    refText(system.Get(keyType)),
		Deleted: isTrue(system.Get(keyDeleted)),
		Label:   v.At(keyMeta, keyOwn, keyName).Text(),
		Data:    v.Get(keyData),
	}
	if id, ok := parseRef(refText(system.Get(keyParent))); ok {
		s.Parent = id
	}
	switch {
	case s.Type == TypeProperties:
		s.Kind = 0
	case s.Type == TypeFolder:
		s.Kind = KindFolder
	case s.Type == TypeLink && isLink(s.Data):
		s.Kind, s.Target = KindLink, s.Data.Get(keyTarget).Text()
	case s.Type == TypeBlob && isBlob(s.Data):
		s.Kind = KindBlob
	case s.Type == TypeText && isBody(s.Data):
		s.Kind = KindText
	default:
		s.Kind = KindObject
	}
	return s
}

// isBody reports whether data is a body and nothing else, so that a file can
// show all of it as text.
func isBody(data *doc.Value) bool {
	if data == nil || data.Kind != doc.Map || len(data.Fields) != 1 {
		return false
	}
	_, ok := model.BodyText(data.Get(bodyField))
	return ok
}

func isTrue(v *doc.Value) bool { return v != nil && v.Kind == doc.Bool && v.Bool }

// refText returns the string of a reference {"/": "…"}, or "".
func refText(v *doc.Value) string { return v.Get(keyRef).Text() }

// newRef returns a reference to an object of the same space.
func newRef(id doc.ObjectID) *doc.Value {
	return doc.NewMap(doc.Field{Key: keyRef, Value: doc.NewText(model.Ref{Object: id}.DXN())})
}

// newType returns the reference to a type. References are texts: other ECHO
// software takes nothing else for a reference.
func newType(dxn string) *doc.Value {
	return doc.NewMap(doc.Field{Key: keyRef, Value: doc.NewText(dxn)})
}

// parseRef reads a reference within the space.
func parseRef(s string) (doc.ObjectID, bool) {
	ref, ok := model.ParseRef(s)
	return ref.Object, ok && ref.Space == ""
}

// newStructure returns the structure of an object that echofs makes.
func newStructure(s shape, createdAt int64) *doc.Value {
	system := doc.NewMap()
	if s.Type != "" {
		system.Fields = append(system.Fields, doc.Field{Key: keyType,
			Value: newType(s.Type)})
	}
	if !s.Parent.IsZero() {
		system.Fields = append(system.Fields, doc.Field{Key: keyParent, Value: newRef(s.Parent)})
	}
	system.Fields = append(system.Fields, doc.Field{Key: "createdAt", Value: doc.NewInt(createdAt)})
	meta := doc.NewMap(doc.Field{Key: "keys", Value: doc.NewList()})
	if s.Label != "" {
		meta.Fields = append(meta.Fields, doc.Field{Key: keyOwn,
			Value: doc.NewMap(doc.Field{Key: keyName, Value: doc.NewString(s.Label)})})
	}
	return doc.NewMap(doc.Field{Key: keySystem, Value: system},
		doc.Field{Key: keyMeta, Value: meta}, doc.Field{Key: keyData, Value: s.Data})
}

// newDocument returns the edits that make a document of one object.
func newDocument(spaceKey string, id doc.ObjectID, structure *doc.Value) []doc.Edit {
	put := func(key string, v *doc.Value) doc.Edit {
		return doc.Edit{Op: doc.Put, Path: doc.Keys(key), Value: v}
	}
	return []doc.Edit{
		put("version", doc.NewInt(1)),
		put("access", doc.NewMap(doc.Field{Key: "spaceKey", Value: doc.NewString(spaceKey)})),
		put(keyObjects, doc.NewMap(doc.Field{Key: id.String(), Value: structure})),
	}
}

// at returns the path of a part of an object in its document.
func at(id doc.ObjectID, keys ...string) doc.Path {
	return append(doc.Keys(keyObjects, id.String()), doc.Keys(keys...)...)
}

// shownLabel is the name an object goes by: its own, or one made of its id.
func (s shape) shownLabel(id doc.ObjectID) string {
	switch {
	case s.Label != "":
		return s.Label
	case s.Kind == KindFolder || s.Kind == KindLink:
		return id.String()
	case s.Kind == KindBlob:
		return id.String() + ".bin"
	case s.Kind == KindText:
		return id.String() + ".md"
	}
	return id.String() + ".json"
}

// objectsOf returns the objects of a document, in the order of their ids.
func objectsOf(document *doc.Value) map[doc.ObjectID]*doc.Value {
	objects := document.Get(keyObjects)
	if objects == nil || objects.Kind != doc.Map {
		return nil
	}
	out := make(map[doc.ObjectID]*doc.Value, len(objects.Fields))
	for _, f := range objects.Fields {
		id, err := doc.ParseObjectID(f.Key)
		if err != nil || id.IsZero() || f.Value.Kind != doc.Map {
			continue // not an object of ECHO: kept in the document, shown nowhere
		}
		out[id] = f.Value
	}
	return out
}
