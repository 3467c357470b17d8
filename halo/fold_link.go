package halo

import (
	"slices"
	"time"
)

// The part of the fold about links. Who comes by a link is held, and waits for
// an admin's word, where the link asks for that, and where the link was used as
// often as it may be: by those before in the order of the graph, which is the
// same for everybody.

// linkFolder collects what is valid about links, parents first or not.
type linkFolder struct {
	issued  []*node
	claims  []int               // admissions by a link
	revoked map[LinkID]bool     // links
	worded  map[IdentityID]bool // who was given a role by an admin's word
}

func (f *linkFolder) admission(at int, n *node) {
	if _, byLink := n.byLink(); byLink {
		f.claims = append(f.claims, at)
		return
	}
	if f.worded == nil {
		f.worded = map[IdentityID]bool{}
	}
	f.worded[n.Payload.(*MemberSet).Identity] = true
}

func (f *linkFolder) revoke(id LinkID) {
	if f.revoked == nil {
		f.revoked = map[LinkID]bool{}
	}
	f.revoked[id] = true
}

// foldLinks enters the links, and returns the admissions that are held; true
// for those beyond the number of uses.
func (f *folder) foldLinks() (held map[int]bool) {
	if len(f.links.issued) == 0 {
		return nil
	}
	slices.SortFunc(f.links.issued, (*node).before)
	at := map[LinkID]int{}
	for _, n := range f.links.issued {
		l := newSpaceLink(n, n.Payload.(*InviteIssue))
		if _, again := at[l.ID]; again {
			continue // the first word counts
		}
		l.Revoked = f.links.revoked[l.ID]
		at[l.ID] = len(f.state.links)
		f.state.links = append(f.state.links, l)
	}
	slices.SortFunc(f.links.claims, func(a, b int) int { return f.graph.nodes[a].before(f.graph.nodes[b]) })
	held = map[int]bool{}
	for _, claim := range f.links.claims {
		p := f.graph.nodes[claim].Payload.(*MemberSet)
		i, ok := at[LinkID(p.Invite)]
		if !ok {
			continue // its link is not valid, so neither is it
		}
		holds, over := f.state.links[i].use(p.Identity, f.links.worded[p.Identity])
		if holds {
			held[claim] = over
		}
	}
	return held
}

func newSpaceLink(n *node, p *InviteIssue) SpaceLink {
	return SpaceLink{
		ID: p.Invite, Key: p.Key, Role: p.Role, MaxUses: int(min(p.MaxUses, MaxMembers)),
		Expires: time.Unix(int64(min(p.Expires, 1<<40)), 0), AskAdmin: p.AskAdmin, AnyMember: p.AnyMember,
		Meet: p.Meet, Issuer: n.Issuer, Issued: time.Unix(int64(min(n.IssuedAt, 1<<40)), 0),
	}
}

// use counts an admission. It reports whether it is held, and whether that is
// because the link is used up.
func (l *SpaceLink) use(who IdentityID, worded bool) (held, over bool) {
	again := l.Claimed(who)
	if !again {
		l.claimed = append(l.claimed, who)
	}
	if slices.Contains(l.Uses, who) {
		return l.AskAdmin, false
	}
	over = len(l.Uses) >= l.MaxUses
	switch {
	case l.AskAdmin && worded:
		l.Uses = append(l.Uses, who)
		return true, false
	case l.AskAdmin || over:
		return true, over
	}
	l.Uses = append(l.Uses, who)
	return false, false
}

// roleOf returns the role that the newest valid credentials about an identity give.
// What is held gives none, and takes none that somebody else gave.
func (f *folder) roleOf(nodes []int, held map[int]bool) Role {
	var said, waits []int
	for _, at := range nodes {
		if _, is := held[at]; is {
			waits = append(waits, at)
		} else {
			said = append(said, at)
		}
	}
	if len(said) > 0 {
		return f.lowestRole(said)
	}
	slices.SortFunc(waits, func(a, b int) int { return f.graph.nodes[a].before(f.graph.nodes[b]) })
	f.state.waiting = append(f.state.waiting, newWaiting(f.graph.nodes[waits[0]], held[waits[0]]))
	return RoleNone
}

func newWaiting(n *node, over bool) Waiting {
	p := n.Payload.(*MemberSet)
	w := Waiting{
		Identity: p.Identity, Link: LinkID(p.Invite), Role: p.Role, Over: over, Name: p.Name,
		Asked: time.Unix(int64(min(n.IssuedAt, 1<<40)), 0), node: n,
	}
	if claim, err := ParseClaim(p.Claim); err == nil { // it was granted, so it is one
		w.Device, w.Handshake = claim.Device, claim.Handshake
	}
	return w
}
