package echo

import (
	"context"
	"fmt"

	"echofs/halo"
)

// Recovery, the vault's part: a device that became one of the identity by the
// phrase (sync.Reclaim) lets the others go when it has what they had.

// recoveryKeys are Keys that keep how the devices of the identity are met with
// the phrase.
type recoveryKeys interface {
	// Meeting returns halo.RootKeys.Meeting; zero where it is not known.
	Meeting() halo.Secret
	// SetMeeting keeps it durably.
	SetMeeting(halo.Secret) error
}

// Meeting returns the secret by which the devices of the identity are met with
// the phrase; zero where it is not known.
func (r *Repo) Meeting() halo.Secret {
	if k, ok := r.keys.(recoveryKeys); ok {
		return k.Meeting()
	}
	return halo.Secret{}
}

// KeepMeeting keeps that secret, which another device of the identity knew.
func (r *Repo) KeepMeeting(s halo.Secret) error {
	if k, ok := r.keys.(recoveryKeys); ok {
		return k.SetMeeting(s)
	}
	return nil
}

// IsRoot reports whether keys are those of the root of the own identity.
func (r *Repo) IsRoot(root *halo.RootKeys) bool {
	public, ok := r.me.graph.State().Root(r.me.id)
	return ok && public.Sign == root.Public().Sign
}

// Recover says by the root that this device and those that keep returns true for
// are the devices of the identity, and seals the feeds of the others in all
// spaces where they end here. Nothing is said where nothing would change. It
// returns who was let go.
func (r *Repo) Recover(ctx context.Context, root *halo.RootKeys, keep func(OwnDevice) bool) (gone []OwnDevice, err error) {
	stays := map[halo.DeviceID]halo.Level{}
	current := false
	for _, d := range r.OwnDevices() {
		switch {
		case d.This:
			current = d.Level == halo.LevelPrimary
		case keep(d):
			stays[d.ID] = max(d.Level, halo.LevelOrdinary)
			current = current && d.Level != halo.LevelNone
		case d.Level != halo.LevelNone || d.Suspended:
			gone = append(gone, d)
		}
	}
	if current && len(gone) == 0 {
		return nil, wrapf(r.sealAllRevoked(ctx), "recover")
	}
	c, err := r.me.graph.CheckpointOf(root, r.me.id, r.keys.Device().Public(), func(d halo.Device) halo.Level { return stays[d.ID] }, r.now())
	if err == nil {
		err = r.learnIdentity([]*halo.Credential{c})
	}
	if err == nil {
		err = r.sealAllRevoked(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	return gone, nil
}
