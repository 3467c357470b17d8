package echo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"echofs/halo"
)

// ErrPeerFault is wrapped where bytes from a peer are such that no correct
// peer sends them.
var ErrPeerFault = errors.New("fault of the peer")

// identity is who this vault acts for.
type identity struct {
	id     halo.IdentityID
	device halo.DeviceID
	graph  *halo.Graph
	did    string

	name, deviceName string // guarded by Repo.meMu
}

func (r *Repo) loadIdentity() error {
	raw := r.opts.Identity
	var stored [][]byte
	err := scanPrefix(r.store, []byte{tableIdentity}, func(_, v []byte) bool {
		stored = append(stored, bytes.Clone(v))
		return true
	})
	if err != nil {
		return err
	}
	if len(stored) > 0 {
		raw = stored
	}
	if len(raw) == 0 {
		return fmt.Errorf("the vault has no identity: %w", ErrNotFound)
	}
	first, err := halo.ParseCredential(raw[0])
	if err != nil {
		return err
	}
	r.me = identity{id: halo.IdentityID(first.ID), device: r.keys.Device().ID(),
		graph: halo.NewIdentityGraph(halo.IdentityID(first.ID)), name: r.opts.IdentityName, deviceName: r.opts.DeviceName}
	var b Batch
	for i, c := range raw {
		parsed, err := halo.ParseCredential(c)
		if err != nil {
			return err
		}
		if _, err := r.me.graph.Add(parsed); err != nil {
			return err
		}
		b.Put(key(tableIdentity, uint64(i)), c)
	}
	if root, ok := r.me.graph.State().Root(r.me.id); ok {
		r.me.did = halo.DID(root.Sign[:])
	}
	if len(stored) > 0 {
		return nil
	}
	return r.store.Commit(&b, Kernel)
}

func (r *Repo) issuer() halo.Issuer { return halo.Issuer{Identity: r.me.id, Signer: r.keys.Device()} }

// IdentityID returns the identity this vault acts for.
func (r *Repo) IdentityID() halo.IdentityID { return r.me.id }

// DeviceID returns the device this vault is.
func (r *Repo) DeviceID() halo.DeviceID { return r.me.device }

// DeviceKeys returns the secret keys of this device.
func (r *Repo) DeviceKeys() *halo.DeviceKeys { return r.keys.Device() }

// IdentityCredentials returns the credentials of the own identity, genesis
// first.
func (r *Repo) IdentityCredentials() [][]byte {
	var out [][]byte
	for _, c := range r.me.graph.All() {
		out = append(out, c.Bytes())
	}
	return out
}

// IdentityInfo is what `echofs identity` prints.
type IdentityInfo struct {
	DID        string
	Name       string
	DeviceID   string
	DeviceName string
}

// Identity tells who this vault acts for.
func (r *Repo) Identity() IdentityInfo {
	name, device := r.names()
	return IdentityInfo{DID: r.me.did, Name: name, DeviceID: r.me.device.String(), DeviceName: device}
}

// CredentialHeads returns the space's credentials that are no parent of
// another.
func (s *Space) CredentialHeads() []halo.CredentialID { return s.graph.Heads() }

// Credentials returns all credentials of the space, parents first.
func (s *Space) Credentials() ([][]byte, error) {
	all := s.graph.All()
	out := make([][]byte, 0, len(all))
	for _, c := range all {
		out = append(out, c.Bytes())
	}
	return out, nil
}

// AddCredentials verifies and stores credentials from a peer, and returns how
// many were new. It fails with ErrPeerFault at the first that is malformed,
// badly signed or of another space; those before it are kept.
func (s *Space) AddCredentials(ctx context.Context, raw [][]byte) (int, error) {
	added, mine := 0, false
	var fault error
	err := s.update(ctx, func(t *txn) error {
		t.remote = true
		for _, b := range raw {
			c, err := halo.ParseCredential(b)
			if err == nil {
				var n int
				n, err = t.addCredential(c)
				added += n
				mine = mine || n > 0 && halo.IdentityID(c.DAG) == s.repo.me.id
			}
			if errors.Is(err, halo.ErrFull) {
				return err
			}
			if err != nil {
				fault = fmt.Errorf("credential: %w: %w", ErrPeerFault, err)
				break
			}
		}
		if added == 0 {
			return nil
		}
		could, relayed := s.mayWrite(), s.Relays()
		s.refresh()
		if relayed != s.Relays() {
			t.tellHidden(!relayed)
		}
		t.event(Event{What: Members})
		if could != s.mayWrite() {
			t.tellModes()
		}
		t.rotateIfLeaked()
		t.grantLate()
		return nil
	})
	if err == nil && mine {
		s.repo.spreadIdentity(ctx, s)
	}
	if s.takeRescued() {
		s.saveRescued(ctx)
	}
	return added, errors.Join(fault, err)
}

// addCredential adds a credential, and those that waited for it, to the graph
// and the store. The graph is not undone when the transaction fails: it is a
// set that only grows, and what is missing in the store comes again.
func (t *txn) addCredential(c *halo.Credential) (int, error) {
	fresh, err := t.s.graph.Add(c)
	for _, f := range fresh {
		t.put(key(tableCredential, t.s.id, t.s.row.Creds), f.Bytes())
		t.s.row.Creds++
		if err := t.rescueOwn(f); err != nil {
			return 0, fmt.Errorf("keep what this device wrote after a fork: %w", err)
		}
	}
	if len(fresh) > 0 {
		t.limits, t.unsettled = nil, true
		t.putRow(key(tableSpace, t.s.id), &t.s.row)
		t.event(Event{What: Log})
	}
	return len(fresh), err
}

// Admit makes an identity a member, which is what the host of an invitation
// does: it adds the guest's credentials, its role, and a grant of every epoch
// key this device has to the guest's device. A member keeps a higher role.
func (s *Space) Admit(ctx context.Context, guest [][]byte, device halo.DeviceID, role halo.Role) error {
	err := s.update(ctx, func(t *txn) error {
		var id halo.IdentityID
		for i, b := range guest {
			c, err := halo.ParseCredential(b)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrPeerFault, err)
			}
			if i == 0 {
				id = halo.IdentityID(c.ID)
			}
			if _, err := t.addCredential(c); err != nil {
				return fmt.Errorf("%w: %w", ErrPeerFault, err)
			}
		}
		if !s.State().Role(id).AtLeast(role) {
			if err := t.issue(&halo.MemberSet{Identity: id, Role: role}); err != nil {
				return err
			}
		}
		return t.grantKeys(id, device)
	})
	return wrapf(err, "admit member")
}

// issue adds a credential of this device.
func (t *txn) issue(p halo.Payload) error {
	c, err := t.s.graph.Issue(t.s.repo.issuer(), p, t.now)
	if err != nil {
		return err
	}
	_, err = t.addCredential(c)
	t.limits, t.unsettled = nil, true
	t.after = append(t.after, t.s.refresh)
	t.event(Event{What: Members})
	return err
}

func (t *txn) grantKeys(id halo.IdentityID, device halo.DeviceID) error {
	d, ok := t.s.State().Device(id, device)
	if !ok {
		return fmt.Errorf("device %s: %w", device.Short(), halo.ErrUnknown)
	}
	granted := map[halo.EpochID]bool{}
	reads := t.s.State().Role(id).Reads()
	for _, w := range t.s.State().Wraps(device) {
		granted[w.Epoch] = granted[w.Epoch] || !w.Swarm || !reads
	}
	keys := t.s.EpochKeys()
	if !reads {
		keys = keys[:min(len(keys), relayEpochs)]
	}
	for _, k := range keys {
		if granted[k.ID(t.s.id)] {
			continue
		}
		c, err := t.s.graph.GrantKey(t.s.repo.issuer(), k, d, t.now)
		if err != nil {
			return err
		}
		if _, err := t.addCredential(c); err != nil {
			return err
		}
	}
	return nil
}

// Admission is what a guest has after an invitation.
type Admission struct {
	Space       SpaceID
	Credentials [][]byte // all of the space, parents first
	Name        string   // as the host calls the space
}

// Join opens a space to which this identity was admitted. A space that is open
// already gets the credentials and is returned.
func (r *Repo) Join(ctx context.Context, a Admission) (*Space, error) {
	if s, ok := r.SpaceByID(a.Space); ok {
		_, err := s.AddCredentials(ctx, a.Credentials)
		return s, err
	}
	graph, err := r.loadAdmission(a.Space, a.Credentials)
	if err != nil {
		return nil, fmt.Errorf("join space: %w", err)
	}
	if graph.State().Role(r.me.id) == halo.RoleRelay {
		a.Name = cmp.Or(a.Name, "relay-"+a.Space.Short()) // the host does not tell it
	}
	s, err := r.addSpace(ctx, graph, a.Name)
	if err != nil {
		return nil, fmt.Errorf("join space: %w", err)
	}
	r.spreadIdentity(ctx, s)
	return s, s.publishProfile(ctx)
}

// What sealed names are sealed for.
const (
	labelName   = "name"
	labelDevice = "device"
)

// publishProfile tells the members the names of this identity and device, if
// it has one.
func (s *Space) publishProfile(ctx context.Context) error {
	k := s.currentKey()
	name, device := s.repo.names()
	if name == "" || k.IsZero() {
		return nil
	}
	var p halo.Profile
	var err error
	if p.Name, err = k.SealLabel(s.id, labelName, name); err != nil {
		return fmt.Errorf("publish profile: %w", err)
	}
	if p.Device, err = k.SealLabel(s.id, labelDevice, device); err != nil {
		return fmt.Errorf("publish profile: %w", err)
	}
	err = s.update(ctx, func(t *txn) error { return t.issue(&p) })
	return wrapf(err, "publish profile")
}

// nameOf returns the name an identity shows in the space, or a short id.
func (s *Space) nameOf(state *halo.State, id halo.IdentityID) string {
	profiles := state.Profiles(id)
	for i := len(profiles) - 1; i >= 0; i-- {
		epoch, err := halo.LabelEpoch(profiles[i].Name)
		if err != nil {
			continue
		}
		if k, ok := s.epochKey(epoch); ok {
			if name, err := k.OpenLabel(s.id, labelName, profiles[i].Name); err == nil {
				return name
			}
		}
	}
	if name, _ := s.repo.names(); id == s.repo.me.id && name != "" {
		return name
	}
	if state.Role(id) == halo.RoleRelay {
		return relayName(state, id.Short())
	}
	return id.Short()
}

// Member is one member of a space.
type Member struct {
	DID     string
	Name    string
	Role    string
	Devices []MemberDevice
}

// MemberDevice is one device of a member.
type MemberDevice struct {
	ID       string
	Name     string
	LastSeen time.Time // zero: never
}

// MemberList lists the members and their devices.
func (s *Space) MemberList() []Member {
	state := s.State()
	acks := s.acks()
	var out []Member
	for _, m := range state.Members() {
		member := Member{Name: s.nameOf(state, m.Identity), Role: m.Role.String()}
		if root, ok := state.Root(m.Identity); ok {
			member.DID = halo.DID(root.Sign[:])
		}
		for _, d := range state.Devices(m.Identity) {
			member.Devices = append(member.Devices, MemberDevice{ID: d.ID.String(),
				Name: s.deviceName(d.ID), LastSeen: timeOf(acks[d.ID].Seen)})
		}
		out = append(out, member)
	}
	return out
}

// deviceName returns the name a device shows in the space, or a short id.
func (s *Space) deviceName(id halo.DeviceID) string {
	if _, name := s.repo.names(); id == s.repo.me.device && name != "" {
		return name
	}
	s.keysMu.RLock()
	defer s.keysMu.RUnlock()
	if name, ok := s.devices[id]; ok {
		return name
	}
	state := s.State()
	if slices.ContainsFunc(state.RelayDevices(), func(d halo.Device) bool { return d.ID == id }) {
		return relayName(state, id.Short())
	}
	return id.Short()
}

// readDeviceNames returns the names that devices show in the space, by their
// newest profile.
func (s *Space) readDeviceNames(keys map[halo.EpochID]halo.EpochKey) map[halo.DeviceID]string {
	out := map[halo.DeviceID]string{}
	for _, c := range s.graph.All() {
		p, ok := c.Payload.(*halo.Profile)
		if !ok || len(p.Device) == 0 || c.Device.IsZero() || !s.graph.Granted(c.ID) {
			continue
		}
		epoch, err := halo.LabelEpoch(p.Device)
		if err != nil {
			continue
		}
		if name, err := keys[epoch].OpenLabel(s.id, labelDevice, p.Device); err == nil && name != "" {
			out[c.Device] = name
		}
	}
	return out
}
