package engine

import (
	"container/list"

	"echofs/echo/doc"
)

// cache keeps the documents a worker has loaded, one version of each, the most
// recently used first. What they take is read from the core's allocator, since
// a document's size says little: a character of a text takes half a kilobyte.
//
// To ask the allocator takes as long as a small save, and giving memory back to
// the system only to take it again as long as many. So the cache asks once for
// every measureEvery bytes that went through the worker, makes room for more
// than one document when it is full, and gives back only what a burst has left.
type cache struct {
	max   int64 // bytes of the core's heap from which on documents are dropped
	docs  map[doc.DocumentID]*list.Element
	order *list.List // of *cached
	moved int        // bytes of messages since the heap was last measured
	inUse func() int64
	trim  func()
}

const (
	measureEvery = 32 << 10 // bytes of messages; as many characters take 16 MiB
	perMessage   = 256      // bytes that a message counts at least
)

type cached struct {
	id    doc.DocumentID
	heads doc.Heads
	doc   *coreDoc
}

func newCache(max int64) *cache {
	return &cache{max: max, docs: map[doc.DocumentID]*list.Element{}, order: list.New(), inUse: heapInUse, trim: trimHeap}
}

// take removes and returns the document if it is here at this version;
// otherwise it returns nil. The caller owns it: it puts it back after a
// success and frees it after a failure, so that no half-done work stays.
func (c *cache) take(id doc.DocumentID, heads doc.Heads) *coreDoc {
	el := c.docs[id]
	if el == nil {
		return nil
	}
	entry := el.Value.(*cached)
	if !entry.heads.Equal(heads) {
		c.drop(el)
		return nil
	}
	c.order.Remove(el)
	delete(c.docs, id)
	return entry.doc
}

// put keeps a document; size is how many bytes the messages about it had. It
// drops others while there is too much.
func (c *cache) put(id doc.DocumentID, heads doc.Heads, d *coreDoc, size int) {
	if el := c.docs[id]; el != nil {
		c.drop(el)
	}
	c.docs[id] = c.order.PushFront(&cached{id, heads, d})
	if c.moved += max(size, perMessage); c.moved >= measureEvery {
		c.shrink(1)
	}
}

// makeRoom drops documents before one is loaded whose saved form has a size.
func (c *cache) makeRoom(size int) {
	if c.moved += max(size, perMessage); c.moved >= measureEvery {
		c.shrink(0)
	}
}

// shrink drops documents from the end if the heap is too large, until a quarter
// of it is free or only keep of them are left. What a burst has left is given
// back to the system.
func (c *cache) shrink(keep int) {
	c.moved = 0
	peak := c.inUse()
	if peak <= c.max {
		return
	}
	for used := peak; used > c.max/4*3 && c.order.Len() > keep; used = c.inUse() {
		for n := c.order.Len()/8 + 1; n > 0 && c.order.Len() > keep; n-- {
			c.drop(c.order.Back())
		}
	}
	if peak > 2*c.max {
		c.trim()
	}
}

func (c *cache) drop(el *list.Element) {
	entry := c.order.Remove(el).(*cached)
	delete(c.docs, entry.id)
	entry.doc.free()
}

// clear drops everything.
func (c *cache) clear() {
	for c.order.Len() > 0 {
		c.drop(c.order.Back())
	}
}
