package fs

import (
	"os"
	"sync"
	"syscall"
	"time"

	"echofs/echo"
)

// file is what is kept in memory of a file while it is open.
type file struct {
	t   *tree
	ino echo.Ino

	opens int // guarded by tree.mu

	order sync.Mutex // of saves of this file; taken before mu and those of handles

	mu      sync.Mutex // guards the below
	node    echo.Node  // as last seen, for when it is unlinked
	gone    bool       // it was unlinked through this mount
	target  echo.Ino   // after a rename over another file: where saves go to
	writers map[*writeHandle]struct{}
	cached  map[*readHandle]time.Time // who reads through the kernel's cache, since when
	left    chan struct{}             // closed when one of them is done; nil: nobody waits
	saving  int                       // renames onto it that are on their way
	content *echo.Content             // what cached reads are answered from; nil: ask
	mtime   *time.Time                // set by a program that has unsaved bytes
	backing *os.File                  // of a local file
	dirty   bool                      // backing was written since the row was
}

// acquire returns the file of a node and counts one more opening of it.
func (t *tree) acquire(n echo.Node) *file {
	t.mu.Lock()
	f, ok := t.files[n.Ino]
	if !ok {
		f = &file{t: t, ino: n.Ino, writers: make(map[*writeHandle]struct{}), cached: make(map[*readHandle]time.Time)}
		t.files[n.Ino] = f
	}
	f.opens++
	t.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.gone {
		f.node = n
	}
	if f.content != nil && !f.content.ModTime.Equal(n.ModTime) && len(f.cached) == 0 {
		f.content = nil
	}
	return f
}

// again counts one more opening of a file that is open.
func (t *tree) again(f *file) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.opens++
}

// setNode notes what a node has become.
func (f *file) setNode(n echo.Node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.gone {
		f.node = n
	}
}

// drop undoes one acquire; the last one closes what is open.
func (f *file) drop() {
	f.t.mu.Lock()
	f.opens--
	last := f.opens == 0
	if last {
		delete(f.t.files, f.ino)
	}
	f.t.mu.Unlock()
	if !last {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.backing != nil {
		f.backing.Close()
		f.backing = nil
	}
}

// openFile returns the file of a node if it is open.
func (t *tree) openFile(ino echo.Ino) *file {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.files[ino]
}

// live returns a node with what the open file knows better, and whether an
// object is being written.
func (f *file) live(n echo.Node) (echo.Node, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.backing == nil || n.Kind != echo.KindLocal {
		return n, len(f.writers) > 0
	}
	st, err := f.backing.Stat()
	if err != nil {
		return n, len(f.writers) > 0
	}
	n.Size = st.Size() // the row has it only a moment after a flush began
	if f.dirty || f.gone {
		n.ModTime = st.ModTime()
		if c := changeTime(st); c.After(n.Changed) {
			n.Changed = c
		}
	}
	return n, len(f.writers) > 0
}

// changeTime is when content or attributes of a file last changed.
func changeTime(st os.FileInfo) time.Time {
	return time.Unix(st.Sys().(*syscall.Stat_t).Ctim.Unix())
}

// last returns the node as it was last seen.
func (f *file) last() echo.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.node
}

// saveTo returns the node that unsaved bytes belong to; ok is false where the
// file was unlinked and they belong nowhere.
func (f *file) saveTo() (ino echo.Ino, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.target != 0 {
		return f.target, true
	}
	return f.ino, !f.gone
}

// redirect makes saves go to another node, since this one is gone.
func (f *file) redirect(target echo.Ino) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
}

// setAttr notes a change of attributes while the file is open.
func (f *file) setAttr(c echo.AttrChange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Mode != nil {
		f.node.Mode = *c.Mode
	}
	if c.ModTime == nil {
		return
	}
	f.node.ModTime = *c.ModTime
	if f.backing != nil {
		_ = os.Chtimes(f.t.local.path(f.ino), time.Time{}, *c.ModTime) // of no matter once unlinked
	}
	for h := range f.writers {
		if h.unsaved() {
			f.mtime = c.ModTime
		}
	}
}

// takeMtime returns the time that a program set for bytes that are saved now.
func (f *file) takeMtime() *time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.mtime
	f.mtime = nil
	return m
}

// current returns the content for cached reads. It is asked for under the lock,
// so that forget cannot come between asking and keeping.
func (f *file) current() (*echo.Content, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.content != nil {
		return f.content, nil
	}
	c, err := f.t.repo.Content(f.ino)
	if err != nil {
		return nil, err
	}
	f.content = &c
	return f.content, nil
}

// forget drops the content for cached reads, because it changed.
func (f *file) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content = nil
}

// markGone notes that a file lost its name, or that its saves go elsewhere.
func (t *tree) markGone(ino, target echo.Ino) {
	f := t.openFile(ino)
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone, f.target = true, target
}

// openBacking opens the content of a local file, once for all handles.
func (f *file) openBacking() (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.backing != nil {
		return f.backing, nil
	}
	if f.gone {
		return nil, syscall.ESTALE
	}
	b, err := f.t.local.open(f.ino)
	f.backing = b
	return b, err
}

func accessMode(flags uint32) uint32 { return flags & syscall.O_ACCMODE }

func wantsRead(flags uint32) bool { return accessMode(flags) != syscall.O_WRONLY }

func wantsWrite(flags uint32) bool { return accessMode(flags) != syscall.O_RDONLY }
