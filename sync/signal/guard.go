package signal

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The bounds of a Guard.
const (
	guardPeers    = 1024             // peers remembered
	guardSessions = 4096             // offers remembered
	sessionLife   = 24 * time.Hour   // how long
	badBoxes      = 20               // boxes that do not open
	badWindow     = 10 * time.Second // within this time mute their sender
	topicRate     = 50               // messages a second on a topic
	topicBurst    = 200
)

// Guard decides which frames of one topic deserve attention. Its memory is
// bounded: the longest unused is forgotten first.
type Guard struct {
	mu       sync.Mutex // guards the below
	budget   *rate.Limiter
	peers    *recent[PeerID, *sender]
	sessions *recent[[16]byte, time.Time]
}

type sender struct {
	counter uint64
	bad     int
	since   time.Time // of the first bad box that is counted
	muted   time.Time // until
}

// NewGuard returns a guard that has seen nothing.
func NewGuard() *Guard {
	return &Guard{
		budget:   rate.NewLimiter(topicRate, topicBurst),
		peers:    newRecent[PeerID, *sender](guardPeers),
		sessions: newRecent[[16]byte, time.Time](guardSessions),
	}
}

// Open returns the message in a frame unless it is to be ignored: beyond the
// topic's budget, from a muted sender, not opened by the key, or seen before.
func (g *Guard) Open(key [32]byte, f Frame) (Message, bool) {
	if !g.admit(f.From) {
		return Message{}, false
	}
	m, err := OpenBox(key, f)
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sender(f.From)
	if err != nil {
		s.failed(time.Now())
		return Message{}, false
	}
	if m.Counter <= s.counter {
		return Message{}, false
	}
	s.counter = m.Counter
	return m, true
}

func (g *Guard) admit(from PeerID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if s, ok := g.peers.get(from); ok && now.Before(s.muted) {
		return false
	}
	return g.budget.AllowN(now, 1)
}

// sender returns what is known of a peer; g.mu is held.
func (g *Guard) sender(id PeerID) *sender {
	s, ok := g.peers.get(id)
	if !ok {
		s = new(sender)
		g.peers.put(id, s)
	}
	return s
}

func (s *sender) failed(now time.Time) {
	if now.Sub(s.since) > badWindow {
		s.bad, s.since = 0, now
	}
	s.bad++
	if s.bad >= badBoxes {
		s.bad, s.muted = 0, now.Add(badWindow)
	}
}

// Fresh reports whether the session of an offer was not seen before, and
// remembers it.
func (g *Guard) Fresh(session [16]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if at, ok := g.sessions.get(session); ok && now.Sub(at) < sessionLife {
		return false
	}
	g.sessions.put(session, now)
	return true
}

// recent is a map that forgets the longest unused beyond its size.
type recent[K comparable, V any] struct {
	size  int
	order *list.List // of pair[K, V], the most recently used first
	items map[K]*list.Element
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](size int) *recent[K, V] {
	return &recent[K, V]{size: size, order: list.New(), items: make(map[K]*list.Element)}
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	e, ok := r.items[k]
	if !ok {
		return v, false
	}
	r.order.MoveToFront(e)
	return e.Value.(pair[K, V]).value, true
}

func (r *recent[K, V]) put(k K, v V) {
	if e, ok := r.items[k]; ok {
		e.Value = pair[K, V]{k, v}
		r.order.MoveToFront(e)
		return
	}
	r.items[k] = r.order.PushFront(pair[K, V]{k, v})
	if r.order.Len() > r.size {
		last := r.order.Back()
		delete(r.items, last.Value.(pair[K, V]).key)
		r.order.Remove(last)
	}
}
