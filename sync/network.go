package sync

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pion/transport/v5"

	"echofs/halo"
	"echofs/sync/lan"
	"echofs/sync/rtc"
	"echofs/sync/signal"
	"echofs/sync/turn"
)

// Options configure a Network.
type Options struct {
	// Signal are the URLs of signaling servers ("ws://host:port/", "wss://…").
	// All are used at a time. Without any, devices are found on the local network
	// alone, and through those that are connected.
	Signal []string
	// ICE are the URLs of STUN and TURN servers, as rtc.Options.ICE.
	ICE []string
	// NoLAN refuses loopback and link-local addresses of peers.
	NoLAN bool
	// LAN, unless nil, finds devices on the local network without a server. Its
	// port and logger are the network's to choose.
	LAN *lan.Options
	// Offline starts the network offline, until SetOffline(false).
	Offline bool
	// Logger is told what happens; nil for nobody. It gets short ids, addresses
	// of servers and errors: no content and no secrets.
	Logger *slog.Logger
	// AnnounceEvery is how often a device says on each topic that it is there,
	// in case that somebody missed it; 0 is 45 s.
	AnnounceEvery time.Duration
	// Net replaces the operating system's network for connections, in tests.
	Net transport.Net
	// HTTP replaces the standard client by which signaling servers are reached, in
	// tests.
	HTTP *http.Client
}

const defaultAnnounce = 45 * time.Second

// Network keeps a vault connected to the other devices of its spaces.
type Network struct {
	repo     Repo
	opts     Options
	logger   *slog.Logger
	api      *rtc.API
	instance [16]byte
	pending  chan struct{} // tokens for connections in the making

	mu      sync.Mutex // guards the below
	signal  []string
	offline bool
	toggled chan struct{} // one slot: offline changed
	online  *online       // nil while offline or not running
	changed chan struct{} // closed and replaced when online changes
	faults  map[halo.DeviceID]misdeeds
	invites map[*Invitation]bool // that are being hosted
	open    map[halo.SpaceID][]Open
	servers map[string]turn.Offer // of STUN and TURN servers, by who offers them
}

// online is what exists while the network is online.
type online struct {
	ctx     context.Context
	wg      sync.WaitGroup
	clients map[string]*signal.Client // of servers
	local   *local                    // nil where devices of the local network are not looked for
	swarms  map[halo.SpaceID]*swarm
	links   map[linkAt]*linkHost // whose guests are met
}

// maxPending is how many connections may be in the making at a time.
const maxPending = 16

// New returns a network for the spaces of a vault. It does nothing until Run.
// It fails for malformed options.
func New(repo Repo, opts Options) (*Network, error) {
	api, err := rtc.New(rtc.Options{ICE: opts.ICE, NoLocal: opts.NoLAN, Net: opts.Net})
	if err != nil {
		return nil, fmt.Errorf("new network: %w", err)
	}
	n := &Network{
		repo: repo, opts: opts, logger: opts.Logger, api: api,
		pending: make(chan struct{}, maxPending), signal: slices.Clone(opts.Signal), offline: opts.Offline,
		toggled: make(chan struct{}, 1), changed: make(chan struct{}),
		faults: make(map[halo.DeviceID]misdeeds), invites: make(map[*Invitation]bool), open: make(map[halo.SpaceID][]Open), servers: make(map[string]turn.Offer),
	}
	if n.logger == nil {
		n.logger = slog.New(slog.DiscardHandler)
	}
	if n.opts.AnnounceEvery <= 0 {
		n.opts.AnnounceEvery = defaultAnnounce
	}
	if _, err := rand.Read(n.instance[:]); err != nil {
		return nil, fmt.Errorf("new network: %w", err)
	}
	return n, nil
}

// Run keeps the network going until ctx ends, and returns when everything that
// it started has ended.
func (n *Network) Run(ctx context.Context) error {
	for {
		n.mu.Lock()
		offline := n.offline
		n.mu.Unlock()
		if !offline {
			n.runOnline(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		if !offline {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.toggled:
		}
	}
}

// runOnline runs until ctx ends or the network is told to go offline.
func (n *Network) runOnline(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := n.repo.Changes()
	defer changes.Close()
	o := &online{ctx: ctx, clients: make(map[string]*signal.Client), swarms: make(map[halo.SpaceID]*swarm), links: make(map[linkAt]*linkHost)}
	if n.opts.LAN != nil {
		o.local = newLocal(n, o)
		o.wg.Go(func() { o.local.run(ctx, *n.opts.LAN) })
	}
	n.mu.Lock()
	n.setOnline(o)
	urls := slices.Clone(n.signal)
	n.mu.Unlock()
	for _, url := range urls {
		n.client(url)
	}
	o.wg.Go(func() { n.watchMoves(ctx) })
	n.reconcile(o)
	n.resumeInvites()
	haven := newHaven(n)
	o.wg.Go(func() { haven.run(ctx) })
	n.follow(ctx, o, changes)
	n.mu.Lock()
	n.setOnline(nil)
	n.mu.Unlock()
	cancel()
	o.wg.Wait()
}

// follow hands changes to the swarms until the network goes offline.
func (n *Network) follow(ctx context.Context, o *online, changes Changes) {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.toggled:
			if n.isOffline() {
				return
			}
		case <-minute.C:
			n.reconcile(o)
		case <-changes.C():
			n.spread(o, changes.Take())
		}
	}
}

func (n *Network) spread(o *online, list []Change) {
	members := false
	for _, c := range list {
		members = members || c.Members
		n.mu.Lock()
		s := o.swarms[c.Space]
		n.mu.Unlock()
		if s != nil {
			s.x.refresh()
		}
	}
	if members {
		n.reconcile(o)
	}
}

// reconcile starts swarms of new spaces, ends those of spaces that are gone,
// and brings the topics of all up to date, those of links too.
func (n *Network) reconcile(o *online) {
	defer n.hostLinks(o)
	open := make(map[halo.SpaceID]bool)
	for _, space := range allSpaces(n.repo) {
		open[space.ID()] = true
		n.mu.Lock()
		s := o.swarms[space.ID()]
		if s == nil {
			s = newSwarm(n, o, space)
			o.swarms[space.ID()] = s
			o.wg.Go(s.run)
		}
		n.mu.Unlock()
		s.rearrange(time.Now())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, s := range o.swarms {
		if !open[id] {
			s.cancel()
			delete(o.swarms, id)
		}
	}
}

// setOnline changes what is online; n.mu is held.
func (n *Network) setOnline(o *online) {
	n.online = o
	close(n.changed)
	n.changed = make(chan struct{})
}

// whenOnline waits for Run to be online. It fails with ErrOffline where the
// network was told to be offline.
func (n *Network) whenOnline(ctx context.Context) (*online, error) {
	for {
		n.mu.Lock()
		o, offline, changed := n.online, n.offline, n.changed
		n.mu.Unlock()
		if offline {
			return nil, ErrOffline
		}
		if o != nil {
			return o, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("network does not run: %w", ctx.Err())
		}
	}
}

// spawn runs f as a part of o, unless o has ended.
func (n *Network) spawn(o *online, f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.online != o {
		return false
	}
	o.wg.Go(f)
	return true
}

func (n *Network) isOffline() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.offline
}

// SetOffline closes all connections and makes no new ones, or ends that.
func (n *Network) SetOffline(offline bool) {
	n.mu.Lock()
	n.offline = offline
	n.mu.Unlock()
	poke(n.toggled)
}

// Offline reports what SetOffline said last.
func (n *Network) Offline() bool { return n.isOffline() }

// AddSignal uses one more signaling server from now on.
func (n *Network) AddSignal(url string) {
	n.mu.Lock()
	if !slices.Contains(n.signal, url) {
		n.signal = append(n.signal, url)
	}
	n.mu.Unlock()
	if c := n.client(url); c != nil {
		for _, s := range n.swarmList() {
			s.visit(c)
		}
	}
}

// Signal returns the URLs of the signaling servers in use.
func (n *Network) Signal() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.signal)
}

// client returns the client of a server, and starts it if need be; nil while
// offline.
func (n *Network) client(url string) *signal.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.online
	if o == nil {
		return nil
	}
	c := o.clients[url]
	if c == nil {
		c = signal.NewClient(url, n.logger).WithHTTP(n.opts.HTTP)
		o.wg.Go(func() { n.keepServers(o.ctx, url) })
		o.clients[url] = c
		o.wg.Go(func() { c.Run(o.ctx) })
	}
	return c
}

// enter puts a handler on a topic, at all servers or at those of the URLs, and
// on the local network.
func (n *Network) enter(t signal.Topic, h signal.Handler, urls ...string) {
	for _, url := range urls {
		if c := n.client(url); c != nil {
			c.Join(t, h)
		}
	}
	if len(urls) == 0 {
		for _, c := range n.clientList() {
			c.Join(t, h)
		}
	}
	if l := n.local(); l != nil {
		l.join(t, h)
	}
}

// exit takes whoever is there off a topic, everywhere.
func (n *Network) exit(t signal.Topic) {
	for _, c := range n.clientList() {
		c.Leave(t)
	}
	if l := n.local(); l != nil {
		l.leave(t, nil)
	}
}

// exitFrom is exit where h is still who is there. Who comes by a link becomes one
// of its hosts, on the same topic, before it has left as a guest.
func (n *Network) exitFrom(t signal.Topic, h signal.Handler) {
	for _, c := range n.clientList() {
		c.LeaveIf(t, h)
	}
	if l := n.local(); l != nil {
		l.leave(t, h)
	}
}

// local returns how devices of the local network are met; nil for not at all.
func (n *Network) local() *local {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.online == nil {
		return nil
	}
	return n.online.local
}

func (n *Network) clientList() (list []*signal.Client) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.online != nil {
		for _, c := range n.online.clients {
			list = append(list, c)
		}
	}
	return list
}

func (n *Network) swarmList() (list []*swarm) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.online != nil {
		for _, s := range n.online.swarms {
			list = append(list, s)
		}
	}
	return list
}

// PeerInfo is what is known of a device that is connected.
type PeerInfo struct {
	Device        halo.DeviceID
	Identity      halo.IdentityID
	Name          string // of the member or device, if the repository knows one
	Space         halo.SpaceID
	SpaceName     string
	Path          string        // "lan", "direct" or "relay"
	RTT           time.Duration // of the last ping; 0 before the first
	EntriesBehind uint64        // entries held here that the device has not acknowledged
	Missing       uint64        // entries, and among own devices spaces, that it told of and that are not here
	LastSeen      time.Time     // when something of it was last heard
	Since         time.Time     // when it connected
	Role          halo.Role     // of its identity
	Lost          uint64        // entries it had acknowledged before, and did not hold when it connected
	Ahead         uint64        // entries that it holds and that are not here
	NoRoom        bool          // it keeps no more, since its quota is used up
}

// Peers returns the devices that are connected, one for each space.
func (n *Network) Peers() (list []PeerInfo) {
	for _, s := range n.swarmList() {
		list = append(list, s.peers()...)
	}
	slices.SortFunc(list, func(a, b PeerInfo) int {
		if c := slices.Compare(a.Space[:], b.Space[:]); c != 0 {
			return c
		}
		return slices.Compare(a.Device[:], b.Device[:])
	})
	return list
}

// Connected returns the number of devices that are connected about a space.
func (n *Network) Connected(space halo.SpaceID) int {
	if s := n.swarm(space); s != nil {
		return len(s.peers())
	}
	return 0
}

// Reached returns the number of devices that are there about a space: those that
// are connected, and those that are reached through them.
func (n *Network) Reached(space halo.SpaceID) int {
	if s := n.swarm(space); s != nil {
		return s.reached()
	}
	return 0
}

// swarm returns the swarm of a space, or nil.
func (n *Network) swarm(space halo.SpaceID) *swarm {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.online == nil {
		return nil
	}
	return n.online.swarms[space]
}

// SignalConnected returns how many signaling servers are connected.
func (n *Network) SignalConnected() (count int) {
	for _, c := range n.clientList() {
		if c.Connected() {
			count++
		}
	}
	return count
}
