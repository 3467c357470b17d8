package echo

import (
	"errors"

	"echofs/echo/doc"
)

// ErrNotFound is wrapped where a key, an object, a space or a path does not
// exist.
var ErrNotFound = errors.New("not found")

// ErrEngine is wrapped where the CRDT core died or exceeded a limit.
var ErrEngine = doc.ErrEngine

// Durability tells what a commit must survive before it returns.
type Durability uint8

const (
	// Memory commits are lost with the process, unless another commit comes after
	// them: then they are as durable as that. An empty batch is one, too.
	Memory Durability = iota
	// Kernel commits survive the death of the process: their bytes have been
	// handed to the operating system (product contract: close(2) returned).
	Kernel
	// Disk commits survive a power cut, and so does every commit before them
	// (fsync(2) returned, or a peer was told that we have an entry).
	Disk
)

// Store is an ordered map from byte strings to byte strings, with atomic
// batches: one Pebble database per vault (package pebble), or memory (package
// echotest). Keys are laid out in key.go and docs/FORMAT.md. All methods may
// be called from any goroutine; none is called after the store was closed.
type Store interface {
	// Get returns the value of key in memory that the caller owns, or an error
	// that wraps ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Scan calls fn for each key with from <= key < to, in ascending order of
	// bytes, until fn returns false. A nil to means the end. It sees the store
	// as it was when it was called. The slices are valid during the call only.
	Scan(from, to []byte, fn func(key, value []byte) bool) error
	// Commit makes all of the batch visible and durable, or nothing. An empty
	// batch with Kernel or Disk makes every earlier commit as durable.
	Commit(b *Batch, d Durability) error
}

// Batch is a list of writes, applied in order. The zero value is ready to use;
// a Batch is not safe for concurrent use and keeps the slices it is given.
type Batch struct {
	ops []BatchOp
}

// BatchOp is one write of a Batch.
type BatchOp struct {
	Kind  BatchOpKind
	Key   []byte // DeleteRange: the first key that goes
	Value []byte // DeleteRange: the first key that stays
}

// BatchOpKind tells what a BatchOp does.
type BatchOpKind uint8

// The kinds of writes.
const (
	OpPut BatchOpKind = iota
	OpDelete
	OpDeleteRange
)

// Put sets key to value.
func (b *Batch) Put(key, value []byte) { b.ops = append(b.ops, BatchOp{OpPut, key, value}) }

// Delete removes key; a missing key is no error.
func (b *Batch) Delete(key []byte) { b.ops = append(b.ops, BatchOp{OpDelete, key, nil}) }

// DeleteRange removes every key with from <= key < to.
func (b *Batch) DeleteRange(from, to []byte) {
	b.ops = append(b.ops, BatchOp{OpDeleteRange, from, to})
}

// Ops returns the writes in order. The slice belongs to the batch.
func (b *Batch) Ops() []BatchOp { return b.ops }

// Len returns the number of writes.
func (b *Batch) Len() int { return len(b.ops) }
