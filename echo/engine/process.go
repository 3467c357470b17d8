package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
	"unicode"
)

// process is one run of a worker. A nil process is one that is gone.
type process struct {
	cmd     *exec.Cmd
	in      *os.File      // requests
	out     *os.File      // replies
	buffer  *bufio.Reader // over out: most replies take one read
	replies frameReader
	stderr  *notes
	dead    chan struct{} // closed when the process was reaped
	exit    error         // how it ended; read after dead is closed
}

// errUntouched: the process was dead before it read any of the request.
var errUntouched = errors.New("the worker was dead already")

func startProcess(opts Options) (_ *process, err error) {
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", errors.Join(err, childIn.Close(), in.Close()))
	}
	p := &process{in: in, out: out, buffer: bufio.NewReaderSize(out, readBuffer), stderr: new(notes), dead: make(chan struct{})}
	p.cmd = exec.Command(opts.Command[0], opts.Command[1:]...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = childIn, childOut, p.stderr
	p.cmd.Env = limits{memory: opts.MemoryLimit, cache: opts.CacheBytes}.env()
	p.cmd.Dir = "/" // keeps no directory busy
	p.cmd.WaitDelay = time.Second
	fetter(p.cmd)
	err = p.cmd.Start()
	childIn.Close()
	childOut.Close()
	if err != nil {
		return nil, fmt.Errorf("start worker: %w", errors.Join(err, in.Close(), out.Close()))
	}
	go p.reap()
	return p, nil
}

// reap ends with the process.
func (p *process) reap() {
	p.exit = p.cmd.Wait()
	close(p.dead)
}

func (p *process) running() bool {
	select {
	case <-p.dead:
		return false
	default:
		return true
	}
}

// kill makes the process end.
func (p *process) kill() { p.cmd.Process.Kill() } // an error means that it has ended

// stop kills the process and returns when it is gone.
func (p *process) stop() {
	if p == nil {
		return
	}
	p.kill()
	<-p.dead
	p.in.Close()
	p.out.Close()
}

// ready waits for the frame that a worker sends when it is about to read
// requests.
func (p *process) ready(deadline time.Time) error {
	hello, err := p.receive(context.Background(), deadline)
	if err == nil && !bytes.Equal(hello, helloFrame) {
		err = fmt.Errorf("the worker does not start as one: %w", errMessage)
	}
	return err
}

// send writes a request, until the deadline.
func (p *process) send(frame []byte, deadline time.Time) error {
	if err := p.in.SetWriteDeadline(deadline); err != nil {
		return err
	}
	p.stderr.clear()
	n, err := writeFrame(p.in, frame)
	if err != nil && n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
		return errUntouched
	}
	return diagnose(err)
}

// errLeft: the caller's context ended before the reply was there.
var errLeft = errors.New("the caller left")

// receive waits for the reply until the deadline, or until ctx ends. In that
// case it returns errLeft, and receiving again continues where it was.
func (p *process) receive(ctx context.Context, deadline time.Time) ([]byte, error) {
	if err := p.out.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		p.out.SetReadDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	reply, err := p.replies.next(p.buffer)
	if !stop() {
		<-interrupted // so that it does not hit the next call
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(deadline) {
		return nil, errLeft
	}
	return reply, diagnose(err)
}

// diagnose puts the errors of the pipe into words.
func diagnose(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errDied
	}
	return err
}

var errTimeout = errors.New("the worker did not reply in time")

// errDied: the process ended while it had the request.
var errDied = errors.New("the worker died")

// obituary ends the process and returns err with what is known about its end.
func (p *process) obituary(err error) error {
	if p == nil {
		return err
	}
	if errors.Is(err, errDied) || errors.Is(err, errUntouched) {
		// It is about to be reaped by itself; killing it now could hide how it
		// ended. One that closed its pipe and lives on is killed.
		select {
		case <-p.dead:
		case <-time.After(time.Second):
		}
	}
	p.stop()
	text := err.Error()
	if (errors.Is(err, errDied) || errors.Is(err, errUntouched)) && p.exit != nil {
		text += ": " + p.exit.Error()
	}
	if said := p.stderr.summary(); said != "" {
		text += ": " + said
	}
	return errors.New(text)
}

// maxStderr is how much of a worker's standard error is kept of each call, and
// maxSummary how much of that goes into an error.
const (
	maxStderr  = 4096
	maxSummary = 300
)

// notes keep the first bytes that were written to them: a process that fails
// says why first, and then where it was.
type notes struct {
	mu sync.Mutex
	b  []byte
}

func (t *notes) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b[:min(len(b), maxStderr-len(t.b))]...)
	return len(b), nil
}

func (t *notes) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = t.b[:0]
}

// summary returns the start of what is kept on one line, without characters
// that could disturb a terminal.
func (t *notes) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.Join(strings.Fields(string(bytes.ToValidUTF8(t.b, []byte("?")))), " ")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	text, _, _ = strings.Cut(text, " goroutine ") // what follows is where, not why
	if len(text) > maxSummary {
		text = strings.ToValidUTF8(text[:maxSummary], "") + "..."
	}
	return text
}
