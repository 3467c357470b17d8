package memrepo

import (
	"context"
	"fmt"
	"time"

	"echofs/halo"
	echosync "echofs/sync"
)

// NewDevice returns the vault of a further device of an identity, from what
// pairing has given it.
func NewDevice(name string, keys *halo.DeviceKeys, p echosync.Paired) (*Vault, error) {
	v := newVault(name, keys, p.Identity)
	if err := v.identity.Load(p.Credentials); err != nil {
		return nil, err
	}
	s := newSpace(v, p.Space, "")
	if _, err := s.add(p.SpaceAll); err != nil {
		return nil, err
	}
	v.own = s
	return v, nil
}

// OwnSpace implements sync.Devices.
func (v *Vault) OwnSpace() (echosync.Space, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.own == nil {
		return nil, false
	}
	return v.own, true
}

// MayAddDevice implements sync.Devices.
func (v *Vault) MayAddDevice() error {
	if d, _ := v.identity.State().Device(v.issuer.Identity, v.DeviceID()); d.Level != halo.LevelPrimary {
		return halo.ErrNotAllowed
	}
	return nil
}

// DraftDevice implements sync.Devices.
func (v *Vault) DraftDevice(device halo.DevicePublic, level halo.Level) (*halo.Draft, error) {
	if _, known := v.identity.State().Device(v.issuer.Identity, device.ID()); known {
		return nil, nil
	}
	return v.identity.Draft(v.issuer, &halo.DeviceAdd{Device: device, Level: level}, time.Now())
}

// AddDevice implements sync.Devices.
func (v *Vault) AddDevice(ctx context.Context, add *halo.Credential, device halo.DeviceID) (echosync.Space, error) {
	if add != nil {
		if _, err := v.identity.Add(add); err != nil {
			return nil, err
		}
	}
	v.mu.Lock()
	own := v.own
	v.mu.Unlock()
	if own == nil {
		var err error
		if own, err = v.newSpace(""); err != nil {
			return nil, err
		}
		v.mu.Lock()
		v.own = own
		v.mu.Unlock()
	}
	for _, s := range append(v.Spaces(), own) {
		if err := v.ShareWith(ctx, s.ID(), device); err != nil {
			return nil, err
		}
	}
	v.publish(echosync.Change{Space: own.id, Members: true})
	return own, nil
}

// ShareWith implements sync.Devices.
func (v *Vault) ShareWith(_ context.Context, space halo.SpaceID, device halo.DeviceID) error {
	s, ok := v.Space(space)
	if !ok {
		return fmt.Errorf("share: no space %s", space.Short())
	}
	return s.admit(v.IdentityCredentials(), device, halo.RoleReader)
}

// Meeting implements sync.Devices.
func (v *Vault) Meeting() halo.Secret {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.meeting
}

// KeepMeeting implements sync.Devices.
func (v *Vault) KeepMeeting(s halo.Secret) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.meeting = s
	return nil
}
