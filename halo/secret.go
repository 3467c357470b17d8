package halo

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const redacted = "[secret]"

// hidden holds a value behind a function. The package fmt prints unexported
// fields without asking their methods, through pointers too, but of a function
// it prints the address.
type hidden[T any] struct{ reveal func() T }

func hide[T any](v T) hidden[T] { return hidden[T]{func() T { return v }} }

// Secret is 32 bytes that must not be seen. It prints as "[secret]" in every
// format and in every log, and inside of other values it does not print at all.
// The zero Secret is no secret.
type Secret struct{ bytes hidden[*[32]byte] }

// NewSecret returns b as a secret. It fails unless b is 32 bytes; b is copied.
func NewSecret(b []byte) (Secret, error) {
	if len(b) != 32 {
		return Secret{}, malformed("secret of %d bytes", len(b))
	}
	p := new([32]byte)
	copy(p[:], b)
	return Secret{hide(p)}, nil
}

// IsZero reports whether s holds nothing.
func (s Secret) IsZero() bool { return s.bytes.reveal == nil }

// Bytes returns a copy of the secret, for those who must encode or use it; nil
// for the zero Secret.
func (s Secret) Bytes() []byte {
	if s.IsZero() {
		return nil
	}
	return append([]byte(nil), s.bytes.reveal()[:]...)
}

// Equal reports in constant time whether both are the same secret.
func (s Secret) Equal(other Secret) bool {
	return s.IsZero() == other.IsZero() && subtle.ConstantTimeCompare(s.Bytes(), other.Bytes()) == 1
}

// Wipe overwrites the secret in memory, for all copies of s. Best effort: the
// runtime may have made others.
func (s Secret) Wipe() {
	if !s.IsZero() {
		clear(s.bytes.reveal()[:])
	}
}

// Format implements fmt.Formatter: every verb prints "[secret]".
func (Secret) Format(f fmt.State, _ rune) { redact(f) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, so that JSON shows nothing.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func redact(w io.Writer) { _, _ = io.WriteString(w, redacted) }

// label returns the domain of a signature, hash or derivation, which ends in a
// zero byte and so is a prefix of no other.
func label(name string) string { return "echofs/v1/" + name + "\x00" }

// labelled returns the bytes that are signed or hashed under a label.
func labelled(name string, parts ...[]byte) []byte {
	n := len(name) + 11
	for _, p := range parts {
		n += len(p)
	}
	b := append(make([]byte, 0, n), label(name)...)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// hashOf returns the SHA-256 of parts under a label.
func hashOf(name string, parts ...[]byte) [32]byte { return sha256.Sum256(labelled(name, parts...)) }

// derive returns n bytes of HKDF-SHA256 without salt; see epoch.go for the
// table of labels.
func derive(secret []byte, name string, n int, context ...[]byte) []byte {
	var info strings.Builder
	info.WriteString(label(name))
	for _, c := range context {
		info.Write(c)
	}
	out, err := hkdf.Key(sha256.New, secret, nil, info.String(), n)
	if err != nil {
		panic("halo: derive " + name + ": " + err.Error()) // only for n > 255 hashes, or a FIPS mode that lacks HKDF
	}
	return out
}

// deriveSecret is derive for 32 bytes that stay secret.
func deriveSecret(secret []byte, name string, context ...[]byte) Secret {
	s, err := NewSecret(derive(secret, name, 32, context...))
	if err != nil {
		panic("halo: derive " + name + ": " + err.Error()) // 32 bytes were asked for
	}
	return s
}
