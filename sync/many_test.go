package sync_test

import (
	"fmt"
	"testing"
	"time"

	echosync "echofs/sync"
	"echofs/sync/overlay"
)

// waitLong polls a condition that a busy machine may take long for.
func waitLong(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if <-tick.C; time.Now().After(deadline) {
			tb.Fatalf("%s: not in time", what)
		}
	}
}

// A space of many: nobody has more connections than the overlay gives it, what
// one writes gets to all, everybody knows in the end that all have it, and when
// a third of them goes, and the server with them, the rest stays one.
func TestMany(t *testing.T) {
	const count = 12
	var names []string
	for i := range count {
		names = append(names, fmt.Sprintf("d%02d", i))
	}
	s := shared(t, names...)
	id := s[0].ID()
	url, stopServer := startSignal(t, "")
	var nets []*echosync.Network
	var stops []func()
	for _, one := range s {
		n, stop := startNetwork(t, one.Vault(), echosync.Options{Signal: []string{url}})
		nets, stops = append(nets, n), append(stops, stop)
	}
	whole := func(n []*echosync.Network) func() bool {
		return func() bool {
			for _, one := range n {
				if links := one.Connected(id); links > overlay.Degree {
					t.Fatalf("%d connections", links)
				}
				if one.Reached(id) != len(n)-1 {
					return false
				}
			}
			return true
		}
	}
	start := time.Now()
	waitLong(t, "all reach all", whole(nets))
	links := 0
	for _, n := range nets {
		links += n.Connected(id)
	}
	t.Logf("all reach all after %v, by %d connections of %d pairs", time.Since(start), links/2, count*(count-1)/2)
	start = time.Now()
	s[0].Write([]byte("for all"))
	for i, one := range s[1:] {
		await(t, one, names[i+1]+" has the entry", has(one, s[0].Own(), 1))
	}
	t.Logf("all have an entry after %v", time.Since(start))
	for i, one := range s[1:] {
		await(t, s[0], names[i+1]+" is known to have it", func() bool {
			return s[0].Acked(one.Vault().DeviceID(), s[0].Own()) == 1
		})
	}
	t.Logf("and are known to have it after %v", time.Since(start))

	stopServer()
	var left []*echosync.Network
	for i, n := range nets {
		if i%3 == 1 {
			stops[i]()
		} else {
			left = append(left, n)
		}
	}
	waitLong(t, "the rest reach each other, and nobody else", whole(left))
	s[2].Write([]byte("for the rest"))
	for i, one := range s {
		if i%3 != 1 {
			await(t, one, names[i]+" has the second entry", has(one, s[2].Own(), 1))
		}
	}
}
