package signal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// Limits bound what clients can make a server hold. Zero fields take the value
// of DefaultLimits.
type Limits struct {
	Clients          int     // connections at a time
	ClientsPerAddr   int     // of them from one address (many may share one behind a router)
	Topics           int     // topics at a time
	TopicsPerClient  int     // of them on one connection
	PeersPerTopic    int     // connections on one topic
	TopicRate        float64 // messages a second on a topic; more are dropped
	TopicBurst       int
	ClientRate       float64 // messages a second of a connection; it is read no faster
	ClientBurst      int
	Queue            int           // messages that wait for one client; more, and it is dropped
	WriteTimeout     time.Duration // for one message to a client
	KeepAlive        time.Duration // between pings; an answer must come within the same time
	HandshakeTimeout time.Duration // for the HTTP request
}

// DefaultLimits suit a small machine that serves some thousand devices.
func DefaultLimits() Limits {
	return Limits{
		Clients: 8192, ClientsPerAddr: 512, Topics: 65536, TopicsPerClient: 512, PeersPerTopic: 256,
		TopicRate: 50, TopicBurst: 200, ClientRate: 100, ClientBurst: 1000, Queue: 256,
		WriteTimeout: 10 * time.Second, KeepAlive: 20 * time.Second, HandshakeTimeout: 10 * time.Second,
	}
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	return Limits{
		Clients: or(l.Clients, d.Clients), ClientsPerAddr: or(l.ClientsPerAddr, d.ClientsPerAddr),
		Topics: or(l.Topics, d.Topics), TopicsPerClient: or(l.TopicsPerClient, d.TopicsPerClient),
		PeersPerTopic: or(l.PeersPerTopic, d.PeersPerTopic),
		TopicRate:     or(l.TopicRate, d.TopicRate), TopicBurst: or(l.TopicBurst, d.TopicBurst),
		ClientRate: or(l.ClientRate, d.ClientRate), ClientBurst: or(l.ClientBurst, d.ClientBurst),
		Queue: or(l.Queue, d.Queue), WriteTimeout: or(l.WriteTimeout, d.WriteTimeout),
		KeepAlive: or(l.KeepAlive, d.KeepAlive), HandshakeTimeout: or(l.HandshakeTimeout, d.HandshakeTimeout),
	}
}

// ServerOptions configure a Server.
type ServerOptions struct {
	Limits Limits
	// Turn, unless nil, answers GET /turn: where there is a TURN server, and
	// credentials for it.
	Turn http.Handler
	// Admit, unless nil, decides who is let in, by "host:port".
	Admit  func(addr string) bool
	Logger *slog.Logger // nil for none; never told a topic, an id or a box
}

// Server is a rendezvous. It is an http.Handler: GET /health answers with its
// load as JSON, GET /turn with credentials for a TURN server, every other path is the WebSocket.
type Server struct {
	limits Limits
	admit  func(addr string) bool
	turn   http.Handler
	logger *slog.Logger
	hub    *hub
	ctx    context.Context // ends when the server closes
	cancel context.CancelFunc

	mu      sync.Mutex // guards the below
	clients int
	addrs   map[string]int
	closed  bool
	running sync.WaitGroup // one for each client
}

var _ http.Handler = (*Server)(nil)

// NewServer returns a server, which must be closed.
func NewServer(opts ServerOptions) *Server {
	s := &Server{limits: opts.Limits.withDefaults(), admit: opts.Admit, turn: opts.Turn, logger: opts.Logger, addrs: make(map[string]int)}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.hub = newHub(s.limits)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Close drops all clients and waits until they are gone.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
	return nil
}

// Serve listens on addr ("host:port") and serves until ctx ends; then it closes
// the server. ready, unless nil, is told the address.
func (s *Server) Serve(ctx context.Context, addr string, ready func(net.Addr)) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if ready != nil {
		ready(l.Addr())
	}
	hs := &http.Server{Handler: s, ReadHeaderTimeout: s.limits.HandshakeTimeout, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = hs.Close() })
	defer stop()
	err = hs.Serve(l)
	_ = s.Close()
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.admit != nil && !s.admit(r.RemoteAddr) {
		http.Error(w, "not for you", http.StatusForbidden)
		return
	}
	switch r.URL.Path {
	case "/health":
		s.health(w)
		return
	case "/turn":
		if s.turn == nil {
			http.NotFound(w, r)
			return
		}
		s.turn.ServeHTTP(w, r)
		return
	}
	addr, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		addr = r.RemoteAddr
	}
	if !s.enter(addr) {
		http.Error(w, "full", http.StatusServiceUnavailable)
		return
	}
	defer s.exit(addr)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{Protocol},
		InsecureSkipVerify: true, // there are no cookies an origin could abuse
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return // Accept has answered
	}
	defer ws.CloseNow()
	if ws.Subprotocol() != Protocol {
		_ = ws.Close(websocket.StatusPolicyViolation, "subprotocol "+Protocol+" wanted")
		return
	}
	s.serve(ws)
}

func (s *Server) health(w http.ResponseWriter) {
	s.mu.Lock()
	clients := s.clients
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "ok", "clients": clients, "topics": s.hub.counts()})
}

func (s *Server) enter(addr string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.clients >= s.limits.Clients || s.addrs[addr] >= s.limits.ClientsPerAddr {
		return false
	}
	s.clients++
	s.addrs[addr]++
	s.running.Add(1)
	return true
}

func (s *Server) exit(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients--
	if s.addrs[addr]--; s.addrs[addr] == 0 {
		delete(s.addrs, addr)
	}
	s.running.Done()
}

// client is one connection.
type client struct {
	ws     *websocket.Conn
	out    chan []byte
	cancel context.CancelCauseFunc
	selves map[Topic]PeerID // guarded by hub.mu
}

var errSlow = errors.New("client does not read")

// offer queues a message; a client whose queue is full is dropped.
func (c *client) offer(raw []byte) {
	select {
	case c.out <- raw:
	default:
		c.cancel(errSlow)
	}
}

// serve runs a client until it leaves, misbehaves, or the server closes.
func (s *Server) serve(ws *websocket.Conn) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	c := &client{ws: ws, out: make(chan []byte, s.limits.Queue), cancel: cancel, selves: make(map[Topic]PeerID)}
	ws.SetReadLimit(MaxFrame)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(s.write(ctx, c)) })
	wg.Go(func() { cancel(s.ping(ctx, ws)) })
	err := s.read(ctx, c)
	s.hub.leave(c)
	cancel(err)
	_ = ws.CloseNow()
	wg.Wait()
	s.logger.Debug("client left", "cause", context.Cause(ctx))
}

func (s *Server) read(ctx context.Context, c *client) error {
	budget := rate.NewLimiter(rate.Limit(s.limits.ClientRate), s.limits.ClientBurst)
	for {
		if err := budget.Wait(ctx); err != nil {
			return err
		}
		kind, raw, err := c.ws.Read(ctx)
		if err != nil {
			return err
		}
		if kind != websocket.MessageBinary {
			return errors.New("text message")
		}
		if err := s.handle(c, raw); err != nil {
			return err
		}
	}
}

func (s *Server) handle(c *client, raw []byte) error {
	req, err := decodeRequest(raw)
	switch {
	case err != nil:
		return err
	case req.subscribe != nil:
		return s.hub.subscribe(c, *req.subscribe)
	case req.unsubscribe != nil:
		s.hub.unsubscribe(c, req.unsubscribe.Topic)
		return nil
	}
	return s.hub.forward(c, req.frame, raw)
}

func (s *Server) write(ctx context.Context, c *client) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case raw := <-c.out:
			if err := send(ctx, c.ws, raw, s.limits.WriteTimeout); err != nil {
				return err
			}
		}
	}
}

func send(ctx context.Context, ws *websocket.Conn, raw []byte, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return ws.Write(ctx, websocket.MessageBinary, raw)
}

// ping finds out that a client is gone without having said so.
func (s *Server) ping(ctx context.Context, ws *websocket.Conn) error {
	return keepAlive(ctx, ws, s.limits.KeepAlive, s.limits.KeepAlive)
}

func keepAlive(ctx context.Context, ws *websocket.Conn, every, within time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		pctx, cancel := context.WithTimeout(ctx, within)
		err := ws.Ping(pctx)
		cancel()
		if err != nil {
			return fmt.Errorf("ping: %w", err)
		}
	}
}
