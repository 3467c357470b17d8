package sync

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/signal"
)

const (
	// maxHops bounds how far what members tell of each other travels, and by that
	// how long it is believed of one that has gone.
	maxHops = 12
	// maxRoutes is how many devices are told of in a message.
	maxRoutes = maxContacts
	// routesSpacing is the time between two messages of routes to one peer.
	routesSpacing = 200 * time.Millisecond
	// Sealed boxes that a peer may have carried: a second, and at once.
	carryRate  = 50
	carryBurst = 200
	// maxOut is how many messages of other members wait for one peer.
	maxOut = 64
)

// route is how far away a device is from whoever tells.
type route struct {
	_        struct{} `cbor:",toarray"`
	Device   halo.DeviceID
	Instance [16]byte // of its program
	Hops     uint8    // 1: it is connected with whoever tells
}

// path is the best way to a device.
type path struct {
	via      *peer
	instance [16]byte
	hops     uint8 // through via; 0: via is the device itself
}

// routes are the ways to devices of a space through those that are connected: of
// each what it told last, and the best of all. Whoever tells leaves out what it
// has from whom it tells (split horizon).
type routes struct {
	self halo.DeviceID

	mu    sync.Mutex // guards the below
	told  map[*peer][]route
	best  map[halo.DeviceID]path
	index map[[16]byte]halo.DeviceID // by instance
}

func newRoutes(self halo.DeviceID) *routes {
	r := &routes{self: self, told: make(map[*peer][]route)}
	r.compute()
	return r
}

// set takes what a peer tells, instead of what it told before; it reports
// whether any best way is another one.
func (r *routes) set(p *peer, list []route) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told[p] = list
	return r.compute()
}

// drop forgets a peer that is not connected any more.
func (r *routes) drop(p *peer) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.told, p)
	return r.compute()
}

// compute finds the best ways; r.mu is held.
func (r *routes) compute() (changed bool) {
	best := make(map[halo.DeviceID]path)
	for p, list := range r.told {
		r.offer(best, p.remote.Device, path{p, p.remote.Instance, 0})
		for _, one := range list {
			if one.Device != r.self && one.Hops < maxHops {
				r.offer(best, one.Device, path{p, one.Instance, one.Hops})
			}
		}
	}
	changed = !maps.Equal(best, r.best)
	r.best = best
	r.index = make(map[[16]byte]halo.DeviceID, len(best))
	for device, way := range best {
		r.index[way.instance] = device
	}
	return changed
}

// offer keeps the better of two ways. Of equals the one through the lower device
// is better, so that all is the same in whatever order it comes.
func (r *routes) offer(best map[halo.DeviceID]path, device halo.DeviceID, way path) {
	old, ok := best[device]
	if !ok && len(best) >= maxRoutes {
		return
	}
	if !ok || way.hops < old.hops || way.hops == old.hops && compareDevices(way.via.remote.Device, old.via.remote.Device) < 0 {
		best[device] = way
	}
}

// to returns the best way to a device.
func (r *routes) to(device halo.DeviceID) (path, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	way, ok := r.best[device]
	return way, ok
}

// find returns the best way to a program.
func (r *routes) find(instance [16]byte) (path, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	way, ok := r.best[r.index[instance]]
	return way, ok && way.instance == instance
}

// devices returns the devices that are reached, connected ones among them.
func (r *routes) devices() []halo.DeviceID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Keys(r.best), compareDevices)
}

// forPeer returns what a peer is told.
func (r *routes) forPeer(p *peer) (list []route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for device, way := range r.best {
		if way.via != p && device != p.remote.Device && way.hops+1 < maxHops {
			list = append(list, route{Device: device, Instance: way.instance, Hops: way.hops + 1})
		}
	}
	slices.SortFunc(list, func(a, b route) int { return bytes.Compare(a.Device[:], b.Device[:]) })
	return list
}

// router is what a peer hands over that is about other members. A nil router
// has no use for it.
type router interface {
	// heardRoutes takes what a peer tells about others.
	heardRoutes(*peer, []route)
	// routesFor returns what to tell a peer.
	routesFor(*peer) []route
	// carried takes a box for this device or another.
	carried(*peer, carry)
}

// memberLine carries sealed boxes from member to member. It has no way to all:
// who is there is told by routes.
type memberLine struct{ s *swarm }

var _ signal.Line = memberLine{}

// memberURL is the name of the line through members.
const memberURL = "members:"

// URL implements signal.Line.
func (l memberLine) URL() string { return memberURL }

// Send implements signal.Line.
func (l memberLine) Send(_ context.Context, f signal.Frame) error {
	if f.To == nil {
		return nil
	}
	way, ok := l.s.routes.find(*f.To)
	if !ok {
		return ErrUnreachable
	}
	way.via.post(carry{Topic: f.Topic, From: f.From, To: *f.To, Box: f.Box, Hops: 1})
	return nil
}

// seatOf returns the seat of this device on a topic among members: its address
// is the number of its program.
func (l memberLine) seatOf(topic halo.Topic) signal.Seat {
	return signal.Seat{Topic: signal.Topic(topic), Self: l.s.n.instance, Line: l}
}

// heardRoutes implements router. Only devices of members are believed in.
func (s *swarm) heardRoutes(p *peer, list []route) {
	members := make(map[halo.DeviceID]bool)
	state := s.space.State()
	for _, d := range append(state.ActiveDevices(), state.RelayDevices()...) {
		members[d.ID] = true
	}
	list = slices.DeleteFunc(slices.Clone(list), func(r route) bool { return !members[r.Device] || r.Hops == 0 })
	s.mu.Lock()
	c := s.contacts[p.remote.Device]
	linked := c != nil && c.link == p
	s.mu.Unlock()
	if linked && s.routes.set(p, list) {
		s.rerouted()
	}
}

// rerouted acts on other ways than before: there may be others to connect with,
// and peers to be told.
func (s *swarm) rerouted() {
	s.x.tellRoutes()
	devices := s.routes.devices()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, device := range devices {
		s.contact(device)
	}
	s.arrange()
}

// routesFor implements router.
func (s *swarm) routesFor(p *peer) []route { return s.routes.forPeer(p) }

// carried implements router.
func (s *swarm) carried(p *peer, m carry) {
	if m.To != s.n.instance {
		way, ok := s.routes.find(m.To)
		if ok && way.via != p && m.Hops < maxHops {
			m.Hops++
			way.via.post(m)
		}
		return
	}
	s.mu.Lock()
	meeting := s.meetings[halo.Topic(m.Topic)]
	s.mu.Unlock()
	if meeting != nil {
		to := signal.PeerID(m.To)
		meeting.Received(memberLine{s}.seatOf(meeting.topic), signal.Frame{Topic: m.Topic, From: m.From, To: &to, Box: m.Box})
	}
}
