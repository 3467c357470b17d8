package sync

import (
	"cmp"
	"context"
	"errors"

	"echofs/echo"
	"echofs/halo"
)

// Vault returns the repository as the network needs it.
func Vault(repo *echo.Repo) Repo { return vault{repo} }

// vault makes a Repo of an echo.Repo: the same methods, with the interfaces of
// this package in place of echo's types.
type vault struct{ *echo.Repo }

var _ Repo = vault{}

// Spaces implements Repo.
func (v vault) Spaces() []Space {
	list := v.Repo.Spaces()
	out := make([]Space, len(list))
	for i, s := range list {
		out[i] = vaultSpace{s}
	}
	return out
}

// SpaceByID implements Repo.
func (v vault) SpaceByID(id halo.SpaceID) (Space, bool) {
	s, ok := v.Repo.SpaceByID(id)
	if !ok {
		return nil, false
	}
	return vaultSpace{s}, true
}

// Changes implements Repo.
func (v vault) Changes() Changes {
	return vaultChanges{v.Subscribe(echo.Log | echo.Members | echo.Chunks)}
}

// Admit implements Membership.
func (v vault) Admit(ctx context.Context, space halo.SpaceID, guest [][]byte, device halo.DeviceID, role halo.Role) error {
	s, ok := v.Repo.SpaceByID(space)
	if !ok {
		return ErrNotFound
	}
	return s.Admit(ctx, guest, device, role)
}

// Join implements Membership.
func (v vault) Join(ctx context.Context, space halo.SpaceID, name string, credentials [][]byte) (Space, error) {
	s, err := v.Repo.Join(ctx, echo.Admission{Space: space, Name: name, Credentials: credentials})
	if err != nil {
		return nil, err
	}
	return vaultSpace{s}, nil
}

// OwnSpace implements Devices.
func (v vault) OwnSpace() (Space, bool) {
	s, ok := v.Repo.OwnSpace()
	if !ok {
		return nil, false
	}
	return vaultSpace{s}, true
}

// AddDevice implements Devices.
func (v vault) AddDevice(ctx context.Context, add *halo.Credential, device halo.DeviceID) (Space, error) {
	s, err := v.Repo.AddDevice(ctx, add, device)
	if err != nil {
		return nil, err
	}
	return vaultSpace{s}, nil
}

// ShareWith implements Devices.
func (v vault) ShareWith(ctx context.Context, space halo.SpaceID, device halo.DeviceID) error {
	s, ok := v.Repo.SpaceByID(space)
	if !ok {
		return ErrNotFound
	}
	return s.ShareWith(ctx, device)
}

// IsPeerFault implements Repo.
func (v vault) IsPeerFault(err error) bool { return errors.Is(err, echo.ErrPeerFault) }

// IsNoRoom implements RoomKeeper.
func (v vault) IsNoRoom(err error) bool { return errors.Is(err, echo.ErrNoRoom) }

// vaultSpace makes a Space of an echo.Space.
type vaultSpace struct{ *echo.Space }

var (
	_ Space      = vaultSpace{}
	_ ChunkSpace = vaultSpace{}

	_ RelaySpace  = vaultSpace{}
	_ AckKeeper   = vaultSpace{}
	_ FloorKeeper = vaultSpace{}
	_ RoomKeeper  = vault{}
	_ LinkSpace   = vaultSpace{}
)

// Vector implements Space. The map is the caller's.
func (s vaultSpace) Vector() (Vector, error) {
	v, err := s.Space.Vector()
	return Vector(v), err
}

// SetAck implements Space.
func (s vaultSpace) SetAck(ctx context.Context, device halo.DeviceID, v Vector) error {
	return s.Space.SetAck(ctx, device, echo.Vector(v))
}

// Acked implements AckKeeper. The map is the caller's.
func (s vaultSpace) Acked(device halo.DeviceID) Vector { return Vector(s.Space.Acked(device)) }

// SetFloor implements FloorKeeper.
func (s vaultSpace) SetFloor(floor Vector) error { return s.Space.SetFloor(echo.Vector(floor)) }

// PeerName implements namer: the name of the member, else that of its device.
func (s vaultSpace) PeerName(_ halo.IdentityID, device halo.DeviceID) string {
	id := device.String()
	for _, m := range s.MemberList() {
		for _, d := range m.Devices {
			if d.ID == id {
				return cmp.Or(m.Name, d.Name)
			}
		}
	}
	return device.Short()
}

// vaultChanges makes Changes of an echo.Subscription.
type vaultChanges struct{ *echo.Subscription }

// Take implements Changes.
func (c vaultChanges) Take() []Change {
	var out []Change
	for _, e := range c.Subscription.Take() {
		out = append(out, Change{Space: e.Space, Members: e.What == echo.Members})
	}
	return out
}
