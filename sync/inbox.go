package sync

import (
	"context"
	"sync"
)

// inbox is a queue of entries that is bounded by their size.
type inbox struct {
	limit int
	ready chan struct{} // one slot: something was put
	room  chan struct{} // one slot: something was taken

	mu     sync.Mutex // guards the below
	queue  []entries
	size   int
	closed bool
}

func newInbox(limit int) *inbox {
	return &inbox{limit: limit, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func sizeOf(m entries) (n int) {
	for _, b := range m.Raw {
		n += len(b)
	}
	return n
}

// offer puts m into the queue unless it is full.
func (b *inbox) offer(m entries) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := sizeOf(m)
	if b.closed || b.size > 0 && b.size+n > b.limit {
		return false
	}
	b.queue = append(b.queue, m)
	b.size += n
	poke(b.ready)
	return true
}

// put waits until there is room. It has one caller at a time.
func (b *inbox) put(ctx context.Context, m entries) error {
	for !b.offer(m) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.room:
		}
	}
	return nil
}

// take waits for the oldest. It has one caller at a time.
func (b *inbox) take(ctx context.Context) (entries, error) {
	for {
		if m, ok := b.pop(); ok {
			return m, nil
		}
		select {
		case <-ctx.Done():
			return entries{}, ctx.Err()
		case <-b.ready:
		}
	}
}

func (b *inbox) pop() (entries, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return entries{}, false
	}
	m := b.queue[0]
	b.queue = b.queue[1:]
	b.size -= sizeOf(m)
	poke(b.room)
	return m, true
}

// close drops what is queued.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.queue, b.size = true, nil, 0
}
