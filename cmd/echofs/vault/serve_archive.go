package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"echofs/cmd/echofs/control"
)

func (v *Vault) registerArchives() {
	control.HandleStream(v.server, control.ExportSpace, v.exportSpace)
	control.HandleUpload(v.server, control.ImportSpace, v.importSpace)
	control.Handle(v.server, control.CompactSpace, v.compactSpace)
}

// exportChunk is how many bytes of an archive go into one item.
const exportChunk = 256 << 10

func (v *Vault) exportSpace(ctx context.Context, req control.SpaceRef, send func(control.Chunk) error) error {
	s, err := v.space(req.Space)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(chunkWriter(send), exportChunk)
	if err := s.Export(ctx, w); err != nil {
		return fmt.Errorf("export space %s: %w", s.Name(), err)
	}
	return w.Flush()
}

// chunkWriter sends what is written.
type chunkWriter func(control.Chunk) error

func (send chunkWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), exportChunk)
		if err := send(control.Chunk{Data: rest[:n]}); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func (v *Vault) importSpace(ctx context.Context, req control.SpaceImport, body io.Reader) (control.Space, error) {
	s, err := v.repo.Import(ctx, body, req.Name)
	if err != nil {
		return control.Space{}, err
	}
	return spaceLine(ctx, s)
}

func (v *Vault) compactSpace(ctx context.Context, req control.SpaceRef) (control.Compacted, error) {
	s, err := v.space(req.Space)
	if err != nil {
		return control.Compacted{}, err
	}
	before, err := v.storeSize()
	if err != nil {
		return control.Compacted{}, err
	}
	if err := compact(ctx, s); err != nil {
		return control.Compacted{}, fmt.Errorf("compact space %s: %w", s.Name(), err)
	}
	after, err := v.storeSize()
	return control.Compacted{Before: before, After: after}, err
}

// compacter is a space that can store its documents in less room.
type compacter interface{ Compact(context.Context) error }

func compact(ctx context.Context, s any) error {
	c, ok := s.(compacter)
	if !ok {
		return errors.ErrUnsupported
	}
	return c.Compact(ctx)
}
