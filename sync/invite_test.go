package sync_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/memrepo"
)

// pair is a host with a space and a guest, both on one signaling server.
type pair struct {
	host, guest   *memrepo.Vault
	space         *memrepo.Space
	hostN, guestN *echosync.Network
}

func newPair(t *testing.T) *pair {
	t.Helper()
	url, _ := startSignal(t, "")
	p := &pair{host: newVault(t, "ada"), guest: newVault(t, "ben")}
	var err error
	if p.space, err = p.host.CreateSpace("notes"); err != nil {
		t.Fatal(err)
	}
	p.hostN, _ = startNetwork(t, p.host, echosync.Options{Signal: []string{url}})
	// The guest knows no server but the one in the code.
	p.guestN, _ = startNetwork(t, p.guest, echosync.Options{})
	waitFor(t, "signaling", func() bool { return p.hostN.SignalConnected() == 1 })
	return p
}

func (p *pair) invite(t *testing.T, opts echosync.InviteOptions) *echosync.Invitation {
	t.Helper()
	opts.Space = p.space.ID()
	inv, err := p.hostN.Invite(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inv.Cancel)
	return inv
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// digits returns a callback that gives a fixed authorization code.
func digits(code string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return code, nil }
}

// progress records the states of a guest.
type progress struct {
	mu     sync.Mutex
	states []halo.GuestState
}

func (p *progress) tell(s halo.GuestState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = append(p.states, s)
}

func TestInviteAndJoin(t *testing.T) {
	p := newPair(t)
	p.space.Write([]byte("welcome"))
	inv := p.invite(t, echosync.InviteOptions{AuthCode: true})
	var seen progress
	start := time.Now()
	joined, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{
		AuthCode: digits(inv.AuthCode()), DisplayName: "Ben", Progress: seen.tell,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("joined after %v", time.Since(start))
	if joined.ID() != p.space.ID() || joined.Name() != "notes" {
		t.Errorf("joined %s %q", joined.ID().Short(), joined.Name())
	}
	who, err := inv.Wait(timeout(t))
	if err != nil || who.Device != p.guest.DeviceID() || who.Name != "Ben" {
		t.Errorf("host knows %+v, %v", who, err)
	}
	var states []halo.HostState
	for u := range inv.States() {
		states = append(states, u.State)
	}
	want := []halo.HostState{halo.HostOpen, halo.HostContacted, halo.HostAuthOK, halo.HostCommitted, halo.HostDone}
	if !slices.Equal(states, want) {
		t.Errorf("host's states %v, want %v", states, want)
	}
	wantGuest := []halo.GuestState{
		halo.GuestEntered, halo.GuestConnecting, halo.GuestAuthOK, halo.GuestOfferShown,
		halo.GuestRequested, halo.GuestReceived, halo.GuestSyncing, halo.GuestJoined,
	}
	if !slices.Equal(seen.states, wantGuest) {
		t.Errorf("guest's states %v, want %v", seen.states, wantGuest)
	}
	if role := p.space.State().Role(p.guest.IdentityID()); role != halo.RoleEditor {
		t.Errorf("role %v, want %v", role, halo.RoleEditor)
	}
	// The space replicates at once, over the server that the code named.
	space, _ := p.guest.Space(p.space.ID())
	await(t, space, "the host's entry", has(space, p.space.Own(), 1))
	space.Write([]byte("thanks"))
	await(t, p.space, "the guest's entry", has(p.space, space.Own(), 1))
	t.Logf("both ways after %v", time.Since(start))
}

func TestJoinWithoutAuthCode(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{Role: halo.RoleReader})
	if inv.AuthCode() != "" {
		t.Errorf("authorization code %q, want none", inv.AuthCode())
	}
	if _, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{Name: "shared"}); err != nil {
		t.Fatal(err)
	}
	if role := p.space.State().Role(p.guest.IdentityID()); role != halo.RoleReader {
		t.Errorf("role %v, want %v", role, halo.RoleReader)
	}
	if s, ok := p.guest.Space(p.space.ID()); !ok || s.Name() != "shared" {
		t.Error("the space has not the name the guest gave it")
	}
}

func TestWrongAuthCodeBurnsTheInvitation(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{AuthCode: true})
	wrong := "000000"
	if inv.AuthCode() == wrong {
		wrong = "111111"
	}
	for try := 1; try <= halo.AuthTries; try++ {
		_, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{AuthCode: digits(wrong)})
		if !errors.Is(err, echosync.ErrWrongCode) {
			t.Fatalf("try %d: %v, want %v", try, err, echosync.ErrWrongCode)
		}
		if burned := errors.Is(err, echosync.ErrBurned); burned != (try == halo.AuthTries) {
			t.Errorf("try %d: burned %v", try, burned)
		}
	}
	if _, err := inv.Wait(timeout(t)); !errors.Is(err, echosync.ErrBurned) {
		t.Errorf("host: %v, want %v", err, echosync.ErrBurned)
	}
	_, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{AuthCode: digits(inv.AuthCode())})
	if !errors.Is(err, echosync.ErrBurned) {
		t.Errorf("the right code after that: %v, want %v", err, echosync.ErrBurned)
	}
	if role := p.space.State().Role(p.guest.IdentityID()); role != halo.RoleNone {
		t.Errorf("the guest became %v", role)
	}
}

func TestMissingAuthCodeIsNoTry(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{AuthCode: true})
	for range 5 {
		_, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{})
		if !errors.Is(err, echosync.ErrWrongCode) || errors.Is(err, echosync.ErrBurned) {
			t.Fatalf("without digits: %v, want %v", err, echosync.ErrWrongCode)
		}
	}
	if _, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{AuthCode: digits(inv.AuthCode())}); err != nil {
		t.Fatal(err)
	}
}

func TestInvitationIsForOneGuest(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{})
	other := newVault(t, "cy")
	otherN, _ := startNetwork(t, other, echosync.Options{})
	if _, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := otherN.Join(timeout(t), inv.Code(), echosync.JoinOptions{}); !errors.Is(err, echosync.ErrUsed) {
		t.Errorf("a second guest with the same code: %v, want %v", err, echosync.ErrUsed)
	}
	if role := p.space.State().Role(other.IdentityID()); role != halo.RoleNone {
		t.Errorf("the second guest became %v", role)
	}
}

func TestTwoGuestsRace(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{})
	other := newVault(t, "cy")
	otherN, _ := startNetwork(t, other, echosync.Options{})
	ctx := timeout(t)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i, n := range []*echosync.Network{p.guestN, otherN} {
		wg.Go(func() { _, errs[i] = n.Join(ctx, inv.Code(), echosync.JoinOptions{}) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("want exactly one to join: %v, %v", errs[0], errs[1])
	}
	if members := len(p.space.State().Members()); members != 2 {
		t.Errorf("%d members, want 2", members)
	}
}

func TestApproval(t *testing.T) {
	p := newPair(t)
	var asked atomic.Int32
	var answer atomic.Bool
	opts := echosync.InviteOptions{Approve: func(_ context.Context, g echosync.GuestInfo) bool {
		asked.Add(1)
		if g.Identity != p.guest.IdentityID() {
			t.Errorf("asked about %v", g.Identity)
		}
		return answer.Load()
	}}
	inv := p.invite(t, opts)
	if _, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{}); !errors.Is(err, echosync.ErrDeclined) {
		t.Errorf("declined guest: %v, want %v", err, echosync.ErrDeclined)
	}
	answer.Store(true)
	if _, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{}); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestJoinRefusals(t *testing.T) {
	p := newPair(t)
	if _, err := p.guestN.Join(timeout(t), "echofs1-nonsense", echosync.JoinOptions{}); !errors.Is(err, halo.ErrBadCode) {
		t.Errorf("nonsense: %v, want %v", err, halo.ErrBadCode)
	}
	inv := p.invite(t, echosync.InviteOptions{Expires: time.Second})
	if _, err := inv.Wait(timeout(t)); !errors.Is(err, echosync.ErrExpired) {
		t.Errorf("host after the end: %v, want %v", err, echosync.ErrExpired)
	}
	if _, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{}); !errors.Is(err, echosync.ErrExpired) {
		t.Errorf("expired: %v, want %v", err, echosync.ErrExpired)
	}
	inv = p.invite(t, echosync.InviteOptions{})
	inv.Cancel()
	if _, err := inv.Wait(timeout(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	p.guestN.SetOffline(true)
	waitFor(t, "going offline", func() bool { return p.guestN.Offline() })
	if _, err := p.hostN.Invite(t.Context(), echosync.InviteOptions{Space: halo.SpaceID{1}}); !errors.Is(err, echosync.ErrNotFound) {
		t.Errorf("unknown space: %v, want %v", err, echosync.ErrNotFound)
	}
	if _, err := p.hostN.Invite(t.Context(), echosync.InviteOptions{Space: p.space.ID(), Role: halo.RoleOwner}); err != nil {
		t.Errorf("an owner may invite an owner: %v", err)
	}
}

func TestMemberJoinsAgain(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{})
	if _, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{}); err != nil {
		t.Fatal(err)
	}
	inv = p.invite(t, echosync.InviteOptions{})
	space, err := p.guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{})
	if !errors.Is(err, echosync.ErrMember) || space == nil || space.ID() != p.space.ID() {
		t.Errorf("got %v, %v; want the space and %v", space, err, echosync.ErrMember)
	}
}
