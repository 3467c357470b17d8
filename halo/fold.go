package halo

import (
	"bytes"
	"cmp"
	"slices"
)

// The fold: from a closed set of credentials to a State. Of the credentials
// whose author had the authority, those count for a subject that no other about
// it follows; of several, the lowest role or level. So a removal outweighs
// whatever is concurrent to it, and only what knew of the removal undoes it.
//
// What a removed party issued concurrently with its removal is not in the set
// any more: that is the resolver's work (resolve.go).

const maxProfiles = 32 // kept per identity, the newest

// folder collects, per subject, the maximal nodes.
type folder struct {
	graph   *Graph
	state   *State
	members map[IdentityID][]int
	rooms   map[IdentityID]*identityFolder
	policy  []int
	links   linkFolder
}

// identityFolder collects the nodes about one identity, parents first.
type identityFolder struct {
	genesis     *IDGenesis
	checkpoints []int
	roots       []int
	devices     []int
	profiles    []*node
}

func fold(g *Graph, r resolution) *State {
	f := &folder{graph: g, state: newState(), members: map[IdentityID][]int{}, rooms: map[IdentityID]*identityFolder{}}
	f.state.graph, f.state.resolution = g, r
	for at := range r.valid.all() {
		f.collect(at, g.nodes[at])
	}
	for _, at := range r.acts {
		if n := g.nodes[at]; n.act.endsWriting() {
			f.state.lowered = append(f.state.lowered, n)
		}
	}
	f.collectKeys()
	held := f.foldLinks()
	for id, nodes := range f.members {
		f.state.members[id] = f.roleOf(nodes, held)
	}
	slices.SortFunc(f.state.waiting, Waiting.compare)
	for id, room := range f.rooms {
		f.state.identities[id] = f.foldIdentity(id, room)
	}
	f.foldPolicy()
	slices.SortFunc(f.state.epochs, Epoch.compare)
	slices.SortFunc(f.state.lowered, (*node).before)
	slices.SortFunc(f.state.seals, (*node).before)
	return f.state
}

// collectKeys takes the wrapped keys of all granted credentials of the set:
// voiding an epoch voids no wrap.
func (f *folder) collectKeys() {
	for at := range f.state.resolution.set.all() {
		n := f.graph.nodes[at]
		if !n.granted {
			continue
		}
		switch p := n.Payload.(type) {
		case *EpochRotate:
			f.state.keyEpochs = append(f.state.keyEpochs, newEpoch(n.ID, p))
		case *KeyGrant:
			f.state.grants = append(f.state.grants, n.Credential)
		}
	}
	slices.SortFunc(f.state.keyEpochs, Epoch.compare)
	slices.SortFunc(f.state.grants, func(a, b *Credential) int { return a.ID.Compare(b.ID) })
}

// compare orders epochs by generation, then id.
func (e Epoch) compare(other Epoch) int {
	return cmp.Or(cmp.Compare(e.Gen, other.Gen), bytes.Compare(e.ID[:], other.ID[:]), e.Credential.Compare(other.Credential))
}

func (f *folder) collect(at int, n *node) {
	room := f.rooms[IdentityID(n.DAG)]
	if room == nil && n.Type.ofIdentity() {
		room = new(identityFolder)
		f.rooms[IdentityID(n.DAG)] = room
	}
	switch p := n.Payload.(type) {
	case *IDGenesis:
		room.genesis = p
	case *DeviceAdd, *DeviceRevoke, *DeviceLevel:
		room.devices = append(room.devices, at)
	case *IDCheckpoint:
		room.checkpoints = append(room.checkpoints, at)
	case *RootRotate:
		room.roots = append(room.roots, at)
	case *Profile:
		room.profiles = append(room.profiles, n)
	case *SpaceGenesis:
		f.state.genesis = n.Credential
		f.member(p.Owner, at)
	case *MemberSet:
		f.member(p.Identity, at)
		f.links.admission(at, n)
	case *InviteIssue:
		f.links.issued = append(f.links.issued, n)
	case *InviteRevoke:
		f.links.revoke(p.Invite)
	case *MemberRemove:
		f.member(p.Identity, at)
	case *EpochRotate:
		f.state.epochs = append(f.state.epochs, newEpoch(n.ID, p))
	case *FeedSeal, *ForkProof:
		f.state.seals = append(f.state.seals, n)
	case *Policy:
		f.policy = f.maximal(f.policy, at)
	}
}

func (f *folder) member(id IdentityID, at int) { f.members[id] = f.maximal(f.members[id], at) }

// maximal returns list with at, which is no ancestor of any in it, and without
// the ancestors of at.
func (f *folder) maximal(list []int, at int) []int {
	ancestors := f.graph.nodes[at].ancestors
	kept := slices.DeleteFunc(list, func(other int) bool { return ancestors.has(other) })
	return append(kept, at)
}

func newEpoch(id CredentialID, p *EpochRotate) Epoch {
	e := Epoch{ID: p.Epoch, Gen: p.Gen, Prev: p.Prev, Credential: id, rotate: p}
	for _, w := range p.Recipients {
		e.Recipients = append(e.Recipients, w.Device)
	}
	return e
}

func (f *folder) lowestRole(nodes []int) Role {
	role := RoleOwner
	for _, at := range nodes {
		r := RoleNone
		switch p := f.graph.nodes[at].Payload.(type) {
		case *SpaceGenesis:
			r = RoleOwner
		case *MemberSet:
			r = p.Role
		}
		if !r.AtLeast(role) {
			role = r
		}
	}
	return role
}

func (f *folder) foldPolicy() {
	if f.state.genesis != nil {
		f.state.policy = f.state.genesis.Payload.(*SpaceGenesis).Policy
	}
	var lowest *node
	for _, at := range f.policy {
		if n := f.graph.nodes[at]; lowest == nil || n.ID.Compare(lowest.ID) < 0 {
			lowest = n
		}
	}
	if lowest != nil {
		f.state.policy = lowest.Payload.(*Policy)
	}
}

func (f *folder) foldIdentity(id IdentityID, room *identityFolder) *identityState {
	s := &identityState{devices: map[DeviceID]Device{}}
	slices.SortFunc(room.profiles, (*node).before)
	for _, n := range room.profiles[max(0, len(room.profiles)-maxProfiles):] {
		s.profiles = append(s.profiles, n.Payload.(*Profile))
	}
	s.root, s.rootGen = f.foldRoot(room)
	last := f.lastCheckpoints(room)
	if len(last) > 0 {
		s.checkGen = f.graph.nodes[last[0]].Payload.(*IDCheckpoint).Gen
	}
	f.base(s, room, last)
	f.foldDevices(s, room, last)
	for device, d := range s.devices {
		d.ID, d.Identity = device, id
		s.devices[device] = d
	}
	return s
}

// foldRoot returns the current root key and its generation. Two rotations of
// one generation contradict each other: then there is no root, and nothing
// that needs one is allowed.
func (f *folder) foldRoot(room *identityFolder) (*RootPublic, uint64) {
	if room.genesis == nil {
		return nil, 0
	}
	root, gen := &RootPublic{room.genesis.RootSign, room.genesis.RootKEM}, uint64(0)
	for _, at := range room.roots {
		switch p := f.graph.nodes[at].Payload.(*RootRotate); {
		case p.Gen > gen:
			root, gen = &RootPublic{p.RootSign, p.RootKEM}, p.Gen
		case p.Gen == gen:
			root = nil
		}
	}
	return root, gen
}

// lastCheckpoints returns the checkpoints of the highest generation.
func (f *folder) lastCheckpoints(room *identityFolder) (last []int) {
	gen := uint64(0)
	for _, at := range room.checkpoints {
		switch p := f.graph.nodes[at].Payload.(*IDCheckpoint); {
		case p.Gen > gen:
			last, gen = []int{at}, p.Gen
		case p.Gen == gen:
			last = append(last, at)
		}
	}
	return last
}

// base enters the devices known without looking at what devices say of each
// other: the first one, or those of the last checkpoints. Of several
// checkpoints with one generation, a device must be in each.
func (f *folder) base(s *identityState, room *identityFolder, last []int) {
	if room.genesis != nil {
		d := room.genesis.Device
		s.devices[d.ID()] = Device{Public: d, Level: LevelPrimary}
	}
	if len(last) == 0 {
		return
	}
	listed := map[DeviceID]int{}
	for device, d := range s.devices {
		d.Level = LevelNone
		s.devices[device] = d
	}
	for i, at := range last {
		for _, d := range f.graph.nodes[at].Payload.(*IDCheckpoint).Devices {
			id := d.Device.ID()
			level := d.Level
			if i > 0 {
				level = min(level, s.devices[id].Level)
			}
			s.devices[id] = Device{Public: d.Device, Level: level}
			listed[id]++
		}
	}
	for device, d := range s.devices {
		if listed[device] != len(last) {
			d.Level = LevelNone
			s.devices[device] = d
		}
	}
}

// foldDevices applies what devices say of each other, as far as it was said in
// knowledge of the last checkpoints; devices of before are entered as revoked.
func (f *folder) foldDevices(s *identityState, room *identityFolder, last []int) {
	slices.SortFunc(room.devices, func(a, b int) int { return f.graph.nodes[a].before(f.graph.nodes[b]) })
	about := map[DeviceID][]int{}
	for _, at := range room.devices {
		n := f.graph.nodes[at]
		subject, add := deviceSubject(n.Payload)
		if add != nil {
			d, known := s.devices[subject]
			if !known {
				d = Device{Public: add.Device}
			}
			if d.addedBy.IsZero() {
				d.addedBy = n.Device
			}
			if len(d.Label) == 0 {
				d.Label = add.Label
			}
			s.devices[subject] = d
		}
		if slices.ContainsFunc(last, func(check int) bool { return !n.ancestors.has(check) }) {
			continue
		}
		about[subject] = f.maximal(about[subject], at)
		for _, d := range n.cascade() {
			about[d] = f.maximal(about[d], at)
		}
	}
	for subject, nodes := range about {
		d, known := s.devices[subject]
		if !known {
			continue
		}
		d.Level = f.lowestLevel(nodes)
		d.Suspended = d.Level == LevelNone && f.contradictory(nodes, subject, room.devices)
		s.devices[subject] = d
	}
}

// cascade returns the devices that a revocation takes along.
func (n *node) cascade() []DeviceID {
	if p, ok := n.Payload.(*DeviceRevoke); ok && p.Cascade && n.act != nil {
		return slices.DeleteFunc(slices.Clone(n.act.devices), func(d DeviceID) bool { return d == p.Device })
	}
	return nil
}

// contradictory reports whether all that ends a device was said by devices that
// it revoked without knowing of that.
func (f *folder) contradictory(nodes []int, device DeviceID, all []int) bool {
	answered := func(at int) bool {
		n := f.graph.nodes[at]
		return slices.ContainsFunc(all, func(other int) bool {
			o := f.graph.nodes[other]
			return o.Device == device && o.act != nil && slices.Contains(o.act.devices, n.Device) && n.concurrent(at, o, other)
		})
	}
	return !slices.ContainsFunc(nodes, func(at int) bool { return !answered(at) })
}

func deviceSubject(p Payload) (DeviceID, *DeviceAdd) {
	switch p := p.(type) {
	case *DeviceAdd:
		return p.Device.ID(), p
	case *DeviceRevoke:
		return p.Device, nil
	case *DeviceLevel:
		return p.Device, nil
	}
	return DeviceID{}, nil
}

func (f *folder) lowestLevel(nodes []int) Level {
	level := LevelPrimary
	for _, at := range nodes {
		switch p := f.graph.nodes[at].Payload.(type) {
		case *DeviceAdd:
			level = min(level, p.Level)
		case *DeviceLevel:
			level = min(level, p.Level)
		default:
			level = LevelNone
		}
	}
	return level
}
