package halo_test

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"

	"echofs/halo"
)

// dump writes everything that a state says, so that states can be compared.
func dump(s *halo.State) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Space(), s.PublicID(), s.Creator(), s.History(), s.Policy())
	for _, m := range s.Members() {
		fmt.Fprintln(&b, m.Identity.Short(), m.Role)
		_, root := s.Root(m.Identity)
		fmt.Fprintln(&b, "  root", root, len(s.Profiles(m.Identity)))
		for _, p := range s.Profiles(m.Identity) {
			fmt.Fprintf(&b, "  %x\n", p.Name)
		}
		for _, d := range s.Devices(m.Identity) {
			fmt.Fprintf(&b, "  %s %v %x\n", d.ID.Short(), d.Level, d.Label)
		}
	}
	for _, e := range s.Epochs() {
		fmt.Fprintln(&b, e.ID, e.Gen, e.Credential)
	}
	current, ok := s.CurrentEpoch()
	fmt.Fprintln(&b, "current", current.ID, ok)
	for _, d := range s.ActiveDevices() {
		fmt.Fprintln(&b, d.ID.Short(), len(s.Wraps(d.ID)))
	}
	return b.String()
}

func TestFounderOwnsTheSpace(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	state := s.State()
	if got := state.Role(alice.Identity); got != halo.RoleOwner {
		t.Errorf("role of the creator: got %v, want owner", got)
	}
	if got := state.Space(); got != s.Space() {
		t.Errorf("space: got %v, want %v", got, s.Space())
	}
	if got, want := state.PublicID(), halo.PublicID(state.SpaceKey()); got != want || len(got) != 33 {
		t.Errorf("public id: got %q, want %q", got, want)
	}
	if d, ok := state.Device(alice.Identity, alice.keys.ID()); !ok || d.Level != halo.LevelPrimary {
		t.Errorf("first device: got %v, %v, want primary", d.Level, ok)
	}
	if _, ok := state.CurrentEpoch(); ok {
		t.Error("a space without an epoch has a current one")
	}
}

func TestCredentialGoesThroughBytes(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	s.rotate(t, nil)
	for _, c := range s.All() {
		got, err := halo.ParseCredential(c.Bytes())
		check(t, err)
		if got.ID != c.ID || got.Type != c.Type || !slices.Equal(got.Parents, c.Parents) || got.Issuer != c.Issuer {
			t.Errorf("%v: got %v", c, got)
		}
		raw := slices.Clone(c.Bytes())
		for i := range raw {
			if i > 200 && i < len(raw)-200 {
				continue // inside of keys and wraps
			}
			raw[i] ^= 1
			if _, err := halo.ParseCredential(raw); err == nil {
				t.Errorf("%v: byte %d changed and it is accepted", c, i)
			}
			raw[i] ^= 1
		}
	}
}

// TestRoles is the table of who may set whom to what.
func TestRoles(t *testing.T) {
	people := map[halo.Role]*person{}
	owner := newPerson(t)
	s := newSpace(t, owner)
	roles := []halo.Role{halo.RoleOwner, halo.RoleAdmin, halo.RoleEditor, halo.RoleReader, halo.RoleRelay, halo.RoleNone}
	subjects := map[halo.Role]*person{}
	for _, r := range roles {
		people[r], subjects[r] = newPerson(t), newPerson(t)
		for _, p := range []*person{people[r], subjects[r]} {
			s.know(t, p)
			if r != halo.RoleNone {
				s.set(t, p, r)
			}
		}
	}
	for _, by := range roles {
		for _, of := range roles {
			for _, to := range roles {
				var err error
				if to == halo.RoleNone {
					_, err = s.Issue(people[by].Issuer, &halo.MemberRemove{Identity: subjects[of].Identity}, now)
				} else {
					_, err = s.SetMember(people[by].Issuer, subjects[of].Identity, to, now)
				}
				below := func(r, of halo.Role) bool { return !r.AtLeast(of) }
				want := by == halo.RoleOwner && below(of, halo.RoleOwner) ||
					by == halo.RoleAdmin && below(of, halo.RoleAdmin) && below(to, halo.RoleAdmin)
				if of == halo.RoleNone && to == halo.RoleNone {
					want = false
				}
				if got := err == nil; got != want || err != nil && !errors.Is(err, halo.ErrNotAllowed) {
					t.Errorf("%v sets %v to %v: got %v, want allowed %v", by, of, to, err, want)
				}
			}
		}
		for _, to := range roles {
			if to == halo.RoleNone {
				continue
			}
			_, err := s.SetMember(people[by].Issuer, people[by].Identity, to, now)
			if got, want := err == nil, by != halo.RoleNone && !to.AtLeast(by); got != want {
				t.Errorf("%v sets itself to %v: got %v, want allowed %v", by, to, err, want)
			}
		}
	}
}

func TestUnauthorizedCredentialsAreKeptWithoutEffect(t *testing.T) {
	alice, bob, eve := newPerson(t), newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	s.set(t, bob, halo.RoleEditor)
	s.know(t, eve)
	before := s.State().Members()
	for _, p := range []halo.Payload{
		&halo.MemberSet{Identity: eve.Identity, Role: halo.RoleReader},
		&halo.MemberSet{Identity: bob.Identity, Role: halo.RoleOwner},
		&halo.MemberRemove{Identity: alice.Identity},
		&halo.UnknownPayload{Kind: 99, Raw: []byte{0xa1, 0x01, 0x02}},
	} {
		c, err := halo.Force(s.Graph, bob.Issuer, s.Heads(), p, now)
		check(t, err)
		add(t, s.Graph, c)
		if s.Granted(c.ID) {
			t.Errorf("%v by an editor is granted", c)
		}
		if after := s.State().Members(); !slices.Equal(after, before) {
			t.Errorf("%v by an editor: members got %v, want %v", c, after, before)
		}
	}
	if got := len(s.Heads()); got != 1 {
		t.Errorf("heads: got %d, want 1: an unknown type counts as parent", got)
	}
	s.set(t, eve, halo.RoleReader)
	if got := s.State().Role(eve.Identity); got != halo.RoleReader {
		t.Errorf("a grant on top of void ones: got %v, want reader", got)
	}
}

func TestConcurrentRolesTheLowestHolds(t *testing.T) {
	alice, ann, bob := newPerson(t), newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	s.set(t, ann, halo.RoleAdmin)
	s.set(t, bob, halo.RoleReader)
	fork := s.Heads()
	up, err := halo.Force(s.Graph, alice.Issuer, fork, &halo.MemberSet{Identity: bob.Identity, Role: halo.RoleAdmin}, now)
	check(t, err)
	down, err := halo.Force(s.Graph, ann.Issuer, fork, &halo.MemberRemove{Identity: bob.Identity}, now)
	check(t, err)
	add(t, s.Graph, up, down)
	if got := s.State().Role(bob.Identity); got != halo.RoleNone {
		t.Errorf("promoted and removed concurrently: got %v, want none", got)
	}
	at, err := s.StateAt([]halo.CredentialID{up.ID})
	check(t, err)
	if got := at.Role(bob.Identity); got != halo.RoleAdmin {
		t.Errorf("at the promotion: got %v, want admin", got)
	}
	s.set(t, bob, halo.RoleEditor)
	if got := s.State().Role(bob.Identity); got != halo.RoleEditor {
		t.Errorf("admitted again in knowledge of both: got %v, want editor", got)
	}
}

func TestGraphRefuses(t *testing.T) {
	alice, bob, eve := newPerson(t), newPerson(t), newPerson(t)
	s, other := newSpace(t, alice), newSpace(t, alice)
	s.set(t, bob, halo.RoleEditor)

	foreign := other.set(t, eve, halo.RoleReader)
	if _, err := s.Add(foreign); !errors.Is(err, halo.ErrForeign) {
		t.Errorf("a credential of another space: got %v, want ErrForeign", err)
	}
	genesis, _ := other.Get(halo.CredentialID(other.Space()))
	if _, err := s.Add(genesis); !errors.Is(err, halo.ErrForeign) {
		t.Errorf("the genesis of another space: got %v, want ErrForeign", err)
	}
	if _, err := alice.graph.Add(genesis); !errors.Is(err, halo.ErrForeign) {
		t.Errorf("a space credential in an identity graph: got %v, want ErrForeign", err)
	}
	// Eve signs in the name of Bob, and of her own device which nobody knows.
	liar := halo.Issuer{Identity: bob.Identity, Signer: signerWith{bob.keys.Public(), eve.keys}}
	if _, err := halo.Force(s.Graph, liar, s.Heads(), &halo.MemberRemove{Identity: bob.Identity}, now); !errors.Is(err, halo.ErrBadSignature) {
		t.Errorf("signed by another key than it names: got %v, want ErrBadSignature", err)
	}
	stranger, err := halo.Force(s.Graph, eve.Issuer, s.Heads(), &halo.MemberRemove{Identity: bob.Identity}, now)
	check(t, err)
	if _, err := s.Add(stranger); !errors.Is(err, halo.ErrBadSignature) {
		t.Errorf("by a device that the ancestors do not know: got %v, want ErrBadSignature", err)
	}
	orphan, err := halo.Force(s.Graph, bob.Issuer, bob.graph.Heads(), &halo.MemberRemove{Identity: bob.Identity}, now)
	check(t, err)
	if _, err := s.Add(orphan); !errors.Is(err, halo.ErrForeign) {
		t.Errorf("no descendant of the genesis: got %v, want ErrForeign", err)
	}
	mixed, err := halo.Force(s.Graph, bob.Issuer, s.Heads(), &halo.Profile{Name: []byte("x")}, now)
	check(t, err)
	if _, err := s.Add(mixed); !errors.Is(err, halo.ErrForeign) {
		t.Errorf("an identity credential with a space parent: got %v, want ErrForeign", err)
	}
}

// signerWith claims one device's keys and signs with another's.
type signerWith struct {
	public halo.DevicePublic
	halo.Signer
}

func (s signerWith) Public() halo.DevicePublic { return s.public }

func TestPendingWaitsForParents(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	for range 5 {
		s.set(t, newPerson(t), halo.RoleReader)
	}
	all := s.All()
	g := halo.NewGraph(s.Space())
	for i, c := range slices.Backward(all) {
		added, err := g.Add(c)
		check(t, err)
		if i > 0 && len(added) == len(all) {
			t.Fatalf("complete after %d of %d", len(all)-i, len(all))
		}
		if len(added) == 0 && len(g.Missing()) == 0 {
			t.Errorf("%v waits for nothing", c)
		}
	}
	if g.Len() != len(all) || g.Pending() != 0 || len(g.Missing()) != 0 {
		t.Errorf("got %d with %d waiting, want %d", g.Len(), g.Pending(), len(all))
	}
	if again, err := g.Add(all[0]); err != nil || len(again) != 0 {
		t.Errorf("adding again: got %v, %v, want nothing", again, err)
	}
}

func TestPendingIsBounded(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	empty := halo.NewGraph(s.Space())
	for i := range halo.MaxPending + 1 {
		c, err := halo.Force(s.Graph, alice.Issuer, s.Heads(), &halo.InviteRevoke{Invite: [16]byte{byte(i), byte(i >> 8)}}, now)
		check(t, err)
		_, err = empty.Add(c)
		if want := i >= halo.MaxPending; errors.Is(err, halo.ErrFull) != want {
			t.Fatalf("credential %d: got %v, want full %v", i, err, want)
		}
	}
	empty.DropPending(func(*halo.Credential) bool { return true })
	if got := empty.Pending(); got != 0 {
		t.Errorf("after DropPending: got %d, want 0", got)
	}
}

func TestDevices(t *testing.T) {
	alice := newPerson(t)
	g := alice.graph
	phone, laptop := newDevice(t), newDevice(t)
	c, err := g.AddDevice(alice.Issuer, phone, halo.LevelOrdinary, []byte("sealed"), now)
	check(t, err)
	add(t, g, c)
	byPhone := halo.Issuer{Identity: alice.Identity, Signer: phone}

	if _, err := g.AddDevice(byPhone, laptop, halo.LevelOrdinary, nil, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("an ordinary device adds one: got %v, want ErrNotAllowed", err)
	}
	if _, err := g.Issue(byPhone, &halo.DeviceRevoke{Device: alice.keys.ID()}, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("an ordinary device revokes another: got %v, want ErrNotAllowed", err)
	}
	if _, err := g.Issue(byPhone, &halo.DeviceLevel{Device: phone.ID(), Level: halo.LevelPrimary}, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("an ordinary device promotes itself: got %v, want ErrNotAllowed", err)
	}
	if _, err := g.AddDevice(alice.Issuer, phone, halo.LevelOrdinary, nil, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("a device is added twice: got %v, want ErrNotAllowed", err)
	}
	c, err = g.Issue(alice.Issuer, &halo.DeviceLevel{Device: phone.ID(), Level: halo.LevelPrimary}, now)
	check(t, err)
	add(t, g, c)

	// Both primaries revoke each other without knowing: both are suspended.
	fork := g.Heads()
	one, err := halo.Force(g, alice.Issuer, fork, &halo.DeviceRevoke{Device: phone.ID()}, now)
	check(t, err)
	two, err := halo.Force(g, byPhone, fork, &halo.DeviceRevoke{Device: alice.keys.ID()}, now)
	check(t, err)
	add(t, g, one, two)
	for _, d := range g.State().Devices(alice.Identity) {
		if d.Active() {
			t.Errorf("device %v is %v, want none active", d.ID.Short(), d.Level)
		}
	}
	if _, err := g.Issue(alice.Issuer, &halo.Profile{}, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("a suspended device acts: got %v, want ErrNotAllowed", err)
	}

	// The phrase decides.
	c, err = g.IssueByRoot(alice.root, nil, alice.Identity, &halo.IDCheckpoint{
		Gen: 1, Devices: []halo.CheckpointDevice{{Device: laptop.Public(), Level: halo.LevelPrimary}},
	}, now)
	check(t, err)
	add(t, g, c)
	for _, d := range g.State().Devices(alice.Identity) {
		if want := d.ID == laptop.ID(); d.Active() != want {
			t.Errorf("after the checkpoint device %v is %v, want active %v", d.ID.Short(), d.Level, want)
		}
	}
	late, err := halo.Force(g, byPhone, fork, &halo.DeviceRevoke{Device: phone.ID()}, now)
	check(t, err)
	add(t, g, late)
	if got := len(g.State().Devices(alice.Identity)); got != 3 {
		t.Errorf("devices: got %d, want 3", got)
	}
	other := newPerson(t)
	if _, err := g.IssueByRoot(other.root, nil, alice.Identity, &halo.IDCheckpoint{Gen: 2}, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("a checkpoint by another root: got %v, want ErrNotAllowed", err)
	}
}

func TestRootRotate(t *testing.T) {
	alice, spare := newPerson(t), newPerson(t)
	g, next := alice.graph, spare.root.Public()
	c, err := g.IssueByRoot(alice.root, spare.root, alice.Identity, &halo.RootRotate{RootSign: next.Sign, RootKEM: next.KEM, Gen: 1}, now)
	check(t, err)
	add(t, g, c)
	if root, ok := g.State().Root(alice.Identity); !ok || root.Sign != next.Sign {
		t.Errorf("root after the rotation: got %x, %v", root.Sign[:4], ok)
	}
	if _, err := g.IssueByRoot(alice.root, nil, alice.Identity, &halo.IDCheckpoint{Gen: 1}, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("the old root acts: got %v, want ErrNotAllowed", err)
	}
}

func TestEpochs(t *testing.T) {
	alice, bob, relay := newPerson(t), newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	first := s.rotate(t, nil)
	s.set(t, bob, halo.RoleEditor)
	s.set(t, relay, halo.RoleRelay)
	known := map[halo.EpochID]halo.EpochKey{first.ID(s.Space()): first}
	second := s.rotate(t, known)
	known[second.ID(s.Space())] = second

	state := s.State()
	current, ok := state.CurrentEpoch()
	if !ok || current.ID != second.ID(s.Space()) || current.Gen != 2 {
		t.Errorf("current epoch: got %v of generation %d, %v, want the second", current.ID.Short(), current.Gen, ok)
	}
	keys := bob.keys.EpochKeys(state, nil)
	if len(keys) != 2 || !keys[first.ID(s.Space())].Equal(first.Secret) {
		t.Errorf("bob's keys: got %d, want both epochs", len(keys))
	}
	wraps := state.Wraps(relay.keys.ID())
	if len(wraps) != 1 || !wraps[0].Swarm {
		t.Fatalf("the relay's wraps: got %d, want one swarm secret", len(wraps))
	}
	if len(relay.keys.EpochKeys(state, nil)) != 0 {
		t.Error("a relay has an epoch key")
	}
	swarm, err := relay.keys.UnwrapSwarm(s.Space(), wraps[0])
	if err != nil || !swarm.Equal(second.Swarm(s.Space()).Secret) {
		t.Errorf("the relay's swarm secret: %v", err)
	}
	if _, err := alice.keys.UnwrapEpoch(s.Space(), state.Wraps(bob.keys.ID())[0]); !errors.Is(err, halo.ErrDecrypt) {
		t.Errorf("a key wrapped to another: got %v, want ErrDecrypt", err)
	}

	c, err := s.Issue(alice.Issuer, &halo.MemberRemove{Identity: bob.Identity}, now)
	check(t, err)
	add(t, s.Graph, c)
	if _, ok := s.State().CurrentEpoch(); ok {
		t.Error("after a removal the epoch whose key the removed member has is current")
	}
	third := s.rotate(t, known)
	if current, ok := s.State().CurrentEpoch(); !ok || current.ID != third.ID(s.Space()) {
		t.Error("after the rotation the new epoch is not current")
	}
	if _, have := bob.keys.EpochKeys(s.State(), nil)[third.ID(s.Space())]; have {
		t.Error("a removed member has the new key")
	}
}

func TestGrantKey(t *testing.T) {
	alice, bob, eve := newPerson(t), newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	key := s.rotate(t, nil)
	s.set(t, bob, halo.RoleReader)
	s.know(t, eve)
	device, _ := s.State().Device(bob.Identity, bob.keys.ID())
	c, err := s.GrantKey(alice.Issuer, key, device, now)
	check(t, err)
	add(t, s.Graph, c)
	if got := bob.keys.EpochKeys(s.State(), nil)[key.ID(s.Space())]; !got.Equal(key.Secret) {
		t.Error("bob cannot open the key that was granted")
	}
	stranger, _ := s.State().Device(eve.Identity, eve.keys.ID())
	if _, err := s.GrantKey(alice.Issuer, key, stranger, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("a grant to no member: got %v, want ErrNotAllowed", err)
	}
}

func TestRotateMustNameEveryActiveDevice(t *testing.T) {
	alice, bob := newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	s.set(t, bob, halo.RoleEditor)
	key, err := halo.NewEpochKey()
	check(t, err)
	none := func(halo.EpochID) (halo.EpochKey, bool) { return halo.EpochKey{}, false }
	full, err := halo.ForceRotate(s.State(), key, none)
	check(t, err)
	for name, change := range map[string]func(*halo.EpochRotate){
		"one left out": func(p *halo.EpochRotate) { p.Recipients = p.Recipients[:1] },
		"none":         func(p *halo.EpochRotate) { p.Recipients = nil },
		"a relay":      func(p *halo.EpochRotate) { p.Relays = p.Recipients },
		"one exchanged": func(p *halo.EpochRotate) {
			p.Recipients = slices.Clone(p.Recipients)
			p.Recipients[1].Device = halo.DeviceID(repeated32(0xff))
		},
	} {
		bad := *full
		change(&bad)
		if _, err := s.Issue(bob.Issuer, &bad, now); !errors.Is(err, halo.ErrNotAllowed) {
			t.Errorf("%s: got %v, want ErrNotAllowed", name, err)
		}
	}
	if _, err := s.Issue(bob.Issuer, full, now); err != nil {
		t.Errorf("all devices: got %v, want nil", err)
	}
	if !bobIsTold(s, bob, full, key) {
		t.Error("bob cannot open his wrap")
	}
}

func bobIsTold(s *space, bob *person, p *halo.EpochRotate, key halo.EpochKey) bool {
	for _, w := range p.Recipients {
		got, err := bob.keys.UnwrapEpoch(s.Space(), halo.Wrap{Epoch: p.Epoch, Key: w})
		if err == nil && got.Equal(key.Secret) {
			return true
		}
	}
	return false
}

// TestStateDoesNotDependOnArrival lets five people act on what each knows, by
// the rules and against them, and adds the result in several random orders.
func TestStateDoesNotDependOnArrival(t *testing.T) {
	people := make([]*person, 5)
	for i := range people {
		people[i] = newPerson(t)
	}
	seeds := 25
	if testing.Short() {
		seeds = 10
	}
	granted, void := 0, 0
	for seed := range seeds {
		r := rand.New(rand.NewSource(int64(seed)))
		s, knows := randomHistory(t, r, people)
		want := dump(s.State())
		all := s.All()
		for _, c := range all {
			if s.Granted(c.ID) {
				granted++
			} else {
				void++
			}
		}
		if got := s.State().Role(people[0].Identity); got != halo.RoleOwner && !ownAct(s, people[0]) {
			t.Fatalf("seed %d: the owner is %v by another's act", seed, got)
		}
		for range 4 {
			g := halo.NewGraph(s.Space())
			for _, i := range r.Perm(2 * len(all)) {
				_, err := g.Add(all[i%len(all)])
				check(t, err)
			}
			if got := dump(g.State()); got != want {
				t.Fatalf("seed %d: another order, another state:\n%s\nwant\n%s", seed, got, want)
			}
			for _, heads := range knows {
				a, err := s.StateAt(heads)
				check(t, err)
				b, err := g.StateAt(heads)
				check(t, err)
				if dump(a) != dump(b) {
					t.Fatalf("seed %d: another order, another state at %v", seed, heads)
				}
			}
		}
	}
	if granted < seeds*5 || void < seeds {
		t.Errorf("histories have %d granted and %d void credentials: they prove nothing", granted, void)
	}
}

// ownAct reports whether p issued something about its own role.
func ownAct(s *space, p *person) bool {
	return slices.ContainsFunc(s.All(), func(c *halo.Credential) bool {
		switch x := c.Payload.(type) {
		case *halo.MemberSet:
			return c.Issuer == p.Identity && x.Identity == p.Identity
		case *halo.MemberRemove:
			return c.Issuer == p.Identity && x.Identity == p.Identity
		}
		return false
	})
}

// randomHistory returns a graph with all that happened, and what each of the
// people knew at the end.
func randomHistory(t *testing.T, r *rand.Rand, people []*person) (*space, [][]halo.CredentialID) {
	t.Helper()
	s := newSpace(t, people[0])
	for _, p := range people[1:] {
		s.set(t, p, []halo.Role{halo.RoleAdmin, halo.RoleEditor, halo.RoleReader, halo.RoleOwner}[r.Intn(4)])
	}
	start := s.Heads()
	knows := make([][]halo.CredentialID, len(people))
	mine := make([][]halo.CredentialID, len(people)) // heads of each identity graph
	for i, p := range people {
		knows[i], mine[i] = start, p.graph.Heads()
	}
	for range 24 {
		i := r.Intn(len(people))
		if r.Intn(3) == 0 {
			knows[i] = mergeHeads(t, s, knows[i], knows[r.Intn(len(people))])
			continue
		}
		p, parents := randomPayload(r, people, i), knows[i]
		if p.Type() < halo.TypeSpaceGenesis {
			parents = mine[i]
		}
		c, err := halo.Force(s.Graph, people[i].Issuer, parents, p, now)
		check(t, err)
		add(t, s.Graph, c)
		if p.Type() < halo.TypeSpaceGenesis {
			mine[i] = []halo.CredentialID{c.ID}
			if r.Intn(2) == 0 { // or fork the own identity graph
				mine[i] = people[i].graph.Heads()
			}
		}
		knows[i] = mergeHeads(t, s, knows[i], []halo.CredentialID{c.ID})
	}
	return s, knows
}

func randomPayload(r *rand.Rand, people []*person, i int) halo.Payload {
	subject := people[r.Intn(len(people))]
	switch r.Intn(8) {
	case 0:
		return &halo.MemberRemove{Identity: subject.Identity}
	case 1:
		return &halo.Profile{Name: []byte{byte(r.Intn(256))}}
	case 2:
		return &halo.DeviceLevel{Device: people[i].keys.ID(), Level: halo.Level(1 + r.Intn(2))}
	case 3:
		return &halo.Policy{RotateEvery: uint64(1 + r.Intn(100))}
	case 4:
		return &halo.UnknownPayload{Kind: 30, Raw: []byte{0xa0}}
	}
	roles := []halo.Role{halo.RoleReader, halo.RoleEditor, halo.RoleAdmin, halo.RoleOwner, halo.RoleRelay}
	return &halo.MemberSet{Identity: subject.Identity, Role: roles[r.Intn(len(roles))]}
}

// mergeHeads returns the heads of who knows both a and b.
func mergeHeads(t *testing.T, s *space, a, b []halo.CredentialID) []halo.CredentialID {
	t.Helper()
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, halo.CredentialID.Compare)
	all = slices.Compact(all)
	var out []halo.CredentialID
	for i, id := range all {
		rest := slices.Delete(slices.Clone(all), i, i+1)
		covered, err := s.Covers(rest, []halo.CredentialID{id})
		check(t, err)
		if !covered {
			out = append(out, id)
		}
	}
	return out[:min(len(out), halo.MaxParents)]
}

func TestGraphIsSharedByGoroutines(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	for range 8 {
		s.set(t, newPerson(t), halo.RoleReader)
	}
	g, all := halo.NewGraph(s.Space()), s.All()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for _, j := range rand.New(rand.NewSource(int64(i))).Perm(len(all)) {
				if _, err := g.Add(all[j]); err != nil {
					t.Errorf("Add: %v", err)
				}
				_, _, _ = g.State(), g.Heads(), g.Missing()
			}
		})
	}
	wg.Wait()
	if got, want := dump(g.State()), dump(s.State()); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
