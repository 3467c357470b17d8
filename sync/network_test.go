package sync_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	echosync "echofs/sync"
	"echofs/sync/memrepo"
	"echofs/sync/signal"
)

// startSignal runs a signaling server on loopback until stop is called.
func startSignal(tb testing.TB, addr string) (url string, stop func()) {
	tb.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan net.Addr, 1)
	done := make(chan error, 1)
	srv := signal.NewServer(signal.ServerOptions{})
	go func() { done <- srv.Serve(ctx, addr, func(a net.Addr) { ready <- a }) }()
	select {
	case a := <-ready:
		url = "ws://" + a.String() + "/"
	case err := <-done:
		tb.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			<-done
		})
	}
	tb.Cleanup(stop)
	return url, stop
}

// testLogger logs where ECHOFS_TEST_LOG is set.
func testLogger(name string) *slog.Logger {
	if os.Getenv("ECHOFS_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("vault", name)
}

// startNetwork runs a network until the test or stop ends it.
func startNetwork(tb testing.TB, v *memrepo.Vault, opts echosync.Options) (n *echosync.Network, stop func()) {
	tb.Helper()
	opts.Logger = testLogger(v.Name)
	n, err := echosync.New(v, opts)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx)
	}()
	stop = func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			tb.Error("the network does not stop")
		}
	}
	tb.Cleanup(stop)
	return n, stop
}

func TestTwoNetworks(t *testing.T) {
	url, _ := startSignal(t, "")
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	a.Write([]byte("before they met"))
	opts := echosync.Options{Signal: []string{url}}
	start := time.Now()
	na, _ := startNetwork(t, a.Vault(), opts)
	nb, _ := startNetwork(t, b.Vault(), opts)
	await(t, b, "a's entry", has(b, a.Own(), 1))
	t.Logf("first entry after %v", time.Since(start))
	if n := na.Connected(a.ID()); n != 1 {
		t.Errorf("ada is connected to %d devices, want 1", n)
	}
	peers := nb.Peers()
	if len(peers) != 1 || peers[0].Device != a.Vault().DeviceID() || peers[0].Path != "lan" {
		t.Errorf("ben's peers: %+v", peers)
	}
	var total, worst time.Duration
	const rounds = 200
	for i := range rounds {
		start := time.Now()
		a.Write(fmt.Appendf(nil, "fresh %d", i))
		await(t, b, "fresh entry", has(b, a.Own(), i+2))
		took := time.Since(start)
		total, worst = total+took, max(worst, took)
	}
	t.Logf("push over WebRTC: mean %v, worst %v", total/rounds, worst)
	await(t, a, "ack", func() bool { return a.Acked(b.Vault().DeviceID(), a.Own()) == rounds+1 })
}

func TestReconnectAfterRestart(t *testing.T) {
	url, _ := startSignal(t, "")
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	opts := echosync.Options{Signal: []string{url}}
	startNetwork(t, a.Vault(), opts)
	for round := range 3 {
		_, stop := startNetwork(t, b.Vault(), opts)
		start := time.Now()
		a.Write(fmt.Appendf(nil, "round %d", round))
		await(t, b, "entry", has(b, a.Own(), round+1))
		t.Logf("entry after restart: %v", time.Since(start))
		stop()
	}
}

func TestOfflineAndOnline(t *testing.T) {
	url, _ := startSignal(t, "")
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	opts := echosync.Options{Signal: []string{url}}
	na, _ := startNetwork(t, a.Vault(), opts)
	opts.Offline = true
	nb, _ := startNetwork(t, b.Vault(), opts)
	for round := range 3 {
		a.Write(fmt.Appendf(nil, "%d", round))
		nb.SetOffline(false)
		start := time.Now()
		await(t, b, "entry", has(b, a.Own(), round+1))
		t.Logf("entry after going online: %v", time.Since(start))
		nb.SetOffline(true)
		waitFor(t, "the end of the connection", func() bool { return na.Connected(a.ID()) == 0 })
	}
}

// waitFor polls a condition that nothing tells of.
func waitFor(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("%s: not in time", what)
		}
	}
}

func TestSignalServerRestarts(t *testing.T) {
	url, stop := startSignal(t, "")
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	opts := echosync.Options{Signal: []string{url}}
	na, _ := startNetwork(t, a.Vault(), opts)
	waitFor(t, "signaling", func() bool { return na.SignalConnected() == 1 })
	stop()
	waitFor(t, "the loss of signaling", func() bool { return na.SignalConnected() == 0 })
	addr := url[len("ws://") : len(url)-1]
	startSignal(t, addr)
	startNetwork(t, b.Vault(), opts)
	start := time.Now()
	a.Write([]byte("x"))
	await(t, b, "entry", has(b, a.Own(), 1))
	t.Logf("entry after the server's restart: %v", time.Since(start))
}

// A device that died without a word and is back is connected at once: its new
// program announces itself, whichever of the two has to offer.
func TestReconnectWithoutGoodbye(t *testing.T) {
	url, _ := startSignal(t, "")
	opts := echosync.Options{Signal: []string{url}}
	seen := make(map[bool]bool)
	for len(seen) < 2 {
		s := shared(t, "ada", "ben")
		a, b := s[0], s[1]
		da, db := a.Vault().DeviceID(), b.Vault().DeviceID()
		offers := bytes.Compare(da[:], db[:]) < 0
		if seen[offers] {
			continue
		}
		seen[offers] = true
		na, stopA := startNetwork(t, a.Vault(), opts)
		_, stopB := startNetwork(t, b.Vault(), opts)
		waitFor(t, "the first connection", func() bool { return na.Connected(a.ID()) == 1 })
		first := na.Peers()[0].Since
		// A second program with the same vault: to ada it is ben, started anew,
		// while the old connection still seems to be alive.
		start := time.Now()
		_, stopAgain := startNetwork(t, b.Vault(), opts)
		waitFor(t, "the second connection", func() bool {
			p := na.Peers()
			return len(p) == 1 && p[0].Since != first
		})
		took := time.Since(start)
		t.Logf("ada offers: %v; replaced after %v", offers, took)
		if took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		stopAgain()
		stopB()
		stopA()
	}
}

func TestSpaceJoinedWhileRunning(t *testing.T) {
	url, _ := startSignal(t, "")
	opts := echosync.Options{Signal: []string{url}}
	ada, ben := newVault(t, "ada"), newVault(t, "ben")
	startNetwork(t, ada, opts)
	nb, _ := startNetwork(t, ben, opts)
	for range 3 {
		a, err := ada.CreateSpace("notes")
		if err != nil {
			t.Fatal(err)
		}
		a.Write([]byte("x"))
		b := admit(t, ada, a.ID(), ben)
		await(t, b, "entry of a new space", has(b, a.Own(), 1))
	}
	if n := len(nb.Peers()); n != 3 {
		t.Errorf("%d connections, want one for each space", n)
	}
}

// Two devices without a common server meet through a third: it carries their
// sealed boxes.
func TestMeetThroughAMember(t *testing.T) {
	one, stopOne := startSignal(t, "")
	two, stopTwo := startSignal(t, "")
	s := shared(t, "ada", "ben", "cy")
	urls := [][]string{{one}, {one, two}, {two}}
	var nets []*echosync.Network
	for i, space := range s {
		n, _ := startNetwork(t, space.Vault(), echosync.Options{Signal: urls[i]})
		nets = append(nets, n)
	}
	s[0].Write([]byte("from ada"))
	await(t, s[2], "ada's entry at cy", has(s[2], s[0].Own(), 1))
	waitFor(t, "the full mesh", func() bool {
		return nets[0].Connected(s[0].ID()) == 2 && nets[2].Connected(s[0].ID()) == 2
	})
	// Without any server, they have each other: a newcomer that knows one of them
	// would be told of all.
	stopOne()
	stopTwo()
	s[2].Write([]byte("from cy"))
	await(t, s[0], "cy's entry at ada", has(s[0], s[2].Own(), 1))
}

// A long chain of devices, each of which shares a server with the next alone,
// becomes one mesh.
func TestChainOfServers(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f"}
	s := shared(t, names...)
	var urls []string
	for range len(names) - 1 {
		url, _ := startSignal(t, "")
		urls = append(urls, url)
	}
	var nets []*echosync.Network
	for i, space := range s {
		n, _ := startNetwork(t, space.Vault(), echosync.Options{Signal: urls[max(0, i-1):min(len(urls), i+1)]})
		nets = append(nets, n)
	}
	waitFor(t, "the full mesh", func() bool {
		for _, n := range nets {
			if n.Connected(s[0].ID()) != len(names)-1 {
				return false
			}
		}
		return true
	})
}

// Of two servers one dies, comes back and dies again, and one answers nobody:
// devices meet all the same.
func TestServersFail(t *testing.T) {
	one, stopOne := startSignal(t, "")
	two, stopTwo := startSignal(t, "")
	deaf, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	opts := echosync.Options{Signal: []string{"ws://" + deaf.Addr().String(), one, "ws://127.0.0.1:1/", two}}
	s := shared(t, "ada", "ben")
	na, _ := startNetwork(t, s[0].Vault(), opts)
	meet := func(what string) {
		nb, stop := startNetwork(t, s[1].Vault(), opts)
		waitFor(t, what, func() bool { return na.Connected(s[0].ID()) == 1 && nb.Connected(s[0].ID()) == 1 })
		stop()
		waitFor(t, "the end of the connection", func() bool { return na.Connected(s[0].ID()) == 0 })
	}
	meet("with both servers")
	stopOne()
	meet("with one server")
	addr := one[len("ws://") : len(one)-1]
	for range 3 {
		_, stop := startSignal(t, addr)
		stop()
	}
	_, _ = startSignal(t, addr)
	stopTwo()
	meet("with the other server")
}
