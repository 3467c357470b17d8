package echo

import (
	"context"
	"errors"
	"fmt"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// Save is one save of one file.
type Save struct {
	Ino  Ino
	Data []byte // not changed afterwards by the caller
	// Base is the version which the author was looking at, nil for the current
	// one. Rule names how it was found; it is kept for Node.Base.
	Base *Version
	Rule string
	// Consume is a file whose content this is and which is removed by the same
	// commit (a rename over the object); 0 for none. Consumed local files
	// vanish, consumed objects are deleted.
	Consume Ino
	// Quiet says that the caller tells of the file's new content and times
	// itself, after Save; see Event.Quiet.
	Quiet bool
}

// Saved is the outcome of a save.
type Saved struct {
	Wrote   Version // the base plus this save's change: what the author looks at now
	Changed bool    // false where the content said nothing new
	Node    Node
}

// Save makes content into a mutation: the difference between it and the
// version its author was looking at is applied at that version and merged with
// what others did since. It ends the file's draft. Errors: *InvalidError
// (nothing is stored: call PutDraft), ErrReadOnly, ErrNotFound, ErrIsDir. When
// it returns, the save survives the death of this process.
func (r *Repo) Save(ctx context.Context, s Save) (Saved, error) {
	var out Saved
	err := r.updateNode(ctx, s.Ino, func(t *txn, row *nodeRow) error {
		var err error
		if out, err = t.save(s.Ino, row, s); err != nil {
			return err
		}
		if s.Quiet {
			for e := range t.contentEvents(0, s.Ino) {
				e.Quiet = true
			}
		}
		if s.Consume == 0 {
			return nil
		}
		return t.consume(s.Consume)
	})
	if err != nil {
		return Saved{}, fmt.Errorf("save: %w", err)
	}
	out.Node, err = r.Node(s.Ino)
	return out, err
}

// save makes the content into a mutation of an object whose node is row.
func (t *txn) save(ino Ino, row *nodeRow, s Save) (Saved, error) {
	switch {
	case row.Kind.IsDir():
		return Saved{}, ErrIsDir
	case !row.Kind.IsFile():
		return Saved{}, fmt.Errorf("not an object: %w", ErrNotFound)
	case !t.s.mayWrite():
		return Saved{}, ErrReadOnly
	case row.Name == "":
		return Saved{}, fmt.Errorf("removed: %w", ErrNotFound)
	}
	row.Base = s.Rule
	if row.Kind == KindBlob {
		return t.saveText(ino, row, s.Base, s.Data)
	}
	switch row.Stage {
	case Fresh:
		return t.saveFirst(ino, row, s.Data)
	case Nascent:
		same, err := t.sayTheSame(ino, row, s.Data)
		if same || err != nil {
			return Saved{}, err
		}
		if err := t.promote(ino); err != nil {
			return Saved{}, err
		}
		if row, err = getNode(t, ino); err != nil {
			return Saved{}, err
		}
		row.Base = s.Rule
	}
	return t.saveSettled(ino, row, s)
}

// saveFirst gives a fresh file its first content. It becomes a document when
// it has kept its name for a while.
func (t *txn) saveFirst(ino Ino, row *nodeRow, data []byte) (Saved, error) {
	view, err := parseView(row.Kind, data, nil)
	if err != nil {
		return Saved{}, err
	}
	view = t.s.resolveRefs(t, row.Parent, view, nil)
	content, typ, err := t.adopt(row.Kind, view)
	if err != nil {
		return Saved{}, err
	}
	structure := newStructure(shape{Type: typ, Data: content}, t.now.UnixMilli())
	if own, _ := splitView(view); own.source != nil {
		structure = withEnds(structure, own)
	}
	t.setValue(row.ID, structure)
	if err := t.indexNew(row.ID, structure); err != nil {
		return Saved{}, err
	}
	if row.Kind == KindObject {
		t.put(key(tableText, t.s.id, row.ID), data)
	}
	row.Stage, row.Type, row.Size = Nascent, typ, int64(len(data))
	t.written(ino, row)
	t.settleLater(ino, row)
	return Saved{Changed: true}, nil
}

// indexNew notes what a new object refers to.
func (t *txn) indexNew(id doc.ObjectID, structure *doc.Value) error {
	obj, err := getObject(t, t.s.id, id)
	if err != nil {
		return err
	}
	t.indexRefs(id, obj, nil, structure)
	t.putObject(id, obj)
	return nil
}

func withEnds(structure *doc.Value, own ownFields) *doc.Value {
	system := structure.Get(keySystem)
	system.Fields = append(system.Fields, doc.Field{Key: keyKind, Value: doc.NewText(kindRelation)},
		doc.Field{Key: keySource, Value: model.Adopt(own.source, nil)}, doc.Field{Key: keyTarget, Value: model.Adopt(own.target, nil)})
	return structure
}

// written ends the draft of a file that was saved and moves its times.
func (t *txn) written(ino Ino, row *nodeRow) {
	t.dropDraft(ino, row)
	row.ModTime = max(t.now.UnixNano(), row.ModTime+1)
	row.Changed = row.ModTime
	t.putNode(ino, row)
	t.event(Event{What: Data, Ino: ino, Kind: row.Kind})
}

// sayTheSame reports whether content says what the object says already; then
// only its layout is kept.
func (t *txn) sayTheSame(ino Ino, row *nodeRow, data []byte) (bool, error) {
	structure, err := getValue(t, t.s.id, row.ID)
	if err != nil {
		return false, err
	}
	view := viewOf(row.Kind, structure)
	next, err := parseView(row.Kind, data, view)
	if err != nil {
		return false, err
	}
	edits, err := t.editView(row.Kind, row.ID, structure, t.s.resolveRefs(t, row.Parent, next, view), false)
	if err != nil || len(edits) > 0 {
		return false, err
	}
	t.keepLayout(ino, row, data)
	return true, nil
}

// keepLayout stores another text of the same data.
func (t *txn) keepLayout(ino Ino, row *nodeRow, data []byte) {
	if row.Kind == KindObject {
		if old, err := t.Get(key(tableText, t.s.id, row.ID)); err != nil || !sameBytes(old, data) {
			t.put(key(tableText, t.s.id, row.ID), data)
			row.Size = int64(len(data))
		}
	}
	t.written(ino, row)
}

func (t *txn) saveSettled(ino Ino, row *nodeRow, s Save) (Saved, error) {
	obj, err := getObject(t, t.s.id, row.ID)
	if err != nil {
		return Saved{}, err
	}
	d, err := t.document(obj.Doc)
	if err != nil {
		return Saved{}, err
	}
	base := d.row.Heads
	if s.Base != nil {
		if base = s.Base.Heads; len(base) == 0 {
			base = doc.Heads{obj.First}
		}
		base = t.standingHeads(d.id, base)
	}
	stale := !base.Equal(d.row.Heads)
	was, err := t.structureAt(d, row, base, stale)
	if err != nil {
		return Saved{}, err
	}
	view := viewOf(row.Kind, was)
	next, err := parseView(row.Kind, s.Data, view)
	if err != nil {
		return Saved{}, err
	}
	edits, err := t.editView(row.Kind, row.ID, was, t.s.resolveRefs(t, row.Parent, next, view), obj.Texts)
	if err != nil {
		return Saved{}, err
	}
	if len(edits) == 0 {
		return t.saveNothing(ino, row, s.Data, base, stale)
	}
	edits = append(edits, keepAlive(row.ID, was)...)
	return t.saveEdits(d, ino, row, s.Data, base, stale, next, edits)
}

// structureAt returns the object's structure at a version of its document.
func (t *txn) structureAt(d *document, row *nodeRow, base doc.Heads, stale bool) (*doc.Value, error) {
	if !stale {
		return getValue(t, t.s.id, row.ID)
	}
	value, err := t.s.repo.engine.Read(t.ctx, t.source(d), base)
	if err != nil {
		return nil, fmt.Errorf("read the version this save is based on: %w", err)
	}
	structure := value.At(keyObjects, row.ID.String())
	if structure == nil {
		return nil, errors.New("the version this save is based on does not have the object")
	}
	return structure, nil
}

// saveNothing ends a save that changed no data.
func (t *txn) saveNothing(ino Ino, row *nodeRow, data []byte, base doc.Heads, stale bool) (Saved, error) {
	if stale {
		t.written(ino, row) // others changed the object: their text stands
	} else {
		t.keepLayout(ino, row, data)
	}
	return Saved{Wrote: Version{base}}, nil
}

// saveEdits makes the mutation. The file shows its author's layout; where the
// merged object says something else than its author, others' values are put
// into that layout.
func (t *txn) saveEdits(d *document, ino Ino, row *nodeRow, data []byte, base doc.Heads, stale bool, next *doc.Value, edits []doc.Edit) (Saved, error) {
	t.dropDraft(ino, row)
	t.putNode(ino, row)
	layout := func(after *doc.Value) []byte {
		if shows(row.Kind, t.s.resolveRefs(t, row.Parent, next, after), t.s.resolveRefs(t, row.Parent, after, nil)) {
			return data // with the paths its author wrote
		}
		return renderView(row.Kind, data, next, after, nil)
	}
	if !stale {
		base = nil
	}
	res, err := t.edit(d, base, edits, texts{row.ID: layout})
	if err != nil {
		return Saved{}, asInvalid(err)
	}
	if res.Change.Hash.IsZero() {
		return t.saveNothing(ino, row, data, d.row.Heads, stale)
	}
	return Saved{Wrote: Version{doc.Heads{res.Change.Hash}}, Changed: true}, nil
}

// asInvalid turns a failure of the CRDT core on this content into a refusal of
// the content, which is then kept as a draft.
func asInvalid(err error) error {
	if errors.Is(err, ErrEngine) {
		return &InvalidError{Reason: "could not be merged: " + err.Error()}
	}
	return err
}

// consume removes the file that a rename moved over another.
func (t *txn) consume(ino Ino) error {
	row, err := getNode(t, ino)
	if err != nil {
		return err
	}
	switch {
	case row.Kind.IsDir():
		return ErrIsDir
	case row.Kind.IsLocal():
		t.unlink(ino, row)
		t.delete(key(tableNode, ino))
		return nil
	case row.Stage != Settled:
		t.dropObject(ino, row)
		return nil
	}
	if others, err := t.hasBeside(row); err != nil || others || !row.Of.IsZero() {
		return errors.Join(err, t.removeVersion(row))
	}
	t.dropDraft(ino, row)
	t.putNode(ino, row)
	return t.setDeleted(row.ID, true)
}

// editObject edits the current version of an object.
func (t *txn) editObject(id doc.ObjectID, edits ...doc.Edit) (doc.Result, error) {
	obj, err := getObject(t, t.s.id, id)
	if err != nil {
		return doc.Result{}, err
	}
	d, err := t.document(obj.Doc)
	if err != nil {
		return doc.Result{}, err
	}
	return t.edit(d, nil, edits, nil)
}
