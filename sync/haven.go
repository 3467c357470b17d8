package sync

import (
	"context"
	"fmt"
	"time"

	"echofs/halo"
	"echofs/sync/signal"
)

// haven is where a device waits for somebody with the phrase: on the topics of a
// secret that follows from it, and that all devices of the identity keep. The
// secret lets meet and nothing else; who comes must show that it has the root.
type haven struct {
	reception
	meetings map[halo.Topic]*meeting // of now; run's goroutine alone has them
}

// havenEvery is how often the topics are brought up to date.
const havenEvery = time.Minute

func newHaven(n *Network) *haven {
	h := &haven{meetings: make(map[halo.Topic]*meeting)}
	h.reception = reception{n: n, most: 1, talk: h.talk, parted: func(err error) {
		n.logger.Info("somebody came with the recovery phrase", "err", err)
	}}
	return h
}

// run waits until ctx ends.
func (h *haven) run(ctx context.Context) {
	h.ctx = ctx
	for ctx.Err() == nil {
		h.arrange()
		pauseFor(ctx, havenEvery)
	}
	h.close()
	for topic := range h.meetings {
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
		m := h.meetings[topic]
		if m == nil {
			m = newMeeting(topic, secret.SignalKey(topic), secret.NoisePSK(), h.n, h)
			h.meetings[topic] = m
		}
		h.n.enter(signal.Topic(topic), m)
	}
	for topic := range h.meetings {
		if !wanted[topic] {
			delete(h.meetings, topic)
			h.n.exit(signal.Topic(topic))
		}
	}
}

// talk is the conversation: that of a host without an authorization code, who
// offers the identity itself.
func (h *haven) talk(t *talk) error {
	if _, err := hear[*halo.Auth](t, inviteStep); err != nil {
		return err
	}
	offer, err := newOffer(h.n, halo.InviteDevice)
	if err != nil {
		return err
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
