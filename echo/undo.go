package echo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/echo/model"
)

// ErrNothingToUndo is wrapped where this identity made no change of an object
// that could be taken back.
var ErrNothingToUndo = errors.New("nothing to undo")

// Restore makes an old content of an object the current one, as a new save; at
// names it as for Show. Name and place stay.
func (r *Repo) Restore(ctx context.Context, ino Ino, at string) (Saved, error) {
	row, s, err := r.objectNode(ino)
	if err != nil {
		return Saved{}, fmt.Errorf("restore: %w", err)
	}
	if !row.Kind.IsFile() {
		return Saved{}, fmt.Errorf("restore %q: %w", row.Name, ErrIsDir)
	}
	if err := r.Settle(ctx, ino); err != nil {
		return Saved{}, fmt.Errorf("restore %q: %w", row.Name, err)
	}
	then, err := r.structureOf(ctx, s, row, at)
	if err != nil {
		return Saved{}, fmt.Errorf("restore %q: %w", row.Name, err)
	}
	if row.Kind == KindBlob { // its content must be here, or nobody might have it
		if _, err := r.OpenBlob(ctx, s.id, blobVersion(then)); err != nil {
			return Saved{}, fmt.Errorf("restore %q: %w", row.Name, err)
		}
		defer r.HoldBlob(s.id, blobVersion(then).Root)()
	}
	var out Saved
	err = r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error {
		obj, d, now, err := t.editable(row)
		if err != nil {
			return err
		}
		if kind := readShape(then).Kind; kind != row.Kind {
			return fmt.Errorf("it was of kind %s: %w", kind, ErrBadRevision)
		}
		var edits []doc.Edit
		if row.Kind == KindBlob {
			edits = restoreBlob(row.ID, now, then)
		} else if edits, err = t.contentEdits(row, obj, now, then); err != nil {
			return err
		}
		out, err = t.change(d, ino, row, nil, edits, now)
		return err
	})
	if err != nil {
		return Saved{}, fmt.Errorf("restore %q: %w", row.Name, err)
	}
	out.Node, err = r.Node(ino)
	return out, err
}

// editable returns what is needed to change an object that has a document.
func (t *txn) editable(row *nodeRow) (*objectRow, *document, *doc.Value, error) {
	if !t.s.mayWrite() {
		return nil, nil, nil, ErrReadOnly
	}
	if row.Stage != Settled || row.Name == "" || !row.Of.IsZero() {
		return nil, nil, nil, fmt.Errorf("not in the tree, never saved, or a version beside its object: %w", ErrNotFound)
	}
	obj, err := getObject(t, t.s.id, row.ID)
	if err != nil {
		return nil, nil, nil, err
	}
	d, err := t.document(obj.Doc)
	if err != nil {
		return nil, nil, nil, err
	}
	now, err := getValue(t, t.s.id, row.ID)
	return obj, d, now, err
}

// contentEdits returns the edits that give an object the content it has in
// another structure.
func (t *txn) contentEdits(row *nodeRow, obj *objectRow, from, to *doc.Value) ([]doc.Edit, error) {
	if row.Kind == KindBlob {
		return undoBlob(row.ID, from, to), nil
	}
	view := viewOf(row.Kind, to)
	next, err := parseView(row.Kind, renderView(row.Kind, nil, nil, view, nil), view)
	if err != nil {
		return nil, err
	}
	return t.editView(row.Kind, row.ID, from, next, obj.Texts)
}

// change makes a change that no file was written for; it ends a draft.
func (t *txn) change(d *document, ino Ino, row *nodeRow, base doc.Heads, edits []doc.Edit, now *doc.Value) (Saved, error) {
	t.dropDraft(ino, row)
	row.Changed = t.now.UnixNano()
	t.putNode(ino, row)
	if len(edits) == 0 {
		return Saved{Wrote: Version{d.row.Heads}}, nil
	}
	if base == nil {
		edits = append(edits, keepAlive(row.ID, now)...)
	}
	res, err := t.edit(d, base, edits, nil)
	if err != nil {
		return Saved{}, err
	}
	if res.Change.Hash.IsZero() {
		return Saved{Wrote: Version{d.row.Heads}}, nil
	}
	return Saved{Wrote: Version{doc.Heads{res.Change.Hash}}, Changed: true}, nil
}

// UndoLast takes back the newest change of an object by this identity: its
// content, name and place where that changed them, and nothing else. What was
// changed since at the same place stays. Undoing twice does it again.
// ErrNothingToUndo.
func (r *Repo) UndoLast(ctx context.Context, ino Ino) (Saved, error) {
	row, s, err := r.objectNode(ino)
	if err != nil {
		return Saved{}, fmt.Errorf("undo: %w", err)
	}
	if row.Stage != Settled {
		return Saved{}, fmt.Errorf("undo %q: %w", row.Name, ErrNothingToUndo)
	}
	last, err := s.lastOwnChange(row.ID)
	if err != nil {
		return Saved{}, fmt.Errorf("undo %q: %w", row.Name, err)
	}
	var out Saved
	err = r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error {
		var err error
		out, err = t.undoChange(ino, row, last)
		return err
	})
	if err != nil {
		return Saved{}, fmt.Errorf("undo %q: %w", row.Name, err)
	}
	out.Node, err = r.Node(ino)
	return out, err
}

// lastOwnChange returns the newest change of an object by this identity.
func (s *Space) lastOwnChange(id doc.ObjectID) (doc.ChangeHash, error) {
	revs, err := s.revisions(id)
	if err != nil {
		return doc.ChangeHash{}, err
	}
	for _, v := range slices.Backward(revs) {
		if v.Identity == s.repo.me.id && !v.Change.IsZero() && v.Summary != summaryDeleted {
			return v.Change, nil
		}
	}
	return doc.ChangeHash{}, ErrNothingToUndo
}

func (t *txn) undoChange(ino Ino, row *nodeRow, change doc.ChangeHash) (Saved, error) {
	obj, d, now, err := t.editable(row)
	if err != nil {
		return Saved{}, err
	}
	deps, err := t.depsOf(d, change)
	if err != nil {
		return Saved{}, err
	}
	if len(deps) == 0 {
		return Saved{}, fmt.Errorf("it was made by the change: %w", ErrNothingToUndo)
	}
	after, err := t.structureAt(d, row, doc.Heads{change}, true)
	if err != nil {
		return Saved{}, err
	}
	before, err := t.structureAt(d, row, deps, true)
	if err != nil {
		return Saved{}, fmt.Errorf("%w: %w", ErrNothingToUndo, err)
	}
	edits := t.placeEdits(row.ID, before, after, now)
	if row.Kind.IsFile() && readShape(before).Kind == row.Kind && readShape(after).Kind == row.Kind {
		content, err := t.contentEdits(row, obj, after, before)
		if err != nil {
			return Saved{}, err
		}
		edits = append(edits, slices.DeleteFunc(content, func(e doc.Edit) bool { return overtaken(e, row.ID, after, now) })...)
	}
	base := doc.Heads{change}
	if base.Equal(d.row.Heads) {
		base = nil
	}
	return t.change(d, ino, row, base, edits, now)
}

// depsOf returns the version that a change was made on.
func (t *txn) depsOf(d *document, change doc.ChangeHash) (doc.Heads, error) {
	changes, err := t.s.repo.engine.Changes(t.ctx, t.source(d))
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if c.Hash == change {
			info, err := guard.Check(c.Bytes, guard.Rules{})
			if err != nil {
				return nil, err
			}
			return doc.NewHeads(info.Deps...), nil
		}
	}
	return nil, ErrNothingToUndo
}

// placeEdits takes back a renaming or a move, if nobody did another since.
func (t *txn) placeEdits(id doc.ObjectID, before, after, now *doc.Value) (edits []doc.Edit) {
	was, then, is := readShape(before), readShape(after), readShape(now)
	if was.Label != then.Label && then.Label == is.Label && was.Label != "" {
		edits = append(edits, doc.Edit{Op: doc.Put, Path: at(id, keyMeta, keyOwn, keyName), Value: doc.NewString(was.Label)})
	}
	if was.Parent == then.Parent || then.Parent != is.Parent {
		return edits
	}
	path := at(id, keySystem, keyParent)
	if was.Parent.IsZero() {
		return append(edits, doc.Edit{Op: doc.Delete, Path: path})
	}
	return append(edits, doc.Edit{Op: doc.Put, Path: path, Value: newRef(was.Parent)})
}

// overtaken reports whether the value that an edit would replace was replaced
// by somebody since.
func overtaken(e doc.Edit, id doc.ObjectID, after, now *doc.Value) bool {
	if e.Op != doc.Put && e.Op != doc.Delete {
		return false // splices and insertions merge
	}
	for _, s := range e.Path[len(at(id)):] {
		if s.IsIndex {
			return false // an element is addressed in the version it is of
		}
		after, now = after.Get(s.Key), now.Get(s.Key)
	}
	return !model.Same(after, now)
}
