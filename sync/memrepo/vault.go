package memrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"echofs/halo"
	echosync "echofs/sync"
)

// ErrPeerFault marks what a correct peer does not send.
var ErrPeerFault = errors.New("bytes that no correct peer sends")

// Vault is a repository in memory.
type Vault struct {
	Name     string
	keys     *halo.DeviceKeys
	identity *halo.Graph
	issuer   halo.Issuer
	flushes  atomic.Int64

	mu      sync.Mutex // guards the below
	invites map[[8]byte][]byte
	saves   int // SaveInvite fails when none are left; negative for never
	spaces  map[halo.SpaceID]*Space
	own     *Space // of the identity's devices, or nil
	meeting halo.Secret
	subs    map[*changes]bool
}

var _ echosync.Repo = (*Vault)(nil)

// New returns a vault with a new identity and its first device.
func New(name string) (*Vault, error) {
	phrase, _, err := halo.NewPhrase()
	if err != nil {
		return nil, err
	}
	root, err := halo.RootKeysFromPhrase(phrase, "")
	if err != nil {
		return nil, err
	}
	keys, err := halo.GenerateDeviceKeys()
	if err != nil {
		return nil, err
	}
	genesis, err := halo.NewIdentity(root, keys, time.Now())
	if err != nil {
		return nil, err
	}
	v := newVault(name, keys, halo.IdentityID(genesis.ID))
	_, err = v.identity.Add(genesis)
	return v, err
}

func newVault(name string, keys *halo.DeviceKeys, identity halo.IdentityID) *Vault {
	return &Vault{
		Name: name, keys: keys, identity: halo.NewIdentityGraph(identity),
		issuer:  halo.Issuer{Identity: identity, Signer: keys},
		invites: make(map[[8]byte][]byte), saves: -1,
		spaces: make(map[halo.SpaceID]*Space), subs: make(map[*changes]bool),
	}
}

// CreateSpace makes a space that the vault's identity owns.
func (v *Vault) CreateSpace(name string) (*Space, error) {
	s, err := v.newSpace(name)
	if err != nil {
		return nil, err
	}
	v.open(s)
	return s, nil
}

func (v *Vault) newSpace(name string) (*Space, error) {
	genesis, err := halo.NewSpace(v.identity, v.issuer, halo.HistoryFull, time.Now())
	if err != nil {
		return nil, err
	}
	s := newSpace(v, halo.SpaceID(genesis.ID), name)
	for _, c := range append(v.identity.All(), genesis) {
		if _, err := s.graph.Add(c); err != nil {
			return nil, err
		}
	}
	if err := s.rotate(halo.RotateWhy(0)); err != nil {
		return nil, err
	}
	return s, nil
}

// open makes a space one of the vault's.
func (v *Vault) open(s *Space) {
	v.mu.Lock()
	v.spaces[s.id] = s
	v.mu.Unlock()
	v.publish(echosync.Change{Space: s.id, Members: true})
}

// JoinSpace opens the space whose credentials these are, if they make this
// vault's device a member and grant it the key.
func (v *Vault) JoinSpace(id halo.SpaceID, name string, credentials [][]byte) (*Space, error) {
	s := newSpace(v, id, name)
	if _, err := s.add(credentials); err != nil {
		return nil, err
	}
	if _, ok := s.State().Member(v.issuer.Identity, v.DeviceID()); !ok {
		return nil, errors.New("join: not a member")
	}
	if len(s.SwarmSecrets()) == 0 {
		return nil, errors.New("join: no key")
	}
	v.open(s)
	return s, nil
}

// Spaces implements sync.Repo, by name.
func (v *Vault) Spaces() []echosync.Space {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([]echosync.Space, 0, len(v.spaces))
	for _, s := range v.spaces {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b echosync.Space) int { return strings.Compare(a.Name(), b.Name()) })
	return out
}

// SpaceByID implements sync.Repo.
func (v *Vault) SpaceByID(id halo.SpaceID) (echosync.Space, bool) {
	s, ok := v.Space(id)
	return s, ok
}

// Space returns a space of the vault.
func (v *Vault) Space(id halo.SpaceID) (*Space, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.own != nil && v.own.id == id {
		return v.own, true
	}
	s, ok := v.spaces[id]
	return s, ok
}

// Flush implements sync.Repo.
func (v *Vault) Flush() error {
	v.flushes.Add(1)
	return nil
}

// Flushes returns how often Flush was called.
func (v *Vault) Flushes() int { return int(v.flushes.Load()) }

// DeviceKeys implements sync.Repo.
func (v *Vault) DeviceKeys() *halo.DeviceKeys { return v.keys }

// DeviceID implements sync.Repo.
func (v *Vault) DeviceID() halo.DeviceID { return v.keys.ID() }

// IdentityID implements sync.Repo.
func (v *Vault) IdentityID() halo.IdentityID { return v.issuer.Identity }

// IdentityCredentials returns the credentials of the vault's identity.
func (v *Vault) IdentityCredentials() (raw [][]byte) {
	for _, c := range v.identity.All() {
		raw = append(raw, c.Bytes())
	}
	return raw
}

// IsPeerFault implements sync.Repo.
func (v *Vault) IsPeerFault(err error) bool { return errors.Is(err, ErrPeerFault) }

// Changes implements sync.Repo.
func (v *Vault) Changes() echosync.Changes {
	c := &changes{vault: v, notify: make(chan struct{}, 1), dirty: make(map[echosync.Change]bool)}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.subs[c] = true
	return c
}

func (v *Vault) publish(change echosync.Change) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c := range v.subs {
		c.add(change)
	}
}

type changes struct {
	vault  *Vault
	notify chan struct{}

	mu    sync.Mutex // guards dirty
	dirty map[echosync.Change]bool
}

func (c *changes) C() <-chan struct{} { return c.notify }

func (c *changes) add(change echosync.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty[change] = true
	select {
	case c.notify <- struct{}{}:
	default:
	}
}

func (c *changes) Take() (out []echosync.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for change := range c.dirty {
		out = append(out, change)
	}
	clear(c.dirty)
	return out
}

func (c *changes) Close() {
	c.vault.mu.Lock()
	defer c.vault.mu.Unlock()
	delete(c.vault.subs, c)
}

// Admit makes an identity, by its credentials, a member of a space of the
// vault, and grants the current key to its device. It implements
// sync.Membership.
func (v *Vault) Admit(_ context.Context, space halo.SpaceID, guest [][]byte, device halo.DeviceID, role halo.Role) error {
	s, ok := v.Space(space)
	if !ok {
		return fmt.Errorf("admit: no space %s", space.Short())
	}
	return s.admit(guest, device, role)
}

// Join implements sync.Membership.
func (v *Vault) Join(_ context.Context, id halo.SpaceID, name string, credentials [][]byte) (echosync.Space, error) {
	s, err := v.JoinSpace(id, name, credentials)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// SaveInvite implements sync.InviteStore.
func (v *Vault) SaveInvite(id [8]byte, record []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.saves == 0 {
		return errors.New("the vault has crashed")
	}
	v.saves = max(v.saves-1, -1)
	v.invites[id] = slices.Clone(record)
	return nil
}

// CrashAfter lets SaveInvite fail after n more calls; never, if n is negative.
func (v *Vault) CrashAfter(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.saves = n
}

// SavedInvites implements sync.InviteStore.
func (v *Vault) SavedInvites() (out [][]byte, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, record := range v.invites {
		out = append(out, slices.Clone(record))
	}
	return out, nil
}

// ForgetInvite implements sync.InviteStore.
func (v *Vault) ForgetInvite(id [8]byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.invites, id)
	return nil
}
