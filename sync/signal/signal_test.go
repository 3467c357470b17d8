package signal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"echofs/sync/signal"
	"echofs/sync/wire"
)

var topic = signal.Topic{1, 2, 3}

// startServer runs a server on loopback.
func startServer(tb testing.TB, opts signal.ServerOptions) (url string) {
	tb.Helper()
	srv := signal.NewServer(opts)
	hs := httptest.NewServer(srv)
	tb.Cleanup(func() {
		_ = srv.Close()
		hs.Close()
	})
	return hs.URL
}

// event is what a recorder was told.
type event struct {
	seat  signal.Seat
	frame *signal.Frame // nil for Joined
}

type recorder struct{ events chan event }

func newRecorder() *recorder { return &recorder{make(chan event, 1000)} }

func (r *recorder) Joined(s signal.Seat) { r.events <- event{seat: s} }

func (r *recorder) Received(s signal.Seat, f signal.Frame) { r.events <- event{s, &f} }
func (r *recorder) Left(signal.Seat)                       {}

func (r *recorder) next(tb testing.TB) event {
	tb.Helper()
	select {
	case e := <-r.events:
		return e
	case <-time.After(10 * time.Second):
		tb.Fatal("nothing happens")
		return event{}
	}
}

// reach sends a box again and again until it has arrived: a seat is told before
// the server has read of it.
func reach(tb testing.TB, from signal.Seat, to *signal.PeerID, box string, r *recorder) event {
	tb.Helper()
	deadline := time.After(10 * time.Second)
	for {
		if err := from.Send(tb.Context(), to, []byte(box)); err != nil {
			tb.Fatal(err)
		}
		select {
		case e := <-r.events:
			return e
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			tb.Fatal("nothing arrives")
		}
	}
}

func drain(r *recorder) {
	for len(r.events) > 0 {
		<-r.events
	}
}

// startClient runs a client that sits on the topic.
func startClient(tb testing.TB, url string) (*signal.Client, *recorder, signal.Seat) {
	tb.Helper()
	c := signal.NewClient(url, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	tb.Cleanup(func() {
		cancel()
		<-done
	})
	r := newRecorder()
	c.Join(topic, r)
	e := r.next(tb)
	if e.frame != nil {
		tb.Fatal("a frame before the seat")
	}
	return c, r, e.seat
}

func TestForward(t *testing.T) {
	url := startServer(t, signal.ServerOptions{})
	_, ra, a := startClient(t, url)
	_, rb, b := startClient(t, url)
	_, rc, c := startClient(t, url)
	if a.Self == b.Self || b.Self == c.Self {
		t.Fatal("peer ids are not fresh")
	}
	for _, s := range []signal.Seat{b, c} {
		reach(t, s, &a.Self, "here", ra)
	}
	drain(ra)
	if err := a.Send(t.Context(), nil, []byte("to all")); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*recorder{rb, rc} {
		if e := r.next(t); string(e.frame.Box) != "to all" || e.frame.From != a.Self || e.frame.To != nil {
			t.Errorf("got %+v", e.frame)
		}
	}
	if err := b.Send(t.Context(), &c.Self, []byte("to c")); err != nil {
		t.Fatal(err)
	}
	if e := rc.next(t); string(e.frame.Box) != "to c" || e.frame.From != b.Self {
		t.Errorf("got %+v", e.frame)
	}
	for len(ra.events) > 0 { // some of what reach repeated may come late
		if e := <-ra.events; string(e.frame.Box) != "here" {
			t.Errorf("a got %q, which was not for it", e.frame.Box)
		}
	}
}

func TestTopicsAreSeparate(t *testing.T) {
	url := startServer(t, signal.ServerOptions{})
	ca, ra, a := startClient(t, url)
	_, rb, b := startClient(t, url)
	ca.Leave(topic)
	other := newRecorder()
	ca.Join(signal.Topic{9}, other)
	other.next(t)
	if err := b.Send(t.Context(), nil, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := b.Send(t.Context(), &a.Self, []byte("x")); err != nil {
		t.Fatal(err)
	}
	ca.Join(topic, ra)
	again := ra.next(t)
	if again.frame != nil || again.seat.Self == a.Self {
		t.Errorf("after coming back: %+v", again)
	}
	if e := reach(t, again.seat, nil, "back", rb); string(e.frame.Box) != "back" {
		t.Errorf("got %+v", e.frame)
	}
}

func TestHealth(t *testing.T) {
	url := startServer(t, signal.ServerOptions{})
	startClient(t, url)
	resp, err := http.Get(url + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Status          string
		Clients, Topics int
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Status != "ok" || got.Clients != 1 || got.Topics != 1 {
		t.Errorf("got %+v", got)
	}
}

// raw is a connection without a client's manners.
func raw(tb testing.TB, url string) *websocket.Conn {
	tb.Helper()
	conn, _, err := websocket.Dial(tb.Context(), url, &websocket.DialOptions{Subprotocols: []string{signal.Protocol}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

type sub struct {
	_     struct{} `cbor:",toarray"`
	Topic signal.Topic
	Self  signal.PeerID
}

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := wire.Encode(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// dropped reports whether the server closes a connection.
func dropped(tb testing.TB, conn *websocket.Conn) bool {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	for {
		if _, _, err := conn.Read(ctx); err != nil {
			return ctx.Err() == nil
		}
	}
}

func TestMisbehavingClientsAreDropped(t *testing.T) {
	self := signal.PeerID{1}
	good := encode(t, sub{Topic: topic, Self: self})
	tests := map[string][][]byte{
		"garbage":        {[]byte("hello")},
		"empty":          {{}},
		"trailing bytes": {append(append([]byte(nil), good...), 0)},
		"twice":          {good, good},
		"not subscribed": {encode(t, signal.Frame{Topic: topic, From: self, Box: []byte("x")})},
		"as another":     {good, encode(t, signal.Frame{Topic: topic, From: signal.PeerID{2}, Box: []byte("x")})},
		"empty box":      {good, encode(t, signal.Frame{Topic: topic, From: self, Box: []byte{}})},
		"too large":      {good, encode(t, signal.Frame{Topic: topic, From: self, Box: make([]byte, signal.MaxBox+1)})},
		"far too large":  {make([]byte, 1<<20)},
		"too many topics": {
			encode(t, sub{Topic: signal.Topic{1}, Self: self}),
			encode(t, sub{Topic: signal.Topic{2}, Self: self}),
			encode(t, sub{Topic: signal.Topic{3}, Self: self}),
		},
	}
	for name, messages := range tests {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, signal.ServerOptions{Limits: signal.Limits{TopicsPerClient: 2}})
			conn := raw(t, url)
			for _, m := range messages {
				if err := conn.Write(t.Context(), websocket.MessageBinary, m); err != nil {
					break
				}
			}
			if !dropped(t, conn) {
				t.Error("the client was not dropped")
			}
		})
	}
}

func TestTextAndForeignProtocols(t *testing.T) {
	url := startServer(t, signal.ServerOptions{})
	conn := raw(t, url)
	if err := conn.Write(t.Context(), websocket.MessageText, encode(t, sub{Topic: topic})); err != nil {
		t.Fatal(err)
	}
	if !dropped(t, conn) {
		t.Error("a text message was taken")
	}
	other, _, err := websocket.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.CloseNow()
	if !dropped(t, other) {
		t.Error("a client without the subprotocol was taken")
	}
}

func TestPeerIDsAreUnique(t *testing.T) {
	url := startServer(t, signal.ServerOptions{})
	_, _, a := startClient(t, url)
	for deadline := time.Now().Add(10 * time.Second); health(t, url).Topics == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the server does not know of the seat")
		}
	}
	thief := raw(t, url)
	if err := thief.Write(t.Context(), websocket.MessageBinary, encode(t, sub{Topic: topic, Self: a.Self})); err != nil {
		t.Fatal(err)
	}
	if !dropped(t, thief) {
		t.Error("a taken peer id was given again")
	}
}

func TestClientLimit(t *testing.T) {
	url := startServer(t, signal.ServerOptions{Limits: signal.Limits{ClientsPerAddr: 2}})
	raw(t, url)
	raw(t, url)
	_, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{Subprotocols: []string{signal.Protocol}})
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a third client: %v, %v", resp, err)
	}
}

// A client that does not read is dropped, and nobody else waits for it.
func TestSlowClientIsDropped(t *testing.T) {
	url := startServer(t, signal.ServerOptions{Limits: signal.Limits{
		Queue: 4, TopicRate: 1e6, TopicBurst: 1e6, ClientRate: 1e6, ClientBurst: 1e6, WriteTimeout: 200 * time.Millisecond,
	}})
	slow := raw(t, url)
	if err := slow.Write(t.Context(), websocket.MessageBinary, encode(t, sub{Topic: topic, Self: signal.PeerID{1}})); err != nil {
		t.Fatal(err)
	}
	_, _, a := startClient(t, url)
	box := make([]byte, signal.MaxBox)
	deadline := time.Now().Add(20 * time.Second)
	for clients(t, url) > 1 {
		if time.Now().After(deadline) {
			t.Fatal("the slow client is still there")
		}
		for range 100 {
			if err := a.Send(t.Context(), nil, box); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// load is what a server says of itself.
type load struct{ Clients, Topics int }

func health(tb testing.TB, url string) (got load) {
	tb.Helper()
	resp, err := http.Get(url + "/health")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		tb.Fatal(err)
	}
	return got
}

func clients(tb testing.TB, url string) int { return health(tb, url).Clients }

func TestTopicBudget(t *testing.T) {
	url := startServer(t, signal.ServerOptions{Limits: signal.Limits{TopicRate: 0.001, TopicBurst: 5}})
	_, ra, a := startClient(t, url)
	_, _, b := startClient(t, url)
	reach(t, b, &a.Self, "first", ra)
	for range 20 {
		if err := b.Send(t.Context(), &a.Self, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	waitHealthy(t, url)
	if n := len(ra.events); n > 4 {
		t.Errorf("%d more messages, want at most 4", n)
	}
}

// waitHealthy gives the server the time of a request.
func waitHealthy(tb testing.TB, url string) {
	tb.Helper()
	for range 20 {
		clients(tb, url)
	}
}

func TestClientComesBack(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	tell := func(a net.Addr) { ready <- a }
	go func() { done <- signal.NewServer(signal.ServerOptions{}).Serve(ctx, "127.0.0.1:0", tell) }()
	addr := (<-ready).String()
	_, r, first := startClient(t, "ws://"+addr)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer func() {
		cancel()
		<-done
	}()
	go func() { done <- signal.NewServer(signal.ServerOptions{}).Serve(ctx, addr, tell) }()
	<-ready
	start := time.Now()
	second := r.next(t)
	t.Logf("back after %v", time.Since(start))
	if second.frame != nil || second.seat.Self == first.Self {
		t.Error("the seat is not a fresh one")
	}
}

func TestServerRefusesBadAddress(t *testing.T) {
	err := signal.NewServer(signal.ServerOptions{}).Serve(t.Context(), "256.0.0.1:99999", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "listen: ") {
		t.Errorf("got %v", err)
	}
}

var key = [32]byte{5}

func sealed(tb testing.TB, from signal.PeerID, to *signal.PeerID, m signal.Message) signal.Frame {
	tb.Helper()
	box, err := signal.Seal(key, topic, from, to, m)
	if err != nil {
		tb.Fatal(err)
	}
	return signal.Frame{Topic: topic, From: from, To: to, Box: box}
}

func TestBoxes(t *testing.T) {
	from, to := signal.PeerID{1}, signal.PeerID{2}
	m := signal.Message{Kind: signal.Offer, Session: [16]byte{3}, SDP: strings.Repeat("v=0\r\n", 100), Counter: 7, Device: [32]byte{4}}
	f := sealed(t, from, &to, m)
	got, err := signal.OpenBox(key, f)
	if err != nil || got != m {
		t.Fatalf("got %+v, %v", got, err)
	}
	if (len(f.Box)-24-16)%256 != 0 {
		t.Errorf("a box of %d bytes tells the size of its message", len(f.Box))
	}
	other := signal.PeerID{9}
	tests := map[string]func(*signal.Frame){
		"topic":  func(f *signal.Frame) { f.Topic[0] ^= 1 },
		"from":   func(f *signal.Frame) { f.From = other },
		"to":     func(f *signal.Frame) { f.To = &other },
		"to all": func(f *signal.Frame) { f.To = nil },
		"box":    func(f *signal.Frame) { f.Box = bytes.Clone(f.Box); f.Box[50] ^= 1 },
		"short":  func(f *signal.Frame) { f.Box = f.Box[:20] },
		"empty":  func(f *signal.Frame) { f.Box = nil },
	}
	for name, change := range tests {
		g := f
		change(&g)
		if _, err := signal.OpenBox(key, g); !errors.Is(err, signal.ErrBox) {
			t.Errorf("%s: %v, want %v", name, err, signal.ErrBox)
		}
	}
	if _, err := signal.OpenBox([32]byte{6}, f); !errors.Is(err, signal.ErrBox) {
		t.Errorf("another key: %v, want %v", err, signal.ErrBox)
	}
}

func TestSealRefusesWhatNobodyWouldTake(t *testing.T) {
	bad := []signal.Message{
		{}, {Kind: 99}, {Kind: signal.Announce, SDP: "x"}, {Kind: signal.Offer},
		{Kind: signal.Offer, SDP: strings.Repeat("x", signal.MaxSDP+1)},
		{Kind: signal.Candidate}, {Kind: signal.Candidate, Candidate: strings.Repeat("x", 2000)},
		{Kind: signal.Answer, SDP: "x", Candidate: "y"},
	}
	for _, m := range bad {
		if _, err := signal.Seal(key, topic, signal.PeerID{1}, nil, m); err == nil {
			t.Errorf("kind %d was sealed", m.Kind)
		}
	}
	largest := signal.Message{Kind: signal.Offer, SDP: strings.Repeat("x", signal.MaxSDP), Counter: 1 << 60}
	if f := sealed(t, signal.PeerID{1}, nil, largest); len(f.Box) > signal.MaxBox {
		t.Errorf("the largest box has %d bytes", len(f.Box))
	}
}

func TestGuard(t *testing.T) {
	g := signal.NewGuard()
	from := signal.PeerID{1}
	announce := func(n uint64) signal.Frame {
		return sealed(t, from, nil, signal.Message{Kind: signal.Announce, Counter: n})
	}
	first := announce(1)
	if _, ok := g.Open(key, first); !ok {
		t.Fatal("the first message was ignored")
	}
	if _, ok := g.Open(key, first); ok {
		t.Error("a replay was taken")
	}
	if _, ok := g.Open(key, announce(3)); !ok {
		t.Error("a later message was ignored")
	}
	if _, ok := g.Open(key, announce(2)); ok {
		t.Error("an older message was taken")
	}
	if !g.Fresh([16]byte{1}) || g.Fresh([16]byte{1}) || !g.Fresh([16]byte{2}) {
		t.Error("offers are not remembered")
	}
}

func TestGuardMutesWhoSendsGarbage(t *testing.T) {
	g := signal.NewGuard()
	from := signal.PeerID{1}
	for range 20 {
		g.Open(key, signal.Frame{Topic: topic, From: from, Box: make([]byte, 300)})
	}
	f := sealed(t, from, nil, signal.Message{Kind: signal.Announce, Counter: 1})
	if _, ok := g.Open(key, f); ok {
		t.Error("a muted sender was heard")
	}
	f = sealed(t, signal.PeerID{2}, nil, signal.Message{Kind: signal.Announce, Counter: 1})
	if _, ok := g.Open(key, f); !ok {
		t.Error("another sender was muted, too")
	}
}

func TestGuardHasABudget(t *testing.T) {
	g := signal.NewGuard()
	heard := 0
	for i := range 1000 {
		f := sealed(t, signal.PeerID{byte(i), byte(i >> 8)}, nil, signal.Message{Kind: signal.Announce, Counter: 1})
		if _, ok := g.Open(key, f); ok {
			heard++
		}
	}
	if heard < 200 || heard > 400 {
		t.Errorf("%d messages of 1000 were heard at once, want about 200", heard)
	}
}
