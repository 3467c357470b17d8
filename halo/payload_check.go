package halo

import (
	"bytes"
	"cmp"
)

// What a payload must satisfy by itself, before anybody asks who signed it.

const maxSealed = 1024 // bytes of a sealed label, name or reason

// sortedBy reports whether list is strictly ascending by key.
func sortedBy[T any](list []T, key func(T) []byte) bool {
	for i := 1; i < len(list); i++ {
		if bytes.Compare(key(list[i-1]), key(list[i])) >= 0 {
			return false
		}
	}
	return true
}

// checkAll returns the first error.
func checkAll(errs ...error) error { return cmp.Or(errs...) }

func checkSealed(what string, b []byte) error {
	if len(b) > maxSealed {
		return malformed("%s of %d bytes", what, len(b))
	}
	return nil
}

func checkLevel(l Level) error {
	if l != LevelOrdinary && l != LevelPrimary {
		return malformed("device level %d", l)
	}
	return nil
}

func (p *IDGenesis) check() error {
	return checkAll(RootPublic{p.RootSign, p.RootKEM}.Check(), p.Device.Check())
}

func (p *DeviceAdd) check() error {
	return checkAll(p.Device.Check(), checkLevel(p.Level), checkSealed("device label", p.Label))
}

func (p *DeviceRevoke) check() error {
	if p.Reason > ReasonCompromised {
		return malformed("reason %d", p.Reason)
	}
	return nil
}

func (p *DeviceLevel) check() error { return checkLevel(p.Level) }

func (p *IDCheckpoint) check() error {
	if len(p.Devices) > MaxDevicesPerIdentity || len(p.Revoked) > maxRevoked {
		return malformed("identity checkpoint of %d devices and %d revoked ones", len(p.Devices), len(p.Revoked))
	}
	for _, d := range p.Devices {
		if err := checkAll(d.Device.Check(), checkLevel(d.Level)); err != nil {
			return err
		}
	}
	byDevice := func(d CheckpointDevice) []byte { id := d.Device.ID(); return id[:] }
	if !sortedBy(p.Devices, byDevice) || !sortedBy(p.Revoked, func(d DeviceID) []byte { return d[:] }) {
		return malformed("identity checkpoint: devices are not sorted")
	}
	return nil
}

func (p *RootRotate) check() error { return RootPublic{p.RootSign, p.RootKEM}.Check() }

func (p *Profile) check() error {
	return checkAll(checkSealed("name", p.Name), checkSealed("avatar", p.Avatar), checkSealed("device", p.Device))
}

func (p *SpaceGenesis) check() error {
	if p.History > HistoryFromJoin {
		return malformed("history policy %d", p.History)
	}
	if p.Policy != nil {
		if err := p.Policy.check(); err != nil {
			return err
		}
	}
	return CheckSignKey(p.SpaceKey[:])
}

func (p *MemberSet) check() error {
	if !p.Role.grantable() {
		return malformed("role %d", p.Role)
	}
	if err := p.checkLink(); err != nil {
		return err
	}
	if len(p.Cuts) > 0 && p.Role.AtLeast(RoleEditor) {
		return malformed("cuts for a role that writes")
	}
	return checkCuts(p.Cuts)
}

// checkLink: whoever comes by a link shows that it has it, and nobody else.
func (p *MemberSet) checkLink() error {
	byLink := len(p.Invite) > 0
	if byLink && (len(p.Invite) != 16 || len(p.Claim) != claimSize) || !byLink && len(p.Claim)+len(p.Name) > 0 {
		return malformed("link of %d bytes with a claim of %d", len(p.Invite), len(p.Claim))
	}
	return checkSealed("guest's name", p.Name)
}

func checkCuts(cuts []Cut) error {
	for _, c := range cuts {
		if err := c.check(); err != nil {
			return err
		}
	}
	if !sortedBy(cuts, func(c Cut) []byte { return c.Feed[:] }) {
		return malformed("cuts are not sorted")
	}
	return nil
}

func (c Cut) check() error {
	if c.Seq < -1 || (c.Seq == -1) != c.Entry.IsZero() {
		return malformed("cut at %d", c.Seq)
	}
	return nil
}

func (p *MemberRemove) check() error {
	return checkAll(checkCuts(p.Cuts), checkSealed("reason", p.Reason))
}

func (p *FeedSeal) check() error {
	if p.Why > SealFork {
		return malformed("seal for reason %d", p.Why)
	}
	return p.Cut.check()
}

func checkWraps(s Suite, wraps []WrappedKey) error {
	if s != SuiteMLKEM768X25519 {
		return malformed("key suite %d", s)
	}
	for _, w := range wraps {
		if len(w.Enc) != kemEncSize || len(w.Sealed) != 32+aeadOverhead {
			return malformed("wrapped key of %d and %d bytes", len(w.Enc), len(w.Sealed))
		}
	}
	if !sortedBy(wraps, func(w WrappedKey) []byte { return w.Device[:] }) {
		return malformed("wrapped keys are not sorted")
	}
	return nil
}

func (p *EpochRotate) check() error {
	if len(p.Prev) > MaxParents || len(p.Back) != len(p.Prev) || (p.Gen == 1) != (len(p.Prev) == 0) || p.Gen == 0 {
		return malformed("epoch %d after %d others with %d keys", p.Gen, len(p.Prev), len(p.Back))
	}
	for i, b := range p.Back {
		if b.Epoch != p.Prev[i] || len(b.Sealed) != backSize {
			return malformed("epoch: back key %d", i)
		}
	}
	if !sortedBy(p.Prev, func(e EpochID) []byte { return e[:] }) || p.Why > RotateManual {
		return malformed("epoch: previous epochs are not sorted, or reason %d", p.Why)
	}
	return checkAll(checkWraps(p.Suite, p.Recipients), checkWraps(p.Suite, p.Relays))
}

func (p *KeyGrant) check() error { return checkWraps(p.Suite, []WrappedKey{p.Key}) }

func (p *InviteIssue) check() error {
	if !p.Role.grantable() || p.Role.AtLeast(RoleAdmin) || p.MaxUses == 0 {
		return malformed("link for role %d and %d uses", p.Role, p.MaxUses)
	}
	return checkAll(CheckSignKey(p.Key[:]), checkSealed("meeting", p.Meet))
}

func (p *InviteRevoke) check() error { return nil }

func (p *Checkpoint) check() error {
	if !sortedBy(p.Marks, func(m FeedMark) []byte { return m.Feed[:] }) || !sortedHeads(p.Auth) {
		return malformed("checkpoint: not sorted")
	}
	return nil
}

func (p *ForkProof) check() error {
	a, err := parseHeader(p.HeaderA)
	if err != nil {
		return err
	}
	b, err := parseHeader(p.HeaderB)
	if err != nil {
		return err
	}
	if a.Space != b.Space || a.Feed != b.Feed || a.Seq != b.Seq || bytes.Compare(p.HeaderA, p.HeaderB) >= 0 {
		return malformed("fork proof of no fork")
	}
	return nil
}

func (p *Policy) check() error {
	for i := 1; i < len(p.Limits); i++ {
		if p.Limits[i-1].Name >= p.Limits[i].Name {
			return malformed("policy: limits are not sorted")
		}
	}
	if len(p.Limits) > 64 {
		return malformed("policy of %d limits", len(p.Limits))
	}
	return nil
}

func (p *UnknownPayload) check() error { return nil }

// sortedHeads reports whether ids are strictly ascending and at most
// MaxParents.
func sortedHeads(ids []CredentialID) bool {
	return len(ids) <= MaxParents && sortedBy(ids, func(id CredentialID) []byte { return id[:] })
}
