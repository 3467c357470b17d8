package sync

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/signal"
)

// haven is where a device waits for somebody with the phrase: on the topics of a
// secret that follows from it, and that all devices of the identity keep. The
// secret lets meet and nothing else; who comes must show that it has the root.
type haven struct {
	n   *Network
	ctx context.Context
	wg  sync.WaitGroup

	mu       sync.Mutex // guards the below
	closed   bool
	busy     bool // somebody is being talked to
	meetings map[halo.Topic]*meeting
}

// havenEvery is how often the topics are brought up to date.
const havenEvery = time.Minute

func newHaven(n *Network) *haven { return &haven{n: n, meetings: make(map[halo.Topic]*meeting)} }

// run waits until ctx ends.
func (h *haven) run(ctx context.Context) {
	h.ctx = ctx
	for ctx.Err() == nil {
		h.arrange()
		pauseFor(ctx, havenEvery)
	}
	h.mu.Lock()
	h.closed = true
	topics := h.meetings
	h.meetings = nil
	h.mu.Unlock()
	for topic := range topics {
		h.n.exit(signal.Topic(topic))
	}
	h.wg.Wait()
}

// arrange goes to the topics of now, on all servers of now.
func (h *haven) arrange() {
	meeting := h.n.repo.Meeting()
	if meeting.IsZero() {
		return
	}
	secret := halo.SwarmSecret{Secret: meeting}
	wanted := make(map[halo.Topic]bool)
	for _, day := range days(time.Now()) {
		topic := secret.Topic(day)
		wanted[topic] = true
		h.mu.Lock()
		m := h.meetings[topic]
		if m == nil {
			m = newMeeting(topic, secret.SignalKey(topic), secret.NoisePSK(), h.n, h)
			h.meetings[topic] = m
		}
		h.mu.Unlock()
		h.n.enter(signal.Topic(topic), m)
	}
	h.mu.Lock()
	var gone []halo.Topic
	for topic := range h.meetings {
		if !wanted[topic] {
			gone = append(gone, topic)
			delete(h.meetings, topic)
		}
	}
	h.mu.Unlock()
	for _, topic := range gone {
		h.n.exit(signal.Topic(topic))
	}
}

var _ host = (*haven)(nil)

func (h *haven) device() halo.DeviceID { return h.n.repo.DeviceID() }

func (h *haven) start(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.wg.Go(f)
	}
}

// announced implements host: who is to be recovered has no id yet, and is told
// where the device is; the identity's devices have nothing to say to each other
// here.
func (h *haven) announced(device halo.DeviceID, _ address, _ bool) (reply bool) {
	return device.IsZero()
}

// gone implements host: nobody is asked here.
func (h *haven) gone(halo.DeviceID) {}

// offered implements host: one at a time.
func (h *haven) offered(device halo.DeviceID, _ address) (welcome, busy bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !device.IsZero() || h.closed {
		return false, false
	}
	if h.busy {
		return false, true
	}
	h.busy = true
	return true, false
}

// answer implements host.
func (h *haven) answer(_ halo.DeviceID, at address, id [16]byte, sdp string) {
	err := h.meet(at, id, sdp)
	h.n.logger.Info("somebody came with the recovery phrase", "err", err)
	h.mu.Lock()
	h.busy = false
	h.mu.Unlock()
}

func (h *haven) meet(at address, id [16]byte, sdp string) error {
	ctx, cancel := context.WithTimeout(h.ctx, dialTimeout)
	defer cancel()
	conn, err := at.meeting.accept(ctx, at, id, sdp)
	if err != nil {
		return err
	}
	s, err := at.meeting.secure(ctx, conn, false, id, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	t := newTalk(h.ctx, s)
	defer t.end()
	if err := h.talk(t); err != nil {
		t.part(refusalFor(err), 0)
		return err
	}
	return nil
}

// talk is the conversation: that of a host without an authorization code, who
// offers the identity itself.
func (h *haven) talk(t *talk) error {
	if _, err := hear[*halo.Auth](t, inviteStep); err != nil {
		return err
	}
	repo := h.n.repo
	offer := &halo.Offer{Kind: halo.InviteDevice, Inviter: repo.IdentityCredentials()}
	if _, err := rand.Read(offer.Challenge[:]); err != nil {
		return fmt.Errorf("read random bytes: %w", err)
	}
	if err := t.send(offer); err != nil {
		return err
	}
	m, err := hear[*halo.Reclaim](t, inviteStep)
	if err != nil {
		return err
	}
	graph, id, err := halo.LoadIdentity(offer.Inviter)
	if err != nil {
		return fmt.Errorf("own identity: %w", err)
	}
	if root, ok := graph.State().Root(id); !ok || root.Sign != m.Root {
		return fault("a recovery of another identity")
	}
	who, err := hearReclaimed(t, offer, m, id, graph.All())
	if err != nil {
		return err
	}
	return h.admit(t, who)
}

// admit takes the root's word, hands over the keys of all spaces, and tells what
// the new device needs to meet the others.
func (h *haven) admit(t *talk, who reclaimed) error {
	own, err := h.n.repo.AddDevice(t.ctx, who.checkpoint, who.Device)
	if err != nil {
		return err
	}
	list, admit, err := admission(own, who.GuestInfo)
	if err != nil {
		return err
	}
	admit.Credential = who.checkpoint.Bytes()
	admit.Hints.URLs = h.n.Signal()
	admit.Hints.URLs = admit.Hints.URLs[:min(len(admit.Hints.URLs), 4)]
	return deliver(t, list, admit, who.joiner)
}
