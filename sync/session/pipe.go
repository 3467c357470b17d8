package session

import (
	"crypto/rand"
	"io"
	"sync"
)

// pipeDepth is how many messages a lane of a pipe holds before a writer waits.
const pipeDepth = 64

// Pipe returns the two ends of a connection in memory, bound to two random
// fingerprints as a real one is to its certificates.
func Pipe() (a, b Conn) {
	var fa, fb [32]byte
	_, _ = rand.Read(fa[:]) // never fails
	_, _ = rand.Read(fb[:])
	p := &pipe{closed: make(chan struct{})}
	ea, eb := &pipeEnd{pipe: p}, &pipeEnd{pipe: p}
	for i := range lanes {
		ab, ba := make(chan []byte, pipeDepth), make(chan []byte, pipeDepth)
		ea.lanes[i] = pipeLane{pipe: p, in: ba, out: ab}
		eb.lanes[i] = pipeLane{pipe: p, in: ab, out: ba}
	}
	ea.binding = Binding{Transport: "pipe", Local: fa, Remote: fb}
	eb.binding = Binding{Transport: "pipe", Local: fb, Remote: fa}
	return ea, eb
}

// pipe is what both ends share: a pipe is closed for both at once.
type pipe struct {
	once   sync.Once
	closed chan struct{}
}

type pipeEnd struct {
	*pipe
	lanes   [lanes]pipeLane
	binding Binding
}

func (e *pipeEnd) Channel(l Lane) Channel { return &e.lanes[l] }

func (e *pipeEnd) Binding() Binding { return e.binding }

func (e *pipeEnd) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

type pipeLane struct {
	*pipe
	in  <-chan []byte
	out chan<- []byte
}

// Read returns what was written before the pipe was closed, then io.EOF.
func (l *pipeLane) Read(p []byte) (int, error) {
	select {
	case msg := <-l.in:
		return deliver(p, msg)
	default:
	}
	select {
	case msg := <-l.in:
		return deliver(p, msg)
	case <-l.closed:
		return 0, io.EOF
	}
}

func deliver(p, msg []byte) (int, error) {
	if len(msg) > len(p) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, msg), nil
}

func (l *pipeLane) Write(p []byte) (int, error) {
	msg := append([]byte(nil), p...)
	select {
	case <-l.closed:
		return 0, io.ErrClosedPipe
	default:
	}
	select {
	case l.out <- msg:
		return len(p), nil
	case <-l.closed:
		return 0, io.ErrClosedPipe
	}
}
