package sync_test

import (
	"testing"
	"time"

	echosync "echofs/sync"
	"echofs/sync/lan"
)

// onLAN are the options of a network that finds others without any server.
func onLAN() echosync.Options { return echosync.Options{LAN: &lan.Options{Loopback: true}} }

func TestLocalNetworkWithoutServer(t *testing.T) {
	s := shared(t, "ada", "ben", "cy")
	start := time.Now()
	var nets []*echosync.Network
	for _, space := range s {
		n, _ := startNetwork(t, space.Vault(), onLAN())
		nets = append(nets, n)
	}
	s[0].Write([]byte("from ada"))
	await(t, s[2], "ada's entry at cy", has(s[2], s[0].Own(), 1))
	t.Logf("first entry without a server after %v", time.Since(start))
	waitFor(t, "the full mesh", func() bool {
		for _, n := range nets {
			if n.Connected(s[0].ID()) != 2 {
				return false
			}
		}
		return true
	})
	for _, p := range nets[0].Peers() {
		if p.Path != "lan" {
			t.Errorf("path %q, want lan", p.Path)
		}
	}
}

// Devices that share no space see each other's announcements and no more.
func TestLocalStrangersStayApart(t *testing.T) {
	a, b := shared(t, "ada", "ben"), shared(t, "cy", "dan")
	na, _ := startNetwork(t, a[0].Vault(), onLAN())
	startNetwork(t, a[1].Vault(), onLAN())
	nc, _ := startNetwork(t, b[0].Vault(), onLAN())
	startNetwork(t, b[1].Vault(), onLAN())
	waitFor(t, "both pairs", func() bool { return na.Connected(a[0].ID()) == 1 && nc.Connected(b[0].ID()) == 1 })
	if n := len(na.Peers()); n != 1 {
		t.Errorf("%d peers, want 1", n)
	}
}

func TestInviteWithoutServer(t *testing.T) {
	ada, ben := newVault(t, "ada"), newVault(t, "ben")
	notes, err := ada.CreateSpace("notes")
	if err != nil {
		t.Fatal(err)
	}
	na, _ := startNetwork(t, ada, onLAN())
	nb, _ := startNetwork(t, ben, onLAN())
	inv, err := na.Invite(t.Context(), echosync.InviteOptions{Space: notes.ID(), AuthCode: true})
	if err != nil {
		t.Fatal(err)
	}
	defer inv.Cancel()
	start := time.Now()
	if _, err := nb.Join(timeout(t), inv.Code(), echosync.JoinOptions{AuthCode: digits(inv.AuthCode())}); err != nil {
		t.Fatal(err)
	}
	t.Logf("joined after %v", time.Since(start))
}
