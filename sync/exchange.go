package sync

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"echofs/halo"
)

// exchange is what the peers of one space share: what is held here, what is
// being fetched from whom, and what is durable.
type exchange struct {
	repo     Repo
	space    Space
	logger   *slog.Logger
	instance [16]byte // of this program
	chunks   *chunkPulls
	ackDue   chan struct{} // one slot: something was ingested
	router   router        // nil where nothing is told of other members
	sparse   atomic.Bool   // some devices are reached only through others
	vouchers *vouchers

	entriesIn, bytesIn meter // that came from peers; bytes of chunks too

	ingesting sync.Mutex // one range at a time is ingested

	mu      sync.Mutex // guards the below
	mine    Vector     // what is held here
	fetched Vector     // what of it came from peers while this program runs
	durable Vector     // what of it survives a power cut
	pulls   map[halo.FeedID]pull
	peers   map[*peer]struct{}
	ledger  *ledger
	open    []Open              // what is open here
	entered []halo.CredentialID // heads of what ledger holds
}

// pull is a fetch that is under way.
type pull struct {
	peer  *peer
	alive time.Time // when something of it last came
}

func newExchange(repo Repo, space Space, logger *slog.Logger, instance [16]byte) *exchange {
	return &exchange{
		repo: repo, space: space, logger: logger, instance: instance,
		ackDue: make(chan struct{}, 1), chunks: newChunkPulls(), vouchers: newVouchers(),
		mine: Vector{}, fetched: Vector{}, durable: Vector{},
		pulls: make(map[halo.FeedID]pull), peers: make(map[*peer]struct{}), ledger: newLedger(),
	}
}

// refresh reads what is held here and wakes all peers. It is called for every
// change of the space. Positions never go back.
func (x *exchange) refresh() {
	v, err := x.space.Vector()
	if err != nil {
		x.logger.Warn("cannot read what is held", "space", x.space.ID().Short(), "err", err)
		return
	}
	x.mu.Lock()
	v.merge(x.mine) // an ingest may have overtaken the reading
	x.mine = v
	x.mu.Unlock()
	for _, p := range x.peerList() {
		poke(p.wake)
		if p.chunks != nil {
			poke(p.chunks.wake)
			poke(p.chunks.naming)
		}
	}
}

// peerList returns who is connected now.
func (x *exchange) peerList() []*peer {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.peers))
}

// tellRoutes lets all peers be told of other ways than before.
func (x *exchange) tellRoutes() {
	for _, p := range x.peerList() {
		p.mu.Lock()
		p.waysDue = true
		p.mu.Unlock()
		poke(p.wake)
	}
}

// poke fills a channel of one slot.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepAcks makes what was ingested durable and tells the peers, until ctx ends.
// Many ingests share one flush.
func (x *exchange) keepAcks(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.ackDue:
		}
		if !x.flush() {
			pauseFor(ctx, retryIngest)
			poke(x.ackDue)
			continue
		}
		x.vouch()
		pauseFor(ctx, ackSpacing)
	}
}

func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// flush reads the vector before the flush: what came later may not be durable.
func (x *exchange) flush() bool {
	v, err := x.space.Vector()
	if err == nil {
		err = x.repo.Flush()
	}
	if err != nil {
		x.logger.Warn("cannot make entries durable", "space", x.space.ID().Short(), "err", err)
		return false
	}
	x.mu.Lock()
	x.durable = v
	x.mu.Unlock()
	x.refresh()
	return true
}

func (x *exchange) enter(p *peer) {
	x.mu.Lock()
	x.peers[p] = struct{}{}
	x.mu.Unlock()
	poke(x.ackDue)
}

// leave forgets a peer; what it was fetching, others may fetch.
func (x *exchange) leave(p *peer) {
	x.mu.Lock()
	delete(x.peers, p)
	for feed, f := range x.pulls {
		if f.peer == p {
			delete(x.pulls, feed)
		}
	}
	x.mu.Unlock()
	x.refresh()
}

// held returns what is held here and what is durable. The maps must not be
// changed.
func (x *exchange) held() (mine, durable Vector) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.mine, x.durable
}

// local reports whether the newest entries of a feed, of which there are next,
// were written here.
func (x *exchange) local(feed halo.FeedID, next uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.fetched[feed].Next < next
}

// claim gives a peer the right to fetch a feed, unless another is at it. A peer
// whose own fetch has stalled has lost it.
func (x *exchange) claim(p *peer, feed halo.FeedID) (ok, stalled bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, taken := x.pulls[feed]
	switch {
	case taken && time.Since(f.alive) < pullTimeout:
		return false, false
	case taken && f.peer == p:
		delete(x.pulls, feed)
		return false, true
	}
	x.pulls[feed] = pull{p, time.Now()}
	return true, false
}

// progress tells that a fetch goes on; it reports false if it is not p's.
func (x *exchange) progress(p *peer, feed halo.FeedID, done bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if f, ok := x.pulls[feed]; !ok || f.peer != p {
		return false
	}
	if done {
		delete(x.pulls, feed)
	} else {
		x.pulls[feed] = pull{p, time.Now()}
	}
	return true
}

// pulling returns how many feeds p is fetching.
func (x *exchange) pulling(p *peer) (n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.pulls {
		if f.peer == p {
			n++
		}
	}
	return n
}

// ingest stores entries from a peer, without those that are held already. It
// reports false for a gap: then nothing was stored.
func (x *exchange) ingest(ctx context.Context, m entries) (ok bool, err error) {
	x.ingesting.Lock()
	defer x.ingesting.Unlock()
	x.mu.Lock()
	have := x.mine[m.Feed].Next
	x.mu.Unlock()
	end := m.From + uint64(len(m.Raw))
	if m.From > have {
		return false, nil
	}
	if end <= have {
		return true, nil
	}
	next, err := x.space.Ingest(ctx, m.Feed, have, m.Raw[have-m.From:])
	if err != nil && next <= have {
		return true, err
	}
	x.count(m.Raw[have-m.From:], next-have)
	x.mu.Lock()
	// The id of the last entry comes with the next refresh.
	x.fetched[m.Feed] = Position{Next: next}
	grown := maps.Clone(x.mine)
	grown[m.Feed] = Position{Next: next, Last: grown[m.Feed].Last}
	x.mine = grown
	x.mu.Unlock()
	poke(x.ackDue)
	return true, err
}

// count takes note of entries that came, of which the first n were stored.
func (x *exchange) count(raw [][]byte, n uint64) {
	size := 0
	for _, b := range raw[:min(n, uint64(len(raw)))] {
		size += len(b)
	}
	now := time.Now()
	x.entriesIn.add(n, now)
	x.bytesIn.add(uint64(size), now)
}

// compare hands over entries that are held already, for the repository to see
// whether they are the same.
func (x *exchange) compare(ctx context.Context, m entries) error {
	x.ingesting.Lock()
	defer x.ingesting.Unlock()
	if len(m.Raw) == 0 {
		return nil
	}
	_, err := x.space.Ingest(ctx, m.Feed, m.From, m.Raw)
	return err
}

// lacking returns the credentials that somebody lacks who holds some heads, and
// the heads here. sent holds what needs no telling, by the hash of its bytes.
func (x *exchange) lacking(theirs []halo.CredentialID, sent map[[32]byte]bool) (list []*record, mine []halo.CredentialID, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if mine, err = x.updateLedger(); err != nil {
		return nil, nil, err
	}
	for _, r := range x.ledger.beyond(theirs) {
		if !sent[r.sum] {
			list = append(list, r)
		}
	}
	return list, mine, nil
}

// updateLedger brings the ledger up to date and returns the heads; x.mu is
// held.
func (x *exchange) updateLedger() ([]halo.CredentialID, error) {
	mine := x.space.CredentialHeads()
	if sameHeads(mine, x.entered) {
		return mine, nil
	}
	raw, err := x.space.Credentials()
	if err != nil {
		return nil, err
	}
	if err := x.ledger.update(raw); err != nil {
		return nil, err
	}
	x.entered = mine
	return mine, nil
}

// removal returns what tells a device that it was removed, and whether it was.
func (x *exchange) removal(h hello) (raw [][]byte, removed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, err := x.updateLedger(); err != nil {
		return nil, false
	}
	ids := x.ledger.removals(h.Identity, h.Device)
	if len(ids) == 0 {
		return nil, false
	}
	return x.ledger.notice(ids, h.Heads, probationBytes), true
}

func sameHeads(a, b []halo.CredentialID) bool {
	if len(a) != len(b) {
		return false
	}
	set := make(map[halo.CredentialID]bool, len(a))
	for _, id := range a {
		set[id] = true
	}
	for _, id := range b {
		if !set[id] {
			return false
		}
	}
	return true
}
