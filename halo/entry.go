package halo

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

const entryLabel = "entry"

// Kind says what an entry holds.
type Kind uint8

// The kinds of entries.
const (
	KindFeedOpen  Kind = 0 // the first of a feed
	KindData      Kind = 1
	KindAdopt     Kind = 2
	KindFeedClose Kind = 3
)

// Author is the device that writes a feed, and its identity.
type Author struct {
	_        struct{} `cbor:",toarray"`
	Device   DeviceID
	Identity IdentityID
}

// Header is the signed part of an entry; all of it can be read by relays.
type Header struct {
	Version     uint64         `cbor:"1,keyasint"`
	Space       SpaceID        `cbor:"2,keyasint"`
	Feed        FeedID         `cbor:"3,keyasint"`
	Seq         uint64         `cbor:"4,keyasint"` // from zero
	Prev        EntryID        `cbor:"5,keyasint"` // zero for the first
	Auth        []CredentialID `cbor:"6,keyasint"` // what the author knew, sorted
	Epoch       EpochID        `cbor:"7,keyasint"` // under whose key the payload is sealed
	Time        uint64         `cbor:"8,keyasint"` // unix milliseconds, as the author says: to be shown, never to decide
	Kind        Kind           `cbor:"9,keyasint"`
	Length      uint64         `cbor:"10,keyasint"` // of the payload, in bytes
	PayloadHash [32]byte       `cbor:"11,keyasint"` // SHA-256
	Nonce       [24]byte       `cbor:"12,keyasint"`
	Author      *Author        `cbor:"13,keyasint,omitempty"` // in the first entry only
}

// NewFeedID returns the id of a device's feed in a space; the nonce tells one
// feed from another.
func NewFeedID(space SpaceID, device DeviceID, nonce [16]byte) FeedID {
	return FeedID(hashOf("feed", space[:], device[:], nonce[:]))
}

// Actor returns the Automerge actor of a branch of a feed in a document: the
// only ones the feed's changes may have, so that nobody writes in another's
// name. Branch zero is the usual one; a save against a version that lacks the
// actor's last change needs the next.
func Actor(feed FeedID, doc [16]byte, branch uint16) [16]byte {
	parts := [][]byte{feed[:], doc[:]}
	if branch > 0 {
		parts = append(parts, binary.BigEndian.AppendUint32(nil, uint32(branch)))
	}
	sum := hashOf("actor", parts...)
	return [16]byte(sum[:16])
}

// parseHeader reads a header strictly and checks what can be checked without
// context.
func parseHeader(raw []byte) (Header, error) {
	var h Header
	if err := decode(raw, &h, 4096); err != nil {
		return h, err
	}
	return h, h.check()
}

func (h *Header) check() error {
	switch first := h.Seq == 0; {
	case h.Version != 1:
		return malformed("entry version %d", h.Version)
	case h.Kind > KindFeedClose:
		return malformed("entry kind %d", h.Kind)
	case first != h.Prev.IsZero(), first != (h.Kind == KindFeedOpen), first != (h.Author != nil):
		return malformed("entry %d of kind %d with the wrong predecessor or author", h.Seq, h.Kind)
	case h.Seq >= 1<<53:
		return malformed("entry number %d", h.Seq)
	case len(h.Auth) == 0 || !sortedHeads(h.Auth):
		return malformed("entry: auth heads are not sorted, none or too many")
	case h.Length < aeadOverhead || h.Length > maxPayload:
		return fmt.Errorf("entry payload of %d bytes: %w", h.Length, ErrTooLarge)
	}
	return nil
}

// Entry is one element of a feed. ParseEntry checks its form; Verify its
// signature. It is not changed once it was made.
type Entry struct {
	ID      EntryID
	Header  Header
	Sig     [64]byte
	Payload []byte // sealed; nil where only the header was sent

	hdr []byte
}

type entryWire struct {
	_       struct{} `cbor:",toarray"`
	Header  []byte
	Sig     [64]byte
	Payload []byte
}

type headerWire struct {
	_      struct{} `cbor:",toarray"`
	Header []byte
	Sig    [64]byte
}

// MaxEntrySize bounds the bytes of an entry.
const MaxEntrySize = maxPayload + 8192

// ParseEntry reads an entry, or the header and signature of one, strictly. A
// payload must have the length and hash which the header states. It verifies
// no signature. It fails with ErrTooLarge or ErrMalformed.
func ParseEntry(raw []byte) (*Entry, error) {
	if len(raw) == 0 {
		return nil, malformed("parse entry of no bytes")
	}
	var w entryWire
	if raw[0] == 0x82 { // an array of two: no payload
		var short headerWire
		if err := decode(raw, &short, MaxEntrySize); err != nil {
			return nil, fmt.Errorf("parse entry: %w", err)
		}
		w.Header, w.Sig = short.Header, short.Sig
	} else if err := decode(raw, &w, MaxEntrySize); err != nil {
		return nil, fmt.Errorf("parse entry: %w", err)
	}
	h, err := parseHeader(w.Header)
	if err != nil {
		return nil, fmt.Errorf("parse entry: %w", err)
	}
	e := newEntry(h, w.Header, w.Sig)
	if raw[0] != 0x82 {
		return e.WithPayload(w.Payload)
	}
	return e, nil
}

func newEntry(h Header, hdr []byte, sig [64]byte) *Entry {
	return &Entry{ID: EntryID(hashOf(entryLabel, hdr, sig[:])), Header: h, Sig: sig, hdr: hdr}
}

// WithPayload returns the entry with its payload. It fails with ErrMalformed
// unless the header states its length and hash.
func (e *Entry) WithPayload(payload []byte) (*Entry, error) {
	if uint64(len(payload)) != e.Header.Length || sha256.Sum256(payload) != e.Header.PayloadHash {
		return nil, malformed("entry %s: another payload than the header states", e.ID.Short())
	}
	out := *e
	out.Payload = payload
	return &out, nil
}

// Bytes returns the entry as it is stored and sent; without its payload where
// it has none.
func (e *Entry) Bytes() ([]byte, error) {
	if e.Payload == nil {
		return e.HeaderBytes()
	}
	return encode(entryWire{Header: e.hdr, Sig: e.Sig, Payload: e.Payload})
}

// HeaderBytes returns header and signature as they are sent alone.
func (e *Entry) HeaderBytes() ([]byte, error) { return encode(headerWire{Header: e.hdr, Sig: e.Sig}) }

// RawHeader returns the signed bytes, without label.
func (e *Entry) RawHeader() []byte { return bytes.Clone(e.hdr) }

// Time returns when the author says it wrote the entry.
func (e *Entry) Time() time.Time { return time.UnixMilli(int64(min(e.Header.Time, 1<<50))) }

// Verify checks the signature by a device's key. It fails with
// ErrBadSignature.
func (e *Entry) Verify(key [32]byte) error {
	if CheckSignKey(key[:]) != nil || !ed25519.Verify(key[:], labelled(entryLabel, e.hdr), e.Sig[:]) {
		return fmt.Errorf("entry %s: %w", e.ID.Short(), ErrBadSignature)
	}
	return nil
}

// aad returns what the payload is bound to: the header with no hash of it.
func (h Header) aad() ([]byte, error) {
	h.PayloadHash = [32]byte{}
	return encode(h)
}

// SealEntry returns the entry with a plaintext, signed. h needs Space, Feed,
// Seq, Prev, Auth, Time, Kind and for the first entry Author; the rest is
// filled in. It fails with ErrTooLarge or ErrMalformed. It does not check
// whether the author may write: see Graph.Authorize.
func SealEntry(s Signer, key EpochKey, h Header, plain []byte) (*Entry, error) {
	padded, err := pad(plain)
	if err != nil {
		return nil, fmt.Errorf("seal entry: %w", err)
	}
	h.Version, h.Epoch, h.Length = 1, key.ID(h.Space), uint64(len(padded)+aeadOverhead)
	if _, err := rand.Read(h.Nonce[:]); err != nil {
		return nil, fmt.Errorf("seal entry: %w", err)
	}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("seal entry: %w", err)
	}
	aad, err := h.aad()
	if err != nil {
		return nil, fmt.Errorf("seal entry: %w", err)
	}
	aead, err := chacha20poly1305.NewX(key.PayloadKey(h.Feed).Bytes())
	if err != nil {
		return nil, fmt.Errorf("seal entry: %w", err)
	}
	payload := aead.Seal(nil, h.Nonce[:], padded, aad)
	h.PayloadHash = sha256.Sum256(payload)
	hdr, err := encode(h)
	if err != nil {
		return nil, fmt.Errorf("seal entry: %w", err)
	}
	e := newEntry(h, hdr, signature64(s.Sign(labelled(entryLabel, hdr))))
	e.Payload = payload
	return e, nil
}

// Open returns the plaintext. Verify the signature and the author's authority
// first. It fails with ErrUnknown for the key of another epoch and with
// ErrDecrypt.
func (e *Entry) Open(key EpochKey) ([]byte, error) {
	if e.Payload == nil || key.ID(e.Header.Space) != e.Header.Epoch {
		return nil, fmt.Errorf("open entry %s: no payload, or the key of another epoch: %w", e.ID.Short(), ErrUnknown)
	}
	aad, err := e.Header.aad()
	if err != nil {
		return nil, fmt.Errorf("open entry %s: %w", e.ID.Short(), err)
	}
	aead, err := chacha20poly1305.NewX(key.PayloadKey(e.Header.Feed).Bytes())
	if err != nil {
		return nil, fmt.Errorf("open entry %s: %w", e.ID.Short(), err)
	}
	padded, err := aead.Open(nil, e.Header.Nonce[:], e.Payload, aad)
	if err != nil {
		return nil, fmt.Errorf("open entry %s: %w", e.ID.Short(), ErrDecrypt)
	}
	plain, err := unpad(padded)
	if err != nil {
		return nil, fmt.Errorf("open entry %s: %w", e.ID.Short(), err)
	}
	return plain, nil
}

// The padding hides the length of a plaintext but for its order of magnitude:
// be32(length) || plaintext || zeros, up to a Padmé length, at most 12% more.
const padHeader = 4

// maxPayload is the length of the largest payload: MaxPlain with its padding
// and tag.
const maxPayload = 33<<15 + aeadOverhead

// padme returns the smallest length from n up with few significant bits.
func padme(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1
	s := bits.Len(uint(e))
	mask := 1<<max(e-s, 0) - 1
	return (n + mask) &^ mask
}

func pad(plain []byte) ([]byte, error) {
	if len(plain) > MaxPlain {
		return nil, fmt.Errorf("plaintext of %d bytes: %w", len(plain), ErrTooLarge)
	}
	out := make([]byte, padme(padHeader+len(plain)))
	binary.BigEndian.PutUint32(out, uint32(len(plain)))
	copy(out[padHeader:], plain)
	return out, nil
}

func unpad(padded []byte) ([]byte, error) {
	if len(padded) < padHeader {
		return nil, malformed("padding")
	}
	n := binary.BigEndian.Uint32(padded)
	if n > MaxPlain || len(padded) != padme(padHeader+int(n)) {
		return nil, malformed("padding")
	}
	plain, rest := padded[padHeader:padHeader+n], padded[padHeader+n:]
	if len(bytes.TrimLeft(rest, "\x00")) > 0 {
		return nil, malformed("padding")
	}
	return plain, nil
}

// FeedOpen is the plaintext of a feed's first entry.
type FeedOpen struct {
	Device   DeviceID   `cbor:"1,keyasint"`
	Identity IdentityID `cbor:"2,keyasint"`
	Nonce    [16]byte   `cbor:"3,keyasint"`
	App      string     `cbor:"4,keyasint,omitempty"` // the application that writes it
}

// Encode returns the plaintext.
func (p FeedOpen) Encode() ([]byte, error) { return encode(p) }

// OpenFeedOpen reads the plaintext of a first entry strictly and checks that
// the feed is the one its header names. It fails with ErrMalformed or
// ErrForeign.
func OpenFeedOpen(h Header, plain []byte) (FeedOpen, error) {
	var p FeedOpen
	if err := decode(plain, &p, 4096); err != nil {
		return p, fmt.Errorf("open feed: %w", err)
	}
	if err := checkApp(p.App); err != nil {
		return p, err
	}
	if h.Author == nil || h.Author.Device != p.Device || h.Author.Identity != p.Identity || NewFeedID(h.Space, p.Device, p.Nonce) != h.Feed {
		return p, fmt.Errorf("open feed %s: another feed's: %w", h.Feed.Short(), ErrForeign)
	}
	return p, nil
}

// NewFeed returns the first entry of a new feed of the signer's device, and
// the feed's id.
func NewFeed(by Issuer, space SpaceID, key EpochKey, auth []CredentialID, app string, now time.Time) (*Entry, error) {
	p := FeedOpen{Device: by.Device(), Identity: by.Identity, App: app}
	if err := checkApp(app); err != nil {
		return nil, err
	}
	if _, err := rand.Read(p.Nonce[:]); err != nil {
		return nil, fmt.Errorf("new feed: %w", err)
	}
	plain, err := p.Encode()
	if err != nil {
		return nil, fmt.Errorf("new feed: %w", err)
	}
	return SealEntry(by.Signer, key, Header{
		Space: space, Feed: NewFeedID(space, p.Device, p.Nonce), Auth: auth, Time: uint64(max(now.UnixMilli(), 0)),
		Kind: KindFeedOpen, Author: &Author{Device: p.Device, Identity: p.Identity},
	}, plain)
}

// PaddedLength returns the smallest length from n up that says little about n:
// one with few significant bits, at most 12% more.
func PaddedLength(n int) int { return padme(n) }
