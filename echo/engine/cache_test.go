package engine

import (
	"testing"

	"echofs/echo/doc"
)

// meter is a heap that grows by a fixed size for each document put into a cache
// and shrinks by it for each that is dropped.
type meter struct {
	c               *cache
	size            int64
	extra           int64
	measured, trims int
}

func newMetered(max, size int64) (*cache, *meter) {
	c := newCache(max)
	m := &meter{c: c, size: size}
	c.inUse = func() int64 { m.measured++; return m.extra + m.size*int64(c.order.Len()) }
	c.trim = func() { m.trims++ }
	return c, m
}

func (m *meter) put(n int) {
	var id doc.DocumentID
	id[0], id[1], id[2] = byte(n), byte(n>>8), byte(n>>16)
	m.c.put(&cached{id: id, heads: doc.Heads{{1}}, doc: &coreDoc{}}, 2000)
}

func TestFullCacheStaysCheap(t *testing.T) {
	const limit, puts = 64 << 20, 5000
	c, m := newMetered(limit, 500<<10)
	highest := int64(0)
	for n := range puts {
		m.put(n)
		highest = max(highest, m.size*int64(c.order.Len()))
	}
	if highest > limit*3/2 {
		t.Errorf("the heap reached %d MiB, want at most half more than %d", highest>>20, limit>>20)
	}
	if c.order.Len() < 60 {
		t.Errorf("%d documents are kept, want at least half of what fits", c.order.Len())
	}
	if m.measured > puts/4 || m.trims > 0 {
		t.Errorf("%d measurements and %d trims for %d documents", m.measured, m.trims, puts)
	}
}

func TestCacheGivesBackABurst(t *testing.T) {
	c, m := newMetered(64<<20, 1<<20)
	for n := range 20 {
		m.put(n)
	}
	m.extra = 300 << 20 // one document, which is freed then
	c.makeRoom(1 << 20)
	if c.order.Len() != 0 || m.trims != 1 {
		t.Errorf("got %d documents and %d trims, want 0 and 1", c.order.Len(), m.trims)
	}
}

func TestCacheKeepsTheLastDocument(t *testing.T) {
	c, m := newMetered(64<<20, 100<<20)
	for n := range 100 {
		m.put(n)
	}
	if n := c.order.Len(); n == 0 {
		t.Error("got no document, want the one that was used last")
	}
}
