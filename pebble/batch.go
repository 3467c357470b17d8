package pebble

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"echofs/echo"
)

// The first byte of a key: whom it belongs to.
const (
	prefixOwn   = 0x00
	prefixStore = 0x01
)

// storeKey returns the key in the database of a key of echo.Store.
func storeKey(key []byte) []byte {
	return append(append(make([]byte, 0, 1+len(key)), prefixStore), key...)
}

// batchSize returns the bytes of a batch's keys and values.
func batchSize(b *echo.Batch) (int64, error) {
	var size int64
	for _, op := range b.Ops() {
		size += int64(len(op.Key) + len(op.Value))
	}
	if size > MaxBatchBytes {
		return 0, fmt.Errorf("%w: %d bytes of at most %d", ErrBatchTooLarge, size, MaxBatchBytes)
	}
	return size, nil
}

// opOverhead is what an operation adds to its key and value, at most: kind,
// prefixes of the keys, two lengths.
const opOverhead = 1 + 2 + 2*5

// engineBatch translates a batch, copying all its bytes; nil if it has no
// effect.
func engineBatch(inner *pebble.DB, seal *Seal, b *echo.Batch, size int64) (*pebble.Batch, error) {
	batch := inner.NewBatchWithSize(16 + int(size) + (opOverhead+sealOverhead)*b.Len())
	for _, op := range b.Ops() {
		if err := addOp(batch, seal, op); err != nil {
			return nil, err
		}
	}
	if batch.Empty() {
		return nil, batch.Close()
	}
	return batch, nil
}

func addOp(batch *pebble.Batch, seal *Seal, op echo.BatchOp) error {
	switch op.Kind {
	case echo.OpPut:
		d := batch.SetDeferred(1+len(op.Key), seal.size(op.Key, op.Value))
		fillKey(d.Key, op.Key)
		if err := seal.seal(d.Value, op.Key, op.Value); err != nil {
			return err
		}
		return d.Finish()
	case echo.OpDelete:
		d := batch.DeleteDeferred(1 + len(op.Key))
		fillKey(d.Key, op.Key)
		return d.Finish()
	case echo.OpDeleteRange:
		if bytes.Compare(op.Key, op.Value) >= 0 {
			return nil
		}
		d := batch.DeleteRangeDeferred(1+len(op.Key), 1+len(op.Value))
		fillKey(d.Key, op.Key)
		fillKey(d.Value, op.Value)
		return d.Finish()
	}
	return fmt.Errorf("unknown kind of write %d", op.Kind)
}

func fillKey(dst, key []byte) {
	dst[0] = prefixStore
	copy(dst[1:], key)
}
