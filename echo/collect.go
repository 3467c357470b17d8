package echo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"echofs/echo/blob"
)

// Chunks that no version needs are deleted. A version is kept while an object
// names it, deleted objects included; for Options.Retention after it was
// replaced; and while it is in use. So what a save that was interrupted has put,
// and what nobody will ask for any more, goes.

// DefaultBlobRetention is for how long a version of a blob that was replaced is
// kept.
const DefaultBlobRetention = 30 * 24 * time.Hour

// collectEvery is how often chunks are collected while a vault is open.
const collectEvery = 6 * time.Hour

// HoldBlob keeps a version until release is called, whatever becomes of it.
func (r *Repo) HoldBlob(space SpaceID, root blob.Address) (release func()) {
	s, ok := r.SpaceByID(space)
	if !ok || root.IsHole() {
		return func() {}
	}
	c := s.chunks
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds[root]++
	c.newHolds = append(c.newHolds, root)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.holds[root]--; c.holds[root] == 0 {
			delete(c.holds, root)
		}
	}
}

// collector collects chunks when a vault was opened and from time to time.
func (r *Repo) collector(ctx context.Context) {
	timer := time.NewTimer(collectDelay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for _, s := range r.Spaces() {
			if _, err := s.CollectChunks(ctx, r.opts.Retention); err != nil && ctx.Err() == nil {
				r.log.Warn("collect chunks", "space", s.Name(), "error", err)
			}
		}
		timer.Reset(collectEvery)
	}
}

// collectDelay lets what a start has to do come first.
const collectDelay = 10 * time.Second

// CollectChunks deletes the chunks that no version needs; versions that were
// replaced longer than retention ago are not kept. It returns how many bytes it
// deleted.
func (s *Space) CollectChunks(ctx context.Context, retention time.Duration) (freed int64, err error) {
	c := s.chunks
	c.collecting.Lock()
	defer c.collecting.Unlock()
	if s.Relays() {
		freed, err := s.kept.collect(ctx)
		return freed, wrapf(err, "collect chunks")
	}
	keep, err := c.mark(ctx, s.repo.now().Add(-retention).UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("collect chunks: %w", err)
	}
	err = c.store.Walk(func(a blob.Address, size int64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		deleted, err := c.sweep(ctx, a, keep)
		if deleted {
			freed += size
		}
		return err
	})
	return freed, wrapf(err, "collect chunks")
}

// marked is the set of chunks that are needed. Half an address tells them apart
// as well.
type marked map[[16]byte]struct{}

func (m marked) add(a blob.Address)      { m[[16]byte(a[:16])] = struct{}{} }
func (m marked) has(a blob.Address) bool { _, ok := m[[16]byte(a[:16])]; return ok }

// mark finds the chunks that are needed, and forgets versions that were replaced
// before a time, in ms.
func (c *chunks) mark(ctx context.Context, before int64) (marked, error) {
	c.mu.Lock()
	if c.saving == 0 {
		clear(c.pins)
	}
	c.newHolds = nil
	roots := make(map[blob.Address]bool)
	for root := range c.holds {
		roots[root] = true
	}
	c.mu.Unlock()
	if err := c.liveRoots(roots, before); err != nil {
		return nil, err
	}
	keep := marked{}
	for root := range roots {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.markRoot(ctx, keep, root); err != nil {
			return nil, err
		}
	}
	return keep, nil
}

// liveRoots adds the versions that are named, or were not long ago.
func (c *chunks) liveRoots(roots map[blob.Address]bool, before int64) error {
	prefix := key(tableBlob, c.s.id)
	var batch Batch
	err := scanRows(c.s.repo.store, prefix, func(k []byte, row *blobRow) bool {
		root := blob.Address(k[len(k)-len(blob.Address{}):])
		if row.Gone == 0 || row.Gone > before {
			roots[root] = true
			return true
		}
		batch.Delete(append([]byte(nil), k...))
		return true
	})
	if err != nil || batch.Len() == 0 {
		return err
	}
	return c.forgetVersions(&batch)
}

// forgetVersions commits what is forgotten of versions, under the space's lock:
// one that has come back meanwhile keeps its row.
func (c *chunks) forgetVersions(batch *Batch) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	var still Batch
	for _, op := range batch.Ops() {
		var row blobRow
		if ok, err := getRow(c.s.repo.store, op.Key, &row); err != nil || ok && row.Gone == 0 {
			continue
		}
		still.Delete(op.Key)
	}
	return c.s.repo.store.Commit(&still, Kernel)
}

// markRoot adds the chunks of a version, as far as they are known here.
func (c *chunks) markRoot(ctx context.Context, keep marked, root blob.Address) error {
	keep.add(root)
	x, err := blob.ReadIndex(ctx, c.store, c.s.blobKeys(), root)
	switch {
	case err == nil:
	case errors.Is(err, blob.ErrMissing):
		return c.markPart(ctx, keep, root)
	case errors.Is(err, blob.ErrDamaged), errors.Is(err, ErrUnavailable):
		return nil // nobody can read it here
	default:
		return err
	}
	x.Chunks(func(a blob.Address) bool {
		keep.add(a)
		return true
	})
	return nil
}

// markPart adds what is here of a version that is being fetched: all of its
// chunks that are known, whether or not they are here.
func (c *chunks) markPart(ctx context.Context, keep marked, root blob.Address) error {
	none := func(a blob.Address) bool {
		ok, err := c.store.Has(a)
		keep.add(a)
		return ok && err == nil
	}
	_, _, err := blob.Missing(ctx, c.store, c.s.blobKeys(), root, none, int(blob.MaxSize/blob.ChunkSize))
	if errors.Is(err, blob.ErrDamaged) || errors.Is(err, blob.ErrMissing) {
		return nil
	}
	return err
}

// sweep deletes a chunk that is not needed.
func (c *chunks) sweep(ctx context.Context, a blob.Address, keep marked) (bool, error) {
	c.mu.Lock()
	fresh := c.newHolds
	c.newHolds = nil
	c.mu.Unlock()
	for _, root := range fresh {
		if err := c.markRoot(ctx, keep, root); err != nil {
			return false, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, pinned := c.pins[a]; pinned || keep.has(a) || len(c.newHolds) > 0 {
		return false, nil
	}
	if err := c.store.Delete(a); err != nil {
		return false, err
	}
	return true, nil
}
