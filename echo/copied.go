package echo

import (
	"context"
	"errors"
	"fmt"

	"echofs/halo"
)

// A vault that is an older copy of itself, restored from a backup or copied to
// another place, must not write on in its feeds: others may have entries of them
// that it does not have, and two entries with one number are a fork. Where it is
// known to be a copy it leaves its feeds before it writes (LeaveFeeds); where it
// learns it from others, who have newer entries, it takes these as it takes any,
// and leaves the feed then. What it writes next goes into a new feed.

// LeaveFeeds lets this device write on in new feeds, in all spaces.
func (r *Repo) LeaveFeeds(ctx context.Context) error {
	for _, s := range r.spacesWithOwn() {
		err := s.update(ctx, func(t *txn) error {
			t.leaveFeed()
			return nil
		})
		if err != nil {
			return fmt.Errorf("leave the feed of space %q: %w", s.Name(), err)
		}
	}
	return nil
}

// leaveFeed gives up the own feed, durably.
func (t *txn) leaveFeed() {
	s := t.s
	if s.row.OwnFeed == (halo.FeedID{}) {
		return
	}
	row, own := s.row, s.own
	t.undo = append(t.undo, func() { s.row, s.own = row, own })
	if s.row.FirstFeed == (halo.FeedID{}) {
		s.row.FirstFeed = s.row.OwnFeed
	}
	s.row.OwnFeed, s.own = halo.FeedID{}, ownFeed{}
	t.putRow(key(tableSpace, s.id), &s.row)
}

// ownTail leaves the own feed where others have newer entries of it, which were
// verified.
func (t *txn) ownTail(feed halo.FeedID) {
	if feed != t.s.own.id {
		return
	}
	t.s.repo.log.Warn("others have newer entries of this device's own feed: the vault is an old copy of itself, and writes on in a new feed",
		"space", t.s.Name(), "feed", feed.Short())
	t.leaveFeed()
}

// ErrForked is wrapped where entries are signed by their author and do not
// continue what is held of its feed: the author has written two entries with one
// number. No peer is to blame.
var ErrForked = errors.New("the feed has forked")

// forked tells a fork from entries that are no part of the feed.
func forked(entries []*halo.Entry, signKey [32]byte, err error) bool {
	if !errors.Is(err, halo.ErrBadChain) {
		return false
	}
	for i := 1; i < len(entries); i++ {
		if entries[i].Header.Prev != entries[i-1].ID || entries[i].Header.Seq != entries[i-1].Header.Seq+1 {
			return false
		}
	}
	return entries[len(entries)-1].Verify(signKey) == nil
}
