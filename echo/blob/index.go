package blob

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// listLength is how many addresses a list holds: 64 KiB of them.
const listLength = 2048

// The payload of a root chunk:
//
//	size u64 | level 1 | content
//
// Level 0: the content of the file. Level 1: the addresses of its chunks. Level 2:
// the addresses of lists, which hold the addresses of its chunks, listLength in
// each but the last. A hole of a list stands for a list of holes.
const rootHeader = 8 + 1

// Index says which chunks a version of a file is made of. It is not changed.
type Index struct {
	Size   int64
	inline []byte    // the content, where the root holds it
	lists  []Address // of chunks, where there are more than one list
	chunks []Address // in the order of the content
}

// blocks returns how many chunks a size has.
func blocks(size int64) int64 { return (size + ChunkSize - 1) / ChunkSize }

// ReadIndex reads the index of the version that a root names. The error wraps
// ErrMissing where a chunk of it is not here. The zero root is that of an empty
// file.
func ReadIndex(ctx context.Context, src Source, keys Keys, root Address) (*Index, error) {
	if root.IsHole() {
		return &Index{}, nil
	}
	payload, err := read(ctx, src, keys, kindRoot, root)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", root, err)
	}
	x, rest, err := decodeRoot(payload)
	if err != nil {
		return nil, fmt.Errorf("root %s: %w", root, err)
	}
	if x.lists == nil {
		return x, nil
	}
	x.chunks = make([]Address, 0, blocks(x.Size))
	for _, list := range x.lists {
		n := min(rest, listLength)
		part, err := readList(ctx, src, keys, list, n)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", list, err)
		}
		x.chunks = append(x.chunks, part...)
		rest -= n
	}
	return x, nil
}

func read(ctx context.Context, src Source, keys Keys, kind chunkKind, a Address) ([]byte, error) {
	sealed, err := src.Get(ctx, a)
	if err != nil {
		return nil, err
	}
	return openChunk(keys, kind, sealed)
}

func readList(ctx context.Context, src Source, keys Keys, list Address, n int) ([]Address, error) {
	if list.IsHole() {
		return make([]Address, n), nil
	}
	payload, err := read(ctx, src, keys, kindList, list)
	if err != nil {
		return nil, err
	}
	return decodeList(payload, n)
}

// decodeRoot reads the payload of a root and returns how many chunks the lists
// are to have, where it names lists.
func decodeRoot(payload []byte) (x *Index, chunks int, err error) {
	if len(payload) < rootHeader {
		return nil, 0, fmt.Errorf("root of %d bytes: %w", len(payload), ErrDamaged)
	}
	size := binary.BigEndian.Uint64(payload)
	level, rest := payload[8], payload[rootHeader:]
	if size > MaxSize {
		return nil, 0, fmt.Errorf("size %d: %w", size, ErrDamaged)
	}
	x = &Index{Size: int64(size)}
	n := int(blocks(x.Size))
	switch {
	case level == 0 && size <= InlineSize && int(size) <= len(rest):
		x.inline = slices.Clone(rest[:size])
		return x, 0, nil
	case level == 1 && n <= listLength:
		x.chunks, err = decodeList(rest, n)
		return x, 0, err
	case level == 2 && n > listLength:
		x.lists, err = decodeList(rest, (n+listLength-1)/listLength)
		return x, n, err
	}
	return nil, 0, fmt.Errorf("root of level %d with %d bytes for a size of %d: %w", level, len(rest), size, ErrDamaged)
}

func decodeList(payload []byte, n int) ([]Address, error) {
	if len(payload) < n*len(Address{}) {
		return nil, fmt.Errorf("list of %d bytes for %d chunks: %w", len(payload), n, ErrDamaged)
	}
	out := make([]Address, n)
	for i := range out {
		copy(out[i][:], payload[i*len(Address{}):])
	}
	return out, nil
}

func encodeRoot(size int64, level byte, content []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, rootHeader+len(content)), uint64(size))
	return append(append(b, level), content...)
}

func encodeList(list []Address) []byte {
	b := make([]byte, 0, len(list)*len(Address{}))
	for _, a := range list {
		b = append(b, a[:]...)
	}
	return b
}

// Chunks calls fn for the address of every chunk that holds content or
// addresses, the root apart, until fn returns false. A chunk can come twice.
func (x *Index) Chunks(fn func(Address) bool) {
	for _, list := range [][]Address{x.lists, x.chunks} {
		for _, a := range list {
			if !a.IsHole() && !fn(a) {
				return
			}
		}
	}
}

// Stored returns how many bytes of the content are stored, holes left out.
func (x *Index) Stored() (n int64) {
	n = int64(len(x.inline))
	for i, a := range x.chunks {
		if !a.IsHole() {
			n += min(ChunkSize, x.Size-int64(i)*ChunkSize)
		}
	}
	return n
}

// Missing returns addresses of chunks that a version needs and that has reports
// to be missing, the lists first, at most limit. complete tells that none is; it
// is false also where that cannot be known yet.
func Missing(ctx context.Context, src Source, keys Keys, root Address, has func(Address) bool, limit int) (out []Address, complete bool, err error) {
	if root.IsHole() {
		return nil, true, nil
	}
	if !has(root) {
		return []Address{root}, false, nil
	}
	payload, err := read(ctx, src, keys, kindRoot, root)
	if err != nil {
		return nil, false, fmt.Errorf("root %s: %w", root, err)
	}
	x, rest, err := decodeRoot(payload)
	if err != nil {
		return nil, false, fmt.Errorf("root %s: %w", root, err)
	}
	need := func(list []Address) {
		for _, a := range list {
			if len(out) < limit && !a.IsHole() && !has(a) {
				out = append(out, a)
			}
		}
	}
	need(x.lists)
	need(x.chunks)
	for _, list := range x.lists {
		n := min(rest, listLength)
		rest -= n
		if list.IsHole() || !has(list) || len(out) >= limit {
			continue
		}
		part, err := readList(ctx, src, keys, list, n)
		if err != nil {
			return nil, false, fmt.Errorf("list %s: %w", list, err)
		}
		need(part)
	}
	return out, len(out) == 0, nil
}
