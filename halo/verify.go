package halo

import (
	"fmt"
	"slices"
)

// Position is a place in a feed: how many entries stand before it, and the
// last of them. The zero Position is the start.
type Position struct {
	Next uint64
	Last EntryID
}

// VerifyRange checks that entries continue a feed at pos without a gap, and
// that the last is signed with key. Each entry's id covers its signature, and
// each header names the id before it, so the last signature vouches for all
// headers and signatures of the range; ParseEntry has compared the payloads
// with the headers. It returns the position after the range. It fails with
// ErrForeign, ErrBadChain or ErrBadSignature, and then nothing of the range may
// be kept.
//
// A range may be passed on only as a whole: an entry from its middle has a
// signature that nobody checked by itself.
func VerifyRange(space SpaceID, feed FeedID, pos Position, entries []*Entry, key [32]byte) (Position, error) {
	if len(entries) == 0 {
		return pos, nil
	}
	for _, e := range entries {
		if e.Header.Space != space || e.Header.Feed != feed {
			return pos, fmt.Errorf("verify feed %s: entry %s: %w", feed.Short(), e.ID.Short(), ErrForeign)
		}
		if e.Header.Seq != pos.Next || e.Header.Prev != pos.Last {
			return pos, fmt.Errorf("verify feed %s: entry %d after %d: %w", feed.Short(), e.Header.Seq, pos.Next, ErrBadChain)
		}
		pos = Position{pos.Next + 1, e.ID}
	}
	if err := entries[len(entries)-1].Verify(key); err != nil {
		return pos, fmt.Errorf("verify feed %s: %w", feed.Short(), err)
	}
	return pos, nil
}

// Authorize decides whether the author of a feed was allowed to write an entry,
// by the credentials that the entry says its author knew, and returns the key
// that must have signed it. The answer never changes. It fails with ErrForeign
// for another space, with ErrUnknown while a credential that the entry names
// has not come, and with ErrNotAllowed: the entry is void.
func (g *Graph) Authorize(h Header, author Author) (key [32]byte, err error) {
	if h.Space != g.space || h.Author != nil && *h.Author != author {
		return key, fmt.Errorf("authorize entry: %w", ErrForeign)
	}
	s, err := g.StateAt(h.Auth)
	if err != nil {
		return key, fmt.Errorf("authorize entry: %w", err)
	}
	d, ok := s.Device(author.Identity, author.Device)
	if !ok {
		return key, fmt.Errorf("authorize entry: device %s: %w", author.Device.Short(), ErrNotAllowed)
	}
	if err := s.MayWrite(author, h.Epoch); err != nil {
		return d.Public.Sign, fmt.Errorf("authorize entry: %w", err)
	}
	return d.Public.Sign, nil
}

// MayWrite fails with ErrNotAllowed unless the device is active, its identity
// is editor or more, and the epoch is a latest one: who knows of a newer epoch
// and writes under an older key leaks to those who were shut out.
func (s *State) MayWrite(author Author, epoch EpochID) error {
	role, ok := s.Member(author.Identity, author.Device)
	if !ok {
		return refuse("device %s is not active, or no member's", author.Device.Short())
	}
	if err := needs(role, RoleEditor); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.LatestEpochs(), func(e Epoch) bool { return e.ID == epoch }) {
		return refuse("epoch %s is not the latest", epoch.Short())
	}
	return nil
}
