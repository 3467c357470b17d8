package echo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"echofs/echo/doc"
	"echofs/halo"
)

// A device that wrote two entries with one number has forked its feed: it was put
// back to an earlier state behind its back, or runs twice, or lies. Whoever has
// one of the entries and is shown the other publishes both (halo.ForkProof). That
// cuts the feed before them, for everybody, and the device writes on in a new
// feed. Each vault keeps the branch that it had first: entries of the other are
// taken for received and not stored.
//
// What a device itself wrote after the fork is not lost by it: before the cut
// takes effect the objects are noted as they are (tableRescue), and then saved
// again, in the new feed, as the changes that they are against what is there.

// compare looks whether entries that are held already are the same as those that
// came. Where the first that is another follows the same entry as ours, the feed
// forks there, and the proof is published.
func (t *txn) compare(feed halo.FeedID, row *feedRow, from uint64, entries []*halo.Entry) error {
	held := entries[:min(uint64(len(entries)), row.Next-from)]
	if from+uint64(len(held)) == row.Next && linkedTo(row.Last, held) {
		return nil // what comes twice, mostly: nothing is to be read for it
	}
	for i, e := range held {
		ours, err := t.entry(entryRef{feed, from + uint64(i)})
		if err != nil {
			return err
		}
		if ours.ID == e.ID {
			continue
		}
		author, err := authorOf(row, e)
		if err != nil {
			return err
		}
		signKey, err := t.s.graph.Authorize(e.Header, author)
		if signKey == [32]byte{} || e.Verify(signKey) != nil || e.Header.Feed != feed || e.Header.Seq != ours.Header.Seq {
			return entryError(e, fmt.Errorf("%w: %w", ErrPeerFault, cmp.Or(err, halo.ErrBadSignature)))
		}
		if e.Header.Prev != ours.Header.Prev {
			return fmt.Errorf("feed %s before %d: %w", feed.Short(), e.Header.Seq, ErrForked)
		}
		return t.proveFork(feed, author, ours, e)
	}
	return nil
}

// linkedTo reports whether entries continue each other up to one; then they are
// those that this device has before it.
func linkedTo(last halo.EntryID, entries []*halo.Entry) bool {
	for _, e := range slices.Backward(entries) {
		if e.ID != last {
			return false
		}
		last = e.Header.Prev
	}
	return true
}

// proveFork publishes that a feed has forked, unless that is known. A vault that
// may not say it leaves it to others.
func (t *txn) proveFork(feed halo.FeedID, author halo.Author, ours, theirs *halo.Entry) error {
	if known, err := t.forkedBefore(feed, ours.Header.Seq+1); known || err != nil {
		return err
	}
	nonce, err := t.nonceOf(feed)
	if err != nil {
		return fmt.Errorf("prove a fork: %w", err)
	}
	proof, err := halo.NewForkProof(ours, theirs, author, nonce)
	if err != nil {
		return err
	}
	t.s.repo.log.Warn("a feed has forked: a restored backup, a device that runs twice, or theft", "space", t.s.Name(),
		"feed", feed.Short(), "device", author.Device.Short(), "seq", ours.Header.Seq)
	if err := t.issue(proof); err != nil && !errors.Is(err, halo.ErrNotAllowed) {
		return err
	}
	return nil
}

// forkedBefore reports whether a feed is known to end before a number.
func (t *txn) forkedBefore(feed halo.FeedID, seq uint64) (bool, error) {
	if !t.s.graph.State().Limited() {
		return false, nil
	}
	l, err := t.limit(feed)
	return l.Beyond(seq - 1), err
}

// Fork is a feed of which two branches are known.
type Fork struct {
	Feed   halo.FeedID
	Author halo.Author
	Seq    uint64 // the first number with two entries
}

// Forks lists the feeds of the space that have forked.
func (s *Space) Forks() (out []Fork) {
	state := s.State()
	for _, c := range s.graph.All() {
		p, ok := c.Payload.(*halo.ForkProof)
		if !ok || !state.Counts(c.ID) {
			continue
		}
		if feed, seq, err := p.At(); err == nil {
			out = append(out, Fork{feed, halo.Author{Device: p.Device, Identity: p.Identity}, seq})
		}
	}
	return out
}

// DeviceName returns the name that a device shows in the space, or a short id.
func (s *Space) DeviceName(id halo.DeviceID) string { return s.deviceName(id) }

// rescueOwn notes the objects that this device wrote after its feed forked, as
// they are before that is left out.
func (t *txn) rescueOwn(c *halo.Credential) error {
	p, ok := c.Payload.(*halo.ForkProof)
	if !ok || p.Device != t.s.repo.me.device || p.Identity != t.s.repo.me.id {
		return nil
	}
	feed, seq, err := p.At()
	if err != nil {
		return err
	}
	row := t.s.feeds[feed]
	if row == nil {
		return nil
	}
	docs := map[doc.DocumentID]bool{}
	for ; seq < row.Next; seq++ {
		_, data, err := t.open(entryRef{feed, seq})
		if err != nil {
			return err
		}
		for _, change := range changesOf(data) {
			docs[change.doc] = true
		}
	}
	t.after = append(t.after, func() { t.s.rescued = t.s.rescued || len(docs) > 0 })
	for id := range docs {
		if err := t.rescueDocument(id); err != nil {
			return fmt.Errorf("document %s: %w", id, err)
		}
	}
	return nil
}

func (t *txn) rescueDocument(id doc.DocumentID) error {
	d, err := t.document(id)
	if err != nil || !d.has {
		return err
	}
	res, err := t.s.repo.engine.Read(t.ctx, t.source(d), nil)
	if err != nil {
		return err
	}
	for object, structure := range objectsOf(res) {
		t.put(key(tableRescue, t.s.id, object), doc.EncodeValue(structure))
	}
	return nil
}

// takeRescued reports whether something was noted since it was asked before.
func (s *Space) takeRescued() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.rescued
	s.rescued = false
	return was
}

// saveRescued saves again what was noted. What cannot be saved stays noted, and
// is tried again when the vault is opened.
func (s *Space) saveRescued(ctx context.Context) {
	type rescued struct {
		id        doc.ObjectID
		structure *doc.Value
	}
	var list []rescued
	prefix := key(tableRescue, s.id)
	err := scanPrefix(s.repo.store, prefix, func(k, v []byte) bool {
		var r rescued
		copy(r.id[:], k[len(prefix):])
		if structure, err := doc.DecodeValue(bytes.Clone(v)); err == nil {
			r.structure = structure
			list = append(list, r)
		}
		return true
	})
	if err != nil {
		s.repo.log.Warn("save what was written after a fork", "space", s.Name(), "error", err)
		return
	}
	for _, r := range list {
		err := s.update(ctx, func(t *txn) error {
			if err := t.saveRescued(r.id, r.structure); err != nil {
				return err
			}
			t.delete(key(tableRescue, s.id, r.id))
			return nil
		})
		if err != nil {
			s.repo.log.Warn("save what was written after a fork", "space", s.Name(), "object", r.id, "error", err)
		}
	}
}

func (t *txn) saveRescued(id doc.ObjectID, then *doc.Value) error {
	if !t.s.mayWrite() {
		return ErrReadOnly
	}
	obj, err := getObject(t, t.s.id, id)
	if isNotFound(err) {
		return t.newDocument(id, then, nil, nil)
	}
	if err != nil || obj.Ino == 0 {
		return err // deleted: the delete had seen it, or it is in the trash as it was
	}
	row, err := getNode(t, obj.Ino)
	if err != nil {
		return err
	}
	obj, d, now, err := t.editable(row)
	if err != nil {
		return err
	}
	edits, err := t.contentEdits(row, obj, now, then)
	if err != nil {
		return err
	}
	if row.Kind == KindBlob {
		edits = restoreBlob(row.ID, now, then)
	}
	_, err = t.change(d, obj.Ino, row, nil, edits, now)
	return err
}
