package echo

import (
	"context"
	"fmt"
	"time"

	"echofs/echo/doc"
)

// Removed objects are out of the tree at once and wait in the table of due
// things before they are marked deleted: for Options.RemoveGrace as long as
// they are few. While removals go on the wait goes on too, up to holdWindow, so
// that a large removal is known as one before any of it was sent. When more
// than Options.HoldAfter wait, all of them, and those that follow, wait for
// Options.HoldFor; CancelHeld brings them back.

// holdWindow is the time within which removals count as one.
const holdWindow = 10 * time.Second

// Defaults of Options.
const (
	DefaultHoldAfter = 100
	DefaultHoldFor   = time.Minute
)

// removals is what a space knows of the objects that were removed here and are
// not marked deleted yet. It is guarded by Space.mu and follows from the table
// of due things, but for the times before a restart.
type removals struct {
	waiting map[Ino]removal // those that are not held
	last    int64           // ms: of the last removal
	held    int64           // ms: of the last removal that was held; 0 for none
}

type removal struct{ at, due int64 } // ms

// removeLater lets an object that is out of the tree be marked deleted later.
func (t *txn) removeLater(ino Ino) {
	w, now := &t.s.removals, t.now.UnixMilli()
	opts := &t.s.repo.opts
	if w.held != 0 && now-w.held < holdWindow.Milliseconds() {
		t.due(ino, dueHeld, opts.HoldFor)
		t.after = append(t.after, func() { w.last, w.held = now, now })
		return
	}
	due := t.due(ino, duePurge, opts.RemoveGrace)
	t.after = append(t.after, func() { w.last, w.waiting[ino] = now, removal{now, due} })
	recent := 1
	for _, r := range w.waiting {
		if now-r.at < holdWindow.Milliseconds() {
			recent++
		}
	}
	if recent > opts.HoldAfter {
		t.delete(key(tableDue, uint64(due), ino))
		t.due(ino, dueHeld, opts.HoldFor)
		t.hold()
	}
}

// hold makes everything wait that waits to be marked deleted.
func (t *txn) hold() {
	w, now := &t.s.removals, t.now.UnixMilli()
	for ino, r := range w.waiting {
		t.delete(key(tableDue, uint64(r.due), ino))
		t.due(ino, dueHeld, t.s.repo.opts.HoldFor)
	}
	t.after = append(t.after, func() {
		clear(w.waiting)
		w.held = now
	})
}

// postponed reports whether a removed object is to wait longer than it was to,
// and notes until when.
func (t *txn) postponed(d dueThing, now int64) bool {
	w, opts := &t.s.removals, &t.s.repo.opts
	if now == farFuture {
		return false
	}
	until := int64(0)
	if d.what == dueHeld {
		until = w.held + opts.HoldFor.Milliseconds()
	} else if r, ok := w.waiting[d.ino]; ok {
		until = min(w.last+opts.RemoveGrace.Milliseconds(), r.at+holdWindow.Milliseconds())
	}
	if until <= now {
		return false
	}
	t.put(key(tableDue, uint64(until), d.ino), []byte{byte(d.what)})
	if d.what == duePurge {
		t.after = append(t.after, func() { w.waiting[d.ino] = removal{w.waiting[d.ino].at, until} })
	}
	return true
}

// waitsNoMore forgets that an object waits: it is back, or marked deleted.
func (t *txn) waitsNoMore(ino Ino) {
	t.after = append(t.after, func() { delete(t.s.removals.waiting, ino) })
}

// loadRemovals finds what waited when the vault was closed, or its process
// died. Too many to have been meant one by one are held.
func (r *Repo) loadRemovals(ctx context.Context) error {
	waiting := map[*Space]map[Ino]removal{}
	for _, d := range r.dueThings(duePurge) {
		if s := r.spaceOfDue(d); s != nil {
			if waiting[s] == nil {
				waiting[s] = map[Ino]removal{}
			}
			due := int64(keyIno(d.key, 1))
			waiting[s][d.ino] = removal{due - r.opts.RemoveGrace.Milliseconds(), due}
		}
	}
	for s, w := range waiting {
		s.mu.Lock()
		s.removals.waiting = w
		_, err := s.updateLocked(ctx, false, func(t *txn) error {
			if len(w) > r.opts.HoldAfter {
				t.hold()
			}
			return nil
		})
		s.mu.Unlock()
		if err != nil {
			return fmt.Errorf("hold removals: %w", err)
		}
	}
	return nil
}

// dueThings returns all due things of a kind, in the order of their times.
func (r *Repo) dueThings(what dueKind) []dueThing {
	var out []dueThing
	_ = scanPrefix(r.store, []byte{tableDue}, func(k, v []byte) bool {
		if len(v) == 1 && dueKind(v[0]) == what {
			out = append(out, dueThing{append([]byte(nil), k...), keyIno(k, 9), what})
		}
		return true
	})
	return out
}

// Held is a large removal that waits before it is told to others.
type Held struct {
	Space SpaceID
	Count int       // of objects
	Until time.Time // when the last of them is marked deleted
}

// HeldDeletes lists the large removals that wait, at most one for each space.
func (r *Repo) HeldDeletes() []Held {
	var out []Held
	index := map[SpaceID]int{}
	for _, d := range r.dueThings(dueHeld) {
		s := r.spaceOfDue(d)
		if s == nil {
			continue
		}
		i, ok := index[s.id]
		if !ok {
			i = len(out)
			index[s.id] = i
			out = append(out, Held{Space: s.id})
		}
		out[i].Count++
		out[i].Until = timeOf(int64(keyIno(d.key, 1)))
	}
	return out
}

// CancelHeld brings the objects of a large removal back to their places, and
// returns how many they were; 0 where none is held.
func (r *Repo) CancelHeld(ctx context.Context, space SpaceID) (restored int, err error) {
	s, ok := r.SpaceByID(space)
	if !ok {
		return 0, fmt.Errorf("cancel removals: %w", ErrNotFound)
	}
	var mine []dueThing
	for _, d := range r.dueThings(dueHeld) {
		if r.spaceOfDue(d) == s {
			mine = append(mine, d)
		}
	}
	for len(mine) > 0 {
		n := min(len(mine), settleBatch)
		done := 0
		err := s.update(ctx, func(t *txn) error {
			for _, d := range mine[:n] {
				back, err := t.cancel(d)
				if err != nil {
					return err
				}
				if back {
					done++
				}
			}
			t.after = append(t.after, func() { t.s.removals.held = 0 })
			return nil
		})
		if err != nil {
			return restored, fmt.Errorf("cancel removals: %w", err)
		}
		restored += done
		mine = mine[n:]
	}
	return restored, nil
}

func (t *txn) cancel(d dueThing) (bool, error) {
	t.delete(d.key)
	row, err := getNode(t, d.ino)
	if isNotFound(err) {
		return false, nil
	}
	if err != nil || !row.Hidden {
		return false, err
	}
	t.dropMark(d.ino, row)
	_, err = t.revealAs(d.ino, row)
	return err == nil, err
}

// dropMark forgets that an object was removed from a name.
func (t *txn) dropMark(ino Ino, row *nodeRow) {
	for _, name := range []string{row.Label, row.Gone} {
		mark := key(tableHidden, row.Parent, name)
		if b, err := t.Get(mark); err == nil && keyIno(b, 0) == ino {
			t.delete(mark)
		}
	}
}

// purge marks a removed object deleted, as of the version that was seen when it
// was removed, or drops it if nobody else has it.
func (t *txn) purge(ino Ino, row *nodeRow) error {
	t.dropMark(ino, row)
	t.waitsNoMore(ino)
	if row.Stage != Settled {
		t.dropObject(ino, row)
		return nil
	}
	if err := t.deleteSeen(row.ID, row.Seen); err != nil {
		return err
	}
	row, err := getNode(t, ino)
	if err != nil || !row.Hidden {
		return ignoreNotFound(err)
	}
	_, err = t.revealAs(ino, row) // somebody had edited it meanwhile
	return err
}

func ignoreNotFound(err error) error {
	if isNotFound(err) {
		return nil
	}
	return err
}

// hideFolder takes a folder out of the tree together with objects that were
// removed from it and wait.
func (t *txn) hideFolder(ino Ino, row *nodeRow) error {
	parent := row.Parent
	t.unlink(ino, row)
	row.Hidden, row.Parent, row.Seen = true, parent, row.Heads
	t.putNode(ino, row)
	t.removeLater(ino)
	return t.replaceChildren(row.ID)
}

// hasHidden reports whether objects that were removed from a folder wait.
func (t *txn) hasHidden(folder doc.ObjectID) (bool, error) {
	found := false
	prefix := key(tableChild, t.s.id, folder)
	err := scanPrefix(t, prefix, func(k, _ []byte) bool {
		var id doc.ObjectID
		copy(id[:], k[len(prefix):])
		found = t.isHidden(id)
		return !found
	})
	return found, err
}

func (t *txn) isHidden(id doc.ObjectID) bool {
	obj, err := getObject(t, t.s.id, id)
	if err != nil || obj.Ino == 0 || obj.Deleted {
		return false
	}
	row, err := getNode(t, obj.Ino)
	return err == nil && row.Hidden
}
