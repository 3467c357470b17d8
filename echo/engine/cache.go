package engine

import (
	"container/list"

	"echofs/echo/doc"
)

// cache keeps the documents a worker has loaded, one version of each, the most
// recently used first. What they take is read from the core's allocator, since
// a document's size says little: a character of a text takes half a kilobyte.
type cache struct {
	max   int64 // bytes of the core's heap from which on documents are dropped
	docs  map[doc.DocumentID]*list.Element
	order *list.List // of *cached
	freed bool       // something was dropped since the heap was last trimmed
}

type cached struct {
	id    doc.DocumentID
	heads doc.Heads
	doc   *coreDoc
}

func newCache(max int64) *cache {
	return &cache{max: max, docs: map[doc.DocumentID]*list.Element{}, order: list.New()}
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

// put keeps a document, and drops others while there is too much.
func (c *cache) put(id doc.DocumentID, heads doc.Heads, d *coreDoc) {
	if el := c.docs[id]; el != nil {
		c.drop(el)
	}
	c.docs[id] = c.order.PushFront(&cached{id, heads, d})
	c.shrink(1)
}

// shrink drops documents from the end until the heap is small enough or only
// keep of them are left, and gives the memory back.
func (c *cache) shrink(keep int) {
	for c.order.Len() > keep && heapInUse() > c.max {
		c.drop(c.order.Back())
	}
	if c.freed {
		trimHeap()
		c.freed = false
	}
}

func (c *cache) drop(el *list.Element) {
	entry := c.order.Remove(el).(*cached)
	delete(c.docs, entry.id)
	entry.doc.free()
	c.freed = true
}

// clear drops everything.
func (c *cache) clear() {
	for c.order.Len() > 0 {
		c.drop(c.order.Back())
	}
}
