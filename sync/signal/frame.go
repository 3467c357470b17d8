package signal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"echofs/sync/wire"
)

// Protocol is the WebSocket subprotocol.
const Protocol = "echofs.signal.v1"

// Sizes in bytes.
const (
	// MaxBox holds an SDP of 16 KiB, its padding, nonce and tag.
	MaxBox = 17 << 10
	// MaxFrame holds a box and its addresses.
	MaxFrame = MaxBox + 128
)

// The errors of the package.
var (
	// ErrBox: a box that the key does not open, or that holds no message.
	ErrBox = errors.New("signaling box does not open")
	// ErrNotConnected: the client has no connection to its server now.
	ErrNotConnected = errors.New("not connected to the signaling server")
	// ErrTooLarge: a message beyond the limit.
	ErrTooLarge = errors.New("signaling message too large")
)

// Topic is where peers meet.
type Topic [20]byte

// PeerID is the address of a peer on a topic of one connection.
type PeerID [16]byte

// String returns the first half of the topic in hexadecimal: for logs.
func (t Topic) String() string { return hex.EncodeToString(t[:5]) }

// String returns the first part of the id in hexadecimal: for logs.
func (p PeerID) String() string { return hex.EncodeToString(p[:4]) }

// NewPeerID returns a random id.
func NewPeerID() (id PeerID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// Frame is what passes through a server.
type Frame struct {
	_     struct{} `cbor:",toarray"`
	Topic Topic
	From  PeerID
	To    *PeerID // nil for everybody on the topic
	Box   []byte
}

type subscribe struct {
	_     struct{} `cbor:",toarray"`
	Topic Topic
	Self  PeerID
}

type unsubscribe struct {
	_     struct{} `cbor:",toarray"`
	Topic Topic
}

// request is one of the three kinds of messages.
type request struct {
	subscribe   *subscribe
	unsubscribe *unsubscribe
	frame       *Frame
}

// decodeRequest tells the kinds apart by the head of the array.
func decodeRequest(b []byte) (r request, err error) {
	if len(b) == 0 || len(b) > MaxFrame {
		return r, fmt.Errorf("request of %d bytes: %w", len(b), wire.ErrMalformed)
	}
	switch b[0] {
	case 0x81:
		r.unsubscribe = new(unsubscribe)
		return r, wire.Decode(b, r.unsubscribe)
	case 0x82:
		r.subscribe = new(subscribe)
		return r, wire.Decode(b, r.subscribe)
	case 0x84:
		r.frame = new(Frame)
		err = decodeFrame(b, r.frame)
		return r, err
	}
	return r, fmt.Errorf("request of unknown kind: %w", wire.ErrMalformed)
}

func decodeFrame(b []byte, f *Frame) error {
	if len(b) > MaxFrame {
		return fmt.Errorf("frame of %d bytes: %w", len(b), ErrTooLarge)
	}
	if err := wire.Decode(b, f); err != nil {
		return err
	}
	if len(f.Box) == 0 || len(f.Box) > MaxBox {
		return fmt.Errorf("box of %d bytes: %w", len(f.Box), wire.ErrMalformed)
	}
	return nil
}
