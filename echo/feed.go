package echo

import (
	"fmt"

	"echofs/halo"
)

// openFeed makes sure that this device has a feed in the space, since the
// actors of its changes are derived from the feed's id. The first entry goes
// into the transaction.
func (t *txn) openFeed() error {
	s := t.s
	if s.own.pos.Next > 0 {
		return nil
	}
	if !s.mayWrite() {
		return ErrReadOnly
	}
	e, err := halo.NewFeed(s.repo.issuer(), s.id, s.currentKey(), s.graph.AuthHeads(s.repo.me.id), "", t.now)
	if err != nil {
		return err
	}
	before := s.row
	s.own = ownFeed{id: e.Header.Feed}
	if s.row.OwnFeed != (halo.FeedID{}) && s.row.FirstFeed == (halo.FeedID{}) {
		s.row.FirstFeed = s.row.OwnFeed
	}
	s.row.OwnFeed = s.own.id
	t.undo = append(t.undo, func() { s.row, s.own = before, ownFeed{} })
	t.putRow(key(tableSpace, s.id), &s.row)
	return t.append(e)
}

// append adds an entry of this device to the transaction.
func (t *txn) append(e *halo.Entry) error {
	s := t.s
	raw, err := e.Bytes()
	if err != nil {
		return err
	}
	row := &feedRow{Next: e.Header.Seq + 1, Last: e.ID, Device: s.repo.me.device, Identity: s.repo.me.id}
	t.put(key(tableEntry, s.id, e.Header.Feed, e.Header.Seq), raw)
	t.putRow(key(tableFeed, s.id, e.Header.Feed), row)
	pos := s.own.pos
	s.own.pos = Position{Next: row.Next, Last: row.Last}
	t.undo = append(t.undo, func() { s.own.pos = pos })
	t.after = append(t.after, func() { s.setFeed(e.Header.Feed, row) })
	t.event(Event{What: Log})
	return nil
}

// nextEntry is the number of the entry that the transaction will write.
func (s *Space) nextEntry() uint64 { return s.own.pos.Next }

// author signs what the transaction changed as one entry of this device's feed.
func (s *Space) author(t *txn) error {
	if len(t.changes) == 0 && len(t.imports) == 0 {
		return nil
	}
	plain, err := halo.Data{Changes: t.changes, Imports: t.imports, Blobs: t.blobs()}.Encode()
	if err != nil {
		return err
	}
	e, err := t.seal(halo.KindData, plain)
	if err != nil {
		return err
	}
	return t.append(e)
}

// seal returns the next entry of the own feed.
func (t *txn) seal(kind halo.Kind, plain []byte) (*halo.Entry, error) {
	s := t.s
	return halo.SealEntry(s.repo.keys.Device(), s.currentKey(), halo.Header{
		Space: s.id, Feed: s.own.id, Seq: s.own.pos.Next, Prev: s.own.pos.Last,
		Auth: s.graph.AuthHeads(s.repo.me.id), Time: uint64(t.now.UnixMilli()), Kind: kind,
	}, plain)
}

// blobs lists the versions that the entry names, as far as there is room: they
// are for devices that cannot read what it says.
func (t *txn) blobs() [][32]byte {
	var out [][32]byte
	for _, root := range t.own[:min(len(t.own), halo.MaxBlobs)] {
		out = append(out, root)
	}
	return out
}

// setFeed notes a feed's position once it is durable; s.mu is held.
func (s *Space) setFeed(id halo.FeedID, row *feedRow) {
	s.feedsMu.Lock()
	defer s.feedsMu.Unlock()
	s.feeds[id] = row
}

// Vector returns the entries which this device holds and may send.
func (s *Space) Vector() (Vector, error) {
	s.feedsMu.RLock()
	defer s.feedsMu.RUnlock()
	v := make(Vector, len(s.feeds))
	for id, f := range s.feeds {
		v[id] = Position{Next: f.Next, Last: f.Last}
	}
	return v, nil
}

// Entries returns signed entries of a feed, contiguous from a number on, of
// together at most maxBytes, but at least one if there is one.
func (s *Space) Entries(feed halo.FeedID, from uint64, maxBytes int) ([][]byte, error) {
	s.feedsMu.RLock()
	row, ok := s.feeds[feed]
	s.feedsMu.RUnlock()
	if !ok || from >= row.Next {
		return nil, nil
	}
	var out [][]byte
	size := 0
	err := s.repo.store.Scan(key(tableEntry, s.id, feed, from), key(tableEntry, s.id, feed, row.Next), func(_, v []byte) bool {
		if len(out) > 0 && size+len(v) > maxBytes {
			return false
		}
		size += len(v)
		out = append(out, append([]byte(nil), v...))
		return true
	})
	return out, wrapf(err, "read entries of feed %s from %d", feed.Short(), from)
}

// errorf of feeds names the feed and number.
func entryError(e *halo.Entry, err error) error {
	return fmt.Errorf("entry %d of feed %s: %w", e.Header.Seq, e.Header.Feed.Short(), err)
}
