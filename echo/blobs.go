package echo

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"echofs/echo/blob"
	"echofs/echo/doc"
	"echofs/halo"
)

// A blob object is a file that is neither structured nor text. Its content lies
// in chunks outside of the document (package blob), which names its versions:
//
//	data: { blob: { "<root>": { size: bytes, rev: number } } }
//
// A save takes out the version its author was looking at and puts in the new one.
// So two saves that did not know of each other leave two versions, and whoever
// saves, renames or removes one of them leaves the other alone. The one with the
// highest rev, and of those the smallest root, has the object's name; the others
// are shown beside it, under the name with six characters of their root
// (beside.go). That is a function of the document alone.

// TypeBlob is the type of blob objects.
const TypeBlob = "dxn:type:echofs/type/Blob:0.1.0"

// Fields of a blob's data.
const (
	blobField = "blob"
	sizeField = "size"
	revField  = "rev"
)

// BlobVersion is one version of the content of a blob.
type BlobVersion struct {
	Root blob.Address // zero: there is none, which reads as empty
	Size int64
	Rev  uint64 // one more than that of the version it replaced
}

// isBlob reports whether data are those of a blob.
func isBlob(data *doc.Value) bool {
	versions := data.Get(blobField)
	return versions != nil && versions.Kind == doc.Map
}

// blobVersions returns the versions that a structure names, the one that has the
// name first.
func blobVersions(structure *doc.Value) []BlobVersion {
	versions := structure.At(keyData, blobField)
	if versions == nil || versions.Kind != doc.Map {
		return nil
	}
	var out []BlobVersion
	for _, f := range versions.Fields {
		root, err := blob.ParseAddress(f.Key)
		size, ok := number(f.Value.Get(sizeField))
		rev, _ := number(f.Value.Get(revField))
		if err != nil || root.IsHole() || !ok || size > blob.MaxSize {
			continue // not of this version of the format: kept in the document, shown nowhere
		}
		out = append(out, BlobVersion{root, int64(size), rev})
	}
	slices.SortFunc(out, func(a, b BlobVersion) int {
		return cmp.Or(cmp.Compare(b.Rev, a.Rev), bytes.Compare(a.Root[:], b.Root[:]))
	})
	return out
}

// number returns a whole number that is not negative.
func number(v *doc.Value) (uint64, bool) {
	switch {
	case v == nil:
		return 0, false
	case v.Kind == doc.Uint:
		return v.Uint, true
	case v.Kind == doc.Int && v.Int >= 0:
		return uint64(v.Int), true
	}
	return 0, false
}

// blobVersion returns the version that has an object's name; zero for none.
func blobVersion(structure *doc.Value) BlobVersion {
	if all := blobVersions(structure); len(all) > 0 {
		return all[0]
	}
	return BlobVersion{}
}

func (v BlobVersion) value() *doc.Value {
	return doc.NewMap(doc.Field{Key: sizeField, Value: doc.NewInt(v.Size)},
		doc.Field{Key: revField, Value: doc.NewInt(int64(v.Rev))})
}

func blobData(v BlobVersion) *doc.Value {
	return doc.NewMap(doc.Field{Key: blobField, Value: doc.NewMap(doc.Field{Key: v.Root.String(), Value: v.value()})})
}

func blobPath(id doc.ObjectID, root blob.Address) doc.Path {
	return at(id, keyData, blobField, root.String())
}

func putVersion(id doc.ObjectID, v BlobVersion) doc.Edit {
	return doc.Edit{Op: doc.Put, Path: blobPath(id, v.Root), Value: v.value()}
}

func dropVersion(id doc.ObjectID, root blob.Address) doc.Edit {
	return doc.Edit{Op: doc.Delete, Path: blobPath(id, root)}
}

// BlobSave is one save of one blob.
type BlobSave struct {
	Ino Ino
	// Work is what is saved; nothing but its changes is stored. Where it is nil all
	// of Content is.
	Work    *blob.Work
	Content blob.Content
	// Base is the version that the work file began with; its Root is zero for a
	// file that had no content. Where others replaced it meanwhile both versions
	// are kept.
	Base BlobVersion
	Rule string // kept for Node.Base
	// Seen is the version of a text that the file was when its author looked at
	// it, nil for the current one: see SaveBlob.
	Seen *Version
	// Consume is a file that is removed by the same commit, as in Save.
	Consume Ino
	// Note returns what the work file is to have for blob.Recover from now on.
	Note func(Node, BlobVersion) []byte
}

// SaveBlob makes what was changed in a work file a new version of a file, which
// becomes a blob if it is not one: a Fresh one as it is; a text that others may
// have is deleted, as of the version that was seen, and a new object takes its name
// and inode number, so that an edit that was not seen brings the text back beside
// it. The
// work file goes on from the new version. Errors: ErrReadOnly, ErrNotFound,
// ErrIsDir, blob.ErrTooLarge, and those of the disk; then everything is as it
// was. When it returns, the save survives the death of this process.
func (r *Repo) SaveBlob(ctx context.Context, s BlobSave) (Saved, error) {
	out, err := r.saveBlob(ctx, s)
	return out, wrapf(err, "save")
}

func (r *Repo) saveBlob(ctx context.Context, s BlobSave) (out Saved, err error) {
	row, err := getNode(r.store, s.Ino)
	if err != nil {
		return out, err
	}
	space, err := r.spaceOf(row)
	if err != nil {
		return out, err
	}
	err = r.storeBlob(ctx, space, s, func(v BlobVersion) (Node, error) {
		err := space.update(ctx, func(t *txn) error { return t.saveBlob(s, v) })
		if err != nil {
			return Node{}, err
		}
		out.Changed = true
		out.Node, err = r.Node(s.Ino)
		return out.Node, err
	})
	if err == nil && !out.Changed {
		out.Node, err = r.Node(s.Ino)
	}
	out.Wrote = out.Node.Version
	return out, err
}

// storeBlob stores the chunks of what is saved and lets commit name the version.
func (r *Repo) storeBlob(ctx context.Context, space *Space, s BlobSave, commit func(BlobVersion) (Node, error)) error {
	if !space.mayWrite() {
		return ErrReadOnly // before chunks are stored
	}
	defer space.chunks.begin()()
	version := func(root blob.Address, size int64) BlobVersion {
		return BlobVersion{Root: root, Size: size, Rev: s.Base.Rev + 1}
	}
	if s.Work == nil {
		root, x, err := blob.Build(ctx, space.chunks.put, space.blobKeys(), s.Content)
		if err == nil {
			_, err = commit(version(root, x.Size))
		}
		return err
	}
	return s.Work.Save(ctx, space.chunks.put, space.blobKeys(), space.reader, func(root blob.Address, size int64) ([]byte, error) {
		v := version(root, size)
		n, err := commit(v)
		if err != nil || s.Note == nil {
			return nil, err
		}
		return s.Note(n, v), nil
	})
}

// saveBlob commits a version whose chunks are stored.
func (t *txn) saveBlob(s BlobSave, v BlobVersion) error {
	row, err := getNode(t, s.Ino)
	if err != nil {
		return err
	}
	switch {
	case row.Kind.IsDir():
		return ErrIsDir
	case !row.Kind.IsFile():
		return fmt.Errorf("not an object: %w", ErrNotFound)
	case !t.s.mayWrite():
		return ErrReadOnly
	case row.Name == "":
		return fmt.Errorf("removed: %w", ErrNotFound)
	}
	row.Base = s.Rule
	if err := t.putBlob(s.Ino, row, s.Base.Root, s.Seen, v); err != nil {
		return err
	}
	if s.Consume == 0 {
		return nil
	}
	return t.consume(s.Consume)
}

// putBlob gives a file's object a version in the place of another.
func (t *txn) putBlob(ino Ino, row *nodeRow, base blob.Address, seen *Version, v BlobVersion) error {
	switch {
	case row.Stage == Settled && row.Kind == KindBlob:
		return t.replaceVersion(ino, row, base, v)
	case row.Stage == Settled:
		return t.becomeAnother(ino, row, seen, v)
	}
	return t.newBlob(ino, row, v)
}

// newBlob gives a content to an object that this machine alone has.
func (t *txn) newBlob(ino Ino, row *nodeRow, v BlobVersion) error {
	old, err := getObject(t, t.s.id, row.ID)
	if err != nil {
		return err
	}
	obj := *old
	obj.Kind, obj.Type = KindBlob, TypeBlob
	t.declare(row.ID, old, &obj)
	before, err := getValue(t, t.s.id, row.ID)
	if err != nil && !isNotFound(err) {
		return err
	}
	structure := newStructure(shape{Type: TypeBlob, Data: blobData(v)}, t.now.UnixMilli())
	t.setValue(row.ID, structure)
	t.delete(key(tableText, t.s.id, row.ID))
	if err := t.noteVersions(row.ID, before, structure, true); err != nil {
		return err
	}
	fresh := row.Stage == Fresh
	row.Kind, row.Type, row.Stage, row.Size, row.Root = KindBlob, TypeBlob, Nascent, v.Size, v.Root
	t.written(ino, row)
	if fresh {
		t.settleLater(ino, row)
	}
	return nil
}

// replaceVersion is a save of a blob that others may have.
func (t *txn) replaceVersion(ino Ino, row *nodeRow, base blob.Address, v BlobVersion) error {
	if !row.Of.IsZero() {
		dir, err := getNode(t, row.Parent)
		if err != nil {
			return err
		}
		return t.splitOff(ino, row, dir, row.Name, v)
	}
	id := row.ID
	structure, err := getValue(t, t.s.id, id)
	if err != nil {
		return err
	}
	edits := []doc.Edit{putVersion(id, v)}
	if structure.At(keyData, blobField, base.String()) != nil {
		edits = append(edits, dropVersion(id, base))
	}
	t.dropDraft(ino, row)
	t.putNode(ino, row)
	_, err = t.editBlob(id, structure, v.Root, edits)
	return err
}

// editBlob edits a blob's document; its entry names the version that is new.
func (t *txn) editBlob(id doc.ObjectID, structure *doc.Value, root blob.Address, edits []doc.Edit) (doc.Result, error) {
	if !root.IsHole() {
		t.own = append(t.own, root)
	}
	return t.editObject(id, append(edits, keepAlive(id, structure)...)...)
}

// becomeAnother makes a text a blob: a new object, with the name and the number
// that the file has.
func (t *txn) becomeAnother(ino Ino, row *nodeRow, seen *Version, v BlobVersion) error {
	next, err := t.succeed(ino, row, seen, KindBlob)
	if err != nil {
		return err
	}
	return t.newBlob(ino, next, v)
}

// saveText makes a blob a text: a new object, with the name and the number that
// the file has. What others save of the blob meanwhile brings it back beside the
// text. A version that is shown beside its object stays a blob.
func (t *txn) saveText(ino Ino, row *nodeRow, seen *Version, data []byte) (Saved, error) {
	if _, err := parseBody(data); err != nil {
		return Saved{}, err
	}
	if !row.Of.IsZero() || kindOfName(row.Name) != KindText {
		return Saved{}, &InvalidError{Reason: ErrBlob.Error(), NotText: true}
	}
	next, err := t.succeed(ino, row, seen, KindText)
	if err != nil {
		return Saved{}, err
	}
	return t.saveFirst(ino, next, data)
}

// succeed deletes the object of a file, as of the version that was seen, and
// returns the row of a fresh one in its place.
func (t *txn) succeed(ino Ino, row *nodeRow, seen *Version, kind Kind) (*nodeRow, error) {
	dir, err := getNode(t, row.Parent)
	if err != nil {
		return nil, err
	}
	next := &nodeRow{Kind: kind, Stage: Fresh, Mode: row.Mode, Base: row.Base}
	name := row.Name
	if row.Stage != Settled {
		t.dropObject(ino, row)
		return next, t.makeObjectAs(ino, dir, name, next)
	}
	others, err := t.hasBeside(row)
	if err != nil {
		return nil, err
	}
	old, err := getObject(t, t.s.id, row.ID)
	if err != nil {
		return nil, err
	}
	t.dropDraft(ino, row)
	t.unlink(ino, row)
	t.delete(key(tableNode, ino))
	if old.Ino, err = t.s.repo.newIno(); err != nil {
		return nil, err
	}
	t.putNode(old.Ino, row)
	t.putObject(row.ID, old)
	if others { // they stay
		err = t.removeVersion(row)
	} else {
		err = t.deleteSeen(row.ID, headsOf(seen))
	}
	if err != nil {
		return nil, err
	}
	return next, t.makeObjectAs(ino, dir, name, next)
}

func headsOf(v *Version) doc.Heads {
	if v == nil {
		return nil
	}
	return v.Heads
}

// dropVersions forgets the versions of an object that nobody else has.
func (t *txn) dropVersions(id doc.ObjectID) {
	prefix := key(tableBlob, t.s.id, id)
	err := scanPrefix(t, prefix, func(k, _ []byte) bool {
		t.delete(append([]byte(nil), k...))
		return true
	})
	if err != nil {
		t.fail(err)
	}
}

// restoreBlob returns the edits that give a blob's name to a version of before.
func restoreBlob(id doc.ObjectID, now, then *doc.Value) []doc.Edit {
	old, is := blobVersion(then), blobVersion(now)
	if old.Root == is.Root {
		return nil
	}
	old.Rev = is.Rev + 1
	return []doc.Edit{dropVersion(id, is.Root), putVersion(id, old)}
}

// undoBlob returns the edits that take back what a change did to a blob.
func undoBlob(id doc.ObjectID, after, before *doc.Value) (edits []doc.Edit) {
	was, is := blobVersions(before), blobVersions(after)
	has := func(list []BlobVersion, root blob.Address) bool {
		return slices.ContainsFunc(list, func(v BlobVersion) bool { return v.Root == root })
	}
	for _, v := range is {
		if !has(was, v.Root) {
			edits = append(edits, dropVersion(id, v.Root))
		}
	}
	for _, v := range was {
		if !has(is, v.Root) {
			edits = append(edits, putVersion(id, v))
		}
	}
	return edits
}

// Blob returns the version of a blob that a node shows; false for other nodes.
func (n Node) Blob() (BlobVersion, bool) {
	return n.blob, n.Kind == KindBlob
}

// OpenBlob returns a reader of a version of a blob. It waits for chunks that are
// not here until ctx ends; the error then wraps ErrUnavailable. The version is
// kept while it is held (HoldBlob).
func (r *Repo) OpenBlob(ctx context.Context, space SpaceID, v BlobVersion) (*blob.Reader, error) {
	s, ok := r.SpaceByID(space)
	if !ok {
		return nil, fmt.Errorf("open blob: space: %w", ErrNotFound)
	}
	x, err := blob.ReadIndex(ctx, s.chunks, s.blobKeys(), v.Root)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	if x.Size != v.Size {
		return nil, fmt.Errorf("open blob: its root says %d bytes, its document %d: %w", x.Size, v.Size, blob.ErrDamaged)
	}
	return s.reader(x), nil
}

func (s *Space) reader(x *blob.Index) *blob.Reader {
	return blob.NewReader(s.chunks, s.blobKeys(), s.repo.cache, x)
}

// BlobAt returns the version of a blob that had its name at a revision; at is as
// for Show, "" for now.
func (r *Repo) BlobAt(ctx context.Context, ino Ino, at string) (BlobVersion, error) {
	row, s, err := r.objectNode(ino)
	if err != nil {
		return BlobVersion{}, fmt.Errorf("show: %w", err)
	}
	if at == "" {
		return row.blobVersion(), nil
	}
	structure, err := r.structureOf(ctx, s, row, at)
	if err != nil {
		return BlobVersion{}, fmt.Errorf("show %q: %w", row.Name, err)
	}
	if readShape(structure).Kind != KindBlob {
		return BlobVersion{}, fmt.Errorf("show %q: it was no blob: %w", row.Name, ErrBadRevision)
	}
	return blobVersion(structure), nil
}

// spaceKeys are the keys of a space's chunks.
type spaceKeys struct{ s *Space }

func (s *Space) blobKeys() blob.Keys { return spaceKeys{s} }

// SealKey implements blob.Keys.
func (k spaceKeys) SealKey(id [32]byte) (halo.EpochID, halo.Secret, error) {
	epoch := k.s.currentKey()
	if epoch.IsZero() {
		return halo.EpochID{}, halo.Secret{}, ErrReadOnly
	}
	return epoch.ID(k.s.id), epoch.BlobKey(k.s.id, id), nil
}

// OpenKey implements blob.Keys.
func (k spaceKeys) OpenKey(epoch halo.EpochID, id [32]byte) (halo.Secret, error) {
	key, ok := k.s.epochKey(epoch)
	if !ok {
		return halo.Secret{}, fmt.Errorf("no key of epoch %s: %w", epoch.Short(), ErrUnavailable)
	}
	return key.BlobKey(k.s.id, id), nil
}

// KnowsBlob reports whether a version of a file, whose root begins so, was
// committed.
func (r *Repo) KnowsBlob(ino Ino, prefix [8]byte) (bool, error) {
	row, s, err := r.objectNode(ino)
	if err != nil {
		return false, fmt.Errorf("versions of a blob: %w", err)
	}
	known := false
	err = scanPrefix(r.store, append(key(tableBlob, s.id, row.ID), prefix[:]...), func(_, _ []byte) bool {
		known = true
		return false
	})
	return known, wrapf(err, "versions of a blob")
}

// BlobSeen returns the version of a blob that had its name when somebody was
// looking at a version of the object.
func (r *Repo) BlobSeen(ctx context.Context, ino Ino, seen Version) (BlobVersion, error) {
	row, s, err := r.objectNode(ino)
	if err != nil {
		return BlobVersion{}, fmt.Errorf("version that was seen: %w", err)
	}
	if len(seen.Heads) == 0 || seen.Heads.Equal(row.Heads) || row.Stage != Settled {
		return row.blobVersion(), nil
	}
	structure, err := r.readStructure(ctx, s, row.ID, seen.Heads)
	if err != nil {
		return BlobVersion{}, fmt.Errorf("version that was seen: %w", err)
	}
	return blobVersion(structure), nil
}

// ReplaceByBlob gives the content of one blob to another file and removes the
// first, as a rename does. base is as for BlobSave.
func (r *Repo) ReplaceByBlob(ctx context.Context, from, to Ino, base BlobVersion, rule string) (Saved, error) {
	err := r.updateNode(ctx, to, func(t *txn, row *nodeRow) error {
		src, err := getNode(t, from)
		switch {
		case err != nil:
			return err
		case src.Kind != KindBlob || !row.Kind.IsFile() || src.Space != row.Space:
			return ErrCrossSpace
		case !t.s.mayWrite():
			return ErrReadOnly
		}
		v := src.blobVersion()
		v.Rev = base.Rev + 1
		row.Base = rule
		t.own = append(t.own, v.Root)
		if err := t.putBlob(to, row, base.Root, nil, v); err != nil {
			return err
		}
		return t.consume(from)
	})
	if err != nil {
		return Saved{}, fmt.Errorf("replace: %w", err)
	}
	n, err := r.Node(to)
	return Saved{Wrote: n.Version, Changed: true, Node: n}, err
}
