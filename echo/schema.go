package echo

import (
	"strings"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// TypeSchema is the type of objects that describe a type: typename, version and
// jsonSchema, as other ECHO software has them. Of a schema only the keyword
// x-echofs-merge is looked at here, which says how a field is merged.
const TypeSchema = "dxn:type:dxos.org/type/Schema:0.1.0"

const typePrefix = "dxn:type:"

// indexType keeps the index of objects by type. Types that are kinds of their
// own are left out: there are many of them, and nobody looks for them so.
func (t *txn) indexType(id doc.ObjectID, old, obj *objectRow) {
	if old != nil && old.Type != obj.Type && old.Type != "" {
		t.delete(key(tableType, t.s.id, old.Type, byte(0), id))
	}
	if obj.Type != "" && obj.Kind == KindObject {
		t.put(key(tableType, t.s.id, obj.Type, byte(0), id), nil)
	}
	if obj.Type == TypeSchema || old != nil && old.Type == TypeSchema {
		t.s.schemas = nil
	}
}

// schemaOf returns what the schema of a type says about merging, or nil.
func (t *txn) schemaOf(typ string) *model.Schema {
	if typ == "" {
		return nil
	}
	if s, ok := t.s.schemas[typ]; ok {
		return s
	}
	schema := t.findSchema(typ)
	if t.s.schemas == nil {
		t.s.schemas = make(map[string]*model.Schema)
	}
	t.s.schemas[typ] = schema
	return schema
}

// findSchema looks a type up: by the object that describes it, if the type is a
// reference to one, else by name and version.
func (t *txn) findSchema(typ string) *model.Schema {
	if ref, ok := model.ParseRef(typ); ok {
		return t.readSchema(ref.Object, "")
	}
	name, ok := strings.CutPrefix(typ, typePrefix)
	if !ok {
		return nil
	}
	prefix := key(tableType, t.s.id, TypeSchema, byte(0))
	var found *model.Schema
	err := scanPrefix(t, prefix, func(k, _ []byte) bool {
		found = t.readSchema(doc.ObjectID(k[len(k)-len(doc.ObjectID{}):]), name)
		return found == nil
	})
	if err != nil {
		t.fail(err)
	}
	return found
}

// readSchema reads a schema object, if it describes the type of that name and
// version; "" stands for any.
func (t *txn) readSchema(id doc.ObjectID, name string) *model.Schema {
	structure, err := getValue(t, t.s.id, id)
	if err != nil || readShape(structure).Deleted {
		return nil
	}
	data := structure.Get(keyData)
	if name != "" && data.Get("typename").Text()+":"+data.Get("version").Text() != name {
		return nil
	}
	definition := data.Get("jsonSchema")
	if definition == nil {
		return nil
	}
	schema, err := model.ParseSchema(model.Render(definition, model.RenderOptions{}))
	if err != nil {
		t.s.repo.log.Warn("schema is not understood", "space", t.s.Name(), "object", id, "error", err)
		return nil
	}
	return schema
}
