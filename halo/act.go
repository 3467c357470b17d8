package halo

import "slices"

// act is what a credential takes from somebody: a role, a level, or the word of
// a device that was let go. Everything in it follows from the credential and
// its ancestors, so it never changes.
type act struct {
	step step

	// Of a member: its identity and the role it keeps.
	member IdentityID
	from   Role
	keeps  Role

	// Of devices of one identity: which, and the level they keep.
	devices []DeviceID
	level   Level

	// Of a device in the space: a seal names the place up to which what the
	// device issued there counts.
	sealed DeviceID
	ref    int // the node that ends the device's authority

	root bool // an identity checkpoint: of all devices of its identity

	link *LinkID // a link that ends: of those who came by it meanwhile
}

// step orders acts: those of higher authority come first, and of one level what
// somebody takes from himself comes before what he takes from others. Acts of
// the identity graph come before those of the space, since the space follows
// from them and not the other way round.
type step int

const (
	stepRoot        step = iota // the word of the phrase
	stepPrimarySelf             // a primary device lets go of itself
	stepPrimary                 // a primary device lets go of others
	stepOrdinary                // an ordinary device lets go of itself
	stepSpace                   // from here three for each role, the highest first
)

// The three steps of a role in a space.
const (
	spaceSealRoot = iota // a seal because of an identity checkpoint
	spaceSelf            // resigning, lowering oneself, sealing an own device
	spaceOthers
	spaceSteps
)

func spaceStep(role Role, part int) step {
	return stepSpace + step((RoleOwner.rank()-role.rank())*spaceSteps+part)
}

// self reports whether acts of the step are about their own author.
func (s step) self() bool {
	if s < stepSpace {
		return s == stepPrimarySelf || s == stepOrdinary
	}
	return int(s-stepSpace)%spaceSteps != spaceOthers
}

// endsWriting reports whether the act makes a member that wrote one that does
// not.
func (a *act) endsWriting() bool {
	return a != nil && a.from.AtLeast(RoleEditor) && !a.keeps.AtLeast(RoleEditor)
}

// actOf returns what n, which is granted, takes; nil for nothing. s is the
// state of its ancestors.
func (g *Graph) actOf(n *node, s *State) *act {
	switch p := n.Payload.(type) {
	case *MemberSet:
		return s.memberAct(n.Credential, p.Identity, p.Role)
	case *MemberRemove:
		return s.memberAct(n.Credential, p.Identity, RoleNone)
	case *FeedSeal:
		return g.sealAct(n, s, p)
	case *InviteRevoke:
		return &act{step: spaceStep(s.Role(n.Issuer), spaceOthers), link: &p.Invite}
	case *DeviceRevoke:
		a := &act{step: stepPrimary, devices: []DeviceID{p.Device}}
		if p.Cascade {
			a.devices = s.admittedBy(IdentityID(n.DAG), p.Device, n.Device)
		}
		return s.deviceAct(n.Credential, p.Device, a)
	case *DeviceLevel:
		if d, _ := s.Device(IdentityID(n.DAG), p.Device); p.Level >= d.Level {
			return nil
		}
		return s.deviceAct(n.Credential, p.Device, &act{step: stepPrimary, devices: []DeviceID{p.Device}, level: p.Level})
	case *IDCheckpoint:
		return &act{step: stepRoot, root: true}
	}
	return nil
}

func (s *State) memberAct(c *Credential, subject IdentityID, keeps Role) *act {
	from := s.Role(subject)
	if w, waits := s.waitingOf(subject); waits {
		from = w.Role // it may have begun to write where fewer guests were known
	}
	if keeps.AtLeast(from) {
		return nil
	}
	part := spaceOthers
	if c.Issuer == subject {
		part = spaceSelf
	}
	return &act{step: spaceStep(s.Role(c.Issuer), part), member: subject, from: from, keeps: keeps}
}

func (s *State) deviceAct(c *Credential, subject DeviceID, a *act) *act {
	if c.Device != subject {
		return a
	}
	a.step = stepOrdinary
	if d, _ := s.Device(IdentityID(c.DAG), c.Device); d.Level == LevelPrimary {
		a.step = stepPrimarySelf
	}
	return a
}

// sealAct: a seal of a revoked device by its own identity ends the device's
// word in the space. An admin's seal of another's feed cuts the feed only:
// else an admin could undo what an owner did.
func (g *Graph) sealAct(n *node, s *State, p *FeedSeal) *act {
	if p.Why != SealDevice || p.Ref == nil || n.Issuer != p.Identity {
		return nil
	}
	at, ok := g.index[*p.Ref]
	if !ok || !n.ancestors.has(at) {
		return nil
	}
	part, ends := g.nodes[at].ends(p.Identity, p.Device)
	if !ends {
		return nil
	}
	return &act{step: spaceStep(s.Role(n.Issuer), part), sealed: p.Device, ref: at}
}

// ends reports whether a credential lets a device of an identity go, and which
// part of a role's steps a seal because of it belongs to.
func (n *node) ends(identity IdentityID, device DeviceID) (part int, ok bool) {
	if n.act == nil || n.DAG != identity {
		return 0, false
	}
	switch p := n.Payload.(type) {
	case *IDCheckpoint:
		listed := slices.ContainsFunc(p.Devices, func(d CheckpointDevice) bool { return d.Device.ID() == device })
		return spaceSealRoot, !listed
	case *DeviceRevoke:
		return spaceSelf, slices.Contains(n.act.devices, device)
	}
	return 0, false
}

// need is what a credential needs of its author, by its ancestors.
type need struct {
	role  Role  // space graph
	level Level // identity graph
}

func (s *State) needOf(c *Credential) need {
	switch p := c.Payload.(type) {
	case *MemberSet:
		if l, ok := s.linkOf(p); ok {
			return need{role: l.hosts()}
		}
		return need{role: s.memberNeed(c.Issuer, p.Identity, p.Role)}
	case *MemberRemove:
		return need{role: s.memberNeed(c.Issuer, p.Identity, RoleNone)}
	case *EpochRotate:
		if !s.Role(c.Issuer).AtLeast(RoleEditor) {
			return need{role: RoleReader}
		}
		return need{role: RoleEditor}
	case *FeedSeal:
		if c.Issuer == p.Identity {
			return need{role: RoleReader}
		}
		return need{role: RoleAdmin}
	case *KeyGrant, *ForkProof:
		return need{role: RoleReader}
	case *InviteIssue, *InviteRevoke, *Checkpoint:
		return need{role: RoleAdmin}
	case *Policy:
		return need{role: RoleOwner}
	case *DeviceAdd, *DeviceLevel:
		return need{level: LevelPrimary}
	case *DeviceRevoke:
		if p.Device != c.Device {
			return need{level: LevelPrimary}
		}
	}
	return need{role: RoleRelay, level: LevelOrdinary}
}

func (s *State) memberNeed(issuer, subject IdentityID, to Role) Role {
	switch {
	case issuer == subject:
		return RoleRelay
	case to.AtLeast(RoleAdmin) || s.Role(subject).AtLeast(RoleAdmin):
		return RoleOwner
	}
	return RoleAdmin
}

// admittedBy returns a device and those that it added, and those that they
// added, but for one.
func (s *State) admittedBy(identity IdentityID, device, except DeviceID) []DeviceID {
	out := []DeviceID{device}
	for i := 0; i < len(out); i++ {
		for _, d := range s.Devices(identity) {
			if d.addedBy == out[i] && d.ID != except && !slices.Contains(out, d.ID) {
				out = append(out, d.ID)
			}
		}
	}
	return out
}
