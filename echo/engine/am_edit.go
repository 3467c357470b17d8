package engine

/*
#include "am_shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"unicode/utf8"

	"echofs/echo/doc"
)

// object is a map, list or text inside a document. The core's handle belongs
// to a result which the editor frees at its end.
type object struct {
	id   *C.AMobjId // nil is the root
	kind doc.Kind   // Map, List or Text
}

// editor applies edits to a document. After a failure the document holds a
// part of them, and only freeing it is left to do.
type editor struct {
	d    *coreDoc
	held []*C.AMresult // what the handles in use live in
}

// applyEdits applies the edits in order. Its errors name the edit's path and
// wrap ErrEdit.
func (d *coreDoc) applyEdits(edits []doc.Edit) error {
	for i := range edits {
		e := &editor{d: d}
		err := e.apply(&edits[i])
		e.release()
		if err != nil {
			return fmt.Errorf("edit %d at %q: %w: %w", i, edits[i].Path.Pointer(), err, ErrEdit)
		}
	}
	return nil
}

func (e *editor) release() {
	for _, r := range e.held {
		C.AMresultFree(r)
	}
	e.held = nil
}

func (e *editor) apply(edit *doc.Edit) error {
	if len(edit.Path) == 0 {
		return errors.New("the root cannot be replaced")
	}
	parent, err := e.find(edit.Path[:len(edit.Path)-1])
	if err != nil {
		return err
	}
	last := edit.Path[len(edit.Path)-1]
	switch edit.Op {
	case doc.Put:
		return e.put(parent, last, false, edit.Value)
	case doc.Insert:
		return e.put(parent, last, true, edit.Value)
	case doc.Delete:
		return e.delete(parent, last)
	case doc.Splice:
		return e.spliceAt(parent, last, edit)
	case doc.Increment:
		return e.increment(parent, last, edit.By)
	}
	return fmt.Errorf("unknown operation %d", edit.Op)
}

// find follows a path from the root.
func (e *editor) find(path doc.Path) (object, error) {
	at := object{kind: doc.Map}
	for i, step := range path {
		next, err := e.child(at, step)
		if err != nil {
			return object{}, fmt.Errorf("%q: %w", path[:i+1].Pointer(), err)
		}
		at = next
	}
	return at, nil
}

// child returns the map, list or text at one step below an object.
func (e *editor) child(at object, step doc.Step) (object, error) {
	item, err := e.get(at, step)
	if err != nil {
		return object{}, err
	}
	if C.AMitemValType(item) != C.AM_VAL_OBJ {
		return object{}, errors.New("has nothing inside")
	}
	id := C.AMitemObjId(item)
	switch C.AMobjObjType(e.d.doc, id) {
	case C.AM_OBJ_LIST:
		return object{id, doc.List}, nil
	case C.AM_OBJ_TEXT:
		return object{id, doc.Text}, nil
	}
	return object{id, doc.Map}, nil
}

// get returns the item at one step below an object; it lives until release.
func (e *editor) get(at object, step doc.Step) (*C.AMitem, error) {
	place, err := e.place(at, step, 0)
	if err != nil {
		return nil, err
	}
	r := C.eng_get(e.d.doc, at.id, place, stringPtr(step.Key), C.size_t(len(step.Key)))
	runtime.KeepAlive(step.Key)
	e.held = append(e.held, r)
	if err := check(r); err != nil {
		return nil, err
	}
	item := C.AMresultItem(r)
	if item == nil || C.AMitemValType(item) == C.AM_VAL_VOID {
		return nil, errors.New("does not exist")
	}
	return item, nil
}

// place checks that a step fits an object: a key for a map, an index below the
// length plus room for a list.
func (e *editor) place(at object, step doc.Step, room int) (C.eng_place, error) {
	var p C.eng_place
	switch {
	case at.kind == doc.Map && !step.IsIndex:
		if !utf8.ValidString(step.Key) {
			return p, errors.New("key is not UTF-8")
		}
		return p, nil
	case at.kind == doc.List && step.IsIndex:
		n := e.size(at) + room
		if step.Index < 0 || step.Index >= n {
			return p, fmt.Errorf("index is not below %d", n)
		}
		p.in_list, p.pos = true, C.size_t(step.Index)
		return p, nil
	case step.IsIndex:
		return p, fmt.Errorf("index into a %s", at.kind)
	}
	return p, fmt.Errorf("key into a %s", at.kind)
}

// size returns the length of a list, or of a text in code points.
func (e *editor) size(at object) int { return int(C.AMobjSize(e.d.doc, at.id, nil)) }

// put sets or inserts a value below an object, with all the value contains.
func (e *editor) put(at object, step doc.Step, insert bool, v *doc.Value) error {
	room := 0
	if insert {
		if at.kind != doc.List {
			return fmt.Errorf("insert into a %s", at.kind)
		}
		room = 1
	}
	place, err := e.place(at, step, room)
	if err != nil {
		return err
	}
	if at.kind == doc.Map && step.Key == "" {
		return errors.New("the core cannot write an empty key")
	}
	place.insert = C.bool(insert)
	return e.putAt(at, place, step.Key, v, doc.MaxDepth)
}

func (e *editor) putAt(at object, place C.eng_place, key string, v *doc.Value, depth int) error {
	if v == nil {
		return errors.New("no value")
	}
	if depth == 0 {
		return fmt.Errorf("value nests deeper than %d", doc.MaxDepth)
	}
	switch v.Kind {
	case doc.Map, doc.List, doc.Text:
		return e.putObject(at, place, key, v, depth)
	}
	return e.putScalar(at, place, key, v)
}

func (e *editor) putScalar(at object, place C.eng_place, key string, v *doc.Value) error {
	s := C.eng_scalar{kind: C.uint8_t(v.Kind), i: C.int64_t(v.Int), u: C.uint64_t(v.Uint), f: C.double(v.Float)}
	ptr, n := &noBytes, 0
	switch v.Kind {
	case doc.Null, doc.Int, doc.Uint, doc.Float, doc.Counter, doc.Timestamp:
	case doc.Bool:
		s.i = 0
		if v.Bool {
			s.i = 1
		}
	case doc.String:
		if !utf8.ValidString(v.Str) {
			return errors.New("string is not UTF-8")
		}
		ptr, n = stringPtr(v.Str), len(v.Str)
	case doc.Bytes:
		ptr, n = bytesPtr(v.Bytes), len(v.Bytes)
	default:
		return fmt.Errorf("a value of kind %s cannot be written", v.Kind)
	}
	r := C.eng_put(e.d.doc, at.id, place, stringPtr(key), C.size_t(len(key)), &s, ptr, C.size_t(n))
	runtime.KeepAlive(v)
	runtime.KeepAlive(key)
	return done(r)
}

func (e *editor) putObject(at object, place C.eng_place, key string, v *doc.Value, depth int) error {
	types := map[doc.Kind]C.uint8_t{doc.Map: C.AM_OBJ_MAP, doc.List: C.AM_OBJ_LIST, doc.Text: C.AM_OBJ_TEXT}
	r := C.eng_put_object(e.d.doc, at.id, place, stringPtr(key), C.size_t(len(key)), types[v.Kind])
	runtime.KeepAlive(key)
	defer C.AMresultFree(r)
	if err := check(r); err != nil {
		return err
	}
	made := object{C.AMitemObjId(C.AMresultItem(r)), v.Kind}
	switch v.Kind {
	case doc.Text:
		return e.splice(made, 0, 0, v.Str)
	case doc.List:
		return e.fillList(made, v.Items, depth)
	}
	return e.fillMap(made, v.Fields, depth)
}

func (e *editor) fillList(at object, items []*doc.Value, depth int) error {
	place := C.eng_place{in_list: true, insert: true}
	for i, item := range items {
		place.pos = C.size_t(i)
		if err := e.putAt(at, place, "", item, depth-1); err != nil {
			return fmt.Errorf("/%d: %w", i, err)
		}
	}
	return nil
}

func (e *editor) fillMap(at object, fields []doc.Field, depth int) error {
	for _, f := range fields {
		if f.Key == "" {
			return errors.New("the core cannot write an empty key")
		}
		if !utf8.ValidString(f.Key) {
			return errors.New("key is not UTF-8")
		}
		if err := e.putAt(at, C.eng_place{}, f.Key, f.Value, depth-1); err != nil {
			return fmt.Errorf("%s: %w", doc.Keys(f.Key).Pointer(), err)
		}
	}
	return nil
}

// delete removes a key or an element. The core makes no operation for a key
// that is not there.
func (e *editor) delete(at object, step doc.Step) error {
	place, err := e.place(at, step, 0)
	if err != nil {
		return err
	}
	r := C.eng_delete(e.d.doc, at.id, place, stringPtr(step.Key), C.size_t(len(step.Key)))
	runtime.KeepAlive(step.Key)
	return done(r)
}

func (e *editor) increment(at object, step doc.Step, by int64) error {
	item, err := e.get(at, step)
	if err != nil {
		return err
	}
	if C.AMitemValType(item) != C.AM_VAL_COUNTER {
		return errors.New("is no counter")
	}
	if by == 0 {
		return nil
	}
	place, err := e.place(at, step, 0)
	if err != nil {
		return err
	}
	r := C.eng_increment(e.d.doc, at.id, place, stringPtr(step.Key), C.size_t(len(step.Key)), C.int64_t(by))
	runtime.KeepAlive(step.Key)
	return done(r)
}

func (e *editor) spliceAt(parent object, step doc.Step, edit *doc.Edit) error {
	text, err := e.child(parent, step)
	if err != nil {
		return err
	}
	if text.kind != doc.Text {
		return fmt.Errorf("splice of a %s", text.kind)
	}
	// The core clamps a deletion at the end and reads a negative position as
	// the end; either would hide that the edit was computed for another text.
	n := e.size(text)
	if edit.Pos < 0 || edit.Del < 0 || edit.Pos > n || edit.Del > n-edit.Pos {
		return fmt.Errorf("splice of %d+%d code points in a text of %d", edit.Pos, edit.Del, n)
	}
	return e.splice(text, edit.Pos, edit.Del, edit.Ins)
}

func (e *editor) splice(text object, pos, del int, ins string) error {
	if !utf8.ValidString(ins) {
		return errors.New("text is not UTF-8")
	}
	if del == 0 && ins == "" {
		return nil
	}
	if del > math.MaxInt32 {
		return fmt.Errorf("splice of %d code points", del)
	}
	r := C.eng_splice(e.d.doc, text.id, C.size_t(pos), C.ptrdiff_t(del), stringPtr(ins), C.size_t(len(ins)))
	runtime.KeepAlive(ins)
	return done(r)
}
