package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"echofs/echo/doc"
)

// keeper owns one worker process, from its start to its end, in one goroutine.
// At most one request is with the worker at any time.
type keeper struct {
	opts   Options
	jobs   chan *job
	closed <-chan struct{} // closed: kill the worker and end
	done   chan struct{}   // closed when the goroutine and the process are gone

	current atomic.Pointer[process] // for kill
}

// job is one request; its reply channel has room for the one answer, so the
// keeper never waits for a caller that has left.
type job struct {
	ctx   context.Context
	frame []byte
	reply chan answer
}

type answer struct {
	frame []byte
	err   error
}

func newKeeper(opts Options, closed <-chan struct{}) *keeper {
	k := &keeper{opts: opts, jobs: make(chan *job), closed: closed, done: make(chan struct{})}
	go k.run()
	return k
}

// end returns when everything the keeper owns is gone, which is soon after
// closed was closed: killing the process ends the call that waits for it.
func (k *keeper) end() {
	if p := k.current.Load(); p != nil {
		p.kill()
	}
	<-k.done
}

// call passes a frame to the worker and returns its reply. When ctx ends, call
// does; the worker is left to finish until its own deadline, since killing it
// would cost the documents it holds.
func (k *keeper) call(ctx context.Context, frame []byte) ([]byte, error) {
	j := &job{ctx: ctx, frame: frame, reply: make(chan answer, 1)}
	select {
	case <-k.closed:
		return nil, ErrClosed
	default:
	}
	select {
	case k.jobs <- j:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-k.closed:
		return nil, ErrClosed
	}
	select {
	case a := <-j.reply:
		return a.frame, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-k.closed:
		return nil, ErrClosed
	}
}

func (k *keeper) run() {
	defer close(k.done)
	var p *process
	defer func() { p.stop() }()
	for {
		select {
		case <-k.closed:
			return
		case j := <-k.jobs:
			var a answer
			if a.err = context.Cause(j.ctx); a.err == nil {
				p, a = k.serve(p, j)
			}
			j.reply <- a
		}
	}
}

// serve passes one request to p, or to a new process where p is dead, and
// returns the process that is there afterwards.
func (k *keeper) serve(p *process, j *job) (*process, answer) {
	for {
		p, fresh, err := k.alive(p)
		if errors.Is(err, ErrClosed) {
			return nil, answer{err: err}
		}
		if err != nil {
			return nil, answer{err: fmt.Errorf("%w: %w", err, doc.ErrEngine)}
		}
		frame, err := p.call(j.frame, k.opts.CallTimeout, k.closed)
		switch {
		case err == nil:
			return p, answer{frame: frame}
		case errors.Is(err, errUntouched) && !fresh:
			// It died before it saw this request. A new one will tell whether
			// the request is to blame.
			p.stop()
			continue
		case errors.Is(err, ErrClosed):
			return p, answer{err: err}
		}
		return nil, answer{err: p.obituary(err)}
	}
}

// alive returns p if it runs, and a new process otherwise.
func (k *keeper) alive(p *process) (_ *process, fresh bool, err error) {
	if p != nil && p.running() {
		return p, false, nil
	}
	p.stop()
	if p, err = startProcess(k.opts); err != nil {
		return nil, true, err
	}
	k.current.Store(p)
	select {
	case <-k.closed: // perhaps end has looked at current before
		p.stop()
		return nil, true, ErrClosed
	default:
		return p, true, nil
	}
}
