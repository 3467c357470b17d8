package model

import (
	"strings"

	"echofs/echo/doc"
)

// Ref is what a reference points to.
type Ref struct {
	Space  string // the space's id; "" is the space of the reference
	Object doc.ObjectID
}

// String returns the reference as a URI of the present generation.
func (r Ref) String() string { return "echo://" + r.Space + "/" + r.Object.String() }

// DXN returns the reference as a DXN, the form that readers of every generation
// take: dxn:echo:@:ID or dxn:echo:SPACE:ID.
func (r Ref) DXN() string {
	space := r.Space
	if space == "" {
		space = "@"
	}
	return "dxn:echo:" + space + ":" + r.Object.String()
}

// refForms are the generations of references: a prefix, what separates the
// space from the object, and how the space of the reference is named.
var refForms = []struct{ prefix, separator, local string }{
	{"echo://", "/", ""},
	{"dxn:echo:", ":", "@"},
}

// ParseRef reads a reference to an object in any generation of strings:
// echo:///ID, echo://SPACE/ID, dxn:echo:@:ID, dxn:echo:SPACE:ID.
func ParseRef(s string) (Ref, bool) {
	for _, form := range refForms {
		rest, ok := strings.CutPrefix(s, form.prefix)
		if !ok {
			continue
		}
		space, object, ok := strings.Cut(rest, form.separator)
		if !ok || strings.ContainsAny(space, "/:") {
			return Ref{}, false
		}
		id, err := doc.ParseObjectID(object)
		if err != nil {
			return Ref{}, false
		}
		if space == form.local {
			space = ""
		} else if space == "" {
			return Ref{}, false
		}
		return Ref{Space: space, Object: id}, true
	}
	return Ref{}, false
}

// RefOf returns the reference that a value is: a map of the single key "/" with
// a reference as its string, or the oldest generation, a map of objectId,
// protocol and host.
func RefOf(v *doc.Value) (Ref, bool) {
	if s, ok := linkText(v); ok {
		return ParseRef(s)
	}
	if v == nil || v.Kind != doc.Map || len(v.Fields) > 3 {
		return Ref{}, false
	}
	for _, f := range v.Fields {
		switch f.Key {
		case "objectId", "protocol", "host":
		default:
			return Ref{}, false
		}
	}
	id, err := doc.ParseObjectID(v.Get("objectId").Text())
	return Ref{Object: id}, err == nil
}

// linkText returns the string of a map of the single key "/".
func linkText(v *doc.Value) (string, bool) {
	if v == nil || v.Kind != doc.Map || len(v.Fields) != 1 || v.Fields[0].Key != linkKey {
		return "", false
	}
	return v.Fields[0].Value.Text(), v.Fields[0].Value.IsString()
}

func newLink(s string) *doc.Value {
	return doc.NewMap(doc.Field{Key: linkKey, Value: doc.NewString(s)})
}

// WalkRefs calls fn for each reference in v. The path is only valid during the
// call.
func WalkRefs(v *doc.Value, fn func(path doc.Path, ref Ref)) { walkRefs(v, nil, fn) }

func walkRefs(v *doc.Value, path doc.Path, fn func(doc.Path, Ref)) {
	if v == nil {
		return
	}
	if ref, ok := RefOf(v); ok {
		fn(path, ref)
		return
	}
	for _, f := range v.Fields {
		walkRefs(f.Value, append(path, doc.Key(f.Key)), fn)
	}
	for i, item := range v.Items {
		walkRefs(item, append(path, doc.Index(i)), fn)
	}
}

// ShowRefs returns v with each reference that show knows a path for replaced by
// {"/": path}. The others stay as they are. It shares memory with v.
func ShowRefs(v *doc.Value, show func(Ref) (path string, ok bool)) *doc.Value {
	return mapMaps(v, nil, func(v *doc.Value, _ doc.Path) *doc.Value {
		ref, ok := RefOf(v)
		if !ok {
			return nil
		}
		if path, ok := show(ref); ok {
			return newLink(path)
		}
		return v
	})
}

// ResolveRefs returns v, as it was read from a file, with its paths replaced
// by references. base is the version its author was looking at and shown what
// ShowRefs made of it then; both may be nil.
//
// A path the author was shown stands for the reference it was shown for, even
// if the file has another path by now, and is written back in the generation
// that has. Any other path is looked up; an object that base has a reference
// to gets one of the same generation, others a DXN, which readers of every
// generation take. What lookup does not know stays as it is. A reference that
// is written out instead of as a path becomes a DXN too, unless base has it
// there already.
func ResolveRefs(v, base, shown *doc.Value, lookup func(path string) (Ref, bool)) *doc.Value {
	known := newKnownRefs(base, shown)
	return mapMaps(v, nil, func(v *doc.Value, path doc.Path) *doc.Value {
		text, ok := linkText(v)
		if !ok {
			return nil
		}
		if ref := known.shown(path, text); ref != nil {
			return ref
		}
		if ref, ok := ParseRef(text); ok {
			return known.keep(path, ref)
		}
		if ref, ok := lookup(text); ok {
			return known.spell(path, ref)
		}
		return v
	})
}

// knownRefs are the references of a base, as they are stored.
type knownRefs struct {
	place   map[string]*doc.Value // by JSON pointer
	text    map[string]string     // what was shown there, by JSON pointer
	byText  map[string]*doc.Value // by what was shown, the first
	byRef   map[Ref]*doc.Value    // by what they point to, the first
	pointed map[string]Ref        // by JSON pointer
}

func newKnownRefs(base, shown *doc.Value) *knownRefs {
	k := &knownRefs{
		place: map[string]*doc.Value{}, text: map[string]string{}, pointed: map[string]Ref{},
		byText: map[string]*doc.Value{}, byRef: map[Ref]*doc.Value{},
	}
	k.collect(base, shown, nil)
	return k
}

// collect walks base and, where it has the same shape, shown.
func (k *knownRefs) collect(base, shown *doc.Value, path doc.Path) {
	if base == nil {
		return
	}
	if ref, ok := RefOf(base); ok {
		k.add(base, ref, path.Pointer())
		if text, ok := linkText(shown); ok {
			k.addText(base, text, path.Pointer())
		}
		return
	}
	for _, f := range base.Fields {
		k.collect(f.Value, shown.Get(f.Key), append(path, doc.Key(f.Key)))
	}
	for i, item := range base.Items {
		k.collect(item, child(orNull(shown), doc.Index(i)), append(path, doc.Index(i)))
	}
}

func orNull(v *doc.Value) *doc.Value {
	if v == nil {
		return &doc.Value{}
	}
	return v
}

func (k *knownRefs) add(v *doc.Value, ref Ref, pointer string) {
	k.place[pointer], k.pointed[pointer] = v, ref
	if k.byRef[ref] == nil {
		k.byRef[ref] = v
	}
}

func (k *knownRefs) addText(v *doc.Value, text, pointer string) {
	k.text[pointer] = text
	if k.byText[text] == nil {
		k.byText[text] = v
	}
}

// shown returns the reference that a text at a place was shown for, or nil.
func (k *knownRefs) shown(path doc.Path, text string) *doc.Value {
	pointer := path.Pointer()
	if was, ok := k.text[pointer]; ok && was == text {
		return k.place[pointer]
	}
	return k.byText[text]
}

// spell writes a reference as the base writes it.
func (k *knownRefs) spell(path doc.Path, ref Ref) *doc.Value {
	pointer := path.Pointer()
	if was, ok := k.pointed[pointer]; ok && was == ref {
		return k.place[pointer]
	}
	if v := k.byRef[ref]; v != nil {
		return v
	}
	return newLink(ref.DXN())
}

// keep writes a reference that its author wrote out: as the base writes it, if
// it stood there before.
func (k *knownRefs) keep(path doc.Path, ref Ref) *doc.Value {
	pointer := path.Pointer()
	if was, ok := k.pointed[pointer]; ok && was == ref {
		return k.place[pointer]
	}
	return newLink(ref.DXN())
}

// mapMaps returns v with each map replaced by what fn returns for it; where fn
// returns nil the map's fields are gone through instead. What has not changed
// is shared.
func mapMaps(v *doc.Value, path doc.Path, fn func(*doc.Value, doc.Path) *doc.Value) *doc.Value {
	switch {
	case v == nil:
		return nil
	case v.Kind == doc.Map:
		if out := fn(v, path); out != nil {
			return out
		}
		return mapFields(v, path, fn)
	case v.Kind == doc.List:
		return mapItems(v, path, fn)
	}
	return v
}

func mapFields(v *doc.Value, path doc.Path, fn func(*doc.Value, doc.Path) *doc.Value) *doc.Value {
	fields, changed := make([]doc.Field, len(v.Fields)), false
	for i, f := range v.Fields {
		fields[i] = doc.Field{Key: f.Key, Value: mapMaps(f.Value, append(path, doc.Key(f.Key)), fn)}
		changed = changed || fields[i].Value != f.Value
	}
	if !changed {
		return v
	}
	return &doc.Value{Kind: doc.Map, Fields: fields}
}

func mapItems(v *doc.Value, path doc.Path, fn func(*doc.Value, doc.Path) *doc.Value) *doc.Value {
	items, changed := make([]*doc.Value, len(v.Items)), false
	for i, item := range v.Items {
		items[i] = mapMaps(item, append(path, doc.Index(i)), fn)
		changed = changed || items[i] != item
	}
	if !changed {
		return v
	}
	return &doc.Value{Kind: doc.List, Items: items}
}
