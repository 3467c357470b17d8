package echo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/halo"
)

// How an entry from a peer becomes part of the documents, cheap checks first:
//
//	parsed      halo.ParseEntry: canonical, the payload has the stated hash
//	chained     halo.VerifyRange: continues the feed, signed by its device
//	authorized  halo.Graph.Authorize: by the credentials its author knew
//	opened      with the key of its epoch
//	guarded     every change has the actor it must have and a sane structure
//	ready       all it depends on is applied
//	applied     by the engine
//
// An entry that fails a check which every replica decides alike is void: it
// stays in the feed, so that the chain goes on, and is never applied. One that
// lacks something waits. One that the engine does not survive is quarantined.

// errGap tells that entries do not continue what is held.
var errGap = errors.New("entries do not continue the feed")

// Ingest verifies, stores and applies entries of a feed that are contiguous
// from a number on, and returns how many entries of the feed are held now. It
// fails with ErrPeerFault where whoever sent them is to blame, and with
// halo.ErrUnknown where credentials they name have not come yet; then nothing
// of the range is kept.
func (s *Space) Ingest(ctx context.Context, feed halo.FeedID, from uint64, raw [][]byte) (uint64, error) {
	entries := make([]*halo.Entry, 0, len(raw))
	for _, b := range raw {
		e, err := halo.ParseEntry(b)
		if err != nil {
			return 0, fmt.Errorf("ingest: %w: %w", ErrPeerFault, err)
		}
		entries = append(entries, e)
	}
	fresh := entries
	if skip := s.held(feed); skip > from {
		fresh = entries[min(skip-from, uint64(len(entries))):] // the others are held already, and only compared
	}
	read := s.examine(ctx, feed, fresh)
	s.mu.Lock()
	var next uint64
	events, err := s.updateLocked(ctx, true, func(t *txn) error {
		var err error
		t.read = read
		next, err = t.ingest(feed, from, entries)
		return err
	})
	s.mu.Unlock()
	if err != nil {
		return s.held(feed), fmt.Errorf("ingest: %w", err)
	}
	s.repo.hub.publish(events)
	if s.takeRescued() {
		s.saveRescued(ctx)
	}
	return next, nil
}

// held returns how many entries of a feed are stored.
func (s *Space) held(feed halo.FeedID) uint64 {
	s.feedsMu.RLock()
	defer s.feedsMu.RUnlock()
	if f := s.feeds[feed]; f != nil {
		return f.Next
	}
	return 0
}

func (t *txn) ingest(feed halo.FeedID, from uint64, entries []*halo.Entry) (uint64, error) {
	row := &feedRow{}
	if f := t.s.feeds[feed]; f != nil {
		*row = *f
	}
	if from > row.Next {
		return 0, fmt.Errorf("feed %s from %d, held %d: %w", feed.Short(), from, row.Next, errGap)
	}
	if err := t.compare(feed, row, from, entries); err != nil {
		return 0, err
	}
	skip := row.Next - from
	if skip >= uint64(len(entries)) {
		return row.Next, nil // held already
	}
	entries = entries[skip:]
	if err := t.roomBeyond(feed, row.Next); err != nil {
		return 0, err
	}
	author, err := authorOf(row, entries[0])
	if err != nil {
		return 0, err
	}
	denied, err := t.verify(feed, row, author, entries)
	if errors.Is(err, ErrForked) {
		if known, _ := t.forkedBefore(feed, row.Next); known {
			return row.Next + uint64(len(entries)), nil // of the branch that is not kept here
		}
	}
	if err != nil {
		return 0, err
	}
	if t.s.Relays() {
		if err := t.chargeEntries(author.Device, entries); err != nil {
			return 0, err
		}
	}
	t.ownTail(feed)
	row.Device, row.Identity = author.Device, author.Identity
	for i, e := range entries {
		if err := t.keep(e, row); err != nil {
			return 0, err
		}
		if err := t.take(e, author, denied[i]); err != nil {
			return 0, entryError(e, err)
		}
	}
	t.put(key(tableArrived, t.s.id, feed, row.Next-1), binary.BigEndian.AppendUint64(nil, uint64(t.now.UnixMilli())))
	t.after = append(t.after, func() { t.s.setFeed(feed, row) })
	t.event(Event{What: Log})
	return row.Next, t.retryWaiting()
}

// authorOf returns who writes a feed: as its first entry says.
func authorOf(row *feedRow, first *halo.Entry) (halo.Author, error) {
	if row.Next > 0 {
		return halo.Author{Device: row.Device, Identity: row.Identity}, nil
	}
	if first.Header.Author == nil {
		return halo.Author{}, entryError(first, fmt.Errorf("the first entry names no author: %w", ErrPeerFault))
	}
	return *first.Header.Author, nil
}

// verify checks the chain and the signature, and returns for each entry whether
// its author was denied. It fails where the range cannot be stored.
func (t *txn) verify(feed halo.FeedID, row *feedRow, author halo.Author, entries []*halo.Entry) ([]error, error) {
	denied := make([]error, len(entries))
	var signKey [32]byte
	for i, e := range entries {
		k, err := t.s.graph.Authorize(e.Header, author)
		switch {
		case errors.Is(err, halo.ErrUnknown):
			return nil, entryError(e, err)
		case errors.Is(err, halo.ErrNotAllowed) && k != [32]byte{}:
			denied[i] = err
		case err != nil:
			return nil, entryError(e, fmt.Errorf("%w: %w", ErrPeerFault, err))
		}
		signKey = k
	}
	if _, err := halo.VerifyRange(t.s.id, feed, Position{Next: row.Next, Last: row.Last}, entries, signKey); err != nil {
		if forked(entries, signKey, err) {
			return nil, fmt.Errorf("feed %s: %w: %w", feed.Short(), ErrForked, err)
		}
		return nil, fmt.Errorf("%w: %w", ErrPeerFault, err)
	}
	return denied, nil
}

func (t *txn) keep(e *halo.Entry, row *feedRow) error {
	raw, err := e.Bytes()
	if err != nil {
		return entryError(e, err)
	}
	row.Next, row.Last = e.Header.Seq+1, e.ID
	t.put(key(tableEntry, t.s.id, e.Header.Feed, e.Header.Seq), raw)
	t.putRow(key(tableFeed, t.s.id, e.Header.Feed), row)
	return nil
}

// take applies an entry that is stored, or notes why it is not applied. It
// fails only where the transaction as a whole cannot go on.
func (t *txn) take(e *halo.Entry, author halo.Author, denied error) error {
	if denied != nil {
		return t.note(e, void(denied))
	}
	if t.s.Relays() {
		return t.note(e, verdict{state: entrySealed})
	}
	v, err := t.beyond(e)
	if err == nil && v.state == entryApplied {
		v, err = t.apply(e, author)
	}
	if err != nil {
		return err
	}
	if v.state == entryPending && t.s.graph.State().Limited() {
		t.unsettled = true // it may build on something that was set aside
	}
	return t.note(e, v)
}

// verdict is what became of an entry.
type verdict struct {
	state entryState
	why   error
}

func void(err error) verdict    { return verdict{entryVoid, err} }
func pending(err error) verdict { return verdict{entryPending, err} }

// note stores a verdict.
func (t *txn) note(e *halo.Entry, v verdict) error {
	ref := entryRef{e.Header.Feed, e.Header.Seq}
	k := key(tableWaiting, t.s.id, ref.feed, ref.seq)
	switch v.state {
	case entryApplied:
		t.delete(k)
		t.after = append(t.after, func() { delete(t.s.waiting, ref) })
		return nil
	case entrySealed:
		t.putRow(k, &waitingRow{State: entrySealed})
		return nil
	case entryPending:
		delete(t.resolved, ref)
		if t.pending == nil {
			t.pending = make(map[entryRef]bool)
		}
		t.pending[ref] = true
		t.after = append(t.after, func() { t.s.waiting[ref] = struct{}{} })
	default:
		delete(t.pending, ref)
		t.resolve(ref)
		t.after = append(t.after, func() { delete(t.s.waiting, ref) })
		level := slog.LevelWarn
		if v.state == entryLate || v.state == entryHeld {
			level = slog.LevelDebug // by design, and shown in the status
		}
		t.s.repo.log.Log(t.ctx, level, "entry not applied", "space", t.s.Name(), "feed", ref.feed.Short(), "seq", ref.seq, "reason", v.why)
	}
	t.putRow(k, &waitingRow{State: v.state, Reason: v.why.Error()})
	return nil
}

// apply opens an entry and applies what it says, if all it needs is there. The
// error is one of this vault, not of the entry.
func (t *txn) apply(e *halo.Entry, author halo.Author) (verdict, error) {
	if c := t.read[e.ID]; c != nil {
		delete(t.read, e.ID) // it may be large
		return t.applyData(e, author, c)
	}
	k, ok := t.s.epochKey(e.Header.Epoch)
	if !ok {
		return pending(fmt.Errorf("no key of epoch %s", e.Header.Epoch.Short())), nil
	}
	plain, err := e.Open(k)
	if err != nil {
		return void(err), nil
	}
	switch e.Header.Kind {
	case halo.KindFeedOpen:
		if _, err := halo.OpenFeedOpen(e.Header, plain); err != nil {
			return void(err), nil
		}
		return verdict{}, nil
	case halo.KindData:
		c, err := readContents(e.Header.Feed, plain)
		if err != nil {
			return void(err), nil
		}
		return t.applyData(e, author, c)
	case halo.KindAdopt:
		return t.noteAdopted(e, plain)
	}
	return verdict{}, nil // of a kind that changes no document in this version
}

// mergedDoc is one document of an entry on its way through the engine.
type mergedDoc struct {
	doc     *document
	chunks  [][]byte
	changes []readyChange
	rank    []string // keys in order of creation
	result  doc.Result
}

type readyChange struct {
	*guard.Info
	bytes []byte
	bound bool // made by an actor of a feed of the space
}

// applyData merges the changes of an entry: all of them, or none.
func (t *txn) applyData(e *halo.Entry, author halo.Author, c *contents) (verdict, error) {
	docs := map[doc.DocumentID]*mergedDoc{}
	for _, imported := range c.data.Imports {
		if v, err := t.prepareImport(docs, imported); err != nil || v.state != entryApplied {
			return v, err
		}
	}
	for i, change := range c.data.Changes {
		if v, err := t.prepare(docs, e.Header.Feed, change, c.checked[i]); err != nil || v.state != entryApplied {
			return v, err
		}
	}
	order := slices.SortedFunc(maps.Keys(docs), func(a, b doc.DocumentID) int { return bytes.Compare(a[:], b[:]) })
	if err := t.mergeAll(docs, c.begun); err != nil {
		if t.ctx.Err() != nil {
			return verdict{}, t.ctx.Err()
		}
		return verdict{entryQuarantined, err}, nil
	}
	o := origin{feed: e.Header.Feed, seq: e.Header.Seq, device: author.Device, identity: author.Identity, time: int64(e.Header.Time)}
	for _, id := range order {
		if err := t.absorbMerged(docs[id], o); err != nil {
			return verdict{}, err
		}
	}
	return verdict{}, nil
}

// mergeAll lets the engine merge the documents of an entry, on all its workers.
// Nothing writes to the transaction meanwhile, so that they can all read it.
// begun has what it made of documents that begin with the entry.
func (t *txn) mergeAll(docs map[doc.DocumentID]*mergedDoc, begun map[doc.DocumentID]beginnings) error {
	var g errgroup.Group
	g.SetLimit(engineWorkers)
	for id, m := range docs {
		if b, ok := begun[id]; ok && !m.doc.has && len(m.chunks) == 1 {
			if b.err != nil {
				return errors.Join(b.err, g.Wait())
			}
			m.result = b.result
			continue
		}
		g.Go(func() (err error) {
			m.result, err = t.s.repo.engine.Merge(t.ctx, t.source(m.doc), m.chunks)
			return err
		})
	}
	return g.Wait()
}

func (t *txn) absorbMerged(m *mergedDoc, o origin) error {
	var last doc.ChangeHash
	for _, c := range m.changes {
		t.addChange(m.doc, doc.Change{Hash: c.Hash, Bytes: c.bytes}, c.Info, changeRow{Feed: o.feed, Entry: o.seq})
		if actor, ok := c.ActorID(); ok && c.bound {
			t.putRow(key(tableActor, t.s.id, m.doc.id, actor), &actorRow{Seq: c.Seq, Last: c.Hash})
		}
		last = c.Hash
	}
	t.putDocument(m.doc, m.result.Heads)
	return t.absorb(m.doc, m.result.Value, o, last, nil, m.rank)
}

func (t *txn) merged(docs map[doc.DocumentID]*mergedDoc, id doc.DocumentID) (*mergedDoc, error) {
	if m := docs[id]; m != nil {
		return m, nil
	}
	d, err := t.document(id)
	if err != nil {
		return nil, err
	}
	docs[id] = &mergedDoc{doc: d}
	return docs[id], nil
}

// prepare checks one change of an entry.
func (t *txn) prepare(docs map[doc.DocumentID]*mergedDoc, feed halo.FeedID, c halo.Change, checked checkedChange) (verdict, error) {
	if checked.err != nil {
		return void(checked.err), nil
	}
	info := checked.info
	actor := doc.ActorID(halo.Actor(feed, c.Doc, uint16(c.Branch)))
	m, err := t.merged(docs, c.Doc)
	if err != nil {
		return verdict{}, err
	}
	if len(m.doc.row.Branches) > 0 && t.branchFeed(m.doc) == feed {
		t.retireBranches(m.doc) // of a feed that was left
	}
	v, err := t.ready(m, actor, info)
	if err != nil || v.state != entryApplied {
		return v, err
	}
	m.add(info, c.Bytes, true)
	return verdict{}, nil
}

func (m *mergedDoc) add(info *guard.Info, chunk []byte, bound bool) {
	m.chunks = append(m.chunks, chunk)
	m.changes = append(m.changes, readyChange{info, chunk, bound})
	m.rank = append(m.rank, info.Keys...)
}

// ready reports whether what a change depends on is applied, or comes before
// it in the entry, and whether it is its actor's next.
func (t *txn) ready(m *mergedDoc, actor doc.ActorID, info *guard.Info) (verdict, error) {
	for _, dep := range info.Deps {
		if m.has(dep) {
			continue
		}
		_, err := t.Get(key(tableChange, t.s.id, m.doc.id, dep))
		if isNotFound(err) {
			return pending(fmt.Errorf("change %s has not come", dep)), nil
		}
		if err != nil {
			return verdict{}, err
		}
	}
	last := actorRow{}
	if m.doc.has { // else nobody has changed it
		if _, err := getRow(t, key(tableActor, t.s.id, m.doc.id, actor), &last); err != nil {
			return verdict{}, err
		}
	}
	for _, c := range m.changes {
		if bytes.Equal(c.Actor, info.Actor) {
			last.Seq = c.Seq
		}
	}
	switch {
	case info.Seq > last.Seq+1:
		return pending(fmt.Errorf("change %d of actor %s has not come", last.Seq+1, actor)), nil
	case info.Seq <= last.Seq:
		return void(fmt.Errorf("change %d of actor %s comes again", info.Seq, actor)), nil
	}
	if err := guard.CheckContext(info, guard.Context{LastSeq: last.Seq, MaxOp: m.maxOps(t)}); err != nil {
		return void(err), nil
	}
	return verdict{}, nil
}

// maxOps answers the guard's question about changes that are applied or come
// before in the entry.
func (m *mergedDoc) maxOps(t *txn) func(doc.ChangeHash) (uint64, bool) {
	return func(h doc.ChangeHash) (uint64, bool) {
		for _, c := range m.changes {
			if c.Hash == h {
				highest := c.MaxOp()
				for _, dep := range c.Deps {
					if v, ok := t.maxOp(m.doc.id, dep); ok {
						highest = max(highest, v)
					}
				}
				return highest, true
			}
		}
		return t.maxOp(m.doc.id, h)
	}
}

func (m *mergedDoc) has(h doc.ChangeHash) bool {
	return slices.ContainsFunc(m.changes, func(c readyChange) bool { return c.Hash == h })
}

// prepareImport checks a document that was made elsewhere: any actors, and
// complete in itself.
func (t *txn) prepareImport(docs map[doc.DocumentID]*mergedDoc, imported halo.Import) (verdict, error) {
	m, err := t.merged(docs, imported.Doc)
	if err != nil {
		return verdict{}, err
	}
	if m.doc.has || len(m.changes) > 0 {
		return void(fmt.Errorf("document %s is imported twice", m.doc.id)), nil
	}
	for _, b := range imported.Changes {
		info, err := guard.Check(b, guard.Rules{})
		if err != nil {
			return void(err), nil
		}
		for _, dep := range info.Deps {
			if !m.has(dep) {
				return void(fmt.Errorf("imported document lacks change %s", dep)), nil
			}
		}
		m.add(info, b, false)
	}
	return verdict{}, nil
}

// retryWaiting applies stored entries for which everything has come now, those
// that began to wait in this very transaction among them. Each round but the
// last applies one at least, so there are no more rounds than entries.
func (t *txn) retryWaiting() error {
	if t.s.Relays() {
		return nil
	}
	for progress := true; progress; {
		progress = false
		for _, ref := range t.waitingRefs() {
			if t.resolved[ref] {
				continue
			}
			done, err := t.retry(ref)
			if err != nil {
				return err
			}
			progress = progress || done
		}
	}
	return nil
}

// waitingRefs lists the entries that wait, by feed and number.
func (t *txn) waitingRefs() []entryRef {
	refs := slices.Collect(maps.Keys(t.s.waiting))
	for ref := range t.pending {
		if _, known := t.s.waiting[ref]; !known {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, func(a, b entryRef) int {
		if a.feed == b.feed {
			return cmp.Compare(a.seq, b.seq)
		}
		return bytes.Compare(a.feed[:], b.feed[:])
	})
	return refs
}

func (t *txn) retry(ref entryRef) (bool, error) {
	raw, err := t.Get(key(tableEntry, t.s.id, ref.feed, ref.seq))
	if err != nil {
		return false, err
	}
	e, err := halo.ParseEntry(raw)
	if err != nil {
		return false, err
	}
	var f feedRow // of the transaction: the feed may be new in it
	if ok, err := getRow(t, key(tableFeed, t.s.id, ref.feed), &f); err != nil || !ok {
		return false, err
	}
	v, err := t.apply(e, halo.Author{Device: f.Device, Identity: f.Identity})
	if err != nil || v.state == entryPending {
		return false, err
	}
	t.resolve(ref)
	return true, t.note(e, v)
}

// resolve takes note that an entry waits no more.
func (t *txn) resolve(ref entryRef) {
	if t.resolved == nil {
		t.resolved = make(map[entryRef]bool)
	}
	t.resolved[ref] = true
}
