package echo

import (
	"bytes"
	"fmt"
	"slices"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/halo"
)

// The documents contain exactly the entries that count (halo.Include). Most
// spaces have nothing that limits a feed, and nobody looks further. Where a
// removal, a revocation or a fork sets a limit, the entries beyond it are
// contested: each transaction that learns of something new about them decides
// again, leaves out what does not count any more (leave.go), and applies what
// does. The decision is a function of the credentials and entries that are
// held, so all vaults come to the same.

// maxLate is how many entries beyond a feed's cut are kept.
const maxLate = 1000

// ErrLate tells that a feed has more entries beyond its cut than are kept.
var ErrLate = fmt.Errorf("more than %d entries after the feed was cut", maxLate)

// limit returns up to where a feed counts.
func (t *txn) limit(feed halo.FeedID) (halo.Limit, error) {
	if !t.s.graph.State().Limited() {
		return halo.Limit{}, nil
	}
	if l, ok := t.limits[feed]; ok {
		return l, nil
	}
	f, err := t.feedFacts(feed)
	if err != nil {
		return halo.Limit{}, err
	}
	if t.limits == nil {
		t.limits = map[halo.FeedID]halo.Limit{}
	}
	l := t.s.graph.State().Limit(f)
	t.limits[feed] = l
	return l, nil
}

// feedFacts returns what the limit of a feed depends on.
func (t *txn) feedFacts(feed halo.FeedID) (halo.Feed, error) {
	e, err := t.entry(entryRef{feed, 0})
	if err != nil {
		return halo.Feed{}, err
	}
	if e.Header.Author == nil {
		return halo.Feed{}, fmt.Errorf("feed %s: its first entry names no author", feed.Short())
	}
	return halo.Feed{ID: feed, Author: *e.Header.Author, Opened: e.Header.Auth}, nil
}

func (t *txn) entry(ref entryRef) (*halo.Entry, error) {
	raw, err := t.Get(key(tableEntry, t.s.id, ref.feed, ref.seq))
	if err != nil {
		return nil, fmt.Errorf("entry %d of feed %s: %w", ref.seq, ref.feed.Short(), err)
	}
	return halo.ParseEntry(raw)
}

// roomBeyond fails with ErrLate where enough of a feed beyond its cut is held.
func (t *txn) roomBeyond(feed halo.FeedID, next uint64) error {
	if next == 0 {
		return nil
	}
	l, err := t.limit(feed)
	if err == nil && l.Cut && int64(next) > l.Last+maxLate {
		err = fmt.Errorf("feed %s: %w", feed.Short(), ErrLate)
	}
	return err
}

// beyond decides whether an entry that just came is set aside because of its
// feed's limit.
func (t *txn) beyond(e *halo.Entry) (verdict, error) {
	l, err := t.limit(e.Header.Feed)
	if err != nil {
		return verdict{}, err
	}
	if !l.Beyond(e.Header.Seq) && !l.Held {
		return verdict{}, nil
	}
	t.unsettled = true
	return aside(l), nil
}

// aside is the verdict on an entry beyond a limit.
func aside(l halo.Limit) verdict {
	if l.Cut {
		return verdict{entryLate, fmt.Errorf("after the feed was cut by credential %s", l.Cause.Short())}
	}
	return verdict{entryHeld, fmt.Errorf("of a revoked device whose feed is not sealed yet")}
}

// contest is what one decision is about.
type contest struct {
	facts   map[entryRef]halo.EntryFacts
	data    map[entryRef]halo.Data
	holder  map[docChange]entryRef  // of changes in entries that are not applied
	applied map[entryRef]bool       // contested entries that are applied
	subject map[entryRef]bool       // the contested entries
	states  map[entryRef]entryState // of entries that are not applied
	docs    map[doc.DocumentID]bool
}

type docChange struct {
	doc  doc.DocumentID
	hash doc.ChangeHash
}

// settleInclusion decides again which of the contested entries count.
func (t *txn) settleInclusion() error {
	t.unsettled = false
	if t.s.Relays() {
		return nil // no entry counts for it
	}
	c := &contest{facts: map[entryRef]halo.EntryFacts{}, data: map[entryRef]halo.Data{}, holder: map[docChange]entryRef{},
		applied: map[entryRef]bool{}, subject: map[entryRef]bool{}, docs: map[doc.DocumentID]bool{}}
	if err := t.findContested(c); err != nil || len(c.subject) == 0 {
		return err
	}
	if err := t.gatherFacts(c); err != nil {
		return err
	}
	adopted, err := t.adopted()
	if err != nil {
		return err
	}
	facts := make([]halo.EntryFacts, 0, len(c.facts))
	for _, f := range c.facts {
		facts = append(facts, f)
	}
	standings := halo.Include(facts, adopted, func(feed halo.FeedID) halo.Limit { return t.limits[feed] })
	return t.obey(c, standings)
}

// findContested lists the entries beyond the limits, and those that were set
// aside because of one before.
func (t *txn) findContested(c *contest) error {
	var feeds []halo.FeedID
	var rows []feedRow
	prefix := key(tableFeed, t.s.id)
	err := scanRows(t, prefix, func(k []byte, row *feedRow) bool {
		feeds, rows = append(feeds, halo.FeedID(k[len(prefix):])), append(rows, *row)
		return true
	})
	if err != nil {
		return fmt.Errorf("read feeds: %w", err)
	}
	for i, feed := range feeds {
		l, err := t.limit(feed)
		if err != nil {
			return err
		}
		if l.Cut {
			for seq := uint64(l.Last + 1); seq < rows[i].Next; seq++ {
				c.subject[entryRef{feed, seq}] = true
			}
		}
	}
	c.states = t.waitingStates()
	for ref, state := range c.states {
		if state == entryLate || state == entryHeld {
			c.subject[ref] = true
		}
	}
	return nil
}

// waitingStates returns the entries that are stored and not applied.
func (t *txn) waitingStates() map[entryRef]entryState {
	out := map[entryRef]entryState{}
	prefix := key(tableWaiting, t.s.id)
	err := scanPrefix(t, prefix, func(k, v []byte) bool {
		var row waitingRow
		if decodeRow(v, &row) == nil {
			out[parseEntryRef(k[len(prefix):])] = row.State
		}
		return true
	})
	if err != nil {
		t.fail(err)
	}
	return out
}

// gatherFacts reads the contested entries, those that wait, and the applied
// ones that work on the same documents, since those may build on them.
func (t *txn) gatherFacts(c *contest) error {
	for ref := range c.subject {
		state, waits := c.states[ref]
		c.applied[ref] = !waits
		if err := t.readContested(c, ref, state); err != nil {
			return err
		}
	}
	for ref, state := range c.states {
		if !c.subject[ref] && state == entryPending {
			if err := t.readContested(c, ref, state); err != nil {
				return err
			}
		}
	}
	for id := range c.docs {
		if err := t.readBuilders(c, id); err != nil {
			return err
		}
	}
	for ref, data := range c.data {
		if err := t.findDeps(c, ref, data); err != nil {
			return err
		}
	}
	return nil
}

// readContested reads an entry that is contested or waits.
func (t *txn) readContested(c *contest, ref entryRef, state entryState) error {
	e, data, err := t.open(ref)
	if err != nil {
		return err
	}
	f := halo.EntryFacts{EntryRef: halo.EntryRef{Feed: ref.feed, Seq: ref.seq}, ID: e.ID, Void: state == entryVoid || state == entryQuarantined}
	if _, known := t.s.epochKey(e.Header.Epoch); !known {
		f.Deps = []halo.EntryRef{{}} // what it holds shows when the key comes
	}
	c.facts[ref] = f
	if c.subject[ref] || state == entryPending {
		c.data[ref] = data
	}
	for _, change := range changesOf(data) {
		if c.subject[ref] {
			c.docs[change.doc] = true
		}
		info, err := guard.Check(change.bytes, guard.Rules{})
		if err != nil {
			f.Void = true
			c.facts[ref] = f
			return nil
		}
		if !c.applied[ref] {
			c.holder[docChange{change.doc, info.Hash}] = ref
		}
	}
	return nil
}

// open returns an entry and what it says; nothing where it is no data, or
// cannot be read.
func (t *txn) open(ref entryRef) (*halo.Entry, halo.Data, error) {
	e, err := t.entry(ref)
	if err != nil {
		return nil, halo.Data{}, err
	}
	k, ok := t.s.epochKey(e.Header.Epoch)
	if !ok || e.Header.Kind != halo.KindData {
		return e, halo.Data{}, nil
	}
	plain, err := e.Open(k)
	if err != nil {
		return e, halo.Data{}, nil
	}
	data, err := halo.DecodeData(plain)
	if err != nil {
		return e, halo.Data{}, nil
	}
	return e, data, nil
}

type entryChange struct {
	doc   doc.DocumentID
	bytes []byte
}

// changesOf lists the changes of an entry, imported ones first.
func changesOf(data halo.Data) (out []entryChange) {
	for _, i := range data.Imports {
		for _, b := range i.Changes {
			out = append(out, entryChange{i.Doc, b})
		}
	}
	for _, ch := range data.Changes {
		out = append(out, entryChange{ch.Doc, ch.Bytes})
	}
	return out
}

// readBuilders adds the applied entries that work on a document.
func (t *txn) readBuilders(c *contest, id doc.DocumentID) error {
	refs := map[entryRef]bool{}
	err := scanRows(t, key(tableChange, t.s.id, id), func(_ []byte, row *changeRow) bool {
		refs[entryRef{row.Feed, row.Entry}] = true
		return true
	})
	if err != nil {
		return fmt.Errorf("changes of document %s: %w", id, err)
	}
	for ref := range refs {
		if _, known := c.facts[ref]; known {
			continue
		}
		e, data, err := t.open(ref)
		if err != nil {
			return err
		}
		c.facts[ref] = halo.EntryFacts{EntryRef: halo.EntryRef{Feed: ref.feed, Seq: ref.seq}, ID: e.ID}
		c.data[ref] = data
		if _, err := t.limit(ref.feed); err != nil {
			return err
		}
	}
	return nil
}

// findDeps notes which contested entries an entry builds on. What is applied
// and uncontested is there for good and need not be looked at.
func (t *txn) findDeps(c *contest, ref entryRef, data halo.Data) error {
	f := c.facts[ref]
	own := map[doc.ChangeHash]bool{}
	for _, change := range changesOf(data) {
		info, err := guard.Check(change.bytes, guard.Rules{})
		if err != nil {
			continue // it is void already
		}
		own[info.Hash] = true
		for _, dep := range info.Deps {
			if own[dep] {
				continue
			}
			on, err := t.holderOf(c, docChange{change.doc, dep})
			if err != nil {
				return err
			}
			if on != (entryRef{}) && on != ref && !c.subject[on] && c.facts[on].ID.IsZero() {
				continue
			}
			if on != ref {
				f.Deps = append(f.Deps, halo.EntryRef{Feed: on.feed, Seq: on.seq})
			}
		}
	}
	c.facts[ref] = f
	return nil
}

// holderOf returns the entry with a change; zero where it has not come.
func (t *txn) holderOf(c *contest, change docChange) (entryRef, error) {
	if ref, ok := c.holder[change]; ok {
		return ref, nil
	}
	var row changeRow
	ok, err := getRow(t, key(tableChange, t.s.id, change.doc, change.hash), &row)
	if err != nil || !ok {
		return entryRef{}, err
	}
	return entryRef{row.Feed, row.Entry}, nil
}

// adopted returns the entries that somebody took back who may.
func (t *txn) adopted() (map[halo.EntryID]bool, error) {
	out := map[halo.EntryID]bool{}
	prefix := key(tableAdopt, t.s.id)
	var rows []changeRow
	var ids []halo.EntryID
	err := scanPrefix(t, prefix, func(k, v []byte) bool {
		var row changeRow
		if decodeRow(v, &row) == nil {
			ids, rows = append(ids, halo.EntryID(k[len(prefix):][:len(halo.EntryID{})])), append(rows, row)
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read what was adopted: %w", err)
	}
	for i, row := range rows {
		l, err := t.limit(row.Feed)
		if err != nil {
			return nil, err
		}
		if !l.Beyond(row.Entry) && !l.Held {
			out[ids[i]] = true
		}
	}
	return out, nil
}

// obey brings the documents in line with the decision: first what is left out,
// then what waits to be applied.
func (t *txn) obey(c *contest, standings map[halo.EntryRef]halo.Standing) error {
	var out []entryRef
	for ref := range c.subject {
		e, err := t.entry(ref)
		if err != nil {
			return err
		}
		l := t.limits[ref.feed]
		switch s := standings[halo.EntryRef{Feed: ref.feed, Seq: ref.seq}]; {
		case s.Counts() && !c.applied[ref]:
			if err := t.note(e, pending(fmt.Errorf("counts again"))); err != nil {
				return err
			}
		case s == halo.StandingLate && c.applied[ref]:
			out = append(out, ref)
		case s == halo.StandingLate && !c.applied[ref], s == halo.StandingHeld && !c.applied[ref]:
			if v := aside(l); c.states[ref] != v.state {
				if err := t.note(e, v); err != nil {
					return err
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b entryRef) int {
		if x := bytes.Compare(a.feed[:], b.feed[:]); x != 0 {
			return x
		}
		return int(int64(a.seq) - int64(b.seq))
	})
	return t.leaveOut(out)
}
