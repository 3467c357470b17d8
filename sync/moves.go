package sync

import (
	"context"
	"net"
	"slices"
	"time"
)

// lookEvery is how often it is looked whether this device has moved.
const lookEvery = time.Second

// move is what has become of this device's place in the network.
type move struct {
	now   []string // its addresses
	lost  bool     // it had others, too
	slept bool     // it did nothing for so long that others have given it up
}

// follows returns what has happened between two looks; ok is false for nothing.
// Without any address nothing has happened yet: it may come back with those it
// had.
func follows(before, now []string, took time.Duration) (m move, ok bool) {
	m = move{now: now, slept: took > lookEvery+silence}
	m.lost = slices.ContainsFunc(before, func(a string) bool { return !slices.Contains(now, a) })
	return m, len(now) > 0 && (m.slept || m.lost || !slices.Equal(before, now))
}

// breaks reports whether a connection that uses an address of this device is of
// no more use. Of some connections the address is not known.
func (m move) breaks(address string) bool {
	ip := net.ParseIP(address)
	switch {
	case m.slept:
		return true
	case ip == nil || ip.IsUnspecified():
		return m.lost
	case ip.IsLoopback() || ip.IsLinkLocalUnicast():
		return false
	}
	return !slices.Contains(m.now, address)
}

// watchMoves notices that this device has other addresses than before, or that
// it has slept, until ctx ends: then servers and devices are called at once,
// where else they would be when the silence of the old connections is noticed.
func (n *Network) watchMoves(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	before, _ := n.api.Addresses()
	for at := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := n.api.Addresses()
		if err != nil {
			continue
		}
		// The one clock stands still while the machine sleeps, the other one while
		// the process is stopped alone goes on.
		later := time.Now()
		took := max(later.Sub(at), later.Round(0).Sub(at.Round(0)))
		at = later
		if m, ok := follows(before, now, took); ok {
			n.moved(m)
		}
		if len(now) > 0 {
			before = now
		}
	}
}

// moved has everybody called who may not be reached any more, or may be now.
func (n *Network) moved(m move) {
	n.logger.Info("this device has moved", "lost", m.lost, "slept", m.slept)
	for _, c := range n.clientList() {
		if m.lost || m.slept || !c.Connected() {
			c.Redial()
		}
	}
	for _, s := range n.swarmList() {
		s.moved(m)
	}
}

// moved tries all devices anew, and doubts the links that the move breaks.
func (s *swarm) moved(m move) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.contacts {
		c.failures, c.after = 0, time.Time{}
		if c.link != nil && m.breaks(c.conn.LocalAddress()) {
			c.doubted = true
		}
		if c.dialing != 0 {
			c.abandon(errMoved)
		}
	}
	s.arrange()
}

var _ sitter = (*swarm)(nil)

// sat implements sitter: devices that were met at a server are there still, and
// can be called from the new seat.
func (s *swarm) sat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrange()
}
