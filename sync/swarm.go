package sync

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/overlay"
	"echofs/sync/rtc"
	"echofs/sync/signal"
)

const (
	maxContacts   = 512 // devices of a space whose addresses are remembered
	maxEpochs     = 4   // epochs on whose topics a device listens
	topicMargin   = 2 * time.Hour
	answerTimeout = 5 * time.Second
	dialTimeout   = 20 * time.Second
	settleTime    = 2 * time.Second       // a link so young is not doubted
	askedFor      = 10 * time.Second      // a device that asked to be connected is remembered as such
	busyWait      = 50 * time.Millisecond // while others are being connected
	fullFor       = 20 * time.Second      // a device that had no room is not asked again
	givenUp       = 4                     // failed attempts after which others are connected with in its place
	dialsGivenUp  = 2                     // attempts under way beside which such a device is tried
	staleAfter    = 3                     // times AnnounceEvery without an announce, after which an address is forgotten
)

// swarm is the devices of one space: where they were met, who is connected, and
// when to try again.
type swarm struct {
	n      *Network
	o      *online
	x      *exchange
	space  Space
	routes *routes
	logger *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // what the swarm started

	mu       sync.Mutex // guards the below
	closed   bool
	meetings map[halo.Topic]*meeting
	current  *meeting // of the newest epoch and the day; nil for none
	contacts map[halo.DeviceID]*contact
	dials    uint64 // attempts so far
}

// contact is what is known of one device. It is guarded by swarm.mu.
type contact struct {
	device   halo.DeviceID
	link     *peer // nil while not connected
	conn     *rtc.Conn
	where    address
	known    bool                    // where is
	met      time.Time               // when it was heard of at where
	doubted  bool                    // the link may be dead: make another
	asked    time.Time               // until then it is wanted, since it asked to be connected
	full     time.Time               // until then it has no room
	dialing  uint64                  // number of the attempt under way; 0 for none
	abandon  context.CancelCauseFunc // gives up that attempt
	failures int                     // since it was last connected
	after    time.Time               // not to be tried before
	timer    *time.Timer
}

// address is where a device was met.
type address struct {
	meeting  *meeting
	seat     signal.Seat
	peer     signal.PeerID
	instance [16]byte
}

func newSwarm(n *Network, o *online, space Space) *swarm {
	logger := n.logger.With("space", space.ID().Short())
	s := &swarm{
		n: n, o: o, space: space, logger: logger, x: newExchange(n.repo, space, n.logger, n.instance),
		routes:   newRoutes(n.repo.DeviceID()),
		meetings: make(map[halo.Topic]*meeting), contacts: make(map[halo.DeviceID]*contact),
	}
	s.ctx, s.cancel = context.WithCancel(o.ctx)
	s.x.router = s
	s.x.open = n.open[space.ID()] // n.mu is held
	s.x.refresh()
	return s
}

// run runs until the swarm is cancelled, and returns when all of it has ended.
func (s *swarm) run() {
	s.wg.Go(func() { s.x.keepAcks(s.ctx) })
	s.announceAlways()
	s.mu.Lock()
	s.closed = true
	for _, c := range s.contacts {
		c.stop()
	}
	topics := s.meetings
	s.meetings = nil
	s.mu.Unlock()
	for topic := range topics {
		s.leave(topic)
	}
	s.wg.Wait()
}

func (c *contact) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// spawn runs f as a part of the swarm, unless that has ended.
func (s *swarm) spawn(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spawnLocked(f)
}

func (s *swarm) spawnLocked(f func()) {
	if !s.closed {
		s.wg.Go(f)
	}
}

func (s *swarm) announceAlways() {
	for {
		pauseFor(s.ctx, backoff(s.n.opts.AnnounceEvery, s.n.opts.AnnounceEvery, 1))
		if s.ctx.Err() != nil {
			return
		}
		for _, m := range s.meetingList() {
			m.announceAll()
		}
	}
}

func (s *swarm) meetingList() (list []*meeting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.meetings {
		list = append(list, m)
	}
	return list
}

// days returns the days whose topics are in use: today, and its neighbour near
// midnight, since clocks differ.
func days(now time.Time) []uint64 {
	today := halo.UnixDay(now)
	list := []uint64{today}
	if d := halo.UnixDay(now.Add(topicMargin)); d != today {
		list = append(list, d)
	}
	if d := halo.UnixDay(now.Add(-topicMargin)); d != today {
		list = append(list, d)
	}
	return list
}

// rearrange makes the topics those of the epochs and the day, and forgets
// refusals: who refused may have learned better.
func (s *swarm) rearrange(now time.Time) {
	wanted := make(map[halo.Topic]*meeting)
	secrets := s.space.SwarmSecrets()
	var current halo.Topic
	if len(secrets) > 0 {
		current = secrets[0].Topic(halo.UnixDay(now))
	}
	for _, secret := range secrets[:min(len(secrets), maxEpochs)] {
		for _, day := range days(now) {
			topic := secret.Topic(day)
			wanted[topic] = newMeeting(topic, secret.SignalKey(topic), secret.NoisePSK(), s.n, s)
		}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	var gone []halo.Topic
	for topic := range s.meetings {
		if wanted[topic] == nil {
			gone = append(gone, topic)
			delete(s.meetings, topic)
		}
	}
	var fresh []*meeting
	for topic, m := range wanted {
		if s.meetings[topic] == nil {
			s.meetings[topic] = m
			fresh = append(fresh, m)
		}
	}
	s.current = s.meetings[current]
	s.mu.Unlock()
	for _, topic := range gone {
		s.leave(topic)
	}
	for _, m := range fresh {
		m.Joined(memberLine{s}.seatOf(m.topic))
		s.n.enter(signal.Topic(m.topic), m)
	}
}

func (s *swarm) leave(topic halo.Topic) { s.n.exit(signal.Topic(topic)) }

// visit puts a new client on all topics.
func (s *swarm) visit(c *signal.Client) {
	for _, m := range s.meetingList() {
		c.Join(signal.Topic(m.topic), m)
	}
}

// offers reports whether this device offers to the other: the one with the
// lower id does, so that they never offer to each other at once, on however
// many servers they meet.
func (s *swarm) offers(to halo.DeviceID) bool {
	me := s.n.repo.DeviceID()
	return compareDevices(me, to) < 0
}

// met takes note of where a device is. asks says that it wants to be connected;
// met reports false where there is no room for it.
func (s *swarm) met(device halo.DeviceID, at address, asks bool) (welcome bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contact(device)
	if c == nil {
		return false
	}
	members := at.seat.URL() == memberURL
	moved := !c.known || c.where.instance != at.instance || !members && c.where.peer != at.peer
	if moved && c.dialing != 0 && c.where.seat == at.seat {
		c.abandon(errMoved) // nobody is at the old address any more
	}
	if !members {
		c.where, c.known, c.met = at, true, time.Now()
	}
	if c.link != nil {
		old := time.Since(c.link.began) > settleTime
		c.doubted = c.doubted || c.link.remote.Instance != at.instance || asks && old
	}
	if moved || asks {
		c.failures, c.after = 0, time.Time{}
	}
	if asks {
		if !s.accepts(device) {
			return false
		}
		c.asked = time.Now().Add(askedFor)
	}
	s.arrange()
	return true
}

// hasNoRoom takes note that a device is there and has no room now.
func (c *contact) hasNoRoom(now time.Time) {
	c.full = now.Add(backoff(fullFor, fullFor, 1))
	c.after = now.Add(backoff(time.Second, time.Second, 1))
	c.asked, c.failures = time.Time{}, 0
}

// declined takes note that a device has no room.
func (s *swarm) declined(device halo.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.contact(device); c != nil && c.link == nil {
		c.hasNoRoom(time.Now())
		s.later(c, time.Until(c.full))
		s.arrange()
	}
}

// contact returns the contact of a device, nil if there are too many; s.mu is
// held.
func (s *swarm) contact(device halo.DeviceID) *contact {
	c := s.contacts[device]
	if c == nil && len(s.contacts) < maxContacts {
		c = &contact{device: device}
		s.contacts[device] = c
	}
	return c
}

// address returns where a device is to be tried: where it was met, or by way of
// other members, which take turns if both are known; s.mu is held.
func (s *swarm) address(c *contact) (address, bool) {
	fresh := time.Since(c.met) < staleAfter*s.n.opts.AnnounceEvery
	direct := c.known && fresh
	if direct {
		// This device may have taken another seat since; the other one has its own.
		var now signal.Seat
		if now, direct = c.where.meeting.seatAt(c.where.seat.URL()); direct {
			c.where.seat = now
		}
	}
	way, routed := s.routes.to(c.device)
	if routed = routed && way.hops > 0 && s.current != nil; routed && (!direct || c.failures%2 == 1) {
		seat := memberLine{s}.seatOf(s.current.topic)
		return address{meeting: s.current, seat: seat, peer: way.instance, instance: way.instance}, true
	}
	return c.where, direct
}

// linked returns the devices that are connected; s.mu is held.
func (s *swarm) linked() map[overlay.ID]bool {
	out := make(map[overlay.ID]bool)
	for device, c := range s.contacts {
		if c.link != nil {
			out[overlay.ID(device)] = true
		}
	}
	return out
}

// view returns who is there: who is connected, and who can be tried and has not
// failed too often; and those that are named. s.mu is held.
func (s *swarm) view(also ...halo.DeviceID) *overlay.View {
	var there []overlay.ID
	for _, device := range also {
		there = append(there, overlay.ID(device))
	}
	for device, c := range s.contacts {
		_, reachable := s.address(c)
		if c.link != nil || reachable && c.failures < givenUp {
			there = append(there, overlay.ID(device))
		}
	}
	return overlay.NewView(s.space.ID(), overlay.ID(s.n.repo.DeviceID()), there)
}

// accepts reports whether there is room for a connection with a device; s.mu is
// held.
func (s *swarm) accepts(device halo.DeviceID) bool {
	return s.view(device).Accepts(overlay.ID(device), s.linked())
}

// arrange decides with whom to connect now. Every event about any contact leads
// here; s.mu is held. The rules, in order:
//
//  1. Devices to connect with are those that the overlay wants, those that asked
//     and were not refused, those whose link is doubted; and, while little else is
//     under way, those that are given up.
//  2. Nothing is done for a device that is being tried, that cannot be reached,
//     or that is shunned for its faults.
//  3. What is not to be tried yet is considered again when it is.
//  4. Who offers (see offers) makes a connection; who does not asks the other to
//     offer, and asks again later and later.
func (s *swarm) arrange() {
	if s.closed {
		return
	}
	now := time.Now()
	linked := s.linked()
	full := func(id overlay.ID) bool { return now.Before(s.contacts[halo.DeviceID(id)].full) }
	wanted := make(map[halo.DeviceID]bool)
	for _, id := range s.view().Wanted(linked, full) {
		wanted[halo.DeviceID(id)] = true
	}
	reached, dialing := 0, 0
	for device, c := range s.contacts {
		if _, ok := s.routes.to(device); ok || c.link != nil {
			reached++
		}
		if wanted[device] || c.doubted || c.link == nil && now.Before(c.asked) {
			s.pursue(c, now)
		}
		if c.dialing != 0 {
			dialing++
		}
	}
	if sparse := reached > len(linked); s.x.sparse.Swap(sparse) != sparse {
		poke(s.x.ackDue) // others may not have heard yet what is durable here
	}
	for _, c := range s.contacts {
		if c.link == nil && c.failures >= givenUp && dialing < dialsGivenUp && !wanted[c.device] {
			s.pursue(c, now)
			dialing++
		}
	}
}

// pursue is what arrange does for one device; s.mu is held.
func (s *swarm) pursue(c *contact, now time.Time) {
	at, reachable := s.address(c)
	if !reachable || c.dialing != 0 || c.link != nil && !c.doubted || s.n.shunned(c.device) {
		return
	}
	if wait := c.after.Sub(now); wait > 0 {
		s.later(c, wait)
		return
	}
	if !s.offers(c.device) {
		if c.link != nil {
			c.doubted = false // once is enough: if it is dead, that will show
		} else {
			c.failures++
			c.after = now.Add(backoff(10*retryFirst, retryMost, c.failures))
			s.later(c, time.Until(c.after))
		}
		s.spawnLocked(func() { at.meeting.announce(at.seat, &at.peer) })
		return
	}
	s.dials++
	number := s.dials
	ctx, cancel := context.WithCancelCause(s.ctx)
	c.dialing, c.abandon = number, cancel
	s.spawnLocked(func() {
		defer cancel(nil)
		s.dial(ctx, c.device, at, number)
	})
}

// later considers a contact again after a time; s.mu is held.
func (s *swarm) later(c *contact, wait time.Duration) {
	c.stop()
	c.timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.arrange()
	})
}

// dialed takes note that an attempt to connect, or the link it made, has ended.
func (s *swarm) dialed(device halo.DeviceID, err error) {
	s.logger.Debug("not connected", "device", device.Short(), "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contact(device)
	if c == nil {
		return
	}
	if !errors.Is(err, errMoved) {
		c.doubted = false // if there is a link still, it is no worse than what was tried
	}
	var left *byeError
	switch {
	case errors.Is(err, errMoved):
	case errors.Is(err, errBusy):
		c.after = time.Now().Add(backoff(busyWait, busyWait, 1))
	case errors.Is(err, ErrRefused) || errors.Is(err, ErrNotMember):
		c.after = time.Now().Add(backoff(refusedFor, refusedFor, 1))
	case errors.As(err, &left) && left.code == byeLeaving:
		c.known = false // it will say when it is back
	case errors.As(err, &left) && left.code == byeTooMany, errors.Is(err, errDeclined), errors.Is(err, errTooMany):
		c.hasNoRoom(time.Now())
		s.later(c, time.Until(c.full))
	default:
		c.failures++
		c.after = time.Now().Add(backoff(retryFirst, retryMost, c.failures))
	}
	s.arrange()
}

// tried ends an attempt to dial.
func (s *swarm) tried(device halo.DeviceID, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.contacts[device]; c != nil && c.dialing == number {
		c.dialing = 0
	}
}

// join makes a session the link to its device, in place of an older one. It
// is called on both ends in the same order, since only one end offers.
func (s *swarm) join(p *peer, conn *rtc.Conn) {
	s.mu.Lock()
	c := s.contact(p.remote.Device)
	if c == nil || !s.accepts(p.remote.Device) {
		s.mu.Unlock()
		p.end(errTooMany)
		return
	}
	old := c.link
	c.link, c.conn, c.dialing, c.doubted, c.failures = p, conn, 0, false, 0
	c.asked = time.Time{}
	gone := s.trim()
	s.mu.Unlock()
	if old != nil {
		s.routes.drop(old)
		old.end(ErrReplaced)
	}
	for _, other := range gone {
		s.routes.drop(other)
		other.end(errTooMany)
	}
	s.logger.Info("connected", "device", p.remote.Device.Short())
	p.mu.Lock()
	said := p.saidWays
	p.mu.Unlock()
	s.heardRoutes(p, said)
}

// trim lets go the links that are too many, and returns them; s.mu is held.
func (s *swarm) trim() (gone []*peer) {
	for _, id := range s.view().Spare(s.linked()) {
		c := s.contacts[halo.DeviceID(id)]
		gone = append(gone, c.link)
		c.link, c.conn, c.doubted = nil, nil, false
		c.hasNoRoom(time.Now())
	}
	return gone
}

var errTooMany = errors.New("too many connections")

// errDeclined: the device has no room for a connection.
var errDeclined = errors.New("the device has no room")

// errMoved: the device was met under another address.
var errMoved = errors.New("the device has moved")

// unlinked ends a link; it reports false where a newer one has its place.
func (s *swarm) unlinked(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contacts[p.remote.Device]
	if c == nil || c.link != p {
		return false
	}
	c.link, c.conn, c.doubted = nil, nil, false
	return true
}

// reached returns how many devices are there, connected or through others.
func (s *swarm) reached() int { return len(s.routes.devices()) }

// namer is a Space that knows names for people.
type namer interface {
	PeerName(halo.IdentityID, halo.DeviceID) string
}

// peers returns the devices that are connected.
func (s *swarm) peers() (list []PeerInfo) {
	mine, _ := s.x.held()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.contacts {
		if c.link == nil {
			continue
		}
		info := c.link.info(mine)
		info.Space, info.SpaceName, info.Path = s.space.ID(), s.space.Name(), string(c.conn.Path())
		if names, ok := s.space.(namer); ok {
			info.Name = names.PeerName(info.Identity, info.Device)
		}
		list = append(list, info)
	}
	return list
}

// info returns what the session knows of its peer.
func (p *peer) info(mine Vector) PeerInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PeerInfo{
		Device: p.remote.Device, Identity: p.remote.Identity, RTT: p.rtt,
		EntriesBehind: mine.behind(p.acked), LastSeen: p.heard, Since: p.began,
		Missing: p.theirs.behind(mine) + p.own.missing(),
		Role:    p.role(), Lost: p.lost, Ahead: p.theirs.behind(mine), NoRoom: time.Since(p.noRoom) < 2*noRoomWait,
	}
}
