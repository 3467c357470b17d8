package fs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"unicode/utf8"

	"echofs/echo"
	"echofs/echo/blob"
)

// Renames of blobs, and of local files that become blobs: their content is never
// in memory as a whole.

// kindOf is the kind of a new file by its name.
func kindOf(name string) echo.Kind {
	if path.Ext(name) == ".json" {
		return echo.KindObject
	}
	return echo.KindText
}

// isBlob reports whether the renamed file is to be a blob, where it would be of
// another kind by its name or by what it replaces.
func (r *renaming) isBlob(kind echo.Kind) bool {
	switch {
	case kind == echo.KindObject:
		return false
	case r.src.Kind == echo.KindBlob:
		return true
	}
	return r.src.Kind == echo.KindLocal && !r.t.local.isText(r.src.Ino)
}

// isText reports whether a local file can be a text.
func (l localDir) isText(ino echo.Ino) bool {
	data, all, err := l.read(ino, maxText)
	return err != nil || all && bytes.IndexByte(data, 0) < 0 && utf8.Valid(data)
}

// blobSave is the save of an object that a rename of a local file stands for.
// close is to be called when it is done.
func (r *renaming) blobSave(object echo.Node) (s echo.BlobSave, closeFile func(), err error) {
	f, err := os.Open(r.t.local.path(r.src.Ino))
	if err != nil {
		return s, nil, err
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return s, nil, err
	}
	text := r.save(object, nil)
	s = echo.BlobSave{Content: fileContent{f, st.Size()}, Rule: text.Rule, Seen: text.Base}
	return s, func() { _ = f.Close() }, nil
}

// base returns the version of a blob that its author was looking at.
func (r *renaming) base(object echo.Node, seen *echo.Version) (echo.BlobVersion, error) {
	current, ok := object.Blob()
	if !ok || seen == nil {
		return current, nil
	}
	return r.t.repo.BlobSeen(r.ctx, object.Ino, *seen)
}

// saveBlobOver renames onto an object what is no text.
func (r *renaming) saveBlobOver() error {
	if r.src.Kind == echo.KindBlob {
		text := r.save(r.dst, nil)
		base, err := r.base(r.dst, text.Base)
		if err != nil {
			return err
		}
		r.expectRemoved()
		saved, err := r.t.repo.ReplaceByBlob(r.ctx, r.src.Ino, r.dst.Ino, base, text.Rule)
		if err == nil {
			r.became(r.dst, saved)
		}
		return err
	}
	s, done, err := r.blobSave(r.dst)
	if err != nil {
		return err
	}
	defer done()
	if s.Base, err = r.base(r.dst, s.Seen); err != nil {
		return err
	}
	s.Ino, s.Consume = r.dst.Ino, r.src.Ino
	r.expectRemoved()
	saved, err := r.t.repo.SaveBlob(r.ctx, s)
	if err == nil {
		r.became(r.dst, saved)
	}
	return err
}

// attachBlob renames a local file that is no text to a name where no file is.
func (r *renaming) attachBlob() error {
	s, done, err := r.blobSave(r.was())
	if err != nil {
		return err
	}
	defer done()
	r.expectRemoved()
	saved, err := r.t.repo.AttachBlob(r.ctx, r.src.Ino, r.to.parent, r.to.name, s)
	if err == nil {
		r.became(saved.Node, saved)
	}
	return err
}

// copyOut makes the content of an object that of a local file of its number, and
// returns its size.
func (r *renaming) copyOut() (int64, error) {
	if r.src.Kind == echo.KindBlob {
		return r.copyBlob()
	}
	data, err := r.content()
	if err != nil {
		return 0, err
	}
	return int64(len(data)), r.t.local.write(r.src.Ino, data)
}

func (r *renaming) copyBlob() (int64, error) {
	v, _ := r.src.Blob()
	c, err := r.t.repo.OpenBlob(r.ctx, r.src.Space, v)
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(r.t.local.path(r.src.Ino), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	err = copyContent(r.ctx, f, c)
	if err = errors.Join(err, f.Close()); err != nil {
		r.t.local.drop(r.src.Ino)
	}
	return c.Size(), err
}

// copyContent writes a version into a plain file.
func copyContent(ctx context.Context, f *os.File, c *blob.Reader) error {
	buf := make([]byte, blob.ChunkSize)
	for off := int64(0); off < c.Size(); {
		n, err := c.ReadAt(ctx, buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := f.WriteAt(buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
	}
	return f.Truncate(c.Size())
}

// saveBackingBlob saves what was written through a local handle after its file
// had become an object, where it is no text.
func (t *tree) saveBackingBlob(ctx context.Context, h *localHandle, n echo.Node, base *echo.Version, rule string) error {
	st, err := h.file.Stat()
	if err != nil {
		return err
	}
	s := echo.BlobSave{Ino: n.Ino, Content: fileContent{h.file, st.Size()}, Rule: rule, Seen: base}
	s.Base, _ = n.Blob()
	saved, err := t.repo.SaveBlob(ctx, s)
	if err != nil {
		return err
	}
	t.bases.wrote(h.who.last(), n.ID, saved.Wrote)
	t.changed(n.Ino)
	return nil
}
