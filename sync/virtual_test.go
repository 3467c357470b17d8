package sync_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/vnet"

	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/memrepo"
	"echofs/sync/signal"
	"echofs/sync/turn"
)

// virtual is an internet in virtual time: whole devices with their connections,
// on a network of routers and NATs, and signaling servers that are reached
// through pipes. It exists inside of a bubble of testing/synctest.
type virtual struct {
	tb   testing.TB
	wan  *vnet.Router
	cut  atomic.Bool  // nothing passes the internet
	loss atomic.Int32 // of a hundred packets that pass it
	sent atomic.Int64
	host int
	http *http.Client
	turn *turn.Server // that signaling servers offer; nil for none

	mu      sync.Mutex // guards the below
	servers map[string]*memListener
}

// inBubble runs a test in virtual time, in a process of its own. Now and then
// pion waits for time to pass with a lock held that another of its goroutines
// wants (SCTPTransport.Stop and onClose), and then time does not pass in a
// bubble: a process that stands still is ended, and the test begins anew.
func inBubble(t *testing.T, delay time.Duration, f func(t *testing.T, v *virtual)) {
	if os.Getenv(bubbleEnv) == "" {
		runAlone(t)
		return
	}
	synctest.Test(t, func(t *testing.T) {
		v := &virtual{tb: t, servers: make(map[string]*memListener)}
		var err error
		v.wan, err = vnet.NewRouter(&vnet.RouterConfig{CIDR: "0.0.0.0/0", MinDelay: delay, QueueSize: 100000, LoggerFactory: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		v.wan.AddChunkFilter(func(vnet.Chunk) bool {
			return !v.cut.Load() && v.sent.Add(1)%100 >= int64(v.loss.Load())
		})
		pipes := &http.Transport{DialContext: v.dial, DisableKeepAlives: true}
		v.http = &http.Client{Transport: pipes}
		f(t, v)
	})
}

const (
	bubbleEnv    = "ECHOFS_TEST_BUBBLE"
	bubbleTries  = 8
	bubbleWithin = 20 * time.Second
)

// runAlone runs the test that calls it in another process.
func runAlone(t *testing.T) {
	t.Helper()
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^") + "$"
	for try := range bubbleTries {
		ctx, cancel := context.WithTimeout(t.Context(), bubbleWithin)
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.v", "-test.run", pattern)
		cmd.Env = append(os.Environ(), bubbleEnv+"=1")
		out, err := cmd.CombinedOutput()
		stuck := ctx.Err() != nil
		cancel()
		switch {
		case err == nil:
			t.Logf("%s", out)
			return
		case !stuck:
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("try %d stands still", try+1)
	}
	t.Fatalf("stood still %d times", bubbleTries)
}

func quiet() logging.LoggerFactory {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f
}

// start starts the internet: all hosts are connected to it.
func (v *virtual) start() {
	if err := v.wan.Start(); err != nil {
		v.tb.Fatal(err)
	}
}

// end stops it, after everything that used it; pion's goroutines need a moment
// to notice.
func (v *virtual) end() {
	if err := v.wan.Stop(); err != nil {
		v.tb.Error(err)
	}
	time.Sleep(10 * time.Second)
}

// open returns a host that is directly on the internet.
func (v *virtual) open() transport.Net {
	v.host++
	return v.add(v.wan, fmt.Sprintf("203.0.%d.%d", v.host/250, 1+v.host%250))
}

func (v *virtual) add(r *vnet.Router, ip string) *vnet.Net {
	n, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{ip}})
	if err != nil {
		v.tb.Fatal(err)
	}
	if err := r.AddNet(n); err != nil {
		v.tb.Fatal(err)
	}
	return n
}

// The kinds of NAT.
var (
	cone = vnet.NATType{MappingBehavior: vnet.EndpointIndependent, FilteringBehavior: vnet.EndpointAddrPortDependent, MappingLifeTime: time.Hour}
	sym  = vnet.NATType{MappingBehavior: vnet.EndpointAddrPortDependent, FilteringBehavior: vnet.EndpointAddrPortDependent, MappingLifeTime: time.Hour}
)

// behind returns a host behind a NAT of its own.
func (v *virtual) behind(nat vnet.NATType) transport.Net { return v.behindAt(nat).net }

// home is a host behind a NAT of its own.
type home struct {
	net     *vnet.Net
	outside net.IP
}

func (v *virtual) behindAt(nat vnet.NATType) home {
	v.host++
	lan, err := vnet.NewRouter(&vnet.RouterConfig{StaticIPs: []string{fmt.Sprintf("27.0.0.%d", v.host)}, CIDR: "192.168.0.0/24",
		NATType: &nat, QueueSize: 100000, LoggerFactory: quiet()})
	if err != nil {
		v.tb.Fatal(err)
	}
	n := v.add(lan, "192.168.0.2")
	if err := v.wan.AddRouter(lan); err != nil {
		v.tb.Fatal(err)
	}
	return home{n, net.ParseIP(fmt.Sprintf("27.0.0.%d", v.host))}
}

// serve runs a signaling server under a name until stop is called.
func (v *virtual) serve(name string) (url string, stop func()) {
	l := &memListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	opts := signal.ServerOptions{}
	if v.turn != nil {
		opts.Turn = v.turn
	}
	srv := signal.NewServer(opts)
	hs := &http.Server{Handler: srv}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = hs.Serve(l)
	}()
	v.mu.Lock()
	v.servers[name+":80"] = l
	v.mu.Unlock()
	return "ws://" + name + "/", func() {
		v.mu.Lock()
		delete(v.servers, name+":80")
		v.mu.Unlock()
		_ = hs.Close()
		_ = srv.Close()
		<-done
	}
}

func (v *virtual) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	v.mu.Lock()
	l := v.servers[addr]
	v.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// memListener is a listener of pipes.
type memListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// device runs a network on a host until stop is called.
func (v *virtual) device(repo *memrepo.Vault, host transport.Net, opts echosync.Options) (n *echosync.Network, stop func()) {
	opts.Net, opts.HTTP, opts.Logger = host, v.http, testLogger(repo.Name)
	n, err := echosync.New(repo, opts)
	if err != nil {
		v.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx)
	}()
	var once sync.Once
	return n, func() {
		once.Do(func() {
			// Without a word: where both ends of a connection close at once, pion waits
			// for time to pass with a lock held, and in a bubble it would never pass.
			v.cut.Store(true)
			defer v.cut.Store(false)
			cancel()
			<-done
		})
	}
}

// within waits, in virtual time, for a condition.
func within(tb testing.TB, limit time.Duration, what string, cond func() bool) time.Duration {
	tb.Helper()
	start := time.Now()
	for !cond() {
		if time.Since(start) > limit {
			tb.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(start)
}

func TestVirtualTwo(t *testing.T) {
	inBubble(t, 25*time.Millisecond, func(t *testing.T, v *virtual) {
		s := shared(t, "ada", "ben")
		a, b := v.open(), v.open()
		v.start()
		url, stopServer := v.serve("signal.example")
		na, stopA := v.device(s[0].Vault(), a, echosync.Options{Signal: []string{url}})
		_, stopB := v.device(s[1].Vault(), b, echosync.Options{Signal: []string{url}})
		took := within(t, 5*time.Second, "they meet", func() bool { return na.Connected(s[0].ID()) == 1 })
		t.Logf("met after %v", took)
		if p := na.Peers()[0]; p.Path != "direct" {
			t.Errorf("path %q, want direct", p.Path)
		}
		v.cut.Store(true)
		within(t, 20*time.Second, "the partition is noticed", func() bool { return na.Connected(s[0].ID()) == 0 })
		s[0].Write([]byte("x"))
		time.Sleep(5 * time.Minute)
		v.cut.Store(false)
		took = within(t, 60*time.Second, "it heals", has(s[1], s[0].Own(), 1))
		t.Logf("healed after %v", took)
		stopA()
		stopB()
		stopServer()
		v.end()
	})
}

// reach runs two devices on hosts with a TURN server, or a STUN server alone,
// and returns by what way they are connected within half a minute; "" for none.
func (v *virtual) reach(t *testing.T, a, b transport.Net, opts turn.Options) (path string) {
	t.Helper()
	host := v.add(v.wan, "203.0.113.9")
	v.start()
	udp, err := host.ListenPacket("udp4", "203.0.113.9:3478")
	if err != nil {
		t.Fatal(err)
	}
	opts.Net, opts.Host = host, "203.0.113.9"
	server, err := turn.On(udp, nil, opts)
	if err != nil {
		t.Fatal(err)
	}
	v.turn = server
	url, stopServer := v.serve("signal.example")
	s := shared(t, "ada", "ben")
	na, stopA := v.device(s[0].Vault(), a, echosync.Options{Signal: []string{url}})
	nb, stopB := v.device(s[1].Vault(), b, echosync.Options{Signal: []string{url}})
	for range 300 {
		if na.Connected(s[0].ID()) == 1 && nb.Connected(s[0].ID()) == 1 {
			path = na.Peers()[0].Path
			if other := nb.Peers()[0].Path; other != path {
				t.Errorf("one end says %q, the other %q", path, other)
			}
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	stopA()
	stopB()
	stopServer()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	v.end()
	return path
}

func TestNATs(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b vnet.NATType
		stun bool // only
		want string
	}{
		{"two cones, STUN", cone, cone, true, "direct"},
		{"symmetric and cone, STUN", sym, cone, true, ""},
		{"symmetric and cone, TURN", sym, cone, false, "relay"},
		{"two symmetric, TURN", sym, sym, false, "relay"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, 25*time.Millisecond, func(t *testing.T, v *virtual) {
				if got := v.reach(t, v.behind(c.a), v.behind(c.b), turn.Options{STUNOnly: c.stun}); got != c.want {
					t.Errorf("connected by %q, want %q", got, c.want)
				}
			})
		})
	}
}

// listener counts who announces itself on a topic.
type listener struct{ heard atomic.Int64 }

func (*listener) Joined(signal.Seat) {}
func (*listener) Left(signal.Seat)   {}

func (l *listener) Received(signal.Seat, signal.Frame) { l.heard.Add(1) }

// Topics change at midnight: a device sits on that of the day, and within two
// hours of midnight on that of the neighbouring day too, and on no other.
func TestMidnight(t *testing.T) {
	inBubble(t, 0, func(t *testing.T, v *virtual) {
		s := shared(t, "ada", "ben")
		host := v.open()
		v.start()
		url, stopServer := v.serve("signal.example")
		_, stop := v.device(s[0].Vault(), host, echosync.Options{Signal: []string{url}})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		client := signal.NewClient(url, nil).WithHTTP(v.http)
		wg.Go(func() { client.Run(ctx) })
		secret := s[0].EpochKeys()[0].Swarm(s[0].ID())
		start := time.Now() // bubbles begin at midnight UTC
		first := halo.UnixDay(start)
		var days [4]listener
		for i := range days {
			client.Join(signal.Topic(secret.Topic(first+uint64(i))), &days[i])
		}
		for _, c := range []struct {
			at   time.Duration
			want []int
		}{
			{12 * time.Hour, []int{0}}, {23 * time.Hour, []int{0, 1}}, {24*time.Hour + 5*time.Minute, []int{0, 1}},
			{27 * time.Hour, []int{1}}, {36 * time.Hour, []int{1}}, {47 * time.Hour, []int{1, 2}}, {51 * time.Hour, []int{2}},
		} {
			time.Sleep(time.Until(start.Add(c.at)))
			for i := range days {
				days[i].heard.Store(0)
			}
			time.Sleep(3 * time.Minute)
			var got []int
			for i := range days {
				if days[i].heard.Load() > 0 {
					got = append(got, i)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("after %v announced on the topics of days %v, want %v", c.at, got, c.want)
			}
		}
		cancel()
		wg.Wait()
		stop()
		stopServer()
		v.end()
	})
}
