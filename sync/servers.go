package sync

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"echofs/sync/rtc"
	"echofs/sync/turn"
)

// The times of asking a rendezvous for STUN and TURN servers.
const (
	askTimeout  = 10 * time.Second
	askAgain    = 5 * time.Second // after a failure, then doubling
	askAgainMax = 10 * time.Minute
	askNone     = time.Hour // after the answer that there is none
)

// keepServers uses the STUN and TURN servers that a rendezvous offers, and asks
// again before their credentials end.
func (n *Network) keepServers(ctx context.Context, url string) {
	for failures := 0; ctx.Err() == nil; {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		offer, err := turn.Fetch(asking, n.opts.HTTP, url)
		cancel()
		wait := askNone
		switch {
		case err == nil:
			failures = 0
			wait = min(time.Duration(offer.Seconds)*time.Second/2, askNone)
			n.offerServers(url, &offer)
		case errors.Is(err, turn.ErrNone):
			failures = 0
			n.offerServers(url, nil)
		default:
			failures++
			wait = backoff(askAgain, askAgainMax, failures)
			n.logger.Debug("cannot ask for a TURN server", "server", url, "err", err)
		}
		pauseFor(ctx, wait)
	}
}

// offerServers takes what a rendezvous offers, nil for nothing.
func (n *Network) offerServers(url string, o *turn.Offer) {
	n.mu.Lock()
	if o == nil {
		delete(n.servers, url)
	} else {
		n.servers[url] = *o
	}
	var list []rtc.Server
	for _, url := range slices.Sorted(maps.Keys(n.servers)) {
		s := n.servers[url]
		list = append(list, rtc.Server{URLs: s.URLs, Username: s.Username, Password: s.Password})
	}
	n.mu.Unlock()
	n.api.SetServers(list)
}
