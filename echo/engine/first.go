package engine

import (
	"echofs/echo/doc"
	"echofs/echo/engine/first"
)

// The first change of a document is written and read without a worker where it
// has the usual form; see package first. The results are those of the core.

// editFirst makes the first change of a new document; false leaves it to the
// core.
func editFirst(src doc.Source, req *doc.EditRequest) (doc.Result, bool) {
	if len(src.Heads) > 0 || len(req.Base) > 0 || len(req.Branches) == 0 || !req.Branches[0].Last.IsZero() {
		return doc.Result{}, false
	}
	change, value, err := first.Write(req.Branches[0].Actor, req.Time, req.Message, req.Edits)
	if err != nil {
		return doc.Result{}, false
	}
	return doc.Result{Change: change, Heads: doc.NewHeads(change.Hash), Value: value}, true
}

// mergeFirst reads the first change of a new document; false leaves it to the
// core.
func mergeFirst(src doc.Source, changes [][]byte) (doc.Result, bool) {
	if len(src.Heads) > 0 || len(changes) != 1 {
		return doc.Result{}, false
	}
	value, hash, err := first.Read(changes[0])
	if err != nil {
		return doc.Result{}, false
	}
	return doc.Result{Heads: doc.NewHeads(hash), Value: value}, true
}
