package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"echofs/halo"
	"echofs/sync/session"
)

// The host's side of the conversation with a guest.

// meet connects to a guest and talks to it. A guest of an invitation that is
// over is told so.
func (inv *Invitation) meet(at address, id [16]byte, sdp string) error {
	inv.mu.Lock()
	life := inv.ctx
	if inv.phase == phaseLate {
		life = inv.late
	}
	inv.mu.Unlock()
	return receive(life, at, id, sdp, func(t *talk) error {
		if err := inv.over(t.session); err != nil {
			return err
		}
		return inv.talk(t)
	})
}

// over returns why a guest gets nothing; nil if it is welcome. The one that was
// admitted is welcome as long as there is somebody to answer: it may have lost
// what it was given.
func (inv *Invitation) over(s *session.Session) error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	switch {
	case inv.rec.Admitted && inv.rec.Noise == s.Remote():
		return nil
	case inv.rec.Admitted:
		return ErrUsed
	case inv.phase != phaseLate:
		return nil
	case inv.rec.State == halo.HostBurned:
		return ErrBurned
	case inv.rec.State == halo.HostExpired:
		return ErrExpired
	}
	return ErrCancelled
}

// talk is the conversation.
func (inv *Invitation) talk(t *talk) error {
	if err := inv.advance(halo.HostContacted); err != nil {
		return err
	}
	if err := inv.authenticate(t); err != nil {
		return err
	}
	if err := inv.advance(halo.HostAuthOK); err != nil {
		return err
	}
	offer, err := inv.offer()
	if err != nil {
		return err
	}
	if err := t.send(offer); err != nil {
		return err
	}
	join, claim, err := hearGuest(t)
	if err != nil {
		return err
	}
	if claim != nil {
		return inv.reclaim(t, offer, claim)
	}
	if inv.made.Recover {
		return ErrDeclined
	}
	guest, err := checkJoin(t.session, offer, join)
	if err != nil {
		return err
	}
	if inv.space != nil && inv.member(guest, join) {
		return ErrMember
	}
	if err := inv.review(guest.GuestInfo); err != nil {
		return err
	}
	return inv.commit(t, join, guest)
}

// offer says what the guest is invited to.
func (inv *Invitation) offer() (*halo.Offer, error) {
	offer, err := newOffer(inv.n, inv.invite.Kind)
	if err == nil && inv.space != nil {
		offer.Space, offer.Name, offer.Role = inv.made.Space, inv.shownName(), inv.made.Role
	}
	return offer, err
}

func newOffer(n *Network, kind halo.InviteKind) (*halo.Offer, error) {
	offer := &halo.Offer{Kind: kind, Inviter: n.repo.IdentityCredentials()}
	if _, err := rand.Read(offer.Challenge[:]); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return offer, nil
}

// shownName is the name of the space that the guest is told: none for a relay,
// which must not learn it.
func (inv *Invitation) shownName() string {
	if inv.made.Role == halo.RoleRelay {
		return ""
	}
	return inv.space.Name()
}

// member reports whether the guest has what it is invited to, and did not get
// it by this invitation.
func (inv *Invitation) member(guest joiner, join *halo.Join) bool {
	return !inv.admitted() && join.Open && inv.space.State().Role(guest.Identity).AtLeast(inv.made.Role)
}

// advance stores and tells a state, unless the guest is one that was admitted
// before.
func (inv *Invitation) advance(state halo.HostState) error {
	if inv.admitted() {
		return nil
	}
	return inv.become(state, nil)
}

// authenticate hears the digits. Wrong ones count for the invitation, whoever
// sends them; none at all only asks whether any are wanted.
func (inv *Invitation) authenticate(t *talk) error {
	for {
		m, err := hear[*halo.Auth](t, inviteHuman)
		if err != nil {
			return err
		}
		if halo.CheckAuthProof(t.session.Hash(), inv.made.Digits, m.Proof) {
			return nil
		}
		asks := halo.CheckAuthProof(t.session.Hash(), "", m.Proof)
		left, err := inv.wrongDigits(!asks)
		if err != nil {
			return err
		}
		if left == 0 {
			return ErrBurned
		}
		if err := t.send(&halo.Refuse{Why: halo.RefuseWrongCode, TriesLeft: uint64(left)}); err != nil {
			return err
		}
	}
}

// wrongDigits counts, before the guest learns of it, and returns how many tries
// are left.
func (inv *Invitation) wrongDigits(count bool) (int, error) {
	if count {
		if err := inv.change(func(r *inviteRecord) { r.Wrong++ }); err != nil {
			return 0, err
		}
	}
	inv.mu.Lock()
	left := inv.rec.tries()
	inv.mu.Unlock()
	if count && left > 0 {
		return left, inv.advance(halo.HostContacted)
	}
	return left, nil
}

// joiner is a guest that has proved who it is.
type joiner struct {
	GuestInfo
	keys halo.DevicePublic
	role halo.Role // that it has already and keeps; RoleNone for that of the invitation
}

// checkJoin checks that the guest is who it says, in this session.
func checkJoin(s *session.Session, offer *halo.Offer, join *halo.Join) (joiner, error) {
	guest := joiner{GuestInfo: GuestInfo{Device: join.Device, Name: join.Name, SAS: halo.SAS(s.Hash())}}
	if (offer.Kind == halo.InviteDevice) != (join.Keys != nil) {
		return guest, fault("the guest asks for something else than what it was offered")
	}
	if join.Keys != nil {
		guest.keys = *join.Keys
	} else {
		graph, id, err := halo.LoadIdentity(join.Identity)
		if err != nil {
			return guest, fault("guest's identity: %v", err)
		}
		device, ok := graph.State().Device(id, join.Device)
		if !ok || !device.Active() {
			return guest, fault("guest's device is not of its identity")
		}
		guest.Identity, guest.keys = id, device.Public
	}
	if guest.keys.Noise != s.Remote() {
		return guest, fault("guest's device is not in this session")
	}
	if err := halo.VerifyJoin(guest.keys.Sign, join.Proof, offer.Challenge, s.Hash(), offer.Space); err != nil {
		return guest, fault("guest's proof: %v", err)
	}
	return guest, nil
}

// review decides whether the guest is admitted.
func (inv *Invitation) review(guest GuestInfo) error {
	inv.mu.Lock()
	inv.guest = guest
	again := inv.rec.Admitted
	inv.mu.Unlock()
	if again || inv.approve == nil && !inv.made.Ask {
		return nil
	}
	select {
	case <-inv.decision: // about a guest of before
	default:
	}
	if err := inv.become(halo.HostReview, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(inv.ctx, inviteHuman)
	defer cancel()
	approve := inv.approve
	if approve == nil {
		approve = inv.ask
	}
	if !approve(ctx, guest) {
		return ErrDeclined
	}
	return nil
}

// ask waits for what DecideInvite says.
func (inv *Invitation) ask(ctx context.Context, _ GuestInfo) bool {
	select {
	case admit := <-inv.decision:
		return admit
	case <-ctx.Done():
		return false
	}
}

// decide answers for the guest that is there; false where none is.
func (inv *Invitation) decide(admit bool) bool {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.rec.State != halo.HostReview {
		return false
	}
	select {
	case inv.decision <- admit:
		return true
	default: // somebody else was quicker
		return false
	}
}

// commit admits the guest, tells it, and hears that it has stored it. That
// nobody else will be admitted is stored first: a crash at any point leaves
// this guest admitted or able to be, and no other.
func (inv *Invitation) commit(t *talk, join *halo.Join, guest joiner) error {
	again := inv.admitted()
	err := inv.change(func(r *inviteRecord) {
		r.Admitted, r.Identity, r.Device, r.Noise, r.Guest = true, guest.Identity, guest.Device, guest.keys.Noise, guest.Name
	})
	if err != nil {
		return err
	}
	space, credential, err := inv.admit(t, join, guest)
	if err != nil {
		return errors.Join(fmt.Errorf("admit guest: %w", err), inv.release(again))
	}
	if inv.state() != halo.HostDone {
		if err := inv.become(halo.HostCommitted, nil); err != nil {
			return err
		}
	}
	list, admit, err := admission(space, guest.GuestInfo)
	if err != nil {
		return err
	}
	if credential != nil {
		admit.Credential = credential
	}
	admit.Hints = halo.Hints{URLs: inv.invite.URLs, Name: space.Name()}
	if inv.space != nil {
		admit.Hints.Name = inv.shownName()
	}
	return deliver(t, list, admit, guest)
}

// admit makes the guest a member, or a device of this identity, and returns the
// space whose credentials it gets; for a device also its own credential.
func (inv *Invitation) admit(t *talk, join *halo.Join, guest joiner) (Space, []byte, error) {
	if inv.invite.Kind == halo.InviteDevice {
		return inv.addDevice(t, guest)
	}
	role := inv.made.Role
	if guest.role != halo.RoleNone {
		role = guest.role
	}
	return inv.space, nil, inv.n.repo.Admit(t.ctx, inv.made.Space, join.Identity, join.Device, role)
}

// release lets others come, since this guest could not be admitted.
func (inv *Invitation) release(again bool) error {
	if s := inv.state(); again || s == halo.HostCommitted || s == halo.HostDone {
		return nil
	}
	return inv.change(func(r *inviteRecord) { r.Admitted, r.Noise, r.Device = false, [32]byte{}, halo.DeviceID{} })
}

// deliver sends what the guest needs, and hears that it has stored it.
func deliver(t *talk, list []*halo.Credential, admit *halo.Admit, guest joiner) error {
	for _, b := range halo.Bundles(admit.Space, list) {
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
	if err := halo.VerifyAck(guest.keys.Sign, ack.Sig, raw); err != nil {
		return fault("guest's acknowledgement: %v", err)
	}
	return nil
}

// admission returns what a guest that was admitted needs: the space's
// credentials, and the message that names its own.
func admission(space Space, guest GuestInfo) ([]*halo.Credential, *halo.Admit, error) {
	raw, err := space.Credentials()
	if err != nil {
		return nil, nil, fmt.Errorf("read credentials: %w", err)
	}
	admit := &halo.Admit{Space: space.ID()}
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
			if p.Key.Device == guest.Device && len(admit.Grants) < maxGrants {
				admit.Grants = append(admit.Grants, b)
			}
		}
	}
	admit.Floor, err = floor(space)
	if _, randErr := rand.Read(admit.Resume[:]); randErr != nil {
		return nil, nil, fmt.Errorf("read random bytes: %w", randErr)
	}
	return list, admit, err
}

// floor returns what is held here: nobody may show the guest less.
func floor(space Space) (marks []halo.FeedMark, err error) {
	v, err := space.Vector()
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

// maxFloor is how many feeds an admission tells of, and maxGrants how many of
// the grants that are among the credentials it repeats.
const (
	maxFloor  = 1024
	maxGrants = 64
)
