package fs

import (
	"errors"
	"path"
	"sync"
	"syscall"
	"time"

	"echofs/echo"
)

// Limits of pokes. What exceeds them is not heard by those who watch; what they
// look at is right all the same.
const (
	maxTravels = 4096                   // nodes that changed and wait for their poke
	pokePause  = 500 * time.Microsecond // from one to the next: 2,000 a second
	pokeTries  = 3                      // where somebody has just looked the new name up
)

// travel is what happened to a node since those who watch were last told: where
// it was and where it is, and whether its content changed. However much happens
// meanwhile, one poke tells it.
type travel struct {
	node    echo.Node // Ino and Kind at least
	was, is place     // zero: nowhere
	stays   bool      // it is not known to have moved
	changed bool
}

// watch collects the changes that came from other devices, for the goroutine
// that pokes.
type watch struct {
	notify chan struct{}

	mu    sync.Mutex // guards the below
	order []echo.Ino
	nodes map[echo.Ino]*travel
}

func newWatch() *watch {
	return &watch{notify: make(chan struct{}, 1), nodes: make(map[echo.Ino]*travel)}
}

// note records an event. n is what is known of the node.
func (w *watch) note(e echo.Event, n echo.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tr, ok := w.nodes[e.Ino]
	if !ok {
		if len(w.nodes) >= maxTravels {
			return
		}
		tr = &travel{node: n, stays: true}
		w.nodes[e.Ino] = tr
		w.order = append(w.order, e.Ino)
	}
	tr.node = n
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

// take returns what is to be told, in the order in which it began.
func (w *watch) take() []*travel {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]*travel, 0, len(w.order))
	for _, ino := range w.order {
		out = append(out, w.nodes[ino])
	}
	w.order, w.nodes = nil, make(map[echo.Ino]*travel)
	return out
}

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
	n, err := t.repo.Node(e.Ino)
	if err != nil {
		n = echo.Node{Ino: e.Ino, Kind: e.Kind}
	}
	t.watch.note(e, n)
}

// poke tells those who watch, until the tree's context ends or the helper does.
func (t *tree) poke(p *poker) {
	select {
	case <-p.ready:
	case <-t.ctx.Done():
		return
	}
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-p.ended:
			return
		case <-t.watch.notify:
		}
		for _, tr := range t.watch.take() {
			begun := time.Now()
			if t.unmounting.Load() || t.ctx.Err() != nil {
				break
			}
			t.tellTravel(p, tr)
			if rest := pokePause - time.Since(begun); rest > 0 {
				time.Sleep(rest)
			}
		}
	}
}

// tellTravel pokes for one node.
func (t *tree) tellTravel(p *poker, tr *travel) {
	switch {
	case tr.stays || tr.was == tr.is && tr.is != place{}:
		if tr.changed {
			t.pokeChanged(p, tr.node.Ino)
		}
		return
	case tr.was == place{} && tr.is == place{}:
		return // it came and went
	}
	for range pokeTries {
		err := t.pokeMoved(p, tr)
		if !errors.Is(err, syscall.EEXIST) || tr.node.Kind.IsDir() {
			break
		}
		t.notifyEntry(tr.is) // somebody looked it up: the kernel has it already
	}
	if tr.changed && tr.was != (place{}) && tr.is != (place{}) {
		t.pokeChanged(p, tr.node.Ino)
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
	work := &poke{node: tr.node, from: tr.was, to: tr.is}
	op, dir := pokeRename, tr.node.Kind.IsDir()
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
		} else if isLink(tr.node.Kind) {
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
