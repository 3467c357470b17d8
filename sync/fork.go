package sync

import (
	"errors"
	"time"

	"echofs/echo"
	"echofs/halo"
)

// A feed that has forked: what a peer sends does not continue what is held,
// although it is signed by the feed's author. Nobody but that author is to blame.
// The peer is asked for earlier entries, of which some are held here too: where
// the two first differ, the repository publishes the proof, and the feed ends for
// everybody.

// How far a feed is asked for again: some entries at first, many more each time.
const (
	rewindFirst = 16
	rewindMore  = 16 // times as many
)

// rewind is that a feed is asked for again from an earlier number.
type rewind struct {
	depth uint64 // entries before the end of what is held here
	asked bool
}

// forkSeen reports whether an error of an ingest is a fork, and lets the feed be
// asked for again from an earlier number.
func (p *peer) forkSeen(feed halo.FeedID, err error) bool {
	if !errors.Is(err, echo.ErrForked) {
		return false
	}
	p.mu.Lock()
	r := p.rewinds[feed]
	if r == nil {
		r = &rewind{depth: rewindFirst}
	} else {
		r = &rewind{depth: r.depth * rewindMore}
	}
	p.rewinds[feed] = r
	p.mu.Unlock()
	p.x.progress(p, feed, true)
	return true
}

// isRewound reports whether entries of a feed are such that were asked for again.
func (p *peer) isRewound(feed halo.FeedID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rewinds[feed] != nil && p.rewinds[feed].asked
}

// rewound ends that: the entries were compared.
func (p *peer) rewound(feed halo.FeedID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.rewinds[feed]; r != nil && r.asked {
		delete(p.rewinds, feed)
		p.retry[feed] = time.Now().Add(retryIngest)
	}
}

// askRewound asks for feeds again; p.mu is held.
func (p *peer) askRewound(list []message, mine Vector) []message {
	for feed, r := range p.rewinds {
		to := min(mine[feed].Next, p.theirs[feed].Next)
		if r.asked || to == 0 {
			continue
		}
		if ok, stalled := p.x.claim(p, feed); !ok || stalled {
			continue
		}
		r.asked = true
		list = append(list, want{Feed: feed, From: to - min(to, r.depth), To: to})
	}
	return list
}

// lookForForks lets a feed of which the peer has as many entries as are here be
// compared, if the last one is another; p.mu is held.
func (p *peer) lookForForks(mine Vector) {
	for feed, at := range p.theirs {
		ours := mine[feed]
		if at.Next != ours.Next || at.Last == ours.Last || at.Last.IsZero() || ours.Last.IsZero() || p.forkTried[feed] == at.Last {
			continue
		}
		if _, compares := p.x.space.(vaultSpace); compares && p.rewinds[feed] == nil {
			p.forkTried[feed], p.rewinds[feed] = at.Last, &rewind{depth: rewindFirst}
		}
	}
}
