package sync

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"echofs/sync/session"
	"echofs/sync/wire"
)

// The exchange of chunks, which are the content of blobs. They have a lane of
// their own, so that nothing waits behind them. Whoever lacks chunks asks a peer
// for some (chunkWant); the peer answers each, with the chunk or without it if it
// has none (chunk). Each chunk is asked of one peer at a time. What is stored
// stays: a transfer that breaks off goes on, with whoever is there, where it was.

// ChunkSpace is what the exchange of chunks needs of a space; one without it has
// no blobs.
type ChunkSpace interface {
	// WantedChunks returns addresses of chunks that are missing here, the most
	// wanted first, at most limit, without those that skip reports.
	WantedChunks(limit int, skip func([32]byte) bool) [][32]byte
	// Chunk returns a chunk, or an error where it is not here.
	Chunk(ctx context.Context, address [32]byte) ([]byte, error)
	// PutChunk verifies and stores a chunk. It fails with an error that
	// Repo.IsPeerFault knows where the bytes are not those of the address.
	PutChunk(address [32]byte, sealed []byte) error
}

// Limits of the exchange of chunks.
const (
	maxChunkPulls = 8                 // chunks asked of a peer at a time
	maxChunkWants = 4 * maxChunkPulls // chunks a peer may wait for
	chunkRetry    = 5 * time.Second   // with a peer that did not have a chunk
	chunkStalled  = 30 * time.Second  // without a chunk of those a peer was asked for
	maxChunkNones = 4096              // chunks for which it is remembered that a peer lacks them
)

// chunkWant asks for chunks.
type chunkWant struct {
	Addresses [][32]byte `cbor:"1,keyasint"`
}

// chunk answers for one of them; Sealed is empty where the sender has it not.
type chunk struct {
	Address [32]byte `cbor:"1,keyasint"`
	Sealed  []byte   `cbor:"2,keyasint"`
}

func (chunkWant) kind() kind { return kindChunkWant }
func (chunk) kind() kind     { return kindChunk }

func (m chunkWant) check() error {
	if len(m.Addresses) == 0 {
		return fmt.Errorf("want of no chunks: %w", wire.ErrMalformed)
	}
	return atMost(len(m.Addresses), maxChunkPulls, "chunks")
}

func (m chunk) check() error { return nil }

// chunkPulls are the chunks that are on their way to a space.
type chunkPulls struct {
	mu   sync.Mutex // guards from
	from map[[32]byte]*chunkPeer
}

func newChunkPulls() *chunkPulls { return &chunkPulls{from: make(map[[32]byte]*chunkPeer)} }

func (c *chunkPulls) taken(a [32]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.from[a] != nil
}

// claim gives a peer the chunks of a list that nobody else is asked for.
func (c *chunkPulls) claim(p *chunkPeer, list [][32]byte) [][32]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(list, func(a [32]byte) bool {
		if c.from[a] != nil {
			return true
		}
		c.from[a] = p
		return false
	})
}

// end ends a pull; it reports false if it was not the peer's.
func (c *chunkPulls) end(p *chunkPeer, a [32]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from[a] != p {
		return false
	}
	delete(c.from, a)
	return true
}

func (c *chunkPulls) of(p *chunkPeer) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.from {
		if other == p {
			n++
		}
	}
	return n
}

// leave frees what a peer was asked for.
func (c *chunkPulls) leave(p *chunkPeer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, other := range c.from {
		if other == p {
			delete(c.from, a)
		}
	}
}

// chunkPeer is the exchange of chunks with one peer.
type chunkPeer struct {
	p       *peer
	space   ChunkSpace
	wake    chan struct{} // one slot: there may be something to ask for
	naming  chan struct{} // one slot: there may be something to name
	serving chan struct{} // one slot: there is something to answer

	mu    sync.Mutex // guards the below
	wants [][32]byte // what the peer asked for
	nones map[[32]byte]time.Time
	alive time.Time // when a chunk came last, or the first of several was asked for
}

// newChunkPeer returns nil for a space without blobs.
func newChunkPeer(p *peer) *chunkPeer {
	space, ok := p.x.space.(ChunkSpace)
	if !ok {
		return nil
	}
	return &chunkPeer{p: p, space: space, wake: make(chan struct{}, 1), naming: make(chan struct{}, 1), serving: make(chan struct{}, 1),
		nones: make(map[[32]byte]time.Time)}
}

// run fetches and serves until ctx ends or the session does.
func (c *chunkPeer) run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for _, f := range []func(context.Context) error{c.fetch, c.receive, c.serve, c.name} {
		wg.Go(func() { errs <- f(ctx) })
	}
	err := <-errs
	c.p.cancel(err)
	wg.Wait()
	c.p.x.chunks.leave(c)
	return err
}

// fetch asks for what is missing, after every change and from time to time.
func (c *chunkPeer) fetch(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		if c.p.isReady() {
			if err := c.ask(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wake:
		case <-tick.C:
		}
	}
}

func (c *chunkPeer) ask() error {
	pulls, now := c.p.x.chunks, time.Now()
	c.mu.Lock()
	if len(c.nones) > maxChunkNones {
		clear(c.nones)
	}
	stalled := !c.alive.IsZero() && now.Sub(c.alive) > chunkStalled
	c.mu.Unlock()
	under := pulls.of(c)
	if under > 0 && stalled {
		pulls.leave(c) // another may have them sooner
		return nil
	}
	if under > maxChunkPulls/2 {
		return nil
	}
	list := c.space.WantedChunks(maxChunkPulls-under, func(a [32]byte) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return now.Before(c.nones[a]) || pulls.taken(a)
	})
	if list = pulls.claim(c, list); len(list) == 0 {
		return nil
	}
	c.mu.Lock()
	if under == 0 {
		c.alive = now
	}
	c.mu.Unlock()
	return sendMessage(c.p.session, chunkWant{Addresses: list})
}

// receive stores what comes. How fast it is read is how fast the peer sends.
func (c *chunkPeer) receive(ctx context.Context) error {
	for ctx.Err() == nil {
		m, err := receiveMessage(c.p.session, session.Chunks)
		if err != nil {
			return err
		}
		one, ok := m.(chunk)
		if !ok {
			return fault("message of kind %d on the lane of chunks", m.kind())
		}
		if err := c.take(one); err != nil {
			return err
		}
		poke(c.wake)
	}
	return ctx.Err()
}

func (c *chunkPeer) take(m chunk) error {
	c.p.mu.Lock()
	c.p.heard = time.Now()
	c.p.mu.Unlock()
	c.mu.Lock()
	c.alive = time.Now()
	c.mu.Unlock()
	if !c.p.x.chunks.end(c, m.Address) {
		return nil // it came too late, and another was asked
	}
	err := error(nil)
	if len(m.Sealed) > 0 {
		err = c.space.PutChunk(m.Address, m.Sealed)
		c.p.x.bytesIn.add(uint64(len(m.Sealed)), time.Now())
	}
	if err != nil || len(m.Sealed) == 0 {
		c.mu.Lock()
		c.nones[m.Address] = time.Now().Add(chunkRetry)
		c.mu.Unlock()
	}
	if err != nil && !c.p.full(err, true) {
		return c.p.blame("a chunk", err)
	}
	return nil
}

// handleWant takes note of what the peer asks for.
func (c *chunkPeer) handleWant(m chunkWant) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wants = append(c.wants, m.Addresses...)
	if len(c.wants) > maxChunkWants {
		return fault("%d chunks at a time", len(c.wants))
	}
	poke(c.serving)
	return nil
}

// serve answers, one chunk at a time.
func (c *chunkPeer) serve(ctx context.Context) error {
	for {
		a, ok := [32]byte{}, false
		if c.p.isReady() {
			a, ok = c.nextWant()
		}
		if !ok {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-c.serving:
			}
			continue
		}
		m := chunk{Address: a, Sealed: []byte{}}
		if sealed, err := c.space.Chunk(ctx, a); err == nil {
			m.Sealed = sealed
		}
		b, err := encodeMessage(m)
		if err != nil {
			return err
		}
		if err := c.p.session.Send(session.Chunks, b); err != nil {
			return err
		}
	}
}

func (c *chunkPeer) nextWant() ([32]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wants) == 0 {
		return [32]byte{}, false
	}
	a := c.wants[0]
	c.wants = c.wants[1:]
	return a, true
}
