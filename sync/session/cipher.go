package session

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/flynn/noise"
)

// The age of a key at which a sender takes the next one.
const (
	rekeyFrames = 1 << 16
	rekeyAge    = time.Hour
)

var suite = noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)

// half is the cipher of one lane in one direction.
type half struct {
	key    [32]byte
	cipher noise.Cipher
	n      uint64    // frames under this key; the next nonce
	since  time.Time // when the key was taken
}

func newHalf(direction [32]byte, l Lane) *half {
	h := &half{key: deriveKey(direction, [lanes]string{"session-control", "session-bulk", "session-chunks"}[l])}
	h.take()
	return h
}

func (h *half) take() {
	h.cipher, h.n, h.since = suite.Cipher(h.key), 0, time.Now()
}

// rekey replaces the key by one from which the old cannot be had.
func (h *half) rekey() {
	h.key = deriveKey(h.key, "session-rekey")
	h.take()
}

// due reports whether the next frame must be the last under this key.
func (h *half) due() bool {
	return h.n+1 >= rekeyFrames || time.Since(h.since) >= rekeyAge
}

// seal appends the encryption of plain to dst.
func (h *half) seal(dst, plain []byte) []byte {
	out := h.cipher.Encrypt(dst, h.n, nil, plain)
	h.n++
	return out
}

// open appends the decryption of frame to dst. It fails with ErrFrame.
func (h *half) open(dst, frame []byte) ([]byte, error) {
	if h.n >= rekeyFrames {
		return nil, fmt.Errorf("more frames than a key may serve: %w", ErrFrame)
	}
	out, err := h.cipher.Decrypt(dst, h.n, nil, frame)
	if err != nil {
		return nil, fmt.Errorf("frame %d: %w", h.n, ErrFrame)
	}
	h.n++
	return out, nil
}

func deriveKey(secret [32]byte, label string) [32]byte {
	out, err := hkdf.Key(sha256.New, secret[:], nil, "echofs/v1/"+label+"\x00", 32)
	if err != nil {
		panic("session: derive " + label + ": " + err.Error()) // only for impossible lengths
	}
	return [32]byte(out)
}
