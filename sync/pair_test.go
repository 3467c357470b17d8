package sync_test

import (
	"errors"
	"testing"
	"time"

	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/memrepo"
)

// pairing is what a new device keeps.
type pairing struct {
	keys *halo.DeviceKeys
	got  echosync.Paired
}

func newDeviceKeys(t *testing.T) *halo.DeviceKeys {
	t.Helper()
	keys, err := halo.GenerateDeviceKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (p *pairing) pair(t *testing.T, inv *echosync.Invitation, fail error) error {
	t.Helper()
	opts := echosync.PairOptions{Keys: p.keys, Store: func(got echosync.Paired) error {
		p.got = got
		return fail
	}}
	opts.AuthCode, opts.DisplayName = digits(inv.AuthCode()), "phone"
	return echosync.Pair(timeout(t), inv.Code(), opts)
}

// A new device is one of the identity's after pairing; the spaces of both come
// to both.
func TestPairDevice(t *testing.T) {
	url, _ := startSignal(t, "")
	laptop := newVault(t, "laptop")
	notes, err := laptop.CreateSpace("notes")
	if err != nil {
		t.Fatal(err)
	}
	notes.Write([]byte("before"))
	laptopN, _ := startNetwork(t, laptop, echosync.Options{Signal: []string{url}})
	inv, err := laptopN.Invite(t.Context(), echosync.InviteOptions{Kind: halo.InviteDevice, AuthCode: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := laptopN.Join(timeout(t), inv.Code(), echosync.JoinOptions{}); !errors.Is(err, halo.ErrBadCode) {
		t.Errorf("join a space by the code of a device: got %v, want %v", err, halo.ErrBadCode)
	}
	p := pairing{keys: newDeviceKeys(t)}
	if err := p.pair(t, inv, nil); err != nil {
		t.Fatal(err)
	}
	who, err := inv.Wait(timeout(t))
	if err != nil || who.Device != p.keys.ID() || who.Name != "phone" {
		t.Errorf("host: got %+v, %v", who, err)
	}
	phone, err := memrepo.NewDevice("phone", p.keys, p.got)
	if err != nil {
		t.Fatal(err)
	}
	if err := phone.MayAddDevice(); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("an ordinary device adds others: got %v, want %v", err, halo.ErrNotAllowed)
	}
	startNetwork(t, phone, echosync.Options{Signal: []string{url}})
	waitFor(t, "the space on the phone", func() bool { _, ok := phone.Space(notes.ID()); return ok })
	there, _ := phone.Space(notes.ID())
	await(t, there, "the laptop's entry", has(there, notes.Own(), 1))
	there.Write([]byte("from the phone"))
	await(t, notes, "the phone's entry", has(notes, there.Own(), 1))

	later, err := phone.CreateSpace("later")
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the phone's space on the laptop", func() bool { _, ok := laptop.Space(later.ID()); return ok })
	here, _ := laptop.Space(later.ID())
	here.Write([]byte("on the laptop"))
	await(t, later, "the laptop's entry", has(later, here.Own(), 1))
}

// A pairing that the new device could not keep is made again by the same
// device, and by no other.
func TestPairDeviceAgain(t *testing.T) {
	url, _ := startSignal(t, "")
	laptop := newVault(t, "laptop")
	laptopN, _ := startNetwork(t, laptop, echosync.Options{Signal: []string{url}})
	inv, err := laptopN.Invite(t.Context(), echosync.InviteOptions{Kind: halo.InviteDevice, AuthCode: true, Level: halo.LevelPrimary})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	p := pairing{keys: newDeviceKeys(t)}
	if err := p.pair(t, inv, full); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
	other := pairing{keys: newDeviceKeys(t)}
	if err := other.pair(t, inv, nil); !errors.Is(err, echosync.ErrUsed) {
		t.Errorf("another device: got %v, want %v", err, echosync.ErrUsed)
	}
	start := time.Now()
	if err := p.pair(t, inv, nil); err != nil {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
	phone, err := memrepo.NewDevice("phone", p.keys, p.got)
	if err != nil {
		t.Fatal(err)
	}
	if err := phone.MayAddDevice(); err != nil {
		t.Errorf("a primary device: %v", err)
	}
}
