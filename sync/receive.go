package sync

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"time"

	"echofs/sync/session"
)

// readControl handles the control lane. It never sends: if the readers of both
// ends waited for room on the lane, nobody would make any.
func (p *peer) readControl(ctx context.Context) error {
	for {
		m, err := receiveMessage(p.session, session.Control)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.heard = time.Now()
		p.mu.Unlock()
		if err := p.handle(ctx, m); err != nil {
			return err
		}
		poke(p.wake)
	}
}

// handle changes the state as a message says; evaluate does the rest.
func (p *peer) handle(ctx context.Context, m message) error {
	switch m := m.(type) {
	case ping:
		p.mu.Lock()
		p.pongDue = m.N
		p.mu.Unlock()
		return nil
	case pong:
		p.handlePong(m)
		return nil
	case bye:
		return m.err()
	case credentials:
		return p.handleCredentials(ctx, m)
	case heads:
		p.mu.Lock()
		p.theirHeads = m.Heads
		p.mu.Unlock()
		return nil
	}
	if !p.isReady() {
		// A peer that is a member in its own view speaks at once; what it says
		// before it has proved it may come again later.
		return p.handleEarly(ctx, m)
	}
	switch m := m.(type) {
	case vector:
		return p.learn(vectorOf(m.Feeds))
	case ack:
		return p.handleAck(ctx, m)
	case want:
		return p.handleWant(m)
	case chunkWant:
		if p.chunks != nil {
			return p.chunks.handleWant(m)
		}
	case entries:
		return p.handlePush(m)
	case ways:
		p.handleWays(m)
		return nil
	case voucher:
		p.handleVoucher(ctx, m)
		return nil
	case carry:
		if p.x.router != nil && p.carries.Allow() {
			p.x.router.carried(p, m)
		}
		return nil
	case chunkNames:
		return p.handleNames(m)
	case noRoom:
		p.handleNoRoom()
		return nil
	case presence:
		p.handlePresence(m)
		return nil
	case spaces:
		return p.handleSpaces(m)
	case share:
		return p.handleShare(m)
	}
	return fault("unexpected message of kind %d", m.kind())
}

func (p *peer) isReady() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready
}

// handleEarly keeps positions of a peer that is not known to be a member yet,
// and nothing else.
func (p *peer) handleEarly(ctx context.Context, m message) error {
	switch m := m.(type) {
	case vector:
		return p.learn(vectorOf(m.Feeds))
	case ack:
		return p.handleAck(ctx, m)
	case spaces:
		return p.handleSpaces(m)
	case chunkWant:
		if p.chunks != nil {
			return p.chunks.handleWant(m) // answered when it has proved it
		}
	case entries:
		return p.learn(Vector{m.Feed: {Next: m.From + uint64(len(m.Raw))}})
	case ways:
		p.mu.Lock()
		p.saidWays = m.List
		p.mu.Unlock()
		return nil
	case voucher:
		p.mu.Lock()
		if len(p.early) < maxContacts {
			p.early = append(p.early, m)
		}
		p.mu.Unlock()
		return nil
	case carry, noRoom, presence:
		return nil // who sent it tries again
	}
	return fmt.Errorf("before it proved to be a member: %w", ErrNotMember)
}

func (p *peer) handleWays(m ways) {
	p.mu.Lock()
	p.saidWays = m.List
	p.mu.Unlock()
	if p.x.router != nil {
		p.x.router.heardRoutes(p, m.List)
	}
}

func (p *peer) handlePong(m pong) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.N == p.pinged && !p.pingedAt.IsZero() {
		p.rtt = time.Since(p.pingedAt)
	}
}

// learn takes note of what the peer holds.
func (p *peer) learn(v Vector) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.theirs.merge(v)
	if len(p.theirs) > maxKnownFeeds {
		return fault("positions of %d feeds", len(p.theirs))
	}
	return nil
}

func (p *peer) handleAck(ctx context.Context, m ack) error {
	v := vectorOf(m.Feeds)
	if err := p.learn(v); err != nil {
		return err
	}
	p.mu.Lock()
	p.acked.merge(v)
	ready := p.ready
	p.mu.Unlock()
	if ready && !m.More {
		p.keepAck(ctx)
	}
	return nil
}

// keepAck stores what the peer holds durably.
func (p *peer) keepAck(ctx context.Context) {
	p.compareAck()
	p.mu.Lock()
	all := maps.Clone(p.acked)
	p.mu.Unlock()
	if err := p.x.space.SetAck(ctx, p.remote.Device, all); err != nil {
		p.logger.Warn("cannot keep what a peer holds", "err", err)
	}
}

func (p *peer) handleWant(m want) error {
	mine, _ := p.x.held()
	if m.From > mine[m.Feed].Next {
		return fault("want from %d of a feed of %d", m.From, mine[m.Feed].Next)
	}
	p.mu.Lock()
	n := len(p.wants)
	p.mu.Unlock()
	if n >= maxWants {
		return fault("%d wants at a time", n)
	}
	p.addWant(m)
	return nil
}

// handlePush takes fresh entries. Beyond the budget, or where they do not fit,
// they only tell what the peer holds.
func (p *peer) handlePush(m entries) error {
	if len(m.Raw) == 0 || m.Done {
		return fault("push of %d entries", len(m.Raw))
	}
	if err := p.learn(Vector{m.Feed: {Next: m.From + uint64(len(m.Raw))}}); err != nil {
		return err
	}
	if p.pushes.AllowN(time.Now(), len(m.Raw)) {
		p.inbox.offer(m)
	}
	return nil
}

// handleCredentials adds credentials at once, so that what comes after them can
// build on them.
func (p *peer) handleCredentials(ctx context.Context, m credentials) error {
	size := 0
	for _, raw := range m.Raw {
		size += len(raw)
	}
	if err := p.charge(size); err != nil {
		return err
	}
	p.mu.Lock()
	for _, raw := range m.Raw {
		p.knows[sha256.Sum256(raw)] = true
	}
	p.mu.Unlock()
	if _, err := p.x.space.AddCredentials(ctx, m.Raw); err != nil {
		return p.blame("credentials", err)
	}
	return nil
}

// charge accounts for credentials.
func (p *peer) charge(size int) error {
	if !p.budget.AllowN(time.Now(), size) {
		return fault("too many credentials")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready {
		return nil
	}
	if p.probation += size; p.probation > probationBytes {
		return fmt.Errorf("%d bytes of credentials prove nothing: %w", p.probation, ErrNotMember)
	}
	return nil
}

// blame returns err as a fault where it is the peer's, and logs and forgets it
// otherwise.
func (p *peer) blame(what string, err error) error {
	if p.x.repo.IsPeerFault(err) {
		return fmt.Errorf("%s: %w: %w", what, ErrPeerFault, err)
	}
	p.logger.Warn("cannot take "+what, "err", err)
	return nil
}

// readBulk moves what was asked for into the inbox and waits while it is full.
func (p *peer) readBulk(ctx context.Context) error {
	for {
		m, err := receiveMessage(p.session, session.Bulk)
		if err != nil {
			return err
		}
		e, ok := m.(entries)
		if !ok {
			return fault("message of kind %d on the bulk lane", m.kind())
		}
		p.mu.Lock()
		p.heard = time.Now()
		p.mu.Unlock()
		if !p.x.progress(p, e.Feed, false) {
			continue // it came too late and another fetches it
		}
		if err := p.bulk.WaitN(ctx, min(sizeOf(e), inBurst)); err != nil {
			return err
		}
		if err := p.inbox.put(ctx, e); err != nil {
			return err
		}
	}
}

// apply ingests what is in the inbox.
func (p *peer) apply(ctx context.Context) error {
	for {
		m, err := p.inbox.take(ctx)
		if err != nil {
			return err
		}
		again := p.isRewound(m.Feed)
		if again {
			err = p.x.compare(ctx, m)
		} else {
			_, err = p.x.ingest(ctx, m)
		}
		if again && m.Done && err == nil {
			p.rewound(m.Feed)
		}
		if err != nil && p.forkSeen(m.Feed, err) {
			poke(p.wake)
			continue
		}
		if err != nil {
			rest := retryIngest
			if p.full(err, false) {
				rest = noRoomWait
			} else if err := p.blame("entries", err); err != nil {
				return err
			}
			p.postpone(m, rest)
		}
		if m.Done {
			p.fetched(m)
		}
		poke(p.wake)
	}
}

// postpone lets a feed rest after an error of our own.
func (p *peer) postpone(m entries, rest time.Duration) {
	p.mu.Lock()
	p.retry[m.Feed] = time.Now().Add(rest)
	p.mu.Unlock()
	p.x.progress(p, m.Feed, true)
}

// fetched ends a fetch. A peer that has nothing of what it told of is not asked
// again at once.
func (p *peer) fetched(m entries) {
	p.x.progress(p, m.Feed, true)
	if len(m.Raw) == 0 {
		p.mu.Lock()
		p.retry[m.Feed] = time.Now().Add(retryStalled)
		p.mu.Unlock()
	}
}
