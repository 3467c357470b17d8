package echo

import "sync"

// What tells what about a node changed, as a set of bits.
type What uint8

const (
	// Data: the content, size or times of Event.Ino.
	Data What = 1 << iota
	// Added: Event.Parent has a new entry Event.Name, which is Event.Ino.
	Added
	// Removed: Event.Parent has lost the entry Event.Name, which was Event.Ino.
	Removed
	// Log: an entry or a credential was added to Event.Space; there may be
	// something to send.
	Log
	// Acked: another device of Event.Space has acknowledged entries.
	Acked
	// Members: roles, members or keys of Event.Space changed, or there is a new
	// space.
	Members
	// Chunks: of blobs of Event.Space, some are missing, or what was missing has
	// come.
	Chunks
	// Replicates: Event.Ino was new and has become a document. It shows what it
	// showed before.
	Replicates
)

// Event is one change.
type Event struct {
	What   What // one bit
	Ino    Ino
	Parent Ino
	Name   string
	Kind   Kind
	Space  SpaceID
	Remote bool // the change came from another device

	// Quiet says that who serves the file need not tell of it: who changed it asked
	// to tell of that himself.
	Quiet bool
}

// eventKey is what makes two events one: the later takes the place of the
// earlier.
type eventKey struct {
	what   What
	ino    Ino
	parent Ino
	name   string
	space  SpaceID
}

// Subscription collects changes for one listener: a set and a channel of one
// slot. Whoever makes a change never waits for the listener, the listener
// misses nothing, and the same change twice takes room once.
type Subscription struct {
	hub    *hub
	mask   What
	notify chan struct{}
	limit  int // of changes that are kept; 0: none

	mu    sync.Mutex // guards the below
	lost  int        // changes beyond the limit
	seq   uint64     // counts recorded events
	order []ordered
	dirty map[eventKey]numbered
}

// ordered is a place in the order of events; it counts only while dirty holds
// the key under the same number.
type ordered struct {
	key eventKey
	seq uint64
}

type numbered struct {
	Event
	seq uint64
}

// C receives when there is something to Take.
func (s *Subscription) C() <-chan struct{} { return s.notify }

// Take returns what changed since the last Take, in order, and forgets it.
func (s *Subscription) Take() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Event, 0, len(s.order))
	for _, o := range s.order {
		if e, ok := s.dirty[o.key]; ok && e.seq == o.seq {
			out = append(out, e.Event)
		}
	}
	s.order, s.dirty = nil, nil
	return out
}

// TakeLost returns how many changes were left out since the last TakeLost because
// there were more than the subscription keeps.
func (s *Subscription) TakeLost() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.lost
	s.lost = 0
	return n
}

// Close ends the subscription; C receives no more.
func (s *Subscription) Close() { s.hub.remove(s) }

func (s *Subscription) add(events []Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	added := false
	for _, e := range events {
		if e.What&s.mask == 0 {
			continue
		}
		s.put(e)
		added = true
	}
	if !added {
		return
	}
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// put records one event; s.mu is held. An entry that is added and removed
// again is told as both, in that order, so that the last one is the truth.
func (s *Subscription) put(e Event) {
	if s.dirty == nil {
		s.dirty = make(map[eventKey]numbered)
	}
	k := eventKey{e.What, e.Ino, e.Parent, e.Name, e.Space}
	if e.What&(Data|Replicates) != 0 {
		k.parent, k.name = 0, ""
	}
	if opposite := e.What ^ (Added | Removed); e.What&(Added|Removed) != 0 {
		o := k
		o.what = opposite
		delete(s.dirty, o)
	}
	old, ok := s.dirty[k]
	if !ok && s.limit > 0 && len(s.order) >= s.limit {
		s.lost++
		return
	}
	if !ok {
		s.seq++
		old.seq = s.seq
		s.order = append(s.order, ordered{k, s.seq})
	}
	e.Quiet = e.Quiet && (!ok || old.Quiet) // one that is not quiet is told
	s.dirty[k] = numbered{e, old.seq}
}

// hub spreads events to subscriptions.
type hub struct {
	mu   sync.Mutex // guards subs
	subs map[*Subscription]bool
}

func (h *hub) subscribe(mask What, limit int) *Subscription {
	s := &Subscription{hub: h, mask: mask, notify: make(chan struct{}, 1), limit: limit}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = make(map[*Subscription]bool)
	}
	h.subs[s] = true
	return s
}

func (h *hub) remove(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
}

func (h *hub) publish(events []Event) {
	if len(events) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		s.add(events)
	}
}
