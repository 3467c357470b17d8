package sync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/memrepo"
	"echofs/sync/session"
)

func newVault(tb testing.TB, name string) *memrepo.Vault {
	tb.Helper()
	v, err := memrepo.New(name)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// shared returns vaults that are members of one space of the first.
func shared(tb testing.TB, names ...string) []*memrepo.Space {
	tb.Helper()
	owner := newVault(tb, names[0])
	first, err := owner.CreateSpace("notes")
	if err != nil {
		tb.Fatal(err)
	}
	spaces := []*memrepo.Space{first}
	for _, name := range names[1:] {
		spaces = append(spaces, admit(tb, owner, first.ID(), newVault(tb, name)))
	}
	return spaces
}

func admit(tb testing.TB, owner *memrepo.Vault, id halo.SpaceID, guest *memrepo.Vault) *memrepo.Space {
	tb.Helper()
	err := owner.Admit(tb.Context(), id, guest.IdentityCredentials(), guest.DeviceID(), halo.RoleEditor)
	if err != nil {
		tb.Fatal(err)
	}
	space, _ := owner.Space(id)
	raw, err := space.Credentials()
	if err != nil {
		tb.Fatal(err)
	}
	s, err := guest.JoinSpace(id, "notes", raw)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// sessions makes a session of two devices.
func sessions(tb testing.TB, a, b session.Conn, ka, kb *halo.DeviceKeys, psk []byte) (*session.Session, *session.Session) {
	tb.Helper()
	var sa, sb *session.Session
	var ea, eb error
	var wg sync.WaitGroup
	cfg := session.Config{PSK: psk, Topic: []byte("topic")}
	wg.Go(func() {
		c := cfg
		c.Initiator, c.Key = true, ka.NoiseKey()
		sa, ea = session.Handshake(tb.Context(), a, c)
	})
	wg.Go(func() {
		c := cfg
		c.Key = kb.NoiseKey()
		sb, eb = session.Handshake(tb.Context(), b, c)
	})
	wg.Wait()
	if ea != nil || eb != nil {
		tb.Fatalf("handshake: %v, %v", ea, eb)
	}
	return sa, sb
}

// mesh runs hubs and the links between them.
type mesh struct {
	tb   testing.TB
	hubs map[*memrepo.Space]*echosync.Hub
	wg   sync.WaitGroup
}

func newMesh(tb testing.TB, spaces ...*memrepo.Space) *mesh {
	m := &mesh{tb: tb, hubs: make(map[*memrepo.Space]*echosync.Hub)}
	for _, s := range spaces {
		m.hubs[s] = echosync.NewHub(s.Vault(), s)
	}
	tb.Cleanup(func() {
		for _, h := range m.hubs {
			h.Close()
		}
		m.wg.Wait()
	})
	return m
}

// link is a session between two spaces of a mesh.
type link struct {
	cancel context.CancelFunc
	done   chan struct{}
	a, b   error // how the ends ended, once done is closed
}

// end ends the link from both sides.
func (l *link) end() {
	l.cancel()
	<-l.done
}

// wait waits until the link has ended by itself.
func (l *link) wait(tb testing.TB) {
	tb.Helper()
	select {
	case <-l.done:
	case <-time.After(time.Minute):
		tb.Fatal("the link does not end")
	}
}

func (m *mesh) link(a, b *memrepo.Space) *link {
	ca, cb := session.Pipe()
	sa, sb := sessions(m.tb, ca, cb, a.Vault().DeviceKeys(), b.Vault().DeviceKeys(), make([]byte, 32))
	ctx, cancel := context.WithCancel(context.Background())
	l := &link{cancel: cancel, done: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { l.a = m.hubs[a].Run(ctx, sa, b.Vault().DeviceID()) })
	wg.Go(func() { l.b = m.hubs[b].Run(ctx, sb, a.Vault().DeviceID()) })
	m.wg.Go(func() {
		wg.Wait()
		close(l.done)
	})
	m.tb.Cleanup(cancel)
	return l
}

func await(tb testing.TB, s *memrepo.Space, what string, cond func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	if err := s.Wait(ctx, cond); err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

func has(s *memrepo.Space, feed halo.FeedID, n int) func() bool {
	return func() bool { return s.Count(feed) >= n }
}

func TestExchangeBothWays(t *testing.T) {
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	for i := range 100 {
		a.Write(fmt.Appendf(nil, "a%d", i))
		b.Write(fmt.Appendf(nil, "b%d", i))
	}
	m := newMesh(t, a, b)
	m.link(a, b)
	await(t, b, "a's entries at b", has(b, a.Own(), 100))
	await(t, a, "b's entries at a", has(a, b.Own(), 100))
	for i, data := range b.Read(a.Own()) {
		if want := fmt.Sprintf("a%d", i); string(data) != want {
			t.Fatalf("entry %d is %q, want %q", i, data, want)
		}
	}
}

func TestFreshEntriesArePushed(t *testing.T) {
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	m := newMesh(t, a, b)
	m.link(a, b)
	a.Write([]byte("first"))
	await(t, b, "first entry", has(b, a.Own(), 1))
	var total time.Duration
	const rounds = 200
	for i := range rounds {
		start := time.Now()
		a.Write(fmt.Appendf(nil, "%d", i))
		await(t, b, "fresh entry", has(b, a.Own(), i+2))
		total += time.Since(start)
	}
	t.Logf("mean latency of a push: %v", total/rounds)
}

func TestAcks(t *testing.T) {
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	m := newMesh(t, a, b)
	m.link(a, b)
	a.Write([]byte("x"))
	await(t, a, "ack", func() bool { return a.Acked(b.Vault().DeviceID(), a.Own()) == 1 })
	if b.Vault().Flushes() == 0 {
		t.Error("acknowledged without a flush")
	}
}

func TestRelayedByAnyMember(t *testing.T) {
	s := shared(t, "ada", "ben", "cy")
	a, b, c := s[0], s[1], s[2]
	m := newMesh(t, a, b, c)
	// In a chain, where the ends do not meet: b must tell c of what a wrote.
	m.link(a, b)
	m.link(b, c)
	a.Write([]byte("from a"))
	await(t, c, "a's entry at c", has(c, a.Own(), 1))
	for i := range 50 {
		a.Write(fmt.Appendf(nil, "a%d", i))
		c.Write(fmt.Appendf(nil, "c%d", i))
	}
	await(t, c, "a's entries at c", has(c, a.Own(), 51))
	await(t, a, "c's entries at a", has(a, c.Own(), 50))
	await(t, a, "c's ack through b", func() bool { return a.Acked(b.Vault().DeviceID(), c.Own()) == 50 })
}

func TestLargeHistoryAndLargeEntries(t *testing.T) {
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	big := bytes.Repeat([]byte("x"), 1<<20)
	for range 10 {
		a.Write(big)
	}
	for i := range 5000 {
		a.Write(fmt.Appendf(nil, "entry number %d", i))
	}
	m := newMesh(t, a, b)
	m.link(a, b)
	await(t, b, "history", has(b, a.Own(), 5010))
	a.Write(big)
	await(t, b, "fresh large entry", has(b, a.Own(), 5011))
}

func TestReconnectGoesOn(t *testing.T) {
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	m := newMesh(t, a, b)
	for round := range 5 {
		l := m.link(a, b)
		a.Write([]byte("connected"))
		await(t, b, "entries", has(b, a.Own(), 2*round+1))
		l.end()
		a.Write([]byte("apart"))
	}
	m.link(a, b)
	await(t, b, "entries", has(b, a.Own(), 10))
}

func TestNewMemberProvesItself(t *testing.T) {
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	// Ada admits cy while ben is away: ben learns of it from cy.
	c := admit(t, a.Vault(), a.ID(), newVault(t, "cy"))
	m := newMesh(t, b, c)
	m.link(c, b)
	c.Write([]byte("hello"))
	await(t, b, "the new member's entry", has(b, c.Own(), 1))
	if _, ok := b.State().Member(c.Vault().IdentityID(), c.Vault().DeviceID()); !ok {
		t.Error("entries were taken from a device that is no member")
	}
}

func TestStrangerGetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := shared(t, "ada")[0]
		fake := memrepo.Pretend(newVault(t, "eve"), a.ID())
		a.Write([]byte("secret"))
		fake.Write([]byte("spam"))
		m := newMesh(t, a, fake)
		start := time.Now()
		l := m.link(a, fake)
		l.wait(t)
		if !errors.Is(l.a, echosync.ErrNotMember) && !errors.Is(l.b, echosync.ErrNotMember) {
			t.Errorf("ends: %v, %v, want %v", l.a, l.b, echosync.ErrNotMember)
		}
		if took := time.Since(start); took < time.Second || took > 15*time.Second {
			t.Errorf("a stranger had %v to prove itself", took)
		}
		if n := fake.Count(a.Own()); n != 0 {
			t.Errorf("a stranger got %d entries", n)
		}
		if n := a.Count(fake.Own()); n != 0 {
			t.Errorf("%d entries of a stranger were taken", n)
		}
	})
}

func TestRemovedMemberIsTold(t *testing.T) {
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	m := newMesh(t, a, b)
	l := m.link(a, b)
	a.Write([]byte("x"))
	await(t, b, "entry", has(b, a.Own(), 1))
	if err := a.Remove(b.Vault().IdentityID()); err != nil {
		t.Fatal(err)
	}
	a.Write([]byte("not for ben"))
	l.wait(t)
	if !errors.Is(l.a, echosync.ErrNotMember) {
		t.Errorf("the remover's end: %v, want %v", l.a, echosync.ErrNotMember)
	}
	if !errors.Is(l.b, echosync.ErrRefused) {
		t.Errorf("the removed's end: %v, want %v", l.b, echosync.ErrRefused)
	}
	if _, ok := b.State().Member(b.Vault().IdentityID(), b.Vault().DeviceID()); ok {
		t.Error("the removed does not know that it is")
	}
	if n := b.Count(a.Own()); n != 1 {
		t.Errorf("the removed holds %d entries, want 1", n)
	}
	l = m.link(a, b)
	l.wait(t)
	if !errors.Is(l.a, echosync.ErrNotMember) {
		t.Errorf("the second time: %v, want %v", l.a, echosync.ErrNotMember)
	}
}

func TestBrokenChainIsTheSendersFault(t *testing.T) {
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	a.Write([]byte("good"))
	a.Forge([]byte("this is longer than an id and does not continue the chain"))
	m := newMesh(t, a, b)
	l := m.link(a, b)
	l.wait(t)
	if !errors.Is(l.b, echosync.ErrPeerFault) {
		t.Errorf("the receiver's end: %v, want %v", l.b, echosync.ErrPeerFault)
	}
}
