package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"echofs/echo"
)

// maxFile is the largest size of a local file; the disk decides below it.
const maxFile = math.MaxInt64 / 2

// localDir is the directory of the content of local files.
type localDir struct {
	dir string
}

func (l localDir) path(ino echo.Ino) string {
	return filepath.Join(l.dir, strconv.FormatUint(uint64(ino), 10))
}

func (l localDir) open(ino echo.Ino) (*os.File, error) {
	return os.OpenFile(l.path(ino), os.O_RDWR|os.O_CREATE, 0o600)
}

// write stores content as a whole.
func (l localDir) write(ino echo.Ino, data []byte) error {
	return os.WriteFile(l.path(ino), data, 0o600)
}

// read returns content of at most limit bytes, and whether there is no more.
func (l localDir) read(ino echo.Ino, limit int64) ([]byte, bool, error) {
	f, err := os.Open(l.path(ino))
	if errors.Is(err, os.ErrNotExist) {
		return nil, true, nil // never written
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if int64(len(data)) > limit {
		return data[:limit], false, err
	}
	return data, true, err
}

// drop removes content. Open handles keep it.
func (l localDir) drop(ino echo.Ino) {
	if ino != 0 {
		_ = os.Remove(l.path(ino)) // what stays is removed at the next start
	}
}

// repair makes the directory, removes content that no node refers to, and
// brings sizes up to date that a crash left behind.
func (l localDir) repair(ctx context.Context, repo *echo.Repo) error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("directory of local files: %w", err)
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("directory of local files: %w", err)
	}
	for _, e := range entries {
		n, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil {
			continue // not ours
		}
		if err := l.repairFile(ctx, repo, echo.Ino(n), e); err != nil {
			return fmt.Errorf("local file %d: %w", n, err)
		}
	}
	return nil
}

func (l localDir) repairFile(ctx context.Context, repo *echo.Repo, ino echo.Ino, e os.DirEntry) error {
	n, err := repo.Node(ino)
	if errors.Is(err, echo.ErrNotFound) || err == nil && n.Kind != echo.KindLocal {
		l.drop(ino)
		return nil
	}
	if err != nil {
		return err
	}
	st, err := e.Info()
	if err != nil || st.Size() == n.Size {
		return err
	}
	size, mtime := st.Size(), st.ModTime()
	_, err = repo.SetAttr(ctx, ino, echo.AttrChange{Size: &size, ModTime: &mtime})
	return err
}

// localHandle is an open local file. Handles of one file share one descriptor;
// the kernel keeps their offsets and, for appending, the size.
type localHandle struct {
	f    *file
	file *os.File
	who  *writerOf
}

func (t *tree) openLocal(n echo.Node, flags uint32, a author) (*localHandle, error) {
	f := t.acquire(n)
	b, err := f.openBacking()
	if err != nil {
		f.drop()
		return nil, err
	}
	h := &localHandle{f: f, file: b, who: &writerOf{opener: a}}
	if flags&uint32(os.O_TRUNC) != 0 && wantsWrite(flags) {
		if err := h.truncate(0); err != nil {
			f.drop()
			return nil, err
		}
	}
	return h, nil
}

func (h *localHandle) read(buf []byte, off int64) ([]byte, error) {
	n, err := h.file.ReadAt(buf, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return buf[:n], err
}

func (h *localHandle) write(tid uint32, data []byte, off int64) error {
	if err := h.f.t.room.Take(int64(len(data))); err != nil {
		return err
	}
	if _, err := h.file.WriteAt(data, off); err != nil {
		return err
	}
	h.f.t.setSource(h.f.ino, source{author: h.who.writing(h.f.t.proc, tid)})
	h.touched()
	return nil
}

// size returns the length of the content, 0 where that is not known.
func (h *localHandle) size() int64 {
	st, err := h.file.Stat()
	if err != nil {
		return 0
	}
	return st.Size()
}

func (h *localHandle) touched() {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	h.f.dirty = true
}

func (h *localHandle) truncate(size int64) error {
	h.touched()
	return h.file.Truncate(size)
}

// flush writes size and time into the row of the node. Where the file was
// renamed onto an object while it was open, what was written since is a save of
// the object.
func (h *localHandle) flush(ctx context.Context, _ uint32) error {
	f := h.f
	f.mu.Lock()
	dirty, target, gone := f.dirty, f.target, f.gone
	f.dirty = false
	f.mu.Unlock()
	switch {
	case !dirty:
		return nil
	case target != 0:
		return f.t.saveBacking(ctx, h, target)
	case gone:
		return nil
	}
	st, err := h.file.Stat()
	if err != nil {
		return err
	}
	size, mtime := st.Size(), st.ModTime()
	_, err = f.t.repo.SetAttr(ctx, f.ino, echo.AttrChange{Size: &size, ModTime: &mtime})
	if errors.Is(err, echo.ErrNotFound) {
		return nil // unlinked meanwhile
	}
	return err
}

func (h *localHandle) fsync(ctx context.Context) error {
	if err := h.file.Sync(); err != nil {
		return err
	}
	if err := h.flush(ctx, 0); err != nil {
		return err
	}
	return h.f.t.repo.Flush()
}

func (h *localHandle) release(ctx context.Context) {
	if err := h.flush(ctx, 0); err != nil {
		h.f.t.log.Error("close local file", "inode", h.f.ino, "error", err)
	}
	h.f.drop()
}

// saveBacking saves what was written through a local handle after its file had
// become an object.
func (t *tree) saveBacking(ctx context.Context, h *localHandle, target echo.Ino) error {
	n, err := t.repo.Node(target)
	if err != nil {
		return err
	}
	a := h.who.last()
	base, rule := t.bases.base(a, n.ID)
	data, err := io.ReadAll(io.NewSectionReader(h.file, 0, maxText+1))
	if err != nil {
		return err
	}
	if kindOf(n.Name) != echo.KindObject && (len(data) > maxText || looksBinary(data)) {
		return t.saveBackingBlob(ctx, h, n, base, rule)
	}
	saved, err := t.repo.Save(ctx, echo.Save{Ino: target, Data: data, Base: base, Rule: rule})
	if err != nil {
		if _, draftErr := t.repo.PutDraft(ctx, target, data, asInvalid(err)); draftErr != nil {
			return draftErr
		}
		t.bases.drafted(n.ID, base)
		t.changed(target)
		return err
	}
	t.bases.wrote(a, n.ID, saved.Wrote)
	t.changed(target)
	return nil
}
