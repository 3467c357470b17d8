package halo

import "fmt"

// Type says what a credential states. Types below 16 belong to the identity
// graph, the others to the space graph.
type Type uint64

// The types of credentials.
const (
	TypeIDGenesis    Type = 1
	TypeDeviceAdd    Type = 2
	TypeDeviceRevoke Type = 3
	TypeDeviceLevel  Type = 4
	TypeIDCheckpoint Type = 5
	TypeRootRotate   Type = 6
	TypeProfile      Type = 7

	TypeSpaceGenesis Type = 16
	TypeMemberSet    Type = 17
	TypeMemberRemove Type = 18
	TypeFeedSeal     Type = 19
	TypeEpochRotate  Type = 20
	TypeKeyGrant     Type = 21
	TypeInviteIssue  Type = 22
	TypeInviteRevoke Type = 23
	TypeCheckpoint   Type = 24
	TypeForkProof    Type = 25
	TypePolicy       Type = 26
)

// firstSpaceType parts the two graphs.
const firstSpaceType Type = 16

// ofIdentity reports whether credentials of the type live in identity graphs.
func (t Type) ofIdentity() bool { return t < firstSpaceType }

// Payload is what a credential states, of one of the types below. It is not
// changed once it was handed on.
type Payload interface {
	// Type returns the type of credential that carries the payload.
	Type() Type
	// check fails with ErrMalformed where a field has no meaning; it looks at
	// nothing but the payload.
	check() error
}

// IDGenesis begins an identity: its id is the identity's.
type IDGenesis struct {
	RootSign [32]byte     `cbor:"1,keyasint"`
	RootKEM  []byte       `cbor:"2,keyasint"`
	Nonce    [16]byte     `cbor:"3,keyasint"`
	Device   DevicePublic `cbor:"4,keyasint"` // primary
}

// DeviceAdd adds a device to the identity.
type DeviceAdd struct {
	Device DevicePublic `cbor:"1,keyasint"`
	Level  Level        `cbor:"2,keyasint"`
	Label  []byte       `cbor:"3,keyasint,omitempty"` // sealed name
}

// Reason says why a device or member is let go.
type Reason uint8

// The reasons.
const (
	ReasonRetired     Reason = 0
	ReasonLost        Reason = 1
	ReasonCompromised Reason = 2
)

// DeviceRevoke ends a device's authority.
type DeviceRevoke struct {
	Device  DeviceID `cbor:"1,keyasint"`
	Reason  Reason   `cbor:"2,keyasint"`
	Cascade bool     `cbor:"3,keyasint"` // also the devices which it added
}

// DeviceLevel changes a device's level.
type DeviceLevel struct {
	Device DeviceID `cbor:"1,keyasint"`
	Level  Level    `cbor:"2,keyasint"`
}

// CheckpointDevice is a device with its level in an IDCheckpoint.
type CheckpointDevice struct {
	_      struct{} `cbor:",toarray"`
	Device DevicePublic
	Level  Level
}

// IDCheckpoint is the word of the root: the complete set of devices.
type IDCheckpoint struct {
	Gen     uint64             `cbor:"1,keyasint"` // one more than the generation before
	Devices []CheckpointDevice `cbor:"2,keyasint"`
	Revoked []DeviceID         `cbor:"3,keyasint"`
}

// RootRotate replaces the root key of an identity.
type RootRotate struct {
	RootSign [32]byte `cbor:"1,keyasint"`
	RootKEM  []byte   `cbor:"2,keyasint"`
	Gen      uint64   `cbor:"3,keyasint"` // one more than the generation before
}

// Profile is what an identity shows of itself, sealed under an epoch key of a
// space in which it is a member.
type Profile struct {
	Name   []byte `cbor:"1,keyasint"`           // sealed display name
	Avatar []byte `cbor:"2,keyasint,omitempty"` // sealed reference
	Device []byte `cbor:"3,keyasint,omitempty"` // sealed name of the issuing device
}

// History says what a new member can read of the time before it joined.
type History uint8

// The policies.
const (
	HistoryFull     History = 0
	HistoryFromJoin History = 1
)

// SpaceGenesis begins a space: its id is the space's. It is signed by the
// creator's device and by the one-shot key SpaceKey.
type SpaceGenesis struct {
	Nonce    [16]byte   `cbor:"1,keyasint"`
	Owner    IdentityID `cbor:"2,keyasint"` // the creator
	History  History    `cbor:"3,keyasint"`
	SpaceKey [32]byte   `cbor:"4,keyasint"` // Ed25519; the private key is destroyed
	Policy   *Policy    `cbor:"5,keyasint,omitempty"`
}

// MemberSet gives an identity a role.
type MemberSet struct {
	Identity IdentityID `cbor:"1,keyasint"`
	Role     Role       `cbor:"2,keyasint"`
	Invite   []byte     `cbor:"3,keyasint,omitempty"` // LinkID by which it comes
	Claim    []byte     `cbor:"4,keyasint,omitempty"` // that it has the link: see Claim
	Cuts     []Cut      `cbor:"5,keyasint,omitempty"` // where the role ends the identity's writing: its feeds, sorted
	Name     []byte     `cbor:"6,keyasint,omitempty"` // sealed: what who comes by a link calls itself
}

// Cut is the last accepted entry of a feed.
type Cut struct {
	_     struct{} `cbor:",toarray"`
	Feed  FeedID
	Seq   int64   // -1: none
	Entry EntryID // zero for -1
}

// MemberRemove ends a membership.
type MemberRemove struct {
	Identity IdentityID `cbor:"1,keyasint"`
	Reason   []byte     `cbor:"2,keyasint,omitempty"` // sealed
	Cuts     []Cut      `cbor:"3,keyasint"`           // all feeds of the identity, sorted
}

// SealWhy says why a feed is sealed.
type SealWhy uint8

// The reasons for a FeedSeal.
const (
	SealSelf   SealWhy = 0
	SealDevice SealWhy = 1 // its device is revoked
	SealApp    SealWhy = 2 // its application is revoked
	SealFork   SealWhy = 3 // it forked
)

// FeedSeal ends a feed. Device, Identity and Nonce prove whose feed it is.
type FeedSeal struct {
	Cut      Cut           `cbor:"1,keyasint"`
	Why      SealWhy       `cbor:"2,keyasint"`
	Ref      *CredentialID `cbor:"3,keyasint,omitempty"` // the revocation
	Device   DeviceID      `cbor:"4,keyasint"`
	Identity IdentityID    `cbor:"5,keyasint"`
	Nonce    [16]byte      `cbor:"6,keyasint"`
}

// WrappedKey is a secret sealed to a device.
type WrappedKey struct {
	_      struct{} `cbor:",toarray"`
	Device DeviceID
	Enc    []byte // the encapsulated key
	Sealed []byte // the ciphertext
}

// BackKey is the key of an older epoch sealed under a newer one.
type BackKey struct {
	_      struct{} `cbor:",toarray"`
	Epoch  EpochID
	Sealed []byte
}

// RotateWhy says why an epoch begins.
type RotateWhy uint8

// The reasons for an EpochRotate.
const (
	RotateFirst  RotateWhy = 0
	RotateMember RotateWhy = 1 // a member was removed or demoted
	RotateDevice RotateWhy = 2 // a device was revoked
	RotateAge    RotateWhy = 3
	RotateManual RotateWhy = 4
)

// EpochRotate begins an epoch. The recipients must be exactly the devices that
// its author had to count as active.
type EpochRotate struct {
	Gen        uint64       `cbor:"1,keyasint"` // 1 for the first, else one more than the highest of Prev
	Prev       []EpochID    `cbor:"2,keyasint"` // the epochs it follows, sorted
	Epoch      EpochID      `cbor:"3,keyasint"`
	Suite      Suite        `cbor:"4,keyasint"`
	Recipients []WrappedKey `cbor:"5,keyasint"` // the epoch key, sorted by device
	Relays     []WrappedKey `cbor:"6,keyasint"` // the swarm secret, sorted by device
	Back       []BackKey    `cbor:"7,keyasint"` // the keys of Prev, in its order
	Why        RotateWhy    `cbor:"8,keyasint"`
}

// KeyGrant hands the key of an epoch to one more device.
type KeyGrant struct {
	Epoch EpochID    `cbor:"1,keyasint"`
	Suite Suite      `cbor:"2,keyasint"`
	Key   WrappedKey `cbor:"3,keyasint"`
	Swarm bool       `cbor:"4,keyasint"` // to a relay: the swarm secret only
}

// InviteIssue publishes a link by which several guests can join.
type InviteIssue struct {
	Invite    LinkID   `cbor:"1,keyasint"`
	Key       [32]byte `cbor:"2,keyasint"` // Ed25519: of claims
	Role      Role     `cbor:"3,keyasint"`
	MaxUses   uint64   `cbor:"4,keyasint"`
	Expires   uint64   `cbor:"5,keyasint"`           // unix seconds
	AskAdmin  bool     `cbor:"6,keyasint"`           // an admin approves each guest
	AnyMember bool     `cbor:"7,keyasint"`           // editors host, else admins alone
	Meet      []byte   `cbor:"8,keyasint,omitempty"` // LinkMeeting, sealed
}

// InviteRevoke ends a link.
type InviteRevoke struct {
	Invite LinkID `cbor:"1,keyasint"`
}

// FeedMark is a place in a feed.
type FeedMark struct {
	_     struct{} `cbor:",toarray"`
	Feed  FeedID
	Seq   uint64
	Entry EntryID
}

// Checkpoint states what a space contained.
type Checkpoint struct {
	Marks    []FeedMark     `cbor:"1,keyasint"` // sorted by feed
	Auth     []CredentialID `cbor:"2,keyasint"` // sorted
	DocsRoot [32]byte       `cbor:"3,keyasint"`
}

// ForkProof shows two entries of one feed with one number. It ends the feed
// before them. Device, Identity and Nonce prove whose feed it is.
type ForkProof struct {
	HeaderA  []byte     `cbor:"1,keyasint"`
	SigA     [64]byte   `cbor:"2,keyasint"`
	HeaderB  []byte     `cbor:"3,keyasint"`
	SigB     [64]byte   `cbor:"4,keyasint"`
	Device   DeviceID   `cbor:"5,keyasint"`
	Identity IdentityID `cbor:"6,keyasint"`
	Nonce    [16]byte   `cbor:"7,keyasint"`
}

// PolicyLimit overrides a limit by a stricter one.
type PolicyLimit struct {
	_     struct{} `cbor:",toarray"`
	Name  uint64
	Value uint64
}

// Policy holds the rules of a space.
type Policy struct {
	RotateEvery uint64        `cbor:"1,keyasint,omitempty"` // seconds; zero: the default
	Limits      []PolicyLimit `cbor:"2,keyasint,omitempty"` // sorted by name
}

// UnknownPayload is the payload of a type this version does not know.
type UnknownPayload struct {
	Kind Type
	Raw  []byte // CBOR
}

// Type returns the type of credential that carries the payload.
func (*IDGenesis) Type() Type { return TypeIDGenesis }

// Type returns the type of credential that carries the payload.
func (*DeviceAdd) Type() Type { return TypeDeviceAdd }

// Type returns the type of credential that carries the payload.
func (*DeviceRevoke) Type() Type { return TypeDeviceRevoke }

// Type returns the type of credential that carries the payload.
func (*DeviceLevel) Type() Type { return TypeDeviceLevel }

// Type returns the type of credential that carries the payload.
func (*IDCheckpoint) Type() Type { return TypeIDCheckpoint }

// Type returns the type of credential that carries the payload.
func (*RootRotate) Type() Type { return TypeRootRotate }

// Type returns the type of credential that carries the payload.
func (*Profile) Type() Type { return TypeProfile }

// Type returns the type of credential that carries the payload.
func (*SpaceGenesis) Type() Type { return TypeSpaceGenesis }

// Type returns the type of credential that carries the payload.
func (*MemberSet) Type() Type { return TypeMemberSet }

// Type returns the type of credential that carries the payload.
func (*MemberRemove) Type() Type { return TypeMemberRemove }

// Type returns the type of credential that carries the payload.
func (*FeedSeal) Type() Type { return TypeFeedSeal }

// Type returns the type of credential that carries the payload.
func (*EpochRotate) Type() Type { return TypeEpochRotate }

// Type returns the type of credential that carries the payload.
func (*KeyGrant) Type() Type { return TypeKeyGrant }

// Type returns the type of credential that carries the payload.
func (*InviteIssue) Type() Type { return TypeInviteIssue }

// Type returns the type of credential that carries the payload.
func (*InviteRevoke) Type() Type { return TypeInviteRevoke }

// Type returns the type of credential that carries the payload.
func (*Checkpoint) Type() Type { return TypeCheckpoint }

// Type returns the type of credential that carries the payload.
func (*ForkProof) Type() Type { return TypeForkProof }

// Type returns the type of credential that carries the payload.
func (*Policy) Type() Type { return TypePolicy }

// Type returns the type of credential that carries the payload.
func (p *UnknownPayload) Type() Type { return p.Kind }

// newPayload returns a zero payload of a known type, or nil.
func newPayload(t Type) Payload {
	switch t {
	case TypeIDGenesis:
		return new(IDGenesis)
	case TypeDeviceAdd:
		return new(DeviceAdd)
	case TypeDeviceRevoke:
		return new(DeviceRevoke)
	case TypeDeviceLevel:
		return new(DeviceLevel)
	case TypeIDCheckpoint:
		return new(IDCheckpoint)
	case TypeRootRotate:
		return new(RootRotate)
	case TypeProfile:
		return new(Profile)
	case TypeSpaceGenesis:
		return new(SpaceGenesis)
	case TypeMemberSet:
		return new(MemberSet)
	case TypeMemberRemove:
		return new(MemberRemove)
	case TypeFeedSeal:
		return new(FeedSeal)
	case TypeEpochRotate:
		return new(EpochRotate)
	case TypeKeyGrant:
		return new(KeyGrant)
	case TypeInviteIssue:
		return new(InviteIssue)
	case TypeInviteRevoke:
		return new(InviteRevoke)
	case TypeCheckpoint:
		return new(Checkpoint)
	case TypeForkProof:
		return new(ForkProof)
	case TypePolicy:
		return new(Policy)
	}
	return nil
}

// encodePayload returns the bytes of field 8.
func encodePayload(p Payload) ([]byte, error) {
	if u, ok := p.(*UnknownPayload); ok {
		return u.Raw, nil
	}
	return encode(p)
}

// decodePayload reads the bytes of field 8 strictly.
func decodePayload(t Type, raw []byte) (Payload, error) {
	p := newPayload(t)
	if p == nil {
		var fields map[uint64]any
		if err := decode(raw, &fields, MaxCredentialSize); err != nil {
			return nil, fmt.Errorf("credential of type %d: %w", t, err)
		}
		return &UnknownPayload{Kind: t, Raw: raw}, nil
	}
	if err := decode(raw, p, MaxRotateSize); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}
