package session

import "errors"

// The errors of the package, wrapped with what was being done.
var (
	// ErrHandshake: the peer does not hold the pre-shared key, or somebody is
	// in the middle, or the bytes are no handshake at all.
	ErrHandshake = errors.New("session handshake failed")
	// ErrFrame: a frame that does not open or breaks the format. The session is
	// over: somebody tampered with it.
	ErrFrame = errors.New("bad session frame")
	// ErrTooLarge: a message beyond the limit, in either direction.
	ErrTooLarge = errors.New("message too large")
)

// Channel is an ordered, reliable channel of messages of at most MaxFrame bytes.
type Channel interface {
	// Read reads one message into p. It fails if p is too small for it.
	Read(p []byte) (int, error)
	// Write sends one message. It may wait until there is room.
	Write(p []byte) (int, error)
}

// Binding tells what a connection is tied to.
type Binding struct {
	Transport string   // "webrtc", "pipe"
	Local     [32]byte // SHA-256 of this end's certificate
	Remote    [32]byte // SHA-256 of the certificate that the other end used
}

// Conn is a connection of two channels.
type Conn interface {
	Channel(Lane) Channel
	// Binding returns the certificates that the transport used. It must not
	// come from what signaling said.
	Binding() Binding
	// Close ends both channels; blocked reads and writes return. It may be
	// called more than once.
	Close() error
}

// Lane names one of the channels.
type Lane uint8

// The lanes.
const (
	Control Lane = iota
	Bulk
	Chunks
)

// lanes is how many there are.
const lanes = 3
