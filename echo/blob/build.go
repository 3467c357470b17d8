package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Content is what Build makes a version of.
type Content interface {
	// Size returns the length of the content.
	Size() int64
	// Base returns the version of which blocks that did not change are taken, or
	// nil where there is none.
	Base() *Index
	// Block tells what a block is.
	Block(n int64) State
	// ReadAt fills p, which does not reach beyond the end.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
}

// State tells what a block of a Content is.
type State uint8

// The states of a block.
const (
	Changed State = iota // it may be anything
	Same                 // it is the base's
	Hole                 // it is zeros
)

// builders is how many chunks are sealed at the same time.
const builders = 2

// Build stores the chunks of a version and returns its root and index. The
// chunks that did not change are those of the base. put stores a chunk, durable as
// Store.Put has it; the root is the last. An empty file has a root too, so that no
// two versions have the same.
func Build(ctx context.Context, put func(Address, []byte) error, keys Keys, c Content) (Address, *Index, error) {
	size := c.Size()
	if size > MaxSize {
		return Address{}, nil, fmt.Errorf("%d bytes: %w", size, ErrTooLarge)
	}
	b := &builder{put: put, keys: keys, content: c, index: &Index{Size: size}}
	if size <= InlineSize {
		return b.inline(ctx)
	}
	return b.build(ctx)
}

type builder struct {
	put     func(Address, []byte) error
	keys    Keys
	content Content
	index   *Index
}

func (b *builder) inline(ctx context.Context) (Address, *Index, error) {
	b.index.inline = make([]byte, b.index.Size)
	if err := readFull(ctx, b.content, b.index.inline, 0); err != nil {
		return Address{}, nil, err
	}
	root, err := b.seal(kindRoot, encodeRoot(b.index.Size, 0, b.index.inline))
	return root, b.index, err
}

func (b *builder) seal(kind chunkKind, payload []byte) (Address, error) {
	a, sealed, err := sealChunk(b.keys, kind, payload)
	if err != nil {
		return a, err
	}
	return a, b.put(a, sealed)
}

func (b *builder) build(ctx context.Context) (Address, *Index, error) {
	b.index.chunks = make([]Address, blocks(b.index.Size))
	if err := b.sealBlocks(ctx); err != nil {
		return Address{}, nil, err
	}
	level, top := byte(1), b.index.chunks
	if len(b.index.chunks) > listLength {
		if err := b.sealLists(); err != nil {
			return Address{}, nil, err
		}
		level, top = 2, b.index.lists
	}
	root, err := b.seal(kindRoot, encodeRoot(b.index.Size, level, encodeList(top)))
	return root, b.index, err
}

// sealBlocks stores the blocks that changed.
func (b *builder) sealBlocks(ctx context.Context) error {
	base := b.content.Base()
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(builders)
	for n := range b.index.chunks {
		state := b.content.Block(int64(n))
		switch {
		case state == Hole:
			continue
		case state == Same && base != nil && n < len(base.chunks):
			b.index.chunks[n] = base.chunks[n]
			continue
		case inner.Err() != nil:
			return errors.Join(g.Wait(), context.Cause(ctx))
		}
		g.Go(func() error { return b.sealBlock(inner, n) })
	}
	return g.Wait()
}

func (b *builder) sealBlock(ctx context.Context, n int) error {
	off := int64(n) * ChunkSize
	buf := make([]byte, min(ChunkSize, b.index.Size-off))
	if err := readFull(ctx, b.content, buf, off); err != nil {
		return fmt.Errorf("read block %d: %w", n, err)
	}
	if isZero(buf) {
		return nil // a hole
	}
	var err error
	b.index.chunks[n], err = b.seal(kindData, buf)
	return err
}

func readFull(ctx context.Context, c Content, p []byte, off int64) error {
	n, err := c.ReadAt(ctx, p, off)
	if n == len(p) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%d of %d bytes at %d", n, len(p), off)
	}
	return err
}

var zeros [4096]byte

func isZero(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), len(zeros))
		if !bytes.Equal(p[:n], zeros[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}

// sealLists stores the lists that changed.
func (b *builder) sealLists() error {
	base := b.content.Base()
	for from := 0; from < len(b.index.chunks); from += listLength {
		part := b.index.chunks[from:min(from+listLength, len(b.index.chunks))]
		list, err := b.listOf(base, from, part)
		if err != nil {
			return err
		}
		b.index.lists = append(b.index.lists, list)
	}
	return nil
}

// listOf returns the address of a list: that of the base's, if it is the same.
func (b *builder) listOf(base *Index, from int, part []Address) (Address, error) {
	if n := from / listLength; base != nil && n < len(base.lists) && from+len(part) <= len(base.chunks) {
		same := base.chunks[from:min(from+listLength, len(base.chunks))]
		if len(same) == len(part) && equal(same, part) {
			return base.lists[n], nil
		}
	}
	holes := true
	for _, a := range part {
		holes = holes && a.IsHole()
	}
	if holes {
		return Address{}, nil
	}
	return b.seal(kindList, encodeList(part))
}

func equal(a, b []Address) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
