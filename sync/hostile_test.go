package sync_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/memrepo"
	"echofs/sync/session"
)

// rogue is a member that speaks the protocol as it likes.
type rogue struct {
	tb   testing.TB
	me   *memrepo.Space
	s    *session.Session
	done chan error // how the honest end ended
}

// newRogue connects a member of a's space, under its own name, to a.
func newRogue(tb testing.TB, m *mesh, a, me *memrepo.Space) *rogue {
	tb.Helper()
	ca, cb := session.Pipe()
	sa, sb := sessions(tb, ca, cb, a.Vault().DeviceKeys(), me.Vault().DeviceKeys(), make([]byte, 32))
	r := &rogue{tb: tb, me: me, s: sb, done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	m.wg.Go(func() { r.done <- m.hubs[a].Run(ctx, sa, me.Vault().DeviceID()) })
	tb.Cleanup(cancel)
	return r
}

func (r *rogue) hello() echosync.Hello {
	v := r.me.Vault()
	return echosync.Hello{Device: v.DeviceID(), Identity: v.IdentityID(), Space: r.me.ID(), Heads: r.me.CredentialHeads()}
}

func (r *rogue) say(l session.Lane, m echosync.Message) {
	r.tb.Helper()
	b, err := echosync.EncodeMessage(m)
	if err != nil {
		r.tb.Fatal(err)
	}
	_ = r.s.Send(l, b) // a honest end may have left
}

// ends waits for how the honest end ends, and reads what it says meanwhile.
func (r *rogue) ends() error {
	r.tb.Helper()
	go func() {
		for {
			if _, err := r.s.Receive(session.Control); err != nil {
				return
			}
		}
	}()
	select {
	case err := <-r.done:
		return err
	case <-time.After(time.Minute):
		r.tb.Fatal("the honest end goes on")
		return nil
	}
}

func TestFaultsEndTheSession(t *testing.T) {
	wanted := func(n int) (list []echosync.Message) {
		for i := range n {
			list = append(list, echosync.Want{Feed: halo.FeedID{byte(i), byte(i >> 8)}, From: 0, To: 1 << 40})
		}
		return list
	}
	tests := map[string]func(*rogue){
		"no hello":     func(r *rogue) { r.say(session.Control, echosync.Ping{N: 1}) },
		"other space":  func(r *rogue) { h := r.hello(); h.Space[0] ^= 1; r.say(session.Control, h) },
		"other device": func(r *rogue) { h := r.hello(); h.Device[0] ^= 1; r.say(session.Control, h) },
		"garbage":      func(r *rogue) { r.say(session.Control, r.hello()); _ = r.s.Send(session.Control, []byte{32, 0xa0}) },
		"empty":        func(r *rogue) { r.say(session.Control, r.hello()); _ = r.s.Send(session.Control, nil) },
		"hello twice":  func(r *rogue) { r.say(session.Control, r.hello()); r.say(session.Control, r.hello()) },
		"bad credentials": func(r *rogue) {
			r.say(session.Control, r.hello())
			r.say(session.Control, echosync.Credentials{Raw: [][]byte{[]byte("x")}})
		},
		"vector on bulk": func(r *rogue) { r.say(session.Control, r.hello()); r.say(session.Bulk, echosync.VectorMsg{}) },
		"want beyond": func(r *rogue) {
			r.say(session.Control, r.hello())
			r.waitReady()
			r.say(session.Control, echosync.Want{From: 5, To: 6})
		},
		"many wants": func(r *rogue) {
			r.say(session.Control, r.hello())
			r.waitReady()
			for _, m := range wanted(2000) {
				r.say(session.Control, m)
			}
		},
		"empty push": func(r *rogue) {
			r.say(session.Control, r.hello())
			r.waitReady()
			r.say(session.Control, echosync.EntriesMsg{Feed: halo.FeedID{1}})
		},
	}
	for name, act := range tests {
		t.Run(name, func(t *testing.T) {
			s := shared(t, "ada", "eve")
			m := newMesh(t, s[0])
			s[0].Write([]byte("x"))
			r := newRogue(t, m, s[0], s[1])
			act(r)
			err := r.ends()
			if !errors.Is(err, echosync.ErrPeerFault) && !errors.Is(err, echosync.ErrNotMember) {
				t.Errorf("got %v, want %v", err, echosync.ErrPeerFault)
			}
		})
	}
}

// waitReady reads until the honest end tells its vector, which it does for
// members only.
func (r *rogue) waitReady() {
	for {
		b, err := r.s.Receive(session.Control)
		if err != nil {
			return
		}
		if m, err := echosync.DecodeMessage(b); err == nil {
			if _, ok := m.(echosync.VectorMsg); ok {
				return
			}
		}
	}
}

func TestSilentPeerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shared(t, "ada", "eve")
		m := newMesh(t, s[0])
		r := newRogue(t, m, s[0], s[1])
		r.say(session.Control, r.hello())
		start := time.Now()
		if err := r.ends(); !errors.Is(err, echosync.ErrSilent) {
			t.Errorf("got %v, want %v", err, echosync.ErrSilent)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %v to notice", took)
		}
	})
}

// A device cannot pass for another: its session key is not the other's.
func TestImpersonation(t *testing.T) {
	s := shared(t, "ada", "ben", "eve")
	a, b, eve := s[0], s[1], s[2]
	m := newMesh(t, a)
	ca, cb := session.Pipe()
	sa, sb := sessions(t, ca, cb, a.Vault().DeviceKeys(), eve.Vault().DeviceKeys(), make([]byte, 32))
	r := &rogue{tb: t, me: b, s: sb, done: make(chan error, 1)}
	m.wg.Go(func() { r.done <- m.hubs[a].Run(t.Context(), sa, b.Vault().DeviceID()) })
	r.say(session.Control, r.hello())
	if err := r.ends(); !errors.Is(err, echosync.ErrPeerFault) {
		t.Errorf("got %v, want %v", err, echosync.ErrPeerFault)
	}
}

// answerPings reads and answers nothing but pings.
func (r *rogue) answerPings() {
	go func() {
		for {
			b, err := r.s.Receive(session.Control)
			if err != nil {
				return
			}
			if m, err := echosync.DecodeMessage(b); err == nil {
				if p, ok := m.(echosync.Ping); ok {
					r.say(session.Control, echosync.Pong(p))
				}
			}
		}
	}()
}

// Positions that a peer tells of and does not have cost it nothing but being
// asked; the same entries come from another.
func TestLiarDoesNotBlockOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shared(t, "ada", "ben", "eve")
		a, b, eve := s[0], s[1], s[2]
		m := newMesh(t, a, b)
		r := newRogue(t, m, a, eve)
		r.say(session.Control, r.hello())
		r.waitReady()
		r.say(session.Control, echosync.VectorMsg{Feeds: []echosync.Holding{{Feed: b.Own(), Next: 1 << 40}}})
		r.answerPings()
		b.Write([]byte("from ben"))
		m.link(a, b)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.Wait(ctx, has(a, b.Own(), 1)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("a liar held up others for %v", took)
		}
		if got := a.Read(b.Own()); !bytes.Equal(got[0], []byte("from ben")) {
			t.Errorf("got %q", got)
		}
	})
}

// FuzzMessage: what decodes encodes to the same bytes.
func FuzzMessage(f *testing.F) {
	for _, m := range []echosync.Message{
		echosync.Hello{Heads: []halo.CredentialID{{1}}}, echosync.Heads{Heads: []halo.CredentialID{{1}}},
		echosync.Credentials{Raw: [][]byte{{1}}}, echosync.VectorMsg{Feeds: []echosync.Holding{{Next: 3}}},
		echosync.AckMsg{Feeds: []echosync.Holding{{Next: 3}}, More: true}, echosync.Want{To: 9},
		echosync.EntriesMsg{Raw: [][]byte{{1}}, Done: true}, echosync.Ping{N: 1}, echosync.Bye{Code: 403, Reason: "x"},
	} {
		b, err := echosync.EncodeMessage(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := echosync.DecodeMessage(b)
		if err != nil || m == nil {
			return
		}
		again, err := echosync.EncodeMessage(m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x, %v", b, again, err)
		}
	})
}
