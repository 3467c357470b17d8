package blob

import (
	"context"
	"fmt"
	"sync"
)

// Source is where sealed chunks are read from.
type Source interface {
	// Get returns a chunk, which nobody changes. The error wraps ErrMissing where
	// it is not here and does not come in time.
	Get(ctx context.Context, a Address) ([]byte, error)
}

// Store holds the sealed chunks of one space. All methods may be called from
// any goroutine.
type Store interface {
	Source
	// Put stores a chunk under its address, all of it or nothing. It survives the
	// death of the process; one that is there already is no error.
	Put(a Address, sealed []byte) error
	// Has reports whether a chunk is here.
	Has(a Address) (bool, error)
	// Delete removes a chunk; one that is not here is no error.
	Delete(a Address) error
	// Walk calls fn for every chunk until it fails, in no order. What is put or
	// deleted meanwhile may be seen or not.
	Walk(fn func(a Address, size int64) error) error
	// Sync makes what was put before survive a power cut.
	Sync() error
}

// Mem is a Store in memory, for tests.
type Mem struct {
	mu     sync.Mutex // guards chunks
	chunks map[Address][]byte
}

var _ Store = (*Mem)(nil)

// NewMem returns an empty store.
func NewMem() *Mem { return &Mem{chunks: make(map[Address][]byte)} }

// Get implements Source.
func (m *Mem) Get(_ context.Context, a Address) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.chunks[a]; ok {
		return b, nil
	}
	return nil, missing(a)
}

func missing(a Address) error { return fmt.Errorf("chunk %s: %w", a, ErrMissing) }

// Put implements Store.
func (m *Mem) Put(a Address, sealed []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chunks[a] = append([]byte(nil), sealed...)
	return nil
}

// Has implements Store.
func (m *Mem) Has(a Address) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.chunks[a]
	return ok, nil
}

// Delete implements Store.
func (m *Mem) Delete(a Address) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.chunks, a)
	return nil
}

// Walk implements Store.
func (m *Mem) Walk(fn func(Address, int64) error) error {
	m.mu.Lock()
	sizes := make(map[Address]int64, len(m.chunks))
	for a, b := range m.chunks {
		sizes[a] = int64(len(b))
	}
	m.mu.Unlock()
	for a, n := range sizes {
		if err := fn(a, n); err != nil {
			return err
		}
	}
	return nil
}

// Sync implements Store: memory survives nothing.
func (m *Mem) Sync() error { return nil }
