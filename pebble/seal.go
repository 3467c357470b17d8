package pebble

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cockroachdb/pebble/v2"
)

// Errors of databases that are sealed, or are not.
var (
	// ErrPlain is wrapped where a seal is given for a database that has none.
	ErrPlain = errors.New("database is not encrypted")
	// ErrSealed is wrapped where the database is sealed, and no seal is given or
	// another one.
	ErrSealed = errors.New("database is encrypted with another key")
	// ErrDamaged is wrapped where a sealed value does not open: it was changed, or
	// belongs to another key.
	ErrDamaged = errors.New("value is damaged")
)

// Seal encrypts the values of a database, those of each table (the first byte
// of a key of the store) under a key of its own. An empty value stays empty,
// and all others are 40 bytes longer:
//
//	nonce 24 || XChaCha20-Poly1305(value, AAD = the store's key)
//
// so none can be moved to another key. Keys are not hidden: whoever makes them
// puts no names and no content into them.
type Seal struct {
	tables [256]cipher.AEAD // nil: what is in the table is stored as it is
}

// sealOverhead is what sealing adds to a value.
const sealOverhead = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// NewSeal returns a seal that takes the 32-byte key of each table from key, but
// leaves the tables in plain as they are: what is in them is ciphertext already.
func NewSeal(key func(table byte) []byte, plain ...byte) (*Seal, error) {
	s := new(Seal)
	for t := range s.tables {
		if bytes.IndexByte(plain, byte(t)) >= 0 {
			continue
		}
		aead, err := chacha20poly1305.NewX(key(byte(t)))
		if err != nil {
			return nil, fmt.Errorf("key of table %02x: %w", t, err)
		}
		s.tables[t] = aead
	}
	return s, nil
}

// cipher returns what seals the value of a key, or nil. It is so for a nil Seal.
func (s *Seal) cipher(key []byte) cipher.AEAD {
	if s == nil {
		return nil
	}
	table := byte(0)
	if len(key) > 0 {
		table = key[0]
	}
	return s.tables[table]
}

// size returns how long the stored form of a value is.
func (s *Seal) size(key, value []byte) int {
	if len(value) == 0 || s.cipher(key) == nil {
		return len(value)
	}
	return len(value) + sealOverhead
}

// seal writes the stored form of a value to dst, which has its size.
func (s *Seal) seal(dst, key, value []byte) error {
	aead := s.cipher(key)
	if aead == nil || len(value) == 0 {
		copy(dst, value)
		return nil
	}
	nonce := dst[:chacha20poly1305.NonceSizeX]
	if _, err := rand.Read(nonce); err != nil {
		return fmt.Errorf("seal value: %w", err)
	}
	aead.Seal(dst[len(nonce):len(nonce)], nonce, value, key)
	return nil
}

// open appends the value to dst. It fails with ErrDamaged.
func (s *Seal) open(dst, key, stored []byte) ([]byte, error) {
	aead := s.cipher(key)
	if aead == nil || len(stored) == 0 {
		return append(dst, stored...), nil
	}
	if len(stored) < sealOverhead {
		return dst, fmt.Errorf("%w: %d bytes", ErrDamaged, len(stored))
	}
	nonce := stored[:chacha20poly1305.NonceSizeX]
	out, err := aead.Open(dst, nonce, stored[len(nonce):], key)
	if err != nil {
		return dst, ErrDamaged
	}
	return out, nil
}

// sealKey holds a sealed constant, by which another key is noticed.
var sealKey = append([]byte{prefixOwn}, "seal"...)

var sealMark = []byte("echofs")

// sealedFormat is added to the version of the format of a sealed database, so
// that a program that knows nothing of seals refuses it.
const sealedFormat = 1 << 16

// writeMark marks a new database as sealed.
func (s *Seal) writeMark(inner *pebble.DB) error {
	if s == nil {
		return nil
	}
	mark := make([]byte, len(sealMark)+sealOverhead)
	s.tables[0].Seal(mark[chacha20poly1305.NonceSizeX:chacha20poly1305.NonceSizeX], mark[:chacha20poly1305.NonceSizeX], sealMark, sealKey)
	if err := inner.Set(sealKey, mark, pebble.Sync); err != nil {
		return fmt.Errorf("write mark of the seal: %w", err)
	}
	return nil
}

// checkMark fails with ErrSealed unless the database was sealed by s.
func (s *Seal) checkMark(inner *pebble.DB) error {
	value, closer, err := inner.Get(sealKey)
	if err != nil {
		return fmt.Errorf("%w: no mark of it: %w", ErrSealed, err)
	}
	defer closer.Close()
	if s == nil || len(value) < sealOverhead {
		return ErrSealed
	}
	nonce := value[:chacha20poly1305.NonceSizeX]
	if _, err := s.tables[0].Open(nil, nonce, value[len(nonce):], sealKey); err != nil {
		return ErrSealed
	}
	return nil
}
