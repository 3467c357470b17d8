package echo

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// reader is what both the store and a transaction can be asked.
type reader interface {
	Get(key []byte) ([]byte, error)
	Scan(from, to []byte, fn func(key, value []byte) bool) error
}

// overlay is a batch that can be read: its own writes are seen over those of
// the store. It is what makes one save, rename or received entry a single
// commit although its steps build on one another.
type overlay struct {
	store  Store
	batch  Batch
	writes map[string][]byte // nil: deleted
}

func newOverlay(store Store) *overlay {
	return &overlay{store: store, writes: make(map[string][]byte)}
}

func (o *overlay) put(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	o.batch.Put(key, value)
	o.writes[string(key)] = value
}

func (o *overlay) putRow(key []byte, row any) { o.put(key, encodeRow(row)) }

func (o *overlay) delete(key []byte) {
	o.batch.Delete(key)
	o.writes[string(key)] = nil
}

// Get implements reader.
func (o *overlay) Get(key []byte) ([]byte, error) {
	if v, ok := o.writes[string(key)]; ok {
		if v == nil {
			return nil, ErrNotFound
		}
		return bytes.Clone(v), nil
	}
	return o.store.Get(key)
}

// Scan implements reader. It collects before it calls, so fn may write.
func (o *overlay) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	type pair struct{ k, v []byte }
	var pairs []pair
	err := o.store.Scan(from, to, func(k, v []byte) bool {
		if _, own := o.writes[string(k)]; !own {
			pairs = append(pairs, pair{bytes.Clone(k), bytes.Clone(v)})
		}
		return true
	})
	if err != nil {
		return err
	}
	for k, v := range o.writes {
		if v != nil && k >= string(from) && (to == nil || k < string(to)) {
			pairs = append(pairs, pair{[]byte(k), v})
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

// any reports whether there may be a key that begins with prefix: cheaper than
// a scan, and true also for one that this transaction deleted.
func (o *overlay) any(prefix []byte) (bool, error) {
	found := false
	for k := range o.writes {
		found = found || strings.HasPrefix(k, string(prefix))
	}
	if found {
		return true, nil
	}
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
