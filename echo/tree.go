package echo

import (
	"slices"
	"time"

	"echofs/echo/doc"
	"echofs/echo/names"
	"echofs/halo"
)

// The tree is an index over the objects of the spaces, plus the files of this
// machine. For replicated objects it is a function of what the documents say:
//
//  1. An object that is not deleted and has a kind is shown exactly once.
//  2. Its folder is the one its document names. Where that one is deleted, not
//     known or no folder, the next folder above; where the folders above form
//     a cycle, the object with the largest id of the cycle counts as lying in
//     the space's root.
//  3. Of the objects with one name in one folder, the one with the smallest id
//     has the plain name; the others carry six characters of their id.
//
// Files of this machine take part in rule 3 as if their id were smallest.

// maxDepth bounds the walk up through folders. A deeper chain is treated as
// a cycle would be.
const maxDepth = 512

// maxNested bounds the folders in each other that are made here, so that there is
// no chain at which maxDepth shows.
const maxNested = 500

func getNode(r reader, ino Ino) (*nodeRow, error) {
	var row nodeRow
	ok, err := getRow(r, key(tableNode, ino), &row)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNotFound
	}
	return &row, nil
}

func getObject(r reader, space halo.SpaceID, id doc.ObjectID) (*objectRow, error) {
	var row objectRow
	ok, err := getRow(r, key(tableObject, space, id), &row)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNotFound
	}
	return &row, nil
}

func lookupName(r reader, parent Ino, name string) (Ino, error) {
	b, err := r.Get(key(tableName, parent, name))
	if isNotFound(err) {
		return 0, ErrNotFound // the store names the key, which is of no use to people
	}
	if err != nil {
		return 0, err
	}
	return keyIno(b, 0), nil
}

// folderOf returns the node under which an object is shown, and whether that
// is another place than its document names (rule 2).
func (t *txn) folderOf(id doc.ObjectID, obj *objectRow) (Ino, bool, error) {
	if obj.Parent.IsZero() {
		return t.s.ino, false, nil
	}
	chain, err := t.ancestors(obj)
	if err != nil {
		return 0, false, err
	}
	if top, ok := cycleTop(id, chain); ok && top == id {
		return t.s.ino, true, nil
	}
	for i, a := range chain {
		if a.row != nil && a.row.Ino != 0 && !a.row.Deleted && a.row.Kind == KindFolder && !t.isHidden(a.id) {
			return a.row.Ino, i > 0, nil
		}
		if top, ok := cycleTop(a.id, chain[i+1:]); ok && top == a.id {
			break // this one lies in the root
		}
	}
	return t.s.ino, true, nil
}

type ancestor struct {
	id  doc.ObjectID
	row *objectRow // nil: not known here
}

// ancestors returns the declared parents of an object, nearest first, until
// the root or the first repetition.
func (t *txn) ancestors(obj *objectRow) ([]ancestor, error) {
	var chain []ancestor
	seen := map[doc.ObjectID]bool{}
	for next := obj.Parent; !next.IsZero() && len(chain) < maxDepth; {
		row, err := getObject(t, t.s.id, next)
		if err != nil && !isNotFound(err) {
			return nil, err
		}
		chain = append(chain, ancestor{next, row})
		if row == nil || seen[next] {
			break
		}
		seen[next] = true
		next = row.Parent
	}
	return chain, nil
}

// cycleTop returns the largest id of the cycle that id is part of, if it is
// part of one: if it comes again in the chain of its ancestors.
func cycleTop(id doc.ObjectID, chain []ancestor) (doc.ObjectID, bool) {
	top := id
	for _, a := range chain {
		if a.id == id {
			return top, true
		}
		if a.id.Compare(top) > 0 {
			top = a.id
		}
	}
	return doc.ObjectID{}, false
}

// place puts an object where rules 1 to 3 want it. The rows of node and object
// are already those of the new state; row is nil where the object has no node.
func (t *txn) place(id doc.ObjectID, obj *objectRow) error {
	hidden := obj.Deleted || obj.Kind == 0
	if obj.Ino == 0 {
		return nil
	}
	row, err := getNode(t, obj.Ino)
	if err != nil {
		return err
	}
	if hidden {
		t.unlink(obj.Ino, row)
		t.delete(key(tableDisplaced, t.s.id, id))
		return t.placeBeside(id, obj, 0, "")
	}
	if row.Hidden { // removed here, and not yet marked deleted
		return nil
	}
	parent, displaced, err := t.folderOf(id, obj)
	if err != nil {
		return err
	}
	fresh := row.Parent == 0 // it was nowhere yet
	mark := key(tableDisplaced, t.s.id, id)
	if displaced {
		t.put(mark, nil)
		if err := t.noteDisplaced(id, parent); err != nil {
			return err
		}
	} else if !fresh {
		t.delete(mark)
	}
	plain := names.Component(obj.Label, id.String(), obj.Foreign)
	if parent == t.s.ino && isReserved(plain) {
		plain = names.Suffixed(plain, id6(id))
	}
	if err := t.link(obj.Ino, row, parent, plain); err != nil {
		return err
	}
	if fresh && obj.Kind != KindBlob {
		return nil // nothing is shown beside it
	}
	return t.placeBeside(id, obj, parent, plain)
}

// noteDisplaced notes for Past that an object is shown in a folder that its
// document does not name.
func (t *txn) noteDisplaced(id doc.ObjectID, parent Ino) error {
	var folder doc.ObjectID
	if parent != t.s.ino {
		row, err := getNode(t, parent)
		if err != nil {
			return err
		}
		folder = row.ID
	}
	t.put(key(tableOnce, t.s.id, folder, id), nil)
	return nil
}

// replaceChildren places again what depends on a folder that came, went or
// moved: its declared children, and all that is shown elsewhere than declared.
func (t *txn) replaceChildren(id doc.ObjectID) error {
	ids := map[doc.ObjectID]bool{}
	collect := func(prefix []byte) error {
		return scanPrefix(t, prefix, func(k, _ []byte) bool {
			var child doc.ObjectID
			copy(child[:], k[len(k)-len(child):])
			ids[child] = true
			return true
		})
	}
	if err := collect(key(tableChild, t.s.id, id)); err != nil {
		return err
	}
	if err := collect(key(tableDisplaced, t.s.id)); err != nil {
		return err
	}
	chain, err := t.cycleMembers(id)
	if err != nil {
		return err
	}
	for _, member := range chain {
		ids[member] = true
	}
	delete(ids, id)
	for child := range ids {
		obj, err := getObject(t, t.s.id, child)
		if isNotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		if err := t.place(child, obj); err != nil {
			return err
		}
	}
	return nil
}

// cycleMembers returns the objects of the cycle that id is part of, if any.
func (t *txn) cycleMembers(id doc.ObjectID) ([]doc.ObjectID, error) {
	obj, err := getObject(t, t.s.id, id)
	if err != nil {
		return nil, err
	}
	chain, err := t.ancestors(obj)
	if err != nil {
		return nil, err
	}
	if _, ok := cycleTop(id, chain); !ok {
		return nil, nil
	}
	var members []doc.ObjectID
	for _, a := range chain {
		members = append(members, a.id)
		if a.id == id {
			break
		}
	}
	return members, nil
}

// link shows a node under a parent by a plain name, wherever it was before.
func (t *txn) link(ino Ino, row *nodeRow, parent Ino, plain string) error {
	if row.Name != "" && row.Parent == parent && row.Plain == plain {
		return nil
	}
	t.unlink(ino, row)
	row.Parent, row.Plain = parent, plain
	_, err := lookupName(t, parent, plain)
	if err != nil && !isNotFound(err) {
		return err
	}
	t.put(key(tableList, parent, ino), nil)
	t.put(key(tableClaim, parent, plain, byte(0), row.ID, ino), nil)
	if err != nil {
		// Where nobody is shown by the name nobody claims it either: the first
		// who did would be.
		t.show(ino, row, plain)
		t.touchDir(parent)
		return nil
	}
	t.putNode(ino, row)
	return t.settleNames(parent, plain)
}

// show gives a node a name that nobody has in its directory.
func (t *txn) show(ino Ino, row *nodeRow, name string) {
	row.Name = name
	row.Changed = t.now.UnixNano()
	t.putNode(ino, row)
	t.put(key(tableName, row.Parent, name), key(0, ino)[1:])
	t.event(Event{What: Added, Ino: ino, Parent: row.Parent, Name: name, Kind: row.Kind})
	t.noteMoved(row, ino, row.Parent, "")
}

// unlink takes a node out of its directory. Its row stays, with an empty Name.
func (t *txn) unlink(ino Ino, row *nodeRow) {
	if row.Name == "" {
		return
	}
	t.delete(key(tableList, row.Parent, ino))
	t.delete(key(tableClaim, row.Parent, row.Plain, byte(0), row.ID, ino))
	t.delete(key(tableName, row.Parent, row.Name))
	t.event(Event{What: Removed, Ino: ino, Parent: row.Parent, Name: row.Name, Kind: row.Kind})
	t.noteMoved(row, ino, row.Parent, row.Name)
	parent, plain := row.Parent, row.Plain
	row.Name, row.Plain = "", ""
	t.putNode(ino, row)
	if err := t.settleNames(parent, plain); err != nil {
		t.fail(err)
	}
}

// settleNames gives the claimants of one plain name their shown names (rule 3).
func (t *txn) settleNames(parent Ino, plain string) error {
	claimants, err := t.claimants(parent, plain)
	if err != nil {
		return err
	}
	type renaming struct {
		ino  Ino
		row  *nodeRow
		name string
	}
	var todo []renaming
	for i, ino := range claimants {
		row, err := getNode(t, ino)
		if err != nil {
			return err
		}
		want := plain
		if i > 0 {
			want = names.Suffixed(plain, id6(row.ID))
		}
		if row.Name != want {
			todo = append(todo, renaming{ino, row, want})
		}
	}
	for _, r := range todo {
		if r.row.Name != "" {
			t.delete(key(tableName, parent, r.row.Name))
			t.event(Event{What: Removed, Ino: r.ino, Parent: parent, Name: r.row.Name, Kind: r.row.Kind})
			t.noteMoved(r.row, r.ino, parent, r.row.Name)
		}
	}
	for _, r := range todo {
		if taken, err := lookupName(t, parent, r.name); err == nil && taken != r.ino {
			r.name = names.Suffixed(plain, r.row.ID.String())
		}
		t.show(r.ino, r.row, r.name)
	}
	t.touchDir(parent)
	return nil
}

// claimants returns the nodes with one plain name in one directory, those of
// this machine first, then by id.
func (t *txn) claimants(parent Ino, plain string) ([]Ino, error) {
	var out []Ino
	err := scanPrefix(t, key(tableClaim, parent, plain, byte(0)), func(k, _ []byte) bool {
		out = append(out, keyIno(k, len(k)-8))
		return true
	})
	return out, err
}

// touchDir moves the times of a directory whose entries changed.
func (t *txn) touchDir(ino Ino) {
	if ino == RootIno || slices.Contains(t.touched, ino) {
		return
	}
	row, err := getNode(t, ino)
	if err != nil {
		return // the directory itself is going
	}
	t.touched = append(t.touched, ino)
	row.ModTime = t.now.UnixNano()
	row.Changed = row.ModTime
	t.putNode(ino, row)
	t.event(Event{What: Data, Ino: ino, Kind: row.Kind})
}

// isReserved reports whether a name under a space's root is the system's.
func isReserved(name string) bool { return name == ControlName }

// ControlName is the hidden directory which every space and the mount's root
// have; nobody can create, rename or remove it.
const ControlName = ".echofs"

func id6(id doc.ObjectID) string {
	s := id.String()
	return s[len(s)-6:]
}

func nanos(t time.Time) int64 { return t.UnixNano() }
