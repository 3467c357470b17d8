package halo

import (
	"maps"
	"slices"
)

// A credential that knows everything else in a set voids nothing there and is
// voided by nothing, and it outweighs what was said of its subject before. So
// the state of the set is that of its ancestors and one step more, which makes
// long histories cheap.

// extended returns the state of one head and its ancestors, where it follows
// easily from a state that is at hand; else nil.
func (g *Graph) extended(heads []CredentialID) *State {
	if len(heads) != 1 {
		return nil
	}
	at := g.index[heads[0]]
	n := g.nodes[at]
	before, ok := g.memo[headsKey(n.Parents)]
	if !ok || !n.extends() || before.linked(n.Credential) {
		return nil
	}
	s := *before
	s.resolution = before.resolution.with(at, n)
	if n.granted {
		s.extend(n)
	}
	return &s
}

// extends reports whether extend knows what the credential changes.
func (n *node) extends() bool {
	switch n.Payload.(type) {
	case *MemberSet, *MemberRemove, *EpochRotate, *KeyGrant, *FeedSeal, *ForkProof, *InviteIssue, *InviteRevoke, *Checkpoint:
		return true
	}
	return !n.granted
}

// linked reports whether a credential changes what links say: that is for the
// fold to find out.
func (s *State) linked(c *Credential) bool {
	waits := func(id IdentityID) bool { _, ok := s.waitingOf(id); return ok }
	switch p := c.Payload.(type) {
	case *InviteIssue, *InviteRevoke:
		return true
	case *MemberSet:
		return len(p.Claim) > 0 || waits(p.Identity)
	case *MemberRemove:
		return waits(p.Identity)
	}
	return false
}

// with returns the resolution of a set and a credential that knows all of it.
func (r resolution) with(at int, n *node) resolution {
	grown := func(s bitset) bitset {
		out := make(bitset, max(len(s), at>>6+1))
		copy(out, s)
		return out
	}
	out := resolution{set: grown(r.set), voided: r.voided, valid: r.valid, acts: r.acts}
	out.set.add(at)
	if n.granted {
		out.valid = grown(r.valid)
		out.valid.add(at)
	}
	if n.act != nil {
		out.acts = append(slices.Clip(r.acts), at)
	}
	return out
}

// extend changes a copy of the state before n into that after it. Maps and
// lists belong to both, so they are replaced.
func (s *State) extend(n *node) {
	switch p := n.Payload.(type) {
	case *MemberSet:
		s.setRole(p.Identity, p.Role)
	case *MemberRemove:
		s.setRole(p.Identity, RoleNone)
	case *EpochRotate:
		s.epochs = insertSorted(s.epochs, newEpoch(n.ID, p), Epoch.compare)
		s.keyEpochs = insertSorted(s.keyEpochs, newEpoch(n.ID, p), Epoch.compare)
	case *KeyGrant:
		s.grants = insertSorted(s.grants, n.Credential, func(a, b *Credential) int { return a.ID.Compare(b.ID) })
	case *FeedSeal, *ForkProof:
		s.seals = insertSorted(s.seals, n, (*node).before)
	}
	if n.act.endsWriting() {
		s.lowered = insertSorted(s.lowered, n, (*node).before)
	}
}

func (s *State) setRole(id IdentityID, role Role) {
	s.members = maps.Clone(s.members)
	s.members[id] = role
}

func insertSorted[T any](list []T, v T, compare func(a, b T) int) []T {
	at, _ := slices.BinarySearchFunc(list, v, compare)
	return slices.Insert(slices.Clone(list), at, v)
}
