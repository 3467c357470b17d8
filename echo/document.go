package echo

import (
	"context"
	"fmt"
	"slices"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/echo/model"
	"echofs/halo"
)

// maxTail is how many changes are kept after the compacted chunk of a document
// before it is compacted again; a longer history is compacted more rarely,
// since that takes time in proportion to it.
func maxTail(changes uint64) uint64 { return 64 + changes/4 }

// document is a document of the space during a transaction.
type document struct {
	id  doc.DocumentID
	row docRow
	has bool // the store has the document

	added  int            // changes that this transaction added
	last   doc.ChangeHash // the last of them
	forked bool           // one of them was concurrent to others, and put something
	moved  bool           // one of them was concurrent to others, and an element was moved about then
	run    doc.Heads      // the heads with those of them; nil while there is none

	conflicts   []doc.Conflict // as of the change conflictsAt
	conflictsAt doc.ChangeHash

	single bool // of one object; known after absorb
	texts  bool // made by software that writes every string as a text; known after absorb
}

func (t *txn) document(id doc.DocumentID) (*document, error) {
	d := &document{id: id}
	var err error
	d.has, err = getRow(t, key(tableDoc, t.s.id, id), &d.row)
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", id, err)
	}
	return d, nil
}

// source returns what an engine needs to work on the document.
func (t *txn) source(d *document) doc.Source { return chunkSource(t, t.s.id, d) }

func chunkSource(r reader, space SpaceID, d *document) doc.Source {
	row := d.row
	return doc.Source{ID: d.id, Heads: row.Heads, Load: func(context.Context) ([][]byte, error) {
		chunks := make([][]byte, 0, row.Chunks)
		for n := range row.Chunks {
			c, err := r.Get(key(tableChunk, space, d.id, n))
			if err != nil {
				return nil, fmt.Errorf("chunk %d of document %s: %w", n, d.id, err)
			}
			chunks = append(chunks, c)
		}
		return chunks, nil
	}}
}

// addChange stores a change that became part of the document: the chunk, and
// that it is there.
func (t *txn) addChange(d *document, c doc.Change, info *guard.Info, by changeRow) {
	seen := uint64(0)
	for _, dep := range info.Deps {
		if m, ok := t.maxOp(d.id, dep); ok {
			seen = max(seen, m)
		}
	}
	by.MaxOp = max(info.MaxOp(), seen)
	t.put(key(tableChunk, t.s.id, d.id, d.row.Chunks), c.Bytes)
	d.note(c.Hash, info, seen)
	d.row.Chunks++
	d.row.Tail++
	d.row.Changes++
	d.row.Bytes += int64(len(c.Bytes))
	t.putRow(key(tableChange, t.s.id, d.id, c.Hash), &by)
}

// aboutThen is how many operations after a move a change is looked at that may
// not have seen it. One that has seen fewer operations than there were at the
// move has not; one that has seen many more and not the move comes with others
// of its author that had seen fewer.
const aboutThen = 256

// note keeps what the change says of how it stands to the others; seen is the
// last operation of what it depends on.
func (d *document) note(hash doc.ChangeHash, info *guard.Info, seen uint64) {
	if d.added == 0 {
		d.run = d.row.Heads
	}
	d.added++
	d.last = hash
	forked := !d.run.Equal(doc.NewHeads(info.Deps...))
	d.forked = d.forked || forked && info.Puts
	d.moved = d.moved || forked && (info.Moves || d.row.Moved > 0 && seen < d.row.Moved+aboutThen)
	if info.Moves {
		d.row.Moved = max(d.row.Moved, info.MaxOp())
	}
	next := doc.Heads{hash}
	for _, h := range d.run {
		if !slices.Contains(info.Deps, h) {
			next = append(next, h)
		}
	}
	d.run = doc.NewHeads(next...)
}

// maxOp returns the highest operation number of a change that is applied and
// of all it depends on.
func (t *txn) maxOp(id doc.DocumentID, hash doc.ChangeHash) (uint64, bool) {
	var row changeRow
	ok, err := getRow(t, key(tableChange, t.s.id, id, hash), &row)
	return row.MaxOp, ok && err == nil
}

// putDocument stores the document's row after changes were added, and compacts
// its chunks when there are many.
func (t *txn) putDocument(d *document, heads doc.Heads) {
	d.row.Heads = heads
	if d.row.Tail > maxTail(d.row.Changes) {
		if err := t.compact(d); err != nil {
			t.s.repo.log.Warn("compact document", "document", d.id, "error", err)
			d.row.Tail = 0 // try again after as many changes
		}
	}
	t.putRow(key(tableDoc, t.s.id, d.id), &d.row)
}

// compact replaces the chunks by one. The engine has loaded it and found the
// same heads, so nothing is lost if it succeeds, and nothing changed if not.
func (t *txn) compact(d *document) error {
	chunk, err := t.s.repo.engine.Compact(t.ctx, t.source(d))
	if err != nil {
		return err
	}
	t.dropChunks(d)
	t.put(key(tableChunk, t.s.id, d.id, uint64(0)), chunk)
	d.row.Chunks, d.row.Tail, d.row.Bytes = 1, 0, int64(len(chunk))
	return nil
}

// dropChunks deletes what a document is made of.
func (t *txn) dropChunks(d *document) {
	for n := range d.row.Chunks {
		t.delete(key(tableChunk, t.s.id, d.id, n))
	}
}

// replaceChunks stores a document as its changes, one by one.
func (t *txn) replaceChunks(d *document, changes [][]byte) {
	t.dropChunks(d)
	d.row.Chunks, d.row.Tail, d.row.Bytes, d.row.Changes = uint64(len(changes)), uint64(len(changes)), 0, uint64(len(changes))
	for n, c := range changes {
		t.put(key(tableChunk, t.s.id, d.id, uint64(n)), c)
		d.row.Bytes += int64(len(c))
	}
}

// Compact stores each document of the space as one chunk, and drops the versions
// of blobs that were replaced.
func (s *Space) Compact(ctx context.Context) error {
	prefix := key(tableDoc, s.id)
	var ids []doc.DocumentID
	err := scanPrefix(s.repo.store, prefix, func(k, _ []byte) bool {
		ids = append(ids, doc.DocumentID(k[len(prefix):]))
		return true
	})
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	for _, id := range ids {
		err := s.update(ctx, func(t *txn) error {
			d, err := t.document(id)
			if err != nil || d.row.Chunks <= 1 {
				return err
			}
			if err := t.compact(d); err != nil {
				return err
			}
			t.putRow(key(tableDoc, t.s.id, d.id), &d.row)
			return nil
		})
		if err != nil {
			return fmt.Errorf("compact document %s: %w", id, err)
		}
	}
	_, err = s.CollectChunks(ctx, 0)
	return err
}

// branches lists the actors of this device in the document, and one that has
// made no change yet: a save against an old version cannot continue an actor
// whose last change that version does not have.
func (t *txn) branches(d *document) []doc.Branch {
	if t.branchFeed(d) != t.s.own.id {
		return []doc.Branch{{Actor: t.s.actor(d.id, 0)}}
	}
	out := make([]doc.Branch, 0, len(d.row.Branches)+1)
	for n, b := range d.row.Branches {
		out = append(out, doc.Branch{Actor: t.s.actor(d.id, n), Last: b.Last})
	}
	if n := len(d.row.Branches); n < halo.MaxBranches {
		out = append(out, doc.Branch{Actor: t.s.actor(d.id, n)})
	}
	return out
}

// branchFeed returns the own feed whose actors the document's branches are.
func (t *txn) branchFeed(d *document) halo.FeedID {
	switch {
	case d.row.Feed != halo.FeedID{}:
		return d.row.Feed
	case len(d.row.Branches) == 0:
		return t.s.own.id
	case t.s.row.FirstFeed != halo.FeedID{}:
		return t.s.row.FirstFeed
	}
	return t.s.row.OwnFeed
}

// retireBranches makes the branches of a former own feed actors like those of
// others.
func (t *txn) retireBranches(d *document) {
	feed := t.branchFeed(d)
	for n, b := range d.row.Branches {
		actor := doc.ActorID(halo.Actor(feed, d.id, uint16(n)))
		t.putRow(key(tableActor, t.s.id, d.id, actor), &actorRow{Seq: b.Seq, Last: b.Last})
	}
	d.row.Branches, d.row.Feed = nil, t.s.own.id
}

// layout returns the text of an object's file for what it shows now.
type layout func(view *doc.Value) []byte

// texts are the layouts of objects whose files were just written; the others
// keep theirs.
type texts map[doc.ObjectID]layout

// edit makes one change of a document by this device. base nil means the
// current version. A zero hash in the result means that nothing changed.
func (t *txn) edit(d *document, base doc.Heads, edits []doc.Edit, texts texts) (doc.Result, error) {
	if err := t.openFeed(); err != nil {
		return doc.Result{}, err
	}
	res, err := t.s.repo.engine.Edit(t.ctx, t.source(d), doc.EditRequest{
		Base: base, Branches: t.branches(d), Time: t.now.Unix(), Edits: edits})
	if err != nil || res.Change.Hash.IsZero() {
		return res, err
	}
	return res, t.record(d, res, texts)
}

// record makes a change that the engine made for this device part of the
// document, the entry and the tree.
func (t *txn) record(d *document, res doc.Result, texts texts) error {
	if t.branchFeed(d) != t.s.own.id {
		t.retireBranches(d)
	}
	d.row.Feed = t.s.own.id
	for len(d.row.Branches) <= res.Branch {
		d.row.Branches = append(d.row.Branches, branchRow{})
	}
	b := &d.row.Branches[res.Branch]
	b.Last, b.Seq = res.Change.Hash, b.Seq+1
	info, err := guard.Check(res.Change.Bytes, guard.Rules{Actor: t.s.actor(d.id, res.Branch)})
	if err != nil {
		return fmt.Errorf("own change: %w", err)
	}
	t.addChange(d, res.Change, info, changeRow{Feed: t.s.own.id, Entry: t.s.nextEntry()})
	t.changes = append(t.changes, halo.Change{Doc: d.id, Bytes: res.Change.Bytes, Branch: uint64(res.Branch)})
	t.putDocument(d, res.Heads)
	return t.absorb(d, res.Value, t.ownOrigin(), res.Change.Hash, texts, nil)
}

// origin is where changes come from.
type origin struct {
	feed     halo.FeedID
	seq      uint64
	device   halo.DeviceID
	identity halo.IdentityID
	time     int64 // ms, as the author says
}

func (t *txn) ownOrigin() origin {
	return origin{feed: t.s.own.id, seq: t.s.nextEntry(), device: t.s.repo.me.device,
		identity: t.s.repo.me.id, time: t.now.UnixMilli()}
}

// absorb brings rows and files up to date with a document's new value.
func (t *txn) absorb(d *document, value *doc.Value, o origin, change doc.ChangeHash, texts texts, rank []string) error {
	d.texts = value.At("access", "spaceKey") != nil && value.At("access", "spaceKey").Kind == doc.Text
	objects := objectsOf(value)
	d.single = len(objects) == 1
	for id, structure := range objects {
		if err := t.absorbObject(d, id, structure, o, change, texts[id], rank); err != nil {
			return fmt.Errorf("object %s: %w", id, err)
		}
	}
	return nil
}

func (t *txn) absorbObject(d *document, id doc.ObjectID, structure *doc.Value, o origin, change doc.ChangeHash, text layout, rank []string) error {
	old, err := getObject(t, t.s.id, id)
	if err != nil && !isNotFound(err) {
		return err
	}
	obj := &objectRow{Doc: d.id, First: change, Foreign: o.identity != t.s.repo.me.id}
	if old != nil {
		*obj = *old
		if isForeignDoc(obj.Doc, d.id) {
			return nil // the same id in two documents: that of the smaller document id counts
		}
		if obj.Doc != d.id {
			obj.Doc, obj.First = d.id, change
		}
	}
	var before *doc.Value
	if old != nil { // else nothing is known of it
		if before, err = getValue(t, t.s.id, id); err != nil && !isNotFound(err) {
			return err
		}
	}
	s := readShape(structure)
	back, err := t.broughtBack(d, id, before, structure)
	if err != nil {
		return err
	}
	s.Deleted = s.Deleted && back == nil
	t.update(obj, s, id, o)
	obj.Texts = d.texts
	row, err := t.nodeFor(id, obj, s)
	if err != nil {
		return err
	}
	changed := before == nil || !before.Equal(structure)
	if changed {
		t.setValue(id, structure)
		t.indexRefs(id, obj, before, structure)
	}
	if s.Kind == KindBlob || before != nil && readShape(before).Kind == KindBlob {
		if err := t.noteVersions(id, before, structure, o.device == t.s.repo.me.device && !t.remote); err != nil {
			return err
		}
	}
	if err := t.logRevisions(id, old, obj, d, before, structure, o, change, back); err != nil {
		return err
	}
	if old != nil || d.forked {
		if err := t.indexConflicts(d, id, structure); err != nil {
			return err
		}
	}
	changed = changed || old != nil && old.Deleted != obj.Deleted
	t.declare(id, old, obj)
	if row != nil {
		t.showObject(obj.Ino, row, d, s, before, structure, changed, text, rank)
	}
	return t.replace(id, old, obj)
}

// isForeignDoc reports whether an object that is known in document have is not
// to be taken from document got.
func isForeignDoc(have, got doc.DocumentID) bool {
	return !have.IsZero() && string(got[:]) > string(have[:])
}

// update brings an object's row up to date with its shape.
func (t *txn) update(obj *objectRow, s shape, id doc.ObjectID, o origin) {
	label := s.shownLabel(id)
	if label != obj.Label {
		obj.Foreign = o.identity != t.s.repo.me.id
	}
	obj.Deleted, obj.Parent, obj.Kind, obj.Type, obj.Label = s.Deleted, s.Parent, s.Kind, s.Type, label
	obj.When = o.time
}

// nodeFor returns the row of an object's node, which is made where one is
// needed and missing; nil where the object has and needs none.
func (t *txn) nodeFor(id doc.ObjectID, obj *objectRow, s shape) (*nodeRow, error) {
	if obj.Ino != 0 {
		return getNode(t, obj.Ino)
	}
	if s.Deleted || s.Kind == 0 {
		return nil, nil
	}
	ino, err := t.s.repo.newIno()
	if err != nil {
		return nil, err
	}
	obj.Ino = ino
	return &nodeRow{Space: t.s.id, ID: id, Kind: s.Kind}, nil
}

// showObject brings a node's row and its file's text up to date.
func (t *txn) showObject(ino Ino, row *nodeRow, d *document, s shape, before, structure *doc.Value, changed bool, text layout, rank []string) {
	kindWas := row.Kind
	row.Heads, row.Stage = d.row.Heads, Settled
	if s.Kind != 0 {
		row.Kind = s.Kind
	}
	row.Type, row.Label, row.Target = s.Type, s.shownLabel(row.ID), s.Target
	if row.Kind == KindLink {
		row.Size = int64(len(s.Target))
	}
	if changed || text != nil {
		row.ModTime = max(t.now.UnixNano(), row.ModTime+1)
		row.Changed = row.ModTime
	}
	if row.Kind == KindBlob {
		v := blobVersion(structure)
		row.Root, row.Size, row.Rev = v.Root, v.Size, v.Rev
	} else if row.Kind.IsFile() && (changed || text != nil) {
		row.Size = t.setText(row, before, structure, kindWas, text, rank)
	}
	t.putNode(ino, row)
	t.event(Event{What: Data, Ino: ino, Kind: row.Kind})
}

// setText stores the text of an object's file and returns its length.
func (t *txn) setText(row *nodeRow, before, structure *doc.Value, kindWas Kind, text layout, rank []string) int64 {
	after := viewOf(row.Kind, structure)
	if row.Kind == KindText {
		return int64(len(after.Str)) // the value itself is the text
	}
	after = t.s.showRefs(t, row.Parent, after)
	var content []byte
	if text != nil {
		content = text(after)
	} else if before == nil || kindWas != row.Kind {
		content = renderView(row.Kind, nil, nil, after, rank)
	} else {
		old, err := t.Get(key(tableText, t.s.id, row.ID))
		if err != nil {
			content = renderView(row.Kind, nil, nil, after, rank)
		} else if was, err := parseView(row.Kind, old, viewOf(row.Kind, before)); err != nil {
			content = renderView(row.Kind, nil, nil, after, rank)
		} else {
			content = renderView(row.Kind, old, was, after, rank)
		}
	}
	t.put(key(tableText, t.s.id, row.ID), content)
	return int64(len(content))
}

// replace places an object anew after its row changed, and what depends on it.
func (t *txn) replace(id doc.ObjectID, old, obj *objectRow) error {
	if obj.Ino != 0 {
		if err := t.place(id, obj); err != nil {
			return err
		}
		if obj.Deleted || obj.Kind == 0 {
			if err := t.removeNode(id, obj); err != nil {
				return err
			}
		}
	}
	folder := obj.Kind == KindFolder || old != nil && old.Kind == KindFolder
	if folder && (old == nil || old.Deleted != obj.Deleted || old.Parent != obj.Parent || old.Kind != obj.Kind) {
		return t.replaceChildren(id)
	}
	return nil
}

// removeNode drops the node of an object that is shown nowhere any more. A
// draft is not dropped with it: the row stays, outside of the tree, until
// somebody discards the draft. Files of this machine in a removed folder move
// to where the folder was.
func (t *txn) removeNode(id doc.ObjectID, obj *objectRow) error {
	ino := obj.Ino
	row, err := getNode(t, ino)
	if err != nil {
		return err
	}
	obj.Ino = 0
	t.putObject(id, obj)
	t.delete(key(tableText, t.s.id, id))
	row.Hidden = false
	if err := t.rescueLocals(ino, row.Parent); err != nil {
		return err
	}
	if row.HasDraft {
		t.putNode(ino, row)
		return nil
	}
	t.delete(key(tableNode, ino))
	return nil
}

// rescueLocals moves the files of this machine out of a folder that goes.
func (t *txn) rescueLocals(folder, to Ino) error {
	var inos []Ino
	err := scanPrefix(t, key(tableList, folder), func(k, _ []byte) bool {
		inos = append(inos, keyIno(k, 9))
		return true
	})
	if err != nil {
		return err
	}
	for _, ino := range inos {
		row, err := getNode(t, ino)
		if err != nil || !row.Kind.IsLocal() {
			continue
		}
		if err := t.link(ino, row, to, row.Plain); err != nil {
			return err
		}
	}
	return nil
}

// logRevisions adds what happened to an object to its history. back is the edit
// because of which it is not deleted although its document says so.
func (t *txn) logRevisions(id doc.ObjectID, old, obj *objectRow, d *document, before, after *doc.Value, o origin, change doc.ChangeHash, back *unseen) error {
	was, foreign := old != nil && old.Deleted, old != nil && old.Foreign
	n := obj.Logged
	if first, ok := t.logged[id]; ok && first.feed == o.feed && first.seq == o.seq {
		before, was, foreign, n = first.before, first.was, first.foreign, first.number
	}
	same := before != nil && before.Equal(after)
	again := same && was && obj.Deleted && d.single && !change.IsZero() // another delete of the same
	if same && was == obj.Deleted && !again {
		return nil
	}
	deletes := flagged(after) && !flagged(before)
	row := &revisionRow{Time: o.time, Feed: o.feed, Seq: o.seq, Device: o.device, Identity: o.identity,
		Heads: d.row.Heads, Change: change}
	row.Fields, row.Summary = describe(before, after)
	if before != nil {
		row.noteBefore(before, placeOf(id, before, was, foreign), placeOf(id, after, obj.Deleted, obj.Foreign))
	}
	switch {
	case t.summary != "":
		row.Summary = t.summary
	case before == nil && !obj.Deleted && back == nil:
	case deletes || again || obj.Deleted && !was:
		row.Summary = summaryDeleted
	case was && !obj.Deleted && back != nil:
		by, err := t.authorOfChange(d.id, back.change)
		if err != nil {
			return err
		}
		row.Summary = t.backSummary(by)
	case was && !obj.Deleted:
		row.Summary = summaryRestored
	}
	t.putRow(key(tableLog, t.s.id, id, n), row)
	if n < obj.Logged {
		return nil // the entry did more to the object: one revision, as others see it
	}
	obj.Logged++
	if t.logged == nil {
		t.logged = make(map[doc.ObjectID]loggedAt)
	}
	t.logged[id] = loggedAt{feed: o.feed, seq: o.seq, number: n, before: before, was: was, foreign: foreign}
	if deletes && back != nil {
		return t.logBack(id, obj, d, back)
	}
	return nil
}

// loggedAt is what a transaction has logged of an object: everything that one
// entry does to it is one revision, on all vaults.
type loggedAt struct {
	feed   halo.FeedID
	seq    uint64
	number uint64     // of the revision
	before *doc.Value // what the object was before the entry
	was    bool       // whether it was deleted

	foreign bool // whether another identity had named it
}

// describe tells what a change did, for people; whether it deleted or restored
// the object is another question.
func describe(before, after *doc.Value) (fields []string, summary string) {
	if before == nil {
		if isBlob(after.Get(keyData)) {
			return nil, "created"
		}
		return model.Changed(doc.NewMap(), after.Get(keyData)), "created"
	}
	was, is := readShape(before), readShape(after)
	fields = model.Changed(was.Data, is.Data)
	switch {
	case was.Parent != is.Parent:
		summary = "moved"
	case was.Label != is.Label:
		summary = "renamed to " + is.Label
	default:
		summary = "changed"
	}
	if is.Kind == KindBlob {
		fields = nil // the data are names of versions
	}
	return fields, summary
}
