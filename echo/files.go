package echo

import (
	"context"
	"fmt"
	"path"
	"time"

	"github.com/oklog/ulid/v2"

	"echofs/echo/doc"
	"echofs/echo/names"
)

// newObjectID returns a fresh ULID.
func (r *Repo) newObjectID() doc.ObjectID {
	return doc.ObjectID(ulid.MustNew(ulid.Timestamp(r.now()), ulid.DefaultEntropy()))
}

// directory returns the space of a directory, for something to be made in it.
func (r *Repo) directory(parent Ino) (*Space, error) {
	if parent == RootIno {
		return nil, fmt.Errorf("files lie in spaces: %w", ErrReserved)
	}
	row, err := getNode(r.store, parent)
	if err != nil {
		return nil, err
	}
	if !row.Kind.IsDir() {
		return nil, ErrNotDir
	}
	return r.spaceOf(row)
}

// isLocalPlace reports whether a name in a directory is one of this machine.
func isLocalPlace(dir *nodeRow, name string) bool {
	return dir.Kind == KindLocalDir || names.IsLocal(name)
}

// checkName fails where no node may get the name in the directory.
func (t *txn) checkName(parent Ino, dir *nodeRow, name string) error {
	if dir.Kind == KindSpace && isReserved(name) {
		return ErrReserved
	}
	if err := checkLabel(dir, name); err != nil {
		return err
	}
	if _, err := lookupName(t, parent, name); err == nil {
		return ErrExists
	} else if !isNotFound(err) {
		return err
	}
	return nil
}

// checkLabel fails where no node in the directory may have the name. Names that
// only this machine sees are whatever its programs like.
func checkLabel(dir *nodeRow, name string) error {
	if isLocalPlace(dir, name) {
		return nil
	}
	if _, err := names.Create(name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidName, err)
	}
	return nil
}

// kindOfName is the kind of a new file by its name alone.
func kindOfName(name string) Kind {
	if path.Ext(name) == ".json" {
		return KindObject
	}
	return KindText
}

// CreateFile makes a file. Its kind follows from name and place: KindLocal
// where names.IsLocal(name) or the parent is a KindLocalDir; else a Fresh
// KindObject (".json") or KindText. Where an object of that name was removed
// or renamed away to a local name within Options.RemoveGrace, that object is
// back instead, with a new Ino, an empty draft as its content, and its id and
// history. ErrExists, ErrReadOnly, ErrInvalidName, ErrReserved.
func (r *Repo) CreateFile(ctx context.Context, parent Ino, name string, mode uint32) (Node, error) {
	return r.createFile(ctx, parent, name, mode, false)
}

// CreateOpenFile is CreateFile for a file that its author holds open: a new
// object may be lost with this process until something else is stored, at the
// latest by Keep when the file is closed. So making a file with content is one
// commit that waits, not two.
func (r *Repo) CreateOpenFile(ctx context.Context, parent Ino, name string, mode uint32) (Node, error) {
	return r.createFile(ctx, parent, name, mode, true)
}

func (r *Repo) createFile(ctx context.Context, parent Ino, name string, mode uint32, loose bool) (Node, error) {
	return r.create(ctx, parent, name, func(t *txn, dir *nodeRow) (Ino, error) {
		if isLocalPlace(dir, name) {
			return t.makeLocal(parent, name, &nodeRow{Kind: KindLocal, Mode: mode})
		}
		if !t.s.mayWrite() {
			return 0, ErrReadOnly
		}
		ino, err := t.revive(parent, name)
		if err == nil {
			return ino, t.emptied(ino)
		}
		if !isNotFound(err) {
			return 0, err
		}
		t.loose = loose
		return t.makeObject(dir, name, &nodeRow{Kind: kindOfName(name), Stage: Fresh, Mode: mode})
	})
}

// Keep makes everything stored so far survive the death of this process.
func (r *Repo) Keep() error { return wrapf(r.store.Commit(&Batch{}, Kernel), "keep") }

// emptied makes a file that is back show that nothing was saved since; a blob
// shows what it was until something is.
func (t *txn) emptied(ino Ino) error {
	row, err := getNode(t, ino)
	if err != nil || row.Kind == KindBlob {
		return err
	}
	return t.emptyDraft(ino)
}

// Mkdir makes a KindFolder, or a KindLocalDir where the name or the parent is
// local; under RootIno it creates a space.
func (r *Repo) Mkdir(ctx context.Context, parent Ino, name string, mode uint32) (Node, error) {
	if parent == RootIno {
		s, err := r.CreateSpace(ctx, name)
		if err != nil {
			return Node{}, err
		}
		return r.Node(s.ino)
	}
	return r.create(ctx, parent, name, func(t *txn, dir *nodeRow) (Ino, error) {
		if err := t.checkNesting(parent); err != nil {
			return 0, err
		}
		if isLocalPlace(dir, name) {
			return t.makeLocal(parent, name, &nodeRow{Kind: KindLocalDir, Mode: mode})
		}
		if !t.s.mayWrite() {
			return 0, ErrReadOnly
		}
		row := &nodeRow{Kind: KindFolder, Stage: Nascent, Mode: mode, Type: TypeFolder}
		ino, err := t.makeObject(dir, name, row)
		if err != nil {
			return 0, err
		}
		t.setValue(row.ID, newStructure(shape{Type: TypeFolder, Data: doc.NewMap()}, t.now.UnixMilli()))
		t.settleLater(ino, row)
		return ino, nil
	})
}

// checkNesting fails with ErrTooDeep where a folder more would be too many.
func (t *txn) checkNesting(parent Ino) error {
	for depth := 0; parent != RootIno; depth++ {
		if depth >= maxNested {
			return ErrTooDeep
		}
		row, err := getNode(t, parent)
		if err != nil {
			return err
		}
		parent = row.Parent
	}
	return nil
}

// create runs make in the space of a directory and returns the new node.
func (r *Repo) create(ctx context.Context, parent Ino, name string, make func(*txn, *nodeRow) (Ino, error)) (Node, error) {
	s, err := r.directory(parent)
	if err != nil {
		return Node{}, fmt.Errorf("create %q: %w", name, err)
	}
	var ino Ino
	var row *nodeRow
	err = s.update(ctx, func(t *txn) error {
		dir, err := getNode(t, parent)
		if err != nil {
			return err
		}
		if err := t.checkName(parent, dir, name); err != nil {
			return err
		}
		if ino, err = make(t, dir); err != nil {
			return err
		}
		row, err = getNode(t, ino)
		return err
	})
	if err != nil {
		return Node{}, fmt.Errorf("create %q: %w", name, err)
	}
	return r.nodeOf(ino, row), nil
}

// makeLocal adds a node of this machine.
func (t *txn) makeLocal(parent Ino, name string, row *nodeRow) (Ino, error) {
	ino, err := t.s.repo.newIno()
	if err != nil {
		return 0, err
	}
	row.Space, row.Label = t.s.id, name
	row.ModTime = t.now.UnixNano()
	row.Changed = row.ModTime
	return ino, t.link(ino, row, parent, name)
}

// makeObject adds an object that this machine alone has so far, and brings row
// up to date.
func (t *txn) makeObject(dir *nodeRow, name string, row *nodeRow) (Ino, error) {
	ino, err := t.s.repo.newIno()
	if err != nil {
		return 0, err
	}
	return ino, t.makeObjectAs(ino, dir, name, row)
}

func (t *txn) makeObjectAs(ino Ino, dir *nodeRow, name string, row *nodeRow) error {
	label, err := names.Create(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidName, err)
	}
	row.Space, row.ID, row.Label = t.s.id, t.s.repo.newObjectID(), label
	row.ModTime = t.now.UnixNano()
	row.Changed = row.ModTime
	obj := &objectRow{Ino: ino, Kind: row.Kind, Type: row.Type, Label: label, Parent: dir.ID}
	t.putNode(ino, row)
	t.declare(row.ID, nil, obj)
	if err := t.place(row.ID, obj); err != nil {
		return err
	}
	placed, err := getNode(t, ino)
	if err != nil {
		return err
	}
	*row = *placed
	return nil
}

// declare stores an object's row and the index of declared parents.
func (t *txn) declare(id doc.ObjectID, old, obj *objectRow) {
	if old != nil && old.Parent != obj.Parent {
		t.delete(key(tableChild, t.s.id, old.Parent, id))
	}
	if old != nil && old.Logged > 0 && (old.Parent != obj.Parent || obj.Deleted && obj.Parent.IsZero()) {
		t.put(key(tableOnce, t.s.id, old.Parent, id), nil)
	}
	if !obj.Parent.IsZero() {
		t.put(key(tableChild, t.s.id, obj.Parent, id), nil)
	}
	t.indexType(id, old, obj)
	t.putObject(id, obj)
}

func (t *txn) setValue(id doc.ObjectID, v *doc.Value) {
	t.put(key(tableValue, t.s.id, id), doc.EncodeValue(v))
}

// SetAttr changes what is kept of a node on this machine only.
func (r *Repo) SetAttr(ctx context.Context, ino Ino, c AttrChange) (Node, error) {
	if ino == RootIno {
		return r.root(), nil
	}
	err := r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error {
		row.apply(c, t)
		t.putNode(ino, row)
		t.event(Event{What: Data, Ino: ino, Kind: row.Kind})
		return nil
	})
	if err != nil {
		return Node{}, fmt.Errorf("set attributes: %w", err)
	}
	return r.Node(ino)
}

func (n *nodeRow) apply(c AttrChange, t *txn) {
	n.Changed = t.now.UnixNano()
	if c.Mode != nil {
		n.Mode = *c.Mode
	}
	if c.ModTime != nil {
		n.ModTime = c.ModTime.UnixNano()
		if n.HasDraft {
			n.DraftAt = n.ModTime
		}
	}
	if c.Size != nil && n.Kind.IsLocal() {
		n.Size = *c.Size
	}
}

// dropObject removes every trace of an object that only this machine has.
func (t *txn) dropObject(ino Ino, row *nodeRow) {
	t.unlink(ino, row)
	t.dropDraft(ino, row)
	t.delete(key(tableNode, ino))
	if obj, err := getObject(t, t.s.id, row.ID); err == nil {
		t.delete(key(tableChild, t.s.id, obj.Parent, row.ID))
		t.delete(key(tableDisplaced, t.s.id, row.ID))
		t.delete(key(tableObject, t.s.id, row.ID))
	}
	t.delete(key(tableValue, t.s.id, row.ID))
	t.delete(key(tableText, t.s.id, row.ID))
	t.dropVersions(row.ID)
}

// AttrChange is a change of what is kept of a node on this machine only; nil
// members stay.
type AttrChange struct {
	Mode    *uint32
	ModTime *time.Time
	Size    *int64 // local files only
}
