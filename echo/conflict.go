package echo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"echofs/echo/doc"
	"echofs/echo/model"
	"echofs/echo/names"
	"echofs/halo"
)

// Conflict is a field to which several people gave different values without
// knowing of each other. The file shows one of them, the same on all vaults.
type Conflict struct {
	Ino  Ino
	ID   doc.ObjectID
	Path string // of the file within the space
	// Pointer is a JSON pointer into what the file shows, "" for the body of a
	// text; or "name" or "parent", for what the file is called and lies in.
	Pointer string
	Values  []ConflictValue // the winner first
}

// ConflictValue is one of the values of a contested field.
type ConflictValue struct {
	Value  json.RawMessage // of "parent": the folder's path within the space, beginning with "/"
	Change string
	Author string
	Device string
	Time   time.Time // as the author says
	Winner bool
}

// The pointers of what is no field of the file.
const (
	pointerName   = "name"
	pointerParent = "parent"
)

// conflictRow counts the contested fields of an object.
type conflictRow struct {
	Count int `cbor:"1,keyasint"`
}

// contested is a conflict as the document has it.
type contested struct {
	pointer string
	path    doc.Path
	values  []*doc.Value // the winner first; for name and parent what they say, not where
	astray  []strayValue // and what else was given to the field, where nobody sees it
	extra   doc.Path     // an element of which there is only one: the one that is too many
}

// strayValue is what a change made of a field of an element that had been moved.
type strayValue struct {
	value  *doc.Value
	change doc.ChangeHash
}

// indexConflicts keeps the index of contested fields. Fields can become
// contested only by a change that was made without knowing of others, so most
// changes cost nothing here.
func (t *txn) indexConflicts(d *document, id doc.ObjectID, structure *doc.Value) error {
	k := key(tableConflict, t.s.id, id)
	if !d.forked && !d.moved {
		if _, err := t.Get(k); isNotFound(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if d.conflicts == nil || d.conflictsAt != d.last {
		var err error
		if d.conflicts, err = t.s.repo.engine.Conflicts(t.ctx, t.source(d)); err != nil {
			return fmt.Errorf("conflicts: %w", err)
		}
		d.conflictsAt = d.last
	}
	found := contestedOf(id, structure, d.conflicts)
	if d.row.Moved > 0 {
		if _, err := t.Get(k); d.moved || err == nil {
			var err error
			if found, _, err = t.s.withStrays(t.ctx, t.source(d), id, structure, found); err != nil {
				return fmt.Errorf("conflicts: %w", err)
			}
		}
	}
	if n := len(found); n > 0 {
		t.putRow(k, &conflictRow{Count: n})
	} else {
		t.delete(k)
	}
	return nil
}

// contestedOf picks from a document's conflicts those that concern an object's
// file, its name or its place.
func contestedOf(id doc.ObjectID, structure *doc.Value, all []doc.Conflict) []contested {
	kind := readShape(structure).Kind
	var out []contested
	for _, c := range all {
		x := contested{path: c.Path, values: c.Values}
		if x.in(id, kind) && x.differ() {
			out = append(out, x)
		}
	}
	return out
}

// withStrays adds to the contested fields of an object what is astray in its
// lists, and tells where the values of all of them come from.
func (s *Space) withStrays(ctx context.Context, src doc.Source, id doc.ObjectID, structure *doc.Value, found []contested) ([]contested, *origins, error) {
	changes, err := s.repo.engine.Changes(ctx, src)
	if err != nil {
		return nil, nil, err
	}
	all := newStrays()
	for _, c := range changes {
		if err := all.add(c); err != nil {
			return nil, nil, fmt.Errorf("change %s: %w", c.Hash, err)
		}
	}
	kind := readShape(structure).Kind
	versions := map[doc.ChangeHash]*doc.Value{}
	for _, a := range all.edits() {
		c := contested{path: a.path}
		if !c.in(id, kind) {
			continue
		}
		if versions[a.change] == nil {
			if versions[a.change], err = s.repo.engine.Read(ctx, src, doc.Heads{a.change}); err != nil {
				return nil, nil, err
			}
		}
		now, then := valueAt(structure, a.path[len(at(id)):]), a.findAt(versions[a.change])
		if then == nil || now != nil && model.Same(now, then) {
			continue
		}
		if now != nil {
			c.values = []*doc.Value{now}
		}
		found = addStray(found, c, strayValue{then, a.change})
	}
	for _, d := range all.doubles() {
		c := contested{path: d.path, extra: d.extra}
		if c.in(id, kind) {
			c.values = []*doc.Value{valueAt(structure, d.path[len(at(id)):])}
			found = addStray(found, c, strayValue{valueAt(structure, d.extra[len(at(id)):]), d.change})
		}
	}
	return found, all.origins, nil
}

// addStray adds a value to the contested field that it belongs to.
func addStray(found []contested, c contested, v strayValue) []contested {
	for i := range found {
		if found[i].pointer == c.pointer {
			found[i].astray = append(found[i].astray, v)
			return found
		}
	}
	c.astray = []strayValue{v}
	return append(found, c)
}

// in finds out what the path means within an object, as place does.
func (c *contested) in(id doc.ObjectID, kind Kind) bool {
	prefix := at(id)
	return len(c.path) > len(prefix) && slices.Equal(c.path[:len(prefix)], prefix) && c.place(kind, c.path[len(prefix):])
}

// valueAt follows a path from a value; nil where it does not lead on.
func valueAt(v *doc.Value, path doc.Path) *doc.Value {
	for _, s := range path {
		v = stepInto(v, s)
	}
	return v
}

// place finds out what a path within an object's structure means to people, and
// makes the values what it says; false for what they never see.
func (c *contested) place(kind Kind, path doc.Path) bool {
	switch strings.TrimPrefix(path[:min(len(path), 3)].Pointer(), "/") {
	case keySystem + "/" + keyParent:
		c.pointer = pointerParent
		return c.say(func(v *doc.Value) *doc.Value { return doc.NewString(refText(v)) })
	case keySystem + "/" + keyParent + "/~1":
		c.pointer = pointerParent
		return true
	case keySystem + "/" + keyType:
		c.pointer = "/@type"
		return c.say(func(v *doc.Value) *doc.Value { return doc.NewString(refText(v)) })
	case keyMeta + "/" + keyOwn:
		c.pointer = pointerName
		return c.say(func(v *doc.Value) *doc.Value { return doc.NewString(v.Get(keyName).Text()) })
	case keyMeta + "/" + keyOwn + "/" + keyName:
		c.pointer = pointerName
		return true
	}
	if path[0] != doc.Key(keyData) || len(path) > 1 && strings.HasPrefix(path[1].Key, "@") {
		return false
	}
	c.pointer = path[1:].Pointer()
	if kind == KindText {
		c.pointer = ""
		return len(path) == 2
	}
	return kind == KindObject
}

func (c *contested) say(what func(*doc.Value) *doc.Value) bool {
	out := make([]*doc.Value, len(c.values))
	for i, v := range c.values {
		out[i] = what(v)
	}
	c.values = out
	return true
}

// differ reports whether there is something to decide.
func (c *contested) differ() bool {
	return slices.ContainsFunc(c.values[1:], func(v *doc.Value) bool { return !model.Same(c.values[0], v) })
}

// Conflicts lists the contested fields of all files of the space, by path.
func (s *Space) Conflicts(ctx context.Context) ([]Conflict, error) {
	ids, err := s.contestedObjects()
	if err != nil {
		return nil, fmt.Errorf("list conflicts: %w", err)
	}
	var out []Conflict
	for _, id := range ids {
		found, err := s.conflictsOf(ctx, id)
		if err != nil && !isNotFound(err) {
			return nil, fmt.Errorf("list conflicts: %w", err)
		}
		out = append(out, found...)
	}
	slices.SortStableFunc(out, func(a, b Conflict) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// contestedObjects returns the objects in the tree that have contested fields.
func (s *Space) contestedObjects() (ids []doc.ObjectID, err error) {
	prefix := key(tableConflict, s.id)
	err = scanPrefix(s.repo.store, prefix, func(k, _ []byte) bool {
		id := doc.ObjectID(k[len(prefix):])
		if obj, err := getObject(s.repo.store, s.id, id); err == nil && obj.Ino != 0 && !obj.Deleted {
			ids = append(ids, id)
		}
		return true
	})
	return ids, err
}

// countConflicts returns the number of contested fields.
func (s *Space) countConflicts() int {
	ids, err := s.contestedObjects()
	if err != nil {
		return 0
	}
	n := 0
	for _, id := range ids {
		var row conflictRow
		if ok, err := getRow(s.repo.store, key(tableConflict, s.id, id), &row); ok && err == nil {
			n += row.Count
		}
	}
	return n
}

// ConflictsOf lists the contested fields of an object.
func (r *Repo) ConflictsOf(ctx context.Context, ino Ino) ([]Conflict, error) {
	row, s, err := r.objectNode(ino)
	if err != nil {
		return nil, fmt.Errorf("conflicts: %w", err)
	}
	out, err := s.conflictsOf(ctx, row.ID)
	return out, wrapf(err, "conflicts of %q", row.Name)
}

func (s *Space) conflictsOf(ctx context.Context, id doc.ObjectID) ([]Conflict, error) {
	r := s.repo.store
	if _, err := r.Get(key(tableConflict, s.id, id)); err != nil {
		return nil, ignoreNotFound(err)
	}
	obj, err := getObject(r, s.id, id)
	if err != nil {
		return nil, err
	}
	structure, err := getValue(r, s.id, id)
	if err != nil {
		return nil, err
	}
	src, err := s.sourceOf(obj.Doc)
	if err != nil {
		return nil, err
	}
	all, err := s.repo.engine.Conflicts(ctx, src)
	if err != nil {
		return nil, err
	}
	found, by, err := s.withStrays(ctx, src, id, structure, contestedOf(id, structure, all))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	path, _ := s.repo.Path(obj.Ino)
	_, path, _ = strings.Cut(path, "/")
	out := make([]Conflict, 0, len(found))
	for _, c := range found {
		out = append(out, Conflict{Ino: obj.Ino, ID: id, Path: path, Pointer: c.pointer, Values: s.conflictValues(obj.Doc, &c, by)})
	}
	return out, nil
}

// sourceOf returns a document as the store has it.
func (s *Space) sourceOf(id doc.DocumentID) (doc.Source, error) {
	d := &document{id: id}
	ok, err := getRow(s.repo.store, key(tableDoc, s.id, id), &d.row)
	if err != nil || !ok {
		return doc.Source{}, orNotFound(ok, err)
	}
	return chunkSource(s.repo.store, s.id, d), nil
}

func (s *Space) conflictValues(id doc.DocumentID, c *contested, by *origins) []ConflictValue {
	changes := by.at(c.path)
	state := s.State()
	out := make([]ConflictValue, 0, len(c.values)+len(c.astray))
	for i, v := range c.values {
		var change doc.ChangeHash
		if len(changes) == len(c.values) { // or not understood: better no author than a wrong one
			change = changes[i]
		}
		out = append(out, s.conflictValue(state, id, c.pointer, v, change))
		out[i].Winner = i == 0
	}
	for _, v := range c.astray {
		out = append(out, s.conflictValue(state, id, c.pointer, v.value, v.change))
	}
	return out
}

func (s *Space) conflictValue(state *halo.State, id doc.DocumentID, pointer string, v *doc.Value, change doc.ChangeHash) ConflictValue {
	out := ConflictValue{Value: s.conflictJSON(pointer, v)}
	if change.IsZero() {
		return out
	}
	out.Change = change.String()
	if o, err := changeOrigin(s.repo.store, s, id, change); err == nil {
		out.Author, out.Device, out.Time = s.nameOf(state, o.identity), s.deviceName(o.device), timeOf(o.time)
	}
	return out
}

func (s *Space) conflictJSON(pointer string, v *doc.Value) json.RawMessage {
	if pointer == pointerParent {
		v = doc.NewString(s.folderPath(v.Text()))
	}
	return model.Canonical(v)
}

// folderPath returns the path of the folder that a reference names; the
// reference itself where there is none.
func (s *Space) folderPath(ref string) string {
	id, ok := parseRef(ref)
	if !ok {
		return "/"
	}
	obj, err := getObject(s.repo.store, s.id, id)
	if err != nil {
		return ref
	}
	return "/" + s.formerPath(obj)
}

// ErrNoConflict is wrapped where a field is not contested.
var ErrNoConflict = errors.New("not contested")

// SettleConflict gives a contested field its value: one of those it has, or any
// other, as JSON. For "name" it is a name, for "parent" the path of a folder of
// the space, beginning with "/". If others settle it differently without
// knowing, it is contested again. ErrNoConflict, *InvalidError, and for a name
// or folder that cannot be ErrInvalidName and ErrNotFound.
func (r *Repo) SettleConflict(ctx context.Context, ino Ino, pointer string, value json.RawMessage) error {
	err := r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error {
		if !t.s.mayWrite() {
			return ErrReadOnly
		}
		obj, err := getObject(t, t.s.id, row.ID)
		if err != nil {
			return err
		}
		structure, err := getValue(t, t.s.id, row.ID)
		if err != nil {
			return err
		}
		d, err := t.document(obj.Doc)
		if err != nil {
			return err
		}
		all, err := t.s.repo.engine.Conflicts(ctx, t.source(d))
		if err != nil {
			return err
		}
		found, _, err := t.s.withStrays(ctx, t.source(d), row.ID, structure, contestedOf(row.ID, structure, all))
		if err != nil {
			return err
		}
		var edits []doc.Edit
		for _, c := range found {
			if c.pointer != pointer {
				continue
			}
			e, err := t.settleEdits(row, &c, structure, value)
			if err != nil {
				return err
			}
			edits = append(edits, e...)
		}
		if len(edits) == 0 {
			return ErrNoConflict
		}
		_, err = t.edit(d, nil, append(edits, keepAlive(row.ID, structure)...), nil)
		return err
	})
	return wrapf(err, "settle %q", pointer)
}

// settleEdits returns the edits that put a value in the place of several.
func (t *txn) settleEdits(row *nodeRow, c *contested, structure *doc.Value, value json.RawMessage) ([]doc.Edit, error) {
	if c.extra != nil {
		return t.settleTwice(row, c, value)
	}
	e, err := t.settleEdit(row, c, structure, value)
	if err != nil || len(c.astray) == 0 || len(c.values) == 0 {
		return []doc.Edit{e}, err
	}
	// The core makes nothing of putting a value that is there already, and then
	// nobody would know that it was chosen.
	return []doc.Edit{{Op: doc.Delete, Path: c.path}, e}, nil
}

// settleTwice makes one element of one that two people moved.
func (t *txn) settleTwice(row *nodeRow, c *contested, value json.RawMessage) ([]doc.Edit, error) {
	v, err := model.Parse(value, model.DefaultLimits)
	if err != nil {
		return nil, &InvalidError{Pointer: c.pointer, Reason: err.Error()}
	}
	base := c.values[0]
	edits := model.Diff(base, t.s.resolveRefs(t, row.Parent, v, base), model.DiffOptions{Prefix: c.path})
	return append(edits, doc.Edit{Op: doc.Delete, Path: c.extra}), nil
}

// settleEdit returns the edit that puts a value in the place of several.
func (t *txn) settleEdit(row *nodeRow, c *contested, structure *doc.Value, value json.RawMessage) (doc.Edit, error) {
	v, err := model.Parse(value, model.DefaultLimits)
	if err != nil {
		return doc.Edit{}, &InvalidError{Pointer: c.pointer, Reason: err.Error()}
	}
	put := func(v *doc.Value) (doc.Edit, error) { return doc.Edit{Op: doc.Put, Path: c.path, Value: v}, nil }
	system := c.pointer == pointerName || c.pointer == pointerParent || c.pointer == "/@type"
	if (system || row.Kind == KindText) && !v.IsString() {
		return doc.Edit{}, &InvalidError{Pointer: c.pointer, Reason: "is a string"}
	}
	switch {
	case c.pointer == pointerName:
		label, err := names.Create(v.Str)
		if err != nil {
			return doc.Edit{}, fmt.Errorf("%w: %w", ErrInvalidName, err)
		}
		if c.path[len(c.path)-1].Key == keyOwn {
			return put(doc.NewMap(doc.Field{Key: keyName, Value: doc.NewString(label)}))
		}
		return put(doc.NewString(label))
	case c.pointer == pointerParent:
		return t.settleParent(row, v.Str)
	case c.pointer == "/@type":
		if _, err := (ownFields{typ: v.Str}).check(row.ID); err != nil {
			return doc.Edit{}, err
		}
		return put(newType(v.Str))
	case row.Kind == KindText:
		return put(model.NewBody(v.Str))
	}
	base := structure.Get(keyData)
	for _, s := range c.path[len(at(row.ID, keyData)):] {
		base = stepInto(base, s)
	}
	v = t.s.resolveRefs(t, row.Parent, v, base)
	return put(model.Adopt(v, nil))
}

func stepInto(v *doc.Value, s doc.Step) *doc.Value {
	if !s.IsIndex {
		return v.Get(s.Key)
	}
	if v == nil || v.Kind != doc.List || s.Index >= len(v.Items) {
		return nil
	}
	return v.Items[s.Index]
}

func (t *txn) settleParent(row *nodeRow, path string) (doc.Edit, error) {
	e := doc.Edit{Op: doc.Put, Path: at(row.ID, keySystem, keyParent)}
	id, ok := parseRef(path)
	if !ok {
		n, err := t.s.repo.Resolve(t.s.Name() + "/" + strings.Trim(path, "/"))
		if err != nil {
			return e, err
		}
		if !n.Kind.IsDir() || n.Kind == KindLocalDir {
			return e, ErrNotDir
		}
		id = n.ID
	}
	if id.IsZero() {
		e.Op = doc.Delete
		return e, nil
	}
	e.Value = newRef(id)
	return e, nil
}
