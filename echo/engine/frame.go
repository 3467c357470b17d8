package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame on the pipe is a length of 4 bytes, little endian, and as many bytes.

// maxFrame bounds a frame in both directions: a document in its stored form, or
// all the chunks of one, and some room.
const maxFrame = maxOutput + 64<<20

var errFrame = errors.New("frame is too large")

// writeFrame writes one frame with one call of Write, so that a small frame is
// one system call. b must start with frameRoom bytes, which are overwritten.
func writeFrame(w io.Writer, b []byte) (int, error) {
	n := len(b) - frameRoom
	if n > maxFrame {
		return 0, fmt.Errorf("%d bytes: %w", n, errFrame)
	}
	binary.LittleEndian.PutUint32(b, uint32(n))
	return w.Write(b)
}

// frameRoom is what a frame's length takes.
const frameRoom = 4

// readFrame reads one frame. io.EOF means that the other side closed the pipe
// between two frames. Memory grows with what arrives, not with what the length
// says.
func readFrame(r io.Reader) ([]byte, error) {
	var head [frameRoom]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if n > maxFrame {
		return nil, fmt.Errorf("%d bytes: %w", n, errFrame)
	}
	b := make([]byte, 0, min(n, 1<<20))
	for len(b) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*cap(b))), b...)
		}
		m, err := io.ReadFull(r, b[len(b):cap(b)])
		b = b[:len(b)+m]
		if err != nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return b, nil
}
