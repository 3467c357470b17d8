package sync

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/signal"
)

// JoinOptions say how a guest takes an invitation.
type JoinOptions struct {
	// AuthCode is asked for the digits, if the host wants any. nil is none.
	AuthCode func(context.Context) (string, error)
	// Name is the local name of the space; empty is the host's name for it.
	Name string
	// DisplayName is what the host is told of who joins; may be empty.
	DisplayName string
	// Reach is for how long the host is looked for; 0 is DefaultReach.
	Reach time.Duration
	// Progress, unless nil, is told each state. It must not block.
	Progress func(halo.GuestState)
	// Pictures, unless nil, is told what the host sees too, once the host has
	// been met: equal unless somebody stands between. It must not block.
	Pictures func([4]string)
}

// DefaultReach is for how long a guest looks for its host: one that is there
// answers within seconds.
const DefaultReach = 90 * time.Second

// The times of a guest.
const (
	guestAnnounce = 2 * time.Second        // between announces until the host is met
	guestRetry    = 300 * time.Millisecond // after a connection was lost
	guestBusy     = 5 * time.Second        // after a host had no room
)

// Join takes a code or a link and opens the space to which it leads. It tries
// until ctx ends, the code has expired, or the host was not met for too long.
// Who comes by a link and has to be approved waits until ctx ends, and may Join
// again at any time. Errors: halo.ErrBadCode, ErrExpired, ErrWrongCode, ErrBurned, ErrCancelled,
// ErrUsed, ErrDeclined, ErrMember (and the space, if it is open here),
// ErrOffline, ErrUnreachable.
func (n *Network) Join(ctx context.Context, code string, opts JoinOptions) (Space, error) {
	if opts.Reach <= 0 {
		opts.Reach = DefaultReach
	}
	g := &guest{n: n, opts: opts, met: make(chan address, 1)}
	g.converse = g.talk
	if space, err := g.read(code); err != nil {
		return space, fmt.Errorf("join: %w", err)
	}
	g.tell(halo.GuestEntered)
	space, err := g.run(ctx)
	if err != nil {
		g.tell(finalState(err))
		return space, fmt.Errorf("join: %w", err)
	}
	g.tell(halo.GuestJoined)
	return space, nil
}

// read reads the code or link. It fails with ErrMember, and returns the space,
// where this device has what is offered.
func (g *guest) read(text string) (Space, error) {
	if halo.IsLink(text) {
		link, err := halo.ParseLink(text)
		if err != nil {
			return nil, err
		}
		g.link = &link
		return g.n.linked(link)
	}
	invite, err := halo.ParseInvite(text)
	if err != nil {
		return nil, err
	}
	if invite.Kind != halo.InviteMember {
		return nil, fmt.Errorf("a code for a device, not for a space: %w", halo.ErrBadCode)
	}
	g.invite = invite
	if inv, own := g.n.hosts(invite); own {
		return inv.space, fmt.Errorf("by an invitation of this very device: %w", ErrMember)
	}
	return nil, nil
}

func finalState(err error) halo.GuestState {
	switch {
	case errors.Is(err, ErrWrongCode), errors.Is(err, ErrBurned):
		return halo.GuestWrongCode
	case errors.Is(err, ErrExpired):
		return halo.GuestExpired
	case errors.Is(err, ErrDeclined), errors.Is(err, ErrCancelled), errors.Is(err, ErrUsed):
		return halo.GuestDeclined
	}
	return halo.GuestFailed
}

// guest is the guest's side of an invitation.
type guest struct {
	n      *Network
	opts   JoinOptions
	invite halo.Invite
	link   *halo.Link // unless nil, in place of the invitation
	place  *place     // unless nil, where the host is in place of the invitation's

	meetings []*meeting   // where it may be
	met      chan address // one slot: where the host was last met
	lost     time.Time    // since when the host was not met
	waits    bool         // a host has said that it must be approved
	shown    [32]byte     // the session whose pictures were shown
	// converse is what is talked about, once the host is met.
	converse func(*talk) (Space, error)

	wg sync.WaitGroup

	mu     sync.Mutex // guards closed
	closed bool
}

func (g *guest) tell(s halo.GuestState) {
	if g.opts.Progress != nil {
		g.opts.Progress(s)
	}
}

// run meets the host and talks to it, again if the connection is lost.
func (g *guest) run(ctx context.Context) (Space, error) {
	if end := g.invite.Expires; g.link == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, end, ErrExpired)
		defer cancel()
	}
	online, err := g.n.whenOnline(ctx)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(online.ctx, func() { stop(ErrOffline) })()
	leave := g.enter()
	defer leave()
	g.tell(halo.GuestConnecting)
	g.lost = time.Now()
	for {
		at, err := g.find(ctx)
		if err != nil {
			return nil, err
		}
		space, err := g.try(ctx, at)
		if err == nil || final(err) {
			return space, err
		}
		g.n.logger.Debug("invitation: connection lost", "err", err)
		pauseFor(ctx, g.pause(err))
		if !g.waits {
			g.tell(halo.GuestConnecting)
		}
		select {
		case g.met <- at: // most likely it is still there
		default:
		}
	}
}

// pause returns for how long to leave the host alone after an error.
func (g *guest) pause(err error) time.Duration {
	if errors.Is(err, ErrBusy) {
		return guestBusy
	}
	return guestRetry
}

// enter goes to where the host waits.
func (g *guest) enter() (leave func()) {
	if g.place != nil {
		return g.enterPlace(*g.place)
	}
	at := g.spot()
	m := newMeeting(at.topic, at.key, at.psk, g.n, g)
	g.meetings = []*meeting{m}
	topic := signal.Topic(at.topic)
	urls := at.urls
	if len(urls) == 0 {
		urls = g.n.Signal()
	}
	g.n.enter(topic, m, urls...)
	return func() {
		g.n.exitFrom(topic, m)
		g.leave()
	}
}

// spot returns where the host of a code or link is.
func (g *guest) spot() spot {
	if g.link != nil {
		return spotOfLink(*g.link)
	}
	return spotOf(g.invite)
}

// leave ends enter.
func (g *guest) leave(topics ...signal.Topic) {
	for _, t := range topics {
		g.n.exit(t)
	}
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.wg.Wait()
}

// find waits until the host is met.
func (g *guest) find(ctx context.Context) (address, error) {
	again := time.NewTicker(guestAnnounce)
	defer again.Stop()
	var enough <-chan time.Time
	if !g.waits { // who waits does so as long as it likes
		t := time.NewTimer(time.Until(g.lost.Add(g.opts.Reach)))
		defer t.Stop()
		enough = t.C
	}
	for {
		select {
		case at := <-g.met:
			if g.waits || time.Since(g.lost) < g.opts.Reach {
				return at, nil
			}
		case <-enough:
			return address{}, fmt.Errorf("the inviter was not met for %v: %w", g.opts.Reach, ErrUnreachable)
		case <-again.C:
			g.announceAll()
		case <-ctx.Done():
			cause := context.Cause(ctx)
			if errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled) {
				return address{}, fmt.Errorf("the inviter was not met: %w: %w", ErrUnreachable, cause)
			}
			return address{}, cause
		}
	}
}

// final reports whether an error ends the invitation for this guest.
func final(err error) bool {
	for _, e := range []error{ErrWrongCode, ErrBurned, ErrExpired, ErrDeclined, ErrCancelled, ErrUsed, ErrMember, ErrPeerFault, ErrOffline, errJoin} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// errJoin: the vault could not open the space.
var errJoin = errors.New("open space")

// try is one connection to the host.
func (g *guest) try(ctx context.Context, at address) (Space, error) {
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, id, err := at.meeting.offer(dialing, at)
	if err != nil {
		return nil, retryable(ctx, err)
	}
	s, err := at.meeting.secure(dialing, conn, true, id, 0)
	if err != nil {
		return nil, retryable(ctx, err)
	}
	defer s.Close()
	t := newTalk(ctx, s)
	defer t.end()
	space, err := g.converse(t)
	g.lost = time.Now()
	if err != nil {
		t.part(refusalFor(err), 0)
	}
	return space, retryable(ctx, err)
}

// retryable hides from final that a part of the way took too long.
func retryable(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %v", ErrUnreachable, err)
	}
	return err
}

// talk is the guest's side of the conversation.
func (g *guest) talk(t *talk) (Space, error) {
	offer, err := g.authenticate(t)
	if err != nil {
		return nil, err
	}
	g.greet(t)
	if _, _, err := halo.LoadIdentity(offer.Inviter); err != nil || offer.Kind != halo.InviteMember {
		return nil, fault("the inviter's identity: %v", err)
	}
	if g.link != nil && !g.link.LeadsTo(offer.Space) {
		return nil, fault("a host that offers another space than the link leads to: %w", halo.ErrBadCode)
	}
	space, open := g.n.repo.SpaceByID(offer.Space)
	join := &halo.Join{
		Identity: g.n.repo.IdentityCredentials(), Device: g.n.repo.DeviceID(), Name: g.opts.DisplayName, Open: open,
		Proof: halo.SignJoin(g.n.repo.DeviceKeys(), offer.Challenge, t.session.Hash(), offer.Space),
	}
	if g.link != nil {
		if join.Claim, err = g.link.Claim(offer.Space, g.n.repo.IdentityID(), join.Device, t.session.Hash()); err != nil {
			return nil, err
		}
	}
	if err := t.send(join); err != nil {
		return nil, err
	}
	if !g.waits {
		g.tell(halo.GuestRequested)
	}
	joined, err := g.receive(t, offer)
	if errors.Is(err, ErrMember) {
		return space, err
	}
	return joined, err
}

// greet tells that the host has accepted the digits.
func (g *guest) greet(t *talk) {
	if g.waits {
		return // it is known already
	}
	g.tell(halo.GuestAuthOK)
	if g.link == nil && g.opts.Pictures != nil {
		g.opts.Pictures(halo.SAS(t.session.Hash()))
	}
	g.tell(halo.GuestOfferShown)
}

// authenticate shows the digits, if any are wanted, and hears the offer.
func (g *guest) authenticate(t *talk) (*halo.Offer, error) {
	if err := t.send(&halo.Auth{Proof: halo.AuthProof(t.session.Hash(), "")}); err != nil {
		return nil, err
	}
	offer, err := hear[*halo.Offer](t, inviteStep)
	if !errors.Is(err, ErrWrongCode) || errors.Is(err, ErrBurned) || g.opts.AuthCode == nil {
		return offer, err
	}
	digits, err := g.opts.AuthCode(t.ctx)
	if err != nil {
		return nil, fmt.Errorf("authorization code: %w: %w", ErrWrongCode, err)
	}
	if err := t.send(&halo.Auth{Proof: halo.AuthProof(t.session.Hash(), digits)}); err != nil {
		return nil, err
	}
	return hear[*halo.Offer](t, inviteStep)
}

// receive takes the admission and opens the space.
func (g *guest) receive(t *talk, offer *halo.Offer) (Space, error) {
	var list [][]byte
	size := 0
	for {
		within := inviteHuman // the host may be asked about the guest
		if g.waits {
			within = linkSilent
		}
		m, raw, err := t.next(within)
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *halo.Refuse:
			return nil, &refused{*m}
		case *halo.Wait:
			if err := g.wait(t, m); err != nil {
				return nil, err
			}
		case *halo.Bundle:
			if size += len(raw); size > maxAdmission || m.Space != offer.Space {
				return nil, fault("an admission of %d bytes, or to another space", size)
			}
			list = append(list, m.Credentials...)
		case *halo.Admit:
			return g.admitted(t, offer, m, raw, list)
		default:
			return nil, fault("invitation: %T out of turn", m)
		}
	}
}

// wait notes that an admin has to approve. The pictures are of the session in
// which this was asked for first.
func (g *guest) wait(t *talk, m *halo.Wait) error {
	if g.link == nil {
		return fault("invitation: waiting without a link")
	}
	if !m.Old && g.opts.Pictures != nil && g.shown != [32]byte(t.session.Hash()) {
		g.shown = [32]byte(t.session.Hash())
		g.opts.Pictures(halo.SAS(g.shown[:]))
	}
	if !g.waits {
		g.tell(halo.GuestWaiting)
	}
	g.waits = true
	return nil
}

// maxAdmission bounds the credentials of an admission, in bytes.
const maxAdmission = 256 << 20

func (g *guest) admitted(t *talk, offer *halo.Offer, m *halo.Admit, raw []byte, list [][]byte) (Space, error) {
	credential, err := halo.ParseCredential(m.Credential)
	if err != nil || m.Space != offer.Space {
		return nil, fault("admission: %v", err)
	}
	g.tell(halo.GuestReceived)
	name := g.opts.Name
	if name == "" {
		name = offer.Name
	}
	space, err := g.n.repo.Join(t.ctx, m.Space, name, list)
	if err == nil {
		err = keepFloor(space, m.Floor)
	}
	if err == nil {
		err = g.n.repo.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errJoin, err)
	}
	g.tell(halo.GuestSyncing)
	ack := &halo.Ack{Credential: credential.ID, Sig: halo.SignAck(g.n.repo.DeviceKeys(), raw)}
	if err := t.send(ack); err == nil {
		t.linger()
	}
	for _, url := range m.Hints.URLs {
		g.n.AddSignal(url)
	}
	return space, nil
}

// keepFloor remembers what the host has: whoever shows less is stale.
func keepFloor(space Space, marks []halo.FeedMark) error {
	keeper, ok := space.(FloorKeeper)
	if !ok {
		return nil
	}
	floor := Vector{}
	for _, m := range marks {
		floor[m.Feed] = Position{Next: m.Seq + 1, Last: m.Entry}
	}
	return keeper.SetFloor(floor)
}

var _ host = (*guest)(nil)

// device implements host: a guest does not say who it is before it knows that
// it talks to the host. So guests ignore each other, too.
func (g *guest) device() halo.DeviceID { return halo.DeviceID{} }

func (g *guest) start(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.wg.Go(f)
	}
}

// announced implements host: whoever announces itself here is the host.
func (g *guest) announced(_ halo.DeviceID, at address, _ bool) (reply bool) {
	select {
	case <-g.met:
	default:
	}
	select {
	case g.met <- at:
	default:
	}
	return false
}

// gone implements host: who has no room says so to members alone.
func (g *guest) gone(halo.DeviceID) {}

func (g *guest) offered(halo.DeviceID, address) (welcome, busy bool) { return false, false }

func (g *guest) answer(halo.DeviceID, address, [16]byte, string) {}
