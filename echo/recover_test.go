package echo_test

import (
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
)

// rooted is an identity with a phrase, and three devices of which two are its.
type rooted struct {
	root                *halo.RootKeys
	laptop, phone, desk *echotest.Keys
	raw                 [][]byte
	id                  halo.IdentityID
}

func newRooted(t *testing.T) *rooted {
	t.Helper()
	phrase, _, err := halo.NewPhrase()
	if err != nil {
		t.Fatal(err)
	}
	r := &rooted{}
	if r.root, err = halo.RootKeysFromPhrase(phrase, ""); err != nil {
		t.Fatal(err)
	}
	r.laptop, r.phone = pairKeys(t)
	r.desk, _ = pairKeys(t)
	genesis, err := halo.NewIdentity(r.root, r.laptop.Device(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.id = halo.IdentityID(genesis.ID)
	g := halo.NewIdentityGraph(r.id)
	if _, err := g.Add(genesis); err != nil {
		t.Fatal(err)
	}
	c, err := g.AddDevice(halo.Issuer{Identity: r.id, Signer: r.laptop.Device()}, r.phone.Device(), halo.LevelPrimary, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.raw = [][]byte{genesis.Bytes(), c.Bytes()}
	return r
}

// recover lets the desk in by the word of the root, with the help of a vault of
// the identity, and returns the desk's vault and its view of a space.
func (r *rooted) recover(t *testing.T, helper *echotest.Vault, in *echo.Space) (*echotest.Vault, *echo.Space) {
	t.Helper()
	g, id, err := halo.LoadIdentity(helper.IdentityCredentials())
	if err != nil {
		t.Fatal(err)
	}
	c, err := g.CheckpointOf(r.root, id, r.desk.Device().Public(), func(d halo.Device) halo.Level {
		if d.ID == helper.DeviceID() {
			return max(d.Level, halo.LevelOrdinary)
		}
		return d.Level
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := helper.AddDevice(t.Context(), c, r.desk.Device().ID()); err != nil {
		t.Fatal(err)
	}
	desk := echotest.NewVault(t, "desk", echo.Options{Keys: r.desk, Identity: helper.IdentityCredentials()})
	creds, err := in.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	s, err := desk.Join(t.Context(), echo.Admission{Space: in.ID(), Credentials: creds, Name: in.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return desk, s
}

// Two primary devices let each other go without knowing; the phrase decides. The
// new device has everything, and it and the other members write on.
func TestRecoverAfterMutualRevocation(t *testing.T) {
	r := newRooted(t)
	tm := newTeam(t, "ada")
	laptop := echotest.NewVault(t, "laptop", echo.Options{Keys: r.laptop, Identity: r.raw})
	phone := echotest.NewVault(t, "phone", echo.Options{Keys: r.phone, Identity: r.raw})
	tm.vaults["laptop"], tm.vaults["phone"] = laptop, phone
	tm.spaces["laptop"] = tm.vaults["ada"].Invite(tm.spaces["ada"], laptop, halo.RoleEditor)
	tm.spaces["phone"] = tm.vaults["ada"].Invite(tm.spaces["ada"], phone, halo.RoleEditor)
	put(t, laptop, "notes/l.json", `{"n":1}`)
	put(t, phone, "notes/p.json", `{"n":2}`)
	tm.meet("ada", "laptop", "phone")
	if err := laptop.RevokeDevice(t.Context(), echo.Revocation{Device: phone.DeviceID()}); err != nil {
		t.Fatal(err)
	}
	if err := phone.RevokeDevice(t.Context(), echo.Revocation{Device: laptop.DeviceID()}); err != nil {
		t.Fatal(err)
	}
	tm.meet("ada", "laptop", "phone")
	for _, v := range []*echotest.Vault{laptop, phone} {
		for _, d := range v.OwnDevices() {
			if !d.Suspended || d.Level != halo.LevelNone {
				t.Errorf("device %s: got %+v, want it suspended", d.Name, d)
			}
		}
	}

	desk, s := r.recover(t, phone, tm.spaces["phone"])
	tm.vaults["desk"], tm.spaces["desk"] = desk, s
	tm.meet("ada", "phone", "desk")
	gone, err := desk.Recover(t.Context(), r.root, func(echo.OwnDevice) bool { return false })
	if err != nil || len(gone) != 1 {
		t.Fatalf("recover: got %v, %v, want the phone let go", gone, err)
	}
	tm.meet("ada", "desk")
	tm.want(`l.json={"n":1} p.json={"n":2}`, "ada", "desk")
	put(t, desk, "notes/d.json", `{"n":3}`)
	put(t, tm.vaults["ada"], "notes/a.json", `{"n":4}`)
	tm.meet("ada", "desk")
	tm.want(`a.json={"n":4} d.json={"n":3} l.json={"n":1} p.json={"n":2}`, "ada", "desk")
	for _, d := range desk.OwnDevices() {
		if active := d.Level != halo.LevelNone; active != d.This {
			t.Errorf("device %s: active is %v", d.Name, active)
		}
	}
	if again, err := desk.Recover(t.Context(), r.root, func(echo.OwnDevice) bool { return false }); err != nil || len(again) != 0 {
		t.Errorf("recover again: got %v, %v, want nothing to be said", again, err)
	}
}
