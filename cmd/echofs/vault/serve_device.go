package vault

import (
	"context"
	"fmt"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/halo"
	echosync "echofs/sync"
)

func (v *Vault) registerDevices() {
	control.Handle(v.server, control.ListDevices, v.listDevices)
	control.HandleStream(v.server, control.InviteDevice, v.inviteDevice)
	control.Handle(v.server, control.RenameDevice, v.renameDevice)
	control.Handle(v.server, control.RenameIdentity, v.renameIdentity)
}

// listDevices lists the devices of the own identity.
func (v *Vault) listDevices(context.Context, control.None) ([]control.Device, error) {
	out := []control.Device{}
	for _, d := range v.repo.OwnDevices() {
		one := control.Device{ID: d.ID.String(), Name: d.Name, Level: d.Level.String(), State: "active", LastSeen: seen(d.LastSeen)}
		switch {
		case d.Suspended:
			one.State = "suspended"
		case d.Level == halo.LevelNone:
			one.State = "revoked"
		case d.This:
			one.State = "this"
			one.LastSeen = seen(time.Now())
		}
		out = append(out, one)
	}
	return out, nil
}

// inviteDevice invites a further device of this identity.
func (v *Vault) inviteDevice(ctx context.Context, req control.DeviceInvite, send func(control.InviteEvent) error) error {
	net, err := v.online("device invite")
	if err != nil {
		return err
	}
	if req.Expires < 0 || req.Expires > echosync.MaxInviteLife {
		return fmt.Errorf("device invite: it can be open for at most %v: %w", echosync.MaxInviteLife, control.ErrUsage)
	}
	opts := echosync.InviteOptions{Kind: halo.InviteDevice, Level: halo.LevelOrdinary, Expires: req.Expires, AuthCode: !req.NoAuthCode}
	if req.Primary {
		opts.Level = halo.LevelPrimary
	}
	hosting := ctx
	if req.NoWait {
		hosting = context.WithoutCancel(ctx)
	}
	inv, err := net.Invite(hosting, opts)
	if err != nil {
		return control.WithHint(v.signalHint(err), "a device that is primary can add others; see: echofs device list")
	}
	expires := inv.Expires()
	if err := send(control.InviteEvent{ID: inv.ID(), Code: inv.Code(), AuthCode: inv.AuthCode(), Expires: &expires}); err != nil || req.NoWait {
		return err
	}
	if err := v.attend(ctx, inv, send); err != nil {
		return err
	}
	if !v.opts.Daemon {
		v.Settle(ctx)
	}
	return nil
}

// renameDevice changes the name of this device.
func (v *Vault) renameDevice(ctx context.Context, req control.DeviceRename) (control.Identity, error) {
	id := v.Identity()
	if d := req.Device; d != "" && d != id.Device.Name && (len(d) < 4 || !strings.HasPrefix(id.Device.ID, strings.ToLower(d))) {
		return id, control.WithHint(fmt.Errorf("rename device %q: a device names itself: %w", d, control.ErrRefused),
			"run it there: echofs device rename NAME")
	}
	return v.rename(ctx, "", req.Name)
}

// renameIdentity changes the name of this identity.
func (v *Vault) renameIdentity(ctx context.Context, req control.Rename) (control.Identity, error) {
	return v.rename(ctx, req.Name, "")
}

func (v *Vault) rename(ctx context.Context, identity, device string) (control.Identity, error) {
	if identity == "" && device == "" {
		return control.Identity{}, fmt.Errorf("rename: no name: %w", control.ErrUsage)
	}
	config, err := v.keys.settings()
	if err != nil {
		return control.Identity{}, err
	}
	if identity != "" {
		config.Name = identity
	}
	if device != "" {
		config.Device = device
	}
	if err := v.keys.setSettings(config); err != nil {
		return control.Identity{}, err
	}
	if err := v.repo.SetNames(ctx, identity, device); err != nil {
		return control.Identity{}, fmt.Errorf("rename: %w", err)
	}
	return v.Identity(), nil
}

// isOwn reports whether a space is that of the identity's devices.
func (v *Vault) isOwn(id echo.SpaceID) bool {
	own, ok := v.repo.OwnSpace()
	return ok && own.ID() == id
}
