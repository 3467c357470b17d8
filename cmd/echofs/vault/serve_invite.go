package vault

import (
	"cmp"
	"context"
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

// lingerTime bounds how long a command without a daemon stays for the first
// exchange after an invitation; lingerQuiet is how long nothing must have
// happened for it to be over.
const (
	lingerTime  = 15 * time.Second
	lingerQuiet = time.Second
)

func (v *Vault) registerInvitations() {
	control.HandleStream(v.server, control.Invite, v.invite)
	control.Handle(v.server, control.ListInvites, v.listInvites)
	control.Handle(v.server, control.CancelInvite, v.cancelInvite)
	control.Handle(v.server, control.DecideGuest, v.decideGuest)
	control.HandleStream(v.server, control.Join, v.join)
}

// invite makes an invitation and tells how it goes. It ends with its caller,
// unless nobody waits for it.
func (v *Vault) invite(ctx context.Context, req control.InviteRequest, send func(control.InviteEvent) error) error {
	s, err := v.space(req.Space)
	if err != nil {
		return err
	}
	role, err := halo.ParseRole(req.Role)
	if err != nil {
		return control.WithHint(fmt.Errorf("invite: role %q: %w", req.Role, control.ErrUsage), "roles are reader, editor, admin, owner and relay")
	}
	if req.Link {
		return v.inviteLink(ctx, s, role, req, send)
	}
	if req.Approval != "" && req.Approval != "auto" && req.Approval != "ask" {
		return fmt.Errorf("invite: approval %q, not auto or ask: %w", req.Approval, control.ErrUsage)
	}
	if req.Expires < 0 || req.Expires > echosync.MaxInviteLife {
		return fmt.Errorf("invite: it can be open for at most %v: %w", echosync.MaxInviteLife, control.ErrUsage)
	}
	net, err := v.online("invite")
	if err != nil {
		return err
	}
	hosting := ctx
	if req.NoWait {
		hosting = context.WithoutCancel(ctx)
	}
	inv, err := net.Invite(hosting, echosync.InviteOptions{Space: s.ID(), Role: role, Expires: req.Expires, AuthCode: !req.NoAuthCode, Ask: req.Approval == "ask", Recover: req.Recover})
	if err != nil {
		return v.signalHint(err)
	}
	expires := inv.Expires()
	if err := send(control.InviteEvent{ID: inv.ID(), Code: inv.Code(), AuthCode: inv.AuthCode(), Expires: &expires}); err != nil || req.NoWait {
		return err
	}
	if err := v.attend(ctx, inv, send); err != nil {
		return err
	}
	if guest, err := inv.Wait(ctx); err == nil && !v.opts.Daemon {
		v.linger(ctx, s, guest.Device)
	}
	return nil
}

// attend tells the states of an invitation until it has ended.
func (v *Vault) attend(ctx context.Context, inv *echosync.Invitation, send func(control.InviteEvent) error) error {
	defer inv.Cancel()
	for u := range inv.States() {
		e := control.InviteEvent{State: string(u.State)}
		if u.TriesLeft < halo.AuthTries {
			e.Tries = u.TriesLeft
		}
		if u.State == halo.HostReview {
			e.Guest = u.Guest.Identity.String()
		}
		if u.State == halo.HostReview || u.State == halo.HostCommitted || u.State == halo.HostDone {
			e.Member = cmp.Or(u.Guest.Name, shortIdentity(u.Guest.Identity), u.Guest.Device.Short())
		}
		if u.State == halo.HostReview || u.State == halo.HostCommitted {
			e.Emoji = u.Guest.SAS[:]
		}
		if u.Err != nil {
			e.Reason = u.Err.Error()
		}
		if err := send(e); err != nil {
			return err
		}
	}
	if _, err := inv.Wait(ctx); err != nil {
		return fmt.Errorf("invite: %w", err)
	}
	return nil
}

func shortIdentity(id halo.IdentityID) string {
	if id.IsZero() {
		return ""
	}
	return id.Short()
}

// outcome is how an attempt to join ended.
type outcome struct {
	space echosync.Space
	err   error
}

// join takes an invitation and tells how it goes.
func (v *Vault) join(ctx context.Context, req control.JoinRequest, send func(control.JoinEvent) error) error {
	net, err := v.online("join")
	if err != nil {
		return err
	}
	if req.Timeout < 0 {
		return fmt.Errorf("join: a timeout of %v: %w", req.Timeout, control.ErrUsage)
	}
	events := make(chan control.JoinEvent, 64)
	ended := make(chan outcome, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		space, err := net.Join(ctx, req.Code, v.joinOptions(req, events))
		close(events)
		ended <- outcome{space, err}
	}()
	var gone error
	for e := range events {
		if gone == nil {
			if gone = send(e); gone != nil {
				cancel()
			}
		}
	}
	end := <-ended
	if errors.Is(end.err, echosync.ErrMember) && end.space != nil {
		return errors.Join(gone, v.tellSpace(end.space.ID(), true, send))
	}
	if end.err != nil {
		return v.signalHint(end.err)
	}
	return errors.Join(gone, v.joined(ctx, req.Code, end.space.ID(), req.NoWait, send))
}

func (v *Vault) joinOptions(req control.JoinRequest, events chan<- control.JoinEvent) echosync.JoinOptions {
	tell := func(e control.JoinEvent) {
		select {
		case events <- e:
		default: // the reader is gone; the outcome tells all
		}
	}
	return echosync.JoinOptions{Name: req.As, DisplayName: v.config.Name, Reach: req.Timeout, AuthCode: authCode(req.AuthCode),
		Progress: func(s halo.GuestState) { tell(control.JoinEvent{State: string(s)}) },
		Pictures: func(sas [4]string) { tell(control.JoinEvent{Emoji: sas[:]}) }}
}

// joined keeps what leads to the other devices of a space, and tells its name.
func (v *Vault) joined(ctx context.Context, code string, id halo.SpaceID, noWait bool, send func(control.JoinEvent) error) error {
	if err := v.rememberServers(code); err != nil {
		v.log.Warn("the invitation's signaling servers are not remembered", "error", err)
	}
	s, ok := v.repo.SpaceByID(id)
	if !ok {
		return fmt.Errorf("join: the new space: %w", echo.ErrNotFound)
	}
	if !noWait {
		err := v.followSync(ctx, s, func(p control.SyncStatus) error {
			return send(control.JoinEvent{State: control.StateSyncing, Sync: &p})
		})
		if err != nil {
			return err
		}
	}
	if !v.opts.Daemon {
		v.linger(ctx, s, halo.DeviceID{})
	}
	return v.tellSpace(id, false, send)
}

// tellSpace tells which space a guest has come to.
func (v *Vault) tellSpace(id halo.SpaceID, already bool, send func(control.JoinEvent) error) error {
	s, ok := v.repo.SpaceByID(id)
	if !ok {
		return fmt.Errorf("join: the space: %w", echo.ErrNotFound)
	}
	return send(control.JoinEvent{Space: s.PublicID(), Name: s.Name(), Already: already})
}

// authCode answers the host's question for the digits.
func authCode(digits string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		if digits == "" {
			return "", control.WithHint(fmt.Errorf("the host asks for the authorization code: %w", echosync.ErrWrongCode),
				"say it with --auth-code")
		}
		return digits, nil
	}
}

// rememberServers adds the signaling servers of a code to the vault's own:
// there the other devices of the space are to be met.
func (v *Vault) rememberServers(code string) error {
	urls, err := serversOf(code)
	if err != nil {
		return err
	}
	config, err := v.keys.settings()
	if err != nil {
		return err
	}
	changed := false
	for _, url := range urls {
		v.net.AddSignal(url)
		if !slices.Contains(config.Signal, url) {
			config.Signal = append(config.Signal, url)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return v.keys.setSettings(config)
}

// linger stays until a device has what is here, or, for the zero device, until
// somebody is connected and nothing has come for a moment; at most for
// lingerTime. What is missing then comes with the next connection.
func (v *Vault) linger(ctx context.Context, s *echo.Space, device halo.DeviceID) {
	ctx, cancel := context.WithTimeout(ctx, lingerTime)
	defer cancel()
	sub := v.repo.Subscribe(echo.Log | echo.Acked | echo.Members)
	defer sub.Close()
	last := time.Now()
	for {
		if len(sub.Take()) > 0 {
			last = time.Now()
		}
		if !device.IsZero() && slices.Contains(s.AckedBy(s.Own()), device) {
			return
		}
		if device.IsZero() && v.peerCount(s.ID()) > 0 && time.Since(last) > lingerQuiet {
			return
		}
		if next(ctx, sub, lingerQuiet/4) != nil {
			return
		}
	}
}

// signalHint adds what can be done where nobody was found.
func (v *Vault) signalHint(err error) error {
	if !errors.Is(err, echosync.ErrUnreachable) {
		return err
	}
	return control.WithHint(err, "both sides need a signaling server that both reach: echofs mount --signal URL; see: echofs doctor")
}

// listInvites lists what is known of the invitations of this device.
func (v *Vault) listInvites(context.Context, control.None) ([]control.Invitation, error) {
	net, err := v.online("list invitations")
	if err != nil {
		return nil, err
	}
	infos, err := net.Invites()
	if err != nil {
		return nil, err
	}
	out := make([]control.Invitation, 0, len(infos))
	for _, i := range infos {
		out = append(out, v.invitation(i))
	}
	return append(out, v.links()...), nil
}

func (v *Vault) invitation(i echosync.InviteInfo) control.Invitation {
	out := control.Invitation{ID: i.ID, Kind: "device", State: string(i.State), Expires: i.Expires, Tries: i.TriesLeft, Guest: i.Guest}
	if i.Kind == halo.InviteMember {
		out.Kind, out.Role, out.Space = "member", i.Role.String(), i.Space.Short()
	}
	if s, ok := v.repo.SpaceByID(i.Space); ok {
		out.Space = s.Name()
	}
	if g := i.Reviewed; !g.Identity.IsZero() {
		out.Waiting = []control.Guest{{ID: g.Identity.String(), Name: cmp.Or(g.Name, g.Identity.Short()), Role: out.Role, Emoji: g.SAS[:]}}
	}
	return out
}

// minInviteID is how many digits of an id name an invitation.
const minInviteID = 4

// cancelInvite withdraws an invitation.
func (v *Vault) cancelInvite(ctx context.Context, ref control.InvitationRef) (control.Invitation, error) {
	net, err := v.online("cancel invitation")
	if err != nil {
		return control.Invitation{}, err
	}
	if s, link, ok := v.findLink(ref.ID); ok {
		return v.cancelLink(ctx, s, link)
	}
	infos, err := net.Invites()
	if err != nil {
		return control.Invitation{}, err
	}
	infos = slices.DeleteFunc(infos, func(i echosync.InviteInfo) bool {
		return len(ref.ID) < minInviteID || !strings.HasPrefix(i.ID, strings.ToLower(ref.ID))
	})
	if len(infos) != 1 {
		return control.Invitation{}, control.WithHint(fmt.Errorf("invitation %q: %d begin so: %w", ref.ID, len(infos), echo.ErrNotFound), "see: echofs invite list")
	}
	if err := net.CancelInvite(infos[0].ID); err != nil {
		return control.Invitation{}, err
	}
	infos[0].State = halo.HostCancelled
	return v.invitation(infos[0]), nil
}
