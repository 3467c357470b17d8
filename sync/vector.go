package sync

import (
	"bytes"
	"maps"
	"slices"

	"echofs/halo"
)

// Position is how much of a feed a device holds: the number of entries, which
// is the next one's number, and the id of the last.
type Position = halo.Position

// Vector is how much a device holds of each feed.
type Vector map[halo.FeedID]Position

// merge raises the positions of v to those of other.
func (v Vector) merge(other Vector) {
	for feed, p := range other {
		if p.Next > v[feed].Next {
			v[feed] = p
		}
	}
}

// beyond returns the positions of v that are ahead of other.
func (v Vector) beyond(other Vector) Vector {
	out := Vector{}
	for feed, p := range v {
		if p.Next > other[feed].Next {
			out[feed] = p
		}
	}
	return out
}

// behind returns how many entries of v other lacks.
func (v Vector) behind(other Vector) (n uint64) {
	for feed, p := range v {
		if have := other[feed].Next; p.Next > have {
			n += p.Next - have
		}
	}
	return n
}

// feeds returns the feeds of v in the order of their ids.
func (v Vector) feeds() []halo.FeedID {
	return slices.SortedFunc(maps.Keys(v), compareFeeds)
}

func compareFeeds(a, b halo.FeedID) int { return bytes.Compare(a[:], b[:]) }
