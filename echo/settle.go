package echo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"echofs/echo/doc"
)

// What waits for its time is in the table of due things, so that it is done
// after a restart too: new objects settle when they have kept their name for a
// while, and removed objects are marked deleted when nothing brought them back.

const (
	farFuture = math.MaxInt64 // ms: everything is due

	// settleBatch is how many objects settle in one entry, and settleBytes how
	// many bytes of changes; both stay below the limits of an entry.
	settleBatch = 200
	settleBytes = 512 << 10
)

// due notes that something is to be done with a node after a delay.
func (t *txn) due(ino Ino, what dueKind, after time.Duration) int64 {
	ms := t.now.Add(after).UnixMilli()
	t.put(key(tableDue, uint64(ms), ino), []byte{byte(what)})
	t.after = append(t.after, t.s.repo.wake)
	return ms
}

// settleLater lets a new object settle when it has kept its name.
func (t *txn) settleLater(ino Ino, row *nodeRow) {
	row.Settle = t.due(ino, dueSettle, t.s.repo.opts.SettleDelay)
	t.putNode(ino, row)
}

func (r *Repo) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// settler does what is due until ctx ends.
func (r *Repo) settler(ctx context.Context) {
	defer close(r.stopped)
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
	if next, ok := r.nextDue(); ok {
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
	err := s.update(ctx, func(t *txn) error {
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
	case d.what == duePurge && row.Hidden:
		return t.purge(d.ino, row)
	}
	return nil
}

// purge marks a removed object deleted, or drops it if nobody else has it.
func (t *txn) purge(ino Ino, row *nodeRow) error {
	mark := key(tableHidden, row.Parent, row.Label)
	if b, err := t.Get(mark); err == nil && keyIno(b, 0) == ino {
		t.delete(mark)
	}
	if row.Stage != Settled {
		t.dropObject(ino, row)
		return nil
	}
	return t.setDeleted(row.ID, true)
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
	s := readShape(stored)
	s.Parent, s.Label = obj.Parent, obj.Label
	structure := newStructure(s, row.ModTime/int64(time.Millisecond))
	if own, _ := splitView(viewOf(row.Kind, stored)); own.source != nil {
		structure = withEnds(structure, own)
	}
	t.delete(key(tableValue, t.s.id, row.ID)) // the document says it from now on
	modified := row.ModTime
	text, err := currentTextOf(t, row)
	if err != nil {
		return err
	}
	if err := t.newDocument(row.ID, structure, text); err != nil {
		return err
	}
	return t.keepTime(ino, modified)
}

// currentTextOf returns a layout that is the file's text as it is.
func currentTextOf(t *txn, row *nodeRow) (layout, error) {
	if row.Kind != KindObject {
		return nil, nil
	}
	text, err := t.Get(key(tableText, row.Space, row.ID))
	return func(*doc.Value) []byte { return text }, err
}

// keepTime undoes that settling moved the modification time: the file did not
// change, and editors compare times.
func (t *txn) keepTime(ino Ino, modified int64) error {
	row, err := getNode(t, ino)
	if err != nil {
		return err
	}
	row.ModTime = modified
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

// newDocument makes a document of one object.
func (t *txn) newDocument(id doc.ObjectID, structure *doc.Value, text layout) error {
	d := &document{id: randomDocument()}
	edits := newDocument(t.s.spaceKey(), id, structure)
	var known texts
	if text != nil {
		known = texts{id: text}
	}
	res, err := t.edit(d, nil, edits, known)
	if err == nil && res.Change.Hash.IsZero() {
		err = errors.New("the engine made no change of a new document")
	}
	return wrapf(err, "new document")
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
