package session_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echofs/sync/session"
)

func newKey(tb testing.TB) *ecdh.PrivateKey {
	tb.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// ends is both ends of a handshake.
type ends struct {
	a, b       session.Conn
	ca, cb     session.Config
	keyA, keyB *ecdh.PrivateKey
}

func newEnds(tb testing.TB) *ends {
	e := &ends{keyA: newKey(tb), keyB: newKey(tb)}
	e.a, e.b = session.Pipe()
	base := session.Config{PSK: bytes.Repeat([]byte{7}, 32), Topic: []byte("topic"), Session: [16]byte{1}}
	e.ca, e.cb = base, base
	e.ca.Initiator, e.ca.Key, e.cb.Key = true, e.keyA.Bytes(), e.keyB.Bytes()
	return e
}

func (e *ends) handshake(ctx context.Context) (sa, sb *session.Session, ea, eb error) {
	var wg sync.WaitGroup
	wg.Go(func() { sa, ea = session.Handshake(ctx, e.a, e.ca) })
	wg.Go(func() { sb, eb = session.Handshake(ctx, e.b, e.cb) })
	wg.Wait()
	return sa, sb, ea, eb
}

func mustHandshake(tb testing.TB, e *ends) (*session.Session, *session.Session) {
	tb.Helper()
	sa, sb, ea, eb := e.handshake(tb.Context())
	if ea != nil || eb != nil {
		tb.Fatalf("handshake: %v, %v", ea, eb)
	}
	tb.Cleanup(func() { sa.Close(); sb.Close() })
	return sa, sb
}

func TestHandshake(t *testing.T) {
	e := newEnds(t)
	sa, sb := mustHandshake(t, e)
	if ra := sa.Remote(); !bytes.Equal(ra[:], e.keyB.PublicKey().Bytes()) {
		t.Error("the initiator has another key of the responder")
	}
	if rb := sb.Remote(); !bytes.Equal(rb[:], e.keyA.PublicKey().Bytes()) {
		t.Error("the responder has another key of the initiator")
	}
	if !bytes.Equal(sa.Hash(), sb.Hash()) || len(sa.Hash()) != 32 {
		t.Error("the handshake hashes differ")
	}
}

// Whatever the ends do not agree on, the handshake fails at both.
func TestHandshakeDisagreements(t *testing.T) {
	tests := map[string]func(*ends){
		"psk":          func(e *ends) { e.cb.PSK = bytes.Repeat([]byte{8}, 32) },
		"topic":        func(e *ends) { e.cb.Topic = []byte("other") },
		"session":      func(e *ends) { e.cb.Session = [16]byte{2} },
		"certificates": func(e *ends) { _, e.b = between(e.a, e.b) },
		"both respond": func(e *ends) { e.ca.Initiator = false },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnds(t)
				change(e)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _, ea, eb := e.handshake(ctx)
				if ea == nil || eb == nil {
					t.Errorf("ends: %v, %v; want both to fail", ea, eb)
				}
				if name != "both respond" && !errors.Is(eb, session.ErrHandshake) {
					t.Errorf("responder: %v, want %v", eb, session.ErrHandshake)
				}
			})
		})
	}
}

// between is somebody in the middle who carries everything verbatim, but whose
// certificates the ends see.
func between(a, b session.Conn) (session.Conn, session.Conn) {
	return a, rebound{b}
}

type rebound struct{ session.Conn }

func (r rebound) Binding() session.Binding {
	b := r.Conn.Binding()
	b.Remote[0] ^= 1
	return b
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	e := newEnds(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := session.Handshake(ctx, e.a, e.ca)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, err := e.b.Channel(session.Control).Write([]byte("x")); err == nil {
		t.Error("the connection is still open")
	}
}

func TestMessagesOfAllSizes(t *testing.T) {
	sa, sb := mustHandshake(t, newEnds(t))
	for _, lane := range []session.Lane{session.Control, session.Bulk} {
		for _, size := range []int{0, 1, 100, 16<<10 - 18, 16<<10 - 17, 16<<10 - 16, 64 << 10, 1 << 20, session.DefaultMaxMessage} {
			msg := make([]byte, size)
			_, _ = rand.Read(msg)
			errs := make(chan error, 1)
			go func() { errs <- sa.Send(lane, msg) }()
			got, err := sb.Receive(lane)
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if err := <-errs; err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if !bytes.Equal(got, msg) {
				t.Fatalf("%d bytes came as %d others", size, len(got))
			}
		}
	}
	if err := sa.Send(session.Control, make([]byte, session.DefaultMaxMessage+1)); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("a message too large: %v, want %v", err, session.ErrTooLarge)
	}
}

func TestReceiverBoundsMessages(t *testing.T) {
	e := newEnds(t)
	e.cb.MaxMessage = 1000
	sa, sb := mustHandshake(t, e)
	go func() { _ = sa.Send(session.Bulk, make([]byte, 100_000)) }()
	if _, err := sb.Receive(session.Bulk); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, session.ErrTooLarge)
	}
}

func TestKeysChange(t *testing.T) {
	sa, sb := mustHandshake(t, newEnds(t))
	const n = 1<<16 + 100
	go func() {
		for i := range n {
			if sa.Send(session.Control, fmt.Appendf(nil, "%d", i)) != nil {
				return
			}
		}
	}()
	for i := range n {
		got, err := sb.Receive(session.Control)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if want := fmt.Sprint(i); string(got) != want {
			t.Fatalf("message %q, want %q", got, want)
		}
	}
}

func TestKeysChangeWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sa, sb := mustHandshake(t, newEnds(t))
		for range 3 {
			time.Sleep(61 * time.Minute)
			if err := sa.Send(session.Control, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := sb.Receive(session.Control); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// tap lets a test change what passes.
type tap struct {
	session.Conn
	change func(session.Lane, []byte) [][]byte
}

type tapLane struct {
	session.Channel
	tap  *tap
	lane session.Lane
}

func (t *tap) Channel(l session.Lane) session.Channel { return tapLane{t.Conn.Channel(l), t, l} }

func (l tapLane) Write(p []byte) (int, error) {
	for _, m := range l.tap.change(l.lane, append([]byte(nil), p...)) {
		if _, err := l.Channel.Write(m); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func TestTampering(t *testing.T) {
	var held []byte
	tests := map[string]func([]byte) [][]byte{
		"flipped bit": func(b []byte) [][]byte { b[len(b)/2] ^= 1; return [][]byte{b} },
		"truncated":   func(b []byte) [][]byte { return [][]byte{b[:len(b)-1]} },
		"empty":       func([]byte) [][]byte { return [][]byte{{}} },
		"repeated":    func(b []byte) [][]byte { return [][]byte{b, b} },
		"swapped": func(b []byte) [][]byte {
			if held == nil {
				held = b
				return nil
			}
			return [][]byte{b, held}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			held = nil
			e := newEnds(t)
			through := true
			e.a = &tap{e.a, func(_ session.Lane, b []byte) [][]byte {
				if through {
					return [][]byte{b}
				}
				return change(b)
			}}
			sa, sb := mustHandshake(t, e)
			through = false
			_ = sa.Send(session.Control, []byte("one"))
			_ = sa.Send(session.Control, []byte("two"))
			_, err1 := sb.Receive(session.Control)
			var err2 error
			if err1 == nil {
				_, err2 = sb.Receive(session.Control)
			}
			if err := errors.Join(err1, err2); !errors.Is(err, session.ErrFrame) {
				t.Errorf("got %v, want %v", err, session.ErrFrame)
			}
		})
	}
}

// A frame of one lane means nothing on the other.
func TestLanesHaveKeysOfTheirOwn(t *testing.T) {
	e := newEnds(t)
	cross := false
	inner := e.a
	e.a = &tap{e.a, func(_ session.Lane, b []byte) [][]byte {
		if !cross {
			return [][]byte{b}
		}
		_, _ = inner.Channel(session.Bulk).Write(b)
		return nil
	}}
	sa, sb := mustHandshake(t, e)
	cross = true
	if err := sa.Send(session.Control, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := sb.Receive(session.Bulk); !errors.Is(err, session.ErrFrame) {
		t.Errorf("got %v, want %v", err, session.ErrFrame)
	}
}

func TestCloseUnblocks(t *testing.T) {
	sa, sb := mustHandshake(t, newEnds(t))
	done := make(chan error, 2)
	go func() {
		_, err := sa.Receive(session.Control)
		done <- err
	}()
	go func() {
		for {
			if err := sa.Send(session.Bulk, make([]byte, 1<<20)); err != nil {
				done <- err
				return
			}
		}
	}()
	sb.Close()
	for range 2 {
		if err := <-done; err == nil {
			t.Error("no error after the close")
		}
	}
}

// FuzzHandshake feeds bytes to both roles: they fail, and do not panic.
func FuzzHandshake(f *testing.F) {
	f.Add([]byte{}, true)
	f.Add(bytes.Repeat([]byte{1}, 48), false)
	f.Add(bytes.Repeat([]byte{9}, 96), true)
	key := bytes.Repeat([]byte{3}, 32)
	f.Fuzz(func(t *testing.T, data []byte, initiator bool) {
		conn := &script{in: [][]byte{data, data, data}}
		_, err := session.Handshake(t.Context(), conn, session.Config{
			Initiator: initiator, Key: key, PSK: make([]byte, 32), Topic: []byte("t"),
		})
		if err == nil {
			t.Error("a handshake with nobody succeeds")
		}
	})
}

// FuzzFrames feeds frames to an established session: none opens.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0})
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := newEnds(t)
		sa, sb := mustHandshake(t, e)
		defer sa.Close()
		if len(data) > session.MaxFrame {
			data = data[:session.MaxFrame]
		}
		if _, err := e.a.Channel(session.Control).Write(data); err != nil {
			t.Fatal(err)
		}
		if _, err := sb.Receive(session.Control); !errors.Is(err, session.ErrFrame) {
			t.Errorf("got %v, want %v", err, session.ErrFrame)
		}
	})
}

// script is a connection that says what it was told to.
type script struct{ in [][]byte }

func (s *script) Channel(session.Lane) session.Channel { return s }
func (s *script) Binding() session.Binding             { return session.Binding{Transport: "script"} }
func (s *script) Close() error                         { return nil }
func (s *script) Write(p []byte) (int, error)          { return len(p), nil }

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	m := s.in[0]
	s.in = s.in[1:]
	if len(m) > len(p) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, m), nil
}
