package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"echofs/echo/doc"
)

// keeper owns one worker process, from its start to its end. Who holds the turn
// uses the process, so that at most one request is with the worker.
type keeper struct {
	opts   Options
	turn   chan struct{}   // of capacity 1; who has put something in has the turn
	closed <-chan struct{} // closed: no new process, no new request
	proc   *process        // of the holder of the turn

	current atomic.Pointer[process] // proc, for end, which has no turn
}

func newKeeper(opts Options, closed <-chan struct{}) *keeper {
	return &keeper{opts: opts, turn: make(chan struct{}, 1), closed: closed}
}

// end returns when the process and all calls are gone, which is soon after
// closed was closed: killing the process ends the call that waits for it.
func (k *keeper) end() {
	if p := k.current.Load(); p != nil {
		p.kill()
	}
	k.turn <- struct{}{} // kept for good
	k.proc.stop()
	k.proc = nil
}

// call passes a frame to the worker and returns its reply. When ctx ends, call
// does; the worker is left to finish until its own deadline, since killing it
// would cost the documents it holds.
func (k *keeper) call(ctx context.Context, frame []byte, timeout time.Duration) ([]byte, error) {
	if err := k.take(ctx); err != nil {
		return nil, err
	}
	deadline, err := k.send(frame, timeout)
	var reply []byte
	if err == nil {
		reply, err = k.proc.receive(ctx, deadline)
	}
	if errors.Is(err, errLeft) {
		go k.finish(deadline)
		return nil, context.Cause(ctx)
	}
	if err != nil {
		err = k.bury(err)
	}
	<-k.turn
	return reply, err
}

// take waits for the turn.
func (k *keeper) take(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-k.closed:
		return ErrClosed
	}
	err := context.Cause(ctx)
	if k.isClosed() {
		err = ErrClosed
	}
	if err != nil {
		<-k.turn
	}
	return err
}

func (k *keeper) isClosed() bool {
	select {
	case <-k.closed:
		return true
	default:
		return false
	}
}

// finish waits for a reply that nobody wants any more, and gives the turn back.
func (k *keeper) finish(deadline time.Time) {
	if _, err := k.proc.receive(context.Background(), deadline); err != nil {
		k.bury(err)
	}
	<-k.turn
}

// send passes a frame to a worker that lives, and returns until when the reply
// must be there. A worker that had died before it saw the frame is replaced
// once: only a new one can tell whether the frame is to blame.
func (k *keeper) send(frame []byte, timeout time.Duration) (deadline time.Time, err error) {
	if k.proc != nil && k.proc.running() {
		deadline = time.Now().Add(timeout)
		if err = k.proc.send(frame, deadline); !errors.Is(err, errUntouched) {
			return deadline, err
		}
	}
	if err = k.start(); err != nil {
		return deadline, err
	}
	deadline = time.Now().Add(timeout)
	return deadline, k.proc.send(frame, deadline)
}

// start replaces the process by a new one, and waits until that is ready.
func (k *keeper) start() (err error) {
	k.proc.stop()
	k.current.Store(nil)
	if k.proc, err = startProcess(k.opts); err != nil {
		return err
	}
	k.current.Store(k.proc)
	if k.isClosed() { // perhaps end has looked at current before
		return ErrClosed
	}
	return k.proc.ready(time.Now().Add(startTimeout))
}

// startTimeout is how long a worker may take to start: usually some
// milliseconds, on a machine without memory or time for it a second or two.
const startTimeout = 15 * time.Second

// launch starts the process before there is a call that needs it.
func (k *keeper) launch() error {
	if err := k.take(context.Background()); err != nil {
		return err
	}
	defer func() { <-k.turn }()
	if err := k.start(); err != nil {
		return k.bury(err)
	}
	return nil
}

// bury ends the process after an error and says why that happened.
func (k *keeper) bury(err error) error {
	cause := k.proc.obituary(err)
	k.proc = nil
	k.current.Store(nil)
	if k.isClosed() {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", cause, doc.ErrEngine)
}
