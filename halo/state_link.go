package halo

import (
	"slices"
	"time"
)

// LinkGrace is how long after the end of a link a host may still admit by it:
// clocks differ.
const LinkGrace = 10 * time.Minute

// SpaceLink is a link as the space's credentials tell of it.
type SpaceLink struct {
	ID        LinkID
	Key       [32]byte // of claims
	Role      Role     // that guests get, whatever the text of the link was made to say
	MaxUses   int
	Expires   time.Time
	AskAdmin  bool // an admin approves each guest
	AnyMember bool // editors host, else admins alone
	Meet      []byte
	Issuer    IdentityID
	Issued    time.Time
	Revoked   bool
	// Uses are who was admitted by it, in the order that counts: where hosts that
	// did not know of each other admitted more than MaxUses, those beyond wait.
	Uses []IdentityID

	claimed []IdentityID // whoever asked, by age
}

// hosts returns the role from which on a member hosts the link.
func (l SpaceLink) hosts() Role {
	if l.AnyMember {
		return RoleEditor
	}
	return RoleAdmin
}

// Hosts reports whether members of a role host the link.
func (l SpaceLink) Hosts(role Role) bool { return role.AtLeast(l.hosts()) }

// Left returns how often the link can still be used.
func (l SpaceLink) Left() int { return max(l.MaxUses-len(l.Uses), 0) }

// Claimed reports whether an identity has come by the link before, whatever
// became of it.
func (l SpaceLink) Claimed(id IdentityID) bool { return slices.Contains(l.claimed, id) }

// Waiting is who came by a link and is no member before an admin says so.
type Waiting struct {
	Identity  IdentityID
	Device    DeviceID
	Link      LinkID
	Role      Role // that it would get
	Over      bool // the link was used up
	Name      []byte
	Handshake [32]byte // of its session with the host: for SAS
	Asked     time.Time

	node *node
}

func (w Waiting) compare(other Waiting) int { return w.node.before(other.node) }

// Links returns the links of the space, also those that are over, by age.
func (s *State) Links() []SpaceLink { return slices.Clone(s.links) }

// Link returns one link.
func (s *State) Link(id LinkID) (SpaceLink, bool) {
	return find(s.links, func(l SpaceLink) bool { return l.ID == id })
}

// Waiting returns who waits to be approved, by age.
func (s *State) Waiting() []Waiting { return slices.Clone(s.waiting) }

func (s *State) waitingOf(id IdentityID) (Waiting, bool) {
	return find(s.waiting, func(w Waiting) bool { return w.Identity == id })
}

// linkOf returns the link by which a credential admits.
func (s *State) linkOf(p *MemberSet) (SpaceLink, bool) {
	if len(p.Claim) == 0 {
		return SpaceLink{}, false
	}
	return s.Link(LinkID(p.Invite))
}

// byLink returns the link by which a credential admits somebody.
func (c *Credential) byLink() (LinkID, bool) {
	if p, ok := c.Payload.(*MemberSet); ok && len(p.Claim) > 0 {
		return LinkID(p.Invite), true
	}
	return LinkID{}, false
}

// allowsClaim: a link admits those whom its hosts meet, and who never were here.
// That it admits more than it should is for the fold to say, since hosts may
// not know of each other.
func (s *State) allowsClaim(c *Credential, mine Role, p *MemberSet) error {
	l, ok := s.Link(LinkID(p.Invite))
	if !ok || l.Revoked {
		return refuse("link %x is not known, or withdrawn", p.Invite[:4])
	}
	if err := needs(mine, l.hosts()); err != nil {
		return err
	}
	if p.Role != l.Role {
		return refuse("a link for %v admits as %v", l.Role, p.Role)
	}
	if c.IssuedAt > unix(l.Expires.Add(LinkGrace)) {
		return refuse("link %x was over", p.Invite[:4])
	}
	if !s.Knows(p.Identity) {
		return refuse("identity %s: its credentials are not among the ancestors", p.Identity.Short())
	}
	if _, before := s.members[p.Identity]; before {
		return refuse("%s was here before: it comes again by an admin's word alone", p.Identity.Short())
	}
	claim, err := ParseClaim(p.Claim)
	if err != nil {
		return err
	}
	if d, ok := s.Device(p.Identity, claim.Device); !ok || !d.Active() {
		return refuse("device %s is not of the guest", claim.Device.Short())
	}
	if claim.Verify(l.Key, l.ID, s.Space(), p.Identity) != nil {
		return refuse("the guest does not have the link")
	}
	if l.AskAdmin {
		return nil
	}
	return s.roomFor(p.Identity)
}
