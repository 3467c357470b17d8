package echo

import (
	"fmt"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/halo"
)

// A delete counts only against what its author had seen. An object whose
// document says "deleted" is deleted if every change of the object is one that
// a delete in force has seen, or such a delete itself; an edit that none of
// them had seen brings the object back, and so does a restore. That is a
// function of the set of changes alone, so all vaults agree, whatever came
// first. Edits of a document that was made by other software and imported as a
// whole do not count: there "deleted" is meant as that software means it.

// unseen is an edit that a delete had not seen.
type unseen struct {
	change doc.ChangeHash
	number uint64 // of the change's last operation, for an order
	actor  string
}

// flagged reports whether the document says that an object is deleted.
func flagged(structure *doc.Value) bool {
	return isTrue(structure.At(keySystem, keyDeleted))
}

// broughtBack returns the edit because of which an object is not deleted
// although its document says so, or nil.
func (t *txn) broughtBack(d *document, id doc.ObjectID, before, structure *doc.Value) (*unseen, error) {
	if !flagged(structure) {
		return nil, nil
	}
	if before != nil && !flagged(before) && d.added == 1 && d.row.Heads.Equal(doc.Heads{d.last}) {
		return nil, nil // the only head is the delete, so it has seen everything
	}
	changes, err := t.s.repo.engine.Changes(t.ctx, t.source(d))
	if err != nil {
		return nil, fmt.Errorf("was it deleted: %w", err)
	}
	g := newDeletes(id)
	for _, c := range changes {
		if err := g.add(c.Bytes); err != nil {
			return nil, fmt.Errorf("change %s: %w", c.Hash, err)
		}
	}
	return g.unseen(func(actor string) bool { return t.isBound(d, actor) }), nil
}

// isBound reports whether an actor belongs to a feed of the space.
func (t *txn) isBound(d *document, actor string) bool {
	var id doc.ActorID
	if len(actor) != len(id) {
		return false
	}
	copy(id[:], actor)
	for n := range d.row.Branches {
		if doc.ActorID(halo.Actor(t.branchFeed(d), d.id, uint16(n))) == id {
			return true
		}
	}
	_, err := t.Get(key(tableActor, t.s.id, d.id, id))
	return err == nil
}

// place tells what an object of the CRDT is for the question whether an object
// of ECHO is deleted.
type crdtPlace uint8

const (
	placeElsewhere crdtPlace = iota
	placeRoot
	placeObjects   // the map of all objects of the document
	placeStructure // {system, meta, data}
	placeSystem
	placeInside
)

// deletes gathers from a document's changes what was done to one object.
type deletes struct {
	id      string
	places  map[guard.OpID]crdtPlace
	deps    map[doc.ChangeHash][]doc.ChangeHash
	inForce map[guard.OpID]doc.ChangeHash // puts of "deleted" that nothing replaced
	touched []unseen                      // by every change that did more than delete
}

func newDeletes(id doc.ObjectID) *deletes {
	return &deletes{id: id.String(), places: map[guard.OpID]crdtPlace{{}: placeRoot},
		deps: map[doc.ChangeHash][]doc.ChangeHash{}, inForce: map[guard.OpID]doc.ChangeHash{}}
}

// add takes a document's next change, in causal order.
func (g *deletes) add(chunk []byte) error {
	touched := false
	var puts []guard.OpID
	info, err := guard.Writes(chunk, func(w *guard.Write) {
		at := g.places[w.Object]
		g.note(w, at)
		switch {
		case at == placeSystem && w.Key == keyDeleted:
			for _, prev := range w.Prev {
				delete(g.inForce, prev)
			}
			if w.True {
				g.inForce[w.ID] = doc.ChangeHash{}
				puts = append(puts, w.ID)
			} else {
				touched = true
			}
		case at == placeInside || at == placeStructure || at == placeSystem || at == placeObjects && w.Key == g.id:
			touched = true
		}
	})
	if err != nil {
		return err
	}
	g.deps[info.Hash] = info.Deps
	for _, op := range puts {
		if _, ok := g.inForce[op]; ok { // not replaced within the change
			g.inForce[op] = info.Hash
		}
	}
	if touched {
		g.touched = append(g.touched, unseen{info.Hash, info.MaxOp(), string(info.Actor)})
	}
	return nil
}

// note keeps what an operation makes.
func (g *deletes) note(w *guard.Write, at crdtPlace) {
	if w.Kind != guard.WriteMap && w.Kind != guard.WriteList && w.Kind != guard.WriteText {
		return
	}
	made := placeElsewhere
	switch {
	case at == placeRoot && w.Key == keyObjects:
		made = placeObjects
	case at == placeObjects && w.Key == g.id:
		made = placeStructure
	case at == placeStructure && w.Key == keySystem:
		made = placeSystem
	case at == placeStructure || at == placeSystem || at == placeInside:
		made = placeInside
	}
	if made != placeElsewhere {
		g.places[w.ID] = made
	}
}

// unseen returns the last edit by an actor that counts which no delete in force
// has seen, or nil.
func (g *deletes) unseen(counts func(actor string) bool) *unseen {
	seen := map[doc.ChangeHash]bool{}
	var todo []doc.ChangeHash
	for _, hash := range g.inForce {
		todo = append(todo, hash)
	}
	for len(todo) > 0 {
		hash := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[hash] {
			seen[hash] = true
			todo = append(todo, g.deps[hash]...)
		}
	}
	if len(g.inForce) == 0 {
		return nil
	}
	var last *unseen
	for _, u := range g.touched {
		if seen[u.change] || !counts(u.actor) {
			continue
		}
		if last == nil || (guard.OpID{Number: u.number, Actor: u.actor}).After(guard.OpID{Number: last.number, Actor: last.actor}) {
			last = &u
		}
	}
	return last
}

// setDeleted marks an object deleted, or not.
func (t *txn) setDeleted(id doc.ObjectID, deleted bool) error {
	if deleted {
		return t.deleteSeen(id, nil)
	}
	_, err := t.editObject(id, doc.Edit{Op: doc.Delete, Path: at(id, keySystem, keyDeleted)})
	return err
}

// deleteSeen marks an object deleted as somebody wants it who has seen a
// version of it; nil is the current one.
func (t *txn) deleteSeen(id doc.ObjectID, seen doc.Heads) error {
	obj, err := getObject(t, t.s.id, id)
	if err != nil {
		return err
	}
	d, err := t.document(obj.Doc)
	if err != nil {
		return err
	}
	stale := len(seen) > 0 && !seen.Equal(d.row.Heads)
	was, err := t.structureAt(d, &nodeRow{ID: id}, seen, stale)
	if err != nil {
		return err
	}
	path := at(id, keySystem, keyDeleted)
	edits := []doc.Edit{{Op: doc.Put, Path: path, Value: doc.NewBool(true)}}
	if flagged(was) { // it came back: the core takes no second put of the same value
		edits = append([]doc.Edit{{Op: doc.Delete, Path: path}}, edits...)
	}
	if !stale {
		seen = nil
	}
	_, err = t.edit(d, seen, edits, nil)
	return err
}

// keepAlive returns the edit that makes "not deleted" plain for other software
// too where an object is edited that only an unseen edit had brought back.
func keepAlive(id doc.ObjectID, structure *doc.Value) []doc.Edit {
	if !flagged(structure) {
		return nil
	}
	return []doc.Edit{{Op: doc.Delete, Path: at(id, keySystem, keyDeleted)}}
}

// authorOfChange returns who made a change that is applied.
func (t *txn) authorOfChange(id doc.DocumentID, change doc.ChangeHash) (origin, error) {
	o, err := changeOrigin(t, t.s, id, change)
	if err == nil && o.time == 0 { // the entry is this transaction's
		o = t.ownOrigin()
	}
	return o, err
}

// changeOrigin returns who made a change that is applied; without a time where
// its entry is not written yet.
func changeOrigin(r reader, s *Space, id doc.DocumentID, change doc.ChangeHash) (origin, error) {
	var row changeRow
	if ok, err := getRow(r, key(tableChange, s.id, id, change), &row); err != nil || !ok {
		return origin{}, orNotFound(ok, err)
	}
	o := origin{feed: row.Feed, seq: row.Entry}
	var f feedRow
	if _, err := getRow(r, key(tableFeed, s.id, row.Feed), &f); err != nil {
		return o, err
	}
	o.device, o.identity = f.Device, f.Identity
	raw, err := r.Get(key(tableEntry, s.id, row.Feed, row.Entry))
	if err != nil {
		return o, ignoreNotFound(err)
	}
	e, err := halo.ParseEntry(raw)
	if err != nil {
		return o, err
	}
	o.time = int64(e.Header.Time)
	return o, nil
}

// logBack notes in an object's history that an unseen edit brought it back.
func (t *txn) logBack(id doc.ObjectID, obj *objectRow, d *document, u *unseen) error {
	o, err := t.authorOfChange(d.id, u.change)
	if err != nil {
		return err
	}
	now, err := getValue(t, t.s.id, id)
	if err != nil {
		return err
	}
	t.putRow(key(tableLog, t.s.id, id, obj.Logged), &revisionRow{Time: o.time, Feed: o.feed, Seq: o.seq,
		Device: o.device, Identity: o.identity, Heads: d.row.Heads, Change: u.change, Summary: t.backSummary(o),
		Size: 1 + fileSize(obj.Kind, now)})
	obj.Logged++
	return nil
}

func (t *txn) backSummary(o origin) string {
	return summaryBack + t.s.nameOf(t.s.State(), o.identity)
}

// What the history says of deletes.
const (
	summaryDeleted  = "deleted"
	summaryRestored = "restored"
	summaryBack     = "restored: edited concurrently by "
)
