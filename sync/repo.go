package sync

import (
	"context"
	"time"

	"echofs/halo"
)

// Space is what the exchange needs of a space. All methods may be called from
// several goroutines.
type Space interface {
	ID() halo.SpaceID
	Name() string
	// State returns who is a member, by the credentials that are known now.
	State() *halo.State
	// SwarmSecrets returns what leads to the other devices: the secrets of the
	// epochs of which this device holds one, the current one first.
	SwarmSecrets() []halo.SwarmSecret

	// Vector returns the entries this device holds and may send: they survive
	// the death of the process.
	Vector() (Vector, error)
	// Entries returns signed entries of a feed, contiguous from a number on, of
	// together at most maxBytes, but at least one if there is one.
	Entries(feed halo.FeedID, from uint64, maxBytes int) ([][]byte, error)
	// Ingest verifies and stores entries that are contiguous from the number
	// `from`, and returns the number of entries now held. It fails with an error
	// that IsPeerFault knows where whoever sent them is to blame.
	Ingest(ctx context.Context, feed halo.FeedID, from uint64, entries [][]byte) (next uint64, err error)

	// CredentialHeads returns the credentials that are no parent of another.
	CredentialHeads() []halo.CredentialID
	// Credentials returns all credentials, parents first.
	Credentials() ([][]byte, error)
	// AddCredentials verifies and stores credentials, and returns how many were
	// new.
	AddCredentials(ctx context.Context, raw [][]byte) (added int, err error)

	// SetAck keeps what a device says it holds so that a power cut loses nothing.
	SetAck(ctx context.Context, device halo.DeviceID, v Vector) error
	// Seen keeps when a device was last connected.
	Seen(device halo.DeviceID, at time.Time)
}

// Repo is what the network needs of a vault.
type Repo interface {
	// Spaces returns the spaces that are open.
	Spaces() []Space
	// SpaceByID returns one of them.
	SpaceByID(halo.SpaceID) (Space, bool)
	// Changes begins to tell about changes.
	Changes() Changes
	// Flush makes everything that was stored before survive a power cut.
	Flush() error
	// DeviceKeys returns the keys of this device.
	DeviceKeys() *halo.DeviceKeys
	DeviceID() halo.DeviceID
	IdentityID() halo.IdentityID
	Membership
	Devices
	InviteStore
	// IsPeerFault reports whether an error of Ingest or AddCredentials is the
	// fault of whoever sent the bytes.
	IsPeerFault(error) bool
}

// Membership is what invitations need of a vault.
type Membership interface {
	// IdentityCredentials returns the credentials of this device's identity,
	// parents first.
	IdentityCredentials() [][]byte
	// Admit makes an identity, given by its credentials, a member of a space and
	// grants the keys to its device. A member keeps a higher role.
	Admit(ctx context.Context, space halo.SpaceID, guest [][]byte, device halo.DeviceID, role halo.Role) error
	// Join opens a space of which these are all credentials. It fails unless they
	// make this device a member.
	Join(ctx context.Context, space halo.SpaceID, name string, credentials [][]byte) (Space, error)
}

// Devices is what the devices of one identity need of a vault: they share a
// space of their own, which is none of Repo.Spaces.
type Devices interface {
	// OwnSpace returns the space of the identity's devices; none while there is
	// one device.
	OwnSpace() (Space, bool)
	// MayAddDevice fails with halo.ErrNotAllowed unless this device can add
	// others.
	MayAddDevice() error
	// DraftDevice returns the credential that adds a device, still without the
	// signature of that; nil where the device was added before.
	DraftDevice(halo.DevicePublic, halo.Level) (*halo.Draft, error)
	// AddDevice stores that credential, nil where it was stored before, grants
	// the device the keys of all spaces, and returns the own space, which it
	// makes if there is none.
	AddDevice(ctx context.Context, add *halo.Credential, device halo.DeviceID) (Space, error)
	// ShareWith makes sure that a device of the own identity has the keys of a
	// space and is known in it.
	ShareWith(ctx context.Context, space halo.SpaceID, device halo.DeviceID) error
	// Meeting returns the secret by which the devices of the identity are met
	// with the phrase (halo.RootKeys.Meeting); zero where it is not known.
	Meeting() halo.Secret
	// KeepMeeting keeps that secret, which another device of the identity knew.
	KeepMeeting(halo.Secret) error
}

// Changes tells which spaces changed: a set and a channel of one slot, so that
// nothing is missed and nobody waits.
type Changes interface {
	// C receives when there is something to Take.
	C() <-chan struct{}
	// Take returns what changed since the last Take.
	Take() []Change
	Close()
}

// Change is one change of one space.
type Change struct {
	Space halo.SpaceID
	// Members: roles, members, keys or credentials changed, or the space is new.
	// Otherwise there are new entries.
	Members bool
}
