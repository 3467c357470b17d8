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

// frameReader reads frames. Where reading fails because a deadline has passed,
// the next call continues with the same frame.
type frameReader struct {
	head [frameRoom]byte
	n    int    // how much of head there is
	body []byte // what there is of the frame, once head is complete
}

// next returns the next frame. io.EOF means that the other side closed the pipe
// between two frames. Memory grows with what arrives, not with what the length
// says.
func (f *frameReader) next(r io.Reader) ([]byte, error) {
	for f.n < len(f.head) {
		m, err := r.Read(f.head[f.n:])
		if f.n += m; err != nil && f.n < len(f.head) {
			if f.n > 0 && errors.Is(err, io.EOF) {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	want := int(binary.LittleEndian.Uint32(f.head[:]))
	if want > maxFrame {
		return nil, fmt.Errorf("%d bytes: %w", want, errFrame)
	}
	for len(f.body) < want {
		if len(f.body) == cap(f.body) {
			size := min(want, max(firstRead, 2*cap(f.body)))
			f.body = append(make([]byte, 0, size), f.body...)
		}
		m, err := r.Read(f.body[len(f.body):min(want, cap(f.body))])
		if f.body = f.body[:len(f.body)+m]; err != nil && len(f.body) < want {
			if errors.Is(err, io.EOF) {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	frame := f.body
	f.n, f.body = 0, nil
	return frame, nil
}

// readBuffer is what either end reads at once from the pipe.
const readBuffer = 16 << 10

// firstRead is how much memory a frame gets before any of it is there.
const firstRead = 1 << 20
