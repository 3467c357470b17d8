package sync

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"echofs/sync/lan"
	"echofs/sync/near"
	"echofs/sync/signal"
)

const (
	// localServers is at how many listeners of others a topic is met on. All
	// devices choose the same ones, so that they meet without each calling each.
	localServers = 3
	// maxLocal is how many listeners of others are called at a time.
	maxLocal = 32
	// localPatience is how long a listener may be unreachable before another one
	// is tried as well.
	localPatience = 3 * time.Second
)

// localLimits bound what the local network can make this device's listener hold.
func localLimits() signal.Limits {
	return signal.Limits{Clients: 256, ClientsPerAddr: 128, Topics: 1024, TopicsPerClient: 256, PeersPerTopic: 128}
}

// local is how devices of the local network meet without a server: each listens
// as a rendezvous does, for the local network alone, and those who announce the
// same topic meet at the listeners of the few whose names come first for it.
type local struct {
	n       *Network
	o       *online
	changed chan struct{} // one slot: topics changed

	mu      sync.Mutex // guards the below
	topics  map[signal.Topic]signal.Handler
	clients map[string]*localClient
	own     *signal.Client // of the own listener; nil until it listens
}

// localClient is the client of one listener.
type localClient struct {
	*signal.Client
	cancel context.CancelFunc
	began  time.Time
}

// answers reports whether a listener is reachable, or may be.
func (c *localClient) answers(now time.Time) bool {
	return c == nil || c.Connected() || now.Sub(c.began) < localPatience
}

func newLocal(n *Network, o *online) *local {
	return &local{n: n, o: o, changed: make(chan struct{}, 1),
		topics: make(map[signal.Topic]signal.Handler), clients: make(map[string]*localClient)}
}

// join makes the device be met on a topic.
func (l *local) join(t signal.Topic, h signal.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topics[t] = h
	if l.own != nil {
		l.own.Join(t, h)
	}
	poke(l.changed)
}

// leave ends join; with h only where h is who was put on the topic last.
func (l *local) leave(t signal.Topic, h signal.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h != nil && l.topics[t] != h {
		return
	}
	delete(l.topics, t)
	if l.own != nil {
		l.own.Leave(t)
	}
	for _, c := range l.clients {
		c.Leave(t)
	}
	poke(l.changed)
}

// run listens and looks for others until ctx ends.
func (l *local) run(ctx context.Context, opts lan.Options) {
	var wg sync.WaitGroup
	defer wg.Wait()
	server := signal.NewServer(signal.ServerOptions{Limits: localLimits(), Admit: near.Host})
	bound := make(chan net.Addr, 1)
	listen := ":0"
	if opts.Loopback {
		listen = "127.0.0.1:0"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		if err := server.Serve(ctx, listen, func(a net.Addr) { bound <- a }); err != nil {
			l.n.logger.Warn("cannot be met on the local network", "err", err)
			cancel()
		}
	})
	select {
	case <-ctx.Done():
		return
	case a := <-bound:
		addr, err := netip.ParseAddrPort(a.String())
		if err != nil {
			return
		}
		opts.Port = addr.Port()
	}
	opts.Logger = l.n.logger
	finder := lan.New(opts)
	wg.Go(func() { finder.Run(ctx) })
	l.openOwn(ctx, &wg, opts.Port)
	l.follow(ctx, &wg, finder)
}

// openOwn sits down at the own listener.
func (l *local) openOwn(ctx context.Context, wg *sync.WaitGroup, port uint16) {
	own := signal.NewClient("ws://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))), l.n.logger)
	wg.Go(func() { own.Run(ctx) })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own = own
	for t, h := range l.topics {
		own.Join(t, h)
	}
}

// follow keeps what is announced, and the listeners that are called, up to date.
func (l *local) follow(ctx context.Context, wg *sync.WaitGroup, finder *lan.Finder) {
	tick := time.NewTicker(localPatience)
	defer tick.Stop()
	for {
		finder.SetTags(l.tags())
		l.arrange(ctx, wg, finder.Peers(), time.Now())
		select {
		case <-ctx.Done():
			return
		case <-finder.Changed():
		case <-l.changed:
		case <-tick.C:
		}
	}
}

func (l *local) tags() (tags []lan.Tag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range l.topics {
		tags = append(tags, lan.TagOf(t))
	}
	slices.SortFunc(tags, func(a, b lan.Tag) int { return bytes.Compare(a[:], b[:]) })
	return tags
}

// arrange calls the listeners at which the topics are met, and no others.
func (l *local) arrange(ctx context.Context, wg *sync.WaitGroup, peers []lan.Peer, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := make(map[string][]signal.Topic)
	for t := range l.topics {
		for _, url := range l.choose(t, peers, now) {
			wanted[url] = append(wanted[url], t)
		}
	}
	for url, c := range l.clients {
		if wanted[url] == nil {
			c.cancel()
			delete(l.clients, url)
		}
	}
	for _, url := range slices.Sorted(maps.Keys(wanted)) {
		c := l.clients[url]
		if c == nil {
			if len(l.clients) >= maxLocal {
				return
			}
			c = l.call(ctx, wg, url, now)
		}
		for _, t := range wanted[url] {
			c.Join(t, l.topics[t])
		}
	}
}

// call starts the client of a listener; l.mu is held.
func (l *local) call(ctx context.Context, wg *sync.WaitGroup, url string, now time.Time) *localClient {
	ctx, cancel := context.WithCancel(ctx)
	c := &localClient{signal.NewClient(url, l.n.logger), cancel, now}
	l.clients[url] = c
	wg.Go(func() { c.Run(ctx) })
	return c
}

// choose returns the URLs at which a topic is met: of the first localServers
// devices that announce it, in an order that is the topic's own, and of the next
// ones in place of those that do not answer. l.mu is held.
func (l *local) choose(t signal.Topic, peers []lan.Peer, now time.Time) (urls []string) {
	tag := lan.TagOf(t)
	there := slices.DeleteFunc(slices.Clone(peers), func(p lan.Peer) bool { return !slices.Contains(p.Tags, tag) || len(p.URLs) == 0 })
	rank := func(p lan.Peer) [32]byte { return sha256.Sum256(append(t[:], p.Instance...)) }
	slices.SortFunc(there, func(a, b lan.Peer) int {
		x, y := rank(a), rank(b)
		return bytes.Compare(x[:], y[:])
	})
	answering := 0
	for _, p := range there {
		if answering == localServers {
			break
		}
		i := slices.IndexFunc(p.URLs, func(url string) bool { return l.clients[url].answers(now) })
		if i >= 0 {
			answering++
		}
		for j, url := range p.URLs {
			// A device that does not answer is called on, at all of its addresses.
			if j == i || i < 0 {
				urls = append(urls, url)
			}
		}
	}
	return urls
}
