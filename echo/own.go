package echo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"echofs/halo"
)

// The devices of an identity have a space of their own, which nobody sees and
// in which nobody else is: there they meet, learn of each other's credentials
// and names, and hand each other the spaces that one of them made or joined
// (package sync). It is made when the second device is added.

// ErrNoOwnSpace is wrapped where an identity has one device and so no space for
// its devices.
var ErrNoOwnSpace = fmt.Errorf("the identity has no other device: %w", ErrNotFound)

// OwnSpace returns the space of the identity's devices, if there is one.
func (r *Repo) OwnSpace() (*Space, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.own, r.own != nil
}

// spacesWithOwn returns all spaces, that of the identity's devices first.
func (r *Repo) spacesWithOwn() []*Space {
	list := r.Spaces()
	if own, ok := r.OwnSpace(); ok {
		list = slices.Insert(list, 0, own)
	}
	return list
}

// makeOwn returns the space of the identity's devices, which it makes if there
// is none.
func (r *Repo) makeOwn(ctx context.Context) (*Space, error) {
	if own, ok := r.OwnSpace(); ok {
		return own, nil
	}
	graph, err := r.newSpaceGraph()
	if err != nil {
		return nil, fmt.Errorf("make the space of the devices: %w", err)
	}
	own, err := r.addOwn(ctx, graph)
	if err != nil {
		return nil, fmt.Errorf("make the space of the devices: %w", err)
	}
	return own, own.publishProfile(ctx)
}

// addOwn stores the space of the identity's devices.
func (r *Repo) addOwn(ctx context.Context, graph *halo.Graph) (*Space, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own != nil {
		return nil, ErrExists
	}
	o := newOverlay(r.store)
	id, all := graph.Space(), graph.All()
	for i, c := range all {
		o.put(key(tableCredential, id, uint64(i)), c.Bytes())
	}
	o.putRow(key(tableSpace, id), &spaceRow{Joined: r.now().UnixMilli(), Creds: uint64(len(all)), Own: true})
	if err := r.store.Commit(&o.batch, Kernel); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	own, err := r.openSpace(ctx, id)
	if err != nil {
		return nil, err
	}
	r.own = own
	r.hub.publish([]Event{{What: Members, Space: id}})
	return own, nil
}

// JoinOwn enters the space of the identity's devices, to which another device
// has admitted this one.
func (r *Repo) JoinOwn(ctx context.Context, id SpaceID, credentials [][]byte) error {
	if own, ok := r.OwnSpace(); ok {
		if own.ID() != id {
			return fmt.Errorf("join the space of the devices: there is another: %w", ErrExists)
		}
		_, err := own.AddCredentials(ctx, credentials)
		return err
	}
	graph, err := r.loadAdmission(id, credentials)
	if err != nil {
		return fmt.Errorf("join the space of the devices: %w", err)
	}
	for _, m := range graph.State().Members() {
		if m.Identity != r.me.id {
			return fmt.Errorf("join the space of the devices: somebody else is in it: %w", ErrPeerFault)
		}
	}
	own, err := r.addOwn(ctx, graph)
	if err != nil {
		return fmt.Errorf("join the space of the devices: %w", err)
	}
	return own.publishProfile(ctx)
}

// MayAddDevice fails with halo.ErrNotAllowed unless this device can add others.
func (r *Repo) MayAddDevice() error {
	d, _ := r.me.graph.State().Device(r.me.id, r.me.device)
	if d.Level != halo.LevelPrimary {
		return fmt.Errorf("add a device: this one is %v, must be %v: %w", d.Level, halo.LevelPrimary, halo.ErrNotAllowed)
	}
	return nil
}

// DraftDevice returns the credential that adds a device, still without the
// signature of that; nil where the device was added before.
func (r *Repo) DraftDevice(device halo.DevicePublic, level halo.Level) (*halo.Draft, error) {
	if d, known := r.me.graph.State().Device(r.me.id, device.ID()); known {
		if d.Active() {
			return nil, nil
		}
		return nil, fmt.Errorf("add a device: it was revoked: %w", halo.ErrNotAllowed)
	}
	draft, err := r.me.graph.Draft(r.issuer(), &halo.DeviceAdd{Device: device, Level: level}, r.now())
	if err != nil {
		return nil, fmt.Errorf("add a device: %w", err)
	}
	return draft, nil
}

// AddDevice stores the credential that adds a device (nil where that was done
// before), tells all spaces of it, grants the device the keys of all of them,
// and returns the space in which it will meet the others. It may be repeated.
func (r *Repo) AddDevice(ctx context.Context, add *halo.Credential, device halo.DeviceID) (*Space, error) {
	if add != nil { // first: this device may count by it again
		if err := r.learnIdentity([]*halo.Credential{add}); err != nil {
			return nil, fmt.Errorf("add a device: %w", err)
		}
	}
	own, err := r.makeOwn(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range r.spacesWithOwn() {
		if err := s.ShareWith(ctx, device); err != nil {
			return nil, fmt.Errorf("add a device: space %s: %w", s.Name(), err)
		}
	}
	return own, nil
}

// learnIdentity keeps credentials of the own identity, in one batch with what
// else belongs to them.
func (r *Repo) learnIdentity(list []*halo.Credential, also ...BatchOp) error {
	r.meMu.Lock()
	defer r.meMu.Unlock()
	var b Batch
	n := r.me.graph.Len()
	for _, c := range list {
		fresh, err := r.me.graph.Add(c)
		if err != nil {
			return err
		}
		for _, f := range fresh {
			b.Put(key(tableIdentity, uint64(n)), f.Bytes())
			n++
		}
	}
	if b.ops = append(b.ops, also...); b.Len() == 0 {
		return nil
	}
	return r.store.Commit(&b, Kernel)
}

// spreadIdentity makes what a space says of the own identity known to the
// vault, and what the vault knows of it to all spaces. A failure is logged: it
// is tried again with the next credential.
func (r *Repo) spreadIdentity(ctx context.Context, from *Space) {
	if err := r.learnIdentity(withoutProfiles(from.graph.Identity(r.me.id))); err != nil {
		r.log.Warn("credentials of the own identity are not kept", "space", from.Name(), "error", err)
		return
	}
	for _, s := range r.spacesWithOwn() {
		if err := s.tellIdentity(ctx); err != nil && !errors.Is(err, ErrClosed) {
			r.log.Warn("a space is not told of this identity's devices", "space", s.Name(), "error", err)
		}
	}
}

// withoutProfiles leaves out names, which are sealed for one space and would
// tell of it in others, unless something else builds on them. Parents come
// first in list and in the result.
func withoutProfiles(list []*halo.Credential) []*halo.Credential {
	needed := map[halo.CredentialID]bool{}
	var out []*halo.Credential
	for _, c := range slices.Backward(list) {
		if c.Type == halo.TypeProfile && !needed[c.ID] {
			continue
		}
		out = append(out, c)
		for _, p := range c.Parents {
			needed[p] = true
		}
	}
	slices.Reverse(out)
	return out
}

// tellIdentity adds what the vault knows of the own identity to the space.
func (s *Space) tellIdentity(ctx context.Context) error {
	if !s.lacksIdentity() {
		return nil
	}
	return s.update(ctx, func(t *txn) error {
		return t.addIdentity()
	})
}

func (s *Space) lacksIdentity() bool {
	return slices.ContainsFunc(s.repo.me.graph.All(), func(c *halo.Credential) bool { return !s.graph.Contains(c.ID) })
}

// addIdentity adds what the vault knows of the own identity.
func (t *txn) addIdentity() error {
	added := 0
	for _, c := range t.s.repo.me.graph.All() {
		n, err := t.addCredential(c)
		if err != nil {
			return err
		}
		added += n
	}
	if added > 0 {
		t.after = append(t.after, t.s.refresh)
		t.event(Event{What: Members})
	}
	return nil
}

// ShareWith makes another device of the own identity known to the space, and
// grants it the keys that it lacks.
func (s *Space) ShareWith(ctx context.Context, device halo.DeviceID) error {
	return s.update(ctx, func(t *txn) error {
		if err := t.addIdentity(); err != nil {
			return err
		}
		return t.grantKeys(s.repo.me.id, device)
	})
}

// OwnDevice is a device of the own identity.
type OwnDevice struct {
	ID       halo.DeviceID
	Name     string     // as it says, else a short id
	Level    halo.Level // LevelNone: revoked or suspended
	This     bool
	Revoked  time.Time // when it was, as whoever did it says; zero: it was not
	LastSeen time.Time // zero: never

	// Suspended: it and another primary device revoked each other.
	Suspended bool
}

// OwnDevices lists the devices of the own identity, revoked ones too: this one
// first, then by name.
func (r *Repo) OwnDevices() []OwnDevice {
	var out []OwnDevice
	for _, d := range r.me.graph.State().Devices(r.me.id) {
		one := OwnDevice{ID: d.ID, Name: d.ID.Short(), Level: d.Level, This: d.ID == r.me.device, Suspended: d.Suspended}
		if ref, ok := revocationOf(r.me.graph, r.me.id, d); ok {
			if c, ok := r.me.graph.Get(ref); ok {
				one.Revoked = c.Time()
			}
		}
		for _, s := range r.spacesWithOwn() {
			if name := s.deviceName(d.ID); name != d.ID.Short() {
				one.Name = name
			}
			if seen := timeOf(s.acks()[d.ID].Seen); seen.After(one.LastSeen) {
				one.LastSeen = seen
			}
		}
		out = append(out, one)
	}
	slices.SortStableFunc(out, func(a, b OwnDevice) int {
		if a.This != b.This {
			return map[bool]int{true: -1, false: 1}[a.This]
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// SetNames changes the names of this identity and this device, and tells the
// members of all spaces. Empty names stay as they are.
func (r *Repo) SetNames(ctx context.Context, identity, device string) error {
	r.meMu.Lock()
	if identity != "" {
		r.me.name = identity
	}
	if device != "" {
		r.me.deviceName = device
	}
	r.meMu.Unlock()
	for _, s := range r.spacesWithOwn() {
		if err := s.publishProfile(ctx); err != nil {
			return fmt.Errorf("tell space %s: %w", s.Name(), err)
		}
	}
	return nil
}

// names returns the names of this identity and this device.
func (r *Repo) names() (identity, device string) {
	r.meMu.Lock()
	defer r.meMu.Unlock()
	return r.me.name, r.me.deviceName
}

// loadAdmission returns the graph of a space to which this device was admitted.
func (r *Repo) loadAdmission(id SpaceID, credentials [][]byte) (*halo.Graph, error) {
	graph := halo.NewGraph(id)
	for _, b := range credentials {
		c, err := halo.ParseCredential(bytes.Clone(b))
		if err == nil {
			_, err = graph.Add(c)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPeerFault, err)
		}
	}
	if _, ok := graph.State().Member(r.me.id, r.me.device); !ok {
		return nil, fmt.Errorf("the credentials do not make this device a member: %w", ErrPeerFault)
	}
	return graph, nil
}
