package halo

import (
	"bytes"
	"crypto/ed25519"
	"slices"
)

// State is what a closed set of credentials says: members, devices, epochs. It
// is a value that does not change. Lists are sorted by id.
type State struct {
	genesis    *Credential // nil without a space
	members    map[IdentityID]Role
	identities map[IdentityID]*identityState
	epochs     []Epoch // by generation, then id
	policy     *Policy

	// Who may read is for the resolver to say, what can be opened is not: an
	// epoch that was voided later may have entries all the same.
	keyEpochs []Epoch
	grants    []*Credential

	links   []SpaceLink // by age
	waiting []Waiting   // by age

	lowered []*node // effective acts that end somebody's writing
	seals   []*node // valid feed seals and fork proofs

	graph      *Graph
	resolution resolution
}

// identityState is the part of a State about one identity.
type identityState struct {
	root     *RootPublic // nil where two rotations contradict each other
	rootGen  uint64
	checkGen uint64
	devices  map[DeviceID]Device
	profiles []*Profile // parents first
}

// Member is an identity with a role.
type Member struct {
	Identity IdentityID
	Role     Role
}

// Device is a device of an identity.
type Device struct {
	ID       DeviceID
	Identity IdentityID
	Public   DevicePublic
	Level    Level  // LevelNone: revoked, or suspended by contradictory revocations
	Label    []byte // sealed name, may be empty

	// Suspended: two primary devices revoked each other without knowing. Neither
	// acts until a third one, or the recovery phrase, decides.
	Suspended bool

	addedBy DeviceID // zero for the first, and for those of a checkpoint
}

// Active reports whether the device may act for its identity.
func (d Device) Active() bool { return d.Level != LevelNone }

// Epoch is one epoch of a space.
type Epoch struct {
	ID         EpochID
	Gen        uint64
	Prev       []EpochID
	Recipients []DeviceID // who got the key when it began
	Credential CredentialID

	rotate *EpochRotate
}

// Wrap is an epoch key, or a swarm secret, that is sealed to a device.
type Wrap struct {
	Epoch EpochID
	Suite Suite
	Swarm bool // the swarm secret of the epoch, not its key
	Key   WrappedKey
}

func newState() *State {
	return &State{members: map[IdentityID]Role{}, identities: map[IdentityID]*identityState{}}
}

// Space returns the space; zero where the set holds no genesis.
func (s *State) Space() SpaceID {
	if s.genesis == nil {
		return SpaceID{}
	}
	return SpaceID(s.genesis.ID)
}

// SpaceKey returns the public key over which the space's public id is built;
// nil where the set holds no genesis.
func (s *State) SpaceKey() ed25519.PublicKey {
	if s.genesis == nil {
		return nil
	}
	key := s.genesis.Payload.(*SpaceGenesis).SpaceKey
	return key[:]
}

// PublicID returns the id by which other ECHO software names the space; empty
// where the set holds no genesis.
func (s *State) PublicID() string {
	if s.genesis == nil {
		return ""
	}
	return PublicID(s.SpaceKey())
}

// Creator returns the identity that made the space and became its first owner.
func (s *State) Creator() IdentityID {
	if s.genesis == nil {
		return IdentityID{}
	}
	return s.genesis.Payload.(*SpaceGenesis).Owner
}

// History returns the policy of the space for those who join.
func (s *State) History() History {
	if s.genesis == nil {
		return HistoryFull
	}
	return s.genesis.Payload.(*SpaceGenesis).History
}

// Policy returns the rules of the space; the zero Policy where none were set.
// Of several that were set concurrently the one with the lowest id holds.
func (s *State) Policy() Policy {
	if s.policy == nil {
		return Policy{}
	}
	return *s.policy
}

// Role returns the role of an identity; RoleNone where it is no member.
func (s *State) Role(id IdentityID) Role { return s.members[id] }

// Members returns the identities that have a role.
func (s *State) Members() []Member {
	var out []Member
	for id, role := range s.members {
		if role != RoleNone {
			out = append(out, Member{id, role})
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return bytes.Compare(a.Identity[:], b.Identity[:]) })
	return out
}

// Knows reports whether the set holds the genesis of an identity.
func (s *State) Knows(id IdentityID) bool { return s.identities[id] != nil }

// Root returns the public root key of an identity. It reports false for an
// unknown identity, and where rotations of the root contradict each other.
func (s *State) Root(id IdentityID) (RootPublic, bool) {
	if i := s.identities[id]; i != nil && i.root != nil {
		return *i.root, true
	}
	return RootPublic{}, false
}

// Profiles returns what an identity showed of itself, the newest last. Each is
// sealed under a key of one of the identity's spaces.
func (s *State) Profiles(id IdentityID) []*Profile {
	if i := s.identities[id]; i != nil {
		return slices.Clone(i.profiles)
	}
	return nil
}

// Device returns a device of an identity, also one that is revoked.
func (s *State) Device(identity IdentityID, device DeviceID) (Device, bool) {
	i := s.identities[identity]
	if i == nil {
		return Device{}, false
	}
	d, ok := i.devices[device]
	return d, ok
}

// Devices returns all devices of an identity, also those that are revoked.
func (s *State) Devices(identity IdentityID) []Device {
	i := s.identities[identity]
	if i == nil {
		return nil
	}
	out := make([]Device, 0, len(i.devices))
	for _, d := range i.devices {
		out = append(out, d)
	}
	return sortDevices(out)
}

// AnyRevoked reports whether a device of any identity is not active.
func (s *State) AnyRevoked() bool {
	for _, i := range s.identities {
		for _, d := range i.devices {
			if !d.Active() {
				return true
			}
		}
	}
	return false
}

// ActiveDevices returns the devices that receive epoch keys: the active ones of
// members that read.
func (s *State) ActiveDevices() []Device { return s.devicesOf(Role.Reads) }

// RelayDevices returns the devices that receive swarm secrets only: the active
// ones of relays. A device that is a member's too is not among them.
func (s *State) RelayDevices() []Device {
	readers := s.ActiveDevices()
	return slices.DeleteFunc(s.devicesOf(func(r Role) bool { return r == RoleRelay }), func(d Device) bool {
		return slices.ContainsFunc(readers, func(r Device) bool { return r.ID == d.ID })
	})
}

func (s *State) devicesOf(want func(Role) bool) []Device {
	var out []Device
	for id, role := range s.members {
		if i := s.identities[id]; i != nil && want(role) {
			for _, d := range i.devices {
				if d.Active() {
					out = append(out, d)
				}
			}
		}
	}
	return slices.CompactFunc(sortDevices(out), func(a, b Device) bool { return a.ID == b.ID })
}

func sortDevices(list []Device) []Device {
	slices.SortFunc(list, func(a, b Device) int {
		if c := bytes.Compare(a.ID[:], b.ID[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.Identity[:], b.Identity[:])
	})
	return list
}

// Member reports whether a device is active and its identity has a role, and
// which.
func (s *State) Member(identity IdentityID, device DeviceID) (Role, bool) {
	d, ok := s.Device(identity, device)
	role := s.Role(identity)
	return role, ok && d.Active() && role != RoleNone
}

// find returns the first of a list that is so.
func find[T any](list []T, so func(T) bool) (x T, ok bool) {
	if i := slices.IndexFunc(list, so); i >= 0 {
		return list[i], true
	}
	return x, false
}

// Epochs returns the epochs of the space, by generation, then id.
func (s *State) Epochs() []Epoch { return slices.Clone(s.epochs) }

// Epoch returns one epoch.
func (s *State) Epoch(id EpochID) (Epoch, bool) {
	return find(s.epochs, func(e Epoch) bool { return e.ID == id })
}

// LatestEpochs returns the epochs that no other follows: one, or several that
// began concurrently. A new epoch follows all of them.
func (s *State) LatestEpochs() []Epoch {
	followed := map[EpochID]bool{}
	for _, e := range s.epochs {
		for _, p := range e.Prev {
			followed[p] = true
		}
	}
	return slices.DeleteFunc(s.Epochs(), func(e Epoch) bool { return followed[e.ID] })
}

// CurrentEpoch returns the epoch under which to write: of the latest ones whose
// key went to nobody who may not read any more, that with the highest
// generation, then the lowest id. It reports false where there is none: then an
// editor must begin a new epoch before anything is written.
func (s *State) CurrentEpoch() (Epoch, bool) {
	var best Epoch
	found := false
	readers := map[DeviceID]bool{}
	for _, d := range s.ActiveDevices() {
		readers[d.ID] = true
	}
	for _, e := range s.LatestEpochs() {
		leaked := slices.ContainsFunc(s.holders(e), func(d DeviceID) bool { return !readers[d] })
		if !leaked && (!found || e.Gen > best.Gen) {
			best, found = e, true
		}
	}
	return best, found
}

// Holders returns the devices to which the key of an epoch was handed, when it
// began or later.
func (s *State) Holders(e Epoch) []DeviceID { return s.holders(e) }

// holders returns the devices to which the key of an epoch was handed.
func (s *State) holders(e Epoch) []DeviceID {
	out := slices.Clone(e.Recipients)
	for _, c := range s.grants {
		if p := c.Payload.(*KeyGrant); p.Epoch == e.ID && !p.Swarm {
			out = append(out, p.Key.Device)
		}
	}
	return out
}

// Wraps returns the epoch keys and swarm secrets that are sealed to a device.
// Several may be of one epoch, and any may be garbage that a hostile member
// made: try all.
func (s *State) Wraps(device DeviceID) []Wrap {
	var out []Wrap
	for _, e := range s.keyEpochs {
		for _, w := range e.rotate.Recipients {
			if w.Device == device {
				out = append(out, Wrap{e.ID, e.rotate.Suite, false, w})
			}
		}
		for _, w := range e.rotate.Relays {
			if w.Device == device {
				out = append(out, Wrap{e.ID, e.rotate.Suite, true, w})
			}
		}
	}
	for _, c := range s.grants {
		if p := c.Payload.(*KeyGrant); p.Key.Device == device {
			out = append(out, Wrap{p.Epoch, p.Suite, p.Swarm, p.Key})
		}
	}
	return out
}

// Back returns the sealed keys of older epochs which the key of an epoch opens.
func (s *State) Back(epoch EpochID) []BackKey {
	if e, ok := s.keyEpoch(epoch); ok {
		return slices.Clone(e.rotate.Back)
	}
	return nil
}

// keyEpoch returns an epoch, also one that does not count any more.
func (s *State) keyEpoch(id EpochID) (Epoch, bool) {
	return find(s.keyEpochs, func(e Epoch) bool { return e.ID == id })
}

// KeyEpochs returns all epochs under which entries may be sealed, by
// generation, then id: those of Epochs, and those that were voided by the
// removal of who began them.
func (s *State) KeyEpochs() []Epoch { return slices.Clone(s.keyEpochs) }

// Counts reports whether a credential of the set is valid: its author had the
// authority, and nothing voided it since. It is false for others.
func (s *State) Counts(id CredentialID) bool {
	if s.graph == nil {
		return false
	}
	s.graph.mu.Lock()
	defer s.graph.mu.Unlock()
	at, ok := s.graph.index[id]
	return ok && s.resolution.valid.has(at)
}

// Checkpoints returns the generations of the identity checkpoints that count
// for an identity: none, or the highest.
func (s *State) Checkpoints(id IdentityID) []uint64 {
	if i := s.identities[id]; i != nil && i.checkGen > 0 {
		return []uint64{i.checkGen}
	}
	return nil
}
