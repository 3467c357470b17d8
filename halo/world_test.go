package halo_test

import (
	"testing"
	"time"

	"echofs/halo"
)

// now is the time at which everything in tests is issued: it decides nothing.
var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// person is an identity with its first device.
type person struct {
	halo.Issuer
	keys  *halo.DeviceKeys
	root  *halo.RootKeys
	graph *halo.Graph // the identity graph
}

func newPerson(tb testing.TB) *person {
	tb.Helper()
	phrase, _, err := halo.NewPhrase()
	check(tb, err)
	root, err := halo.RootKeysFromPhrase(phrase, "")
	check(tb, err)
	keys := newDevice(tb)
	genesis, err := halo.NewIdentity(root, keys, now)
	check(tb, err)
	id := halo.IdentityID(genesis.ID)
	p := &person{halo.Issuer{Identity: id, Signer: keys}, keys, root, halo.NewIdentityGraph(id)}
	add(tb, p.graph, genesis)
	return p
}

func newDevice(tb testing.TB) *halo.DeviceKeys {
	tb.Helper()
	keys, err := halo.GenerateDeviceKeys()
	check(tb, err)
	return keys
}

// author returns who writes the person's feeds.
func (p *person) author() halo.Author {
	return halo.Author{Device: p.keys.ID(), Identity: p.Identity}
}

// space is a space with its owner.
type space struct {
	*halo.Graph
	owner *person
}

func newSpace(tb testing.TB, owner *person) *space {
	tb.Helper()
	genesis, err := halo.NewSpace(owner.graph, owner.Issuer, halo.HistoryFull, now)
	check(tb, err)
	s := &space{halo.NewGraph(halo.SpaceID(genesis.ID)), owner}
	s.know(tb, owner)
	add(tb, s.Graph, genesis)
	return s
}

// know puts the credentials of an identity into the space's graph.
func (s *space) know(tb testing.TB, p *person) {
	tb.Helper()
	add(tb, s.Graph, p.graph.All()...)
}

// set gives p a role, as the owner.
func (s *space) set(tb testing.TB, p *person, role halo.Role) *halo.Credential {
	tb.Helper()
	s.know(tb, p)
	c, err := s.SetMember(s.owner.Issuer, p.Identity, role, now)
	check(tb, err)
	add(tb, s.Graph, c)
	return c
}

// rotate begins an epoch, as the owner, and returns its key.
func (s *space) rotate(tb testing.TB, keys map[halo.EpochID]halo.EpochKey) halo.EpochKey {
	tb.Helper()
	find := func(id halo.EpochID) (halo.EpochKey, bool) { k, ok := keys[id]; return k, ok }
	c, key, err := s.RotateEpoch(s.owner.Issuer, halo.RotateManual, find, now)
	check(tb, err)
	add(tb, s.Graph, c)
	return key
}

// add puts credentials into a graph, and fails unless all are in it then.
func add(tb testing.TB, g *halo.Graph, list ...*halo.Credential) {
	tb.Helper()
	for _, c := range list {
		if _, err := g.Add(c); err != nil {
			tb.Fatalf("Add(%v): %v", c, err)
		}
		if !g.Contains(c.ID) {
			tb.Fatalf("Add(%v): it waits for %v", c, g.Missing())
		}
	}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
