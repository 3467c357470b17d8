package fs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"echofs/echo"
)

// commit saves unsaved bytes. It returns nil where there are none, and an
// *echo.InvalidError for content that cannot be saved, which stays unsaved. The
// caller tells the kernel. h.commitMu is held.
func (h *writeHandle) commit(ctx context.Context) error {
	data, at, wrote, dirty := h.unsavedBytes()
	if !dirty {
		return nil
	}
	if len(data) == 0 && !wrote {
		return errEmptied
	}
	ino, ok := h.f.saveTo()
	if !ok {
		h.saved(at, nil) // as POSIX has it for a file without a name
		return nil
	}
	h.f.awaitReaders(ctx, h.who.last())
	// Saves of one file are made one after the other, so that none decides by what
	// was there before another.
	h.f.order.Lock()
	defer h.f.order.Unlock()
	n, err := h.t.repo.Node(ino)
	if errors.Is(err, echo.ErrNotFound) || err == nil && n.Name == "" {
		return h.comeBack(ctx, data, at)
	}
	if err != nil {
		return err
	}
	if n.Kind == echo.KindLocal { // it was renamed to a local name meanwhile
		return h.moveToLocal(ctx, n)
	}
	base, rule := h.baseFor(n)
	all := data
	if appended, current, ok := h.appended(n, data); ok {
		all, base, rule = appended, current, ruleHandle
	}
	out, err := h.t.repo.Save(ctx, echo.Save{Ino: ino, Data: all, Base: base, Rule: rule, Quiet: true})
	if isNotText(err) {
		return h.becomeBlob(ctx, n, base, rule)
	}
	if err != nil {
		return err
	}
	h.saved(at, &out.Wrote)
	h.appendedTo(len(data))
	h.t.bases.wrote(h.who.last(), n.ID, out.Wrote)
	h.t.setSource(ino, source{author: h.who.last()})
	return h.restoreTime(ctx, ino)
}

// unsavedBytes returns a copy of the buffer and where in its changes it stands.
func (h *writeHandle) unsavedBytes() (data []byte, at uint64, wrote, dirty bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dirty {
		data = slices.Clone(h.buf)
	}
	return data, h.changes, h.wrote, h.dirty
}

// saved notes that the bytes as of a change were saved; wrote is what the author
// is looking at from now on, nil where that did not change.
func (h *writeHandle) saved(at uint64, wrote *echo.Version) {
	h.mu.Lock()
	if h.changes == at {
		h.dirty = false
	}
	if wrote != nil {
		h.base = wrote
	}
	h.mu.Unlock()
	h.f.forget()
}

// baseFor returns the version that the author of the buffer was looking at.
func (h *writeHandle) baseFor(n echo.Node) (*echo.Version, string) {
	if n.Stage == echo.Fresh {
		return nil, ruleCurrent // there is nothing to compare with
	}
	h.mu.Lock()
	base := h.base
	h.mu.Unlock()
	if base != nil && n.ID == h.f.last().ID { // not renamed over another object
		return base, ruleHandle
	}
	return h.t.bases.base(h.who.last(), n.ID)
}

// comeBack saves bytes whose file was removed by somebody else while they were
// written: a delete does not discard what its author had not seen.
func (h *writeHandle) comeBack(ctx context.Context, data []byte, at uint64) error {
	n, err := h.t.makeAgain(ctx, h.f.last())
	if err != nil {
		return err
	}
	h.f.redirect(n.Ino)
	out, err := h.t.repo.Save(ctx, echo.Save{Ino: n.Ino, Data: data, Rule: ruleCurrent})
	if err != nil {
		return err // it is a draft of the new file then
	}
	h.saved(at, &out.Wrote)
	h.t.bases.wrote(h.who.last(), n.ID, out.Wrote)
	return nil
}

// makeAgain makes a file again that was removed: where it was, or beside it if
// there is another one by now.
func (t *tree) makeAgain(ctx context.Context, was echo.Node) (echo.Node, error) {
	n, err := t.repo.CreateFile(ctx, was.Parent, was.Name, was.Mode)
	if errors.Is(err, echo.ErrExists) {
		n, err = t.repo.CreateFile(ctx, was.Parent, "removed-"+was.ID.String()+"-"+was.Name, was.Mode)
	}
	if err != nil {
		return n, fmt.Errorf("make %q again: %w", was.Name, err)
	}
	return n, nil
}

// restoreTime sets the time again that a program had set for unsaved bytes, as
// programs do that copy files with their times.
func (h *writeHandle) restoreTime(ctx context.Context, ino echo.Ino) error {
	mtime := h.f.takeMtime()
	if mtime == nil {
		return nil
	}
	_, err := h.t.repo.SetAttr(ctx, ino, echo.AttrChange{ModTime: mtime})
	return err
}

// reject keeps the unsaved bytes as a draft, and returns what close is to say:
// nil for a file that was only emptied. Bytes that were rejected before are not
// stored again. h.commitMu is held.
func (h *writeHandle) reject(ctx context.Context, why error) error {
	said := why
	if errors.Is(why, errEmptied) {
		said = nil
	}
	data, at, _, dirty := h.unsavedBytes()
	if !dirty {
		return said
	}
	ino, _ := h.f.saveTo()
	n, err := h.t.repo.Node(ino)
	if err == nil {
		base, _ := h.baseFor(n)
		if _, err = h.t.repo.PutDraft(ctx, ino, data, asInvalid(why)); err == nil {
			h.t.bases.drafted(n.ID, base)
			h.t.setSource(ino, source{author: h.who.last()})
			h.saved(at, nil)
			return said
		}
	}
	h.t.log.Error("unsaved bytes could not be kept", "inode", ino, "bytes", len(data), "error", err, "reason", why)
	return errors.Join(why, err)
}

// asInvalid makes the reason of a draft of any failure of a save.
func asInvalid(err error) *echo.InvalidError {
	var invalid *echo.InvalidError
	if errors.As(err, &invalid) {
		return invalid
	}
	return &echo.InvalidError{Reason: "could not be saved: " + err.Error()}
}

// outgrow makes a fresh file a blob whose content is more than a text may have,
// or shows that it is none.
func (h *writeHandle) outgrow(ctx context.Context) error {
	h.commitMu.Lock()
	defer h.commitMu.Unlock()
	if h.streaming() != nil {
		return nil
	}
	n, err := h.t.repo.Node(h.f.ino)
	if err != nil {
		return err
	}
	if n.Stage != echo.Fresh || n.Kind != echo.KindText {
		return &echo.InvalidError{Reason: "larger than the limit", TooLarge: true}
	}
	return h.toBlob(ctx, n)
}

// becomeBlob saves a buffer that is no text as a blob, which the file is from
// then on. h.commitMu is held.
func (h *writeHandle) becomeBlob(ctx context.Context, n echo.Node, base *echo.Version, rule string) error {
	if err := h.toBlob(ctx, n); err != nil {
		return err
	}
	b := h.streaming().(*blobHandle)
	b.v.mu.Lock()
	b.v.seen, b.v.rule = base, rule
	b.v.mu.Unlock()
	return b.v.save(ctx)
}

// toBlob lets a blob's handle take the place of this one, with what the
// buffer holds; h.commitMu is held.
func (h *writeHandle) toBlob(ctx context.Context, n echo.Node) error {
	if err := h.keep(); err != nil { // the journal of the work file is of no use without it
		return err
	}
	v, _, _ := h.t.blobs.get(n, true) // the kernel's cache is bypassed since the open
	b := &blobHandle{v: v, flags: h.flags, who: h.who}
	h.t.blobs.mu.Lock()
	v.writers++
	h.t.blobs.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	err := b.truncate(0)
	if err == nil && len(h.buf) > 0 {
		err = b.write(0, h.buf, 0)
	} else if err == nil {
		_, err = v.forWriting(ctx)
	}
	if err != nil {
		h.t.blobs.mu.Lock()
		v.writers--
		h.t.blobs.mu.Unlock()
		h.t.blobs.drop(v)
		return err
	}
	h.stream, h.buf, h.dirty = b, nil, false
	return nil
}

// moveToLocal replaces the buffer by the local file that the node has become.
func (h *writeHandle) moveToLocal(ctx context.Context, n echo.Node) error {
	b, err := h.f.openBacking()
	if err != nil {
		return err
	}
	h.mu.Lock()
	l := &localHandle{f: h.f, file: b, who: h.who}
	if err = b.Truncate(int64(len(h.buf))); err == nil {
		_, err = b.WriteAt(h.buf, 0)
	}
	if err == nil {
		h.stream, h.buf, h.dirty = l, nil, false
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	h.f.mu.Lock()
	h.f.node = n
	h.f.mu.Unlock()
	l.touched()
	h.t.setSource(n.Ino, source{author: h.who.last()})
	return l.flush(ctx, 0)
}

// heldElsewhere reports whether the process that closes a file, or one of its
// nearest ancestors, has another handle that can write it.
//
// A descriptor that is not for the program that a process becomes is closed
// while the kernel holds the process, and whoever reads of it in /proc waits
// until that is over: what is asked here would wait for its own answer. So it
// waits for a moment alone. Such a process has its descriptors from one that
// has them still.
func (t *tree) heldElsewhere(tid uint32, ino echo.Ino) bool {
	mount := int(t.mount.Load())
	held := make(chan bool, 1)
	go func() {
		held <- t.proc.holders(tid, func(o opened) bool {
			return o.writes() && o.ino == uint64(ino) && o.mount == mount
		}) > 0
	}()
	limit := time.NewTimer(procPatience)
	defer limit.Stop()
	select {
	case yes := <-held:
		return yes
	case <-limit.C:
		return true
	}
}

// procPatience is how long an answer from /proc is awaited. If it would be no
// other than busy, what is held is saved when the handle is released.
const procPatience = 150 * time.Millisecond
