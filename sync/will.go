package sync

import (
	"time"

	"echofs/halo"
)

// A device that was let go and comes once more, not knowing of it, may have
// written for days: on a train, in a drawer. What it wrote counts for nothing
// any more, but nothing of it should be lost: before it is told, it is asked for
// the rest of the feeds of which others have the beginning. The repository sets
// these entries aside, as many as it keeps of a feed that was cut, and members
// see them in the audit and can adopt them.

// willTime bounds for how long a session with such a device lasts.
const willTime = 5 * time.Second

// leavesWill reports whether the peer is a revoked device of a member from which
// something may still come.
func (p *peer) leavesWill(state *halo.State) bool {
	if !state.Role(p.remote.Identity).Reads() || time.Since(p.began) > willTime {
		return false
	}
	mine, _ := p.x.held()
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.theirs) == 0 || len(p.will(mine)) > 0
}

// will returns what the peer has more of feeds that are known here, unless it
// was asked in vain; p.mu is held.
func (p *peer) will(mine Vector) Vector {
	out := p.theirs.beyond(mine)
	now := time.Now()
	for feed := range out {
		if mine[feed].Next == 0 || now.Before(p.retry[feed]) {
			delete(out, feed)
		}
	}
	return out
}

// askWill asks for it; for nothing where the peer is unknown, or is told to go.
func (p *peer) askWill(list []message, told error) []message {
	if told != nil {
		return list
	}
	if _, removed := p.x.removal(p.remote); !removed {
		return list
	}
	mine, _ := p.x.held()
	p.mu.Lock()
	defer p.mu.Unlock()
	for feed, at := range p.will(mine) {
		if ok, stalled := p.x.claim(p, feed); ok && !stalled {
			list = append(list, want{Feed: feed, From: mine[feed].Next, To: at.Next})
		}
	}
	return list
}
