package echo

import (
	"echofs/echo/blob"
	"echofs/echo/doc"
	"echofs/echo/names"
)

// Of several versions of a blob that did not know of each other one has its name.
// The others have nodes beside it, whose rows name the object they are of and the
// root they show. To remove such a file takes the version out; to rename it or to
// write it makes it an object of its own, with the name it has then.

// maxBeside is how many versions of one blob are shown beside it.
const maxBeside = 15

// objectID returns the object that a node shows, or shows a version of.
func (n *nodeRow) objectID() doc.ObjectID {
	if !n.Of.IsZero() {
		return n.Of
	}
	return n.ID
}

func (n *nodeRow) blobVersion() BlobVersion { return BlobVersion{n.Root, n.Size, n.Rev} }

// besideID is the id under which a version takes part in what names need ids for.
func besideID(root blob.Address) (id doc.ObjectID) {
	copy(id[:], root[:])
	id[0] &= 0x7f // the first character of an id is at most 7
	return id
}

// placeBeside brings the nodes of an object's other versions up to date: one for
// each, in the object's folder, under its plain name with a suffix.
func (t *txn) placeBeside(id doc.ObjectID, obj *objectRow, parent Ino, plain string) error {
	have, err := t.besideNodes(id)
	if err != nil || len(have) == 0 && obj.Kind != KindBlob {
		return err
	}
	var want []BlobVersion
	if obj.Kind == KindBlob && parent != 0 {
		structure, err := getValue(t, t.s.id, id)
		if err != nil {
			return ignoreNotFound(err)
		}
		if all := blobVersions(structure); len(all) > 1 {
			want = all[1:min(len(all), 1+maxBeside)]
		}
	}
	for _, v := range want {
		ino, ok := have[v.Root]
		delete(have, v.Root)
		if err := t.showBeside(id, obj, v, ino, ok, parent, plain); err != nil {
			return err
		}
	}
	for root, ino := range have {
		if err := t.dropBeside(id, root, ino); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) besideNodes(id doc.ObjectID) (map[blob.Address]Ino, error) {
	out := map[blob.Address]Ino{}
	prefix := key(tableBeside, t.s.id, id)
	err := scanPrefix(t, prefix, func(k, v []byte) bool {
		out[blob.Address(k[len(prefix):])] = keyIno(v, 0)
		return true
	})
	return out, err
}

func (t *txn) showBeside(id doc.ObjectID, obj *objectRow, v BlobVersion, ino Ino, known bool, parent Ino, plain string) error {
	row := &nodeRow{Kind: KindBlob, Type: TypeBlob, Space: t.s.id, ID: besideID(v.Root), Of: id,
		Root: v.Root, Size: v.Size, Rev: v.Rev, ModTime: t.now.UnixNano(), Changed: t.now.UnixNano()}
	var err error
	if known {
		if row, err = getNode(t, ino); err != nil {
			return err
		}
	} else if ino, err = t.s.repo.newIno(); err != nil {
		return err
	}
	row.Label = obj.Label
	t.putNode(ino, row)
	t.put(key(tableBeside, t.s.id, id, v.Root), key(0, ino)[1:])
	return t.link(ino, row, parent, names.Suffixed(plain, id6(row.ID)))
}

func (t *txn) dropBeside(id doc.ObjectID, root blob.Address, ino Ino) error {
	t.delete(key(tableBeside, t.s.id, id, root))
	row, err := getNode(t, ino)
	if err != nil {
		return ignoreNotFound(err)
	}
	t.unlink(ino, row)
	t.delete(key(tableNode, ino))
	return nil
}

// removeVersion takes the version that a node shows out of its object.
func (t *txn) removeVersion(row *nodeRow) error {
	if !t.s.mayWrite() {
		return ErrReadOnly
	}
	id := row.objectID()
	structure, err := getValue(t, t.s.id, id)
	if err != nil {
		return err
	}
	_, err = t.editBlob(id, structure, blob.Address{}, []doc.Edit{dropVersion(id, row.Root)})
	return err
}

// hasBeside reports whether other versions of a node's object are shown beside
// it.
func (t *txn) hasBeside(row *nodeRow) (bool, error) {
	if row.Kind != KindBlob || !row.Of.IsZero() {
		return false, nil
	}
	return t.any(key(tableBeside, t.s.id, row.ID))
}

// splitOff makes the version that a node shows an object of its own, under a
// name of its own, with the same number; its content is then that of version.
func (t *txn) splitOff(ino Ino, row, dir *nodeRow, name string, version BlobVersion) error {
	if !t.s.mayWrite() {
		return ErrReadOnly
	}
	was := *row
	t.unlink(ino, row)
	t.delete(key(tableNode, ino))
	t.delete(key(tableBeside, t.s.id, was.Of, was.Root))
	next := &nodeRow{Kind: KindBlob, Stage: Fresh, Mode: was.Mode}
	if err := t.makeObjectAs(ino, dir, name, next); err != nil {
		return err
	}
	if err := t.newBlob(ino, next, version); err != nil {
		return err
	}
	if version.Root == was.Root {
		next.ModTime = was.ModTime
		t.putNode(ino, next)
	}
	return t.removeVersion(&was)
}
