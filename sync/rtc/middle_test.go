package rtc_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"echofs/sync/rtc"
	"echofs/sync/session"
)

func config(tb testing.TB, initiator bool) session.Config {
	tb.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return session.Config{Initiator: initiator, Key: key.Bytes(), PSK: make([]byte, 32), Topic: []byte("topic")}
}

func handshake(ctx context.Context, tb testing.TB, a, b session.Conn) (ea, eb error) {
	tb.Helper()
	ca, cb := config(tb, true), config(tb, false)
	var wg sync.WaitGroup
	wg.Go(func() { _, ea = session.Handshake(ctx, a, ca) })
	wg.Go(func() { _, eb = session.Handshake(ctx, b, cb) })
	wg.Wait()
	return ea, eb
}

func TestSessionOverWebRTC(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	a, b, err := connect(ctx, newAPI(t), newAPI(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	start := time.Now()
	if ea, eb := handshake(ctx, t, a, b); ea != nil || eb != nil {
		t.Fatalf("handshake: %v, %v", ea, eb)
	}
	t.Logf("handshake took %v", time.Since(start))
}

// A signaling server that answers both ends with certificates of its own, and
// carries every message between them verbatim, is found out, although it knows
// everything that passes through it.
func TestManInTheMiddle(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	a, m1, err := connect(ctx, newAPI(t), newAPI(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	m2, b, err := connect(ctx, newAPI(t), newAPI(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, l := range []session.Lane{session.Control, session.Bulk} {
		wg.Go(func() { carry(m1.Channel(l), m2.Channel(l)) })
		wg.Go(func() { carry(m2.Channel(l), m1.Channel(l)) })
	}
	short, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	ea, eb := handshake(short, t, a, b)
	if !errors.Is(eb, session.ErrHandshake) {
		t.Errorf("responder: %v, want %v", eb, session.ErrHandshake)
	}
	if ea == nil {
		t.Error("the initiator has a session with somebody in the middle")
	}
	for _, c := range []*rtc.Conn{a, m1, m2, b} {
		c.Close()
	}
	wg.Wait()
}

func carry(from, to session.Channel) {
	buf := make([]byte, session.MaxFrame)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// FuzzSDP: whatever a peer sends as an offer is refused or survived.
func FuzzSDP(f *testing.F) {
	api, err := rtc.New(rtc.Options{})
	if err != nil {
		f.Fatal(err)
	}
	at, offer, err := api.Offer(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	at.Close()
	f.Add(offer)
	f.Add("v=0\r\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		cleaned, err := rtc.Clean(text)
		if err != nil {
			return
		}
		again, err := rtc.Clean(cleaned)
		if err != nil || again != cleaned {
			t.Errorf("what was cleaned is cleaned again: %v", err)
		}
	})
}
