package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/session"
	"echofs/sync/signal"
)

// The times of an invitation.
const (
	DefaultInviteLife = 15 * time.Minute
	MaxInviteLife     = 24 * time.Hour

	inviteStep  = 30 * time.Second // for each message
	inviteHuman = 3 * time.Minute  // for what people have to type or decide
	resumeLife  = 10 * time.Minute // in which an admitted guest may come again
)

// InviteOptions say what a guest is invited to.
type InviteOptions struct {
	Space halo.SpaceID
	Role  halo.Role // RoleNone is RoleEditor
	// Expires is the life of the invitation; 0 is DefaultInviteLife, more than
	// MaxInviteLife is MaxInviteLife.
	Expires time.Duration
	// AuthCode asks the guest for six digits that the inviter tells by another
	// way than the code.
	AuthCode bool
	// Signal are the servers where host and guest meet; none is all of the
	// network's, as many as fit a code.
	Signal []string
	// Approve, unless nil, decides about a guest that has shown code and digits.
	Approve func(context.Context, GuestInfo) bool
}

// GuestInfo is what a host is told of a guest before it is admitted.
type GuestInfo struct {
	Identity halo.IdentityID
	Device   halo.DeviceID
	Name     string    // what the guest calls itself; escape it before showing it
	SAS      [4]string // pictures that both sides show
}

// InviteUpdate tells how an invitation goes.
type InviteUpdate struct {
	State     halo.HostState
	Guest     GuestInfo // once it is known
	TriesLeft int       // of the authorization code
	Err       error     // why it failed, in a state that is final
}

// Invitation is the host's side of one invitation.
type Invitation struct {
	n       *Network
	opts    InviteOptions
	space   Space
	invite  halo.Invite
	code    string
	digits  string
	meeting *meeting
	ctx     context.Context
	cancel  context.CancelCauseFunc
	wg      sync.WaitGroup
	done    chan struct{}
	updates chan InviteUpdate // of one slot for each update there can be

	mu     sync.Mutex // guards the below: what a restart would have to know
	state  halo.HostState
	wrong  int           // digits that were wrong
	guest  GuestInfo     // whom it was or is about
	admit  halo.DeviceID // who was admitted: nobody else will be
	busy   bool          // a guest is being talked to
	closed bool
	err    error
}

// maxUpdates is how many updates wait for a reader. The last is never lost.
const maxUpdates = 32

// Invite invites one guest to a space. The invitation ends when the guest has
// joined, when it expires or is cancelled, after three wrong authorization
// codes, and when ctx ends or the network goes offline.
func (n *Network) Invite(ctx context.Context, opts InviteOptions) (*Invitation, error) {
	space, ok := n.repo.SpaceByID(opts.Space)
	if !ok {
		return nil, fmt.Errorf("invite: space %s: %w", opts.Space.Short(), ErrNotFound)
	}
	if opts.Role == halo.RoleNone {
		opts.Role = halo.RoleEditor
	}
	if err := mayInvite(space.State(), n.repo.IdentityID(), opts.Role); err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	if len(opts.Signal) == 0 {
		all := n.Signal()
		opts.Signal = all[:min(len(all), 4)]
	}
	if len(opts.Signal) == 0 && n.opts.LAN == nil {
		return nil, fmt.Errorf("invite: no signaling server: %w", ErrUnreachable)
	}
	inv, err := newInvitation(n, space, opts)
	if err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	if err := inv.open(ctx); err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	return inv, nil
}

// mayInvite fails where the guest could not be admitted.
func mayInvite(state *halo.State, me halo.IdentityID, role halo.Role) error {
	mine := state.Role(me)
	if mine == halo.RoleOwner || mine == halo.RoleAdmin && !role.AtLeast(halo.RoleAdmin) {
		return nil
	}
	return fmt.Errorf("as %s to the role of %s: %w", mine, role, halo.ErrNotAllowed)
}

func newInvitation(n *Network, space Space, opts InviteOptions) (*Invitation, error) {
	life := min(opts.Expires, MaxInviteLife)
	if life <= 0 {
		life = DefaultInviteLife
	}
	invite, err := halo.NewInvite(halo.InviteMember, opts.Signal, time.Now().Add(life))
	if err != nil {
		return nil, err
	}
	inv := &Invitation{
		n: n, opts: opts, space: space, invite: invite,
		done: make(chan struct{}), updates: make(chan InviteUpdate, maxUpdates), state: halo.HostCreated,
	}
	if inv.code, err = invite.Code(); err != nil {
		return nil, err
	}
	if opts.AuthCode {
		inv.digits, err = halo.NewAuthCode()
	}
	inv.meeting = newMeeting(invite.Topic(), invite.SignalKey(), invite.NoisePSK(), n, inv)
	return inv, err
}

// open begins to wait for the guest.
func (inv *Invitation) open(ctx context.Context) error {
	online, err := inv.n.whenOnline(ctx)
	if err != nil {
		return err
	}
	inv.ctx, inv.cancel = context.WithCancelCause(ctx)
	stop := context.AfterFunc(online.ctx, func() { inv.cancel(ErrOffline) })
	inv.become(halo.HostOpen, nil)
	topic := signal.Topic(inv.invite.Topic())
	inv.n.enter(topic, inv.meeting, inv.opts.Signal...)
	begun := inv.n.spawn(online, func() {
		defer stop()
		inv.watch()
		inv.n.exit(topic)
	})
	if !begun {
		stop()
		inv.cancel(ErrOffline)
		return ErrOffline
	}
	return nil
}

// watch ends the invitation at its time.
func (inv *Invitation) watch() {
	t := time.NewTimer(time.Until(inv.invite.Expires))
	defer t.Stop()
	select {
	case <-inv.ctx.Done():
	case <-t.C:
		inv.expire()
	}
	inv.mu.Lock()
	inv.closed = true
	inv.mu.Unlock()
	inv.wg.Wait()
	inv.settle(context.Cause(inv.ctx))
	close(inv.updates)
	close(inv.done)
}

// expire ends the invitation, but lets a guest that was admitted come again.
func (inv *Invitation) expire() {
	inv.mu.Lock()
	committed := inv.state == halo.HostCommitted
	inv.mu.Unlock()
	if committed {
		pauseFor(inv.ctx, resumeLife)
	}
	inv.cancel(ErrExpired)
}

// settle gives the invitation its final state.
func (inv *Invitation) settle(cause error) {
	state := halo.HostFailed
	switch {
	case errors.Is(cause, errInviteDone):
		state, cause = halo.HostDone, nil
	case errors.Is(cause, ErrExpired):
		state = halo.HostExpired
	case errors.Is(cause, ErrBurned):
		state = halo.HostBurned
	case errors.Is(cause, context.Canceled):
		state = halo.HostCancelled
	}
	inv.mu.Lock()
	if inv.state == halo.HostCommitted {
		state, cause = halo.HostDone, nil // the member exists
	}
	inv.mu.Unlock()
	inv.become(state, cause)
}

var errInviteDone = errors.New("invitation is done")

// become changes the state and tells it.
func (inv *Invitation) become(state halo.HostState, err error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.state, inv.err = state, err
	u := InviteUpdate{State: state, Guest: inv.guest, TriesLeft: halo.AuthTries - inv.wrong, Err: err}
	for {
		select {
		case inv.updates <- u:
			return
		default:
		}
		select {
		case <-inv.updates: // nobody reads; the newest counts
		default:
		}
	}
}

// Code returns the text for the guest.
func (inv *Invitation) Code() string { return inv.code }

// AuthCode returns the six digits, or nothing if none are asked for.
func (inv *Invitation) AuthCode() string { return inv.digits }

// Expires returns when the invitation ends.
func (inv *Invitation) Expires() time.Time { return inv.invite.Expires }

// States tells how the invitation goes. The channel is closed after a final
// state.
func (inv *Invitation) States() <-chan InviteUpdate { return inv.updates }

// Cancel ends the invitation and waits until it has.
func (inv *Invitation) Cancel() {
	inv.cancel(context.Canceled)
	<-inv.done
}

// Wait waits for the end of the invitation, and returns who was admitted.
func (inv *Invitation) Wait(ctx context.Context) (GuestInfo, error) {
	select {
	case <-inv.done:
	case <-ctx.Done():
		return GuestInfo{}, ctx.Err()
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.guest, inv.err
}

var _ host = (*Invitation)(nil)

func (inv *Invitation) device() halo.DeviceID { return inv.n.repo.DeviceID() }

func (inv *Invitation) start(f func()) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if !inv.closed {
		inv.wg.Go(f)
	}
}

// announced implements host: a guest that asks is told where the host is.
func (inv *Invitation) announced(halo.DeviceID, address, bool) (reply bool) { return true }

// offered implements host: one guest at a time.
func (inv *Invitation) offered(halo.DeviceID, address) (welcome, busy bool) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.busy || inv.closed {
		return false, true
	}
	inv.busy = true
	return true, false
}

// answer implements host.
func (inv *Invitation) answer(_ halo.DeviceID, at address, id [16]byte, sdp string) {
	err := inv.meet(at, id, sdp)
	inv.n.logger.Debug("a guest is gone", "err", err)
	inv.mu.Lock()
	inv.busy = false
	open := inv.state != halo.HostCommitted && inv.ctx.Err() == nil
	inv.mu.Unlock()
	switch {
	case err == nil:
		inv.cancel(errInviteDone)
	case errors.Is(err, ErrBurned):
		inv.cancel(ErrBurned)
	case open:
		inv.become(halo.HostOpen, nil)
	}
}

func (inv *Invitation) meet(at address, id [16]byte, sdp string) error {
	ctx, cancel := context.WithTimeout(inv.ctx, dialTimeout)
	defer cancel()
	conn, err := inv.meeting.accept(ctx, at, id, sdp)
	if err != nil {
		return err
	}
	s, err := inv.meeting.secure(ctx, conn, false, id, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	t := newTalk(inv.ctx, s)
	defer t.end()
	err = inv.talk(t)
	if err != nil {
		t.part(refusalFor(err), 0)
	}
	return err
}

// talk is the host's side of the conversation.
func (inv *Invitation) talk(t *talk) error {
	inv.advance(halo.HostContacted)
	if err := inv.authenticate(t); err != nil {
		return err
	}
	inv.advance(halo.HostAuthOK)
	offer := &halo.Offer{
		Kind: halo.InviteMember, Space: inv.opts.Space, Name: inv.space.Name(), Role: inv.opts.Role,
		Inviter: inv.n.repo.IdentityCredentials(),
	}
	if _, err := rand.Read(offer.Challenge[:]); err != nil {
		return fmt.Errorf("read random bytes: %w", err)
	}
	if err := t.send(offer); err != nil {
		return err
	}
	join, err := hear[*halo.Join](t, inviteHuman)
	if err != nil {
		return err
	}
	guest, key, err := checkJoin(t.session, offer, join)
	if err != nil {
		return err
	}
	if err := inv.review(guest); err != nil {
		return err
	}
	return inv.commit(t, join, guest, key)
}

// advance tells a state, unless the guest is one that was admitted before.
func (inv *Invitation) advance(state halo.HostState) {
	inv.mu.Lock()
	committed := inv.state == halo.HostCommitted
	inv.mu.Unlock()
	if !committed {
		inv.become(state, nil)
	}
}

// authenticate hears the digits. Wrong ones count for the invitation, whoever
// sends them; none at all only asks whether any are wanted.
func (inv *Invitation) authenticate(t *talk) error {
	for {
		m, err := hear[*halo.Auth](t, inviteHuman)
		if err != nil {
			return err
		}
		if halo.CheckAuthProof(t.session.Hash(), inv.digits, m.Proof) {
			return nil
		}
		asks := halo.CheckAuthProof(t.session.Hash(), "", m.Proof)
		left := inv.wrongDigits(!asks)
		if left == 0 {
			return ErrBurned
		}
		if err := t.send(&halo.Refuse{Why: halo.RefuseWrongCode, TriesLeft: uint64(left)}); err != nil {
			return err
		}
	}
}

// wrongDigits counts and returns how many tries are left.
func (inv *Invitation) wrongDigits(count bool) int {
	inv.mu.Lock()
	if count {
		inv.wrong++
	}
	left := halo.AuthTries - inv.wrong
	inv.mu.Unlock()
	if count && left > 0 {
		inv.advance(halo.HostContacted)
	}
	return left
}

// checkJoin checks that the guest is who it says, in this session.
func checkJoin(s *session.Session, offer *halo.Offer, join *halo.Join) (GuestInfo, [32]byte, error) {
	graph, id, err := halo.LoadIdentity(join.Identity)
	if err != nil {
		return GuestInfo{}, [32]byte{}, fault("guest's identity: %v", err)
	}
	device, ok := graph.State().Device(id, join.Device)
	if !ok || !device.Active() || device.Public.Noise != s.Remote() {
		return GuestInfo{}, [32]byte{}, fault("guest's device is not of its identity, or not in this session")
	}
	if err := halo.VerifyJoin(device.Public.Sign, join.Proof, offer.Challenge, s.Hash(), offer.Space); err != nil {
		return GuestInfo{}, [32]byte{}, fault("guest's proof: %v", err)
	}
	return GuestInfo{Identity: id, Device: join.Device, Name: join.Name, SAS: halo.SAS(s.Hash())}, device.Public.Sign, nil
}

// review decides whether the guest is admitted. After one was, nobody else is.
func (inv *Invitation) review(guest GuestInfo) error {
	inv.mu.Lock()
	again := inv.state == halo.HostCommitted
	other := again && inv.admit != guest.Device
	inv.guest = guest
	inv.mu.Unlock()
	if other {
		return ErrDeclined
	}
	if again || inv.opts.Approve == nil {
		return nil
	}
	inv.become(halo.HostReview, nil)
	ctx, cancel := context.WithTimeout(inv.ctx, inviteHuman)
	defer cancel()
	if !inv.opts.Approve(ctx, guest) {
		return ErrDeclined
	}
	return nil
}

// commit admits the guest, tells it, and hears that it has stored it.
func (inv *Invitation) commit(t *talk, join *halo.Join, guest GuestInfo, key [32]byte) error {
	err := inv.n.repo.Admit(inv.ctx, inv.opts.Space, join.Identity, join.Device, inv.opts.Role)
	if err != nil {
		return fmt.Errorf("admit guest: %w", err)
	}
	inv.mu.Lock()
	inv.admit = guest.Device
	inv.mu.Unlock()
	inv.become(halo.HostCommitted, nil)
	list, admit, err := inv.admission(guest)
	if err != nil {
		return err
	}
	for _, b := range halo.Bundles(inv.opts.Space, list) {
		if err := t.send(b); err != nil {
			return err
		}
	}
	raw, err := halo.EncodeMessage(admit)
	if err != nil {
		return err
	}
	if err := t.sendRaw(raw); err != nil {
		return err
	}
	ack, err := hear[*halo.Ack](t, inviteStep)
	if err != nil {
		return err
	}
	if err := halo.VerifyAck(key, ack.Sig, raw); err != nil {
		return fault("guest's acknowledgement: %v", err)
	}
	return nil
}

// admission returns what a guest that was admitted needs: the space's
// credentials, and the message that names its own.
func (inv *Invitation) admission(guest GuestInfo) ([]*halo.Credential, *halo.Admit, error) {
	raw, err := inv.space.Credentials()
	if err != nil {
		return nil, nil, fmt.Errorf("read credentials: %w", err)
	}
	admit := &halo.Admit{Space: inv.opts.Space, Hints: halo.Hints{URLs: inv.opts.Signal, Name: inv.space.Name()}}
	var list []*halo.Credential
	for _, b := range raw {
		c, err := halo.ParseCredential(b)
		if err != nil {
			return nil, nil, fmt.Errorf("stored credential: %w", err)
		}
		list = append(list, c)
		switch p := c.Payload.(type) {
		case *halo.SpaceGenesis:
			if p.Owner == guest.Identity {
				admit.Credential = b
			}
		case *halo.MemberSet:
			if p.Identity == guest.Identity {
				admit.Credential = b
			}
		case *halo.KeyGrant:
			if p.Key.Device == guest.Device {
				admit.Grants = append(admit.Grants, b)
			}
		}
	}
	admit.Floor, err = inv.floor()
	if _, randErr := rand.Read(admit.Resume[:]); randErr != nil {
		return nil, nil, fmt.Errorf("read random bytes: %w", randErr)
	}
	return list, admit, err
}

// floor returns what is held here: nobody may show the guest less.
func (inv *Invitation) floor() (marks []halo.FeedMark, err error) {
	v, err := inv.space.Vector()
	if err != nil {
		return nil, fmt.Errorf("read what is held: %w", err)
	}
	for _, feed := range v.feeds() {
		if p := v[feed]; p.Next > 0 && len(marks) < maxFloor {
			marks = append(marks, halo.FeedMark{Feed: feed, Seq: p.Next - 1, Entry: p.Last})
		}
	}
	return marks, nil
}

// maxFloor is how many feeds an admission tells of.
const maxFloor = 1024
