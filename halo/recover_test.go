package halo_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"echofs/halo"
)

// levels returns the levels of an identity's devices by a graph.
func levels(g *halo.Graph, id halo.IdentityID) map[halo.DeviceID]halo.Level {
	out := map[halo.DeviceID]halo.Level{}
	for _, d := range g.State().Devices(id) {
		out[d.ID] = d.Level
	}
	return out
}

// Two primary devices revoked each other: the root's word ends that, and leaves
// exactly the new device; what either says without knowing of it is void.
func TestCheckpointAfterMutualRevocation(t *testing.T) {
	ada := newPerson(t)
	second := newDevice(t)
	add(t, ada.graph, must(ada.graph.AddDevice(ada.Issuer, second, halo.LevelPrimary, nil, now))(t))
	bySecond := halo.Issuer{Identity: ada.Identity, Signer: second}
	a := must(ada.graph.Issue(ada.Issuer, &halo.DeviceRevoke{Device: second.ID()}, now))(t)
	b := must(ada.graph.Issue(bySecond, &halo.DeviceRevoke{Device: ada.keys.ID()}, now))(t)
	late := must(ada.graph.AddDevice(bySecond, newDevice(t), halo.LevelPrimary, nil, now))(t)
	add(t, ada.graph, a, b)
	for _, id := range []halo.DeviceID{ada.keys.ID(), second.ID()} {
		if d, _ := ada.graph.State().Device(ada.Identity, id); !d.Suspended || d.Active() {
			t.Errorf("device %s: got %+v, want it suspended", id.Short(), d)
		}
	}

	fresh := newDevice(t)
	c := must(ada.graph.CheckpointOf(ada.root, ada.Identity, fresh.Public(), func(halo.Device) halo.Level { return halo.LevelNone }, now))(t)
	add(t, ada.graph, c, late)
	for id, level := range levels(ada.graph, ada.Identity) {
		want := halo.LevelNone
		if id == fresh.ID() {
			want = halo.LevelPrimary
		}
		if level != want {
			t.Errorf("device %s: got %v, want %v", id.Short(), level, want)
		}
	}
	if ada.graph.State().Counts(late.ID) {
		t.Error("a device that was let go adds one without knowing of that: it counts")
	}
	again := must(ada.graph.CheckpointOf(ada.root, ada.Identity, fresh.Public(), func(halo.Device) halo.Level { return halo.LevelNone }, now))(t)
	if p := again.Payload.(*halo.IDCheckpoint); p.Gen != 2 || len(p.Devices) != 1 || len(p.Revoked) != 2 {
		t.Errorf("the next checkpoint: got generation %d, %d devices, %d revoked, want 2, 1, 2", p.Gen, len(p.Devices), len(p.Revoked))
	}
	other := newPerson(t)
	if _, err := ada.graph.CheckpointOf(other.root, ada.Identity, fresh.Public(), func(halo.Device) halo.Level { return halo.LevelNone }, now); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("a checkpoint by the root of another: got %v, want %v", err, halo.ErrNotAllowed)
	}
}

// A checkpoint has no more devices than an identity may have.
func TestCheckpointIsBounded(t *testing.T) {
	ada := newPerson(t)
	for range halo.MaxDevicesPerIdentity - 1 {
		add(t, ada.graph, must(ada.graph.AddDevice(ada.Issuer, newDevice(t), halo.LevelOrdinary, nil, now))(t))
	}
	fresh := newDevice(t)
	c := must(ada.graph.CheckpointOf(ada.root, ada.Identity, fresh.Public(), func(d halo.Device) halo.Level { return d.Level }, now))(t)
	p := c.Payload.(*halo.IDCheckpoint)
	if len(p.Devices) != halo.MaxDevicesPerIdentity || len(p.Revoked) != 1 {
		t.Errorf("got %d devices and %d revoked, want %d and 1", len(p.Devices), len(p.Revoked), halo.MaxDevicesPerIdentity)
	}
	if !slices.ContainsFunc(p.Devices, func(d halo.CheckpointDevice) bool {
		return d.Device.ID() == fresh.ID() && d.Level == halo.LevelPrimary
	}) {
		t.Error("the new device is not in it")
	}
}

// What answers an offer in the name of a root is good in this session, for this
// space and by this device, and nowhere else.
func TestReclaimIsBound(t *testing.T) {
	ada, device := newPerson(t), newDevice(t)
	challenge, session, space := [32]byte{1}, []byte("session"), halo.SpaceID{2}
	m := halo.NewReclaim(ada.root, device, "desk", challenge, session, space)
	b, err := halo.EncodeMessage(m)
	check(t, err)
	back, err := halo.DecodeMessage(b)
	check(t, err)
	if err := back.(*halo.Reclaim).Verify(challenge, session, space); err != nil {
		t.Errorf("as it was made: %v", err)
	}
	other := newDevice(t)
	for name, bad := range map[string]func(m *halo.Reclaim) error{
		"another challenge": func(m *halo.Reclaim) error { return m.Verify([32]byte{9}, session, space) },
		"another session":   func(m *halo.Reclaim) error { return m.Verify(challenge, []byte("other"), space) },
		"another space":     func(m *halo.Reclaim) error { return m.Verify(challenge, session, halo.SpaceID{9}) },
		"another device": func(m *halo.Reclaim) error {
			m.Device = other.Public()
			return m.Verify(challenge, session, space)
		},
		"another root": func(m *halo.Reclaim) error {
			m.Root = newPerson(t).root.Public().Sign
			return m.Verify(challenge, session, space)
		},
		"no proof of the device": func(m *halo.Reclaim) error {
			m.Proof = [64]byte{}
			return m.Verify(challenge, session, space)
		},
	} {
		copied := *m
		if err := bad(&copied); !errors.Is(err, halo.ErrBadSignature) {
			t.Errorf("%s: got %v, want %v", name, err, halo.ErrBadSignature)
		}
	}
}

// A helper takes only the checkpoint that it waits for.
func TestCheckReclaimed(t *testing.T) {
	ada, device := newPerson(t), newDevice(t)
	root := ada.root.Public().Sign
	none := func(halo.Device) halo.Level { return halo.LevelNone }
	c := must(ada.graph.CheckpointOf(ada.root, ada.Identity, device.Public(), none, now))(t)
	m := &halo.Reclaimed{Checkpoint: c.Bytes()}
	if got, err := m.CheckReclaimed(ada.Identity, root, device.ID()); err != nil || got.ID != c.ID {
		t.Errorf("got %v, %v", got, err)
	}
	bob := newPerson(t)
	for name, try := range map[string]func() error{
		"of another identity": func() error { _, err := m.CheckReclaimed(bob.Identity, root, device.ID()); return err },
		"of another root": func() error {
			_, err := m.CheckReclaimed(ada.Identity, bob.root.Public().Sign, device.ID())
			return err
		},
		"without the device": func() error { _, err := m.CheckReclaimed(ada.Identity, root, newDevice(t).ID()); return err },
		"a genesis": func() error {
			_, err := (&halo.Reclaimed{Checkpoint: ada.graph.All()[0].Bytes()}).CheckReclaimed(ada.Identity, root, device.ID())
			return err
		},
	} {
		if err := try(); !errors.Is(err, halo.ErrForeign) {
			t.Errorf("%s: got %v, want %v", name, err, halo.ErrForeign)
		}
	}
	if _, err := (&halo.Reclaimed{Checkpoint: []byte{1}}).CheckReclaimed(ada.Identity, root, device.ID()); !errors.Is(err, halo.ErrMalformed) {
		t.Errorf("rubbish: got %v, want %v", err, halo.ErrMalformed)
	}
}

// The credentials of an identity come in parts, and are complete with the last.
func TestPastOf(t *testing.T) {
	ada := newPerson(t)
	parts := halo.PastOf(ada.graph.All())
	var raw [][]byte
	for i, p := range parts {
		b, err := halo.EncodeMessage(p)
		check(t, err)
		m, err := halo.DecodeMessage(b)
		check(t, err)
		if more := m.(*halo.Past).More; more != (i < len(parts)-1) {
			t.Errorf("part %d of %d: more is %v", i, len(parts), more)
		}
		raw = append(raw, m.(*halo.Past).Credentials...)
	}
	if !slices.EqualFunc(raw, halo.RawCredentials(ada.graph.All()), bytes.Equal) {
		t.Error("other credentials came out than went in")
	}
	if got, ok := ada.graph.State().IdentityOfRoot(ada.root.Public().Sign); !ok || got != ada.Identity {
		t.Errorf("the identity of the root: got %v, %v", got, ok)
	}
	if _, ok := ada.graph.State().IdentityOfRoot([32]byte{1}); ok {
		t.Error("an identity of a root that nobody has")
	}
}

// must returns a value, or ends the test.
func must[T any](v T, err error) func(tb testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		check(tb, err)
		return v
	}
}
