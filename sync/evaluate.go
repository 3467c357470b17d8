package sync

import (
	"context"
	"fmt"
	"slices"
	"time"

	"echofs/halo"
)

// evaluate decides what the peer is sent next on the control lane. Every event
// changes some state and leads here; nothing is decided elsewhere. The rules, in
// order:
//
//  1. A peer that is no member in our view is sent nothing but pongs. One that was
//     removed is told so and the session ends; one that is unknown has
//     probationTimeout and probationBytes to prove itself. A revoked device of a
//     member is asked first for what it wrote and we lack, since somebody may
//     want to adopt it (will.go).
//  2. Credentials come first: whenever ours have grown, the peer is sent those
//     it lacks, and then our heads. So whatever follows can be judged.
//  3. Of every feed that grew here the peer learns: by the entries themselves
//     if they were written here, are few, and the peer has all before them;
//     else by our position in the feed, once. Entries that we have from others
//     are told of by rule 4, since most peers have them from where we have.
//     Where some devices are reached only through others, they are told of at
//     once too.
//  4. What has become durable is acknowledged; it tells our position too.
//  5. Of every feed of which the peer has more than we have, and which nobody
//     else is asked for, the next window is asked for.
//  6. What members tell of each other: other ways than before, boxes that are
//     to be carried, and what others hold durably.
//  7. What is open here, unless the peer is a relay: when it changes, not too often,
//     and from time to time.
func (p *peer) evaluate(ctx context.Context) ([]message, error) {
	list := p.pong()
	if ok, err := p.standing(ctx); !ok || err != nil {
		return p.askWill(list, err), err
	}
	list, err := p.tellCredentials(list)
	if err != nil {
		return list, err
	}
	mine, durable := p.x.held()
	if list, err = p.tellEntries(list, mine); err != nil {
		return list, err
	}
	list = p.tellAck(list, durable)
	return p.tellPresence(p.tellMembers(p.ask(list, mine))), nil
}

// tellMembers is rule 6.
func (p *peer) tellMembers(list []message) []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	list = append(list, p.out...)
	p.out = nil
	for _, v := range p.vouchers {
		list = append(list, v)
	}
	p.vouchers = nil
	if !p.waysDue || p.x.router == nil || time.Now().Before(p.waysAt) {
		return list
	}
	p.waysDue = false
	now := p.x.router.routesFor(p)
	if slices.Equal(now, p.toldWays) {
		return list
	}
	p.toldWays, p.waysAt = now, time.Now().Add(routesSpacing)
	time.AfterFunc(routesSpacing, func() { poke(p.wake) }) // for what changes meanwhile
	return append(list, ways{List: now})
}

// pong answers the last ping, whoever sent it.
func (p *peer) pong() (list []message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pongDue != 0 {
		list = append(list, pong{N: p.pongDue})
		p.pongDue = 0
	}
	return list
}

// standing is rule 1.
func (p *peer) standing(ctx context.Context) (bool, error) {
	state := p.x.space.State()
	device, known := state.Device(p.remote.Identity, p.remote.Device)
	if known && device.Public.Noise != p.session.Remote() {
		return false, fault("session key is not that of the device")
	}
	if _, member := state.Member(p.remote.Identity, p.remote.Device); member {
		p.becomeReady(ctx)
		return true, nil
	}
	if p.isReady() {
		return false, fmt.Errorf("removed: %w", ErrNotMember)
	}
	if _, removed := p.x.removal(p.remote); removed {
		if p.leavesWill(state) {
			return false, nil
		}
		return false, fmt.Errorf("removed: %w", ErrNotMember)
	}
	if time.Since(p.began) > probationTimeout {
		return false, fmt.Errorf("unknown: %w", ErrNotMember)
	}
	return false, nil
}

func (p *peer) becomeReady(ctx context.Context) {
	p.mu.Lock()
	first, early := !p.ready, len(p.acked) > 0
	p.ready = true
	vouchers := p.early
	p.early = nil
	p.mu.Unlock()
	if !first {
		return
	}
	if p.chunks != nil {
		poke(p.chunks.wake)
		poke(p.chunks.naming)
		poke(p.chunks.serving)
	}
	for _, v := range vouchers {
		p.handleVoucher(ctx, v)
	}
	for _, v := range p.x.vouchers.all() {
		p.postVoucher(v)
	}
	if early {
		p.keepAck(ctx)
	}
	if p.own != nil {
		poke(p.own.wake)
	}
	p.x.space.Seen(p.remote.Device, time.Now())
	if p.onReady != nil {
		p.onReady(p)
	}
}

// tellCredentials is rule 2.
func (p *peer) tellCredentials(list []message) ([]message, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.x.space.CredentialHeads()
	if p.settled.is(mine, p.theirHeads) {
		return list, nil
	}
	lacks, mine, err := p.x.lacking(p.theirHeads, p.knows)
	if err != nil {
		return list, fmt.Errorf("read credentials: %w", err)
	}
	p.settled = settled{true, mine, p.theirHeads}
	var raw [][]byte
	size := 0
	for _, r := range lacks {
		if size > 0 && size+len(r.raw) > credentialsSize {
			list, raw, size = append(list, credentials{Raw: raw}), nil, 0
		}
		raw, size = append(raw, r.raw), size+len(r.raw)
		p.knows[r.sum] = true
	}
	if len(raw) > 0 {
		list = append(list, credentials{Raw: raw})
	}
	if !sameHeads(mine, p.toldHeads) {
		p.toldHeads = mine
		list = append(list, heads{Heads: mine[:min(len(mine), maxHeads)]})
	}
	return list, nil
}

// tellEntries is rule 3.
func (p *peer) tellEntries(list []message, mine Vector) ([]message, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.told == nil
	if first {
		p.told = Vector{}
	}
	announce := Vector{}
	for feed, at := range mine.beyond(p.told) {
		before := p.told[feed].Next
		p.told[feed] = at
		has := max(p.theirs[feed].Next, p.pushed[feed].Next)
		switch {
		case first:
			announce[feed] = at
		case has >= at.Next:
			// It has them; it may even be where we have them from.
		case !p.x.local(feed, at.Next):
			if !p.x.sparse.Load() {
				continue // rule 4 tells
			}
			announce[feed] = at
		case has != before:
			announce[feed] = at
		default:
			m, err := p.fresh(feed, has, at)
			if err != nil {
				return list, err
			}
			if m == nil {
				announce[feed] = at
				break
			}
			p.pushed[feed] = at
			list = append(list, *m)
		}
		p.told[feed] = at
	}
	for _, piece := range announce.holdings() {
		list = append(list, vector{Feeds: piece})
	}
	return list, nil
}

// fresh returns the entries of a feed up to a position, nil if they are too
// large to be sent unasked.
func (p *peer) fresh(feed halo.FeedID, from uint64, to Position) (*entries, error) {
	raw, err := p.x.space.Entries(feed, from, pushSize)
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	raw = raw[:min(uint64(len(raw)), to.Next-from, entriesCount)]
	m := &entries{Feed: feed, From: from, Raw: raw}
	if from+uint64(len(raw)) != to.Next || sizeOf(*m) > pushSize {
		return nil, nil
	}
	return m, nil
}

// tellAck is rule 4.
func (p *peer) tellAck(list []message, durable Vector) []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	pieces := durable.beyond(p.toldAck).holdings()
	for i, piece := range pieces {
		list = append(list, ack{Feeds: piece, More: i < len(pieces)-1})
	}
	p.toldAck.merge(durable)
	p.told.merge(durable)
	return list
}

// ask is rule 5.
func (p *peer) ask(list []message, mine Vector) []message {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	free := maxPulls - p.x.pulling(p)
	p.lookForForks(mine)
	list = p.askRewound(list, mine)
	for feed, at := range p.theirs.beyond(mine) {
		if free <= 0 {
			break
		}
		if now.Before(p.retry[feed]) || p.rewinds[feed] != nil {
			continue
		}
		ok, stalled := p.x.claim(p, feed)
		if stalled {
			p.retry[feed] = now.Add(retryStalled)
		}
		if !ok {
			continue
		}
		free--
		list = append(list, want{Feed: feed, From: mine[feed].Next, To: at.Next})
	}
	return list
}
