package echo

import (
	"bytes"
	"fmt"
	"slices"

	"echofs/echo/doc"
)

// maxLinks bounds what Refs and Backlinks return.
const maxLinks = 100_000

// Refs returns the objects that the current version of an object refers to, by
// id. They need not exist, or lie in this space.
func (s *Space) Refs(id doc.ObjectID) ([]doc.ObjectID, error) {
	structure, err := getValue(s.repo.store, s.id, id)
	if isNotFound(err) {
		return nil, nil // nothing was saved yet
	}
	if err != nil {
		return nil, fmt.Errorf("references of object %s: %w", id, err)
	}
	var out []doc.ObjectID
	for target := range refTargets(structure) {
		out = append(out, target)
	}
	slices.SortFunc(out, func(a, b doc.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	return out, nil
}

// Backlinks returns the objects of the space that refer to an object, by id.
func (s *Space) Backlinks(id doc.ObjectID) ([]doc.ObjectID, error) {
	var out []doc.ObjectID
	prefix := key(tableBacklink, s.id, id)
	err := scanPrefix(s.repo.store, prefix, func(k, _ []byte) bool {
		out = append(out, doc.ObjectID(k[len(prefix):]))
		return len(out) < maxLinks
	})
	return out, wrapf(err, "references to object %s", id)
}
