package echo

import (
	"context"
	"fmt"
)

// Exchange gives each of two nodes of a space the place and the name of the
// other, in one transaction. Both are of this machine, or both are objects; else
// ErrInvalidName, since a node keeps its kind. ErrCrossSpace, ErrLoop where one
// lies in the other, ErrReadOnly, ErrReserved.
func (r *Repo) Exchange(ctx context.Context, a, b Ino) error {
	if a == b {
		return nil
	}
	err := r.updateNode(ctx, a, func(t *txn, rowA *nodeRow) error {
		rowB, err := getNode(t, b)
		if err != nil {
			return err
		}
		if err := t.mayExchange(a, b, rowA, rowB); err != nil {
			return err
		}
		return t.exchange(a, b, rowA, rowB)
	})
	return wrapf(err, "exchange")
}

func (t *txn) mayExchange(a, b Ino, rowA, rowB *nodeRow) error {
	switch {
	case rowA.Kind == KindSpace || rowB.Kind == KindSpace || rowB.Kind == KindRoot:
		return ErrReserved
	case rowB.Space != t.s.id:
		return ErrCrossSpace
	case rowA.Name == "" || rowB.Name == "":
		return ErrNotFound
	case rowA.Kind.IsLocal() != rowB.Kind.IsLocal():
		return fmt.Errorf("%w: a file of this machine and an object are no pair", ErrInvalidName)
	case !rowA.Kind.IsLocal() && !t.s.mayWrite():
		return ErrReadOnly
	}
	if err := t.checkLoop(a, rowB.Parent); err != nil {
		return err
	}
	return t.checkLoop(b, rowA.Parent)
}

// exchange takes both out of the tree before it puts either in, so that neither
// is in the other's way.
func (t *txn) exchange(a, b Ino, rowA, rowB *nodeRow) error {
	parentA, nameA := rowA.Parent, rowA.Name
	parentB, nameB := rowB.Parent, rowB.Name
	t.unlink(a, rowA)
	t.unlink(b, rowB)
	if err := t.putAt(a, rowA, parentB, nameB); err != nil {
		return err
	}
	return t.putAt(b, rowB, parentA, nameA)
}

// putAt shows a node that is in no directory.
func (t *txn) putAt(ino Ino, row *nodeRow, parent Ino, name string) error {
	if row.Kind.IsLocal() {
		row.Label, row.Changed = name, t.now.UnixNano()
		return t.link(ino, row, parent, name)
	}
	dir, err := getNode(t, parent)
	if err != nil {
		return err
	}
	if err := t.moveObject(ino, row, dir, name); err != nil {
		return err
	}
	obj, err := getObject(t, t.s.id, row.ID)
	if err != nil {
		return err
	}
	return t.place(row.ID, obj) // where its document says nothing new
}
