package vault

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/halo"
	echosync "echofs/sync"
)

// What is usual of links, and what is possible.
const (
	linkLife    = 7 * 24 * time.Hour
	maxLinkLife = 366 * 24 * time.Hour
	linkUses    = 10
)

// linkOptions reads what is asked of a link.
func linkOptions(role halo.Role, req control.InviteRequest) (echo.LinkOptions, error) {
	usage := func(format string, args ...any) (echo.LinkOptions, error) {
		return echo.LinkOptions{}, fmt.Errorf("invite: "+format+": %w", append(args, control.ErrUsage)...)
	}
	switch {
	case role != halo.RoleReader && role != halo.RoleEditor:
		return usage("a link makes readers or editors, no %s", role)
	case req.Expires < 0 || req.Expires > maxLinkLife:
		return usage("a link can be open for at most %v", maxLinkLife)
	case req.Uses < 0 || req.Uses > halo.MaxMembers:
		return usage("a link for %d people, more than a space can have", req.Uses)
	case !slices.Contains([]string{"", "ask", "admin", "auto"}, req.Approval):
		return usage("approval %q, not ask or auto", req.Approval)
	case !slices.Contains([]string{"", "members", "admins"}, req.Hosts):
		return usage("hosts %q, not members or admins", req.Hosts)
	}
	return echo.LinkOptions{
		Role: role, MaxUses: cmp.Or(req.Uses, linkUses), Expires: time.Now().Add(cmp.Or(req.Expires, linkLife)).Truncate(time.Second),
		Ask: req.Approval != "auto", AdminsHost: req.Hosts == "admins",
	}, nil
}

// inviteLink makes a link and tells who comes by it, until it is over or its
// caller leaves, which ends nothing.
func (v *Vault) inviteLink(ctx context.Context, s *echo.Space, role halo.Role, req control.InviteRequest, send func(control.InviteEvent) error) error {
	opts, err := linkOptions(role, req)
	if err != nil {
		return err
	}
	net, err := v.online("invite")
	if err != nil {
		return err
	}
	opts.URLs = net.Signal()
	if len(opts.URLs) == 0 && v.config.NoLAN {
		return v.signalHint(fmt.Errorf("invite: no signaling server: %w", echosync.ErrUnreachable))
	}
	link, err := s.IssueLink(ctx, opts)
	if err != nil {
		return roleHint(err)
	}
	text, err := link.URL()
	if err != nil {
		return err
	}
	id := link.ID()
	err = send(control.InviteEvent{ID: hex.EncodeToString(id[:]), Code: text, Expires: &opts.Expires})
	if err != nil || req.NoWait {
		return err
	}
	return v.attendLink(ctx, s, id, send)
}

// linkView is what was told of a link.
type linkView struct {
	s    *echo.Space
	id   halo.LinkID
	told map[halo.IdentityID]string // the state of each guest
	send func(control.InviteEvent) error
}

// attendLink tells who comes by a link until it is over.
func (v *Vault) attendLink(ctx context.Context, s *echo.Space, id halo.LinkID, send func(control.InviteEvent) error) error {
	sub := v.repo.Subscribe(echo.Members)
	defer sub.Close()
	w := &linkView{s: s, id: id, told: map[halo.IdentityID]string{}, send: send}
	if err := send(control.InviteEvent{State: string(halo.HostOpen)}); err != nil {
		return err
	}
	for {
		sub.Take()
		over, err := w.tell()
		if over || err != nil {
			return err
		}
		if err := next(ctx, sub, time.Second); err != nil {
			return err
		}
	}
}

// tell tells what is new, and whether the link is over.
func (w *linkView) tell() (over bool, err error) {
	link, ok := w.s.State().Link(w.id)
	if !ok {
		return true, fmt.Errorf("invite: the link: %w", echo.ErrNotFound)
	}
	left, waiting := link.Left(), 0
	for _, g := range w.s.Waiting() {
		if g.Link != w.id {
			continue
		}
		waiting++
		e := control.InviteEvent{State: string(halo.HostReview), Member: g.Name, Guest: g.Identity.String(), Emoji: g.SAS[:], Left: &left}
		if g.Over {
			e.Reason = "the link is used up"
		}
		if err := w.once(g.Identity, e); err != nil {
			return false, err
		}
	}
	for _, id := range link.Uses {
		e := control.InviteEvent{State: string(halo.HostDone), Member: w.s.NameOf(id), Left: &left}
		if err := w.once(id, e); err != nil {
			return false, err
		}
	}
	switch {
	case link.Revoked:
		return true, errors.Join(w.send(control.InviteEvent{State: string(halo.HostCancelled)}), fmt.Errorf("invite: %w", echosync.ErrCancelled))
	case time.Now().After(link.Expires):
		return true, errors.Join(w.send(control.InviteEvent{State: string(halo.HostExpired)}), fmt.Errorf("invite: %w", echosync.ErrExpired))
	case left == 0 && waiting == 0:
		return true, w.send(control.InviteEvent{State: "used", Left: &left})
	}
	return false, nil
}

// once tells a state of a guest unless it was told last.
func (w *linkView) once(id halo.IdentityID, e control.InviteEvent) error {
	if w.told[id] == e.State {
		return nil
	}
	w.told[id] = e.State
	return w.send(e)
}

// links lists the links of all spaces that are not over for long.
func (v *Vault) links() (out []control.Invitation) {
	for _, s := range v.repo.Spaces() {
		for _, l := range s.State().Links() {
			if time.Since(l.Expires) < linkLife {
				out = append(out, describeLink(s, l))
			}
		}
	}
	return out
}

func describeLink(s *echo.Space, l halo.SpaceLink) control.Invitation {
	out := control.Invitation{ID: hex.EncodeToString(l.ID[:]), Kind: "link", Space: s.Name(), Role: l.Role.String(), State: "open",
		Expires: l.Expires, Uses: len(l.Uses), MaxUses: l.MaxUses, By: s.NameOf(l.Issuer)}
	switch {
	case l.Revoked:
		out.State = "cancelled"
	case time.Now().After(l.Expires):
		out.State = "expired"
	case l.Left() == 0:
		out.State = "used"
	}
	for _, w := range s.Waiting() {
		if w.Link == l.ID {
			out.Waiting = append(out.Waiting, control.Guest{ID: w.Identity.String(), Name: w.Name, Role: w.Role.String(),
				Emoji: w.SAS[:], Over: w.Over, Asked: w.Asked})
		}
	}
	return out
}

// findLink finds the one link whose id begins so.
func (v *Vault) findLink(prefix string) (space *echo.Space, link halo.LinkID, ok bool) {
	found := 0
	for _, s := range v.repo.Spaces() {
		for _, l := range s.State().Links() {
			if len(prefix) >= minInviteID && strings.HasPrefix(hex.EncodeToString(l.ID[:]), strings.ToLower(prefix)) {
				space, link = s, l.ID
				found++
			}
		}
	}
	return space, link, found == 1
}

func (v *Vault) cancelLink(ctx context.Context, s *echo.Space, id halo.LinkID) (control.Invitation, error) {
	if err := s.RevokeLink(ctx, id); err != nil {
		return control.Invitation{}, roleHint(err)
	}
	l, _ := s.State().Link(id)
	return describeLink(s, l), nil
}

// decideGuest admits a guest that waits, or sends it away: one that came by a
// link, or one of an invitation of this device.
func (v *Vault) decideGuest(ctx context.Context, req control.GuestDecision) (control.Guest, error) {
	s, err := v.space(req.Space)
	if err != nil {
		return control.Guest{}, err
	}
	w, err := s.FindWaiting(req.Who)
	if errors.Is(err, echo.ErrNotFound) {
		return v.decideReviewed(s, req)
	}
	if err != nil {
		return control.Guest{}, control.WithHint(err, "see: echofs invite list")
	}
	decide := s.Decline
	if req.Admit {
		decide = s.Approve
	}
	if err := decide(ctx, w.Identity); err != nil {
		return control.Guest{}, roleHint(err)
	}
	return control.Guest{ID: w.Identity.String(), Name: w.Name, Role: w.Role.String(), Emoji: w.SAS[:], Over: w.Over, Asked: w.Asked}, nil
}

// decideReviewed is decideGuest for invitations of this device.
func (v *Vault) decideReviewed(s *echo.Space, req control.GuestDecision) (control.Guest, error) {
	net, err := v.online("decide about a guest")
	if err != nil {
		return control.Guest{}, err
	}
	infos, err := net.Invites()
	if err != nil {
		return control.Guest{}, err
	}
	for _, i := range infos {
		for _, g := range v.invitation(i).Waiting {
			if i.Space == s.ID() && (g.Name == req.Who || len(req.Who) >= minInviteID && strings.HasPrefix(g.ID, req.Who)) {
				return g, net.DecideInvite(i.ID, req.Admit)
			}
		}
	}
	return control.Guest{}, control.WithHint(fmt.Errorf("nobody called %q waits: %w", req.Who, echo.ErrNotFound), "see: echofs invite list")
}

// serversOf returns the signaling servers of a code or a link.
func serversOf(code string) ([]string, error) {
	if halo.IsLink(code) {
		link, err := halo.ParseLink(code)
		return link.URLs, err
	}
	invite, err := halo.ParseInvite(code)
	return invite.URLs, err
}
