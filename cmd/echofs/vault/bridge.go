package vault

import (
	"context"
	"errors"
	"fmt"

	"echofs/echo"
	"echofs/halo"
	echosync "echofs/sync"
)

// repoBridge is the repository as the network sees it.
type repoBridge struct{ *echo.Repo }

var _ echosync.Repo = repoBridge{}

// Spaces implements sync.Repo.
func (r repoBridge) Spaces() []echosync.Space {
	var out []echosync.Space
	for _, s := range r.Repo.Spaces() {
		out = append(out, spaceBridge{s})
	}
	return out
}

// SpaceByID implements sync.Repo.
func (r repoBridge) SpaceByID(id halo.SpaceID) (echosync.Space, bool) {
	s, ok := r.Repo.SpaceByID(id)
	return spaceBridge{s}, ok
}

// Admit implements sync.Membership.
func (r repoBridge) Admit(ctx context.Context, space halo.SpaceID, guest [][]byte, device halo.DeviceID, role halo.Role) error {
	s, ok := r.Repo.SpaceByID(space)
	if !ok {
		return fmt.Errorf("admit member: space %s: %w", space.Short(), echo.ErrNotFound)
	}
	return s.Admit(ctx, guest, device, role)
}

// Join implements sync.Membership.
func (r repoBridge) Join(ctx context.Context, space halo.SpaceID, name string, credentials [][]byte) (echosync.Space, error) {
	s, err := r.Repo.Join(ctx, echo.Admission{Space: space, Credentials: credentials, Name: name})
	if err != nil {
		return nil, err
	}
	return spaceBridge{s}, nil
}

// Changes implements sync.Repo.
func (r repoBridge) Changes() echosync.Changes {
	return changesBridge{r.Repo.Subscribe(echo.Log | echo.Members)}
}

// IsPeerFault implements sync.Repo.
func (r repoBridge) IsPeerFault(err error) bool { return errors.Is(err, echo.ErrPeerFault) }

// spaceBridge is a space as the network sees it: vectors are of its own type
// on each side, so that neither package needs the other.
type spaceBridge struct{ *echo.Space }

// Vector implements sync.Space.
func (s spaceBridge) Vector() (echosync.Vector, error) {
	v, err := s.Space.Vector()
	return echosync.Vector(v), err
}

// SetAck implements sync.Space.
func (s spaceBridge) SetAck(ctx context.Context, device halo.DeviceID, v echosync.Vector) error {
	return s.Space.SetAck(ctx, device, echo.Vector(v))
}

// changesBridge is a subscription as the network sees it.
type changesBridge struct{ *echo.Subscription }

// Take implements sync.Changes: one change for each space.
func (c changesBridge) Take() []echosync.Change {
	at := map[halo.SpaceID]int{}
	var out []echosync.Change
	for _, e := range c.Subscription.Take() {
		i, ok := at[e.Space]
		if !ok {
			i = len(out)
			at[e.Space] = i
			out = append(out, echosync.Change{Space: e.Space})
		}
		out[i].Members = out[i].Members || e.What == echo.Members
	}
	return out
}
