package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Work is a file that is being written. It begins as a version of it, its base,
// and keeps the blocks that differ from that in a sparse plain file. It may be
// used from any goroutine; while a version of it is made, readers go on and
// writers wait.
//
// Invariants, while mu is not held:
//
//  1. The size of data is that of the content.
//  2. A block of the content is that of data if it is in changed; else the base's
//     as far as below limit; else zeros, and so it is in data.
//  3. A block is named by the journal before it is in changed.
type Work struct {
	writing sync.Mutex // held by whoever changes the content, or makes a version of it

	mu      sync.RWMutex // guards the below; taken under writing
	data    *os.File
	journal *journal
	base    *Reader // nil: nothing
	limit   int64   // how much of the base from its beginning counts
	size    int64
	changed map[int64]struct{}
	dirty   bool // something was changed since the version that base is
	synced  bool // and a power cut would lose none of it
}

// journalSuffix makes the name of a work file's journal.
const journalSuffix = ".journal"

// ErrBusy: another file system of this vault writes to the work file.
var ErrBusy = errors.New("work file is in use")

// NewWork makes a work file at a path. note is kept with it for Recover. base is
// nil for a file that begins empty.
func NewWork(path string, note []byte, base *Reader) (*Work, error) {
	f, err := openLocked(path, os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, fmt.Errorf("make work file: %w", err)
	}
	w := &Work{data: f, changed: make(map[int64]struct{})}
	w.setBase(base)
	if err = f.Truncate(w.size); err == nil {
		w.journal, err = newJournal(path+journalSuffix, note)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, fmt.Errorf("make work file: %w", err)
	}
	return w, nil
}

func openLocked(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrBusy
		}
		return nil, err
	}
	return f, nil
}

// setBase makes the content a version; w.mu is held, or w is new.
func (w *Work) setBase(base *Reader) {
	w.base, w.limit, w.size = base, 0, 0
	if base != nil {
		w.limit, w.size = base.Size(), base.Size()
	}
	clear(w.changed)
	w.dirty, w.synced = false, false
}

// RemoveWork removes a work file that nobody has open.
func RemoveWork(path string) error {
	err := os.Remove(path + journalSuffix)
	if err2 := os.Remove(path); err2 != nil && !errors.Is(err2, os.ErrNotExist) {
		return fmt.Errorf("remove work file: %w", err2)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove work file: %w", err)
	}
	return nil
}

// Recovered is what a crash left of a work file.
type Recovered struct {
	Note []byte
	// Built begins with the first 8 bytes of the version that was being committed
	// when the crash came; zero where none was. Whether it was, others know.
	Built Address
	path  string
	state journalState
	data  *os.File
}

// Recover reads what is left of a work file. The error wraps ErrBusy where it is
// in use, and is os.ErrNotExist where it is none. Close or Resume must be called.
func Recover(path string) (*Recovered, error) {
	f, err := openLocked(path, 0)
	if err != nil {
		return nil, fmt.Errorf("recover work file: %w", err)
	}
	state, err := readJournal(path + journalSuffix)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("recover work file: %w", err)
	}
	return &Recovered{Note: state.note, Built: state.built, path: path, state: state, data: f}, nil
}

// Dirty reports whether there is something to save, unless Built was committed.
func (r *Recovered) Dirty() bool { return r.state.dirty }

// Close leaves the file as it is.
func (r *Recovered) Close() error { return r.data.Close() }

// Resume goes on with the work file, on the version that it began with, so that
// it can be saved.
func (r *Recovered) Resume(base *Reader) (*Work, error) {
	w := &Work{data: r.data, changed: make(map[int64]struct{})}
	w.setBase(base)
	w.changed, w.limit, w.dirty = maps.Clone(r.state.changed), min(w.limit, r.state.limit), r.state.dirty
	if w.changed == nil {
		w.changed = make(map[int64]struct{})
	}
	st, err := r.data.Stat()
	if err != nil {
		return nil, fmt.Errorf("resume work file: %w", err)
	}
	w.size = st.Size()
	if r.state.rebooted { // what was written after the last sync may be there in parts
		w.size = r.state.size
		if err := r.data.Truncate(w.size); err != nil {
			return nil, fmt.Errorf("resume work file: %w", err)
		}
	}
	w.journal, err = resumeJournal(r.path+journalSuffix, r.state.length)
	if err != nil {
		return nil, fmt.Errorf("resume work file: %w", err)
	}
	return w, nil
}

// Size implements Content.
func (w *Work) Size() int64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.size
}

// Dirty reports whether the content may differ from the version it began with.
func (w *Work) Dirty() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.dirty
}

// Base implements Content.
func (w *Work) Base() *Index {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.base == nil || w.base.index.inline != nil {
		return nil
	}
	return w.base.index
}

// Block implements Content. Of a block that the base has only in part the rest
// is zeros, here as in the base's chunk.
func (w *Work) Block(n int64) State {
	w.mu.RLock()
	defer w.mu.RUnlock()
	_, mine := w.changed[n]
	switch {
	case mine:
		return Changed
	case n*ChunkSize >= w.limit:
		return Hole
	case w.base.index.inline != nil:
		return Changed
	}
	return Same
}

// ReadAt fills p with content at an offset, as io.ReaderAt has it.
func (w *Work) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	size := w.Size()
	if off < 0 || off >= size {
		return 0, io.EOF
	}
	var end error
	if rest := size - off; int64(len(p)) > rest {
		p, end = p[:rest], io.EOF
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		n := min(len(p)-done, int(ChunkSize-at%ChunkSize))
		if err := w.readBlock(ctx, p[done:done+n], at); err != nil {
			return done, err
		}
		done += n
	}
	return done, end
}

// readBlock fills p, which lies within a block. The base is read without the
// lock, since that can wait for other devices.
func (w *Work) readBlock(ctx context.Context, p []byte, off int64) error {
	for {
		base, n, err := w.readOwn(p, off)
		if base == nil || err != nil {
			return err
		}
		if _, err = base.ReadAt(ctx, p[:n], off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		clear(p[n:])
		if w.stands(base, off, n) {
			return nil
		}
	}
}

// stands reports whether n bytes at an offset are still the base's.
func (w *Work) stands(base *Reader, off int64, n int) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	_, mine := w.changed[off/ChunkSize]
	return !mine && w.base == base && off+int64(n) <= w.limit
}

// readOwn fills p where data holds the block; else it returns the base, and how
// much of p lies in it.
func (w *Work) readOwn(p []byte, off int64) (base *Reader, n int, err error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if _, ok := w.changed[off/ChunkSize]; ok || off >= w.limit {
		n, err := w.data.ReadAt(p, off)
		clear(p[n:]) // it was cut meanwhile
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return nil, 0, err
	}
	return w.base, int(min(int64(len(p)), w.limit-off)), nil
}

// WriteAt writes all of p at an offset. It fails with ErrTooLarge, or as the
// disk does; what p was to replace is then as it was, or in parts as p has it, and
// everything else is as it was.
func (w *Work) WriteAt(ctx context.Context, p []byte, off int64) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	end := off + int64(len(p))
	if off < 0 || end < off || end > MaxSize {
		return ErrTooLarge
	}
	if len(p) == 0 {
		return nil
	}
	var fresh []int64
	for block := off / ChunkSize; block*ChunkSize < end; block++ {
		mine, err := w.prepare(ctx, block, off, end)
		if err != nil {
			w.punch(append(fresh, block))
			return err
		}
		if !mine {
			fresh = append(fresh, block)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.put(p, off, fresh); err != nil {
		w.punch(fresh)
		return err
	}
	return nil
}

// put writes p and makes the blocks it begins ones of data; w.mu is held. Until
// the journal has them nobody looks at what data holds of them.
func (w *Work) put(p []byte, off int64, fresh []int64) error {
	if _, err := w.data.WriteAt(p, off); err != nil {
		_ = w.data.Truncate(w.size)
		return fmt.Errorf("write work file: %w", err)
	}
	for _, block := range fresh {
		if err := w.journal.block(block); err != nil {
			_ = w.data.Truncate(w.size)
			return err
		}
	}
	for _, block := range fresh {
		w.changed[block] = struct{}{}
	}
	w.size = max(w.size, off+int64(len(p)))
	w.dirty, w.synced = true, false
	return nil
}

// prepare copies a block of the base into data, unless data holds it or all of
// it is to be written over. w.writing is held.
func (w *Work) prepare(ctx context.Context, block, off, end int64) (mine bool, err error) {
	w.mu.RLock()
	_, mine = w.changed[block]
	from, limit, size := block*ChunkSize, w.limit, w.size
	w.mu.RUnlock()
	whole := off <= from && end >= min(from+ChunkSize, size)
	if mine || from >= limit || whole {
		return mine, nil
	}
	buf := make([]byte, min(ChunkSize, limit-from))
	if _, err := w.ReadAt(ctx, buf, from); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read block %d: %w", block, err)
	}
	if _, err := w.data.WriteAt(buf, from); err != nil {
		return false, fmt.Errorf("write work file: %w", err)
	}
	return false, nil
}

// punch frees what was written of blocks that the base has still; at worst it
// takes room that nobody looks at.
func (w *Work) punch(blocks []int64) {
	for _, block := range blocks {
		_ = unix.Fallocate(int(w.data.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, block*ChunkSize, ChunkSize)
	}
}

// take makes a block one of data, with what it holds. w.writing is held.
func (w *Work) take(ctx context.Context, block int64) error {
	mine, err := w.prepare(ctx, block, -1, -1)
	if mine || err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.journal.block(block); err != nil {
		return err
	}
	w.changed[block] = struct{}{}
	return nil
}

// Truncate sets the size; what is new is zeros.
func (w *Work) Truncate(ctx context.Context, size int64) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if size < 0 || size > MaxSize {
		return ErrTooLarge
	}
	old := w.Size()
	if size == old {
		return nil
	}
	if size < old && size%ChunkSize != 0 { // what is cut must be zeros if the file grows again
		if err := w.take(ctx, size/ChunkSize); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.data.Truncate(size); err != nil {
		return fmt.Errorf("truncate work file: %w", err)
	}
	w.size, w.limit = size, min(w.limit, size)
	for block := range w.changed {
		if block*ChunkSize >= size {
			delete(w.changed, block)
		}
	}
	w.dirty, w.synced = true, false
	return w.journal.truncate(size)
}

// Sync makes the content survive a power cut.
func (w *Work) Sync() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.RLock()
	clean, size := w.synced || !w.dirty, w.size
	w.mu.RUnlock()
	if clean {
		return nil
	}
	if err := w.data.Sync(); err != nil {
		return fmt.Errorf("sync work file: %w", err)
	}
	if err := w.journal.sync(size); err != nil {
		return err
	}
	w.mu.Lock()
	w.synced = true
	w.mu.Unlock()
	return nil
}

// Save makes a version of the content and lets commit name it; from then on the
// work file has nothing of its own and goes on from that version. It does nothing
// where nothing was changed. If commit fails everything is as it was. note is the
// one for Recover from now on.
func (w *Work) Save(ctx context.Context, put func(Address, []byte) error, keys Keys, open func(*Index) *Reader,
	commit func(root Address, size int64) (note []byte, err error)) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if !w.Dirty() {
		return nil
	}
	root, index, err := Build(ctx, put, keys, w)
	if err != nil {
		return err
	}
	if err := w.journal.built(root); err != nil {
		return err
	}
	note, err := commit(root, index.Size)
	if err != nil {
		return errors.Join(err, w.journal.built(Address{}))
	}
	return w.rebase(open(index), note)
}

// rebase goes on from a version; w.writing is held.
func (w *Work) rebase(base *Reader, note []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.journal.reset(note); err != nil {
		return err
	}
	w.setBase(base)
	// The blocks are of no use now. What a failure leaves of them is not looked at.
	return errors.Join(w.data.Truncate(0), w.data.Truncate(w.size))
}

// Reset drops what was changed and goes on from a version; note is the one for
// Recover from now on.
func (w *Work) Reset(base *Reader, note []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.rebase(base, note)
}

// Close closes the work file and removes it, unless keep is set.
func (w *Work) Close(keep bool) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	path := w.data.Name()
	err := errors.Join(w.journal.close())
	if !keep {
		err = errors.Join(err, RemoveWork(path))
	}
	return errors.Join(err, w.data.Close())
}
