package sync

import (
	"bytes"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/overlay"
	"echofs/sync/rtc"
	"echofs/sync/signal"
)

// maxAttempts is how many connections may be in the making on one topic.
const maxAttempts = overlay.Degree

// replyEvery is how often an announce of one peer is answered at most.
const replyEvery = 500 * time.Millisecond

// meeting is one topic on all signaling servers: who is there, and the
// connections in the making. It does what all topics have in common; what to do
// with whom is met is for its owner.
type meeting struct {
	n     *Network
	topic halo.Topic
	key   [32]byte
	psk   []byte
	owner host
	guard *signal.Guard

	mu       sync.Mutex // guards the below
	seats    map[string]*seat
	attempts map[[16]byte]*attempt
	replied  map[signal.PeerID]time.Time
}

// host is who meets others on a topic: a swarm, or either side of an
// invitation.
type host interface {
	// device is the id that the host gives of itself.
	device() halo.DeviceID
	// announced tells that a device is there; direct says that it spoke to this
	// device alone, which means that it wants to be connected.
	announced(device halo.DeviceID, at address, direct bool) (reply bool)
	// gone tells that a device has no room for whoever asked it.
	gone(device halo.DeviceID)
	// offered reports whether an offer of a device is welcome; if so, answer is
	// called on a goroutine of the host's. If not, it may be later if busy.
	offered(device halo.DeviceID, at address) (welcome, busy bool)
	// answer makes the connection of an offer.
	answer(device halo.DeviceID, at address, session [16]byte, sdp string)
	// start runs f as a part of the host.
	start(f func())
}

// sitter is a host that wants to know when a seat was taken.
type sitter interface{ sat() }

// seat is a signal.Seat with the counter of its messages.
type seat struct {
	signal.Seat

	sending chan struct{} // one slot, full while a message is sent: they leave in the order of their numbers
	counter uint64        // guarded by sending
}

// attempt is a connection in the making.
type attempt struct {
	peer signal.PeerID
	sdp  chan string // one slot: the answer, for who offered

	mu         sync.Mutex // guards the below
	rtc        *rtc.Attempt
	candidates []string // that came before the other end's SDP was set
	ready      bool
}

func newMeeting(topic halo.Topic, key, psk halo.Secret, n *Network, owner host) *meeting {
	return &meeting{
		n: n, topic: topic, key: [32]byte(key.Bytes()), psk: psk.Bytes(), owner: owner, guard: signal.NewGuard(),
		seats: make(map[string]*seat), attempts: make(map[[16]byte]*attempt),
		replied: make(map[signal.PeerID]time.Time),
	}
}

var _ signal.Handler = (*meeting)(nil)

// Joined implements signal.Handler.
func (m *meeting) Joined(s signal.Seat) {
	m.mu.Lock()
	// A seat among members keeps its address when it is taken again: its numbers
	// must go on.
	m.seats[s.URL()] = &seat{Seat: s, sending: make(chan struct{}, 1), counter: uint64(time.Now().UnixNano())}
	m.mu.Unlock()
	m.owner.start(func() {
		m.announce(s, nil)
		if h, ok := m.owner.(sitter); ok {
			h.sat()
		}
	})
}

// Left implements signal.Handler.
func (m *meeting) Left(s signal.Seat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if current := m.seats[s.URL()]; current != nil && current.Self == s.Self {
		delete(m.seats, s.URL())
	}
}

// seatAt returns the seat at a server.
func (m *meeting) seatAt(url string) (signal.Seat, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	current := m.seats[url]
	if current == nil {
		return signal.Seat{}, false
	}
	return current.Seat, true
}

// decline tells a device that asked that there is no room for it.
func (m *meeting) decline(to address) {
	m.send(to.seat, &to.peer, signal.Message{Kind: signal.Bye, Session: m.n.instance})
}

// announceAll announces the device on all servers.
func (m *meeting) announceAll() {
	m.mu.Lock()
	var list []signal.Seat
	for _, s := range m.seats {
		list = append(list, s.Seat)
	}
	m.mu.Unlock()
	for _, s := range list {
		m.announce(s, nil)
	}
}

// announce says that the device is there, to one or to all.
func (m *meeting) announce(s signal.Seat, to *signal.PeerID) {
	m.send(s, to, signal.Message{Kind: signal.Announce, Session: m.n.instance})
}

// send seals and sends a message. That it could not be sent is no error: the
// server or the peer is gone, and another announce will follow.
func (m *meeting) send(s signal.Seat, to *signal.PeerID, msg signal.Message) {
	m.mu.Lock()
	current := m.seats[s.URL()]
	m.mu.Unlock()
	if current == nil || current.Self != s.Self {
		return // of a connection that has ended
	}
	msg.Device, msg.Instance = m.owner.device(), m.n.instance
	ctx := m.n.runContext()
	select {
	case current.sending <- struct{}{}:
		defer func() { <-current.sending }()
	case <-ctx.Done():
		return
	}
	current.counter++
	msg.Counter = current.counter
	box, err := signal.Seal(m.key, signal.Topic(m.topic), s.Self, to, msg)
	if err == nil {
		err = s.Send(ctx, to, box)
	}
	if err != nil {
		m.n.logger.Debug("cannot send a signaling message", "server", s.URL(), "err", err)
	}
}

// Received implements signal.Handler.
func (m *meeting) Received(s signal.Seat, f signal.Frame) {
	msg, ok := m.guard.Open(m.key, f)
	if !ok || halo.DeviceID(msg.Device) == m.owner.device() {
		return
	}
	device := halo.DeviceID(msg.Device)
	at := address{meeting: m, seat: s, peer: f.From, instance: msg.Instance}
	switch msg.Kind {
	case signal.Announce:
		m.announced(device, at, f.To != nil)
	case signal.Offer:
		m.offered(device, at, msg)
	case signal.Answer:
		m.answered(f.From, msg)
	case signal.Candidate:
		m.candidate(f.From, msg)
	case signal.Bye:
		m.gaveUp(f.From, msg)
		if msg.Session == msg.Instance && f.To != nil {
			m.owner.gone(device)
		}
	}
}

func (m *meeting) announced(device halo.DeviceID, at address, direct bool) {
	if !m.owner.announced(device, at, direct) || direct || !m.mayReply(at.peer) {
		return
	}
	m.owner.start(func() { m.announce(at.seat, &at.peer) })
}

// mayReply limits replies to one peer.
func (m *meeting) mayReply(to signal.PeerID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.replied[to]) < replyEvery {
		return false
	}
	if len(m.replied) >= maxContacts {
		clear(m.replied)
	}
	m.replied[to] = now
	return true
}

func (m *meeting) offered(device halo.DeviceID, at address, msg signal.Message) {
	if !m.guard.Fresh(msg.Session) {
		return
	}
	welcome, busy := m.owner.offered(device, at)
	if busy {
		m.owner.start(func() {
			m.send(at.seat, &at.peer, signal.Message{Kind: signal.Bye, Session: msg.Session})
		})
	}
	if !welcome {
		return
	}
	m.owner.start(func() { m.owner.answer(device, at, msg.Session, msg.SDP) })
}

func (m *meeting) answered(from signal.PeerID, msg signal.Message) {
	if a := m.attempt(from, msg.Session); a != nil && a.sdp != nil {
		select {
		case a.sdp <- msg.SDP:
		default: // it has one
		}
	}
}

func (m *meeting) candidate(from signal.PeerID, msg signal.Message) {
	a := m.attempt(from, msg.Session)
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ready {
		_ = a.rtc.AddCandidate(msg.Candidate)
	} else if len(a.candidates) < 64 {
		a.candidates = append(a.candidates, msg.Candidate)
	}
}

// gaveUp ends an attempt that the other end has given up.
func (m *meeting) gaveUp(from signal.PeerID, msg signal.Message) {
	if a := m.attempt(from, msg.Session); a != nil && a.sdp != nil {
		select {
		case a.sdp <- "":
		default:
		}
	}
}

// attempt returns the attempt with a peer under a session, nil for none.
func (m *meeting) attempt(from signal.PeerID, session [16]byte) *attempt {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.attempts[session]; a != nil && a.peer == from {
		return a
	}
	return nil
}

// begin registers an attempt unless there are too many.
func (m *meeting) begin(session [16]byte, a *attempt) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.attempts) >= maxAttempts {
		return false
	}
	select {
	case m.n.pending <- struct{}{}:
	default:
		return false
	}
	m.attempts[session] = a
	return true
}

func (m *meeting) finish(session [16]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.attempts, session)
	<-m.n.pending
}

// release hands over the candidates that came too early, and lets the later
// ones through.
func (a *attempt) release(conn *rtc.Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rtc, a.ready = conn, true
	for _, c := range a.candidates {
		_ = conn.AddCandidate(c)
	}
	a.candidates = nil
}

func compareDevices(a, b halo.DeviceID) int { return bytes.Compare(a[:], b[:]) }
