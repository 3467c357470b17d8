package sync

import (
	"slices"
	"time"

	"echofs/halo"
)

// Presence: which objects people have open now. It is told to the devices that
// are connected, inside of their sessions, and goes no further: a relay is told
// nothing, since object ids are none of its business. It is stored nowhere, says
// nothing about content, and ends by itself: with the session, or when it was not
// told again for presenceLife. Nothing waits for it.

const (
	maxPresent      = 32                     // objects in one message
	presenceSpacing = 500 * time.Millisecond // between two messages to a peer
	presenceAgain   = 15 * time.Second       // after which what holds is told again
	presenceLife    = 45 * time.Second       // of what a peer told
	presenceRate    = 4                      // messages a second that count; honest peers send half of them
	presenceBurst   = 8
)

// presence tells which objects are open at the sender: all of them, in place of
// what it told before.
type presence struct {
	Open []openObject `cbor:"1,keyasint"`
}

// openObject is an object that somebody has open.
type openObject struct {
	_      struct{} `cbor:",toarray"`
	Object [16]byte
	Since  uint64 // unix milliseconds of the sender's clock
}

func (presence) kind() kind { return kindPresence }

func (m presence) check() error { return atMost(len(m.Open), maxPresent, "open objects") }

// Open is an object that is open on this device.
type Open struct {
	Object [16]byte
	Since  time.Time
}

// Present is an object that is open on another device.
type Present struct {
	Open
	Device   halo.DeviceID
	Identity halo.IdentityID
}

// SetOpen says which objects of a space are open here now. Those opened last are
// told, at most maxPresent.
func (n *Network) SetOpen(space halo.SpaceID, list []Open) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Open) int { return b.Since.Compare(a.Since) })
	list = list[:min(len(list), maxPresent)]
	n.mu.Lock()
	if len(list) == 0 {
		delete(n.open, space)
	} else {
		n.open[space] = list
	}
	n.mu.Unlock()
	if s := n.swarm(space); s != nil {
		s.x.setOpen(list)
	}
}

// Present returns which objects of a space the connected devices have open.
func (n *Network) Present(space halo.SpaceID) (list []Present) {
	s := n.swarm(space)
	if s == nil {
		return nil
	}
	for _, p := range s.x.peerList() {
		list = append(list, p.present(time.Now())...)
	}
	return list
}

// setOpen lets all peers be told.
func (x *exchange) setOpen(list []Open) {
	x.mu.Lock()
	x.open = list
	x.mu.Unlock()
	for _, p := range x.peerList() {
		p.mu.Lock()
		p.presenceDue = true
		p.mu.Unlock()
		poke(p.wake)
	}
}

// tellPresence is rule 7.
func (p *peer) tellPresence(list []message) []message {
	p.x.mu.Lock()
	open := p.x.open
	p.x.mu.Unlock()
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.presenceAt.IsZero()
	again := len(open) > 0 && (first || now.Sub(p.presenceAt) > presenceAgain)
	if !p.presenceDue && !again || first && len(open) == 0 || p.role() == halo.RoleRelay {
		p.presenceDue = false
		return list
	}
	if wait := presenceSpacing - now.Sub(p.presenceAt); wait > 0 {
		time.AfterFunc(wait, func() { poke(p.wake) })
		return list
	}
	p.presenceDue, p.presenceAt = false, now
	m := presence{Open: []openObject{}}
	for _, o := range open {
		m.Open = append(m.Open, openObject{Object: o.Object, Since: uint64(max(0, o.Since.UnixMilli()))})
	}
	return append(list, m)
}

// handlePresence takes what the peer has open; what comes too often is dropped.
func (p *peer) handlePresence(m presence) {
	if !p.presences.Allow() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.theirOpen, p.theirOpenAt = m.Open, time.Now()
}

// present returns what the peer has open, as far as it told lately.
func (p *peer) present(now time.Time) (list []Present) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.theirOpenAt) > presenceLife {
		return nil
	}
	for _, o := range p.theirOpen {
		since := time.UnixMilli(int64(min(o.Since, uint64(now.UnixMilli()))))
		list = append(list, Present{Open: Open{Object: o.Object, Since: since}, Device: p.remote.Device, Identity: p.remote.Identity})
	}
	return list
}
