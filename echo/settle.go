package echo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"echofs/echo/doc"
	"echofs/halo"
)

// What waits for its time is in the table of due things, so that it is done
// after a restart too: new objects settle when they have kept their name for a
// while, and removed objects are marked deleted when nothing brought them back.

const (
	farFuture = math.MaxInt64 // ms: everything is due

	// settleBatch is how many objects settle in one entry, and settleBytes how
	// many bytes of changes; both stay below the limits of an entry, and keep
	// the space's lock for no more than some ten milliseconds.
	settleBatch = 64
	settleBytes = 512 << 10
)

// due notes that something is to be done with a node after a delay.
func (t *txn) due(ino Ino, what dueKind, after time.Duration) int64 {
	ms := t.now.Add(after).UnixMilli()
	t.put(key(tableDue, uint64(ms), ino), []byte{byte(what)})
	t.after = append(t.after, func() { t.s.repo.wake(ms) })
	return ms
}

// settleLater lets a new object settle when it has kept its name.
func (t *txn) settleLater(ino Ino, row *nodeRow) {
	row.Settle = t.due(ino, dueSettle, t.s.repo.opts.SettleDelay)
	t.putNode(ino, row)
}

// wake tells the settler about something that is due, if it would sleep too
// long otherwise.
func (r *Repo) wake(ms int64) {
	if ms >= r.sleepsUntil.Load() {
		return
	}
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// settler does what is due until ctx ends.
func (r *Repo) settler(ctx context.Context) {
	for {
		now := r.now().UnixMilli()
		if err := r.settleDue(ctx, now); err != nil && ctx.Err() == nil {
			r.log.Error("settle objects", "error", err)
		}
		if !r.sleepUntilDue(ctx, now) {
			return
		}
	}
}

// retryDelay is how long the settler waits after a failure.
const retryDelay = time.Second

// sleepUntilDue waits for the next thing to be due; false when ctx ended.
func (r *Repo) sleepUntilDue(ctx context.Context, now int64) bool {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	r.sleepsUntil.Store(farFuture) // what becomes due from here on wakes it
	if next, ok := r.nextDue(); ok {
		r.sleepsUntil.Store(next)
		wait := time.Duration(next-now) * time.Millisecond
		if next <= now {
			wait = retryDelay // it was due and could not be done
		}
		timer.Reset(wait)
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-r.kick:
	}
	return true
}

func (r *Repo) nextDue() (ms int64, ok bool) {
	_ = scanPrefix(r.store, []byte{tableDue}, func(k, _ []byte) bool {
		ms, ok = int64(keyIno(k, 1)), true
		return false
	})
	return ms, ok
}

type dueThing struct {
	key  []byte
	ino  Ino
	what dueKind
}

// settleDue does everything that is due at a time. What fails stays due; the
// first error is returned when the rest is done.
func (r *Repo) settleDue(ctx context.Context, now int64) error {
	var errs []error
	from := []byte{tableDue}
	for ctx.Err() == nil {
		var batch []dueThing
		err := r.store.Scan(from, prefixEnd([]byte{tableDue}), func(k, v []byte) bool {
			if int64(keyIno(k, 1)) > now || len(v) != 1 {
				return false
			}
			if now == farFuture && dueKind(v[0]) == dueHeld {
				return true // held until its time, over a restart too
			}
			batch = append(batch, dueThing{append([]byte(nil), k...), keyIno(k, 9), dueKind(v[0])})
			return len(batch) < settleBatch
		})
		if err != nil || len(batch) == 0 {
			return errors.Join(append(errs, err)...)
		}
		for len(batch) > 0 {
			n, err := r.settleSome(ctx, batch, now)
			if err != nil {
				errs = append(errs, err)
			}
			from = append(append([]byte(nil), batch[n-1].key...), 0)
			batch = batch[n:]
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// settleSome does the first things of a batch that belong to one space, in one
// transaction, and returns how many they were. If they cannot be done together
// each is tried alone, so that one bad object does not hold up the others.
func (r *Repo) settleSome(ctx context.Context, batch []dueThing, now int64) (int, error) {
	s := r.spaceOfDue(batch[0])
	if s == nil {
		return 1, r.forget(batch[0])
	}
	n := 1
	for n < len(batch) && r.spaceOfDue(batch[n]) == s {
		n++
	}
	done := 0
	ready := s.prepareAll(ctx, batch[:n])
	err := s.update(ctx, func(t *txn) error {
		t.prepared = ready
		for _, d := range batch[:n] {
			if err := t.settle(d, now); err != nil {
				return err
			}
			done++
			if t.size() > settleBytes {
				break
			}
		}
		return nil
	})
	if err == nil || ctx.Err() != nil {
		return max(done, 1), err
	}
	var errs []error
	for _, d := range batch[:n] {
		if err := s.update(ctx, func(t *txn) error { return t.settle(d, now) }); err != nil {
			errs = append(errs, fmt.Errorf("inode %d: %w", d.ino, err))
		}
	}
	return n, errors.Join(errs...)
}

// size is the number of bytes of changes in the transaction.
func (t *txn) size() (n int) {
	for _, c := range t.changes {
		n += len(c.Bytes)
	}
	return n
}

func (r *Repo) spaceOfDue(d dueThing) *Space {
	row, err := getNode(r.store, d.ino)
	if err != nil {
		return nil
	}
	s, err := r.spaceOf(row)
	if err != nil {
		return nil
	}
	return s
}

// forget removes a due thing whose node is gone.
func (r *Repo) forget(d dueThing) error {
	var b Batch
	b.Delete(d.key)
	return r.store.Commit(&b, Kernel)
}

// settle does one due thing, if it is still to be done.
func (t *txn) settle(d dueThing, now int64) error {
	t.delete(d.key)
	row, err := getNode(t, d.ino)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case d.what == dueSettle && row.Stage == Nascent && !row.Hidden && row.Settle <= now:
		return t.promote(d.ino)
	case (d.what == duePurge || d.what == dueHeld) && row.Hidden && !t.postponed(d, now):
		return t.purge(d.ino, row)
	}
	return nil
}

// promote makes a new object a document that replicates, and first the folder
// it lies in.
func (t *txn) promote(ino Ino) error {
	row, err := getNode(t, ino)
	if err != nil {
		return err
	}
	if row.Stage != Nascent {
		return nil
	}
	obj, err := getObject(t, t.s.id, row.ID)
	if err != nil {
		return err
	}
	if err := t.promoteParent(obj.Parent); err != nil {
		return err
	}
	if obj, err = getObject(t, t.s.id, row.ID); err != nil {
		return err
	}
	stored, err := getValue(t, t.s.id, row.ID)
	if err != nil {
		return err
	}
	structure := settledStructure(row, obj, stored)
	t.delete(key(tableValue, t.s.id, row.ID)) // the document says it from now on
	events := len(t.events)
	text, err := currentTextOf(t, row)
	if err != nil {
		return err
	}
	if err := t.newDocument(row.ID, structure, text, t.prepared[ino]); err != nil {
		return err
	}
	for e := range t.contentEvents(events, ino) {
		e.What = Replicates
	}
	return t.keepTimes(ino, row)
}

// settledStructure is what the document of a new object begins with: what was
// saved, at the place and under the name the object has now.
func settledStructure(row *nodeRow, obj *objectRow, stored *doc.Value) *doc.Value {
	s := readShape(stored)
	s.Parent, s.Label = obj.Parent, obj.Label
	structure := newStructure(s, row.ModTime/int64(time.Millisecond))
	if row.Kind == KindBlob {
		return structure
	}
	if own, _ := splitView(viewOf(row.Kind, stored)); own.source != nil {
		structure = withEnds(structure, own)
	}
	return structure
}

// currentTextOf returns a layout that is the file's text as it is.
func currentTextOf(t *txn, row *nodeRow) (layout, error) {
	if row.Kind != KindObject {
		return nil, nil
	}
	text, err := t.Get(key(tableText, row.Space, row.ID))
	return func(*doc.Value) []byte { return text }, err
}

// keepTimes undoes that settling moved a file's times: it did not change, and
// editors and version control compare times.
func (t *txn) keepTimes(ino Ino, before *nodeRow) error {
	row, err := getNode(t, ino)
	if err != nil {
		return err
	}
	row.ModTime, row.Changed = before.ModTime, before.Changed
	t.putNode(ino, row)
	return nil
}

func (t *txn) promoteParent(id doc.ObjectID) error {
	if id.IsZero() {
		return nil
	}
	parent, err := getObject(t, t.s.id, id)
	if isNotFound(err) || err == nil && parent.Ino == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return t.promote(parent.Ino)
}

// newDocument makes a document of one object. ready is what prepare made of it,
// or nil; it is not used if something changed since.
func (t *txn) newDocument(id doc.ObjectID, structure *doc.Value, text layout, ready *preparation) error {
	if err := t.openFeed(); err != nil {
		return err
	}
	if ready == nil || ready.feed != t.s.own.id || !ready.structure.Equal(structure) {
		var err error
		if ready, err = t.s.makeDocument(t.ctx, id, structure, t.now); err != nil {
			return fmt.Errorf("new document: %w", err)
		}
	}
	var known texts
	if text != nil {
		known = texts{id: text}
	}
	return wrapf(t.record(&document{id: ready.doc}, ready.result, known), "new document")
}

// preparation is a new object's document as the engine made it before the
// space's lock was taken.
type preparation struct {
	feed      halo.FeedID
	doc       doc.DocumentID
	structure *doc.Value
	result    doc.Result
}

// makeDocument lets the engine make a document. The space's own feed is open;
// its id does not change any more.
func (s *Space) makeDocument(ctx context.Context, id doc.ObjectID, structure *doc.Value, now time.Time) (*preparation, error) {
	p := &preparation{feed: s.own.id, doc: randomDocument(), structure: structure}
	var err error
	p.result, err = s.repo.engine.Edit(ctx, doc.Source{ID: p.doc, Load: noChunks}, doc.EditRequest{
		Branches: []doc.Branch{{Actor: s.actor(p.doc, 0)}}, Time: now.Unix(),
		Edits: newDocument(s.spaceKey(), id, structure)})
	if err == nil && p.result.Change.Hash.IsZero() {
		err = errors.New("the engine made no change of a new document")
	}
	return p, err
}

// engineWorkers is how many documents are with the engine at the same time: one
// for each worker that it has by default.
const engineWorkers = 2

// prepareAll makes the documents of new objects without the space's lock, so
// that saves do not wait for the engine. What cannot be made is left out; the
// transaction tries again and says why.
func (s *Space) prepareAll(ctx context.Context, batch []dueThing) map[Ino]*preparation {
	s.mu.Lock()
	open := s.own.pos.Next > 0
	s.mu.Unlock()
	if !open || len(batch) == 1 {
		return nil
	}
	var mu sync.Mutex // guards out
	out := make(map[Ino]*preparation, len(batch))
	var g errgroup.Group
	g.SetLimit(engineWorkers)
	for _, d := range batch {
		g.Go(func() error {
			if p := s.prepare(ctx, d); p != nil {
				mu.Lock()
				defer mu.Unlock()
				out[d.ino] = p
			}
			return nil
		})
	}
	_ = g.Wait()
	return out
}

func (s *Space) prepare(ctx context.Context, d dueThing) *preparation {
	row, err := getNode(s.repo.store, d.ino)
	if err != nil || d.what != dueSettle || row.Stage != Nascent || row.Hidden {
		return nil
	}
	obj, err := getObject(s.repo.store, s.id, row.ID)
	if err != nil {
		return nil
	}
	stored, err := getValue(s.repo.store, s.id, row.ID)
	if err != nil {
		return nil
	}
	p, err := s.makeDocument(ctx, row.ID, settledStructure(row, obj, stored), s.repo.now())
	if err != nil {
		return nil
	}
	return p
}

// Settle makes a new object replicate now instead of after the delay. It does
// nothing for any other node.
func (r *Repo) Settle(ctx context.Context, ino Ino) error {
	if ino == RootIno {
		return nil
	}
	err := r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error {
		if row.Hidden {
			return nil
		}
		return t.promote(ino)
	})
	return wrapf(err, "settle")
}
