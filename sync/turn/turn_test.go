package turn_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/turn/v5"

	"echofs/sync/turn"
)

func startServer(t *testing.T, opts turn.Options) *turn.Server {
	t.Helper()
	opts.Listen = "127.0.0.1:0"
	s, err := turn.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// relay asks a server for a relay.
func relay(t *testing.T, s *turn.Server, user, password string) (net.PacketConn, error) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pion.NewClient(&pion.ClientConfig{STUNServerAddr: s.Addr().String(), TURNServerAddr: s.Addr().String(),
		Conn: conn, Username: user, Password: password, Realm: "echofs"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = conn.Close()
	})
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	if mapped, err := c.SendBindingRequest(); err != nil || mapped.String() != conn.LocalAddr().String() {
		t.Fatalf("STUN: got %v, %v, want %v", mapped, err, conn.LocalAddr())
	}
	return c.Allocate()
}

func TestCredentials(t *testing.T) {
	const secret = "a shared secret"
	s := startServer(t, turn.Options{Secret: secret})
	good, password := turn.Credentials(secret, time.Now().Add(time.Hour))
	old, oldPassword := turn.Credentials(secret, time.Now().Add(-time.Second))
	far, farPassword := turn.Credentials(secret, time.Now().Add(100*turn.Life))
	other, otherPassword := turn.Credentials("another", time.Now().Add(time.Hour))
	for _, c := range []struct {
		name, user, password string
		ok                   bool
	}{
		{"valid", good, password, true},
		{"of the past", old, oldPassword, false},
		{"too long", far, farPassword, false},
		{"of another secret", other, otherPassword, false},
		{"wrong password", good, "x", false},
		{"no time", "ada", "x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := relay(t, s, c.user, c.password)
			if (err == nil) != c.ok {
				t.Errorf("got %v, want it to work: %v", err, c.ok)
			}
			if err == nil {
				_ = conn.Close()
			}
		})
	}
	only := startServer(t, turn.Options{Secret: secret, STUNOnly: true})
	if _, err := relay(t, only, good, password); err == nil {
		t.Error("a STUN server relays")
	}
}

func TestOffer(t *testing.T) {
	s := startServer(t, turn.Options{})
	web := httptest.NewServer(s)
	defer web.Close()
	o, err := turn.Fetch(t.Context(), nil, "ws"+strings.TrimPrefix(web.URL, "http")+"/")
	if err != nil {
		t.Fatal(err)
	}
	if len(o.URLs) != 3 || o.Username == "" || o.Seconds != int(turn.Life.Seconds()) {
		t.Errorf("got %+v", o)
	}
	conn, err := relay(t, s, o.Username, o.Password)
	if err != nil {
		t.Fatalf("what was offered does not work: %v", err)
	}
	_ = conn.Close()
	none := httptest.NewServer(nil)
	defer none.Close()
	if _, err := turn.Fetch(t.Context(), nil, none.URL); !errors.Is(err, turn.ErrNone) {
		t.Errorf("got %v, want %v", err, turn.ErrNone)
	}
}

func FuzzOffer(f *testing.F) {
	f.Add(`{"urls":["turn:example.org:3478"],"username":"1:a","password":"b","seconds":10}`)
	f.Add(`{"urls":["http://example.org"],"seconds":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		o, err := turn.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := turn.Parse(strings.NewReader(string(b))); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	})
}
