package echo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/halo"
)

// FsckReport is the outcome of a check of the vault.
type FsckReport struct {
	Spaces, Feeds, Entries, Documents, Objects, Nodes int
	Problems                                          []string // what is wrong, one sentence each; at most maxProblems
	Repaired                                          int      // problems that are mended
}

const maxProblems = 1000

func (f *FsckReport) problem(format string, args ...any) {
	if len(f.Problems) < maxProblems {
		f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
	}
}

// Fsck checks all that follows from the entries: that every feed is a chain
// with good signatures, that every document is the fold of the applied entries
// (invariant 1), that every file shows its object, and that the tree's indexes
// agree. With repair, documents, objects and indexes are computed again where
// they differ; drafts and entries are never touched.
func (r *Repo) Fsck(ctx context.Context, repair bool) (FsckReport, error) {
	var report FsckReport
	for _, s := range r.Spaces() {
		report.Spaces++
		if err := s.fsck(ctx, &report, repair); err != nil {
			return report, fmt.Errorf("check space %q: %w", s.Name(), err)
		}
	}
	return report, nil
}

func (s *Space) fsck(ctx context.Context, report *FsckReport, repair bool) error {
	return s.update(ctx, func(t *txn) error {
		if err := t.checkDocuments(t.collectChanges(report), report, repair); err != nil {
			return err
		}
		return t.checkTree(report, repair)
	})
}

// foldChange is one change as an entry has it.
type foldChange struct {
	info  *guard.Info
	bytes []byte
}

// collectChanges walks all feeds and returns the changes of applied entries by
// document.
func (t *txn) collectChanges(report *FsckReport) map[doc.DocumentID][]foldChange {
	out := map[doc.DocumentID][]foldChange{}
	for feed, row := range t.s.feeds {
		report.Feeds++
		var pos Position
		for pos.Next < row.Next {
			entries, err := t.readRange(feed, pos.Next, row.Next)
			if err != nil {
				report.problem("feed %s: %v", feed.Short(), err)
				break
			}
			if pos, err = t.checkRange(feed, pos, row, entries); err != nil {
				report.problem("%v", err)
				break
			}
			report.Entries += len(entries)
			for _, e := range entries {
				t.collectEntry(out, e, report)
			}
		}
		if pos.Next == row.Next && pos.Last != row.Last {
			report.problem("feed %s: the last entry is not the one that is noted", feed.Short())
		}
	}
	return out
}

const fsckRange = 256 // entries read at a time

func (t *txn) readRange(feed halo.FeedID, from, to uint64) ([]*halo.Entry, error) {
	var out []*halo.Entry
	for seq := from; seq < min(to, from+fsckRange); seq++ {
		raw, err := t.Get(key(tableEntry, t.s.id, feed, seq))
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", seq, err)
		}
		e, err := halo.ParseEntry(raw)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", seq, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (t *txn) checkRange(feed halo.FeedID, pos Position, row *feedRow, entries []*halo.Entry) (Position, error) {
	author := halo.Author{Device: row.Device, Identity: row.Identity}
	key, err := t.s.graph.Authorize(entries[len(entries)-1].Header, author)
	if err != nil && !errors.Is(err, halo.ErrNotAllowed) {
		return pos, err
	}
	return halo.VerifyRange(t.s.id, feed, pos, entries, key)
}

// collectEntry adds the changes of an entry that is applied.
func (t *txn) collectEntry(out map[doc.DocumentID][]foldChange, e *halo.Entry, report *FsckReport) {
	if e.Header.Kind != halo.KindData {
		return
	}
	if _, err := t.Get(key(tableWaiting, t.s.id, e.Header.Feed, e.Header.Seq)); err == nil {
		return // not applied
	}
	k, ok := t.s.epochKey(e.Header.Epoch)
	if !ok {
		report.problem("%v", entryError(e, errors.New("applied, but its key is missing")))
		return
	}
	plain, err := e.Open(k)
	if err != nil {
		report.problem("%v", entryError(e, err))
		return
	}
	data, err := halo.DecodeData(plain)
	if err != nil {
		report.problem("%v", entryError(e, err))
		return
	}
	add := func(id doc.DocumentID, chunk []byte) {
		info, err := guard.Check(chunk, guard.Rules{})
		if err != nil {
			report.problem("%v", entryError(e, err))
			return
		}
		out[id] = append(out[id], foldChange{info, chunk})
	}
	for _, i := range data.Imports {
		for _, c := range i.Changes {
			add(i.Doc, c)
		}
	}
	for _, c := range data.Changes {
		add(c.Doc, c.Bytes)
	}
}

// causalOrder sorts changes so that each comes after what it depends on.
func causalOrder(changes []foldChange) ([][]byte, error) {
	byHash := make(map[doc.ChangeHash]foldChange, len(changes))
	for _, c := range changes {
		byHash[c.info.Hash] = c
	}
	done := make(map[doc.ChangeHash]bool, len(changes))
	out := make([][]byte, 0, len(changes))
	for _, first := range changes {
		stack := []foldChange{first}
		for len(stack) > 0 {
			c := stack[len(stack)-1]
			if done[c.info.Hash] {
				stack = stack[:len(stack)-1]
				continue
			}
			ready := true
			for _, dep := range c.info.Deps {
				if done[dep] {
					continue
				}
				d, ok := byHash[dep]
				if !ok {
					return nil, fmt.Errorf("change %s needs %s, which no entry has", c.info.Hash, dep)
				}
				stack, ready = append(stack, d), false
			}
			if ready {
				done[c.info.Hash] = true
				out = append(out, c.bytes)
				stack = stack[:len(stack)-1]
			}
		}
	}
	return out, nil
}

// checkDocuments folds every document again and compares.
func (t *txn) checkDocuments(changes map[doc.DocumentID][]foldChange, report *FsckReport, repair bool) error {
	for id, list := range changes {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		report.Documents++
		ordered, err := causalOrder(list)
		if err != nil {
			report.problem("document %s: %v", id, err)
			continue
		}
		folded, err := t.s.repo.engine.Merge(t.ctx, doc.Source{ID: id, Load: noChunks}, ordered)
		if err != nil {
			report.problem("document %s cannot be folded: %v", id, err)
			continue
		}
		if err := t.compareDocument(id, folded, ordered, report, repair); err != nil {
			return err
		}
	}
	return nil
}

func noChunks(context.Context) ([][]byte, error) { return nil, nil }

func (t *txn) compareDocument(id doc.DocumentID, folded doc.Result, chunks [][]byte, report *FsckReport, repair bool) error {
	d, err := t.document(id)
	if err != nil {
		return err
	}
	bad := !d.row.Heads.Equal(folded.Heads)
	if bad {
		report.problem("document %s is at %v; its entries make %v", id, d.row.Heads.Strings(), folded.Heads.Strings())
	} else if stored, err := t.s.repo.engine.Read(t.ctx, t.source(d), nil); err != nil || !stored.Equal(folded.Value) {
		bad = true
		report.problem("the chunks of document %s do not make what its entries make (%v)", id, err)
	}
	for objectID, structure := range objectsOf(folded.Value) {
		report.Objects++
		if why := t.checkObject(d, objectID, structure); why != "" {
			bad = true
			report.problem("object %s: %s", objectID, why)
		}
	}
	if !bad || !repair {
		return nil
	}
	report.Repaired++
	return t.rebuild(d, folded, chunks)
}

// checkObject compares what is stored of an object with its structure.
func (t *txn) checkObject(d *document, id doc.ObjectID, structure *doc.Value) string {
	obj, err := getObject(t, t.s.id, id)
	if err != nil {
		return "no row: " + err.Error()
	}
	if obj.Doc != d.id {
		return "" // another document has it, see absorbObject
	}
	stored, err := getValue(t, t.s.id, id)
	if err != nil || !stored.Equal(structure) {
		return fmt.Sprintf("its value is not that of the document (%v)", err)
	}
	s := readShape(structure)
	back, err := t.broughtBack(d, id, nil, structure)
	if err != nil {
		return err.Error()
	}
	s.Deleted = s.Deleted && back == nil
	if obj.Deleted != s.Deleted || obj.Kind != s.Kind || obj.Parent != s.Parent {
		return "its row is not that of the document"
	}
	if obj.Ino == 0 || s.Kind != KindObject {
		return ""
	}
	text, err := t.Get(key(tableText, t.s.id, id))
	if err != nil {
		return "its file has no text: " + err.Error()
	}
	view := viewOf(s.Kind, structure)
	parsed, err := parseView(s.Kind, text, view)
	row, nodeErr := getNode(t, obj.Ino)
	if nodeErr != nil {
		return "its node is missing"
	}
	if err != nil || !shows(s.Kind, t.s.resolveRefs(t, row.Parent, parsed, view), t.s.resolveRefs(t, row.Parent, view, nil)) {
		return fmt.Sprintf("its file does not show it (%v)", err)
	}
	return ""
}

// rebuild stores a document as its entries make it.
func (t *txn) rebuild(d *document, folded doc.Result, chunks [][]byte) error {
	t.replaceChunks(d, chunks)
	for id := range objectsOf(folded.Value) {
		t.delete(key(tableValue, t.s.id, id))
		t.delete(key(tableText, t.s.id, id))
	}
	t.putDocument(d, folded.Heads)
	return t.absorb(d, folded.Value, t.ownOrigin(), doc.ChangeHash{}, nil, nil)
}

// checkTree checks that the indexes of the tree agree with the nodes.
func (t *txn) checkTree(report *FsckReport, repair bool) error {
	inos, err := t.spaceNodes()
	if err != nil {
		return err
	}
	for _, ino := range inos {
		row, err := getNode(t, ino)
		if err != nil {
			return err
		}
		report.Nodes++
		if row.Name == "" || row.Kind == KindSpace {
			continue
		}
		named, err := lookupName(t, row.Parent, row.Name)
		_, listErr := t.Get(key(tableList, row.Parent, ino))
		if err == nil && named == ino && listErr == nil {
			continue
		}
		report.problem("node %d (%q) is not in its directory's index", ino, row.Name)
		if repair {
			report.Repaired++
			parent, plain := row.Parent, row.Plain
			row.Name = "" // as if it had never been there
			if err := t.link(ino, row, parent, plain); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *txn) spaceNodes() ([]Ino, error) {
	var out []Ino
	err := scanPrefix(t.s.repo.store, []byte{tableNode}, func(k, v []byte) bool {
		var row nodeRow
		if decodeRow(v, &row) == nil && row.Space == t.s.id {
			out = append(out, keyIno(k, 1))
		}
		return true
	})
	slices.Sort(out)
	return out, err
}
