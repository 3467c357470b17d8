package echo

import (
	"context"
	"errors"
	"fmt"

	"echofs/echo/doc"
	"echofs/echo/names"
)

// Move renames a node, which keeps its kind. Objects go to names that are not
// local (names.IsLocal is false and the parent is no KindLocalDir), local nodes
// to names that are local or into a KindLocalDir; a KindLocal file also to any
// other name, where it stays what it is (see Attach). An existing local file (or
// empty directory of the same sort) at the new place is replaced if replace is
// set, and its number returned so that its content can be dropped; anything
// else there is ErrExists. ErrCrossSpace, ErrLoop, ErrReadOnly, ErrNotEmpty,
// and ErrInvalidName where the name is not one for this kind of node.
func (r *Repo) Move(ctx context.Context, ino, parent Ino, name string, replace bool) (Node, Ino, error) {
	var replaced Ino
	err := r.rename(ctx, ino, parent, name, func(t *txn, row, dir *nodeRow) error {
		var err error
		if replaced, err = t.makeRoom(row, parent, name, replace); err != nil {
			return err
		}
		if fits := row.Kind == KindLocal || row.Kind.IsLocal() == isLocalPlace(dir, name); !fits {
			return fmt.Errorf("%w: %q is no name for a file of kind %s", ErrInvalidName, name, row.Kind)
		}
		if row.Kind.IsDir() {
			if err := t.checkLoop(ino, parent); err != nil {
				return err
			}
		}
		switch {
		case row.Kind.IsLocal():
			row.Label, row.Changed = name, t.now.UnixNano()
			return t.link(ino, row, parent, name)
		case !row.Of.IsZero():
			return t.splitOff(ino, row, dir, name, row.blobVersion())
		}
		return t.moveObject(ino, row, dir, name)
	})
	if err != nil {
		return Node{}, 0, err
	}
	n, err := r.Node(ino)
	return n, replaced, err
}

// rename runs fn on a node and the directory it is to go to.
func (r *Repo) rename(ctx context.Context, ino, parent Ino, name string, fn func(t *txn, row, dir *nodeRow) error) error {
	target, err := r.directory(parent)
	if err != nil {
		return fmt.Errorf("rename to %q: %w", name, err)
	}
	err = r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error {
		if t.s != target {
			return ErrCrossSpace
		}
		dir, err := getNode(t, parent)
		if err != nil {
			return err
		}
		if row.Kind == KindSpace || dir.Kind == KindSpace && isReserved(name) {
			return ErrReserved
		}
		if err := checkLabel(dir, name); err != nil {
			return err
		}
		return fn(t, row, dir)
	})
	return wrapf(err, "rename to %q", name)
}

// makeRoom removes what may be replaced at a name.
func (t *txn) makeRoom(row *nodeRow, parent Ino, name string, replace bool) (Ino, error) {
	there, err := lookupName(t, parent, name)
	if isNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	old, err := getNode(t, there)
	if err != nil {
		return 0, err
	}
	if !replace {
		return 0, ErrExists
	}
	if old.Kind.IsDir() {
		if !row.Kind.IsDir() {
			return 0, ErrIsDir
		}
		if old.Kind != row.Kind {
			return 0, ErrExists
		}
		return there, t.removeDir(there, old)
	}
	if row.Kind.IsDir() {
		return 0, ErrNotDir
	}
	if row.Kind == KindLink || old.Kind == KindLink {
		return t.replaceLink(old, there)
	}
	if !old.Kind.IsLocal() {
		return 0, ErrExists // that is a save: see Save.Consume
	}
	t.unlink(there, old)
	t.delete(key(tableNode, there))
	return there, nil
}

// checkLoop fails where a directory would come to lie in itself.
func (t *txn) checkLoop(ino, parent Ino) error {
	for depth := 0; parent != RootIno; depth++ {
		if parent == ino || depth > maxDepth {
			return ErrLoop
		}
		row, err := getNode(t, parent)
		if err != nil {
			return err
		}
		parent = row.Parent
	}
	return nil
}

// moveObject renames an object: one mutation, or none while it has no
// document.
func (t *txn) moveObject(ino Ino, row, dir *nodeRow, name string) error {
	if !t.s.mayWrite() {
		return ErrReadOnly
	}
	label, err := names.Create(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidName, err)
	}
	if err := t.promoteFolder(dir); err != nil {
		return err
	}
	obj, err := getObject(t, t.s.id, row.ID)
	if err != nil {
		return err
	}
	if row.Stage == Settled {
		return t.moveSettled(row.ID, obj, dir.ID, label)
	}
	old := *obj
	obj.Parent, obj.Label, obj.Foreign = dir.ID, label, false
	row.Label, row.Changed = label, t.now.UnixNano()
	t.putNode(ino, row)
	t.declare(row.ID, &old, obj)
	if row.Stage == Nascent {
		t.settleLater(ino, row)
	}
	return t.place(row.ID, obj)
}

// promoteFolder makes a folder that is new settle where an object that has
// settled moves into it, so that nobody sees the object without its folder.
func (t *txn) promoteFolder(dir *nodeRow) error {
	if dir.Kind != KindFolder || dir.Stage == Settled {
		return nil
	}
	obj, err := getObject(t, t.s.id, dir.ID)
	if err != nil {
		return err
	}
	return t.promote(obj.Ino)
}

func (t *txn) moveSettled(id doc.ObjectID, obj *objectRow, parent doc.ObjectID, label string) error {
	var edits []doc.Edit
	if obj.Label != label {
		edits = append(edits, t.labelEdits(id, label)...)
	}
	switch {
	case obj.Parent == parent:
	case parent.IsZero():
		edits = append(edits, doc.Edit{Op: doc.Delete, Path: at(id, keySystem, keyParent)})
	default:
		edits = append(edits, doc.Edit{Op: doc.Put, Path: at(id, keySystem, keyParent), Value: newRef(parent)})
	}
	if len(edits) == 0 {
		return nil
	}
	structure, err := getValue(t, t.s.id, id)
	if err != nil {
		return err
	}
	_, err = t.editObject(id, append(edits, keepAlive(id, structure)...)...)
	return err
}

// labelEdits sets the name of an object, in an object from elsewhere too.
func (t *txn) labelEdits(id doc.ObjectID, label string) []doc.Edit {
	structure, err := getValue(t, t.s.id, id)
	if err != nil {
		t.fail(err)
		return nil
	}
	name := doc.NewString(label)
	own := doc.NewMap(doc.Field{Key: keyName, Value: name})
	switch meta := structure.Get(keyMeta); {
	case meta == nil || meta.Kind != doc.Map:
		return []doc.Edit{{Op: doc.Put, Path: at(id, keyMeta), Value: doc.NewMap(doc.Field{Key: keyOwn, Value: own})}}
	case meta.Get(keyOwn) == nil || meta.Get(keyOwn).Kind != doc.Map:
		return []doc.Edit{{Op: doc.Put, Path: at(id, keyMeta, keyOwn), Value: own}}
	}
	return []doc.Edit{{Op: doc.Put, Path: at(id, keyMeta, keyOwn, keyName), Value: name}}
}

// Remove unlinks a file or symbolic link. An object stays in the background
// for Options.RemoveGrace before it is marked deleted.
func (r *Repo) Remove(ctx context.Context, ino Ino) error {
	err := r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error {
		switch {
		case row.Kind.IsDir():
			return ErrIsDir
		case row.Kind.IsLocal():
			t.unlink(ino, row)
			t.delete(key(tableNode, ino))
			return nil
		case !t.s.mayWrite():
			return ErrReadOnly
		case row.Name == "":
			return ErrNotFound
		case row.Stage == Fresh:
			t.dropObject(ino, row)
			return nil
		}
		if others, err := t.hasBeside(row); err != nil || others || !row.Of.IsZero() {
			return errors.Join(err, t.removeVersion(row))
		}
		t.dropDraft(ino, row)
		t.hide(ino, row)
		return nil
	})
	return wrapf(err, "remove")
}

// hide takes an object out of the tree until it is marked deleted, or back.
func (t *txn) hide(ino Ino, row *nodeRow) {
	parent, name := row.Parent, row.Name
	t.unlink(ino, row)
	row.Hidden, row.Seen, row.Gone = true, row.Heads, name
	row.Parent = parent
	t.putNode(ino, row)
	t.put(key(tableHidden, parent, name), key(0, ino)[1:])
	t.removeLater(ino)
}

// revive brings the object back that was just removed or renamed away from a
// name, under a new inode number: programs may still hold the old file open.
func (t *txn) revive(parent Ino, name string) (Ino, error) {
	mark := key(tableHidden, parent, name)
	b, err := t.Get(mark)
	if err != nil {
		return 0, err
	}
	t.delete(mark)
	old := keyIno(b, 0)
	row, err := getNode(t, old)
	if err != nil || !row.Hidden || !row.Kind.IsFile() {
		return 0, ErrNotFound
	}
	if !t.belongs(row.ID, parent, name) {
		return 0, ErrNotFound
	}
	return t.revealAs(old, row)
}

// belongs reports whether an object would be shown under a name, or was until
// another got it: somebody may have moved it while it was hidden here.
func (t *txn) belongs(id doc.ObjectID, parent Ino, name string) bool {
	obj, err := getObject(t, t.s.id, id)
	if err != nil || obj.Deleted {
		return false
	}
	folder, _, err := t.folderOf(id, obj)
	plain := names.Component(obj.Label, id.String(), obj.Foreign)
	return err == nil && folder == parent && plain == name
}

// revealAs shows a hidden object again, under a new inode number.
func (t *txn) revealAs(old Ino, row *nodeRow) (Ino, error) {
	obj, err := getObject(t, t.s.id, row.ID)
	if err != nil {
		return 0, err
	}
	ino, err := t.s.repo.newIno()
	if err != nil {
		return 0, err
	}
	t.delete(key(tableNode, old))
	t.waitsNoMore(old)
	row.Hidden, row.Seen, row.Gone = false, nil, ""
	obj.Ino = ino
	t.putNode(ino, row)
	t.putObject(row.ID, obj)
	if row.Stage == Nascent {
		t.settleLater(ino, row)
	}
	if err := t.place(row.ID, obj); err != nil || row.Kind != KindFolder {
		return ino, err
	}
	return ino, t.replaceChildren(row.ID)
}

// RemoveDir removes an empty folder or local directory.
func (r *Repo) RemoveDir(ctx context.Context, ino Ino) error {
	err := r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error { return t.removeDir(ino, row) })
	return wrapf(err, "remove folder")
}

func (t *txn) removeDir(ino Ino, row *nodeRow) error {
	if !row.Kind.IsDir() {
		return ErrNotDir
	}
	if row.Kind == KindSpace || row.Kind == KindRoot {
		return ErrReserved
	}
	empty := true
	err := scanPrefix(t, key(tableList, ino), func(_, _ []byte) bool {
		empty = false
		return false
	})
	if err != nil {
		return err
	}
	if !empty {
		return ErrNotEmpty
	}
	if row.Kind == KindLocalDir {
		t.unlink(ino, row)
		t.delete(key(tableNode, ino))
		return nil
	}
	if !t.s.mayWrite() {
		return ErrReadOnly
	}
	wait, err := t.hasHidden(row.ID)
	switch {
	case err != nil:
		return err
	case wait:
		return t.hideFolder(ino, row)
	case row.Stage != Settled:
		t.dropObject(ino, row)
		return nil
	}
	return t.setDeleted(row.ID, true)
}

// Detach renames an object's file to a local name: what editors do to keep a
// backup. The local file gets the object's Ino and Origin; its content is for
// the caller to store, before the call. The object is out of the tree and
// removed after Options.RemoveGrace, unless CreateFile or Attach bring it back
// to its name. A local file at the new name is replaced, and returned.
func (r *Repo) Detach(ctx context.Context, ino, parent Ino, name string) (Node, Ino, error) {
	var replaced Ino
	err := r.rename(ctx, ino, parent, name, func(t *txn, row, dir *nodeRow) error {
		if !row.Kind.IsFile() || !isLocalPlace(dir, name) {
			return fmt.Errorf("%w: %q is no name for a backup of an object", ErrInvalidName, name)
		}
		if others, err := t.hasBeside(row); err != nil || others || !row.Of.IsZero() {
			return errors.Join(err, ErrCrossSpace) // one version of several: it is to be copied
		}
		if !t.s.mayWrite() {
			return ErrReadOnly
		}
		var err error
		if replaced, err = t.makeRoom(row, parent, name, true); err != nil {
			return err
		}
		local := &nodeRow{Kind: KindLocal, Space: t.s.id, Label: name, Mode: row.Mode, Size: row.Size,
			ModTime: row.ModTime, Changed: t.now.UnixNano(), Origin: row.ID}
		if row.HasDraft {
			local.Size = row.DraftLen
		}
		if err := t.setAside(ino, row); err != nil {
			return err
		}
		return t.link(ino, local, parent, name)
	})
	if err != nil {
		return Node{}, 0, err
	}
	n, err := r.Node(ino)
	return n, replaced, err
}

// setAside hides an object whose inode number goes to a local file.
func (t *txn) setAside(ino Ino, row *nodeRow) error {
	if row.Stage == Fresh {
		t.dropObject(ino, row)
		return nil
	}
	t.dropDraft(ino, row)
	obj, err := getObject(t, t.s.id, row.ID)
	if err != nil {
		return err
	}
	parent, name := row.Parent, row.Name
	t.unlink(ino, row)
	t.delete(key(tableNode, ino))
	if obj.Ino, err = t.s.repo.newIno(); err != nil {
		return err
	}
	row.Hidden, row.Seen, row.Gone = true, row.Heads, name
	t.putNode(obj.Ino, row)
	t.putObject(row.ID, obj)
	t.put(key(tableHidden, parent, name), key(0, obj.Ino)[1:])
	t.due(obj.Ino, duePurge, t.s.repo.opts.RemoveGrace)
	return nil
}

// Attach renames a local file to an object's name where no file is (for a name
// that is taken, see Save.Consume); a symbolic link there is replaced. The object that was just removed from or
// renamed away from there is back with this content; so is, wherever it was,
// the Origin of the local file; otherwise the file becomes a new object and
// keeps its Ino. *InvalidError leaves everything as it was.
func (r *Repo) Attach(ctx context.Context, ino, parent Ino, name string, s Save) (Saved, error) {
	var out Saved
	var at Ino
	err := r.rename(ctx, ino, parent, name, func(t *txn, row, dir *nodeRow) error {
		err := t.mayAttach(row, dir, parent, name)
		if err != nil {
			return err
		}
		at, err = t.attach(ino, row, dir, parent, name, func(ino Ino, row *nodeRow) error {
			var err error
			out, err = t.save(ino, row, s)
			return err
		})
		return err
	})
	if err != nil {
		return Saved{}, err
	}
	out.Node, err = r.Node(at)
	return out, err
}

// AttachBlob is Attach for content that is no text; its chunks are stored, and
// it becomes a blob. s.Ino is not looked at.
func (r *Repo) AttachBlob(ctx context.Context, ino, parent Ino, name string, s BlobSave) (Saved, error) {
	space, err := r.directory(parent)
	if err != nil {
		return Saved{}, fmt.Errorf("rename to %q: %w", name, err)
	}
	var out Saved
	err = r.storeBlob(ctx, space, s, func(v BlobVersion) (Node, error) {
		var at Ino
		err := r.rename(ctx, ino, parent, name, func(t *txn, row, dir *nodeRow) error {
			err := t.mayAttach(row, dir, parent, name)
			if err == nil {
				at, err = t.attach(ino, row, dir, parent, name, func(ino Ino, row *nodeRow) error {
					row.Base = s.Rule
					return t.putBlob(ino, row, row.Root, s.Seen, v)
				})
			}
			return err
		})
		if err != nil {
			return Node{}, err
		}
		out.Changed = true
		out.Node, err = r.Node(at)
		return out.Node, err
	})
	out.Wrote = out.Node.Version
	return out, err
}

// mayAttach fails where a file is no local one that can become an object of that
// name.
func (t *txn) mayAttach(row, dir *nodeRow, parent Ino, name string) error {
	if row.Kind != KindLocal || isLocalPlace(dir, name) {
		return fmt.Errorf("%w: %q is no name for an object", ErrInvalidName, name)
	}
	if !t.s.mayWrite() {
		return ErrReadOnly
	}
	if there, err := lookupName(t, parent, name); err == nil {
		if old, err := getNode(t, there); err == nil && old.Kind == KindLink {
			if err := t.consume(there); err != nil {
				return err
			}
		}
	}
	return t.checkName(parent, dir, name)
}

// attach makes a local file an object, which save gives its content, and returns
// the object's number.
func (t *txn) attach(ino Ino, local, dir *nodeRow, parent Ino, name string, save func(Ino, *nodeRow) error) (Ino, error) {
	back, err := t.comeBack(local, parent, dir, name)
	if err != nil {
		return 0, err
	}
	t.unlink(ino, local)
	t.delete(key(tableNode, ino))
	if back != 0 {
		row, err := getNode(t, back)
		if err != nil {
			return 0, err
		}
		return back, save(back, row)
	}
	row := &nodeRow{Kind: kindOfName(name), Stage: Fresh, Mode: local.Mode}
	if err := t.makeObjectAs(ino, dir, name, row); err != nil {
		return 0, err
	}
	return ino, save(ino, row)
}

// comeBack finds the object that a local file is to be again: the one that was
// just removed from the name, or the one the local file once was. It returns 0
// where there is none.
func (t *txn) comeBack(local *nodeRow, parent Ino, dir *nodeRow, name string) (Ino, error) {
	ino, err := t.revive(parent, name)
	if err == nil || !isNotFound(err) || local.Origin.IsZero() {
		if isNotFound(err) {
			err = nil
		}
		return ino, err
	}
	obj, err := getObject(t, t.s.id, local.Origin)
	if err != nil || obj.Kind != kindOfName(name) && (obj.Kind != KindBlob || kindOfName(name) == KindObject) {
		return 0, nil // gone without a trace, or of another kind
	}
	switch {
	case obj.Deleted:
		if err := t.setDeleted(local.Origin, false); err != nil {
			return 0, err
		}
	case obj.Ino != 0:
		row, err := getNode(t, obj.Ino)
		if err != nil || !row.Hidden {
			return 0, err // it lives elsewhere: this is a copy
		}
		if _, err := t.revealAs(obj.Ino, row); err != nil {
			return 0, err
		}
	}
	if obj, err = getObject(t, t.s.id, local.Origin); err != nil {
		return 0, err
	}
	row, err := getNode(t, obj.Ino)
	if err != nil {
		return 0, err
	}
	return obj.Ino, t.moveObject(obj.Ino, row, dir, name)
}
