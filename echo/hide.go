package echo

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"

	"echofs/halo"
)

// Names of files and types stand in keys of some tables, since they are looked
// up by them. In the store such a key has in place of the name 16 bytes of
// HMAC-SHA256(Options.NameKey, the key's beginning || name): it can be looked up
// as before, and says nothing. The names themselves are in values.

// hider replaces the names in keys; nil leaves them.
type hider struct{ secret []byte }

// HideNames returns what turns a key of the store, as it is without a NameKey,
// into what it is with one. Other keys stay as they are.
func HideNames(name halo.Secret) func(key []byte) []byte { return newHider(name).key }

func newHider(k halo.Secret) *hider {
	if k.IsZero() {
		return nil
	}
	return &hider{k.Bytes()}
}

// hiddenNames says where in the keys of a table the name stands: after how many
// bytes, and before how many.
var hiddenNames = map[byte]struct{ before, after int }{
	tableName:   {1 + 8, 0},
	tableHidden: {1 + 8, 0},
	tableFormer: {1 + 8, 0},
	tableClaim:  {1 + 8, 1 + 16 + 8}, // a zero, the object, the inode number
	tableType:   {1 + 32, 1 + 16},    // a zero, the object
}

// key returns the key as the store has it.
func (h *hider) key(k []byte) []byte {
	if h == nil || len(k) == 0 {
		return k
	}
	at, ok := hiddenNames[k[0]]
	if !ok || len(k) < at.before+at.after {
		return k
	}
	return h.replace(k, at.before, len(k)-at.after)
}

func (h *hider) replace(k []byte, from, to int) []byte {
	mac := hmac.New(sha256.New, h.secret)
	mac.Write(k[:to])
	out := make([]byte, 0, from+16+len(k)-to)
	out = append(out, k[:from]...)
	out = append(out, mac.Sum(nil)[:16]...)
	return append(out, k[to:]...)
}

// span returns the range of keys as the store has them. A range in a table with
// hidden names is that of one name and the zero after it, or begins before the
// names.
func (h *hider) span(from, to []byte) (hiddenFrom, hiddenTo []byte) {
	if h == nil || len(from) == 0 {
		return from, to
	}
	at, ok := hiddenNames[from[0]]
	if !ok || at.after == 0 || len(from) <= at.before || from[len(from)-1] != 0 || !bytes.Equal(to, prefixEnd(from)) {
		return from, to
	}
	hidden := h.replace(from, at.before, len(from)-1)
	return hidden, prefixEnd(hidden)
}

// cellar is the vault's store with names hidden from it. What is committed has
// gone through an overlay, which hides them itself.
type cellar struct {
	Store
	names *hider
}

// Get implements reader.
func (c *cellar) Get(key []byte) ([]byte, error) { return c.Store.Get(c.names.key(key)) }

// Scan implements reader. The keys that fn sees have their names hidden.
func (c *cellar) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	from, to = c.names.span(from, to)
	return c.Store.Scan(from, to, fn)
}
