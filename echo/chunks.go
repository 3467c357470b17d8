package echo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"echofs/echo/blob"
	"echofs/echo/doc"
)

// chunks are the sealed chunks of a space's blobs: those that are here, and those
// that are to come from other devices.
type chunks struct {
	s     *Space
	store blob.Store

	collecting sync.Mutex // held by whoever collects

	mu       sync.Mutex                // guards the below; a leaf
	wants    map[blob.Address]int64    // roots of which chunks are missing, with the size of the content
	queue    []blob.Address            // chunks that are missing, of the smallest of them first
	demanded map[blob.Address]*demand  // what somebody waits for right now
	pins     map[blob.Address]struct{} // put since chunks were last collected
	saving   int                       // saves that have put chunks and not named them yet
	names    []blob.Address            // versions that were named, the last of them
	named    uint64                    // how many were named before these
	holds    map[blob.Address]int      // roots that are in use
	newHolds []blob.Address            // since a collection began
}

// demand is a chunk that readers wait for.
type demand struct {
	come    chan struct{} // closed when it is here
	waiting int
}

func newChunks(s *Space, store blob.Store) *chunks {
	return &chunks{s: s, store: store, wants: map[blob.Address]int64{}, demanded: map[blob.Address]*demand{},
		pins: map[blob.Address]struct{}{}, holds: map[blob.Address]int{}}
}

// blobRow says that an object names a version, or did.
type blobRow struct {
	Size int64  `cbor:"1,keyasint"`
	Rev  uint64 `cbor:"2,keyasint,omitempty"`
	Gone int64  `cbor:"3,keyasint,omitempty"` // ms: when it was replaced, as this vault saw it; 0 for the present
}

// wantRow says that chunks of a version are missing.
type wantRow struct {
	Size int64 `cbor:"1,keyasint"`
}

// load reads which versions are not complete.
func (c *chunks) load() error {
	prefix := key(tableBlobWant, c.s.id)
	err := scanRows(c.s.repo.store, prefix, func(k []byte, row *wantRow) bool {
		c.wants[blob.Address(k[len(prefix):])] = row.Size
		return true
	})
	return wrapf(err, "read which blobs are incomplete")
}

// noteVersions keeps account of the versions that an object names. own tells that
// they were made here, so that all of their chunks are here.
func (t *txn) noteVersions(id doc.ObjectID, before, after *doc.Value, own bool) error {
	was, is := blobVersions(before), blobVersions(after)
	for _, v := range is {
		if slices.ContainsFunc(was, func(o BlobVersion) bool { return o.Root == v.Root }) {
			continue
		}
		t.putRow(key(tableBlob, t.s.id, id, v.Root), &blobRow{Size: v.Size, Rev: v.Rev})
		t.after = append(t.after, func() { t.s.chunks.noteName(v.Root) })
		if !own && !slices.Contains(t.own, v.Root) {
			t.want(v)
		}
	}
	for _, v := range was {
		if !slices.ContainsFunc(is, func(o BlobVersion) bool { return o.Root == v.Root }) {
			t.putRow(key(tableBlob, t.s.id, id, v.Root), &blobRow{Size: v.Size, Rev: v.Rev, Gone: t.now.UnixMilli()})
			t.wantNoMore(v.Root)
		}
	}
	return nil
}

// want notes that a version is to be fetched.
func (t *txn) want(v BlobVersion) {
	t.putRow(key(tableBlobWant, t.s.id, v.Root), &wantRow{Size: v.Size})
	t.event(Event{What: Chunks})
	t.after = append(t.after, func() {
		t.s.chunks.mu.Lock()
		defer t.s.chunks.mu.Unlock()
		t.s.chunks.wants[v.Root] = v.Size
	})
}

// wantNoMore notes that a version was replaced before it was complete.
func (t *txn) wantNoMore(root blob.Address) {
	t.delete(key(tableBlobWant, t.s.id, root))
	t.after = append(t.after, func() {
		t.s.chunks.mu.Lock()
		defer t.s.chunks.mu.Unlock()
		delete(t.s.chunks.wants, root)
	})
}

// begin notes that a save is about to put chunks; the result ends it.
func (c *chunks) begin() (end func()) {
	c.mu.Lock()
	c.saving++
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		c.saving--
		c.mu.Unlock()
	}
}

// put stores a chunk, which is not collected before a save that is under way has
// named it.
func (c *chunks) put(a blob.Address, sealed []byte) error {
	c.mu.Lock()
	c.pins[a] = struct{}{}
	c.mu.Unlock()
	return c.store.Put(a, sealed)
}

// Get implements blob.Source. It waits for a chunk that is not here.
func (c *chunks) Get(ctx context.Context, a blob.Address) ([]byte, error) {
	b, err := c.store.Get(ctx, a)
	if !errors.Is(err, blob.ErrMissing) {
		return b, err
	}
	d := c.demand(a)
	defer c.done(a, d)
	c.s.repo.hub.publish([]Event{{What: Chunks, Space: c.s.id}})
	if b, err = c.store.Get(ctx, a); !errors.Is(err, blob.ErrMissing) {
		return b, err // it came before we began to wait
	}
	select {
	case <-d.come:
		return c.store.Get(ctx, a)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

func (c *chunks) demand(a blob.Address) *demand {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.demanded[a]
	if d == nil {
		d = &demand{come: make(chan struct{})}
		c.demanded[a] = d
	}
	d.waiting++
	return d
}

func (c *chunks) done(a blob.Address, d *demand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.waiting--; d.waiting == 0 && c.demanded[a] == d {
		delete(c.demanded, a)
	}
}

// maxQueue is how many chunks are looked up in advance.
const maxQueue = 4096

// WantedChunks returns addresses of chunks that are missing, at most limit,
// without those that skip says are on their way: first what somebody waits for,
// then those of small files.
func (s *Space) WantedChunks(limit int, skip func([32]byte) bool) [][32]byte {
	c := s.chunks
	var out [][32]byte
	take := func(a blob.Address) {
		if len(out) < limit && !skip(a) && !slices.Contains(out, [32]byte(a)) {
			if ok, err := c.store.Has(a); err == nil && !ok {
				out = append(out, a)
			}
		}
	}
	c.mu.Lock()
	now := make([]blob.Address, 0, len(c.demanded))
	for a := range c.demanded {
		now = append(now, a)
	}
	c.mu.Unlock()
	for _, a := range now {
		take(a)
	}
	missing := c.missing
	if s.Relays() {
		missing = s.kept.missing
	}
	if len(out) < limit {
		for _, a := range missing(skip) {
			take(a)
		}
	}
	return out
}

// missing returns the queue, which is filled if it is empty.
func (c *chunks) missing(skip func([32]byte) bool) []blob.Address {
	c.mu.Lock()
	queue, roots := c.queue, c.roots()
	c.mu.Unlock()
	queue = slices.DeleteFunc(slices.Clone(queue), func(a blob.Address) bool {
		ok, err := c.store.Has(a)
		return ok || err != nil
	})
	if slices.ContainsFunc(queue, func(a blob.Address) bool { return !skip(a) }) {
		return queue
	}
	queue = nil
	for _, root := range roots {
		if len(queue) >= maxQueue {
			break
		}
		queue = append(queue, c.lacking(root, maxQueue-len(queue))...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = queue
	return queue
}

// roots returns the versions that are not complete, the smallest first; c.mu is
// held.
func (c *chunks) roots() []blob.Address {
	out := make([]blob.Address, 0, len(c.wants))
	for root := range c.wants {
		out = append(out, root)
	}
	slices.SortFunc(out, func(a, b blob.Address) int {
		return cmp.Or(cmp.Compare(c.wants[a], c.wants[b]), slices.Compare(a[:], b[:]))
	})
	return out
}

// lacking returns what is missing of a version, and notes if it is complete.
func (c *chunks) lacking(root blob.Address, limit int) []blob.Address {
	has := func(a blob.Address) bool { ok, err := c.store.Has(a); return ok && err == nil }
	list, complete, err := blob.Missing(context.Background(), c.store, c.s.blobKeys(), root, has, limit)
	switch {
	case errors.Is(err, blob.ErrDamaged):
		c.s.repo.log.Warn("a blob cannot be read", "space", c.s.Name(), "root", root, "error", err)
		c.settleWant(root)
	case complete:
		c.settleWant(root)
	}
	return list
}

// settleWant notes that nothing more of a version is to be fetched.
func (c *chunks) settleWant(root blob.Address) {
	var b Batch
	b.Delete(key(tableBlobWant, c.s.id, root))
	if err := c.s.repo.store.Commit(&b, Kernel); err != nil {
		c.s.repo.log.Warn("note that a blob is complete", "root", root, "error", err)
		return
	}
	c.mu.Lock()
	delete(c.wants, root)
	c.mu.Unlock()
	c.noteName(root) // its chunks are known now
	c.s.repo.hub.publish([]Event{{What: Chunks, Space: c.s.id}})
}

// Chunk returns a sealed chunk for another device. The error wraps
// blob.ErrMissing where it is not here.
func (s *Space) Chunk(ctx context.Context, a [32]byte) ([]byte, error) {
	return s.chunks.store.Get(ctx, a)
}

// PutChunk stores a chunk that another device sent. It fails with ErrPeerFault
// where it is not the one that its address names.
func (s *Space) PutChunk(a [32]byte, sealed []byte) error {
	if s.repo.closed.Load() {
		return ErrClosed
	}
	if _, err := blob.Epoch(sealed); err != nil || blob.AddressOf(sealed) != a {
		return fmt.Errorf("chunk %s: other bytes came: %w", blob.Address(a), ErrPeerFault)
	}
	c := s.chunks
	put := c.put
	if s.Relays() {
		put = s.kept.put
	}
	if err := put(a, sealed); err != nil {
		return err
	}
	c.mu.Lock()
	d := c.demanded[a]
	if d != nil {
		delete(c.demanded, a)
	}
	c.mu.Unlock()
	if d != nil {
		close(d.come)
	}
	return nil
}

// BlobState tells how much of a space's blobs is here.
type BlobState struct {
	Incomplete int   // versions of which chunks are missing
	Missing    int64 // bytes of their content, at most
}

// BlobState tells how much of a space's blobs is here.
func (s *Space) BlobState() BlobState {
	c := s.chunks
	c.mu.Lock()
	defer c.mu.Unlock()
	st := BlobState{Incomplete: len(c.wants)}
	for _, size := range c.wants {
		st.Missing += size
	}
	return st
}

// isComplete reports whether all chunks of a version are here, as far as is
// known.
func (c *chunks) isComplete(root blob.Address) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, lacks := c.wants[root]
	return !lacks
}
