package echo

import (
	"bytes"
	"errors"
	"iter"
	"slices"
)

// reader is what both the store and a transaction can be asked.
type reader interface {
	Get(key []byte) ([]byte, error)
	Scan(from, to []byte, fn func(key, value []byte) bool) error
}

// overlay is a batch that can be read: its own writes are seen over those of
// the store. It is what makes one save, rename or received entry a single
// commit although its steps build on one another. Of several writes of a key
// the batch has the last.
type overlay struct {
	store  *cellar
	batch  Batch
	writes map[string]int   // key -> its write in the batch
	tables map[byte][]int32 // a key's first byte -> the writes of such keys, so that a scan looks at few
}

func newOverlay(store *cellar) *overlay {
	return &overlay{store: store, writes: make(map[string]int), tables: make(map[byte][]int32)}
}

func (o *overlay) put(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	o.write(BatchOp{OpPut, key, value})
}

func (o *overlay) putRow(key []byte, row any) { o.put(key, encodeRow(row)) }

func (o *overlay) delete(key []byte) { o.write(BatchOp{OpDelete, key, nil}) }

func (o *overlay) write(op BatchOp) {
	op.Key = o.store.names.key(op.Key)
	if n, ok := o.writes[string(op.Key)]; ok {
		o.batch.ops[n] = op
		return
	}
	n := len(o.batch.ops)
	o.batch.ops = append(o.batch.ops, op)
	o.writes[string(op.Key)] = n
	o.tables[op.Key[0]] = append(o.tables[op.Key[0]], int32(n))
}

// Get implements reader.
func (o *overlay) Get(key []byte) ([]byte, error) {
	key = o.store.names.key(key)
	if n, ok := o.writes[string(key)]; ok {
		if o.batch.ops[n].Kind == OpDelete {
			return nil, ErrNotFound
		}
		return bytes.Clone(o.batch.ops[n].Value), nil
	}
	return o.store.Store.Get(key)
}

// Scan implements reader. It collects before it calls, so fn may write.
func (o *overlay) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	type pair struct{ k, v []byte }
	var pairs []pair
	from, to = o.store.names.span(from, to)
	err := o.store.Store.Scan(from, to, func(k, v []byte) bool {
		if _, own := o.writes[string(k)]; !own {
			pairs = append(pairs, pair{bytes.Clone(k), bytes.Clone(v)})
		}
		return true
	})
	if err != nil {
		return err
	}
	for op := range o.within(from, to) {
		if op.Kind == OpPut {
			pairs = append(pairs, pair{op.Key, op.Value})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return bytes.Compare(a.k, b.k) })
	for _, p := range pairs {
		if !fn(p.k, p.v) {
			break
		}
	}
	return nil
}

// within yields the own writes of keys with from <= key < to, in no order.
func (o *overlay) within(from, to []byte) iter.Seq[BatchOp] {
	return func(yield func(BatchOp) bool) {
		for table, writes := range o.tables {
			if len(from) > 0 && table < from[0] || len(to) > 0 && table > to[0] {
				continue
			}
			for _, n := range writes {
				op := o.batch.ops[n]
				if bytes.Compare(op.Key, from) >= 0 && (to == nil || bytes.Compare(op.Key, to) < 0) && !yield(op) {
					return
				}
			}
		}
	}
}

// any reports whether there may be a key that begins with prefix: cheaper than
// a scan, and true also for one that this transaction deleted.
func (o *overlay) any(prefix []byte) (bool, error) {
	for range o.within(prefix, prefixEnd(prefix)) {
		return true, nil
	}
	found := false
	err := scanPrefix(o.store, prefix, func(_, _ []byte) bool {
		found = true
		return false
	})
	return found, err
}

// scanPrefix calls fn for every key that begins with prefix.
func scanPrefix(r reader, prefix []byte, fn func(key, value []byte) bool) error {
	return r.Scan(prefix, prefixEnd(prefix), fn)
}

// scanRows is scanPrefix with each row decoded. It fails at the first that is not one
// of its table.
func scanRows[R any](r reader, prefix []byte, fn func(key []byte, row *R) bool) error {
	var bad error
	err := scanPrefix(r, prefix, func(k, v []byte) bool {
		row := new(R)
		if bad = decodeRow(v, row); bad != nil {
			return false
		}
		return fn(k, row)
	})
	return errors.Join(err, bad)
}

// getRow reads a row; ok is false where there is none.
func getRow(r reader, key []byte, row any) (ok bool, err error) {
	b, err := r.Get(key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, decodeRow(b, row)
}
