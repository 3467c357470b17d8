package signal

import (
	"bytes"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"echofs/sync/wire"
)

// Kind says what a Message is about.
type Kind uint8

// The kinds.
const (
	// Announce: I am here; who is to offer may offer. Session names the
	// announcing program (a random number for each start).
	Announce Kind = 1 + iota
	// Offer: an SDP offer under a fresh session.
	Offer
	// Answer: the SDP answer to the offer of that session.
	Answer
	// Candidate: one more ICE candidate for that session.
	Candidate
	// Bye: the sender gives the session up, or leaves the topic.
	Bye
)

// MaxSDP is the largest SDP, in bytes.
const MaxSDP = 16 << 10

// maxCandidate is the largest ICE candidate, in bytes.
const maxCandidate = 1 << 10

// padStep hides the size of a message up to this many bytes.
const padStep = 256

// Message is what peers say to each other in boxes.
type Message struct {
	Kind      Kind     `cbor:"1,keyasint"`
	Session   [16]byte `cbor:"2,keyasint"`
	SDP       string   `cbor:"3,keyasint,omitempty"`
	Candidate string   `cbor:"4,keyasint,omitempty"`
	// Counter grows with every message of a peer id, so that none counts twice.
	Counter uint64 `cbor:"5,keyasint"`
	// Device is who the sender says it is; the session proves it later.
	Device [32]byte `cbor:"6,keyasint"`
	// Instance is a random number of the sending program, fresh for each start.
	Instance [16]byte `cbor:"7,keyasint"`
}

func (m Message) check() error {
	ok := false
	switch m.Kind {
	case Announce, Bye:
		ok = m.SDP == "" && m.Candidate == ""
	case Offer, Answer:
		ok = m.SDP != "" && len(m.SDP) <= MaxSDP && m.Candidate == ""
	case Candidate:
		ok = m.SDP == "" && m.Candidate != "" && len(m.Candidate) <= maxCandidate
	}
	if !ok {
		return fmt.Errorf("message of kind %d: %w", m.Kind, wire.ErrMalformed)
	}
	return nil
}

// associated returns what a box is bound to.
func associated(topic Topic, from PeerID, to *PeerID) []byte {
	aad := append(append([]byte(nil), topic[:]...), from[:]...)
	if to != nil {
		aad = append(aad, to[:]...)
	}
	return aad
}

// Seal returns m as a box from one peer to another, or to all for nil. It fails
// for a message that no receiver would accept.
func Seal(key [32]byte, topic Topic, from PeerID, to *PeerID, m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	plain, err := wire.Encode(m)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	box := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+padStep+aead.Overhead())
	if _, err := rand.Read(box); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return aead.Seal(box, box, pad(plain), associated(topic, from, to)), nil
}

// OpenBox returns the message in a box. It fails with ErrBox.
func OpenBox(key [32]byte, f Frame) (m Message, err error) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return m, fmt.Errorf("open: %w", err)
	}
	if len(f.Box) < chacha20poly1305.NonceSizeX || len(f.Box) > MaxBox {
		return m, fmt.Errorf("box of %d bytes: %w", len(f.Box), ErrBox)
	}
	nonce, sealed := f.Box[:chacha20poly1305.NonceSizeX], f.Box[chacha20poly1305.NonceSizeX:]
	padded, err := aead.Open(nil, nonce, sealed, associated(f.Topic, f.From, f.To))
	if err != nil {
		return m, ErrBox
	}
	plain, ok := unpad(padded)
	if !ok {
		return m, fmt.Errorf("padding: %w", ErrBox)
	}
	return decodeMessage(plain)
}

func decodeMessage(plain []byte) (m Message, err error) {
	if err := wire.Decode(plain, &m); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrBox, err)
	}
	if err := m.check(); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrBox, err)
	}
	return m, nil
}

// pad appends 0x80 and zeros up to a multiple of padStep.
func pad(plain []byte) []byte {
	n := (len(plain)/padStep + 1) * padStep
	out := make([]byte, n)
	copy(out, plain)
	out[len(plain)] = 0x80
	return out
}

// unpad undoes pad and accepts nothing that pad would not produce.
func unpad(padded []byte) ([]byte, bool) {
	if len(padded) == 0 || len(padded)%padStep != 0 {
		return nil, false
	}
	body := bytes.TrimRight(padded, "\x00")
	if len(body) == 0 || body[len(body)-1] != 0x80 || len(padded)-len(body) >= padStep {
		return nil, false
	}
	return body[:len(body)-1], true
}
