package echo

import (
	"fmt"
	"maps"
	"slices"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/halo"
)

// Leaving out: when entries do not count any more, the documents they are in
// are folded again from the other changes. Nothing that stays builds on what
// goes, so what stays is complete.

// leaveOut takes applied entries out of the documents and sets them aside.
func (t *txn) leaveOut(refs []entryRef) error {
	gone := map[doc.DocumentID]map[doc.ChangeHash]bool{}
	entries := map[entryRef]bool{}
	for _, ref := range refs {
		e, data, err := t.open(ref)
		if err != nil {
			return err
		}
		entries[ref] = true
		for _, c := range changesOf(data) {
			info, err := guard.Check(c.bytes, guard.Rules{})
			if err != nil {
				return entryError(e, err)
			}
			if gone[c.doc] == nil {
				gone[c.doc] = map[doc.ChangeHash]bool{}
			}
			gone[c.doc][info.Hash] = true
		}
		if err := t.note(e, aside(t.limits[ref.feed])); err != nil {
			return err
		}
	}
	order := slices.SortedFunc(maps.Keys(gone), func(a, b doc.DocumentID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range order {
		if err := t.without(id, gone[id], entries); err != nil {
			return fmt.Errorf("document %s: leave out what does not count: %w", id, err)
		}
	}
	return nil
}

// keptChange is a change of a document that stays.
type keptChange struct {
	*guard.Info
	bytes []byte
}

// without folds a document again without some of its changes.
func (t *txn) without(id doc.DocumentID, gone map[doc.ChangeHash]bool, entries map[entryRef]bool) error {
	d, err := t.document(id)
	if err != nil || !d.has {
		return err
	}
	before, err := t.s.repo.engine.Read(t.ctx, t.source(d), nil)
	if err != nil {
		return err
	}
	all, err := t.s.repo.engine.Changes(t.ctx, t.source(d))
	if err != nil {
		return err
	}
	var kept []keptChange
	var chunks [][]byte
	for _, c := range all {
		info, err := guard.Check(c.Bytes, guard.Rules{})
		if err != nil {
			return fmt.Errorf("change %s: %w", c.Hash, err)
		}
		if gone[c.Hash] {
			t.forgetChange(id, info)
			continue
		}
		kept, chunks = append(kept, keptChange{info, c.Bytes}), append(chunks, c.Bytes)
	}
	if slices.ContainsFunc(slices.Collect(maps.Keys(entries)), func(ref entryRef) bool { return ref.feed == t.branchFeed(d) }) {
		t.retireBranches(d)
	}
	t.resetActors(id, all, gone, kept)
	objects := objectsOf(before)
	if len(kept) == 0 {
		t.dropDocument(d)
		return t.forgetObjects(d, objects, nil)
	}
	folded, err := t.s.repo.engine.Merge(t.ctx, doc.Source{ID: id, Load: noChunks}, chunks)
	if err != nil {
		return err
	}
	for object := range objects {
		if err := t.cleanLog(d, object, entries); err != nil {
			return err
		}
	}
	if err := t.forgetObjects(d, objects, objectsOf(folded.Value)); err != nil {
		return err
	}
	t.summary = summaryLeftOut
	defer func() { t.summary = "" }()
	return t.refold(d, folded, chunks)
}

// summaryLeftOut is what the history says where an object lost changes.
const summaryLeftOut = "changes after a removal left out"

// forgetChange drops the row of a change, and keeps what it was based on: a
// program may still hold a version with it.
func (t *txn) forgetChange(id doc.DocumentID, info *guard.Info) {
	t.delete(key(tableChange, t.s.id, id, info.Hash))
	t.putRow(key(tableGone, t.s.id, id, info.Hash), &goneRow{Deps: info.Deps})
}

// resetActors makes the rows of the actors whose changes go those of their last
// change that stays.
func (t *txn) resetActors(id doc.DocumentID, all []doc.Change, gone map[doc.ChangeHash]bool, kept []keptChange) {
	last := map[doc.ActorID]actorRow{}
	for _, c := range all {
		if !gone[c.Hash] {
			continue
		}
		if info, err := guard.Check(c.Bytes, guard.Rules{}); err == nil {
			if actor, ok := info.ActorID(); ok {
				last[actor] = actorRow{}
			}
		}
	}
	for _, c := range kept {
		if actor, ok := c.ActorID(); ok {
			if row, touched := last[actor]; touched && c.Seq > row.Seq {
				last[actor] = actorRow{Seq: c.Seq, Last: c.Hash}
			}
		}
	}
	for actor, row := range last {
		if row.Seq == 0 {
			t.delete(key(tableActor, t.s.id, id, actor))
			continue
		}
		t.putRow(key(tableActor, t.s.id, id, actor), &row)
	}
}

// refold stores a document as its changes make it, and lets its objects show
// that.
func (t *txn) refold(d *document, folded doc.Result, chunks [][]byte) error {
	t.replaceChunks(d, chunks)
	d.forked = true // conflicts may have come or gone
	t.putDocument(d, folded.Heads)
	return t.absorb(d, folded.Value, t.ownOrigin(), doc.ChangeHash{}, nil, nil)
}

// dropDocument drops a document of which nothing is left.
func (t *txn) dropDocument(d *document) {
	t.dropChunks(d)
	t.delete(key(tableDoc, t.s.id, d.id))
}

// forgetObjects drops the objects of a document that are not in it any more.
func (t *txn) forgetObjects(d *document, before, after map[doc.ObjectID]*doc.Value) error {
	for id, structure := range before {
		if _, stays := after[id]; stays {
			continue
		}
		if err := t.forgetObject(d, id, structure); err != nil {
			return fmt.Errorf("object %s: %w", id, err)
		}
	}
	return nil
}

// forgetObject drops an object with all that follows from it. A draft of it
// stays, outside of the tree, as with a removed file.
func (t *txn) forgetObject(d *document, id doc.ObjectID, structure *doc.Value) error {
	old, err := getObject(t, t.s.id, id)
	if isNotFound(err) || err == nil && old.Doc != d.id {
		return nil
	} else if err != nil {
		return err
	}
	obj := *old
	obj.Deleted = true
	t.indexRefs(id, &obj, structure, nil)
	if err := t.replace(id, old, &obj); err != nil {
		return err
	}
	var logged [][]byte
	err = scanPrefix(t, key(tableLog, t.s.id, id), func(k, _ []byte) bool {
		logged = append(logged, slices.Clone(k))
		return true
	})
	if err != nil {
		return err
	}
	for _, k := range logged {
		t.delete(k)
	}
	for _, k := range [][]byte{key(tableValue, t.s.id, id), key(tableText, t.s.id, id), key(tableConflict, t.s.id, id),
		key(tableType, t.s.id, old.Type, byte(0), id), key(tableChild, t.s.id, old.Parent, id),
		key(tableDisplaced, t.s.id, id), key(tableObject, t.s.id, id)} {
		t.delete(k)
	}
	return nil
}

// cleanLog drops the revisions of an object that came from entries which are
// left out, and makes the versions of later ones such as still exist. What they
// say of before may be what is left out, and is dropped.
func (t *txn) cleanLog(d *document, id doc.ObjectID, entries map[entryRef]bool) error {
	type revision struct {
		key []byte
		row revisionRow
	}
	var list []revision
	err := scanRows(t, key(tableLog, t.s.id, id), func(k []byte, row *revisionRow) bool {
		list = append(list, revision{slices.Clone(k), *row})
		return true
	})
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	for _, r := range list {
		if entries[entryRef{r.row.Feed, r.row.Seq}] {
			t.delete(r.key)
			continue
		}
		r.row.Heads = t.standingHeads(d.id, r.row.Heads)
		r.row.Size, r.row.Was = 0, nil
		t.putRow(r.key, &r.row)
	}
	return nil
}

// standingHeads returns a version without the changes that were left out: in
// their place what they were based on.
func (t *txn) standingHeads(id doc.DocumentID, heads doc.Heads) doc.Heads {
	var out doc.Heads
	seen := map[doc.ChangeHash]bool{}
	todo := slices.Clone(heads)
	for len(todo) > 0 {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[h] {
			continue
		}
		seen[h] = true
		var row goneRow
		if ok, err := getRow(t, key(tableGone, t.s.id, id, h), &row); ok && err == nil {
			todo = append(todo, row.Deps...)
			continue
		}
		out = append(out, h)
	}
	return doc.NewHeads(out...)
}

// goneRow is what a change that was left out was based on.
type goneRow struct {
	Deps []doc.ChangeHash `cbor:"1,keyasint"`
}

// noteAdopted keeps which entries an Adopt entry takes back.
func (t *txn) noteAdopted(e *halo.Entry, plain []byte) (verdict, error) {
	a, err := halo.DecodeAdopt(plain)
	if err != nil {
		return void(err), nil
	}
	for _, id := range a.Entries {
		t.putRow(key(tableAdopt, t.s.id, id, e.Header.Feed, e.Header.Seq), &changeRow{Feed: e.Header.Feed, Entry: e.Header.Seq})
	}
	t.unsettled = true
	return verdict{}, nil
}
