package sync

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"echofs/halo"
	"echofs/sync/signal"
)

// Recovery: a new device with no more than keys and the phrase becomes one of
// the identity. It meets a device of the identity at the place that follows from
// the phrase (haven.go), or a member of a space by an invitation of that one; the
// conversation is that of an invitation, in which it answers the offer in the
// name of the root. From then on it is a device like the others, and what they
// have comes to it by the exchange.

// ReclaimOptions say how a new device is recovered.
type ReclaimOptions struct {
	JoinOptions // Name is not used; DisplayName is the name of the device
	// Code is of an invitation to a space in which the identity is a member;
	// empty to look for the identity's own devices.
	Code string
	// Root are the keys of the phrase.
	Root *halo.RootKeys
	// Keys are of the new device. An attempt that was cut off is best repeated
	// with the same.
	Keys *halo.DeviceKeys
	// Store keeps what the device got. Only when it has returned without an
	// error does the helper hear that the device is there.
	Store func(Paired) error
	// Network has servers, ICE, LAN and Logger, as in Options.
	Network Options
}

// place is where two sides of a conversation meet.
type place struct {
	secret halo.SwarmSecret
	urls   []string
}

// Reclaim makes a new device one of the identity of a root, as the root's word
// is. Errors are those of Network.Join; ErrNotMember where the member that was
// met knows no such identity.
func Reclaim(ctx context.Context, opts ReclaimOptions) error {
	if err := reclaim(ctx, opts); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return nil
}

func reclaim(ctx context.Context, opts ReclaimOptions) error {
	opts.Reach = cmp.Or(opts.Reach, DefaultReach)
	g := &guest{opts: opts.JoinOptions, met: make(chan address, 1)}
	if opts.Code == "" {
		g.place = &place{halo.SwarmSecret{Secret: opts.Root.Meeting()}, opts.Network.Signal}
		g.invite.Expires = time.Now().Add(MaxInviteLife)
	} else {
		invite, err := halo.ParseInvite(opts.Code)
		if err != nil {
			return err
		}
		if invite.Kind != halo.InviteMember {
			return fmt.Errorf("a code for a device, not for a space: %w", halo.ErrBadCode)
		}
		g.invite = invite
	}
	n, stop, err := runBare(ctx, opts.Keys, opts.Network)
	if err != nil {
		return err
	}
	defer stop()
	g.n = n
	g.converse = func(t *talk) (Space, error) { return nil, g.reclaim(t, opts) }
	g.tell(halo.GuestEntered)
	if _, err := g.run(ctx); err != nil {
		g.tell(finalState(err))
		return err
	}
	g.tell(halo.GuestJoined)
	return nil
}

// enterPlace goes to where the identity's devices wait, on all topics of now.
func (g *guest) enterPlace(p place) (leave func()) {
	var topics []signal.Topic
	for _, day := range days(time.Now()) {
		topic := p.secret.Topic(day)
		m := newMeeting(topic, p.secret.SignalKey(topic), p.secret.NoisePSK(), g.n, g)
		g.meetings = append(g.meetings, m)
		topics = append(topics, signal.Topic(topic))
		g.n.enter(signal.Topic(topic), m, p.urls...)
	}
	return func() { g.leave(topics...) }
}

// announceAll says that the guest is there, wherever the host may be.
func (g *guest) announceAll() {
	for _, m := range g.meetings {
		m.announceAll()
	}
}

// reclaim is the new device's side of the conversation.
func (g *guest) reclaim(t *talk, opts ReclaimOptions) error {
	offer, err := g.authenticate(t)
	if err != nil {
		return err
	}
	g.greet(t)
	if (offer.Kind == halo.InviteDevice) != (opts.Code == "") {
		return fault("offer of kind %d", offer.Kind)
	}
	if err := t.send(halo.NewReclaim(opts.Root, opts.Keys, opts.DisplayName, offer.Challenge, t.session.Hash(), offer.Space)); err != nil {
		return err
	}
	g.tell(halo.GuestRequested)
	identity, err := hearPast(t, opts.Root.Public().Sign)
	if err != nil {
		return err
	}
	checkpoint, err := identity.checkpoint(t, opts)
	if err != nil {
		return err
	}
	if err := t.send(&halo.Reclaimed{Checkpoint: checkpoint.Bytes()}); err != nil {
		return err
	}
	return g.receiveReclaimed(t, opts, offer, identity.id)
}

// past is what somebody knows of an identity.
type past struct {
	graph *halo.Graph
	id    halo.IdentityID
}

// hearPast hears the credentials of the identity with a root.
func hearPast(t *talk, root [32]byte) (past, error) {
	var raw [][]byte
	for size := 0; ; {
		m, err := hear[*halo.Past](t, inviteHuman)
		if err != nil {
			return past{}, err
		}
		for _, b := range m.Credentials {
			size += len(b)
		}
		if size > maxAdmission {
			return past{}, fault("an identity of %d bytes", size)
		}
		if raw = append(raw, m.Credentials...); !m.More {
			break
		}
	}
	graph, id, err := halo.LoadIdentity(raw)
	if err != nil {
		return past{}, fault("credentials of the identity: %v", err)
	}
	if public, ok := graph.State().Root(id); !ok || public.Sign != root {
		return past{}, fault("another identity than that of the phrase")
	}
	return past{graph, id}, nil
}

// checkpoint returns the root's word that the new device is one of the identity,
// beside those that are active. A helper that is suspended helps nevertheless,
// as an ordinary device.
func (k past) checkpoint(t *talk, opts ReclaimOptions) (*halo.Credential, error) {
	helper := t.session.Remote()
	stays := func(d halo.Device) halo.Level {
		if d.Suspended && d.Public.Noise == helper {
			return halo.LevelOrdinary
		}
		return d.Level
	}
	return k.graph.CheckpointOf(opts.Root, k.id, opts.Keys.Public(), stays, time.Now())
}

// receiveReclaimed takes what comes, and has it stored.
func (g *guest) receiveReclaimed(t *talk, opts ReclaimOptions, offer *halo.Offer, identity halo.IdentityID) error {
	got := Paired{Identity: identity, Signal: g.invite.URLs, Shared: opts.Code != "", Name: offer.Name}
	if got.Signal == nil {
		got.Signal = slices.Clone(opts.Network.Signal)
	}
	admit, raw, err := takeAdmission(t, &got, nil)
	if err != nil {
		return err
	}
	if opts.Code != "" && admit.Space != offer.Space {
		return fault("an admission to another space")
	}
	g.tell(halo.GuestReceived)
	return g.paired(t, PairOptions{Keys: opts.Keys, Store: opts.Store}, got, admit, raw)
}

// hearGuest hears who wants to come in: one who joins, or one who has lost all
// devices.
func hearGuest(t *talk) (*halo.Join, *halo.Reclaim, error) {
	m, _, err := t.next(inviteHuman)
	if err != nil {
		return nil, nil, err
	}
	switch m := m.(type) {
	case *halo.Refuse:
		return nil, nil, &refused{*m}
	case *halo.Join:
		return m, nil, nil
	case *halo.Reclaim:
		return nil, m, nil
	}
	return nil, nil, fault("invitation: %T out of turn", m)
}

// reclaimed is who has come by the word of a root.
type reclaimed struct {
	joiner
	identity   [][]byte // its credentials, the checkpoint at last
	checkpoint *halo.Credential
}

// hearReclaimed is the helper's side, up to where the new device is to be let
// in: it checks that the root and the device are there, gives the credentials of
// the identity, and checks what the root says.
func hearReclaimed(t *talk, offer *halo.Offer, m *halo.Reclaim, id halo.IdentityID, list []*halo.Credential) (reclaimed, error) {
	who := reclaimed{joiner: joiner{GuestInfo: GuestInfo{Identity: id, Device: m.Device.ID(), Name: m.Name, SAS: halo.SAS(t.session.Hash())}, keys: m.Device}}
	if m.Device.Noise != t.session.Remote() {
		return who, fault("the new device is not in this session")
	}
	if err := m.Verify(offer.Challenge, t.session.Hash(), offer.Space); err != nil {
		return who, fault("recovery: %v", err)
	}
	for _, part := range halo.PastOf(list) {
		if err := t.send(part); err != nil {
			return who, err
		}
	}
	answer, err := hear[*halo.Reclaimed](t, inviteStep)
	if err != nil {
		return who, err
	}
	if who.checkpoint, err = answer.CheckReclaimed(id, m.Root, who.Device); err != nil {
		return who, fault("recovery: %v", err)
	}
	who.identity = append(halo.RawCredentials(list), who.checkpoint.Bytes())
	graph, _, err := halo.LoadIdentity(who.identity)
	if err != nil {
		return who, fault("recovery: %v", err)
	}
	if d, ok := graph.State().Device(id, who.Device); !ok || !d.Active() {
		return who, fault("a checkpoint that does not count")
	}
	return who, nil
}

// reclaim is the host's side where a guest says that it is a member who has lost
// all devices. Nobody gets another role by it than it had.
func (inv *Invitation) reclaim(t *talk, offer *halo.Offer, m *halo.Reclaim) error {
	if inv.space == nil {
		return fault("a recovery by an invitation of a device")
	}
	state := inv.space.State()
	id, ok := state.IdentityOfRoot(m.Root)
	if !ok || state.Role(id) == halo.RoleNone {
		return ErrNotMember
	}
	list, err := identityOf(inv.space, id)
	if err != nil {
		return err
	}
	who, err := hearReclaimed(t, offer, m, id, list)
	if err != nil {
		return err
	}
	who.role = state.Role(id)
	if err := inv.review(who.GuestInfo); err != nil {
		return err
	}
	return inv.commit(t, &halo.Join{Identity: who.identity, Device: who.Device}, who.joiner)
}

// identityOf returns the credentials of an identity in a space, parents first.
func identityOf(s Space, id halo.IdentityID) ([]*halo.Credential, error) {
	raw, err := s.Credentials()
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	var out []*halo.Credential
	for _, b := range raw {
		c, err := halo.ParseCredential(b)
		if err != nil {
			return nil, fmt.Errorf("stored credential: %w", err)
		}
		if c.OfIdentity(id) {
			out = append(out, c)
		}
	}
	return out, nil
}
