package rtc_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"echofs/sync/rtc"
	"echofs/sync/session"
)

func newAPI(tb testing.TB) *rtc.API {
	tb.Helper()
	api, err := rtc.New(rtc.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return api
}

// connect connects two ends; mangle may change what is carried between them.
func connect(ctx context.Context, a, b *rtc.API, mangle func(string) string) (ca, cb *rtc.Conn, err error) {
	if mangle == nil {
		mangle = func(s string) string { return s }
	}
	offerer, offer, err := a.Offer(ctx)
	if err != nil {
		return nil, nil, err
	}
	answerer, answer, err := b.Answer(ctx, mangle(offer))
	if err != nil {
		offerer.Close()
		return nil, nil, err
	}
	if err := offerer.Accept(mangle(answer)); err != nil {
		offerer.Close()
		answerer.Close()
		return nil, nil, err
	}
	var ea, eb error
	var wg sync.WaitGroup
	wg.Go(func() { ca, ea = offerer.Wait(ctx) })
	wg.Go(func() { cb, eb = answerer.Wait(ctx) })
	wg.Wait()
	return ca, cb, errors.Join(ea, eb)
}

func TestConnect(t *testing.T) {
	a, b := newAPI(t), newAPI(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 3 {
		start := time.Now()
		ca, cb, err := connect(ctx, a, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("connected in %v, path %s", time.Since(start), ca.Path())
		if ca.Binding().Local != cb.Binding().Remote || ca.Binding().Remote != cb.Binding().Local {
			t.Error("the ends do not agree on their certificates")
		}
		if ca.Path() != rtc.PathLAN {
			t.Errorf("path %q, want %q", ca.Path(), rtc.PathLAN)
		}
		checkEcho(t, ca, cb, session.Control)
		checkEcho(t, ca, cb, session.Bulk)
		ca.Close()
		select {
		case <-cb.Down():
		case <-ctx.Done():
			t.Error("the other end does not notice the close")
		}
		cb.Close()
	}
}

func checkEcho(t *testing.T, a, b session.Conn, l session.Lane) {
	t.Helper()
	msg := bytes.Repeat([]byte("x"), session.MaxFrame)
	if _, err := a.Channel(l).Write(msg); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, session.MaxFrame)
	n, err := b.Channel(l).Read(buf)
	if err != nil || !bytes.Equal(buf[:n], msg) {
		t.Fatalf("read %d bytes, %v", n, err)
	}
}

func TestCloseEndsBlockedReads(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ca, cb, err := connect(ctx, newAPI(t), newAPI(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cb.Close()
	done := make(chan error, 2)
	for _, l := range []session.Lane{session.Control, session.Bulk} {
		go func() {
			_, err := ca.Channel(l).Read(make([]byte, 10))
			done <- err
		}()
	}
	ca.Close()
	for range 2 {
		select {
		case err := <-done:
			if err == nil {
				t.Error("read of a closed connection succeeds")
			}
		case <-ctx.Done():
			t.Fatal("a blocked read does not end")
		}
	}
}

func TestEditedFingerprintFails(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, _, err := connect(ctx, newAPI(t), newAPI(t), func(s string) string {
		i := strings.Index(s, "a=fingerprint:sha-256 ") + len("a=fingerprint:sha-256 ")
		c := "A"
		if s[i] == 'A' {
			c = "B"
		}
		return s[:i] + c + s[i+1:]
	})
	if err == nil {
		t.Fatal("connected in spite of a wrong fingerprint")
	}
}

func TestUnacceptableSDP(t *testing.T) {
	api := newAPI(t)
	at, offer, err := api.Offer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	tests := map[string]string{
		"empty":          "",
		"garbage":        "v=0\r\nwhat",
		"too large":      offer + strings.Repeat("a=x\r\n", 4000),
		"no section":     offer[:strings.Index(offer, "m=")],
		"audio":          strings.Replace(offer, "m=application", "m=audio", 1),
		"two sections":   offer + offer[strings.Index(offer, "m="):],
		"no fingerprint": strings.ReplaceAll(offer, "a=fingerprint:sha-256", "a=fingerprint:sha-1"),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			at, _, err := api.Answer(t.Context(), text)
			if err == nil {
				at.Close()
			}
			if !errors.Is(err, rtc.ErrSDP) {
				t.Errorf("got %v, want %v", err, rtc.ErrSDP)
			}
		})
	}
}

func TestServers(t *testing.T) {
	for _, good := range []string{"stun:example.org:3478", "turn:ada:secret@example.org:3478?transport=udp"} {
		if _, err := rtc.New(rtc.Options{ICE: []string{good}}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "example.org", "http://example.org", "turn:example.org", "stun:"} {
		if _, err := rtc.New(rtc.Options{ICE: []string{bad}}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
