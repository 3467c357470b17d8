package echo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"echofs/echo/blob"
	"echofs/echo/doc"
	"echofs/halo"
)

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// txn is one change of a space on its way into the store. It is made and used
// under the space's lock, by the goroutine that holds it.
type txn struct {
	*overlay
	s   *Space
	ctx context.Context
	now time.Time

	changes   []halo.Change // what the entry of this transaction says
	imports   []halo.Import
	own       []blob.Address // versions of blobs that the changes name and that were made here
	events    []Event
	after     []func()                  // run under the lock once the batch is durable
	undo      []func()                  // run under the lock, last first, where it is not
	touched   []Ino                     // directories whose times moved already
	prepared  map[Ino]*preparation      // documents of new objects that are ready
	moved     map[Ino]bool              // objects that are shown by another path than before
	logged    map[doc.ObjectID]loggedAt // the revisions of this transaction
	remote    bool
	read      map[halo.EntryID]*contents // of entries, as far as they were read before the lock was taken
	resolved  map[entryRef]bool          // waiting entries this transaction has dealt with
	pending   map[entryRef]bool          // entries that began to wait in this transaction
	limits    map[halo.FeedID]halo.Limit // as far as they were asked for
	unsettled bool                       // which entries count is to be decided again
	loose     bool                       // what it does may be lost with the process until the next commit
	summary   string                     // what the history says of changes, in place of what they are
	err       error                      // the first failure of a step that returns none
}

func (t *txn) event(e Event) {
	e.Remote = t.remote
	e.Space = t.s.id
	t.events = append(t.events, e)
}

// contentEvents yields the events of a node's content that came after the first n.
func (t *txn) contentEvents(n int, ino Ino) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		for i := n; i < len(t.events); i++ {
			if e := &t.events[i]; e.What == Data && e.Ino == ino && !yield(e) {
				return
			}
		}
	}
}

// fail records an error of a step in the middle; the transaction will not be
// committed.
func (t *txn) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *txn) putNode(ino Ino, row *nodeRow) { t.putRow(key(tableNode, ino), row) }

func (t *txn) putObject(id doc.ObjectID, row *objectRow) {
	t.putRow(key(tableObject, t.s.id, id), row)
}

// update runs fn as one transaction of the space: durable, then visible, then
// told (invariant 2). What fn adds to changes becomes one signed entry of this
// device's feed, in the same batch.
func (s *Space) update(ctx context.Context, fn func(*txn) error) error {
	s.mu.Lock()
	events, err := s.updateLocked(ctx, false, fn)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.repo.hub.publish(events)
	return nil
}

// updateLocked is update for who holds the lock and publishes the events. What
// the transaction learned of which entries count takes effect in transactions
// of their own after it: it must not fail with what was learned.
func (s *Space) updateLocked(ctx context.Context, remote bool, fn func(*txn) error) ([]Event, error) {
	before := s.settleCounts(ctx)
	events, err := s.transact(ctx, remote, fn)
	if err != nil {
		s.repo.hub.publish(before)
		return nil, err
	}
	return append(append(before, events...), s.settleCounts(ctx)...), nil
}

func (s *Space) transact(ctx context.Context, remote bool, fn func(*txn) error) ([]Event, error) {
	if s.repo.closed.Load() {
		return nil, ErrClosed
	}
	t := &txn{overlay: newOverlay(s.repo.store), s: s, ctx: ctx, now: s.repo.now(), remote: remote}
	err := t.run(fn)
	s.unsettled = s.unsettled || t.unsettled
	if err != nil {
		for i := len(t.undo) - 1; i >= 0; i-- {
			t.undo[i]()
		}
		return nil, err
	}
	for _, f := range t.after {
		f()
	}
	return t.events, nil
}

// settleCounts brings the documents in line with which entries count, if there
// is reason to; what comes to count is applied, which may let others count. A
// failure is tried again with the next transaction. It does not end with ctx,
// which may be a session's with a peer who was just removed.
func (s *Space) settleCounts(ctx context.Context) (events []Event) {
	if s.sealed && !s.repo.closed.Load() {
		opened, err := s.openSealed(context.WithoutCancel(ctx))
		if err != nil {
			s.repo.log.Warn("open what was stored as a relay", "space", s.Name(), "error", err)
		}
		events = opened
	}
	for range maxRounds {
		if !s.unsettled || s.repo.closed.Load() {
			return events
		}
		s.unsettled = false
		more, err := s.transact(context.WithoutCancel(ctx), true, func(t *txn) error {
			if err := t.settleInclusion(); err != nil {
				return err
			}
			return t.retryWaiting()
		})
		if err != nil {
			s.unsettled = true
			s.repo.log.Warn("decide which entries count", "space", s.Name(), "error", err)
			return events
		}
		events = append(events, more...)
	}
	return events
}

// maxRounds bounds how often it is decided again at a time: once is enough but
// where an entry that was taken back takes back others.
const maxRounds = 8

// run builds the batch and commits it.
func (t *txn) run(fn func(*txn) error) error {
	if err := fn(t); err != nil {
		return err
	}
	if t.err != nil {
		return t.err
	}
	if err := t.retellRefs(); err != nil {
		return fmt.Errorf("references: %w", err)
	}
	if err := t.s.author(t); err != nil {
		return fmt.Errorf("write entry: %w", err)
	}
	if t.batch.Len() == 0 {
		return nil
	}
	durability := Kernel
	if t.loose {
		durability = Memory
	}
	return wrapf(t.s.repo.store.Commit(&t.batch, durability), "commit")
}
