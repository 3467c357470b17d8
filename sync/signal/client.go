package signal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"echofs/sync/wire"
)

// The timing of a client.
const (
	dialTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
	pingEvery    = 15 * time.Second
	pingWithin   = 5 * time.Second
	retryMin     = 50 * time.Millisecond
	retryMax     = 30 * time.Second
	stable       = 10 * time.Second // a connection that lasted so long resets the backoff
)

// Handler is told what happens on a topic; it must be comparable. Its methods are called from one
// goroutine for each client and must not block for long.
type Handler interface {
	// Joined tells that the client is on the topic, after each connect.
	Joined(Seat)
	// Received tells of a frame for that seat.
	Received(Seat, Frame)
	// Left tells that a seat is of no more use: the connection ended, or Leave was
	// called.
	Left(Seat)
}

// Line is a way by which frames get to other peers of a topic. It must be
// comparable.
type Line interface {
	// URL names the way: of a server, its URL.
	URL() string
	// Send sends a frame of which nothing is too large.
	Send(ctx context.Context, f Frame) error
}

// Seat is a place on a topic on one line. It is of no more use after the line
// has ended.
type Seat struct {
	Topic Topic
	Self  PeerID
	Line  Line
}

// URL returns the name of the line: of a server, its URL.
func (s Seat) URL() string { return s.Line.URL() }

// Send sends a box, which must be sealed from Self, to one peer or to all on
// the topic (nil). That it returned nil does not mean that anybody got it.
func (s Seat) Send(ctx context.Context, to *PeerID, box []byte) error {
	if len(box) > MaxBox {
		return fmt.Errorf("box of %d bytes: %w", len(box), ErrTooLarge)
	}
	return s.Line.Send(ctx, Frame{Topic: s.Topic, From: s.Self, To: to, Box: box})
}

// connection is one connection of a client to its server.
type connection struct {
	client *Client
	conn   *websocket.Conn
}

// URL implements Line.
func (c connection) URL() string { return c.client.url }

// Send implements Line.
func (c connection) Send(ctx context.Context, f Frame) error {
	raw, err := wire.Encode(f)
	if err != nil {
		return err
	}
	return send(ctx, c.conn, raw, writeTimeout)
}

// Client keeps a connection to one server and its places on topics.
type Client struct {
	url    string
	logger *slog.Logger
	http   *http.Client // nil for the standard one

	mu       sync.Mutex // guards the below
	handlers map[Topic]Handler
	seats    map[Topic]Seat // on the current connection
	left     map[Topic]bool // seats that were given up and the server does not know
	conn     *websocket.Conn
	changed  chan struct{} // one slot: handlers changed
	hurry    chan struct{} // one slot: connect anew
}

// NewClient returns a client of the server at url ("ws://…" or "wss://…"; http
// and https mean the same). A nil logger is none.
func NewClient(url string, logger *slog.Logger) *Client {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Client{
		url: url, logger: logger, changed: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		handlers: make(map[Topic]Handler), seats: make(map[Topic]Seat), left: make(map[Topic]bool),
	}
}

// WithHTTP makes the client use another HTTP client than the standard one. It is
// called before Run.
func (c *Client) WithHTTP(h *http.Client) *Client {
	c.http = h
	return c
}

// URL returns the server's URL.
func (c *Client) URL() string { return c.url }

// Connected reports whether the client is connected now.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

// Redial gives up the connection that there is, or the wait for the next one, and
// connects at once: for a device that is on another network than before.
// The seats of before are of no use when it returns.
func (c *Client) Redial() {
	c.attach(nil)
	select {
	case c.hurry <- struct{}{}:
	default:
	}
}

// errRedial: the connection was given up for another one.
var errRedial = errors.New("another connection is wanted")

// Join puts the client on a topic, now and after each reconnect, until Leave.
// Another handler for the same topic replaces the first and gets a seat of its
// own; the same again changes nothing.
func (c *Client) Join(t Topic, h Handler) {
	tell := func() {}
	c.mu.Lock()
	if c.handlers[t] != h {
		tell = c.giveUp(t)
	}
	c.handlers[t] = h
	c.mu.Unlock()
	tell()
	c.poke()
}

// Leave takes the client off a topic.
func (c *Client) Leave(t Topic) { c.leave(t, nil) }

// LeaveIf is Leave where h is who was put on the topic last.
func (c *Client) LeaveIf(t Topic, h Handler) { c.leave(t, h) }

func (c *Client) leave(t Topic, h Handler) {
	c.mu.Lock()
	if h != nil && c.handlers[t] != h {
		c.mu.Unlock()
		return
	}
	tell := c.giveUp(t)
	delete(c.handlers, t)
	c.mu.Unlock()
	tell()
	c.poke()
}

// giveUp ends a seat and returns what tells its handler; c.mu is held.
func (c *Client) giveUp(t Topic) (tell func()) {
	seat, ok := c.seats[t]
	if !ok {
		return func() {}
	}
	delete(c.seats, t)
	c.left[t] = true
	h := c.handlers[t]
	return func() { h.Left(seat) }
}

func (c *Client) poke() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Run keeps the client connected until ctx ends. It reconnects at once, then
// after growing, random times of at most half a minute.
func (c *Client) Run(ctx context.Context) {
	wait := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		err := c.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > stable {
			wait = 0
		}
		c.logger.Debug("signaling connection ended", "url", c.url, "err", err)
		if errors.Is(err, errRedial) || c.pause(ctx, jitter(wait)) {
			wait = 0
		}
		wait = min(max(2*wait, retryMin), retryMax)
	}
}

// jitter returns a time between half of d and one and a half of it.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d)
}

// pause waits, and reports whether it was told not to.
func (c *Client) pause(ctx context.Context, d time.Duration) (hurry bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-c.hurry:
		return true
	}
	return false
}

// session is one connection, from dial to end.
func (c *Client) session(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-c.hurry:
			cancel(errRedial)
		}
	})
	conn, err := c.dial(ctx)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer conn.CloseNow()
	conn.SetReadLimit(MaxFrame)
	c.attach(conn)
	defer c.attach(nil)
	defer wg.Wait() // who takes seats ends before they are given up
	defer cancel(nil)
	c.poke()
	wg.Go(func() { cancel(keepAlive(ctx, conn, pingEvery, pingWithin)) })
	wg.Go(func() { cancel(c.keepSeats(ctx, conn)) })
	if err := c.read(ctx, conn); ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

func (c *Client) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, c.url, &websocket.DialOptions{
		HTTPClient:   c.http,
		Subprotocols: []string{Protocol}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", c.url, err)
	}
	if conn.Subprotocol() != Protocol {
		_ = conn.CloseNow()
		return nil, fmt.Errorf("dial %s: not a signaling server", c.url)
	}
	return conn, nil
}

func (c *Client) attach(conn *websocket.Conn) {
	c.mu.Lock()
	var tell []func()
	for t := range c.seats {
		tell = append(tell, c.giveUp(t))
	}
	c.conn = conn
	c.seats, c.left = make(map[Topic]Seat), make(map[Topic]bool)
	c.mu.Unlock()
	for _, f := range tell {
		f()
	}
}

// keepSeats makes the seats of a connection what the handlers want.
func (c *Client) keepSeats(ctx context.Context, conn *websocket.Conn) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.changed:
		}
		join, leave := c.diff(conn)
		for _, t := range leave {
			if err := c.request(ctx, conn, unsubscribe{Topic: t}); err != nil {
				return err
			}
		}
		for _, s := range join {
			if err := c.request(ctx, conn, subscribe{Topic: s.Topic, Self: s.Self}); err != nil {
				return err
			}
			if h := c.take(s); h != nil {
				h.Joined(s)
			} else {
				c.poke() // it was left again meanwhile
			}
		}
	}
}

func (c *Client) diff(conn *websocket.Conn) (join []Seat, leave []Topic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != conn {
		return nil, nil // it is being given up
	}
	for t := range c.left {
		leave = append(leave, t)
	}
	clear(c.left)
	for t := range c.handlers {
		if _, ok := c.seats[t]; !ok {
			join = append(join, Seat{Topic: t, Self: NewPeerID(), Line: connection{c, conn}})
		}
	}
	return join, leave
}

// take makes a seat the current one and returns who is to be told.
func (c *Client) take(s Seat) Handler {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Line.(connection).conn != c.conn {
		return nil
	}
	h := c.handlers[s.Topic]
	if h == nil {
		c.left[s.Topic] = true
		return nil
	}
	c.seats[s.Topic] = s
	return h
}

func (c *Client) request(ctx context.Context, conn *websocket.Conn, v any) error {
	raw, err := wire.Encode(v)
	if err != nil {
		return err
	}
	return send(ctx, conn, raw, writeTimeout)
}

func (c *Client) read(ctx context.Context, conn *websocket.Conn) error {
	for {
		kind, raw, err := conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		var f Frame
		if kind != websocket.MessageBinary || decodeFrame(raw, &f) != nil {
			continue // a server can say what it likes
		}
		if h, seat, ok := c.seated(f); ok {
			h.Received(seat, f)
		}
	}
}

// seated returns who is to be told of a frame.
func (c *Client) seated(f Frame) (Handler, Seat, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seat, ok := c.seats[f.Topic]
	h := c.handlers[f.Topic]
	if !ok || h == nil || f.From == seat.Self || (f.To != nil && *f.To != seat.Self) {
		return nil, Seat{}, false
	}
	return h, seat, true
}
