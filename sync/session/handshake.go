package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/flynn/noise"
	"github.com/fxamacker/cbor/v2"
)

// version is the only version of the session protocol so far.
const version = 1

// Config is what an end brings to a handshake.
type Config struct {
	Initiator bool     // true at the end that made the offer
	Key       []byte   // this device's X25519 private key, 32 bytes
	PSK       []byte   // the pre-shared key, 32 bytes
	Topic     []byte   // the topic on which the ends met
	Session   [16]byte // the session id of the offer
	// MaxMessage bounds a message in each direction; 0 is DefaultMaxMessage.
	MaxMessage int
}

// prologue is what must be the same at both ends.
type prologue struct {
	Transport string   `cbor:"1,keyasint"`
	Initiator [32]byte `cbor:"2,keyasint"`
	Responder [32]byte `cbor:"3,keyasint"`
	Topic     []byte   `cbor:"4,keyasint"`
	Session   [16]byte `cbor:"5,keyasint"`
	Versions  []int    `cbor:"6,keyasint"`
}

func (c Config) prologue(b Binding) ([]byte, error) {
	p := prologue{b.Transport, b.Local, b.Remote, c.Topic, c.Session, []int{version}}
	if !c.Initiator {
		p.Initiator, p.Responder = b.Remote, b.Local
	}
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("encode prologue: %w", err)
	}
	body, err := enc.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode prologue: %w", err)
	}
	return append([]byte("echofs/v1/session\x00"), body...), nil
}

func (c Config) noise(b Binding) (*noise.HandshakeState, error) {
	pro, err := c.prologue(b)
	if err != nil {
		return nil, err
	}
	key, err := noise.DH25519.GenerateKeypair(&fixed{c.Key})
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	return noise.NewHandshakeState(noise.Config{
		CipherSuite: suite, Random: rand.Reader, Pattern: noise.HandshakeXX,
		Initiator: c.Initiator, Prologue: pro,
		PresharedKey: c.PSK, PresharedKeyPlacement: 0, StaticKeypair: key,
	})
}

// fixed is the "random" source by which a key pair is made of its private key.
type fixed struct{ b []byte }

func (f *fixed) Read(p []byte) (int, error) {
	if len(f.b) < len(p) {
		return 0, errors.New("private key too short")
	}
	n := copy(p, f.b)
	f.b = f.b[n:]
	return n, nil
}

// Handshake runs the handshake on conn's control channel. When it fails, or ctx
// ends before it is done, conn is closed; otherwise the session owns conn. It
// fails with ErrHandshake where the other end is not who it should be.
func Handshake(ctx context.Context, conn Conn, cfg Config) (*Session, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	s, err := handshake(conn, cfg)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("session handshake: %w", cause)
		}
		return nil, err
	}
	return s, nil
}

func handshake(conn Conn, cfg Config) (*Session, error) {
	state, err := cfg.noise(conn.Binding())
	if err != nil {
		return nil, fmt.Errorf("session handshake: %w", err)
	}
	var mine, theirs *noise.CipherState
	for i := range 3 {
		var first, second *noise.CipherState
		if (i%2 == 0) == cfg.Initiator {
			first, second, err = tell(conn.Channel(Control), state)
		} else {
			first, second, err = hear(conn.Channel(Control), state)
		}
		if err != nil {
			return nil, fmt.Errorf("handshake message %d: %w", i+1, err)
		}
		mine, theirs = first, second
	}
	if !cfg.Initiator {
		mine, theirs = theirs, mine
	}
	return newSession(conn, cfg, state, mine.UnsafeKey(), theirs.UnsafeKey()), nil
}

func tell(ch Channel, state *noise.HandshakeState) (a, b *noise.CipherState, err error) {
	msg, a, b, err := state.WriteMessage(nil, nil)
	if err != nil {
		return nil, nil, err
	}
	_, err = ch.Write(msg)
	return a, b, err
}

func hear(ch Channel, state *noise.HandshakeState) (a, b *noise.CipherState, err error) {
	buf := make([]byte, 256)
	n, err := ch.Read(buf)
	if err != nil {
		return nil, nil, err
	}
	payload, a, b, err := state.ReadMessage(nil, buf[:n])
	if err != nil || len(payload) > 0 {
		return nil, nil, ErrHandshake
	}
	return a, b, nil
}

func newSession(conn Conn, cfg Config, state *noise.HandshakeState, mine, theirs [32]byte) *Session {
	s := &Session{
		conn:  conn,
		hash:  append([]byte(nil), state.ChannelBinding()...),
		limit: cfg.MaxMessage,
		since: time.Now(),
	}
	copy(s.remote[:], state.PeerStatic())
	if s.limit == 0 {
		s.limit = DefaultMaxMessage
	}
	for l := range Lane(lanes) {
		s.out[l] = &writer{ch: conn.Channel(l), half: newHalf(mine, l), frame: frameSize[l], limit: s.limit}
		s.in[l] = &reader{ch: conn.Channel(l), half: newHalf(theirs, l), limit: s.limit, buf: make([]byte, MaxFrame)}
	}
	return s
}
