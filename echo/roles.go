package echo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"echofs/halo"
)

// What changes who may do what: each is one transaction with the cuts of the
// feeds that it ends, and the epoch whose key those who are shut out do not get.

// ErrRefused is wrapped where the own role or device does not allow it.
var ErrRefused = halo.ErrNotAllowed

// SetRole gives a member another role. Taking away the right to write ends the
// member's feeds where they are known here. It fails with ErrRefused.
func (s *Space) SetRole(ctx context.Context, who halo.IdentityID, role halo.Role) error {
	if role == halo.RoleNone {
		return s.RemoveMember(ctx, who)
	}
	err := s.update(ctx, func(t *txn) error {
		p := &halo.MemberSet{Identity: who, Role: role}
		was := s.State().Role(who)
		if was == halo.RoleNone {
			return fmt.Errorf("%s is no member: %w", who.Short(), ErrNotFound)
		}
		if !role.AtLeast(halo.RoleEditor) && was.AtLeast(halo.RoleEditor) {
			p.Cuts = t.cutsOf(who)
		}
		if err := s.keepsOwner(who, role); err != nil {
			return err
		}
		if err := t.issue(p); err != nil {
			return err
		}
		switch {
		case !role.Reads():
			return t.rotate(halo.RotateMember)
		case !was.Reads():
			return t.grantAll(who)
		}
		return nil
	})
	return wrapf(err, "change role")
}

// grantAll grants the keys to all devices of a member that could not read before.
func (t *txn) grantAll(who halo.IdentityID) error {
	for _, d := range t.s.State().Devices(who) {
		if !d.Active() {
			continue
		}
		if err := t.grantKeys(who, d.ID); err != nil {
			return err
		}
	}
	return nil
}

// RemoveMember ends a membership: of what the member wrote counts what is known
// here, and it gets no key of what is written from now on. Removing oneself is
// leaving. It fails with ErrRefused.
func (s *Space) RemoveMember(ctx context.Context, who halo.IdentityID) error {
	err := s.update(ctx, func(t *txn) error {
		if s.State().Role(who) == halo.RoleNone {
			return fmt.Errorf("%s is no member: %w", who.Short(), ErrNotFound)
		}
		if err := s.keepsOwner(who, halo.RoleNone); err != nil {
			return err
		}
		if err := t.issue(&halo.MemberRemove{Identity: who, Cuts: t.cutsOf(who)}); err != nil {
			return err
		}
		if who == s.repo.me.id {
			return nil // who is left begins the new epoch
		}
		return t.rotate(halo.RotateMember)
	})
	return wrapf(err, "remove member")
}

// ErrLastOwner is wrapped where the only owner would go while others stay.
var ErrLastOwner = errors.New("the space would have no owner")

// keepsOwner refuses that the only owner steps down while others are members.
func (s *Space) keepsOwner(who halo.IdentityID, to halo.Role) error {
	state := s.State()
	others := slices.DeleteFunc(state.Members(), func(m halo.Member) bool { return m.Identity == who })
	owned := slices.ContainsFunc(others, func(m halo.Member) bool { return m.Role == halo.RoleOwner })
	if who != s.repo.me.id || state.Role(who) != halo.RoleOwner || to == halo.RoleOwner || owned || len(others) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrLastOwner, ErrRefused)
}

// cutsOf returns where the feeds of an identity end that are held here.
func (t *txn) cutsOf(who halo.IdentityID) []halo.Cut {
	var out []halo.Cut
	for id, row := range t.s.feeds {
		if row.Identity == who && row.Next > 0 {
			out = append(out, halo.Cut{Feed: id, Seq: int64(row.Next) - 1, Entry: row.Last})
		}
	}
	slices.SortFunc(out, func(a, b halo.Cut) int { return bytes.Compare(a.Feed[:], b.Feed[:]) })
	return out
}

// rotate begins an epoch whose key goes to those who may read now.
func (t *txn) rotate(why halo.RotateWhy) error {
	s := t.s
	c, fresh, err := s.graph.RotateEpoch(s.repo.issuer(), why, s.epochKey, t.now)
	if err != nil {
		return err
	}
	if err := s.repo.keys.AddEpochKey(s.id, fresh); err != nil {
		return fmt.Errorf("keep epoch key: %w", err)
	}
	if _, err = t.addCredential(c); err == nil {
		s.refresh()
		t.event(Event{What: Members})
	}
	return err
}

// tellModes tells that all nodes have other permissions now, since the device
// may write, or may not any more.
func (t *txn) tellModes() {
	inos, err := t.spaceNodes()
	if err != nil {
		t.fail(err)
		return
	}
	for _, ino := range inos {
		if row, err := getNode(t, ino); err == nil && !row.Kind.IsLocal() {
			t.event(Event{What: Data, Ino: ino, Kind: row.Kind})
		}
	}
}

// rotateIfLeaked begins an epoch where the keys of all the latest ones are with
// somebody who may not read any more, and this device may write.
func (t *txn) rotateIfLeaked() {
	state := t.s.State()
	role, active := state.Member(t.s.repo.me.id, t.s.repo.me.device)
	if _, ok := state.CurrentEpoch(); ok || !active || !role.AtLeast(halo.RoleEditor) {
		return
	}
	if err := t.rotate(halo.RotateMember); err != nil {
		t.s.repo.log.Warn("begin a new key epoch", "space", t.s.Name(), "error", err)
	}
}

// Rotate begins an epoch. It fails with ErrRefused.
func (s *Space) Rotate(ctx context.Context) error {
	err := s.update(ctx, func(t *txn) error { return t.rotate(halo.RotateManual) })
	return wrapf(err, "rotate keys")
}

// FindMember finds a member by its DID, the name it shows, or the beginning of
// its id. ErrNotFound, ErrAmbiguous.
func (s *Space) FindMember(who string) (halo.IdentityID, error) {
	state := s.State()
	var found []halo.IdentityID
	for _, m := range state.Members() {
		root, ok := state.Root(m.Identity)
		did := ""
		if ok {
			did = halo.DID(root.Sign[:])
		}
		if did == who || s.nameOf(state, m.Identity) == who || len(who) >= minPrefix && strings.HasPrefix(m.Identity.String(), who) {
			found = append(found, m.Identity)
		}
	}
	switch len(found) {
	case 0:
		return halo.IdentityID{}, fmt.Errorf("member %q: %w", who, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return halo.IdentityID{}, fmt.Errorf("member %q: %w: %d members are called so", who, ErrAmbiguous, len(found))
}

// FindDevice finds a device of the own identity by its name, or the beginning of
// its id. ErrNotFound, ErrAmbiguous.
func (r *Repo) FindDevice(name string) (halo.DeviceID, error) {
	found := slices.DeleteFunc(r.OwnDevices(), func(d OwnDevice) bool {
		return d.Name != name && (len(name) < minPrefix || !strings.HasPrefix(d.ID.String(), name))
	})
	switch len(found) {
	case 0:
		return halo.DeviceID{}, fmt.Errorf("device %q: %w", name, ErrNotFound)
	case 1:
		return found[0].ID, nil
	}
	return halo.DeviceID{}, fmt.Errorf("device %q: %w: %d devices are called so", name, ErrAmbiguous, len(found))
}

// Revocation is how a device of the own identity is let go.
type Revocation struct {
	Device halo.DeviceID
	Reason halo.Reason
	// AsOf: of what the device wrote counts what had come here by then; zero for
	// all that came.
	AsOf time.Time
	// Cascade lets go of the devices that it added too.
	Cascade bool
}

// RevokeDevice ends a device of this identity, in the identity and in all
// spaces: its feeds are sealed and new epochs begin. What a crash leaves undone
// is done when the vault is opened. It fails with ErrRefused and ErrNotFound.
func (r *Repo) RevokeDevice(ctx context.Context, v Revocation) error {
	err := r.revokeInIdentity(v)
	if err == nil {
		err = r.sealAllRevoked(ctx)
	}
	return wrapf(err, "revoke device %s", v.Device.Short())
}

// sealAllRevoked seals, in all spaces, the feeds of the own devices that are
// revoked.
func (r *Repo) sealAllRevoked(ctx context.Context) (all error) {
	for _, s := range r.spacesWithOwn() {
		err := s.update(ctx, func(t *txn) error {
			return t.sealRevoked(func(halo.CredentialID) bool { return true })
		})
		if err != nil {
			all = errors.Join(all, fmt.Errorf("space %q: %w", s.Name(), err))
		}
	}
	return all
}

// revokeInIdentity adds the revocation to the own identity's credentials.
func (r *Repo) revokeInIdentity(v Revocation) error {
	if _, ok := r.me.graph.State().Device(r.me.id, v.Device); !ok {
		return ErrNotFound
	}
	c, err := r.me.graph.Issue(r.issuer(), &halo.DeviceRevoke{Device: v.Device, Reason: v.Reason, Cascade: v.Cascade}, r.now())
	if err != nil {
		return err
	}
	var also Batch
	if !v.AsOf.IsZero() {
		also.Put(key(tableAsOf, c.ID), binary.BigEndian.AppendUint64(nil, uint64(v.AsOf.UnixMilli())))
	}
	return r.learnIdentity([]*halo.Credential{c}, also.Ops()...)
}

// asOf returns until when what came from the devices counts that a credential
// revokes, as it was said here; zero for all that came.
func (t *txn) asOf(ref halo.CredentialID) (time.Time, error) {
	b, err := t.Get(key(tableAsOf, ref))
	if isNotFound(err) {
		return time.Time{}, nil
	}
	if err == nil && len(b) != 8 {
		err = fmt.Errorf("damaged time of revocation %s", ref.Short())
	}
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))), nil
}

// sealRevoked seals, in one space, the feeds of the own identity's devices that
// are revoked by a wanted credential and not sealed here, and begins a new epoch.
func (t *txn) sealRevoked(wanted func(halo.CredentialID) bool) error {
	s := t.s
	if err := t.addIdentity(); err != nil {
		return err
	}
	state := s.State()
	if _, active := state.Member(s.repo.me.id, s.repo.me.device); !active {
		return nil
	}
	sealed := false
	for _, d := range state.Devices(s.repo.me.id) {
		ref, revoked := revocationOf(s.graph, s.repo.me.id, d)
		if !revoked || t.isSealed(d.ID) || !wanted(ref) {
			continue
		}
		asOf, err := t.asOf(ref)
		if err != nil {
			return err
		}
		if err := t.sealDevice(d, ref, asOf); err != nil {
			return err
		}
		sealed = true
	}
	if !sealed {
		t.rotateIfLeaked() // they may be sealed by one that counts no more either
		return nil
	}
	s.refresh()
	t.event(Event{What: Members})
	role := s.State().Role(s.repo.me.id)
	if !role.Reads() {
		return nil
	}
	err := t.rotate(halo.RotateDevice)
	if errors.Is(err, halo.ErrNotAllowed) {
		return nil // no key of it was with the device, and readers begin no epoch
	}
	return err
}

// resumeRevocations does in a space what a crash left undone of revocations by
// this device.
func (r *Repo) resumeRevocations(ctx context.Context, s *Space) {
	mine := func(id halo.CredentialID) bool {
		c, ok := r.me.graph.Get(id)
		return ok && c.Device == r.me.device
	}
	if !slices.ContainsFunc(r.OwnDevices(), func(d OwnDevice) bool { return d.Level == halo.LevelNone }) {
		return
	}
	if err := s.update(ctx, func(t *txn) error { return t.sealRevoked(mine) }); err != nil {
		r.log.Warn("seal the feeds of revoked devices", "space", s.Name(), "error", err)
	}
}

// revocationOf returns the newest credential that ends a device, unless it is
// active, or suspended.
func revocationOf(g *halo.Graph, id halo.IdentityID, d halo.Device) (ref halo.CredentialID, ok bool) {
	if d.Active() || d.Suspended {
		return ref, false
	}
	state := g.State()
	for _, c := range g.Identity(id) {
		if !state.Counts(c.ID) {
			continue
		}
		switch p := c.Payload.(type) {
		case *halo.DeviceRevoke:
			if p.Device == d.ID || p.Cascade {
				ref, ok = c.ID, true
			}
		case *halo.IDCheckpoint:
			if !slices.ContainsFunc(p.Devices, func(x halo.CheckpointDevice) bool { return x.Device.ID() == d.ID }) {
				ref, ok = c.ID, true
			}
		}
	}
	return ref, ok
}

// isSealed reports whether the own identity sealed a device's feeds here.
func (t *txn) isSealed(device halo.DeviceID) bool {
	state := t.s.State()
	return slices.ContainsFunc(t.s.graph.All(), func(c *halo.Credential) bool {
		p, ok := c.Payload.(*halo.FeedSeal)
		return ok && p.Device == device && p.Why == halo.SealDevice && c.Issuer == t.s.repo.me.id && state.Counts(c.ID)
	})
}

// sealDevice seals all feeds of a device; one that never was where it has none,
// since a seal is also what ends the device's word in the space.
func (t *txn) sealDevice(d halo.Device, ref halo.CredentialID, asOf time.Time) error {
	issue := func(cut halo.Cut, nonce [16]byte) error {
		return t.issue(&halo.FeedSeal{Cut: cut, Why: halo.SealDevice, Ref: &ref, Device: d.ID, Identity: d.Identity, Nonce: nonce})
	}
	any := false
	for id, row := range t.s.feeds {
		if row.Device != d.ID || row.Next == 0 {
			continue
		}
		nonce, err := t.nonceOf(id)
		if err != nil {
			t.s.repo.log.Warn("seal a revoked device's feed", "feed", id.Short(), "error", err)
			continue
		}
		cut, err := t.cutAsOf(id, row, asOf)
		if err != nil {
			return err
		}
		if err := issue(cut, nonce); err != nil {
			return err
		}
		any = true
	}
	if any {
		return nil
	}
	var nonce [16]byte
	copy(nonce[:], ref[:])
	return issue(halo.Cut{Feed: halo.NewFeedID(t.s.id, d.ID, nonce), Seq: -1}, nonce)
}

// nonceOf returns the nonce in the first entry of a feed.
func (t *txn) nonceOf(feed halo.FeedID) ([16]byte, error) {
	e, err := t.entry(entryRef{feed, 0})
	if err != nil {
		return [16]byte{}, err
	}
	k, ok := t.s.epochKey(e.Header.Epoch)
	if !ok {
		return [16]byte{}, fmt.Errorf("no key of epoch %s", e.Header.Epoch.Short())
	}
	plain, err := e.Open(k)
	if err != nil {
		return [16]byte{}, err
	}
	open, err := halo.OpenFeedOpen(e.Header, plain)
	return open.Nonce, err
}

// cutAsOf returns where a feed ended, as far as it had come here at a time.
func (t *txn) cutAsOf(feed halo.FeedID, row *feedRow, asOf time.Time) (halo.Cut, error) {
	if asOf.IsZero() {
		return halo.Cut{Feed: feed, Seq: int64(row.Next) - 1, Entry: row.Last}, nil
	}
	last := int64(-1)
	prefix := key(tableArrived, t.s.id, feed)
	err := scanPrefix(t, prefix, func(k, v []byte) bool {
		if len(v) == 8 && int64(binary.BigEndian.Uint64(v)) <= asOf.UnixMilli() {
			last = max(last, int64(keyIno(k, len(prefix))))
		}
		return true
	})
	if err != nil || last < 0 {
		return halo.Cut{Feed: feed, Seq: -1}, err
	}
	e, err := t.entry(entryRef{feed, uint64(last)})
	if err != nil {
		return halo.Cut{}, err
	}
	return halo.Cut{Feed: feed, Seq: last, Entry: e.ID}, nil
}
