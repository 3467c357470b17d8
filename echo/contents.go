package echo

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
	"echofs/halo"
)

// Most of what an entry costs depends on the entry alone: to open it, to decode
// it, to check its changes, and to read the documents that begin with it. That
// is done for all entries of a range at a time, on all processors, and before
// the space's lock is taken, so that saves do not wait for it. What is found
// says nothing of what else there is: the transaction asks that.

// contents are what an entry of data says, as far as the entry alone tells it.
type contents struct {
	data    halo.Data
	checked []checkedChange               // of data.Changes
	begun   map[doc.DocumentID]beginnings // documents of which the entry has one change, which depends on nothing
}

// checkedChange is what the guard says of a change.
type checkedChange struct {
	info *guard.Info
	err  error // the change is void
}

// beginnings is what the engine makes of the first change of a document.
type beginnings struct {
	result doc.Result
	err    error
}

// readContents decodes what an entry of a feed holds, and checks it.
func readContents(feed halo.FeedID, plain []byte) (*contents, error) {
	data, err := halo.DecodeData(plain)
	if err != nil {
		return nil, err
	}
	c := &contents{data: data, checked: make([]checkedChange, len(data.Changes))}
	for i, change := range data.Changes {
		actor := doc.ActorID(halo.Actor(feed, change.Doc, uint16(change.Branch)))
		c.checked[i].info, c.checked[i].err = guard.Check(change.Bytes, guard.Rules{Actor: actor})
	}
	return c, nil
}

// begin lets the engine read the documents that begin with the entry, if they
// do.
func (c *contents) begin(ctx context.Context, engine Engine) {
	count := make(map[doc.DocumentID]int, len(c.checked))
	for i := range c.checked {
		if c.checked[i].err != nil {
			return // the whole entry is void
		}
		count[c.data.Changes[i].Doc]++
	}
	c.begun = make(map[doc.DocumentID]beginnings, len(count))
	for i, change := range c.data.Changes {
		info := c.checked[i].info
		if count[change.Doc] != 1 || info.Seq != 1 || len(info.Deps) > 0 {
			continue
		}
		res, err := engine.Merge(ctx, doc.Source{ID: change.Doc, Load: noChunks}, [][]byte{change.Bytes})
		if ctx.Err() != nil {
			return
		}
		c.begun[change.Doc] = beginnings{res, err}
	}
}

// examine reads the contents of entries that continue each other, unless their
// signature is missing or wrong: nothing that is not signed reaches the engine.
// Contents that it does not return are read, or refused, by the transaction.
func (s *Space) examine(ctx context.Context, feed halo.FeedID, entries []*halo.Entry) map[halo.EntryID]*contents {
	if !s.authentic(feed, entries) {
		return nil
	}
	found := make([]*contents, len(entries))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range entries {
		k, ok := s.epochKey(e.Header.Epoch)
		if !ok || e.Header.Kind != halo.KindData {
			continue
		}
		g.Go(func() error {
			plain, err := e.Open(k)
			if err != nil {
				return nil
			}
			if found[i], err = readContents(feed, plain); err == nil {
				found[i].begin(ctx, s.repo.engine)
			}
			return nil
		})
	}
	_ = g.Wait()
	out := make(map[halo.EntryID]*contents, len(entries))
	for i, c := range found {
		if c != nil {
			out[entries[i].ID] = c
		}
	}
	return out
}

// authentic reports whether a device of the space has signed the entries, which
// continue each other. Where they stand in the feed is another question.
func (s *Space) authentic(feed halo.FeedID, entries []*halo.Entry) bool {
	if len(entries) == 0 {
		return false
	}
	first := entries[0]
	s.feedsMu.RLock()
	row := s.feeds[feed]
	s.feedsMu.RUnlock()
	author, err := authorOf(&feedRow{}, first)
	if row != nil {
		author, err = halo.Author{Device: row.Device, Identity: row.Identity}, nil
	}
	if err != nil {
		return false
	}
	key, err := s.graph.Authorize(entries[len(entries)-1].Header, author)
	if err != nil {
		return false
	}
	from := Position{Next: first.Header.Seq, Last: first.Header.Prev}
	_, err = halo.VerifyRange(s.id, feed, from, entries, key)
	return err == nil
}
