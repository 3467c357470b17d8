package fs

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
)

// pokeTime is how long a poke may take on a machine that is busy. Nobody waits
// for it but one goroutine, and nobody sees anything later for it; while a poke
// takes longer, those who watch do not hear of changes.
const pokeTime = 5 * time.Second

// poke is what a request to the helper is about: a node that comes to a place,
// goes from one, or both. It is how the helper sees the tree while it works.
type poke struct {
	node    echo.Node
	from    place // where the node goes from; zero: it comes
	to      place // where it comes to; zero: it goes
	changed bool  // it is where it was, and its content changed
}

// poker is the helper's process as the daemon sees it.
type poker struct {
	log     *slog.Logger
	cmd     *exec.Cmd
	in      io.WriteCloser
	ready   chan struct{}      // closed when it has said who it is, or has ended
	answers chan syscall.Errno // one at most, as there is one request at most; closed at its end
	ended   chan struct{}      // closed when it is gone
	tid     atomic.Uint32      // of the thread that makes requests; 0 when there is none

	pending atomic.Pointer[poke] // what it does now
	waiting bool                 // an answer is overdue; belongs to the goroutine that sends
}

// startPoker starts the helper. It must be done before the mount: nothing of the
// mount's may be inherited.
func startPoker(command []string, log *slog.Logger) (*poker, error) {
	p := &poker{log: log, cmd: exec.Command(command[0], command[1:]...), ready: make(chan struct{}),
		answers: make(chan syscall.Errno, 1), ended: make(chan struct{})}
	p.cmd.Dir = "/"
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the helper: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the helper: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the helper: %w", err)
	}
	go p.listen(out)
	return p, nil
}

// listen takes what the helper says until it ends.
func (p *poker) listen(out io.Reader) {
	defer close(p.ended)
	first := true
	for lines := bufio.NewScanner(out); lines.Scan(); first = false {
		n, err := strconv.ParseUint(strings.TrimSpace(lines.Text()), 10, 31)
		if err != nil {
			p.log.Warn("the helper says what is no answer", "line", lines.Text())
			break
		}
		if first {
			p.tid.Store(uint32(n))
			close(p.ready)
			continue
		}
		select {
		case p.answers <- syscall.Errno(n):
		default: // to no question
		}
	}
	p.tid.Store(0)
	close(p.answers)
	if first {
		close(p.ready)
	}
	_ = p.cmd.Process.Kill() // it may be gone already
	if err := p.cmd.Wait(); err != nil {
		p.log.Debug("the helper has ended", "error", err)
	}
}

// stop ends the helper. It may be in the middle of a request, which the mount
// must still answer.
func (p *poker) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// is reports whether a request was made by the helper.
func (p *poker) is(c *fuse.Caller) bool { return p != nil && c.Pid != 0 && c.Pid == p.tid.Load() }

// send has the helper do a request, and waits for a moment. ok is false where it
// is not known what became of it. One goroutine may call it.
func (p *poker) send(about *poke, r pokeRequest) (ok bool, err error) {
	if p.waiting {
		select {
		case _, alive := <-p.answers:
			p.waiting = !alive // what never comes is waited for for ever
		default:
		}
		if p.waiting {
			return false, nil
		}
	}
	p.pending.Store(about) // until the next one: an answer may come late
	if _, err := p.in.Write(r.encode()); err != nil {
		p.waiting = true
		return false, nil
	}
	timer := time.NewTimer(pokeTime)
	defer timer.Stop()
	select {
	case answer, alive := <-p.answers:
		p.waiting = !alive
		if answer != 0 {
			return alive, answer
		}
		return alive, nil
	case <-timer.C:
		p.waiting = true
		return false, nil
	}
}

// What follows answers the helper's own requests. None of them changes anything
// but what the kernel has in its memory.

// lookup answers with the tree as it was before the change that the helper
// stands for.
func (p *poker) lookup(t *tree, at place, out *fuse.EntryOut) (st fuse.Status, ok bool) {
	work := p.pending.Load()
	switch {
	case work == nil:
		return fuse.OK, false
	case at == work.to:
		return fuse.ENOENT, true
	case at == work.from && !work.changed:
		t.ghost(work.node, out)
		return fuse.OK, true
	}
	return fuse.OK, false
}

// ghost makes a node known at a place where it is not any more. Nobody else is
// to see it there.
func (t *tree) ghost(n echo.Node, out *fuse.EntryOut) {
	t.entry(n, out)
	out.SetEntryTimeout(0)
	out.SetAttrTimeout(0)
}

// comes makes the node known that comes to a place.
func (p *poker) comes(t *tree, at place, out *fuse.EntryOut) (n echo.Node, st fuse.Status) {
	work := p.pending.Load()
	if work == nil || at != work.to {
		return n, fuse.Status(syscall.EEXIST)
	}
	n, err := t.child(at.parent, at.name)
	if err != nil || n.Ino != work.node.Ino {
		return n, fuse.ENOENT // it has gone on meanwhile
	}
	t.entry(n, out)
	return n, fuse.OK
}

// goes answers the removal of the node that goes from a place.
func (p *poker) goes(t *tree, at place) fuse.Status {
	work := p.pending.Load()
	if work == nil || at != work.from || work.changed {
		return fuse.EPERM
	}
	if _, err := t.child(at.parent, at.name); err == nil {
		return fuse.ENOENT // another one has come
	}
	return fuse.OK
}

// moves answers the rename of the node.
func (p *poker) moves(t *tree, from, to place) fuse.Status {
	work := p.pending.Load()
	if work == nil || to != work.to {
		return fuse.EPERM
	}
	if n, err := t.child(to.parent, to.name); err != nil || n.Ino != work.node.Ino {
		return fuse.ENOENT
	}
	return p.goes(t, from)
}

// open answers with a handle that nothing can be done with.
func (p *poker) open(t *tree, ino echo.Ino, out *fuse.OpenOut) fuse.Status {
	if work := p.pending.Load(); work == nil || work.node.Ino != ino {
		return fuse.EPERM
	}
	out.Fh = t.addHandle(&readHandle{})
	out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH
	return fuse.OK
}
