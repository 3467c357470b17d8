package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"echofs/echo/doc"
)

// process is one run of a worker. A nil process is one that is gone.
type process struct {
	cmd    *exec.Cmd
	in     *os.File // requests
	out    *os.File // replies
	stderr *tail
	dead   chan struct{} // closed when the process was reaped
	exit   error         // how it ended; read after dead is closed
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
	p := &process{in: in, out: out, stderr: new(tail), dead: make(chan struct{})}
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

// call sends a request and waits for the reply until the timeout. An end of the
// process that closed explains is reported as ErrClosed. After any error the process is of no more use.
func (p *process) call(frame []byte, timeout time.Duration, closed <-chan struct{}) ([]byte, error) {
	deadline := time.Now().Add(timeout)
	if err := errors.Join(p.in.SetWriteDeadline(deadline), p.out.SetReadDeadline(deadline)); err != nil {
		return nil, err
	}
	if n, err := writeFrame(p.in, frame); err != nil {
		if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, errUntouched
		}
		return nil, p.why(err, timeout, closed)
	}
	reply, err := readFrame(p.out)
	if err != nil {
		return nil, p.why(err, timeout, closed)
	}
	return reply, nil
}

func (p *process) why(err error, timeout time.Duration, closed <-chan struct{}) error {
	select {
	case <-closed:
		return ErrClosed
	default:
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no reply within %v", timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errDied
	}
	return err
}

// errDied: the process ended while it had the request.
var errDied = errors.New("the worker died")

// obituary ends the process and says why, as an error that wraps doc.ErrEngine.
func (p *process) obituary(err error) error {
	if errors.Is(err, errDied) {
		// It is about to be reaped by itself; killing it now could hide how it
		// ended. One that closed its pipe and lives on is killed.
		select {
		case <-p.dead:
		case <-time.After(time.Second):
		}
	}
	p.stop()
	text := err.Error()
	if errors.Is(err, errDied) && p.exit != nil {
		text += ": " + p.exit.Error()
	}
	if said := p.stderr.summary(); said != "" {
		text += ": " + said
	}
	return fmt.Errorf("%s: %w", text, doc.ErrEngine)
}

// maxStderr is how much of a worker's standard error is kept, and maxSummary
// how much of that goes into an error.
const (
	maxStderr  = 4096
	maxSummary = 400
)

// tail keeps the last bytes written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - maxStderr; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

// summary returns the start of what is kept on one line, without characters
// that could disturb a terminal.
func (t *tail) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.Join(strings.Fields(string(bytes.ToValidUTF8(t.b, []byte("?")))), " ")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	if len(text) > maxSummary {
		text = strings.ToValidUTF8(text[:maxSummary], "") + "..."
	}
	return text
}
