package blob

import (
	"container/list"
	"context"
	"io"
	"sync"
)

// DefaultCacheSize is how many bytes of decrypted chunks a Cache keeps.
const DefaultCacheSize = 16 << 20

// Cache keeps the content of the chunks that were read last, so that reading a
// file in small pieces decrypts each chunk once. It may be used from any
// goroutine.
type Cache struct {
	mu      sync.Mutex // guards the below
	room    int
	order   *list.List // of *cached, the last used first
	entries map[Address]*list.Element
}

// cached is a chunk that is being read, or was.
type cached struct {
	a    Address
	done chan struct{} // closed when data or err is there
	data []byte
	err  error
}

// NewCache returns a cache of a size in bytes.
func NewCache(size int) *Cache {
	return &Cache{room: size / ChunkSize, order: list.New(), entries: make(map[Address]*list.Element)}
}

// get returns the content of a chunk. Those who ask for the same chunk at the
// same time wait for the first of them to read it.
func (c *Cache) get(ctx context.Context, a Address, load func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	if e, ok := c.entries[a]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(*cached).wait(ctx)
	}
	one := &cached{a: a, done: make(chan struct{})}
	c.entries[a] = c.order.PushFront(one)
	for c.order.Len() > max(c.room, 1) {
		oldest := c.order.Remove(c.order.Back()).(*cached)
		delete(c.entries, oldest.a)
	}
	c.mu.Unlock()
	one.data, one.err = load()
	close(one.done)
	if one.err != nil {
		c.forget(one)
	}
	return one.data, one.err
}

func (c *Cache) forget(one *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[one.a]; ok && e.Value.(*cached) == one {
		c.order.Remove(e)
		delete(c.entries, one.a)
	}
}

func (one *cached) wait(ctx context.Context) ([]byte, error) {
	select {
	case <-one.done:
		return one.data, one.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Reader reads one version of a file. It may be used from any goroutine.
type Reader struct {
	src   Source
	keys  Keys
	cache *Cache
	index *Index
}

// NewReader returns a reader of a version.
func NewReader(src Source, keys Keys, cache *Cache, index *Index) *Reader {
	return &Reader{src: src, keys: keys, cache: cache, index: index}
}

// Index returns what the version is made of.
func (r *Reader) Index() *Index { return r.index }

// Size returns the length of the content.
func (r *Reader) Size() int64 { return r.index.Size }

// ReadAt fills p with content at an offset and returns how much there was; it is
// less than len(p) only at the end, with io.EOF. The error wraps ErrMissing where
// a chunk is not here.
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 || off >= r.index.Size {
		return 0, io.EOF
	}
	var end error
	if rest := r.index.Size - off; int64(len(p)) > rest {
		p, end = p[:rest], io.EOF
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		n := min(len(p)-done, int(ChunkSize-at%ChunkSize))
		if err := r.readBlock(ctx, p[done:done+n], at/ChunkSize, int(at%ChunkSize)); err != nil {
			return done, err
		}
		done += n
	}
	return done, end
}

// readBlock fills p with what lies at an offset in a block. What a chunk is
// shorter than its block is zeros: the file was longer later.
func (r *Reader) readBlock(ctx context.Context, p []byte, block int64, off int) error {
	data, err := r.block(ctx, block)
	if err != nil {
		return err
	}
	n := 0
	if off < len(data) {
		n = copy(p, data[off:])
	}
	clear(p[n:])
	return nil
}

// block returns the content of a block as far as it is stored; nobody changes
// it.
func (r *Reader) block(ctx context.Context, n int64) ([]byte, error) {
	switch {
	case r.index.inline != nil:
		return r.index.inline, nil
	case n >= int64(len(r.index.chunks)) || r.index.chunks[n].IsHole():
		return nil, nil
	}
	a := r.index.chunks[n]
	return r.cache.get(ctx, a, func() ([]byte, error) { return read(ctx, r.src, r.keys, kindData, a) })
}
