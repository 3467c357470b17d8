package lan

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/mdns/v2"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"echofs/sync/near"
)

// MaxPeers is how many devices are remembered. Beyond, new ones wait until old
// ones are forgotten.
const MaxPeers = 256

// The times of a Finder.
const (
	askFirst  = time.Second // after the first question, then doubling
	askMost   = time.Minute
	forget    = 3 * time.Minute // after nothing was heard
	addresses = 4               // remembered of one device
)

// Options configure a Finder.
type Options struct {
	// Port is where this device listens for others.
	Port uint16
	// Loopback looks on the loopback interface alone: for tests, and for machines
	// without a network. New sets it where there is no other interface.
	Loopback bool
	// Logger is told of errors; nil for nobody.
	Logger *slog.Logger
}

// Peer is a device that announces itself on the local network.
type Peer struct {
	Instance string // its random name
	URLs     []string
	Tags     []Tag
	Seen     time.Time // when it was last heard of
}

// Finder announces this device and finds others.
type Finder struct {
	opts     Options
	logger   *slog.Logger
	instance string
	changed  chan struct{} // one slot: peers changed
	retag    chan struct{} // one slot: tags changed

	mu    sync.Mutex // guards the below
	tags  []Tag
	peers map[string]*Peer
}

// New returns a finder. It does nothing until Run.
func New(opts Options) *Finder {
	var name [8]byte
	_, _ = rand.Read(name[:]) // never fails
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	opts.Loopback = opts.Loopback || len(interfaces(false)) == 0
	return &Finder{
		opts: opts, logger: opts.Logger, instance: hex.EncodeToString(name[:]),
		changed: make(chan struct{}, 1), retag: make(chan struct{}, 1), peers: make(map[string]*Peer),
	}
}

// Instance returns the name under which this device is announced.
func (f *Finder) Instance() string { return f.instance }

// SetTags changes what is announced.
func (f *Finder) SetTags(tags []Tag) {
	f.mu.Lock()
	same := slices.Equal(f.tags, tags)
	f.tags = slices.Clone(tags)
	f.mu.Unlock()
	if !same {
		poke(f.retag)
	}
}

// Changed receives when Peers has changed.
func (f *Finder) Changed() <-chan struct{} { return f.changed }

// Peers returns the devices that are there, by their names.
func (f *Finder) Peers() (list []Peer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.peers)) {
		p := *f.peers[name]
		p.URLs, p.Tags = slices.Clone(p.URLs), slices.Clone(p.Tags)
		list = append(list, p)
	}
	return list
}

// Run announces and finds until ctx ends, also where the machine's networks
// change. Without any network it waits for one.
func (f *Finder) Run(ctx context.Context) {
	wait := askFirst
	for ctx.Err() == nil {
		found := interfaces(f.opts.Loopback)
		err := f.runOn(ctx, found)
		if err != nil {
			f.logger.Debug("cannot look for devices on the local network", "err", err)
			pause(ctx, wait)
			wait = min(2*wait, askMost)
			continue
		}
		wait = askFirst
	}
}

// runOn works on some interfaces until they are others, or ctx ends.
func (f *Finder) runOn(ctx context.Context, on []net.Interface) error {
	conn, err := f.open(on)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	conn.OnServiceDiscovered(f.heard)
	f.mu.Lock()
	tags := encodeTags(f.tags)
	f.mu.Unlock()
	err = conn.Register(mdns.ServiceInstance{Instance: f.instance, Service: Service, Port: f.opts.Port, Text: tags})
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	for every := askFirst; ; every = min(2*every, askMost) {
		again, err := f.ask(ctx, conn, every)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if again {
			every = askFirst / 2
		}
		f.age(time.Now())
		if !slices.EqualFunc(on, interfaces(f.opts.Loopback), sameInterface) {
			return nil
		}
	}
}

// ask asks once and listens to answers for a time. Every question is a browse
// of its own, so that everybody who answers is heard again. It ends early where
// this device has other tags: others may have announced them long ago.
func (f *Finder) ask(ctx context.Context, conn *mdns.Conn, within time.Duration) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := conn.Browse(ctx, Service); err != nil {
		return false, fmt.Errorf("browse: %w", err)
	}
	select {
	case <-ctx.Done():
		return false, nil
	case <-f.retag:
	}
	f.mu.Lock()
	tags := encodeTags(f.tags)
	f.mu.Unlock()
	if err := conn.UpdateTXT(f.instance, Service, tags); err != nil {
		return false, fmt.Errorf("announce: %w", err)
	}
	return true, nil
}

// open makes the sockets. One address family is enough.
func (f *Finder) open(on []net.Interface) (*mdns.Conn, error) {
	var v4 *ipv4.PacketConn
	var v6 *ipv6.PacketConn
	c4, err := listen("udp4", mdns.DefaultAddressIPv4)
	if err == nil {
		v4 = ipv4.NewPacketConn(c4)
	}
	c6, err6 := listen("udp6", mdns.DefaultAddressIPv6)
	if err6 == nil {
		v6 = ipv6.NewPacketConn(c6)
	}
	if v4 == nil && v6 == nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	conn, err := mdns.NewServer(v4, v6, mdns.WithInterfaces(on...), mdns.WithIncludeLoopback(f.opts.Loopback),
		mdns.WithLocalNames("echofs-"+f.instance+".local"), mdns.WithLoggerFactory(silent{}),
		mdns.WithQueryInterval(time.Hour), mdns.WithCacheRefresh(false))
	if err != nil {
		for _, c := range []*net.UDPConn{c4, c6} {
			if c != nil {
				_ = c.Close()
			}
		}
		return nil, fmt.Errorf("open: %w", err)
	}
	return conn, nil
}

func listen(network, address string) (*net.UDPConn, error) {
	addr, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	return net.ListenUDP(network, addr) // shared, since the address is a group's
}

// heard takes note of what somebody announces.
func (f *Finder) heard(e mdns.ServiceEvent) {
	name, url, ok := f.acceptable(e)
	if !ok {
		return
	}
	tags := decodeTags(e.Instance.Text)
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.peers[name]
	if p == nil {
		if len(f.peers) >= MaxPeers {
			return
		}
		p = &Peer{Instance: name}
		f.peers[name] = p
	}
	p.Seen = time.Now()
	known := slices.Contains(p.URLs, url)
	if known && slices.Equal(p.Tags, tags) {
		return
	}
	if !known {
		p.URLs = append(p.URLs, url)
		p.URLs = p.URLs[max(0, len(p.URLs)-addresses):]
	}
	p.Tags = tags
	poke(f.changed)
}

// acceptable returns the name and URL of another device that is where it can be.
func (f *Finder) acceptable(e mdns.ServiceEvent) (name, url string, ok bool) {
	name = e.Instance.Instance
	addr := e.Addr.Unmap()
	ok = name != f.instance && len(name) == 2*8 && e.Instance.Service == Service && e.Instance.Port != 0 &&
		strings.Trim(name, "0123456789abcdef") == "" && near.Is(addr) && addr.IsLoopback() == f.opts.Loopback
	return name, "ws://" + net.JoinHostPort(addr.String(), strconv.Itoa(int(e.Instance.Port))), ok
}

// age forgets who has not been heard for long.
func (f *Finder) age(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.peers)
	maps.DeleteFunc(f.peers, func(_ string, p *Peer) bool { return now.Sub(p.Seen) > forget })
	if len(f.peers) != before {
		poke(f.changed)
	}
}

// interfaces returns the interfaces to look on.
func interfaces(loopback bool) (out []net.Interface) {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range all {
		up, lo := i.Flags&net.FlagUp != 0, i.Flags&net.FlagLoopback != 0
		if up && lo == loopback && (lo || i.Flags&net.FlagMulticast != 0) && hasAddress(i) {
			out = append(out, i)
		}
	}
	return out
}

func hasAddress(i net.Interface) bool {
	addrs, err := i.Addrs()
	return err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && near.Is(p.Addr())
	})
}

func sameInterface(a, b net.Interface) bool {
	x, errX := a.Addrs()
	y, errY := b.Addrs()
	same := func(a, b net.Addr) bool { return a.String() == b.String() }
	return a.Index == b.Index && a.Flags == b.Flags && errX == nil && errY == nil && slices.EqualFunc(x, y, same)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// silent discards the library's log.
type silent struct{}

// NewLogger implements logging.LoggerFactory.
func (silent) NewLogger(string) logging.LeveledLogger { return &logging.DefaultLeveledLogger{} }
