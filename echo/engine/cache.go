package engine

import (
	"container/list"

	"echofs/echo/doc"
)

// cache keeps the documents a worker has loaded, one version of each and what is
// at hand of its past, the most recently used first. What they take is read from the core's allocator, since
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

// cached is a document that a worker holds.
type cached struct {
	id    doc.DocumentID
	heads doc.Heads
	doc   *coreDoc
	past  *past // nil: nothing of it is at hand
	size  int64 // about what doc takes, or sizeUnknown
	alone int   // changes since there was no past
}

const (
	sizeUnknown = -1
	perChange   = 700 // bytes that a change takes in a document
	perOp       = 600 // and an operation
)

// grow notes that a change was added.
func (e *cached) grow(ops int) {
	if e.size != sizeUnknown {
		e.size += perChange + int64(ops)*perOp
	}
}

// free gives back all that is held of the document.
func (e *cached) free() {
	e.doc.free()
	e.forgetPast()
}

func (e *cached) forgetPast() {
	e.past.free()
	e.past, e.alone = nil, 0
}

func newCache(max int64) *cache {
	return &cache{max: max, docs: map[doc.DocumentID]*list.Element{}, order: list.New(), inUse: heapInUse, trim: trimHeap}
}

// take removes and returns the document if it is here at this version;
// otherwise it returns nil. The caller owns it: it puts it back after a
// success and frees it after a failure, so that no half-done work stays.
func (c *cache) take(id doc.DocumentID, heads doc.Heads) *cached {
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
	return entry
}

// put keeps a document; size is how many bytes the messages about it had. It
// drops others while there is too much.
func (c *cache) put(e *cached, size int) {
	if el := c.docs[e.id]; el != nil {
		c.drop(el)
	}
	c.docs[e.id] = c.order.PushFront(e)
	if e.past.grew() {
		size += measureEvery
	}
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
// of it is free or only keep of them are left, and then what is at hand of the
// past of those. What a burst has left is given
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
	for el := c.order.Back(); el != nil; el = el.Prev() {
		e := el.Value.(*cached)
		for e.past != nil && c.inUse() > c.max {
			if !e.past.reduce() {
				e.forgetPast()
			}
		}
	}
	if peak > 2*c.max {
		c.trim()
	}
}

func (c *cache) drop(el *list.Element) {
	entry := c.order.Remove(el).(*cached)
	delete(c.docs, entry.id)
	entry.free()
}

// measured returns what fn adds to the heap.
func (c *cache) measured(fn func() error) (int64, error) {
	before := c.inUse()
	err := fn()
	return max(0, c.inUse()-before), err
}

// trails returns how many trails there is room for beside a document and the
// root of its past; 0 means that there is not even room for that, or nobody
// knows.
func (c *cache) trails(e *cached) int {
	if e.size == sizeUnknown {
		return 0
	}
	return int(max(0, min(maxTrails, c.max/(e.size+1)-2)))
}

// keepPast begins to keep the past of a document, if there is room for it.
func (c *cache) keepPast(e *cached) {
	e.alone = 0
	trails := c.trails(e)
	if e.past != nil || trails == 0 || c.inUse() > c.max { // sizes are guessed in part
		return
	}
	if root, err := e.doc.clone(); err == nil {
		e.past, _ = newPast(root, trails) // without it going back takes longer, no more
	}
}

// clear drops everything.
func (c *cache) clear() {
	for c.order.Len() > 0 {
		c.drop(c.order.Back())
	}
}
