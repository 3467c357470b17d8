package turn

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5"
	"github.com/pion/turn/v5"

	"echofs/sync/near"
)

const (
	// Life is how long credentials are valid.
	Life = 12 * time.Hour
	// MaxPerAddr is how many relays one client address has at a time.
	MaxPerAddr = 64
	// MaxAll is how many relays there are at a time.
	MaxAll = 2048

	realm = "echofs"
)

// Options configure a Server.
type Options struct {
	// Listen is the address and port, for UDP and TCP alike.
	Listen string
	// Relay is the IP address at which peers reach relays; the zero value is that
	// of Listen, or where that names none, of the way to the internet.
	Relay netip.Addr
	// Host is the name or address that clients are given; empty is Relay.
	Host string
	// Secret makes credentials; empty is a random one.
	Secret string
	// STUNOnly relays nothing.
	STUNOnly bool
	// Net replaces the operating system's network for relays, in tests.
	Net transport.Net
}

// Offer is what a client needs to use a server.
type Offer struct {
	URLs     []string `json:"urls"`
	Username string   `json:"username,omitempty"`
	Password string   `json:"password,omitempty"`
	Seconds  int      `json:"seconds"` // that it is valid
}

// Server is a running server.
type Server struct {
	server *turn.Server
	opts   Options
	addr   netip.AddrPort

	mu     sync.Mutex // guards the below
	relays map[string]int
	all    int
}

// Start starts a server, which must be closed.
func Start(ctx context.Context, opts Options) (*Server, error) {
	var lc net.ListenConfig
	tcp, err := lc.Listen(ctx, "tcp", opts.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for TURN: %w", err)
	}
	udp, err := lc.ListenPacket(ctx, "udp", tcp.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for TURN: %w", err), tcp.Close())
	}
	s, err := On(udp, tcp, opts)
	if err != nil {
		return nil, errors.Join(err, udp.Close(), tcp.Close())
	}
	return s, nil
}

// On starts a server on sockets, which are the server's to close if it succeeds;
// tcp may be nil.
func On(udp net.PacketConn, tcp net.Listener, opts Options) (*Server, error) {
	bound, err := netip.ParseAddrPort(udp.LocalAddr().String())
	if err != nil {
		return nil, fmt.Errorf("own address: %w", err)
	}
	if !opts.Relay.IsValid() {
		if opts.Relay, err = relayAddress(bound.Addr().Unmap()); err != nil {
			return nil, err
		}
	}
	if opts.Secret == "" {
		opts.Secret = random(32)
	}
	s := &Server{opts: opts, addr: netip.AddrPortFrom(opts.Relay, bound.Port()), relays: make(map[string]int)}
	generator := &turn.RelayAddressGeneratorStatic{RelayAddress: opts.Relay.AsSlice(), Address: bound.Addr().String(), Net: opts.Net}
	var listeners []turn.ListenerConfig
	if tcp != nil {
		listeners = []turn.ListenerConfig{{Listener: tcp, RelayAddressGenerator: generator, PermissionHandler: s.permit}}
	}
	s.server, err = turn.NewServer(turn.ServerConfig{
		Realm: realm, LoggerFactory: silent{},
		AuthHandler: s.authenticate, QuotaHandler: s.admit,
		EventHandler: turn.EventHandler{
			OnAllocationCreated: func(src, _ net.Addr, _, _, _ string, _ net.Addr, _ int) { s.count(src, 1) },
			OnAllocationDeleted: func(src, _ net.Addr, _, _, _ string) { s.count(src, -1) },
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: udp, RelayAddressGenerator: generator, PermissionHandler: s.permit}},
		ListenerConfigs:   listeners,
	})
	if err != nil {
		return nil, fmt.Errorf("start TURN: %w", err)
	}
	return s, nil
}

// relayAddress returns the address of a machine that listens at bound.
func relayAddress(bound netip.Addr) (netip.Addr, error) {
	if !bound.IsUnspecified() {
		return bound, nil
	}
	// Nothing is sent: this only asks for the way.
	c, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the address of this machine (name one): %w", err)
	}
	defer func() { _ = c.Close() }()
	own, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the address of this machine: %w", err)
	}
	return own.Addr().Unmap(), nil
}

// Close ends all relays.
func (s *Server) Close() error {
	if err := s.server.Close(); err != nil {
		return fmt.Errorf("close TURN: %w", err)
	}
	return nil
}

// Addr returns where the server is reached.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Offer returns credentials that are valid for Life.
func (s *Server) Offer(now time.Time) Offer {
	host := s.opts.Host
	if host == "" {
		host = s.addr.Addr().String()
	}
	return s.offerAt(host, now)
}

// ServeHTTP answers GET with an Offer. Without a Host in the options clients are
// given the name under which they came.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "GET only", http.StatusMethodNotAllowed)
		return
	}
	name := s.opts.Host
	if name == "" {
		name = r.Host
		if h, _, err := net.SplitHostPort(r.Host); err == nil {
			name = h
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s.offerAt(name, time.Now())) // whoever asked may have gone
}

func (s *Server) offerAt(host string, now time.Time) Offer {
	at := net.JoinHostPort(host, strconv.Itoa(int(s.addr.Port())))
	o := Offer{URLs: []string{"stun:" + at}, Seconds: int(Life.Seconds())}
	if s.opts.STUNOnly {
		return o
	}
	o.URLs = append(o.URLs, "turn:"+at+"?transport=udp", "turn:"+at+"?transport=tcp")
	o.Username, o.Password = Credentials(s.opts.Secret, now.Add(Life))
	return o
}

// Credentials returns a name and password for a server that has secret.
func Credentials(secret string, until time.Time) (username, password string) {
	username = strconv.FormatInt(until.Unix(), 10) + ":" + random(8)
	return username, sign(secret, username)
}

func sign(secret, username string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(username)) // never fails
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// authenticate returns the key of a user name that has not ended.
func (s *Server) authenticate(ra *turn.RequestAttributes) (user string, key []byte, ok bool) {
	if s.opts.STUNOnly || len(ra.Username) > 128 {
		return "", nil, false
	}
	end := ra.Username
	for i, c := range end {
		if c == ':' {
			end = end[:i]
			break
		}
	}
	until, err := strconv.ParseInt(end, 10, 64)
	if err != nil || time.Now().Unix() > until || time.Until(time.Unix(until, 0)) > 2*Life {
		return "", nil, false
	}
	return ra.Username, turn.GenerateAuthKey(ra.Username, ra.Realm, sign(s.opts.Secret, ra.Username)), true
}

func host(a net.Addr) string {
	h, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return h
}

// admit is the limit on relays.
func (s *Server) admit(_, _ string, src net.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all < MaxAll && s.relays[host(src)] < MaxPerAddr
}

func (s *Server) count(src net.Addr, by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all += by
	if s.relays[host(src)] += by; s.relays[host(src)] <= 0 {
		delete(s.relays, host(src))
	}
}

// permit keeps a server of the internet from reaching into local networks.
func (s *Server) permit(_ net.Addr, peer net.IP) bool {
	addr, ok := netip.AddrFromSlice(peer)
	return ok && (near.Is(s.addr.Addr()) || !near.Is(addr)) && !addr.IsMulticast() && !addr.IsUnspecified()
}

// silent discards the library's log: it would tell addresses.
type silent struct{}

// NewLogger implements logging.LoggerFactory.
func (silent) NewLogger(string) logging.LeveledLogger { return &logging.DefaultLeveledLogger{} }
