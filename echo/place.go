package echo

import (
	"context"
	"slices"
	"time"

	"echofs/echo/blob"
	"echofs/echo/doc"
)

// The log of an object (tableLog) says what each revision changed of how the
// object shows in the tree, as what it was before: the name, the folder, the
// kind, whether it was deleted, the versions of a blob, and how long its file
// was. So a new object costs nothing, and what an object was at a revision is
// what it is now, with what later revisions changed taken back; its document is
// read only for its content.

// placeRow is how an object shows in the tree, as far as that is its own.
type placeRow struct {
	Label    string       `cbor:"1,keyasint,omitempty"`
	Parent   doc.ObjectID `cbor:"2,keyasint,omitzero"`
	Kind     Kind         `cbor:"3,keyasint,omitempty"`
	Deleted  bool         `cbor:"4,keyasint,omitempty"`
	Foreign  bool         `cbor:"5,keyasint,omitempty"` // named by another identity
	Target   string       `cbor:"6,keyasint,omitempty"` // KindLink
	Versions []versionRow `cbor:"7,keyasint,omitempty"` // KindBlob; the one that has the name first
}

// versionRow is a version of a blob.
type versionRow struct {
	Root blob.Address `cbor:"1,keyasint"`
	Size int64        `cbor:"2,keyasint,omitempty"`
	Rev  uint64       `cbor:"3,keyasint,omitempty"`
}

// placeOf returns how an object shows by its structure.
func placeOf(id doc.ObjectID, structure *doc.Value, deleted, foreign bool) placeRow {
	s := readShape(structure)
	p := placeRow{Label: s.shownLabel(id), Parent: s.Parent, Kind: s.Kind, Deleted: deleted, Foreign: foreign, Target: s.Target}
	if s.Kind == KindBlob {
		all := blobVersions(structure)
		for _, v := range all[:min(len(all), 1+maxBeside)] {
			p.Versions = append(p.Versions, versionRow(v))
		}
	}
	return p
}

func (p placeRow) equal(o placeRow) bool {
	return p.Label == o.Label && p.Parent == o.Parent && p.Kind == o.Kind && p.Deleted == o.Deleted &&
		p.Foreign == o.Foreign && p.Target == o.Target && slices.Equal(p.Versions, o.Versions)
}

// version returns the version of a blob that has the name.
func (p placeRow) version() BlobVersion {
	if len(p.Versions) == 0 {
		return BlobVersion{}
	}
	return BlobVersion(p.Versions[0])
}

// fileSize is how long the file of an object is, in the layout of an object that
// was never written here.
func fileSize(kind Kind, structure *doc.Value) int64 {
	switch kind {
	case KindObject, KindText:
		return int64(len(renderView(kind, nil, nil, viewOf(kind, structure), nil)))
	case KindBlob:
		return blobVersion(structure).Size
	case KindLink:
		return int64(len(readShape(structure).Target))
	}
	return 0
}

// noteBefore completes a revision with what the object was before it.
func (row *revisionRow) noteBefore(before *doc.Value, was, is placeRow) {
	row.Size = 1 + fileSize(was.Kind, before)
	if !was.equal(is) {
		row.Was = &was
	}
}

// state is what an object was at a revision.
type state struct {
	placeRow
	revision *revisionRow
	size     int64 // of its file
	latest   bool  // no revision came after it
}

// statesOf calls fn for the states of an object after its revisions, the last
// first, until fn returns false. Revisions of which the log does not say enough
// (it was written by an older version, or changes were left out since) are read
// from the document.
func (s *Space) statesOf(ctx context.Context, id doc.ObjectID, obj *objectRow, revs []revisionRow, fn func(state) bool) error {
	if len(revs) == 0 {
		return nil
	}
	structure, err := getValue(s.repo.store, s.id, id)
	if err != nil {
		return err
	}
	now := state{placeRow: placeOf(id, structure, obj.Deleted, obj.Foreign), latest: true}
	now.size = fileSize(now.Kind, structure)
	for i := range slices.Backward(revs) {
		now.revision = &revs[i]
		if !fn(now) || i == 0 {
			return nil
		}
		if now, err = s.before(ctx, id, obj, now, &revs[i-1]); err != nil {
			return err
		}
	}
	return nil
}

// before takes back what a revision did.
func (s *Space) before(ctx context.Context, id doc.ObjectID, obj *objectRow, st state, previous *revisionRow) (state, error) {
	st.latest = false
	r := st.revision
	if r.Size > 0 {
		st.size = r.Size - 1
		if r.Was != nil {
			st.placeRow = *r.Was
		}
		return st, nil
	}
	structure, err := s.repo.readStructure(ctx, s, id, previous.Heads)
	if err != nil {
		return st, err
	}
	st.placeRow = placeOf(id, structure, flagged(structure), obj.Foreign)
	st.size = fileSize(st.Kind, structure)
	return st, nil
}

// stateAt returns what an object was at a time, by the clocks of those who
// changed it; nil where it was not there yet.
func (s *Space) stateAt(ctx context.Context, id doc.ObjectID, obj *objectRow, when time.Time) (*state, error) {
	if obj.Logged == 0 {
		return nil, nil
	}
	var last revisionRow
	ok, err := getRow(s.repo.store, key(tableLog, s.id, id, obj.Logged-1), &last)
	if err != nil {
		return nil, err
	}
	switch {
	case ok && last.Time <= when.UnixMilli():
		return s.present(id, obj, &last)
	case ok && obj.Logged == 1:
		return nil, nil
	}
	revs, err := s.revisions(id)
	if err != nil {
		return nil, err
	}
	var found *state
	err = s.statesOf(ctx, id, obj, revs, func(st state) bool {
		if st.revision.Time <= when.UnixMilli() {
			found = &st
		}
		return found == nil
	})
	return found, err
}

// present returns what an object is now; last is its last revision.
func (s *Space) present(id doc.ObjectID, obj *objectRow, last *revisionRow) (*state, error) {
	st := &state{revision: last, latest: true, placeRow: placeRow{Label: obj.Label, Parent: obj.Parent, Kind: obj.Kind,
		Deleted: obj.Deleted, Foreign: obj.Foreign}}
	if obj.Ino == 0 || obj.Deleted {
		return st, nil // its file is not shown
	}
	if obj.Kind == KindBlob {
		structure, err := getValue(s.repo.store, s.id, id)
		if err != nil {
			return nil, err
		}
		st.placeRow = placeOf(id, structure, obj.Deleted, obj.Foreign)
		st.size = st.version().Size
		return st, nil
	}
	row, err := getNode(s.repo.store, obj.Ino)
	if err != nil {
		return nil, err
	}
	st.size, st.Target = row.Size, row.Target
	return st, nil
}
