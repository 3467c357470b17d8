package echo_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
)

// brittle is a store that takes a number of commits and then fails.
type brittle struct {
	echo.Store
	left atomic.Int64
}

var errBroken = errors.New("broken")

func (b *brittle) Commit(batch *echo.Batch, d echo.Durability) error {
	if b.left.Add(-1) < 0 {
		return errBroken
	}
	return b.Store.Commit(batch, d)
}

// clock is a time that tests move.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time           { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(by time.Duration) { c.ms.Add(by.Milliseconds()) }

// pairWith is pair with options for both.
func pairWith(t *testing.T, name string, laptop, phone echo.Options) (a, b *echotest.Vault) {
	t.Helper()
	first, second := pairKeys(t)
	raw := pairIdentity(t, first, second)
	laptop.Keys, laptop.Identity = first, raw
	phone.Keys, phone.Identity = second, raw
	return echotest.NewVault(t, name, laptop), echotest.NewVault(t, name+"2", phone)
}

func pairKeys(t *testing.T) (a, b *echotest.Keys) {
	t.Helper()
	var err error
	if a, err = echotest.NewKeys(); err == nil {
		b, err = echotest.NewKeys()
	}
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func pairIdentity(t *testing.T, first, second *echotest.Keys) [][]byte {
	t.Helper()
	raw, err := echotest.NewIdentity(first.Device())
	if err != nil {
		t.Fatal(err)
	}
	g, id, err := halo.LoadIdentity(raw)
	if err != nil {
		t.Fatal(err)
	}
	c, err := g.AddDevice(halo.Issuer{Identity: id, Signer: first.Device()}, second.Device(), halo.LevelPrimary, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, c.Bytes())
}

// A revocation that said until when things count says so too where a crash came
// between the identity and the spaces.
func TestRevocationKeepsItsTime(t *testing.T) {
	c := newClock()
	store := &brittle{Store: echotest.NewMemStore()}
	store.left.Store(1 << 40)
	tm := newTeam(t, "ada")
	laptop, phone := pairWith(t, "bob", echo.Options{}, echo.Options{Store: store, Now: c.now})
	tm.vaults["laptop"], tm.vaults["phone"] = laptop, phone
	tm.spaces["laptop"] = tm.vaults["ada"].Invite(tm.spaces["ada"], laptop, halo.RoleEditor)
	tm.spaces["phone"] = tm.vaults["ada"].Invite(tm.spaces["ada"], phone, halo.RoleEditor)
	put(t, laptop, "notes/good.json", `{"n":1}`)
	tm.meet("laptop", "phone")
	stolen := c.now()
	c.advance(time.Hour)
	put(t, laptop, "notes/bad.json", `{"n":2}`)
	tm.meet("laptop", "phone", "ada")
	tm.want(`bad.json={"n":2} good.json={"n":1}`, "ada", "phone")

	store.left.Store(1) // the identity's credential and no more
	err := phone.RevokeDevice(t.Context(), echo.Revocation{Device: laptop.DeviceID(), Reason: halo.ReasonCompromised, AsOf: stolen.Add(time.Minute)})
	if !errors.Is(err, errBroken) {
		t.Fatalf("revoke on a store that breaks: got %v, want %v", err, errBroken)
	}
	_ = phone.Close() // it cannot write either
	store.left.Store(1 << 40)
	phone.Open()
	s, ok := phone.SpaceByID(tm.spaces["ada"].ID())
	if !ok {
		t.Fatal("the space is gone")
	}
	tm.spaces["phone"] = s
	tm.meet("ada", "phone")
	tm.want(`good.json={"n":1}`, "ada", "phone")
}

// What the revoking device did not seal, another device of the person or an
// admin seals ten minutes later, and not before; what came after the revocation
// was known does not count, and everybody comes to the same.
func TestOthersSealWhatIsLost(t *testing.T) {
	for name, sealer := range map[string]string{"the person's other device": "phone", "an admin": "ada"} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			tm := newTeam(t)
			ada := echotest.NewVault(t, "ada", echo.Options{Now: c.now})
			space, err := ada.CreateSpace(t.Context(), "notes")
			if err != nil {
				t.Fatal(err)
			}
			laptop, phone := pairWith(t, "bob", echo.Options{Now: c.now}, echo.Options{Now: c.now})
			eve := echotest.NewVault(t, "eve", echo.Options{Now: c.now})
			tm.vaults = map[string]*echotest.Vault{"ada": ada, "laptop": laptop, "phone": phone, "eve": eve}
			tm.spaces = map[string]*echo.Space{"ada": space}
			for _, name := range []string{"laptop", "phone", "eve"} {
				tm.spaces[name] = ada.Invite(space, tm.vaults[name], halo.RoleEditor)
			}
			put(t, laptop, "notes/before.json", `{"n":1}`)
			tm.meet("ada", "laptop", "phone", "eve")

			// Only the word of the identity: that the spaces are sealed is lost.
			g, id, err := halo.LoadIdentity(phone.IdentityCredentials())
			if err != nil {
				t.Fatal(err)
			}
			word, err := g.Issue(halo.Issuer{Identity: id, Signer: phone.DeviceKeys()}, &halo.DeviceRevoke{Device: laptop.DeviceID(), Reason: halo.ReasonLost}, c.now())
			if err != nil {
				t.Fatal(err)
			}
			put(t, laptop, "notes/after.json", `{"n":2}`)
			for _, name := range []string{"ada", "phone", "eve"} {
				if _, err := tm.spaces[name].AddCredentials(t.Context(), [][]byte{word.Bytes()}); err != nil {
					t.Fatal(err)
				}
			}
			sendEntries(t, tm.spaces["laptop"], tm.spaces["eve"])
			tm.meet("ada", "phone", "eve")
			if got := tm.audit("eve", echo.AuditHeld); got != 1 {
				t.Errorf("held entries: got %d, want 1", got)
			}
			tm.want(`before.json={"n":1}`, "ada", "phone", "eve")

			by := tm.vaults[sealer]
			for _, wait := range []time.Duration{0, echo.DefaultSealDelay - time.Second} {
				c.advance(wait)
				if err := by.SealLost(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := tm.audit(sealer, echo.AuditLate); got != 0 {
					t.Errorf("sealed too early, after %v", wait)
				}
			}
			c.advance(time.Second)
			if err := by.SealLost(t.Context()); err != nil {
				t.Fatal(err)
			}
			tm.meet("ada", "phone", "eve")
			for _, name := range []string{"ada", "phone", "eve"} {
				if late, held := tm.audit(name, echo.AuditLate), tm.audit(name, echo.AuditHeld); late != 1 || held != 0 {
					t.Errorf("%s: got %d late and %d held entries, want 1 and 0", name, late, held)
				}
			}
			tm.want(`before.json={"n":1}`, "ada", "phone", "eve")
			before := len(tm.spaces[sealer].CredentialHeads())
			if err := by.SealLost(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after := len(tm.spaces[sealer].CredentialHeads()); after != before {
				t.Error("it is sealed again")
			}
			// An editor of another identity seals nothing.
			c.advance(time.Hour)
			if err := eve.SealLost(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// sendEntries gives b the entries of a without its credentials.
func sendEntries(t *testing.T, a, b *echo.Space) {
	t.Helper()
	have, err := a.Vector()
	if err != nil {
		t.Fatal(err)
	}
	held, err := b.Vector()
	if err != nil {
		t.Fatal(err)
	}
	for feed, pos := range have {
		from := held[feed].Next
		if from >= pos.Next {
			continue
		}
		raw, err := a.Entries(feed, from, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Ingest(t.Context(), feed, from, raw); err != nil {
			t.Fatal(err)
		}
	}
}
