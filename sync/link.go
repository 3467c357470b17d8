package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"echofs/halo"
	"echofs/sync/session"
	"echofs/sync/signal"
)

// Links: the guests of one are met by whichever devices host it and are online.
// Who may come, and what becomes of it, is in the credentials of the space; so a
// host keeps nothing, and a guest may go on with another.

// LinkSpace is what links need of a space; one without it has none.
type LinkSpace interface {
	Space
	// LinkMeeting returns where guests of a link are met; false where that is not
	// known here.
	LinkMeeting(halo.LinkID) (halo.LinkMeeting, bool)
	// AdmitByLink enters a guest that shows a link: as a member with the keys for
	// its device, or as one who waits. It fails with an error that IsPeerFault
	// knows, or with halo.ErrNotAllowed.
	AdmitByLink(ctx context.Context, link halo.LinkID, guest [][]byte, claim []byte, name string) error
}

// Limits of hosts.
const (
	maxHostedLinks = 16               // of a space
	maxLinkGuests  = 16               // that are talked to at a time
	maxLinkWaiting = 16               // that wait to be approved; more are sent away
	linkHold       = time.Minute      // for which a guest that waits stays connected
	linkBeat       = 3 * time.Second  // between words to it, so that it notices when the host is gone
	linkSilent     = 10 * time.Second // after which it looks for another host
	linkLate       = 24 * time.Hour   // after the end, in which guests are told of it
	linkSteps      = 3                // in which a guest is admitted or not
)

// spot is where a guest looks for its host.
type spot struct {
	topic    halo.Topic
	key, psk halo.Secret
	urls     []string
}

func spotOf(i halo.Invite) spot {
	return spot{i.Topic(), i.SignalKey(), i.NoisePSK(), i.URLs}
}

func spotOfLink(l halo.Link) spot {
	m := l.Meeting()
	return spot{m.Topic(), m.SignalKey(), m.NoisePSK(), m.URLs}
}

// linked returns the space of a link in which this device's identity is a
// member, and ErrMember; nil for none.
func (n *Network) linked(l halo.Link) (Space, error) {
	for _, s := range n.repo.Spaces() {
		state := s.State()
		if _, ok := state.Link(l.ID()); ok && state.Role(n.repo.IdentityID()) != halo.RoleNone {
			return s, ErrMember
		}
	}
	return nil, nil
}

// linkAt names a link of a space.
type linkAt struct {
	space halo.SpaceID
	link  halo.LinkID
}

// linkHost meets the guests of one link.
type linkHost struct {
	reception
	space   LinkSpace
	id      halo.LinkID
	urls    []string
	meeting *meeting
	cancel  context.CancelFunc
}

// hostLinks begins to meet the guests of links that are new here, and leaves
// those that are over.
func (n *Network) hostLinks(o *online) {
	wanted := make(map[linkAt]LinkSpace)
	for _, s := range n.repo.Spaces() {
		if space, ok := s.(LinkSpace); ok {
			for _, id := range n.hosted(space) {
				wanted[linkAt{s.ID(), id}] = space
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for at, h := range o.links {
		if wanted[at] == nil {
			h.cancel()
			delete(o.links, at)
		}
	}
	for at, space := range wanted {
		if o.links[at] != nil {
			continue
		}
		if h, ok := newLinkHost(n, o, space, at.link); ok {
			o.links[at] = h
			o.wg.Go(h.run)
		}
	}
}

// hosted lists the links of a space that this device hosts, the newest first.
// One that is over is hosted for a while, to tell guests so.
func (n *Network) hosted(space LinkSpace) (out []halo.LinkID) {
	state := space.State()
	role, ok := state.Member(n.repo.IdentityID(), n.repo.DeviceID())
	if !ok {
		return nil
	}
	links := state.Links()
	slices.Reverse(links)
	for _, l := range links {
		if l.Hosts(role) && time.Now().Before(l.Expires.Add(linkLate)) && len(out) < maxHostedLinks {
			out = append(out, l.ID)
		}
	}
	return out
}

func newLinkHost(n *Network, o *online, space LinkSpace, id halo.LinkID) (*linkHost, bool) {
	at, ok := space.LinkMeeting(id)
	if !ok {
		return nil, false
	}
	h := &linkHost{space: space, id: id, urls: at.URLs}
	h.reception = reception{n: n, most: maxLinkGuests, talk: h.talk, parted: func(err error) {
		n.logger.Debug("a guest of a link is gone", "err", err)
	}}
	h.ctx, h.cancel = context.WithCancel(o.ctx)
	h.meeting = newMeeting(at.Topic(), at.SignalKey(), at.NoisePSK(), n, h)
	return h, true
}

// run is there for guests until the link is no longer hosted.
func (h *linkHost) run() {
	defer h.cancel()
	topic := signal.Topic(h.meeting.topic)
	servers := h.n.Signal()
	for _, u := range h.urls {
		if !slices.Contains(servers, u) {
			servers = append(servers, u)
		}
	}
	h.n.enter(topic, h.meeting, servers...)
	<-h.ctx.Done()
	h.n.exitFrom(topic, h.meeting)
	h.close()
	h.wg.Wait()
}

// talk is the host's side of the conversation.
func (h *linkHost) talk(t *talk) error {
	hello, err := hear[*halo.Auth](t, inviteStep)
	if err != nil {
		return err
	}
	if !halo.CheckAuthProof(t.session.Hash(), "", hello.Proof) {
		return fault("a link has no authorization code")
	}
	link, err := h.link()
	if err != nil && !h.known(t.session) {
		return err
	}
	offer, err := newOffer(h.n, halo.InviteMember)
	if err != nil {
		return err
	}
	offer.Space, offer.Name, offer.Role = h.space.ID(), h.space.Name(), link.Role
	if err := t.send(offer); err != nil {
		return err
	}
	join, err := hear[*halo.Join](t, inviteStep)
	if err != nil {
		return err
	}
	guest, err := checkJoin(t.session, offer, join)
	if err != nil {
		return err
	}
	return h.admit(t, join, guest)
}

// link returns the link, and ErrCancelled or ErrExpired where it is over.
func (h *linkHost) link() (halo.SpaceLink, error) {
	l, ok := h.space.State().Link(h.id)
	switch {
	case !ok || l.Revoked:
		return l, ErrCancelled
	case time.Now().After(l.Expires):
		return l, ErrExpired
	}
	return l, nil
}

// known reports whether a session is with a device of somebody who came by the
// link before: it may have lost what it was given, or wait for it.
func (h *linkHost) known(s *session.Session) bool {
	state := h.space.State()
	is := func(d halo.Device) bool { return d.Public.Noise == s.Remote() }
	for _, m := range state.Members() {
		if slices.ContainsFunc(state.Devices(m.Identity), is) {
			return true
		}
	}
	return slices.ContainsFunc(state.Waiting(), func(w halo.Waiting) bool {
		return slices.ContainsFunc(state.Devices(w.Identity), is)
	})
}

// admit does for a guest what the space says of it, and has the space say it
// where it was not here before.
func (h *linkHost) admit(t *talk, join *halo.Join, guest joiner) error {
	for range linkSteps {
		state := h.space.State()
		if role := state.Role(guest.Identity); role != halo.RoleNone {
			return h.welcome(t, join, guest, role)
		}
		if w, waits := waitingOf(state, guest.Identity); waits {
			if err := h.hold(t, guest, w); err != nil {
				return err
			}
			continue
		}
		if err := h.enter(t, join, guest); err != nil {
			return err
		}
	}
	return fmt.Errorf("what is known of a guest changes too fast: %w", ErrUnreachable)
}

// enter enters a guest that nobody knows yet.
func (h *linkHost) enter(t *talk, join *halo.Join, guest joiner) error {
	link, err := h.link()
	if link.Claimed(guest.Identity) {
		return ErrDeclined
	}
	if err != nil {
		return err
	}
	claim, err := halo.ParseClaim(join.Claim)
	if err != nil || claim.Device != guest.Device || claim.Handshake != [32]byte(t.session.Hash()) ||
		claim.Verify(link.Key, link.ID, h.space.ID(), guest.Identity) != nil {
		return fault("a guest without the link")
	}
	if len(h.space.State().Waiting()) >= maxLinkWaiting {
		return ErrBusy
	}
	err = h.space.AdmitByLink(t.ctx, h.id, join.Identity, join.Claim, join.Name)
	switch {
	case err == nil:
		return nil
	case h.n.repo.IsPeerFault(err):
		return fault("guest: %v", err)
	case errors.Is(err, halo.ErrNotAllowed): // it was a member, say, or there is no room
		return fmt.Errorf("%w: %w", ErrDeclined, err)
	}
	return err
}

// welcome gives a member what it needs.
func (h *linkHost) welcome(t *talk, join *halo.Join, guest joiner, role halo.Role) error {
	if join.Open {
		return ErrMember
	}
	// Its device may be one that nobody has granted the keys to.
	if err := h.n.repo.Admit(t.ctx, h.space.ID(), join.Identity, join.Device, role); err != nil {
		return fmt.Errorf("admit guest: %w", err)
	}
	list, admit, err := admission(h.space, guest.GuestInfo)
	if err != nil {
		return err
	}
	admit.Hints = halo.Hints{URLs: h.urls, Name: h.space.Name()}
	return deliver(t, list, admit, guest)
}

// errHeld: a guest that waits has to come again.
var errHeld = errors.New("nothing was decided yet")

// hold tells a guest to wait, and returns when something was decided about it.
func (h *linkHost) hold(t *talk, guest joiner, w halo.Waiting) error {
	changes := h.n.repo.Changes()
	defer changes.Close()
	wait := &halo.Wait{Over: w.Over, Old: w.Handshake != [32]byte(t.session.Hash())}
	if err := t.send(wait); err != nil {
		return err
	}
	beat := time.NewTicker(linkBeat)
	defer beat.Stop()
	enough := time.NewTimer(linkHold)
	defer enough.Stop()
	for {
		if _, waits := waitingOf(h.space.State(), guest.Identity); !waits {
			return nil
		}
		select {
		case <-changes.C():
			changes.Take()
		case <-beat.C:
			if err := t.send(wait); err != nil {
				return err
			}
		case <-enough.C:
			return errHeld
		case <-t.ctx.Done():
			return context.Cause(t.ctx)
		}
	}
}

func waitingOf(s *halo.State, id halo.IdentityID) (halo.Waiting, bool) {
	list := s.Waiting()
	i := slices.IndexFunc(list, func(w halo.Waiting) bool { return w.Identity == id })
	if i < 0 {
		return halo.Waiting{}, false
	}
	return list[i], true
}
