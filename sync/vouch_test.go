package sync_test

import (
	"slices"
	"testing"

	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/memrepo"
)

// TestForgedVouchers hands over acknowledgements that no device of a member
// signed for this space.
func TestForgedVouchers(t *testing.T) {
	ada, err := memrepo.New("ada")
	if err != nil {
		t.Fatal(err)
	}
	eve, err := memrepo.New("eve")
	if err != nil {
		t.Fatal(err)
	}
	space, err := ada.CreateSpace("notes")
	if err != nil {
		t.Fatal(err)
	}
	plain := echosync.Voucher{Device: ada.DeviceID(), Identity: ada.IdentityID(), At: 1, All: true,
		Feeds: []echosync.Holding{{Feed: halo.FeedID{1}, Next: 7, Last: halo.EntryID{2}}}}
	signed := func(v echosync.Voucher, space halo.SpaceID, by *memrepo.Vault) echosync.Voucher {
		v, err := echosync.SignVoucher(v, space, by.DeviceKeys())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	good := signed(plain, space.ID(), ada)
	stranger := plain
	stranger.Device, stranger.Identity = eve.DeviceID(), eve.IdentityID()
	more := good
	more.Feeds = []echosync.Holding{{Feed: halo.FeedID{1}, Next: 8, Last: halo.EntryID{2}}}
	later := good
	later.At++
	for _, c := range []struct {
		what string
		v    echosync.Voucher
		want bool
	}{
		{"as it was signed", good, true},
		{"without a signature", plain, false},
		{"signed by another device", signed(plain, space.ID(), eve), false},
		{"of a device that is no member's", signed(stranger, space.ID(), eve), false},
		{"for another space", signed(plain, halo.SpaceID{9}, ada), false},
		{"of more than was signed", more, false},
		{"of another time", later, false},
	} {
		if got := echosync.TrustVoucher(c.v, space.ID(), space.State()); got != c.want {
			t.Errorf("a voucher %s: got %v, want %v", c.what, got, c.want)
		}
	}
}

// TestVouchersAreBounded replays vouchers, and adds more than a device sends.
func TestVouchersAreBounded(t *testing.T) {
	at := func(n uint64, all bool) echosync.Voucher {
		return echosync.Voucher{Device: halo.DeviceID{1}, At: n, All: all}
	}
	news, kept := echosync.KeepVouchers(at(5, true), at(5, true), at(4, false), at(6, false), at(6, false), at(7, true), at(6, false))
	if want := []bool{true, false, false, true, false, true, false}; !slices.Equal(news, want) {
		t.Errorf("news: got %v, want %v", news, want)
	}
	if kept != 1 {
		t.Errorf("got %d kept, want the one that tells everything", kept)
	}
	var flood []echosync.Voucher
	for n := range uint64(10_000) {
		flood = append(flood, at(n+1, false))
	}
	if _, kept := echosync.KeepVouchers(flood...); kept > 16 {
		t.Errorf("a flood by one device: got %d kept, want at most 16", kept)
	}
}
