package halo

import (
	"fmt"
	"slices"
)

// allows decides whether the author of c had the authority for it. s must be
// the state of the strict ancestors of c and of nothing else: so the answer is
// the same for everybody and for ever.
func (s *State) allows(c *Credential) error {
	if c.Type.ofIdentity() {
		return s.allowsIdentity(c)
	}
	if d, ok := s.Device(c.Issuer, c.Device); !ok || !d.Active() {
		return refuse("device %s is not active", c.Device.Short())
	}
	if p, ok := c.Payload.(*SpaceGenesis); ok {
		if p.Owner != c.Issuer {
			return refuse("the owner is not the creator")
		}
		return nil
	}
	role := s.Role(c.Issuer)
	if role == RoleNone {
		return refuse("%s is no member", c.Issuer.Short())
	}
	return s.allowsSpace(c, role)
}

func refuse(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrNotAllowed)...)
}

func needs(role, min Role) error {
	if !role.AtLeast(min) {
		return refuse("role %v, must be %v", role, min)
	}
	return nil
}

func (s *State) allowsSpace(c *Credential, role Role) error {
	switch p := c.Payload.(type) {
	case *MemberSet:
		if len(p.Claim) > 0 {
			return s.allowsClaim(c, role, p)
		}
		return s.allowsMember(c.Issuer, role, p.Identity, p.Role)
	case *MemberRemove:
		if _, waits := s.waitingOf(p.Identity); s.Role(p.Identity) == RoleNone && !waits {
			return refuse("%s is no member", p.Identity.Short())
		}
		return s.allowsMember(c.Issuer, role, p.Identity, RoleNone)
	case *EpochRotate:
		return s.allowsRotate(c.Issuer, role, p)
	case *KeyGrant:
		return s.allowsGrant(role, p)
	case *FeedSeal:
		return s.allowsSeal(c.Issuer, role, p)
	case *ForkProof:
		return s.allowsFork(role, p)
	case *InviteIssue, *InviteRevoke, *Checkpoint:
		return needs(role, RoleAdmin)
	case *Policy:
		return needs(role, RoleOwner)
	}
	return refuse("a credential of type %d gives no authority", c.Type)
}

// allowsMember is the rule of levels: only who stands strictly above both the
// present and the new role of another may change it; an owner may also make
// owners; oneself one may only lower.
func (s *State) allowsMember(issuer IdentityID, mine Role, subject IdentityID, to Role) error {
	if !s.Knows(subject) {
		return refuse("identity %s: its credentials are not among the ancestors", subject.Short())
	}
	present := s.Role(subject)
	if issuer == subject {
		if to.AtLeast(present) {
			return refuse("nobody raises himself")
		}
		return nil
	}
	if err := needs(mine, RoleAdmin); err != nil {
		return err
	}
	if present.AtLeast(mine) || mine != RoleOwner && to.AtLeast(mine) {
		return refuse("%v changes %v to %v", mine, present, to)
	}
	if present == RoleNone && to != RoleNone {
		return s.roomFor(subject)
	}
	return nil
}

func (s *State) roomFor(subject IdentityID) error {
	if len(s.Members()) >= MaxMembers {
		return refuse("the space has %d members", MaxMembers)
	}
	active := 0
	for _, d := range s.Devices(subject) {
		if d.Active() {
			active++
		}
	}
	if n := len(s.ActiveDevices()) + len(s.RelayDevices()) + active; n > MaxDevices {
		return refuse("the space would have %d devices", n)
	}
	return nil
}

// allowsRotate: an omitted recipient would be silently locked out, and one too
// many silently let in.
func (s *State) allowsRotate(issuer IdentityID, role Role, p *EpochRotate) error {
	if !role.AtLeast(RoleEditor) && !(role.Reads() && s.lostDevice(issuer)) {
		return refuse("role %v begins an epoch", role)
	}
	latest := s.LatestEpochs()
	gen, prev := uint64(1), []EpochID{}
	for _, e := range latest {
		gen = max(gen, e.Gen+1)
		prev = append(prev, e.ID)
	}
	slices.SortFunc(prev, func(a, b EpochID) int { return CredentialID(a).Compare(CredentialID(b)) })
	if p.Gen != gen || !slices.Equal(p.Prev, prev) {
		return refuse("epoch %d does not follow the latest ones", p.Gen)
	}
	if _, known := s.keyEpoch(p.Epoch); known {
		return refuse("epoch %s exists", p.Epoch.Short())
	}
	if !sameDevices(p.Recipients, s.ActiveDevices()) || !sameDevices(p.Relays, s.RelayDevices()) {
		return refuse("the recipients are not the active devices")
	}
	return nil
}

// lostDevice reports whether a latest epoch's key went to a device which its
// identity has revoked since.
func (s *State) lostDevice(identity IdentityID) bool {
	for _, e := range s.LatestEpochs() {
		for _, r := range s.holders(e) {
			if d, ok := s.Device(identity, r); ok && !d.Active() {
				return true
			}
		}
	}
	return false
}

func sameDevices(wraps []WrappedKey, devices []Device) bool {
	return slices.EqualFunc(wraps, devices, func(w WrappedKey, d Device) bool { return w.Device == d.ID })
}

func (s *State) allowsGrant(role Role, p *KeyGrant) error {
	if err := needs(role, RoleReader); err != nil {
		return err
	}
	if _, ok := s.keyEpoch(p.Epoch); !ok {
		return refuse("epoch %s is not known", p.Epoch.Short())
	}
	to := s.ActiveDevices()
	if p.Swarm {
		to = s.RelayDevices()
	}
	if !slices.ContainsFunc(to, func(d Device) bool { return d.ID == p.Key.Device }) {
		return refuse("device %s may not have the key", p.Key.Device.Short())
	}
	return nil
}

// allowsSeal: the feed must be the device's, proved by its nonce. Others than
// the feed's own identity must be admin and name a reason that holds.
func (s *State) allowsSeal(issuer IdentityID, role Role, p *FeedSeal) error {
	if NewFeedID(s.Space(), p.Device, p.Nonce) != p.Cut.Feed {
		return refuse("feed %s is not of device %s", p.Cut.Feed.Short(), p.Device.Short())
	}
	d, ok := s.Device(p.Identity, p.Device)
	if !ok {
		return refuse("device %s is not of identity %s", p.Device.Short(), p.Identity.Short())
	}
	if issuer == p.Identity {
		return needs(role, RoleReader)
	}
	if d.Active() && s.Role(p.Identity).AtLeast(RoleEditor) {
		return refuse("the feed's device may write")
	}
	return needs(role, RoleAdmin)
}

// allowsFork: two entries with one number must both be signed by the device
// whose feed it is.
func (s *State) allowsFork(role Role, p *ForkProof) error {
	if err := needs(role, RoleReader); err != nil {
		return err
	}
	d, ok := s.Device(p.Identity, p.Device)
	if !ok {
		return refuse("device %s is not of identity %s", p.Device.Short(), p.Identity.Short())
	}
	for _, side := range []headerWire{{Header: p.HeaderA, Sig: p.SigA}, {Header: p.HeaderB, Sig: p.SigB}} {
		h, err := parseHeader(side.Header)
		if err != nil || h.Space != s.Space() || h.Feed != NewFeedID(s.Space(), p.Device, p.Nonce) {
			return refuse("fork of feed %s, which is not of device %s", h.Feed.Short(), p.Device.Short())
		}
		if newEntry(h, side.Header, side.Sig).Verify(d.Public.Sign) != nil {
			return refuse("fork of feed %s: not signed by its device", h.Feed.Short())
		}
	}
	return nil
}

func (s *State) allowsIdentity(c *Credential) error {
	if _, ok := c.Payload.(*IDGenesis); ok {
		return nil
	}
	i := s.identities[IdentityID(c.DAG)]
	if i == nil {
		return refuse("identity without a genesis")
	}
	if c.ByRoot {
		return i.allowsRoot(c)
	}
	signer, ok := i.devices[c.Device]
	if !ok || !signer.Active() {
		return refuse("device %s is not active", c.Device.Short())
	}
	primary := signer.Level == LevelPrimary
	switch p := c.Payload.(type) {
	case *Profile:
		return nil
	case *DeviceAdd:
		return i.allowsAdd(primary, p)
	case *DeviceRevoke:
		target, known := i.devices[p.Device]
		if !known || !target.Active() || !primary && p.Device != c.Device {
			return refuse("a device that is %v revokes one that is %v", signer.Level, target.Level)
		}
		return nil
	case *DeviceLevel:
		target, known := i.devices[p.Device]
		if !known || !target.Active() && !target.Suspended || !primary || p.Device == c.Device && p.Level > signer.Level {
			return refuse("a device that is %v makes one that is %v %v", signer.Level, target.Level, p.Level)
		}
		return nil
	}
	return refuse("a credential of type %d gives no authority", c.Type)
}

func (i *identityState) allowsAdd(primary bool, p *DeviceAdd) error {
	if !primary {
		return refuse("an ordinary device adds none")
	}
	if _, known := i.devices[p.Device.ID()]; known {
		return refuse("the device was added before")
	}
	active := 0
	for _, d := range i.devices {
		if d.Active() {
			active++
		}
	}
	if active >= MaxDevicesPerIdentity {
		return refuse("the identity has %d devices", active)
	}
	return nil
}

func (i *identityState) allowsRoot(c *Credential) error {
	if i.root == nil || i.root.Sign != c.key(SigRoot) {
		return refuse("not signed by the current root key")
	}
	switch p := c.Payload.(type) {
	case *IDCheckpoint:
		if p.Gen != i.checkGen+1 {
			return refuse("checkpoint %d after %d", p.Gen, i.checkGen)
		}
		return nil
	case *RootRotate:
		if p.Gen != i.rootGen+1 {
			return refuse("root %d after %d", p.Gen, i.rootGen)
		}
		return nil
	}
	return refuse("a credential of type %d gives no authority", c.Type)
}
