package sync_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
	echosync "echofs/sync"
)

// linked is a space with a link, and people on one signaling server.
type linked struct {
	t     *testing.T
	url   string
	ada   *echotest.Vault
	adaN  *echosync.Network
	space *echo.Space
}

func newLinked(t *testing.T) *linked {
	t.Helper()
	url, _ := startSignal(t, "")
	l := &linked{t: t, url: url}
	l.ada, l.adaN = l.person("ada")
	var err error
	if l.space, err = l.ada.CreateSpace(t.Context(), "notes"); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *linked) person(name string) (*echotest.Vault, *echosync.Network) {
	l.t.Helper()
	return runVault(l.t, name, echosync.Options{Signal: []string{l.url}})
}

func (l *linked) link(opts echo.LinkOptions) string {
	l.t.Helper()
	if opts.Role == halo.RoleNone {
		opts.Role = halo.RoleEditor
	}
	if opts.MaxUses == 0 {
		opts.MaxUses = 10
	}
	if opts.Expires.IsZero() {
		opts.Expires = time.Now().Add(time.Hour)
	}
	opts.URLs = []string{l.url}
	link, err := l.space.IssueLink(l.t.Context(), opts)
	if err != nil {
		l.t.Fatal(err)
	}
	text, err := link.URL()
	if err != nil {
		l.t.Fatal(err)
	}
	return text
}

// attempt is somebody who joins.
type attempt struct {
	seen   progress
	said   chan halo.GuestState
	sas    chan [4]string
	result chan error
	stop   context.CancelFunc
}

func (l *linked) join(n *echosync.Network, link, name string) *attempt {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	l.t.Cleanup(cancel)
	a := &attempt{said: make(chan halo.GuestState, 64), sas: make(chan [4]string, 64), result: make(chan error, 1), stop: cancel}
	go func() {
		_, err := n.Join(ctx, link, echosync.JoinOptions{DisplayName: name, Pictures: func(s [4]string) { a.sas <- s },
			Progress: func(s halo.GuestState) { a.seen.tell(s); a.said <- s }})
		a.result <- err
	}()
	return a
}

// waits fails unless the guest is told to wait.
func (l *linked) waits(a *attempt) {
	l.t.Helper()
	for {
		select {
		case s := <-a.said:
			if s == halo.GuestWaiting {
				return
			}
		case err := <-a.result:
			l.t.Fatalf("a guest that has to wait: got %v after %v", err, a.seen.states)
		}
	}
}

// comes waits until somebody waits in a space, and returns it.
func comes(tb testing.TB, v *echotest.Vault, s *echo.Space, name string) echo.Waiting {
	tb.Helper()
	sub := v.Subscribe(echo.Members)
	defer sub.Close()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		if w, err := s.FindWaiting(name); err == nil {
			return w
		}
		select {
		case <-sub.C():
			sub.Take()
		case <-deadline.C:
			tb.Fatalf("%s does not wait; who does: %+v", name, s.Waiting())
		}
	}
}

// A link admits as many as it says, whoever of its hosts is there; who comes
// after that waits until an admin approves.
func TestLinkAdmitsWhileItsMakerIsAway(t *testing.T) {
	l := newLinked(t)
	save(t, l.ada, l.space, "hello.json", `{"n":1}`)
	link := l.link(echo.LinkOptions{MaxUses: 2})
	bob, bobN := l.person("bob")
	cleo, cleoN := l.person("cleo")
	dan, danN := l.person("dan")

	a := l.join(bobN, link, "Bob")
	if err := <-a.result; err != nil {
		t.Fatal(err)
	}
	want := []halo.GuestState{halo.GuestEntered, halo.GuestConnecting, halo.GuestAuthOK, halo.GuestOfferShown,
		halo.GuestRequested, halo.GuestReceived, halo.GuestSyncing, halo.GuestJoined}
	if !slices.Equal(a.seen.states, want) {
		t.Errorf("guest's states %v, want %v", a.seen.states, want)
	}
	bobs, _ := bob.SpaceByID(l.space.ID())
	shows(t, bob, bobs, "hello.json", `{"n":1}`)

	l.adaN.SetOffline(true)
	if err := <-l.join(cleoN, link, "Cleo").result; err != nil {
		t.Fatalf("while its maker is away: %v", err)
	}
	cleos, _ := cleo.SpaceByID(l.space.ID())
	shows(t, cleo, cleos, "hello.json", `{"n":1}`)

	third := l.join(danN, link, "Dan")
	l.waits(third)
	l.adaN.SetOffline(false)
	w := comes(t, l.ada, l.space, "Dan")
	if !w.Over || w.Role != halo.RoleEditor || w.SAS != <-third.sas {
		t.Errorf("who waits: got %+v, want Dan, beyond the limit, with the pictures he was shown", w)
	}
	if err := cleos.Approve(t.Context(), w.Identity); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("an editor approves: got %v, want %v", err, halo.ErrNotAllowed)
	}
	if err := l.space.Approve(t.Context(), w.Identity); err != nil {
		t.Fatal(err)
	}
	if err := <-third.result; err != nil {
		t.Fatalf("after the approval: %v", err)
	}
	dans, _ := dan.SpaceByID(l.space.ID())
	save(t, dan, dans, "dan.json", `{"n":2}`)
	shows(t, l.ada, l.space, "dan.json", `{"n":2}`)
	if _, err := bobN.Join(timeout(t), link, echosync.JoinOptions{}); !errors.Is(err, echosync.ErrMember) {
		t.Errorf("a member joins: got %v, want %v", err, echosync.ErrMember)
	}
}

// Who waits may leave and come again, and is asked about once; who was declined
// or removed comes by no link.
func TestLinkAsksForApproval(t *testing.T) {
	l := newLinked(t)
	link := l.link(echo.LinkOptions{Ask: true, Role: halo.RoleReader})
	_, bobN := l.person("bob")
	_, cleoN := l.person("cleo")

	first := l.join(bobN, link, "Bob")
	l.waits(first)
	first.stop()
	<-first.result
	again := l.join(bobN, link, "Bob")
	l.waits(again)
	if n := len(l.space.Waiting()); n != 1 {
		t.Errorf("who came twice waits %d times", n)
	}
	w := comes(t, l.ada, l.space, "Bob")
	if err := l.space.Approve(t.Context(), w.Identity); err != nil {
		t.Fatal(err)
	}
	if err := <-again.result; err != nil {
		t.Fatalf("approved: %v", err)
	}
	if role := l.space.State().Role(w.Identity); role != halo.RoleReader {
		t.Errorf("role: got %v, want reader", role)
	}

	declined := l.join(cleoN, link, "Cleo")
	l.waits(declined)
	if err := l.space.Decline(t.Context(), comes(t, l.ada, l.space, "Cleo").Identity); err != nil {
		t.Fatal(err)
	}
	if err := <-declined.result; !errors.Is(err, echosync.ErrDeclined) {
		t.Errorf("declined: got %v, want %v", err, echosync.ErrDeclined)
	}
	auto := l.link(echo.LinkOptions{})
	for _, text := range []string{link, auto} {
		if err := <-l.join(cleoN, text, "Cleo").result; !errors.Is(err, echosync.ErrDeclined) {
			t.Errorf("comes again: got %v, want %v", err, echosync.ErrDeclined)
		}
	}
}

// Guests learn that a link is withdrawn, or over.
func TestLinkEnds(t *testing.T) {
	l := newLinked(t)
	_, bobN := l.person("bob")
	over := l.link(echo.LinkOptions{Expires: time.Now().Add(-time.Minute)})
	if err := <-l.join(bobN, over, "Bob").result; !errors.Is(err, echosync.ErrExpired) {
		t.Errorf("over: got %v, want %v", err, echosync.ErrExpired)
	}
	text := l.link(echo.LinkOptions{})
	link, err := halo.ParseLink(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.space.RevokeLink(t.Context(), link.ID()); err != nil {
		t.Fatal(err)
	}
	if err := <-l.join(bobN, text, "Bob").result; !errors.Is(err, echosync.ErrCancelled) {
		t.Errorf("withdrawn: got %v, want %v", err, echosync.ErrCancelled)
	}
	if err := l.space.RevokeLink(t.Context(), link.ID()); !errors.Is(err, echo.ErrNotFound) {
		t.Errorf("withdrawn again: got %v, want %v", err, echo.ErrNotFound)
	}
	if n := len(l.space.State().Members()); n != 1 {
		t.Errorf("%d members, want 1", n)
	}
}

// Many come at a time: all are in, once each.
func TestLinkForManyAtOnce(t *testing.T) {
	l := newLinked(t)
	link := l.link(echo.LinkOptions{})
	var wg sync.WaitGroup
	const guests = 4
	errs := make([]error, guests)
	for i := range guests {
		_, n := l.person(string(rune('b' + i)))
		wg.Go(func() { errs[i] = <-l.join(n, link, "guest").result })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	state := l.space.State()
	if n := len(state.Members()); n != guests+1 {
		t.Errorf("%d members, want %d", n, guests+1)
	}
	if uses := len(state.Links()[0].Uses); uses != guests {
		t.Errorf("%d uses, want %d", uses, guests)
	}
}

// The user decides about the guest of a code, also if the host was started again.
func TestAskAboutAGuest(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{Ask: true})
	if err := p.hostN.DecideInvite(inv.ID(), true); !errors.Is(err, echosync.ErrNotFound) {
		t.Errorf("before anybody came: got %v, want %v", err, echosync.ErrNotFound)
	}
	for _, admit := range []bool{false, true} {
		ctx := timeout(t)
		joined := make(chan error, 1)
		go func() {
			_, err := p.guestN.Join(ctx, inv.Code(), echosync.JoinOptions{DisplayName: "Ben"})
			joined <- err
		}()
		for u := range inv.States() {
			if u.State == halo.HostReview {
				if u.Guest.Name != "Ben" || u.Guest.SAS == [4]string{} {
					t.Errorf("reviewed: got %+v", u.Guest)
				}
				break
			}
		}
		if list, err := p.hostN.Invites(); err != nil || list[0].State != halo.HostReview {
			t.Errorf("list: got %+v, %v", list, err)
		}
		if err := p.hostN.DecideInvite(inv.ID(), admit); err != nil {
			t.Error(err)
		}
		if err := <-joined; admit && err != nil || !admit && !errors.Is(err, echosync.ErrDeclined) {
			t.Errorf("decided %v: got %v", admit, err)
		}
	}
}

// Two hosts that do not hear of each other admit one guest too many: it waits,
// on every vault the same one, and reads nothing of the epoch that begins then.
func TestLinkOverflows(t *testing.T) {
	l := newLinked(t)
	link := l.link(echo.LinkOptions{MaxUses: 2})
	bob, bobN := l.person("bob")
	if err := <-l.join(bobN, link, "Bob").result; err != nil {
		t.Fatal(err)
	}
	bobs, _ := bob.SpaceByID(l.space.ID())
	save(t, bob, bobs, "f.json", `{"n":1}`)
	shows(t, l.ada, l.space, "f.json", `{"n":1}`)
	guests := map[string]*echotest.Vault{}
	networks := map[string]*echosync.Network{}
	for _, at := range []struct {
		name string
		away *echosync.Network
	}{{"cleo", l.adaN}, {"dan", bobN}} {
		at.away.SetOffline(true)
		guests[at.name], networks[at.name] = l.person(at.name)
		if err := <-l.join(networks[at.name], link, at.name).result; err != nil {
			t.Fatalf("%s: %v", at.name, err)
		}
		networks[at.name].SetOffline(true)
		at.away.SetOffline(false)
		if at.away == l.adaN {
			bobN.SetOffline(true)
		}
	}
	bobN.SetOffline(false)
	waitFor(t, "one of them waits for both", func() bool {
		return len(l.space.Waiting()) == 1 && len(bobs.Waiting()) == 1
	})
	over := l.space.Waiting()[0]
	if other := bobs.Waiting()[0]; other.Identity != over.Identity || !over.Over {
		t.Errorf("who waits: got %+v and %+v", over, other)
	}
	save(t, l.ada, l.space, "secret.json", `{"n":2}`)
	shows(t, bob, bobs, "secret.json", `{"n":2}`)
	held := guests[over.Name]
	helds, _ := held.SpaceByID(l.space.ID())
	networks[over.Name].SetOffline(false)
	waitFor(t, "it learns that it waits", func() bool { return helds.State().Role(held.IdentityID()) == halo.RoleNone })
	if _, err := held.Lookup(helds.Ino(), "secret.json"); err == nil {
		t.Error("who waits has what was written since")
	}
	epochs := l.space.State().Epochs()
	if known, _ := slices.ContainsFunc(helds.EpochKeys(), func(k halo.EpochKey) bool { return k.ID(l.space.ID()) == epochs[len(epochs)-1].ID }), true; known {
		t.Error("who waits has the key of the epoch that began then")
	}
	if err := l.space.Approve(t.Context(), over.Identity); err != nil {
		t.Fatal(err)
	}
	networks[over.Name].SetOffline(true) // it would try again by itself, later
	waitFor(t, "going offline", func() bool { return networks[over.Name].SignalConnected() == 0 })
	networks[over.Name].SetOffline(false)
	shows(t, held, helds, "secret.json", `{"n":2}`)
}
