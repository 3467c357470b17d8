package blob

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"echofs/halo"
)

// Sizes in bytes.
const (
	// ChunkSize is the content of one chunk. All chunks of a file but the last
	// hold as much, so that a place in the file says which chunk it is in.
	ChunkSize = 1 << 20
	// MaxSize is the largest file.
	MaxSize = 64 << 30
	// InlineSize is the largest content that its root chunk holds itself.
	InlineSize = 64 << 10
	// MaxSealed is the largest sealed chunk.
	MaxSealed = headerSize + 1 + ChunkSize + chacha20poly1305.Overhead

	headerSize = 1 + 32 + 32
	minSealed  = headerSize + 1 + chacha20poly1305.Overhead

	chunkVersion = 1
)

// Errors of this package. They are wrapped; use errors.Is.
var (
	// ErrMissing: a chunk is not here.
	ErrMissing = errors.New("chunk is not here")
	// ErrDamaged: bytes that are not the chunk they should be.
	ErrDamaged = errors.New("damaged chunk")
	// ErrTooLarge: a file beyond MaxSize.
	ErrTooLarge = errors.New("larger than a blob can be")
)

// Address names a sealed chunk: the SHA-256 of its bytes. The zero Address
// stands for zeros that are stored nowhere.
type Address [sha256.Size]byte

// AddressOf returns the address of a sealed chunk.
func AddressOf(sealed []byte) Address { return sha256.Sum256(sealed) }

// ParseAddress reads what String returns.
func ParseAddress(s string) (a Address, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(a) || hex.EncodeToString(b) != s {
		return a, fmt.Errorf("address %q: not %d bytes in lower-case hexadecimal", s, len(a))
	}
	return Address(b), nil
}

// String returns the address in hexadecimal.
func (a Address) String() string { return hex.EncodeToString(a[:]) }

// IsHole reports whether a stands for zeros.
func (a Address) IsHole() bool { return a == Address{} }

// Keys gives the keys of chunks. The id of a chunk is random and used once, so
// that a key is too.
type Keys interface {
	// SealKey returns the key of a new chunk, and the epoch it belongs to.
	SealKey(id [32]byte) (halo.EpochID, halo.Secret, error)
	// OpenKey returns the key of a chunk that was sealed in an epoch.
	OpenKey(epoch halo.EpochID, id [32]byte) (halo.Secret, error)
}

// chunkKind is the first byte of a chunk's plaintext.
type chunkKind byte

const (
	kindData chunkKind = iota // content
	kindList                  // addresses of data
	kindRoot                  // see Index
)

// The sealed form of a chunk, which its address is the SHA-256 of:
//
//	1 | epoch 32 | id 32 | ChaCha20-Poly1305(key of epoch and id, nonce 0, plain, header)
//	plain = kind 1 | payload | zeros
//
// The zeros make up a length with few significant bits, so that sizes say
// little. The nonce can be zero because no key is used twice.

// sealChunk encrypts a payload under a new key.
func sealChunk(keys Keys, kind chunkKind, payload []byte) (Address, []byte, error) {
	var id [32]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	epoch, key, err := keys.SealKey(id)
	if err != nil {
		return Address{}, nil, fmt.Errorf("seal chunk: %w", err)
	}
	aead, err := chacha20poly1305.New(key.Bytes())
	if err != nil {
		return Address{}, nil, fmt.Errorf("seal chunk: %w", err)
	}
	padded := 1 + halo.PaddedLength(len(payload))
	out := make([]byte, headerSize+padded, headerSize+padded+aead.Overhead())
	out[0] = chunkVersion
	copy(out[1:], epoch[:])
	copy(out[33:], id[:])
	plain := out[headerSize:]
	plain[0] = byte(kind)
	copy(plain[1:], payload)
	nonce := make([]byte, aead.NonceSize())
	out = out[:headerSize+len(aead.Seal(plain[:0], nonce, plain, out[:headerSize]))]
	return AddressOf(out), out, nil
}

// Epoch returns the epoch that a sealed chunk is encrypted under. It fails with
// ErrDamaged for bytes that cannot be a chunk.
func Epoch(sealed []byte) (halo.EpochID, error) {
	if len(sealed) < minSealed || len(sealed) > MaxSealed || sealed[0] != chunkVersion {
		return halo.EpochID{}, fmt.Errorf("%d bytes: %w", len(sealed), ErrDamaged)
	}
	return halo.EpochID(sealed[1:33]), nil
}

// openChunk decrypts a chunk and returns its payload, zeros at the end
// included.
func openChunk(keys Keys, kind chunkKind, sealed []byte) ([]byte, error) {
	epoch, err := Epoch(sealed)
	if err != nil {
		return nil, err
	}
	key, err := keys.OpenKey(epoch, [32]byte(sealed[33:headerSize]))
	if err != nil {
		return nil, fmt.Errorf("open chunk: %w", err)
	}
	aead, err := chacha20poly1305.New(key.Bytes())
	if err != nil {
		return nil, fmt.Errorf("open chunk: %w", err)
	}
	plain, err := aead.Open(nil, make([]byte, aead.NonceSize()), sealed[headerSize:], sealed[:headerSize])
	if err != nil {
		return nil, fmt.Errorf("open chunk: %w", ErrDamaged)
	}
	if plain[0] != byte(kind) {
		return nil, fmt.Errorf("chunk of kind %d, want %d: %w", plain[0], kind, ErrDamaged)
	}
	return plain[1:], nil
}
