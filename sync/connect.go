package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"echofs/halo"
	"echofs/sync/rtc"
	"echofs/sync/session"
	"echofs/sync/signal"
)

// errNoAnswer: an offer was not answered; the peer is gone, or busy.
var errNoAnswer = errors.New("no answer to the offer")

// errBusy: too many connections are in the making.
var errBusy = errors.New("too many connections in the making")

// offer makes a connection to whoever is at an address.
func (m *meeting) offer(ctx context.Context, at address) (*rtc.Conn, [16]byte, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, id, fmt.Errorf("read random bytes: %w", err)
	}
	a := &attempt{peer: at.peer, sdp: make(chan string, 1)}
	if !m.begin(id, a) {
		return nil, id, errBusy
	}
	defer m.finish(id)
	conn, sdp, err := m.n.api.Offer(ctx)
	if err != nil {
		return nil, id, err
	}
	m.send(at.seat, &at.peer, signal.Message{Kind: signal.Offer, Session: id, SDP: sdp})
	stop := m.trickle(at, id, conn)
	defer stop()
	if err := a.await(ctx, conn); err != nil {
		conn.Close()
		return nil, id, err
	}
	up, err := conn.Wait(ctx)
	return up, id, err
}

// await waits for the answer to an offer.
func (a *attempt) await(ctx context.Context, conn *rtc.Attempt) error {
	t := time.NewTimer(answerTimeout)
	defer t.Stop()
	select {
	case sdp := <-a.sdp:
		if sdp == "" {
			return errDeclined
		}
		if err := conn.Accept(sdp); err != nil {
			return err
		}
		a.release(conn)
		return nil
	case <-t.C:
		return errNoAnswer
	case <-conn.Down():
		return rtc.ErrFailed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// accept makes the connection of an offer.
func (m *meeting) accept(ctx context.Context, at address, id [16]byte, offer string) (*rtc.Conn, error) {
	a := &attempt{peer: at.peer}
	if !m.begin(id, a) {
		m.send(at.seat, &at.peer, signal.Message{Kind: signal.Bye, Session: id})
		return nil, errBusy
	}
	defer m.finish(id)
	conn, sdp, err := m.n.api.Answer(ctx, offer)
	if err != nil {
		m.send(at.seat, &at.peer, signal.Message{Kind: signal.Bye, Session: id})
		return nil, err
	}
	a.release(conn)
	m.send(at.seat, &at.peer, signal.Message{Kind: signal.Answer, Session: id, SDP: sdp})
	stop := m.trickle(at, id, conn)
	defer stop()
	return conn.Wait(ctx)
}

// trickle sends candidates that are found after the SDP, until it is stopped.
func (m *meeting) trickle(at address, id [16]byte, conn *rtc.Attempt) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case c := <-conn.Candidates():
				m.send(at.seat, &at.peer, signal.Message{Kind: signal.Candidate, Session: id, Candidate: c})
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// secure runs the handshake of a connection. It closes conn if it fails.
func (m *meeting) secure(ctx context.Context, conn *rtc.Conn, initiator bool, id [16]byte, maxMessage int) (*session.Session, error) {
	return session.Handshake(ctx, conn, session.Config{
		Initiator: initiator, Key: m.n.repo.DeviceKeys().NoiseKey(), PSK: m.psk,
		Topic: m.topic[:], Session: id, MaxMessage: maxMessage,
	})
}

// runContext returns a context that ends when the network goes offline.
func (n *Network) runContext() context.Context {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.online == nil {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		return ended
	}
	return n.online.ctx
}

var _ host = (*swarm)(nil)

// device implements host.
func (s *swarm) device() halo.DeviceID { return s.n.repo.DeviceID() }

// start implements host.
func (s *swarm) start(f func()) { s.spawn(f) }

// announced implements host.
func (s *swarm) announced(device halo.DeviceID, at address, direct bool) (reply bool) {
	if !s.met(device, at, direct) && direct {
		s.start(func() { at.meeting.decline(at) })
	}
	return false // arrange has asked, if need be
}

// gone implements host.
func (s *swarm) gone(device halo.DeviceID) { s.declined(device) }

// offered implements host.
func (s *swarm) offered(device halo.DeviceID, at address) (welcome, busy bool) {
	if s.offers(device) || s.n.shunned(device) {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contact(device)
	if c == nil || !s.accepts(device) {
		return false, true
	}
	if at.seat.URL() != memberURL {
		c.where, c.known, c.met = at, true, time.Now()
	}
	return true, false
}

// dial connects to a device and exchanges with it until the link ends.
func (s *swarm) dial(ctx context.Context, device halo.DeviceID, at address, number uint64) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	began := time.Now()
	conn, id, err := at.meeting.offer(ctx, at)
	if err == nil {
		s.logger.Debug("connection up", "device", device.Short(), "after", time.Since(began))
		err = s.converse(ctx, conn, at, true, id, device)
	}
	s.tried(device, number)
	s.ended(device, err)
}

// answer implements host.
func (s *swarm) answer(device halo.DeviceID, at address, id [16]byte, sdp string) {
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	defer cancel()
	conn, err := at.meeting.accept(ctx, at, id, sdp)
	if err == nil {
		err = s.converse(ctx, conn, at, false, id, device)
	}
	s.ended(device, err)
}

// ended considers what to do after a link or attempt has ended.
func (s *swarm) ended(device halo.DeviceID, err error) {
	if s.ctx.Err() == nil && !errors.Is(err, ErrReplaced) {
		s.dialed(device, err)
	}
}

// converse makes a session of a connection and runs it to its end. dialing
// bounds the time until the peer is known.
func (s *swarm) converse(dialing context.Context, conn *rtc.Conn, at address, initiator bool, id [16]byte, device halo.DeviceID) error {
	sess, err := at.meeting.secure(dialing, conn, initiator, id, 0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-conn.Down():
			cancel(rtc.ErrFailed)
		case <-ctx.Done():
		}
	}()
	var link *peer
	err = s.x.run(ctx, sess, device, func(p *peer) {
		link = p
		s.join(p, conn)
	})
	if link == nil {
		return err // who it was is not proved: it counts against nobody
	}
	if errors.Is(err, ErrPeerFault) {
		s.n.punish(device, err)
	}
	unlinked := s.unlinked(link)
	if s.routes.drop(link) {
		s.rerouted()
	}
	if !unlinked {
		return fmt.Errorf("%w: %w", ErrReplaced, err)
	}
	return err
}
