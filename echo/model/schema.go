package model

import (
	"fmt"

	"echofs/echo/doc"
)

// MergeMode says how concurrent changes of a value are merged.
type MergeMode uint8

// The merge modes.
const (
	MergeByRule  MergeMode = iota // prose by character, the rest as one value
	MergeText                     // a string by character, always
	MergeValue                    // as one value, always: the last writer wins
	MergeCounter                  // a number by adding up the differences

	// mergeReference is a reference: one value, but written as a Text, since
	// other ECHO software takes only those for references.
	mergeReference
)

// MergeKeyword is the keyword of a JSON schema that names a merge mode:
// "text", "value" or "counter".
const MergeKeyword = "x-echofs-merge"

// Schema tells the merge modes of the values of an object. A nil Schema says
// nothing. It is not changed once it is in use.
type Schema struct {
	Merge  MergeMode
	Fields map[string]*Schema // of a map
	Other  *Schema            // of the fields of a map that Fields does not name
	Items  *Schema            // of every element of a list
}

// ParseSchema reads MergeKeyword from a JSON schema, below the keywords
// properties, additionalProperties and items; everything else is ignored. It
// returns nil where the schema does not use it. It fails as Parse does, and on
// an unknown merge mode.
func ParseSchema(text []byte) (*Schema, error) {
	v, err := Parse(text, Limits{Foreign: true})
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return schemaOf(v, nil)
}

func schemaOf(v *doc.Value, path doc.Path) (*Schema, error) {
	if v == nil || v.Kind != doc.Map {
		return nil, nil
	}
	s := new(Schema)
	var err error
	if s.Merge, err = mergeMode(v.Get(MergeKeyword), path); err != nil {
		return nil, err
	}
	if s.Other, err = schemaOf(v.Get("additionalProperties"), path.Join(doc.Key("additionalProperties"))); err != nil {
		return nil, err
	}
	if s.Items, err = schemaOf(v.Get("items"), path.Join(doc.Key("items"))); err != nil {
		return nil, err
	}
	if err := s.properties(v.Get("properties"), path.Join(doc.Key("properties"))); err != nil {
		return nil, err
	}
	if s.Merge == MergeByRule && s.Fields == nil && s.Other == nil && s.Items == nil {
		return nil, nil
	}
	return s, nil
}

// properties reads the fields that a schema names. One of which it says
// nothing is only noted where it must not be taken for one of the others.
func (s *Schema) properties(v *doc.Value, path doc.Path) error {
	if v == nil || v.Kind != doc.Map {
		return nil
	}
	for _, f := range v.Fields {
		sub, err := schemaOf(f.Value, path.Join(doc.Key(f.Key)))
		if err != nil {
			return err
		}
		if sub == nil && s.Other == nil {
			continue
		}
		if s.Fields == nil {
			s.Fields = make(map[string]*Schema)
		}
		s.Fields[f.Key] = sub
	}
	return nil
}

func mergeMode(v *doc.Value, path doc.Path) (MergeMode, error) {
	if v == nil {
		return MergeByRule, nil
	}
	switch v.Text() {
	case "text":
		return MergeText, nil
	case "value":
		return MergeValue, nil
	case "counter":
		return MergeCounter, nil
	}
	return 0, fmt.Errorf("schema: %s is not text, value or counter at %q", MergeKeyword, path.Pointer())
}

func (s *Schema) mode() MergeMode {
	if s == nil {
		return MergeByRule
	}
	return s.Merge
}

func (s *Schema) field(key string) *Schema {
	if s == nil {
		return nil
	}
	if sub, ok := s.Fields[key]; ok {
		return sub
	}
	return s.Other
}

func (s *Schema) items() *Schema {
	if s == nil {
		return nil
	}
	return s.Items
}
