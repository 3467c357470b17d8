package fs

import (
	"errors"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
)

// dirtySet is what the kernel is still to be told, beside what the repository
// says: like echo.Subscription, a set and a channel of one slot.
type dirtySet struct {
	notify chan struct{}

	mu      sync.Mutex // guards the below
	nodes   map[echo.Ino]struct{}
	entries map[place]struct{}
}

func newDirtySet() *dirtySet {
	return &dirtySet{notify: make(chan struct{}, 1), nodes: map[echo.Ino]struct{}{}, entries: map[place]struct{}{}}
}

// node marks the content and the attributes of a node.
func (d *dirtySet) node(ino echo.Ino) {
	d.mu.Lock()
	d.nodes[ino] = struct{}{}
	d.mu.Unlock()
	d.wake()
}

// entry marks a name in a directory.
func (d *dirtySet) entry(p place) {
	d.mu.Lock()
	d.entries[p] = struct{}{}
	d.mu.Unlock()
	d.wake()
}

func (d *dirtySet) wake() {
	select {
	case d.notify <- struct{}{}:
	default:
	}
}

func (d *dirtySet) take() (nodes map[echo.Ino]struct{}, entries map[place]struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	nodes, entries = d.nodes, d.entries
	d.nodes, d.entries = map[echo.Ino]struct{}{}, map[place]struct{}{}
	return nodes, entries
}

// entryKey is an entry that goes because the kernel asked for it.
type entryKey struct {
	parent echo.Ino
	name   string
	ino    echo.Ino
}

// expected says how long the event of a change may take to come back.
const (
	expected    = 5 * time.Second
	maxExpected = 4096
)

// expect says that the kernel is about to drop an entry by itself, so that the
// event need not tell it. Dropping it a second time would be right but would cut
// off a file that was made at that name in the meantime.
func (t *tree) expect(k entryKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.own) >= maxExpected {
		clear(t.own)
	}
	t.own[k] = time.Now()
}

// isExpected reports whether the kernel knows that an entry went; once.
func (t *tree) isExpected(k entryKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.own[k]
	delete(t.own, k)
	return ok && time.Since(at) < expected
}

// changed tells the kernel soon that a node changed. It may be called anywhere.
func (t *tree) changed(ino echo.Ino) {
	if f := t.openFile(ino); f != nil {
		f.forget()
	}
	t.dirty.node(ino)
}

// tellKernel tells the kernel at once that a file changed. It is called with no
// lock held, and of all requests only in FLUSH: elsewhere the kernel may hold
// what it needs to listen.
func (t *tree) tellKernel(f *file) {
	f.forget()
	ino, _ := f.saveTo()
	t.notifyNode(ino)
}

// invalidate tells the kernel what changed, until the tree's context ends. It is
// the only goroutine that does, and holds no lock (invariant 6).
func (t *tree) invalidate(sub *echo.Subscription) {
	var sweep <-chan time.Time // nil while there is nothing to sweep
	for {
		if sweep == nil && t.hasGraves() {
			sweep = time.After(graveTime)
		}
		select {
		case <-t.ctx.Done():
			t.emptyGraves(time.Time{})
			return
		case now := <-sweep:
			sweep = nil
			t.emptyGraves(now)
		case <-sub.C():
			for _, e := range sub.Take() {
				if e.Remote && e.What == echo.Data && t.afterReaders(e.Ino, func() { t.changed(e.Ino); t.noteRemote(e) }) {
					continue
				}
				t.tell(e)
				t.noteRemote(e)
			}
		case <-t.dirty.notify:
			nodes, entries := t.dirty.take()
			for ino := range nodes {
				t.notifyNode(ino)
			}
			for p := range entries {
				t.notifyEntry(p)
			}
		}
	}
}

// tell passes one event on. A new entry needs no word, since the kernel keeps no
// absent names.
func (t *tree) tell(e echo.Event) {
	switch e.What {
	case echo.Data:
		t.tellData(e)
	case echo.Replicates:
		t.forget(e.Ino)
	case echo.Removed:
		if !e.Remote && t.isExpected(entryKey{e.Parent, e.Name, e.Ino}) {
			return
		}
		t.tellRemoved(e)
	}
}

// forget lets handles of a file look anew at what it is.
func (t *tree) forget(ino echo.Ino) {
	if f := t.openFile(ino); f != nil {
		f.forget()
	}
}

func (t *tree) tellData(e echo.Event) {
	t.forget(e.Ino)
	if e.Quiet {
		return
	}
	if e.Kind.IsFile() && e.Kind != echo.KindBlob { // see blobViews for theirs
		t.notifyNode(e.Ino)
		return
	}
	t.notifyAttr(e.Ino)
}

// tellRemoved makes the kernel drop an entry. That a file is gone altogether is
// told as such, so that watchers of the file hear it; a directory might come
// back, and the kernel would not have it again.
func (t *tree) tellRemoved(e echo.Event) {
	n, err := t.repo.Node(e.Ino)
	gone := errors.Is(err, echo.ErrNotFound) || err == nil && n.Name == ""
	s := t.server.Load()
	if s == nil {
		return
	}
	if gone && !e.Kind.IsDir() {
		t.heard(s.DeleteNotify(uint64(e.Parent), uint64(e.Ino), e.Name))
		return
	}
	t.notifyEntry(place{e.Parent, e.Name})
}

func (t *tree) notifyNode(ino echo.Ino) {
	if s := t.server.Load(); s != nil {
		t.told.Add(1)
		t.heard(s.InodeNotify(uint64(ino), 0, 0))
	}
}

// tellAttr tells the kernel at once that size and times of a file changed; see
// tellKernel.
func (t *tree) tellAttr(f *file) {
	ino, _ := f.saveTo()
	t.notifyAttr(ino)
}

func (t *tree) notifyAttr(ino echo.Ino) {
	if s := t.server.Load(); s != nil {
		t.told.Add(1)
		t.heard(s.InodeNotify(uint64(ino), -1, 0))
	}
}

func (t *tree) notifyEntry(p place) {
	if s := t.server.Load(); s != nil {
		t.heard(s.EntryNotify(uint64(p.parent), p.name))
	}
}

// heard takes the kernel's answer to a notification. That it does not know the
// node is the usual one; EBADF means that the mount is gone.
func (t *tree) heard(st fuse.Status) {
	if st != fuse.OK && st != fuse.ENOENT && st != fuse.EBADF {
		t.log.Debug("notify the kernel", "status", st)
	}
}
