package fs

import (
	"errors"
	"path"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"echofs/echo"
)

// Limits of pokes. What exceeds them is not heard by those who watch; what they
// look at is right all the same.
const (
	maxTravels = 1 << 16                // nodes that changed and wait for their poke
	pokePause  = 500 * time.Microsecond // from one to the next: 2,000 a second
	pokeTries  = 3                      // where somebody has just looked the new name up
	pokeTurn   = 100                    // pokes until it is looked again who watches
)

// How often it is looked who watches: at once after a quiet time, then so that
// looking takes a twentieth of one processor at most. While changes go on coming,
// those who watch hear of one as much later; not later than after lookMost, if the
// helper can keep up.
const (
	lookLeast = 20 * time.Millisecond
	lookMost  = 2 * time.Second
	lookShare = 20
)

// travel is what happened to a node since those who watch were last told: where
// it was and where it is, and whether its content changed. However much happens
// meanwhile, one poke tells it.
type travel struct {
	ino     echo.Ino
	kind    echo.Kind
	was, is place // zero: nowhere
	stays   bool  // it is not known to have moved
	changed bool

	turn  uint64 // when its last change was noted
	heard bool   // somebody watched after that
}

// watch collects the changes that came from other devices, for the goroutine
// that pokes.
type watch struct {
	notify chan struct{}

	mu    sync.Mutex // guards the below
	turn  uint64     // counts what was noted
	order []echo.Ino
	nodes map[echo.Ino]*travel
}

func newWatch() *watch {
	return &watch{notify: make(chan struct{}, 1), nodes: make(map[echo.Ino]*travel)}
}

// note records an event.
func (w *watch) note(e echo.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tr, ok := w.nodes[e.Ino]
	if !ok {
		if len(w.nodes) >= maxTravels {
			return
		}
		tr = &travel{ino: e.Ino, stays: true}
		w.nodes[e.Ino] = tr
		w.order = append(w.order, e.Ino)
	}
	w.turn++
	tr.turn, tr.heard, tr.kind = w.turn, false, e.Kind
	at := place{e.Parent, e.Name}
	switch e.What {
	case echo.Data:
		tr.changed = true
	case echo.Added:
		tr.is, tr.stays = at, false
	case echo.Removed:
		if tr.stays {
			tr.was, tr.stays = at, false
		}
		tr.is = place{}
	}
	select {
	case w.notify <- struct{}{}:
	default:
	}
}

// unheard returns that of which it is not known whether somebody hears it.
func (w *watch) unheard() (out []travel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tr := range w.nodes {
		if !tr.heard {
			out = append(out, *tr)
		}
	}
	return out
}

// sift notes which travels are heard, and drops those that are not; but what
// changed since they were looked at is to be looked at again.
func (w *watch) sift(looked []travel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, was := range looked {
		tr, ok := w.nodes[was.ino]
		switch {
		case !ok || tr.turn != was.turn:
		case was.heard:
			tr.heard = true
		default:
			delete(w.nodes, was.ino)
		}
	}
	w.order = slices.DeleteFunc(w.order, func(ino echo.Ino) bool { return w.nodes[ino] == nil })
}

// take returns what is to be told next, in the order in which it began: max
// travels at most.
func (w *watch) take(max int) (out []*travel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.order[:0]
	for _, ino := range w.order {
		if tr := w.nodes[ino]; tr.heard && len(out) < max {
			out = append(out, tr)
			delete(w.nodes, ino)
		} else {
			kept = append(kept, ino)
		}
	}
	w.order = kept
	return out
}

// closedChannel is always ready to receive from.
var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// startHelper starts the helper of a mount and returns it; nil if there is none.
func (t *tree) startHelper() *poker {
	if len(t.opts.Helper) == 0 || t.opts.ReadOnly {
		return nil
	}
	p, err := startPoker(t.opts.Helper, t.log)
	if err != nil {
		t.log.Warn("programs that watch files will not hear of changes from other devices", "error", err)
		return nil
	}
	t.poker.Store(p)
	return p
}

// noteRemote takes note of a change that came from another device, after the
// kernel was told.
func (t *tree) noteRemote(e echo.Event) {
	if !e.Remote || t.poker.Load() == nil || e.What == echo.Data && !e.Kind.IsFile() {
		return
	}
	if !t.opts.Space.IsZero() && e.Space != t.opts.Space {
		return
	}
	t.watch.note(e)
}

// poke tells those who watch, until the tree's context ends or the helper does.
func (t *tree) poke(p *poker) {
	select {
	case <-p.ready:
	case <-t.ctx.Done():
		return
	}
	var again <-chan time.Time // nil while it may be looked who watches
	for {
		work := t.watch.take(pokeTurn)
		notify, busy := t.watch.notify, closedChannel
		if again != nil {
			notify = nil
		}
		if len(work) == 0 {
			busy = nil
		}
		select {
		case <-t.ctx.Done():
			return
		case <-p.ended:
			return
		case <-again:
			again = nil
		case <-notify:
		case <-busy:
		}
		for _, tr := range work {
			if !t.pause(p, tr) {
				return
			}
		}
		if again == nil {
			again = t.look()
		}
	}
}

// pause pokes for one node, and waits until it is time for the next. It reports
// whether to go on.
func (t *tree) pause(p *poker, tr *travel) bool {
	if t.unmounting.Load() || t.ctx.Err() != nil {
		return true // what is left is nobody's concern
	}
	rest := time.NewTimer(pokePause)
	defer rest.Stop()
	t.tellTravel(p, tr)
	select {
	case <-rest.C:
		return true
	case <-t.ctx.Done():
		return false
	}
}

// look finds out who hears what was noted, and drops what nobody does. The result
// receives when it may be looked again; it is nil where there was nothing to find.
func (t *tree) look() <-chan time.Time {
	looked := t.watch.unheard()
	if len(looked) == 0 {
		return nil
	}
	who, took := t.listeners()
	for i := range looked {
		looked[i].heard = t.hears(who, &looked[i])
	}
	t.watch.sift(looked)
	return time.After(min(max(lookShare*took, lookLeast), lookMost))
}

// listeners looks for who watches the mount, and tells how much of a processor that
// took.
func (t *tree) listeners() (listeners, time.Duration) {
	m := t.mounted.Load()
	if m == nil || !t.proc.seesAll(*m) {
		return listeners{all: true}, 0
	}
	runtime.LockOSThread() // of which the time is taken
	defer runtime.UnlockOSThread()
	begun := threadTime()
	found := t.proc.listeners(*m, t.askers)
	return found, threadTime() - begun
}

// threadTime is how long the current thread has been running.
func threadTime() time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// hears reports whether somebody hears of what happened to a node: who watches it,
// or a directory where it was or is.
func (t *tree) hears(who listeners, tr *travel) bool {
	switch {
	case who.all || len(who.inodes) == 0:
		return who.all
	case who.hear(tr.ino, tr.was.parent, tr.is.parent):
		return true
	case !tr.stays:
		return false
	}
	n, err := t.repo.Node(tr.ino)
	return err == nil && who.hear(n.Parent)
}

// tellTravel pokes for one node.
func (t *tree) tellTravel(p *poker, tr *travel) {
	switch {
	case tr.stays || tr.was == tr.is && tr.is != place{}:
		if tr.changed {
			t.pokeChanged(p, tr.ino)
		}
		return
	case tr.was == place{} && tr.is == place{}:
		return // it came and went
	}
	for range pokeTries {
		err := t.pokeMoved(p, tr)
		if !errors.Is(err, syscall.EEXIST) || tr.kind.IsDir() {
			break
		}
		t.notifyEntry(tr.is) // somebody looked it up: the kernel has it already
	}
	if tr.changed && tr.was != (place{}) && tr.is != (place{}) {
		t.pokeChanged(p, tr.ino)
	}
}

// pokeChanged pokes for a file whose content changed.
func (t *tree) pokeChanged(p *poker, ino echo.Ino) {
	n, err := t.repo.Node(ino)
	if err != nil || n.Name == "" || !n.Kind.IsFile() {
		return
	}
	at := place{n.Parent, n.Name}
	t.pokeFor(p, &poke{node: n, from: at, changed: true}, pokeChange)
}

// pokeMoved pokes for a node that came, went or moved.
func (t *tree) pokeMoved(p *poker, tr *travel) error {
	n, err := t.repo.Node(tr.ino)
	if err != nil {
		n = echo.Node{Ino: tr.ino, Kind: tr.kind}
	}
	work := &poke{node: n, from: tr.was, to: tr.is}
	op, dir := pokeRename, n.Kind.IsDir()
	switch {
	case tr.is == place{}:
		op = pokeUnlink
		if dir {
			op = pokeRmdir
		}
	case tr.was == place{}:
		op = pokeCreate
		if dir {
			op = pokeMkdir
		} else if isLink(n.Kind) {
			op = pokeLink
		}
	}
	return t.pokeFor(p, work, op)
}

// pokeFor sends a request to the helper. Where something is in the way, no harm
// is done: the kernel was told before.
func (t *tree) pokeFor(p *poker, work *poke, op pokeOp) error {
	m := t.mounted.Load()
	if m == nil {
		return nil
	}
	r := pokeRequest{op: op, root: m.point, minor: m.minor}
	var err error
	if work.from != (place{}) {
		if r.from, err = t.pokePath(work.from); err != nil {
			return err
		}
	}
	if work.to != (place{}) {
		if r.to, err = t.pokePath(work.to); err != nil {
			return err
		}
	}
	if work.from == (place{}) {
		r.from = r.to
	}
	t.poked.Add(1)
	ok, err := p.send(work, r)
	if err != nil || !ok {
		t.log.Debug("a poke failed", "op", string(op), "error", err, "answered", ok)
	}
	return err
}

func (t *tree) pokePath(at place) (pokePath, error) {
	dir, err := t.repo.Path(at.parent)
	return pokePath{path.Clean("/" + dir)[1:], at.name}, err
}
