package halo_test

import (
	"errors"
	"testing"

	"echofs/halo"
)

func TestBodiesRefused(t *testing.T) {
	alice := newPerson(t)
	genesis, parents := alice.graph.All()[0].Payload, alice.graph.Heads()
	profile := &halo.Profile{Name: []byte("x")}
	tests := []struct {
		name    string
		dag     [32]byte
		parents []halo.CredentialID
		by      *halo.Issuer
		payload halo.Payload
		want    error
	}{
		{"genesis", [32]byte{}, nil, nil, genesis, nil},
		{"profile", alice.Identity, parents, &alice.Issuer, profile, nil},
		{"genesis in a graph", alice.Identity, nil, nil, genesis, halo.ErrMalformed},
		{"genesis with parents", [32]byte{}, parents, nil, genesis, halo.ErrMalformed},
		{"genesis by a device", [32]byte{}, nil, &alice.Issuer, genesis, halo.ErrMalformed},
		{"profile in no graph", [32]byte{}, parents, &alice.Issuer, profile, halo.ErrMalformed},
		{"profile without parents", alice.Identity, nil, &alice.Issuer, profile, halo.ErrMalformed},
		{"profile by the root", alice.Identity, parents, nil, profile, halo.ErrMalformed},
		{"parents twice", alice.Identity, append(parents, parents...), &alice.Issuer, profile, halo.ErrMalformed},
		{"too many parents", alice.Identity, make([]halo.CredentialID, 17), &alice.Issuer, profile, halo.ErrMalformed},
		{"role none", alice.Identity, parents, &alice.Issuer, &halo.MemberSet{}, halo.ErrMalformed},
		{"role of another version", alice.Identity, parents, &alice.Issuer, &halo.MemberSet{Role: 5}, halo.ErrMalformed},
		{"level none", alice.Identity, parents, &alice.Issuer, &halo.DeviceLevel{}, halo.ErrMalformed},
		{"unknown payload, not canonical", alice.Identity, parents, &alice.Issuer, &halo.UnknownPayload{Kind: 9, Raw: []byte{0xa1, 0x18, 1, 1}}, halo.ErrMalformed},
		{"cut before the start", alice.Identity, parents, &alice.Issuer, &halo.MemberRemove{Cuts: []halo.Cut{{Seq: -2}}}, halo.ErrMalformed},
		{"cut without entry", alice.Identity, parents, &alice.Issuer, &halo.MemberRemove{Cuts: []halo.Cut{{Seq: 3}}}, halo.ErrMalformed},
		{"cuts of one feed", alice.Identity, parents, &alice.Issuer, &halo.MemberRemove{Cuts: []halo.Cut{{Seq: -1}, {Seq: -1}}}, halo.ErrMalformed},
		{"link for admins", alice.Identity, parents, &alice.Issuer, &halo.InviteIssue{Role: halo.RoleAdmin, MaxUses: 1}, halo.ErrMalformed},
		{"proof of no fork", alice.Identity, parents, &alice.Issuer, &halo.ForkProof{}, halo.ErrMalformed},
	}
	for _, test := range tests {
		if err := halo.DraftError(test.dag, test.parents, test.by, test.payload); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

func TestMemberMustBeKnown(t *testing.T) {
	alice, bob := newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	if _, err := s.SetMember(alice.Issuer, bob.Identity, halo.RoleReader, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("without the guest's credentials: got %v, want ErrNotAllowed", err)
	}
}

func TestEpochMustFollowTheLatest(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	first := s.rotate(t, nil)
	known := func(halo.EpochID) (halo.EpochKey, bool) { return first, true }
	fresh, err := halo.NewEpochKey()
	check(t, err)
	good, err := halo.ForceRotate(s.State(), fresh, known)
	check(t, err)
	for name, change := range map[string]func(*halo.EpochRotate){
		"generation too high":  func(p *halo.EpochRotate) { p.Gen = 9 },
		"first of the space":   func(p *halo.EpochRotate) { p.Gen, p.Prev, p.Back = 1, nil, nil },
		"an epoch that exists": func(p *halo.EpochRotate) { p.Epoch = first.ID(s.Space()) },
		"after an unknown epoch": func(p *halo.EpochRotate) {
			p.Prev, p.Back = []halo.EpochID{{1}}, []halo.BackKey{{Epoch: halo.EpochID{1}, Sealed: p.Back[0].Sealed}}
		},
	} {
		bad := *good
		change(&bad)
		if _, err := s.Issue(alice.Issuer, &bad, now); !errors.Is(err, halo.ErrNotAllowed) {
			t.Errorf("%s: got %v, want ErrNotAllowed", name, err)
		}
	}
	if _, _, err := s.RotateEpoch(alice.Issuer, halo.RotateAge, func(halo.EpochID) (halo.EpochKey, bool) { return fresh, true }, now); !errors.Is(err, halo.ErrUnknown) {
		t.Errorf("with another key for the latest epoch: got %v, want ErrUnknown", err)
	}
}

// TestConcurrentEpochs: both hold, one is current for all, the next follows
// both.
func TestConcurrentEpochs(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	fork := s.State()
	none := func(halo.EpochID) (halo.EpochKey, bool) { return halo.EpochKey{}, false }
	keys := map[halo.EpochID]halo.EpochKey{}
	heads := s.Heads()
	var ids []halo.EpochID
	for range 2 {
		key, err := halo.NewEpochKey()
		check(t, err)
		p, err := halo.ForceRotate(fork, key, none)
		check(t, err)
		c, err := halo.Force(s.Graph, alice.Issuer, heads, p, now)
		check(t, err)
		add(t, s.Graph, c)
		keys[p.Epoch], ids = key, append(ids, p.Epoch)
	}
	lowest := ids[0]
	if string(ids[1][:]) < string(lowest[:]) {
		lowest = ids[1]
	}
	if got, ok := s.State().CurrentEpoch(); !ok || got.ID != lowest || len(s.State().LatestEpochs()) != 2 {
		t.Errorf("current: got %v, %v, want %v of two", got.ID.Short(), ok, lowest.Short())
	}
	for _, id := range ids {
		if err := s.State().MayWrite(alice.author(), id); err != nil {
			t.Errorf("writing under %v: got %v, want nil", id.Short(), err)
		}
	}
	joined := s.rotate(t, keys)
	if got := s.State().LatestEpochs(); len(got) != 1 || got[0].Gen != 2 || len(got[0].Prev) != 2 {
		t.Errorf("latest: got %+v, want one that follows two", got)
	}
	if got := alice.keys.EpochKeys(s.State(), nil); len(got) != 3 {
		t.Errorf("keys: got %d, want 3", len(got))
	}
	only := map[halo.EpochID]halo.EpochKey{joined.ID(s.Space()): joined}
	if got := newDevice(t).EpochKeys(s.State(), only); len(got) != 3 {
		t.Errorf("keys by the newest alone: got %d, want 3", len(got))
	}
}

func TestWrapOfAnotherKeyIsRefused(t *testing.T) {
	keys := newDevice(t)
	space := halo.SpaceID{1}
	key, err := halo.NewEpochKey()
	check(t, err)
	other := halo.EpochID{2}
	w, err := halo.WrapFor(keys.Public(), space, other, key)
	check(t, err)
	if _, err := keys.UnwrapEpoch(space, halo.Wrap{Epoch: other, Key: w}); !errors.Is(err, halo.ErrDecrypt) {
		t.Errorf("a key that is not the epoch's: got %v, want ErrDecrypt", err)
	}
}

// TestCheckpointVoidsWhatIsConcurrent: a thief's device added before the phrase
// was used, and unknown to it, does not come in afterwards.
func TestCheckpointVoidsWhatIsConcurrent(t *testing.T) {
	alice, thief, spare := newPerson(t), newDevice(t), newDevice(t)
	stolen := halo.NewIdentityGraph(alice.Identity)
	add(t, stolen, alice.graph.All()...)
	late, err := stolen.AddDevice(alice.Issuer, thief, halo.LevelPrimary, nil, now)
	check(t, err)

	g := alice.graph
	for _, gen := range []uint64{0, 2, 1 << 62} {
		if _, err := g.IssueByRoot(alice.root, nil, alice.Identity, &halo.IDCheckpoint{Gen: gen}, now); !errors.Is(err, halo.ErrNotAllowed) {
			t.Errorf("first checkpoint with generation %d: got %v, want ErrNotAllowed", gen, err)
		}
	}
	c, err := g.IssueByRoot(alice.root, nil, alice.Identity, &halo.IDCheckpoint{
		Gen: 1, Devices: []halo.CheckpointDevice{{Device: spare.Public(), Level: halo.LevelPrimary}},
	}, now)
	check(t, err)
	add(t, g, c, late)
	for _, d := range g.State().Devices(alice.Identity) {
		if want := d.ID == spare.ID(); d.Active() != want {
			t.Errorf("device %v: got active %v, want %v", d.ID.Short(), d.Active(), want)
		}
	}
}

func TestFeedSeal(t *testing.T) {
	alice, bob, carol := newPerson(t), newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	s.set(t, bob, halo.RoleEditor)
	s.set(t, carol, halo.RoleEditor)
	nonce := [16]byte{1}
	seal := &halo.FeedSeal{
		Cut: halo.Cut{Feed: halo.NewFeedID(s.Space(), bob.keys.ID(), nonce), Seq: -1}, Device: bob.keys.ID(), Identity: bob.Identity, Nonce: nonce,
	}
	wrong, other := *seal, *seal
	wrong.Nonce[0]++
	other.Identity = carol.Identity
	tests := []struct {
		name    string
		by      *person
		payload *halo.FeedSeal
		want    error
	}{
		{"its own", bob, seal, nil},
		{"another member's", carol, seal, halo.ErrNotAllowed},
		{"an admin, while the device may write", alice, seal, halo.ErrNotAllowed},
		{"a nonce of another feed", bob, &wrong, halo.ErrNotAllowed},
		{"an identity without the device", carol, &other, halo.ErrNotAllowed},
	}
	for _, test := range tests {
		if _, err := s.Issue(test.by.Issuer, test.payload, now); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	s.set(t, bob, halo.RoleReader)
	if _, err := s.Issue(alice.Issuer, seal, now); err != nil {
		t.Errorf("an admin, after the demotion: got %v, want nil", err)
	}
	if _, err := s.Issue(carol.Issuer, seal, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("an editor, after the demotion: got %v, want ErrNotAllowed", err)
	}
}

func TestRolesAsText(t *testing.T) {
	for _, r := range []halo.Role{halo.RoleReader, halo.RoleEditor, halo.RoleAdmin, halo.RoleOwner, halo.RoleRelay} {
		if got, err := halo.ParseRole(r.String()); err != nil || got != r {
			t.Errorf("ParseRole(%q): got %v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "none", "Owner", "root"} {
		if _, err := halo.ParseRole(s); !errors.Is(err, halo.ErrUnknown) {
			t.Errorf("ParseRole(%q): got %v, want ErrUnknown", s, err)
		}
	}
}

// TestManyHeads: with more heads than a credential may name, the identity that
// it speaks of is named all the same, and the rest is taken up later.
func TestManyHeads(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	people := make([]*person, 40)
	for i := range people {
		people[i] = newPerson(t)
		s.know(t, people[i])
	}
	if got := len(s.AuthHeads(alice.Identity)); got != halo.MaxParents {
		t.Errorf("heads to name: got %d, want %d", got, halo.MaxParents)
	}
	for _, p := range people {
		s.set(t, p, halo.RoleReader)
	}
	if got := len(s.Heads()); got != 1 {
		t.Errorf("heads in the end: got %d, want 1", got)
	}
	if got := len(s.State().Members()); got != len(people)+1 {
		t.Errorf("members: got %d, want %d", got, len(people)+1)
	}
}

// TestIntroductionMustBeKnown: whether a credential is accepted must not hang
// on whether the introduction of its device has happened to come already.
func TestIntroductionMustBeKnown(t *testing.T) {
	alice, phone := newPerson(t), newDevice(t)
	g, before := alice.graph, alice.graph.Heads()
	c, err := g.AddDevice(alice.Issuer, phone, halo.LevelPrimary, nil, now)
	check(t, err)
	add(t, g, c)
	byPhone := halo.Issuer{Identity: alice.Identity, Signer: phone}
	early, err := halo.Force(g, byPhone, before, &halo.Profile{Name: []byte("x")}, now)
	check(t, err)
	if _, err := g.Add(early); !errors.Is(err, halo.ErrBadSignature) {
		t.Errorf("by a device that its ancestors do not know: got %v, want ErrBadSignature", err)
	}
}

// TestPossessionIsProved: nobody adds a device whose key he does not have.
func TestPossessionIsProved(t *testing.T) {
	alice, phone, other := newPerson(t), newDevice(t), newDevice(t)
	d, err := alice.graph.Draft(alice.Issuer, &halo.DeviceAdd{Device: phone.Public(), Level: halo.LevelOrdinary}, now)
	check(t, err)
	msg := append([]byte("echofs/v1/cred\x00"), d.Body()...)
	d.Attach(halo.SigSubject, other.Public().Sign, [64]byte(other.Sign(msg)))
	if _, err := d.Finish(); !errors.Is(err, halo.ErrBadSignature) {
		t.Errorf("signed by another device: got %v, want ErrBadSignature", err)
	}
}
