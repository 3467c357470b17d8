package session

import (
	"fmt"
	"sync"
	"time"
)

// Sizes in bytes.
const (
	// MaxFrame is the largest frame, which is a message of a channel.
	MaxFrame = 64 << 10
	// DefaultMaxMessage holds the largest entry of a feed (1 MiB and its header).
	DefaultMaxMessage = 1<<20 + 64<<10

	tagSize = 16
)

// frameSize is how large a sender makes the frames of a lane: small enough that
// a control message does not wait long behind a frame of bulk.
var frameSize = [lanes]int{16 << 10, 32 << 10, 32 << 10}

// The flags of a frame.
const (
	flagMore  = 1 << 0
	flagRekey = 1 << 1
	flagsAll  = flagMore | flagRekey
)

// Session is an established session. Send may be called from any goroutine;
// each lane has one receiver at a time.
type Session struct {
	conn   Conn
	remote [32]byte
	hash   []byte
	limit  int
	since  time.Time
	out    [lanes]*writer
	in     [lanes]*reader
}

// Remote returns the X25519 public key that the other end proved to hold.
func (s *Session) Remote() [32]byte { return s.remote }

// Hash returns the hash of the handshake, 32 bytes, the same at both ends and
// in no other session. It is no secret.
func (s *Session) Hash() []byte { return s.hash }

// Since returns when the handshake ended.
func (s *Session) Since() time.Time { return s.since }

// Conn returns the connection below, for what only the transport knows.
func (s *Session) Conn() Conn { return s.conn }

// Send sends a message on a lane. It waits while the other end does not read.
func (s *Session) Send(l Lane, msg []byte) error { return s.out[l].send(msg) }

// Receive returns the next message of a lane. The caller owns it. After an
// error the session is of no more use and should be closed.
func (s *Session) Receive(l Lane) ([]byte, error) { return s.in[l].receive() }

// Close ends the session and its connection; blocked Sends and Receives
// return. It may be called more than once.
func (s *Session) Close() error { return s.conn.Close() }

type writer struct {
	ch    Channel
	frame int // largest frame
	limit int // largest message

	mu    sync.Mutex // guards the below
	half  *half
	plain []byte
	sealt []byte
}

func (w *writer) send(msg []byte) error {
	if len(msg) > w.limit {
		return fmt.Errorf("send %d bytes: %w", len(msg), ErrTooLarge)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	room := w.frame - tagSize - 1
	for {
		part := msg[:min(room, len(msg))]
		msg = msg[len(part):]
		if err := w.put(part, len(msg) > 0); err != nil {
			return err
		}
		if len(msg) == 0 {
			return nil
		}
	}
}

func (w *writer) put(part []byte, more bool) error {
	var flags byte
	if more {
		flags |= flagMore
	}
	rekey := w.half.due()
	if rekey {
		flags |= flagRekey
	}
	w.plain = append(append(w.plain[:0], flags), part...)
	w.sealt = w.half.seal(w.sealt[:0], w.plain)
	if rekey {
		w.half.rekey()
	}
	if _, err := w.ch.Write(w.sealt); err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	return nil
}

type reader struct {
	ch    Channel
	half  *half
	limit int
	buf   []byte
	plain []byte
}

func (r *reader) receive() ([]byte, error) {
	var msg []byte
	for {
		part, more, err := r.next()
		if err != nil {
			return nil, err
		}
		if len(msg)+len(part) > r.limit {
			return nil, fmt.Errorf("receive: %w", ErrTooLarge)
		}
		msg = append(msg, part...)
		if !more {
			return msg, nil
		}
		if len(part) == 0 {
			return nil, fmt.Errorf("empty part of a message: %w", ErrFrame)
		}
	}
}

// next reads one frame. The part is valid until the next call.
func (r *reader) next() (part []byte, more bool, err error) {
	n, err := r.ch.Read(r.buf)
	if err != nil {
		return nil, false, fmt.Errorf("receive frame: %w", err)
	}
	r.plain, err = r.half.open(r.plain[:0], r.buf[:n])
	if err != nil {
		return nil, false, err
	}
	if len(r.plain) == 0 || r.plain[0]&^flagsAll != 0 {
		return nil, false, fmt.Errorf("flags: %w", ErrFrame)
	}
	if r.plain[0]&flagRekey != 0 {
		r.half.rekey()
	}
	return r.plain[1:], r.plain[0]&flagMore != 0, nil
}
