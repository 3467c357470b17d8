package echo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"echofs/echo/doc"
)

// Trashed is an object that was deleted, or removed here and is about to be
// marked deleted.
type Trashed struct {
	ID      doc.ObjectID
	Path    string // within the space, where it was; folders above by the names they have or had
	Kind    Kind
	Type    string
	Deleted time.Time // as the author says
	By      string
	Device  string
	Waiting bool      // removed here, not yet told to others
	Until   time.Time // Waiting: when it is marked deleted
}

// Trash lists the deleted objects of the space, the last deleted first.
func (s *Space) Trash(ctx context.Context) ([]Trashed, error) {
	var out []Trashed
	prefix := key(tableObject, s.id)
	state := s.State()
	err := scanRows(s.repo.store, prefix, func(k []byte, row *objectRow) bool {
		if ctx.Err() != nil {
			return false
		}
		if !row.Deleted || row.Kind == 0 {
			return true
		}
		x := Trashed{ID: doc.ObjectID(k[len(prefix):]), Kind: row.Kind, Type: row.Type, Deleted: timeOf(row.When)}
		x.Path = s.formerPath(row)
		if rev, err := s.lastDelete(x.ID, row); err == nil {
			x.Deleted, x.By, x.Device = timeOf(rev.Time), s.nameOf(state, rev.Identity), s.deviceName(rev.Device)
		}
		out = append(out, x)
		return true
	})
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, fmt.Errorf("list trash: %w", err)
	}
	out = append(out, s.waitingTrash()...)
	slices.SortStableFunc(out, func(a, b Trashed) int { return b.Deleted.Compare(a.Deleted) })
	return out, nil
}

// waitingTrash lists what was removed here and is not marked deleted yet.
func (s *Space) waitingTrash() (out []Trashed) {
	me := s.nameOf(s.State(), s.repo.me.id)
	for _, d := range append(s.repo.dueThings(duePurge), s.repo.dueThings(dueHeld)...) {
		row, err := getNode(s.repo.store, d.ino)
		if err != nil || row.Space != s.id || !row.Hidden {
			continue
		}
		obj, err := getObject(s.repo.store, s.id, row.ID)
		if err != nil || obj.Deleted {
			continue
		}
		out = append(out, Trashed{ID: row.ID, Path: s.formerPath(obj), Kind: row.Kind, Type: row.Type,
			Deleted: time.Unix(0, row.Changed), By: me, Device: s.deviceName(s.repo.me.device),
			Waiting: true, Until: timeOf(int64(keyIno(d.key, 1)))})
	}
	return out
}

// formerPath is where an object lies or lay, by what the documents say.
func (s *Space) formerPath(obj *objectRow) string {
	parts := []string{obj.Label}
	for parent, depth := obj.Parent, 0; !parent.IsZero() && depth < maxDepth; depth++ {
		row, err := getObject(s.repo.store, s.id, parent)
		if err != nil {
			break
		}
		parts = append(parts, row.Label)
		parent = row.Parent
	}
	slices.Reverse(parts)
	return strings.Join(parts, "/")
}

// lastDelete returns the revision that deleted an object last.
func (s *Space) lastDelete(id doc.ObjectID, obj *objectRow) (*revisionRow, error) {
	for n := obj.Logged; n > 0; n-- {
		var row revisionRow
		if ok, err := getRow(s.repo.store, key(tableLog, s.id, id, n-1), &row); err != nil || !ok {
			return nil, orNotFound(ok, err)
		}
		if row.Summary == summaryDeleted {
			return &row, nil
		}
	}
	return nil, ErrNotFound
}

// RestoreDeleted brings a deleted object back, for everybody, or one that was
// removed here and waits. Where its folder is gone it appears in the next one
// above. ErrNotFound where the object is not in the trash.
func (r *Repo) RestoreDeleted(ctx context.Context, space SpaceID, id doc.ObjectID) (Node, error) {
	s, ok := r.SpaceByID(space)
	if !ok {
		return Node{}, fmt.Errorf("restore object %s: %w", id, ErrNotFound)
	}
	var ino Ino
	err := s.update(ctx, func(t *txn) (err error) {
		ino, err = t.undelete(id)
		return err
	})
	if err != nil {
		return Node{}, fmt.Errorf("restore object %s: %w", id, err)
	}
	return r.Node(ino)
}

func (t *txn) undelete(id doc.ObjectID) (Ino, error) {
	obj, err := getObject(t, t.s.id, id)
	switch {
	case err != nil:
		return 0, err
	case !t.s.mayWrite():
		return 0, ErrReadOnly
	case !obj.Deleted:
		return t.unhide(obj)
	}
	if err := t.setDeleted(id, false); err != nil {
		return 0, err
	}
	if obj, err = getObject(t, t.s.id, id); err != nil {
		return 0, err
	}
	if obj.Ino == 0 {
		return 0, ErrNotFound // somebody deleted it as well, in a way that is not undone
	}
	return obj.Ino, nil
}

// unhide brings back an object that was removed here and waits.
func (t *txn) unhide(obj *objectRow) (Ino, error) {
	if obj.Ino == 0 {
		return 0, ErrNotFound
	}
	row, err := getNode(t, obj.Ino)
	if err != nil {
		return 0, err
	}
	if !row.Hidden {
		return 0, fmt.Errorf("not deleted: %w", ErrNotFound)
	}
	t.dropMark(obj.Ino, row)
	return t.revealAs(obj.Ino, row)
}
