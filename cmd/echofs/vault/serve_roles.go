package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/halo"
)

func (v *Vault) registerRoles() {
	control.Handle(v.server, control.SetRole, v.setRole)
	control.Handle(v.server, control.RemoveMember, v.removeMember)
	control.Handle(v.server, control.LeaveSpace, v.leaveSpace)
	control.Handle(v.server, control.RevokeDevice, v.revokeDevice)
	control.Handle(v.server, control.Audit, v.audit)
	control.Handle(v.server, control.AdoptEntries, v.adopt)
}

// member finds a member, and where there is none says how to see who is one.
func (v *Vault) member(ref control.MemberRef) (*echo.Space, halo.IdentityID, error) {
	s, err := v.space(ref.Space)
	if err != nil {
		return nil, halo.IdentityID{}, err
	}
	who, err := s.FindMember(ref.Who)
	return s, who, control.WithHint(err, "see: echofs member list "+ref.Space)
}

func (v *Vault) setRole(ctx context.Context, req control.MemberRole) (control.None, error) {
	s, who, err := v.member(req.MemberRef)
	if err != nil {
		return control.None{}, err
	}
	role, err := halo.ParseRole(req.Role)
	if err != nil {
		return control.None{}, fmt.Errorf("%w: %w", control.ErrUsage, err)
	}
	return control.None{}, roleHint(s.SetRole(ctx, who, role))
}

// roleHint tells what to do about a refusal.
func roleHint(err error) error {
	switch {
	case errors.Is(err, echo.ErrLastOwner):
		return control.WithHint(err, "make somebody else an owner first: echofs member role SPACE WHO owner")
	case errors.Is(err, halo.ErrNotAllowed):
		return control.WithHint(err, "admins change those below them, owners all but owners")
	}
	return err
}

func (v *Vault) removeMember(ctx context.Context, req control.MemberRef) (control.None, error) {
	s, who, err := v.member(req)
	if err != nil {
		return control.None{}, err
	}
	return control.None{}, roleHint(s.RemoveMember(ctx, who))
}

func (v *Vault) leaveSpace(ctx context.Context, req control.SpaceRef) (control.None, error) {
	s, err := v.space(req.Space)
	if err != nil {
		return control.None{}, err
	}
	return control.None{}, roleHint(s.RemoveMember(ctx, v.repo.IdentityID()))
}

var reasons = map[string]halo.Reason{"retired": halo.ReasonRetired, "lost": halo.ReasonLost, "compromised": halo.ReasonCompromised}

func (v *Vault) revokeDevice(ctx context.Context, req control.DeviceRevoke) (control.None, error) {
	reason, ok := reasons[cmp.Or(req.Reason, "lost")]
	if !ok {
		return control.None{}, fmt.Errorf("reason %q: %w", req.Reason, control.ErrUsage)
	}
	device, err := v.repo.FindDevice(req.Device)
	if err != nil {
		return control.None{}, control.WithHint(err, "see: echofs device list")
	}
	err = v.repo.RevokeDevice(ctx, echo.Revocation{Device: device, Reason: reason, AsOf: req.AsOf,
		Cascade: req.Cascade || reason == halo.ReasonCompromised})
	if errors.Is(err, halo.ErrNotAllowed) {
		err = control.WithHint(err, "only a primary device lets others go; or use the recovery phrase")
	}
	return control.None{}, err
}

func (v *Vault) audit(ctx context.Context, req control.AuditRequest) ([]control.AuditEntry, error) {
	spaces, err := v.spacesAsked(req.Space)
	if err != nil {
		return nil, err
	}
	out := []control.AuditEntry{}
	for _, s := range spaces {
		list, err := s.Audit(ctx)
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			out = append(out, control.AuditEntry{Space: s.Name(), Entry: a.Entry.String(), Feed: a.Feed.String(), Seq: a.Seq,
				State: a.State, Reason: a.Reason, Author: a.Author, Device: a.Device, Time: a.Time, Changes: a.Changes})
		}
	}
	return out, nil
}

func (v *Vault) adopt(ctx context.Context, req control.AdoptRequest) (control.Adopted, error) {
	s, err := v.space(req.Space)
	if err != nil {
		return control.Adopted{}, err
	}
	n, err := s.Adopt(ctx, req.Entries...)
	return control.Adopted{Entries: n}, control.WithHint(err, "see: echofs audit "+req.Space)
}
