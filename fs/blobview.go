package fs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"echofs/echo"
	"echofs/echo/blob"
)

// Blobs are not read as a whole and have no buffers of their own for each handle:
// who opens one looks at a version of it, together with all who opened that
// version, and sees at once what they write. A version that comes from another
// device meanwhile is seen by those who open the file after that. So what one
// program reads is always one version with its own changes.
//
// What is written goes into a work file. It becomes a version when the last
// writer closes, and while the file stays open, quietTime after the last fsync,
// as databases do it that keep their files open.

// quietTime is how long nothing must have been written after an fsync for a
// version to be made of a file that stays open.
const quietTime = 2 * time.Second

// waitAgain is how long the wait for chunks is cut short after one that was in
// vain: the kernel reads ahead, and asks again for what it did not get.
const waitAgain = time.Second

// workDir is the directory of work files within Options.LocalDir.
const workDir = "blobs"

// maxCached is for how many blobs it is remembered which version the kernel's
// cache may hold.
const maxCached = 4096

// blobViews are the versions of blobs that are open.
type blobViews struct {
	t   *tree
	dir string

	mu      sync.Mutex // guards the below
	open    map[echo.Ino][]*blobView
	cached  *lru[echo.Ino, blob.Address] // what the kernel's cache holds pages of
	quiet   map[*blobView]time.Time      // when a version is to be made
	wake    chan struct{}
	counter int
}

func newBlobViews(t *tree, local string) *blobViews {
	return &blobViews{t: t, dir: filepath.Join(local, workDir), open: make(map[echo.Ino][]*blobView),
		cached: newLRU[echo.Ino, blob.Address](maxCached), quiet: make(map[*blobView]time.Time), wake: make(chan struct{}, 1)}
}

// blobView is one version of a blob that is open, with what was written over it.
type blobView struct {
	all   *blobViews
	f     *file
	space echo.SpaceID

	opens, writers int  // guarded by blobViews.mu
	direct         bool // a handle bypasses the kernel's cache; guarded by blobViews.mu

	saving sync.Mutex // held by whoever makes a version

	mu      sync.Mutex // guards the below
	version echo.BlobVersion
	base    echo.BlobVersion // what the writers were looking at
	seen    *echo.Version    // of the text that the file was; nil for the current one
	rule    string
	who     author // who wrote last
	reader  *blob.Reader
	work    *blob.Work
	written time.Time
	vain    time.Time // when a wait for chunks was in vain last
	release func()    // of the hold on version
}

// note is what a work file keeps for recover.
type note struct {
	Ino  uint64 `json:"ino"`
	Root string `json:"root,omitempty"`
	Size int64  `json:"size"`
	Rev  uint64 `json:"rev"`
}

func encodeNote(ino echo.Ino, v echo.BlobVersion) []byte {
	n := note{Ino: uint64(ino), Size: v.Size, Rev: v.Rev}
	if !v.Root.IsHole() {
		n.Root = v.Root.String()
	}
	b, _ := json.Marshal(n) // of plain fields
	return b
}

func decodeNote(b []byte) (ino echo.Ino, v echo.BlobVersion, err error) {
	var n note
	if err := json.Unmarshal(b, &n); err != nil {
		return 0, v, fmt.Errorf("note of a work file: %w", err)
	}
	if n.Root != "" {
		if v.Root, err = blob.ParseAddress(n.Root); err != nil {
			return 0, v, fmt.Errorf("note of a work file: %w", err)
		}
	}
	v.Size, v.Rev = n.Size, n.Rev
	return echo.Ino(n.Ino), v, nil
}

// get returns the view that somebody who opens a file joins, and whether what it
// reads goes through the kernel's cache, which is to be emptied first unless keep
// is set. direct is for who bypasses it in any case.
func (b *blobViews) get(n echo.Node, direct bool) (v *blobView, cached, keep bool) {
	current, _ := n.Blob()
	f := b.t.acquire(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.open[n.Ino]
	if len(list) > 0 {
		if last := list[len(list)-1]; last.shows(n, current) {
			v = last
		}
	}
	if v == nil {
		v = &blobView{all: b, f: f, space: n.Space, version: current, base: current, rule: ruleHandle,
			release: b.t.repo.HoldBlob(n.Space, current.Root)}
		b.open[n.Ino] = append(list, v)
	}
	v.opens++
	v.direct = v.direct || direct || len(b.open[n.Ino]) > 1
	if v.direct {
		return v, false, false
	}
	held, ok := b.cached.get(n.Ino)
	b.cached.put(n.Ino, current.Root)
	return v, true, ok && held == current.Root
}

// shows reports whether a view is of what the file is now.
func (v *blobView) shows(n echo.Node, current echo.BlobVersion) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version.Root == current.Root || n.Kind != echo.KindBlob
}

// has reports whether a file is open as a blob.
func (b *blobViews) has(ino echo.Ino) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open[ino]) > 0
}

// oldest returns the view of a file that was opened first, or nil.
func (b *blobViews) oldest(ino echo.Ino) *blobView {
	b.mu.Lock()
	defer b.mu.Unlock()
	if list := b.open[ino]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// live returns a node with the size that it has by what is not saved yet. While
// a version is open that was replaced, it is that one's: the kernel has one size
// for all, and cuts what those read who opened the file first.
func (b *blobViews) live(n echo.Node) echo.Node {
	v := b.oldest(n.Ino)
	if v == nil {
		return n
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	n.Size = v.version.Size
	if v.work != nil && v.work.Dirty() {
		n.Size, n.ModTime = v.work.Size(), v.written
	}
	return n
}

// drop undoes one get. The last one closes the work file; what could not be saved
// stays in it for the next start.
func (b *blobViews) drop(v *blobView) {
	b.mu.Lock()
	v.opens--
	last := v.opens == 0
	if last {
		delete(b.quiet, v)
		left := slices.DeleteFunc(b.open[v.f.ino], func(o *blobView) bool { return o == v })
		if b.open[v.f.ino] = left; len(left) == 0 {
			delete(b.open, v.f.ino)
		}
	}
	b.mu.Unlock()
	if last {
		v.close()
	}
	v.f.drop()
}

func (v *blobView) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.release()
	if v.work == nil {
		return
	}
	_, wanted := v.f.saveTo()
	keep := v.work.Dirty() && wanted
	if err := v.work.Close(keep); err != nil {
		v.all.t.log.Error("close work file", "inode", v.f.ino, "error", err)
	}
	if keep {
		v.all.t.log.Error("unsaved bytes of a blob are kept for the next start", "inode", v.f.ino)
	}
	v.work = nil
}

// content returns what is to be read from: the work file if there is one.
func (v *blobView) content(ctx context.Context) (interface {
	ReadAt(context.Context, []byte, int64) (int, error)
	Size() int64
}, error) {
	v.mu.Lock()
	work, reader, version := v.work, v.reader, v.version
	v.mu.Unlock()
	if work != nil {
		return work, nil
	}
	if reader != nil {
		return reader, nil
	}
	r, err := v.all.t.repo.OpenBlob(ctx, v.space, version)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.work != nil {
		return v.work, nil
	}
	v.reader = r
	return r, nil
}

func (v *blobView) size() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.work != nil {
		return v.work.Size()
	}
	return v.version.Size
}

// forWriting returns the work file, which is made if there is none.
func (v *blobView) forWriting(ctx context.Context) (*blob.Work, error) {
	v.mu.Lock()
	work, version := v.work, v.version
	v.mu.Unlock()
	if work != nil {
		return work, nil
	}
	if !version.Root.IsHole() {
		if _, err := v.content(ctx); err != nil {
			return nil, err
		}
	}
	path, err := v.all.newPath(v.f.ino)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.work != nil {
		return v.work, nil
	}
	v.work, err = blob.NewWork(path, encodeNote(v.f.ino, v.version), v.reader)
	return v.work, err
}

// newPath returns the path of a new work file.
func (b *blobViews) newPath(ino echo.Ino) (string, error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return "", err
	}
	b.mu.Lock()
	b.counter++
	n := b.counter
	b.mu.Unlock()
	return filepath.Join(b.dir, fmt.Sprintf("%d-%d-%d", ino, time.Now().UnixNano(), n)), nil
}

// touched notes a write.
func (v *blobView) touched(a author) {
	v.mu.Lock()
	v.who, v.written = a, time.Now()
	v.mu.Unlock()
}

// dirty reports whether there is something to save.
func (v *blobView) dirty() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.work != nil && v.work.Dirty()
}

// save makes a version of what was written. Where the file has no name any more,
// because it was unlinked here, there is nothing to save.
func (v *blobView) save(ctx context.Context) error {
	v.saving.Lock()
	defer v.saving.Unlock()
	if !v.dirty() {
		return nil
	}
	ino, ok := v.f.saveTo()
	if !ok {
		return nil
	}
	t := v.all.t
	v.mu.Lock()
	s := echo.BlobSave{Ino: ino, Work: v.work, Base: v.base, Seen: v.seen, Rule: v.rule}
	who := v.who
	v.mu.Unlock()
	s.Note = func(n echo.Node, next echo.BlobVersion) []byte { return encodeNote(n.Ino, next) }
	saved, err := t.repo.SaveBlob(ctx, s)
	if errors.Is(err, echo.ErrNotFound) {
		saved, err = v.comeBack(ctx, s)
	}
	if err != nil {
		return err
	}
	v.saved(saved, who)
	if m := v.f.takeMtime(); m != nil {
		_, err = t.repo.SetAttr(ctx, saved.Node.Ino, echo.AttrChange{ModTime: m})
	}
	return err
}

// comeBack saves a file that somebody else removed meanwhile under its name, or
// beside what has it by now.
func (v *blobView) comeBack(ctx context.Context, s echo.BlobSave) (echo.Saved, error) {
	n, err := v.all.t.makeAgain(ctx, v.f.last())
	if err != nil {
		return echo.Saved{}, err
	}
	v.f.redirect(n.Ino)
	s.Ino, s.Base = n.Ino, echo.BlobVersion{}
	return v.all.t.repo.SaveBlob(ctx, s)
}

// saved goes on from the version that was made.
func (v *blobView) saved(s echo.Saved, who author) {
	b, t := v.all, v.all.t
	now, _ := s.Node.Blob()
	hold := t.repo.HoldBlob(v.space, now.Root)
	v.mu.Lock()
	v.release()
	v.version, v.base, v.seen, v.rule, v.reader, v.release = now, now, nil, ruleHandle, nil, hold
	v.mu.Unlock()
	b.mu.Lock()
	if !v.direct {
		b.cached.put(v.f.ino, now.Root)
	}
	b.mu.Unlock()
	v.f.setNode(s.Node)
	t.bases.wrote(who, s.Node.ID, s.Wrote)
	t.setSource(s.Node.Ino, source{author: who})
}

// save makes versions of all that was written to a file.
func (b *blobViews) save(ctx context.Context, ino echo.Ino) error {
	b.mu.Lock()
	list := slices.Clone(b.open[ino])
	b.mu.Unlock()
	var errs []error
	for _, v := range list {
		errs = append(errs, v.save(ctx))
	}
	return errors.Join(errs...)
}

// saveLater makes a version when nothing was written for quietTime.
func (b *blobViews) saveLater(v *blobView) {
	b.mu.Lock()
	b.quiet[v] = time.Now().Add(quietTime)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run makes versions of files that stay open, until ctx ends.
func (b *blobViews) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		case <-timer.C:
		}
		due, next := b.due(time.Now())
		for _, v := range due {
			if err := v.save(ctx); err != nil {
				b.t.log.Warn("save a blob that is open", "inode", v.f.ino, "error", err)
			}
			b.drop(v)
			b.t.changed(v.f.ino)
		}
		timer.Reset(next)
	}
}

// due returns the views of which a version is to be made now, each with one more
// opening, and when to look again.
func (b *blobViews) due(now time.Time) (due []*blobView, next time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next = time.Hour
	for v, at := range b.quiet {
		v.mu.Lock()
		if quiet := v.written.Add(quietTime); quiet.After(at) {
			at = quiet
		}
		v.mu.Unlock()
		if wait := at.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		delete(b.quiet, v)
		v.opens++
		b.t.again(v.f)
		due = append(due, v)
	}
	return due, next
}

// recover saves what a crash left in work files. One that cannot be saved stays.
func (b *blobViews) recover(ctx context.Context) error {
	list, err := os.ReadDir(b.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("work files: %w", err)
	}
	for _, e := range list {
		path := filepath.Join(b.dir, e.Name())
		if strings.Contains(e.Name(), ".") || strings.HasPrefix(e.Name(), "new-") {
			if _, err := os.Stat(strings.TrimSuffix(path, filepath.Ext(path))); errors.Is(err, os.ErrNotExist) {
				_ = os.Remove(path) // of no use without its work file
			}
			continue
		}
		if err := b.recoverFile(ctx, path); err != nil && !errors.Is(err, blob.ErrBusy) {
			b.t.log.Error("unsaved bytes of a blob could not be saved", "file", path, "error", err)
		}
	}
	return nil
}

func (b *blobViews) recoverFile(ctx context.Context, path string) error {
	rec, err := blob.Recover(path)
	if errors.Is(err, os.ErrNotExist) {
		return blob.RemoveWork(path) // nothing was written to it
	}
	if err != nil {
		return err
	}
	defer rec.Close()
	ino, base, err := decodeNote(rec.Note)
	if err != nil {
		return err
	}
	n, err := b.t.repo.Node(ino)
	if errors.Is(err, echo.ErrNotFound) || err == nil && n.Name == "" {
		return blob.RemoveWork(path) // unlinked
	}
	if err != nil {
		return err
	}
	if rec.Dirty() && !rec.Built.IsHole() {
		done, err := b.t.repo.KnowsBlob(ino, [8]byte(rec.Built[:8]))
		if err != nil {
			return err
		}
		if done {
			return blob.RemoveWork(path)
		}
	}
	if !rec.Dirty() {
		return blob.RemoveWork(path)
	}
	return b.saveRecovered(ctx, rec, n, base)
}

func (b *blobViews) saveRecovered(ctx context.Context, rec *blob.Recovered, n echo.Node, base echo.BlobVersion) error {
	var r *blob.Reader
	if !base.Root.IsHole() {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		var err error
		if r, err = b.t.repo.OpenBlob(short, n.Space, base); err != nil {
			return err
		}
	}
	w, err := rec.Resume(r)
	if err != nil {
		return err
	}
	_, err = b.t.repo.SaveBlob(ctx, echo.BlobSave{Ino: n.Ino, Work: w, Base: base, Rule: ruleHandle})
	return errors.Join(err, w.Close(err != nil))
}
