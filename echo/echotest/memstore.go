package echotest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/RaduBerinde/btreemap"

	"echofs/echo"
)

var _ echo.Store = (*MemStore)(nil)

// tree is a version of a MemStore. It is never changed once it was published.
type tree = btreemap.BTreeMap[[]byte, []byte]

// degree is the minimum fan-out of a node: small, since each commit copies the
// nodes on its way.
const degree = 8

// MemStore is an echo.Store in memory, for tests. It remembers what would have
// survived a power cut, and can be told to fail.
type MemStore struct {
	current atomic.Pointer[tree] // readers take it without a lock

	mu      sync.Mutex // serialises commits and guards what follows
	durable *tree      // the version of the last Disk commit
	fail    error      // what Commit returns
}

// NewMemStore returns an empty store.
func NewMemStore() *MemStore {
	empty := btreemap.New[[]byte, []byte](degree, bytes.Compare)
	return fromVersion(empty)
}

func fromVersion(t *tree) *MemStore {
	m := new(MemStore)
	m.current.Store(t)
	m.durable = t
	return m
}

// Get implements echo.Store.
func (m *MemStore) Get(key []byte) ([]byte, error) {
	_, value, ok := m.current.Load().Get(key)
	if !ok {
		return nil, fmt.Errorf("get key %x: %w", key, echo.ErrNotFound)
	}
	return clone(value), nil
}

// Scan implements echo.Store.
func (m *MemStore) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	end := btreemap.Max[[]byte]()
	if to != nil {
		if bytes.Compare(from, to) >= 0 {
			return nil
		}
		end = btreemap.LT(to)
	}
	m.current.Load().AscendFunc(btreemap.GE(from), end, func(key, value []byte) bool {
		// Copies, so that a function that keeps or changes them cannot reach
		// into the store.
		return fn(clone(key), clone(value))
	})
	return nil
}

// Commit implements echo.Store.
func (m *MemStore) Commit(b *echo.Batch, d echo.Durability) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return fmt.Errorf("commit batch of %d writes: %w", b.Len(), m.fail)
	}
	next := m.current.Load().Clone()
	for _, op := range b.Ops() {
		if err := apply(next, op); err != nil {
			return fmt.Errorf("commit batch of %d writes: %w", b.Len(), err)
		}
	}
	m.current.Store(next)
	if d == echo.Disk {
		m.durable = next
	}
	return nil
}

func apply(t *tree, op echo.BatchOp) error {
	switch op.Kind {
	case echo.OpPut:
		t.ReplaceOrInsert(clone(op.Key), clone(op.Value))
	case echo.OpDelete:
		t.Delete(op.Key)
	case echo.OpDeleteRange:
		deleteRange(t, op.Key, op.Value)
	default:
		return fmt.Errorf("unknown kind of write %d", op.Kind)
	}
	return nil
}

func deleteRange(t *tree, from, to []byte) {
	if bytes.Compare(from, to) >= 0 {
		return
	}
	var keys [][]byte
	for key := range t.Ascend(btreemap.GE(from), btreemap.LT(to)) {
		keys = append(keys, key)
	}
	for _, key := range keys {
		t.Delete(key)
	}
}

// Fail makes every later Commit fail with an error that wraps err and change
// nothing. A nil err ends that.
func (m *MemStore) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// Len returns the number of keys.
func (m *MemStore) Len() int { return m.current.Load().Len() }

// AfterKill returns a new store with what a process would find that starts
// after this one was killed: every commit. The two do not share changes.
func (m *MemStore) AfterKill() *MemStore {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fromVersion(m.current.Load().Clone())
}

// AfterPowerCut returns a new store with the least that a machine would find
// that loses its power now: the last Disk commit and all before it. The two do
// not share changes.
func (m *MemStore) AfterPowerCut() *MemStore {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fromVersion(m.durable.Clone())
}

// clone copies b into memory that is never nil: an empty value is a value.
func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
