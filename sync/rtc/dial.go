package rtc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"echofs/sync/session"
)

// gatherWait is how long an offer or answer waits for candidates of this
// machine, which take less than a millisecond; those of servers follow.
const gatherWait = 20 * time.Millisecond

// maxCandidates is how many candidates wait to be sent.
const maxCandidates = 64

// ErrFailed: the connection could not be made, or broke before it was up.
var ErrFailed = errors.New("connection failed")

// Attempt is a connection in the making. It must be closed, or waited for.
type Attempt struct {
	pc       *webrtc.PeerConnection
	channels [3]*webrtc.DataChannel
	follow   chan string
	remote   bool // candidates may follow the SDP

	mu     sync.Mutex // guards the below
	open   int        // channels that are
	sealed bool       // the SDP is made: candidates go into follow
	conn   *Conn
	up     chan struct{} // closed when all channels are open
	down   chan struct{} // closed when the connection failed or was closed
	once   sync.Once
}

// Offer begins a connection and returns the SDP offer.
func (a *API) Offer(ctx context.Context) (*Attempt, string, error) {
	at, err := a.attempt()
	if err != nil {
		return nil, "", err
	}
	text, err := at.describe(ctx, at.remote, at.pc.CreateOffer)
	if err != nil {
		at.Close()
		return nil, "", fmt.Errorf("make offer: %w", err)
	}
	return at, text, nil
}

// Answer accepts an offer and returns the SDP answer. It fails with ErrSDP for
// an offer that is not acceptable.
func (a *API) Answer(ctx context.Context, offer string) (*Attempt, string, error) {
	cleaned, err := clean(offer)
	if err != nil {
		return nil, "", fmt.Errorf("accept offer: %w", err)
	}
	at, err := a.attempt()
	if err != nil {
		return nil, "", err
	}
	err = at.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: cleaned})
	if err != nil {
		at.Close()
		return nil, "", fmt.Errorf("accept offer: %w: %w", ErrSDP, err)
	}
	create := func(*webrtc.OfferOptions) (webrtc.SessionDescription, error) { return at.pc.CreateAnswer(nil) }
	text, err := at.describe(ctx, at.remote, create)
	if err != nil {
		at.Close()
		return nil, "", fmt.Errorf("make answer: %w", err)
	}
	return at, text, nil
}

func (a *API) attempt() (*Attempt, error) {
	cert, err := newCertificate()
	if err != nil {
		return nil, err
	}
	config := webrtc.Configuration{ICEServers: a.servers(), Certificates: []webrtc.Certificate{cert}}
	pc, err := a.api.NewPeerConnection(config)
	if err != nil {
		return nil, fmt.Errorf("open connection: %w", err)
	}
	at := &Attempt{
		pc: pc, remote: len(config.ICEServers) > 0, follow: make(chan string, maxCandidates),
		up: make(chan struct{}), down: make(chan struct{}),
	}
	if err := at.prepare(); err != nil {
		at.Close()
		return nil, fmt.Errorf("open connection: %w", err)
	}
	return at, nil
}

func (at *Attempt) prepare() error {
	at.pc.OnICECandidate(at.candidate)
	at.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed {
			at.fail()
		}
	})
	ordered, negotiated := true, true
	for i, label := range []string{"control", "bulk", "chunks"} {
		id := uint16(i)
		dc, err := at.pc.CreateDataChannel(label, &webrtc.DataChannelInit{
			Ordered: &ordered, Negotiated: &negotiated, ID: &id,
		})
		if err != nil {
			return err
		}
		at.channels[i] = dc
		dc.OnOpen(at.opened)
		dc.OnClose(at.fail)
	}
	return nil
}

func (at *Attempt) fail() {
	at.once.Do(func() { close(at.down) })
}

// opened counts the channels and makes the connection of both.
func (at *Attempt) opened() {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.open++; at.open < len(at.channels) {
		return
	}
	conn, err := newConn(at)
	if err != nil {
		at.fail()
		return
	}
	at.conn = conn
	close(at.up)
}

// candidate hands a candidate on that came after the SDP was made.
func (at *Attempt) candidate(c *webrtc.ICECandidate) {
	if c == nil {
		return
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	if !at.sealed {
		return
	}
	select {
	case at.follow <- c.ToJSON().Candidate:
	default: // there are enough
	}
}

// describe makes the local description with the candidates of this machine.
func (at *Attempt) describe(ctx context.Context, remote bool, create func(*webrtc.OfferOptions) (webrtc.SessionDescription, error)) (string, error) {
	desc, err := create(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(at.pc)
	if err := at.pc.SetLocalDescription(desc); err != nil {
		return "", err
	}
	wait := (<-chan time.Time)(nil)
	if remote {
		t := time.NewTimer(gatherWait)
		defer t.Stop()
		wait = t.C
	}
	select {
	case <-gathered:
	case <-wait:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	at.sealed = true
	return at.pc.LocalDescription().SDP, nil
}

// Candidates returns candidates that were found after the SDP was made. They
// are for the other end's AddCandidate.
func (at *Attempt) Candidates() <-chan string { return at.follow }

// Down is closed when the attempt has failed or the connection is closed.
func (at *Attempt) Down() <-chan struct{} { return at.down }

// Accept completes an offer with the other end's answer.
func (at *Attempt) Accept(answer string) error {
	cleaned, err := clean(answer)
	if err != nil {
		return fmt.Errorf("accept answer: %w", err)
	}
	err = at.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: cleaned})
	if err != nil {
		return fmt.Errorf("accept answer: %w: %w", ErrSDP, err)
	}
	return nil
}

// AddCandidate takes one candidate of the other end.
func (at *Attempt) AddCandidate(c string) error {
	if err := at.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c}); err != nil {
		return fmt.Errorf("add candidate: %w: %w", ErrSDP, err)
	}
	return nil
}

// Wait waits until the connection is up and returns it; it must be closed. If
// it fails, or ctx ends before, the attempt is closed.
func (at *Attempt) Wait(ctx context.Context) (*Conn, error) {
	err := ErrFailed
	select {
	case <-at.up:
		return at.conn, nil
	case <-at.down:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	at.Close()
	return nil, fmt.Errorf("connect: %w", err)
}

// Close gives the attempt up, or closes its connection.
func (at *Attempt) Close() {
	at.fail()
	_ = at.pc.GracefulClose()
}

var _ session.Conn = (*Conn)(nil)
