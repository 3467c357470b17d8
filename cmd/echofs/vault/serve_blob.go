package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

// blobWait is how long a command waits for content of a blob that is elsewhere.
const blobWait = 10 * time.Second

func shownBlob(b echo.BlobVersion) *control.ShownBlob {
	out := &control.ShownBlob{Size: b.Size}
	if !b.Root.IsHole() {
		out.Root = b.Root.String()
	}
	return out
}

// readObject sends the content of a file, whatever its kind and however long.
func (v *Vault) readObject(ctx context.Context, req control.ShowRequest, send func(control.Chunk) error) error {
	node, path, err := v.settled(ctx, req.PathRef)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(chunkWriter(send), exportChunk)
	if node.Kind == echo.KindBlob && !req.Canonical {
		err = v.readBlob(ctx, node, req.At, w)
	} else {
		var data []byte
		if data, err = v.repo.Show(ctx, node.Ino, req.At, req.Canonical); err == nil {
			_, err = w.Write(data)
		}
	}
	if err != nil {
		return fmt.Errorf("show %s: %w", path, err)
	}
	return w.Flush()
}

// readBlob writes a version of a blob.
func (v *Vault) readBlob(ctx context.Context, node echo.Node, at string, w io.Writer) error {
	b, err := v.repo.BlobAt(ctx, node.Ino, at)
	if err != nil || b.Root.IsHole() {
		return err
	}
	defer v.repo.HoldBlob(node.Space, b.Root)()
	first, cancel := context.WithTimeout(ctx, blobWait)
	defer cancel()
	r, err := v.repo.OpenBlob(first, node.Space, b)
	if err != nil {
		return elsewhere(err)
	}
	buf := make([]byte, exportChunk)
	for off := int64(0); off < r.Size(); {
		n, err := readPart(ctx, r, buf, off)
		if err != nil {
			return elsewhere(err)
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// readPart reads some of a blob; each part has its own time to come.
func readPart(ctx context.Context, r interface {
	ReadAt(context.Context, []byte, int64) (int, error)
}, buf []byte, off int64) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, blobWait)
	defer cancel()
	n, err := r.ReadAt(ctx, buf, off)
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return n, err
}

// elsewhere says what can be done about content that is not here.
func elsewhere(err error) error {
	if !errors.Is(err, echo.ErrUnavailable) {
		return err
	}
	return control.WithHint(err, "it comes when a device that has it is reachable; of versions that were replaced none may have it any more")
}

// diffBlob says how two versions of a blob differ; "" where they do not.
func (v *Vault) diffBlob(ctx context.Context, node echo.Node, req control.DiffRequest) (string, error) {
	version := func(at string) (echo.BlobVersion, error) {
		if at == "0" {
			return echo.BlobVersion{}, nil
		}
		return v.repo.BlobAt(ctx, node.Ino, at)
	}
	a, err := version(req.A)
	if err != nil {
		return "", err
	}
	b, err := version(req.B)
	if err != nil || a.Root == b.Root {
		return "", err
	}
	return fmt.Sprintf("binary, %d bytes -> %d bytes\n", a.Size, b.Size), nil
}
