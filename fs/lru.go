package fs

import "container/list"

// lru is a map of limited size that drops what was not used for longest. It is
// not safe for concurrent use.
type lru[K comparable, V any] struct {
	max     int
	order   *list.List // of *lruEntry, the latest used first
	entries map[K]*list.Element
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](max int) *lru[K, V] {
	return &lru[K, V]{max: max, order: list.New(), entries: make(map[K]*list.Element)}
}

func (l *lru[K, V]) len() int { return len(l.entries) }

// get returns a value and makes it the latest used.
func (l *lru[K, V]) get(k K) (V, bool) {
	e, ok := l.entries[k]
	if !ok {
		var zero V
		return zero, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruEntry[K, V]).value, true
}

// put sets a value and drops the one least recently used if there are too many.
func (l *lru[K, V]) put(k K, v V) {
	if e, ok := l.entries[k]; ok {
		e.Value.(*lruEntry[K, V]).value = v
		l.order.MoveToFront(e)
		return
	}
	l.entries[k] = l.order.PushFront(&lruEntry[K, V]{k, v})
	if len(l.entries) > l.max {
		l.dropOldest()
	}
}

func (l *lru[K, V]) dropOldest() {
	if e := l.order.Back(); e != nil {
		l.drop(e.Value.(*lruEntry[K, V]).key)
	}
}

func (l *lru[K, V]) drop(k K) {
	if e, ok := l.entries[k]; ok {
		l.order.Remove(e)
		delete(l.entries, k)
	}
}

// dropIf drops every entry for which fn returns true.
func (l *lru[K, V]) dropIf(fn func(K, V) bool) {
	for e := l.order.Front(); e != nil; {
		next := e.Next()
		if entry := e.Value.(*lruEntry[K, V]); fn(entry.key, entry.value) {
			l.drop(entry.key)
		}
		e = next
	}
}
