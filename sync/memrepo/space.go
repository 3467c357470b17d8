package memrepo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"echofs/halo"
	echosync "echofs/sync"
)

// Space is a space of a Vault.
type Space struct {
	vault *Vault
	id    halo.SpaceID
	name  string
	own   halo.FeedID
	graph *halo.Graph

	mu      sync.Mutex // guards the below
	keys    map[halo.EpochID]halo.EpochKey
	feeds   map[halo.FeedID][][]byte
	acks    map[halo.DeviceID]echosync.Vector
	seen    map[halo.DeviceID]time.Time
	changed chan struct{} // closed and replaced by every change
}

var _ echosync.Space = (*Space)(nil)

func newSpace(v *Vault, id halo.SpaceID, name string) *Space {
	return &Space{
		vault: v, id: id, name: name, own: halo.NewFeedID(id, v.DeviceID(), [16]byte{1}),
		graph: halo.NewGraph(id), keys: make(map[halo.EpochID]halo.EpochKey),
		feeds: make(map[halo.FeedID][][]byte), acks: make(map[halo.DeviceID]echosync.Vector),
		seen: make(map[halo.DeviceID]time.Time), changed: make(chan struct{}),
	}
}

// touch tells the vault and whoever waits; s.mu must not be held.
func (s *Space) touch(members bool) {
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	s.vault.publish(echosync.Change{Space: s.id, Members: members})
}

// Wait waits until cond holds, which it tries after every change of the space.
func (s *Space) Wait(ctx context.Context, cond func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// ID implements sync.Space.
func (s *Space) ID() halo.SpaceID { return s.id }

// Name implements sync.Space.
func (s *Space) Name() string { return s.name }

// Vault returns the vault whose space it is.
func (s *Space) Vault() *Vault { return s.vault }

// Own returns the feed in which Write writes.
func (s *Space) Own() halo.FeedID { return s.own }

// Write appends an entry to the vault's own feed.
func (s *Space) Write(data []byte) {
	s.mu.Lock()
	feed := s.feeds[s.own]
	prev := last(feed)
	s.feeds[s.own] = append(feed, append(prev[:], data...))
	s.mu.Unlock()
	s.touch(false)
}

func last(feed [][]byte) (id halo.EntryID) {
	if len(feed) == 0 {
		return id
	}
	return sha256.Sum256(feed[len(feed)-1])
}

// Read returns the data of all entries of a feed.
func (s *Space) Read(feed halo.FeedID) (out [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, raw := range s.feeds[feed] {
		out = append(out, raw[32:])
	}
	return out
}

// Count returns the number of entries held of a feed.
func (s *Space) Count(feed halo.FeedID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.feeds[feed])
}

// Vector implements sync.Space.
func (s *Space) Vector() (echosync.Vector, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := make(echosync.Vector, len(s.feeds))
	for id, feed := range s.feeds {
		v[id] = echosync.Position{Next: uint64(len(feed)), Last: last(feed)}
	}
	return v, nil
}

// Entries implements sync.Space.
func (s *Space) Entries(id halo.FeedID, from uint64, maxBytes int) (out [][]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	feed := s.feeds[id]
	for i := from; i < uint64(len(feed)); i++ {
		if maxBytes -= len(feed[i]); maxBytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, feed[i])
	}
	return out, nil
}

// Ingest implements sync.Space.
func (s *Space) Ingest(_ context.Context, id halo.FeedID, from uint64, entries [][]byte) (uint64, error) {
	s.mu.Lock()
	feed := s.feeds[id]
	have := uint64(len(feed))
	if from > have {
		s.mu.Unlock()
		return have, fmt.Errorf("ingest: gap from %d to %d", have, from)
	}
	if have-from >= uint64(len(entries)) {
		s.mu.Unlock()
		return have, nil
	}
	for _, raw := range entries[have-from:] {
		prev := last(feed)
		if len(raw) < 32 || !bytes.Equal(raw[:32], prev[:]) {
			s.mu.Unlock()
			return have, fmt.Errorf("ingest: broken chain: %w", ErrPeerFault)
		}
		feed = append(feed, raw)
	}
	s.feeds[id] = feed
	s.mu.Unlock()
	s.touch(false)
	return uint64(len(feed)), nil
}

// CredentialHeads implements sync.Space.
func (s *Space) CredentialHeads() []halo.CredentialID { return s.graph.Heads() }

// Credentials implements sync.Space.
func (s *Space) Credentials() (raw [][]byte, err error) {
	for _, c := range s.graph.All() {
		raw = append(raw, c.Bytes())
	}
	return raw, nil
}

// AddCredentials implements sync.Space.
func (s *Space) AddCredentials(_ context.Context, raw [][]byte) (int, error) {
	n, err := s.add(raw)
	if n > 0 {
		s.touch(true)
	}
	return n, err
}

func (s *Space) add(raw [][]byte) (n int, err error) {
	for _, b := range raw {
		c, err := halo.ParseCredential(b)
		if err != nil {
			return n, fmt.Errorf("%w: %w", ErrPeerFault, err)
		}
		added, err := s.graph.Add(c)
		if err != nil {
			return n, fmt.Errorf("%w: %w", ErrPeerFault, err)
		}
		n += len(added)
	}
	state := s.graph.State()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.vault.keys.EpochKeys(state, s.keys)
	return n, nil
}

// State implements sync.Space.
func (s *Space) State() *halo.State { return s.graph.State() }

// EpochKeys implements sync.Space.
func (s *Space) EpochKeys() (out []halo.EpochKey) {
	state := s.graph.State()
	current, ok := state.CurrentEpoch()
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, have := s.keys[current.ID]; ok && have {
		out = append(out, key)
	}
	epochs := state.Epochs()
	for i := len(epochs) - 1; i >= 0; i-- {
		if key, have := s.keys[epochs[i].ID]; have && epochs[i].ID != current.ID {
			out = append(out, key)
		}
	}
	return out
}

// SwarmSecrets implements sync.Space.
func (s *Space) SwarmSecrets() (out []halo.SwarmSecret) {
	for _, key := range s.EpochKeys() {
		out = append(out, key.Swarm(s.id))
	}
	for _, w := range s.graph.State().Wraps(s.vault.DeviceID()) {
		if !w.Swarm {
			continue
		}
		if secret, err := s.vault.keys.UnwrapSwarm(s.id, w); err == nil {
			out = append(out, secret)
		}
	}
	return out
}

// SetAck implements sync.Space.
func (s *Space) SetAck(_ context.Context, device halo.DeviceID, v echosync.Vector) error {
	s.mu.Lock()
	s.acks[device] = v
	s.mu.Unlock()
	s.touch(false)
	return nil
}

// Acked returns how many entries of a feed a device said it holds durably.
func (s *Space) Acked(device halo.DeviceID, feed halo.FeedID) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acks[device][feed].Next
}

// Seen implements sync.Space.
func (s *Space) Seen(device halo.DeviceID, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[device] = at
}

func (s *Space) key(id halo.EpochID) (halo.EpochKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[id]
	return key, ok
}

func (s *Space) rotate(why halo.RotateWhy) error {
	c, key, err := s.graph.RotateEpoch(s.vault.issuer, why, s.key, time.Now())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.keys[key.ID(s.id)] = key
	s.mu.Unlock()
	_, err = s.graph.Add(c)
	return err
}

// admit is Vault.Admit.
func (s *Space) admit(identity [][]byte, device halo.DeviceID, role halo.Role) error {
	if _, err := s.add(identity); err != nil {
		return err
	}
	first, err := halo.ParseCredential(identity[0])
	if err != nil {
		return err
	}
	guest := halo.IdentityID(first.ID)
	if !s.State().Role(guest).AtLeast(role) {
		set, err := s.graph.SetMember(s.vault.issuer, guest, role, time.Now())
		if err != nil {
			return err
		}
		if _, err := s.graph.Add(set); err != nil {
			return err
		}
	}
	to, ok := s.State().Device(guest, device)
	if !ok {
		return fmt.Errorf("admit: no device %s", device.Short())
	}
	grant, err := s.graph.GrantKey(s.vault.issuer, s.EpochKeys()[0], to, time.Now())
	if err != nil {
		return err
	}
	if _, err := s.graph.Add(grant); err != nil {
		return err
	}
	s.touch(true)
	return nil
}

// Remove ends the membership of an identity and begins a new epoch.
func (s *Space) Remove(identity halo.IdentityID) error {
	c, err := s.graph.Issue(s.vault.issuer, &halo.MemberRemove{Identity: identity, Cuts: []halo.Cut{}}, time.Now())
	if err != nil {
		return err
	}
	if _, err := s.graph.Add(c); err != nil {
		return err
	}
	if err := s.rotate(halo.RotateWhy(1)); err != nil {
		return err
	}
	s.touch(true)
	return nil
}

// Forge appends bytes to the own feed that need not continue the chain: what an
// attacker does.
func (s *Space) Forge(raw []byte) {
	s.mu.Lock()
	s.feeds[s.own] = append(s.feeds[s.own], raw)
	s.mu.Unlock()
	s.touch(false)
}

// Pretend returns a space of a vault under the id of a space of which it has no
// credentials: what a stranger does.
func Pretend(v *Vault, id halo.SpaceID) *Space {
	s := newSpace(v, id, "pretended")
	for _, c := range v.identity.All() {
		_, _ = s.graph.Add(c) // an identity is welcome in any graph
	}
	return s
}
