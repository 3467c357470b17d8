package echo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"echofs/halo"
)

// Links by which several can join, and those who wait because of one. What
// counts is for the credentials to say (package halo); here is what a device
// does about them.

// labelGuest is what a guest calls itself, for the members.
const labelGuest = "guest"

// Limits of what a guest may put into the space before it is a member.
const (
	maxGuestCredentials = 64
	maxGuestBytes       = 256 << 10
)

// LinkOptions say what a link is good for.
type LinkOptions struct {
	Role    halo.Role // reader or editor
	MaxUses int
	Expires time.Time
	// Ask has an admin approve each guest.
	Ask bool
	// AdminsHost lets admins' devices alone meet guests, else editors' too.
	AdminsHost bool
	// URLs are the signaling servers where guests meet hosts; as many are taken as
	// fit.
	URLs []string
}

// IssueLink makes a link. Its text is kept nowhere. It fails with ErrRefused.
func (s *Space) IssueLink(ctx context.Context, opts LinkOptions) (halo.Link, error) {
	link, err := halo.NewLink(s.id, opts.URLs)
	if err != nil {
		return halo.Link{}, fmt.Errorf("make link: %w", err)
	}
	p := &halo.InviteIssue{Invite: link.ID(), Key: link.Key(), Role: opts.Role, MaxUses: uint64(max(opts.MaxUses, 0)),
		Expires: uint64(max(opts.Expires.Unix(), 0)), AskAdmin: opts.Ask, AnyMember: !opts.AdminsHost}
	if p.Meet, err = link.Meeting().Seal(s.currentKey(), s.id); err != nil {
		return halo.Link{}, fmt.Errorf("make link: %w", err)
	}
	err = s.update(ctx, func(t *txn) error { return t.issue(p) })
	return link, wrapf(err, "make link")
}

// RevokeLink ends a link; whom other devices admit by it meanwhile is no member.
// It fails with ErrNotFound and ErrRefused.
func (s *Space) RevokeLink(ctx context.Context, id halo.LinkID) error {
	err := s.update(ctx, func(t *txn) error {
		l, ok := s.State().Link(id)
		if !ok || l.Revoked {
			return ErrNotFound
		}
		return t.issue(&halo.InviteRevoke{Invite: id})
	})
	return wrapf(err, "withdraw link")
}

// LinkMeeting returns where guests of a link are met; false where the key is not
// at hand with which that is sealed.
func (s *Space) LinkMeeting(id halo.LinkID) (halo.LinkMeeting, bool) {
	l, ok := s.State().Link(id)
	if !ok {
		return halo.LinkMeeting{}, false
	}
	epoch, err := halo.LabelEpoch(l.Meet)
	if err != nil {
		return halo.LinkMeeting{}, false
	}
	k, ok := s.epochKey(epoch)
	if !ok {
		return halo.LinkMeeting{}, false
	}
	m, err := halo.OpenLinkMeeting(k, s.id, l.Meet)
	return m, err == nil
}

// AdmitByLink enters a guest that came by a link: as a member, with the keys for
// its device, or as one who waits; State says which. It fails with ErrPeerFault
// where the guest is to blame, and with ErrRefused.
func (s *Space) AdmitByLink(ctx context.Context, id halo.LinkID, guest [][]byte, claim []byte, name string) error {
	parsed, err := halo.ParseClaim(claim)
	if err != nil {
		return fmt.Errorf("admit by link: %w: %w", ErrPeerFault, err)
	}
	err = s.update(ctx, func(t *txn) error {
		who, err := t.addGuest(guest)
		if err != nil {
			return err
		}
		l, ok := s.State().Link(id)
		if !ok {
			return ErrNotFound
		}
		p := &halo.MemberSet{Identity: who, Role: l.Role, Invite: id[:], Claim: claim}
		if k := s.currentKey(); name != "" && !k.IsZero() {
			if p.Name, err = k.SealLabel(s.id, labelGuest, name); err != nil {
				return err
			}
		}
		if err := t.issue(p); err != nil {
			return err
		}
		if s.State().Role(who) == halo.RoleNone {
			return nil
		}
		return t.grantKeys(who, parsed.Device)
	})
	return wrapf(err, "admit by link")
}

// addGuest adds the credentials of a guest's identity, which must be few.
func (t *txn) addGuest(guest [][]byte) (who halo.IdentityID, err error) {
	size := 0
	for _, b := range guest {
		size += len(b)
	}
	if len(guest) > maxGuestCredentials || size > maxGuestBytes {
		return who, fmt.Errorf("a guest with %d credentials of %d bytes: %w", len(guest), size, ErrPeerFault)
	}
	_, who, err = halo.LoadIdentity(guest)
	if err != nil {
		return who, fmt.Errorf("guest's identity: %w: %w", ErrPeerFault, err)
	}
	for _, b := range guest {
		c, err := halo.ParseCredential(b)
		if err == nil {
			_, err = t.addCredential(c)
		}
		if err != nil {
			return who, fmt.Errorf("guest's identity: %w: %w", ErrPeerFault, err)
		}
	}
	return who, nil
}

// Waiting is who came by a link and waits for an admin's word.
type Waiting struct {
	Identity halo.IdentityID
	Device   halo.DeviceID
	Link     halo.LinkID
	Role     halo.Role // that it would get
	Over     bool      // the link was used up before it came
	Name     string    // what it calls itself, or a short id; escape it before showing it
	SAS      [4]string // pictures that it was shown when it came
	Asked    time.Time
}

// Waiting lists who waits to be approved, the first first.
func (s *Space) Waiting() []Waiting {
	list := s.State().Waiting()
	out := make([]Waiting, 0, len(list))
	for _, w := range list {
		out = append(out, Waiting{Identity: w.Identity, Device: w.Device, Link: w.Link, Role: w.Role, Over: w.Over,
			Name: s.guestName(w), SAS: halo.SAS(w.Handshake[:]), Asked: w.Asked})
	}
	return out
}

func (s *Space) guestName(w halo.Waiting) string {
	if epoch, err := halo.LabelEpoch(w.Name); err == nil {
		if k, ok := s.epochKey(epoch); ok {
			if name, err := k.OpenLabel(s.id, labelGuest, w.Name); err == nil && name != "" {
				return name
			}
		}
	}
	return w.Identity.Short()
}

// FindWaiting finds who waits by its name or the beginning of its id.
// ErrNotFound, ErrAmbiguous.
func (s *Space) FindWaiting(who string) (Waiting, error) {
	found := slices.DeleteFunc(s.Waiting(), func(w Waiting) bool {
		return w.Name != who && (len(who) < minPrefix || !strings.HasPrefix(w.Identity.String(), who))
	})
	switch len(found) {
	case 0:
		return Waiting{}, fmt.Errorf("guest %q: %w", who, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return Waiting{}, fmt.Errorf("guest %q: %w: %d are called so", who, ErrAmbiguous, len(found))
}

// Approve makes somebody who waits a member and grants it the keys. It fails
// with ErrNotFound and ErrRefused.
func (s *Space) Approve(ctx context.Context, who halo.IdentityID) error {
	err := s.update(ctx, func(t *txn) error {
		w, ok := s.waits(who)
		if !ok {
			return ErrNotFound
		}
		if err := t.issue(&halo.MemberSet{Identity: who, Role: w.Role}); err != nil {
			return err
		}
		return t.grantKeys(who, w.Device)
	})
	return wrapf(err, "approve guest")
}

// Decline sends somebody who waits away: it comes by no link again. It fails with
// ErrNotFound and ErrRefused.
func (s *Space) Decline(ctx context.Context, who halo.IdentityID) error {
	err := s.update(ctx, func(t *txn) error {
		if _, ok := s.waits(who); !ok {
			return ErrNotFound
		}
		return t.issue(&halo.MemberRemove{Identity: who, Cuts: t.cutsOf(who)})
	})
	return wrapf(err, "decline guest")
}

func (s *Space) waits(who halo.IdentityID) (halo.Waiting, bool) {
	list := s.State().Waiting()
	i := slices.IndexFunc(list, func(w halo.Waiting) bool { return w.Identity == who })
	if i < 0 {
		return halo.Waiting{}, false
	}
	return list[i], true
}

// NameOf returns the name that an identity shows in the space, or a short id.
// Escape it before showing it.
func (s *Space) NameOf(id halo.IdentityID) string { return s.nameOf(s.State(), id) }
