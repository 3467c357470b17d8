package guard

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"echofs/echo/doc"
)

// A chunk of Automerge's format is: 4 bytes of magic, 4 bytes of checksum, one
// byte of type, an uvarint length, and so many bytes. The checksum is the start
// of the SHA-256 of all after it. A compressed change (type 2) holds a raw
// DEFLATE stream of a change's contents, and its checksum and hash are those of
// the uncompressed change.

var magic = [4]byte{0x85, 0x6f, 0x4a, 0x83}

// Type is the type of a chunk.
type Type byte

// The types of chunks.
const (
	TypeDocument   Type = 0 // a whole document, as saved
	TypeChange     Type = 1
	TypeCompressed Type = 2 // a change, deflated
)

const prefix = len(magic) + 4 // magic and checksum

// Chunk is one chunk of a sequence.
type Chunk struct {
	Type  Type
	Bytes []byte // all of it; shares memory with what it was split from
}

// header reads a chunk's header and returns its type, its contents and what
// follows it.
func header(b []byte) (t Type, sum [4]byte, contents, rest []byte, err error) {
	if len(b) < prefix+2 || !bytes.Equal(b[:len(magic)], magic[:]) {
		return 0, sum, nil, nil, refuse(ReasonChunk, "no chunk starts here")
	}
	copy(sum[:], b[len(magic):prefix])
	t = Type(b[prefix])
	n, w := binary.Uvarint(b[prefix+1:])
	if w <= 0 || w > 1 && b[prefix+w] == 0 {
		return 0, sum, nil, nil, refuse(ReasonChunk, "bad length")
	}
	body := b[prefix+1+w:]
	if n > uint64(len(body)) {
		return 0, sum, nil, nil, refuse(ReasonChunk, "ends early")
	}
	return t, sum, body[:n:n], body[n:], nil
}

// open returns the contents of a change chunk, inflated if need be to at most
// max bytes, and its hash. The chunk must be all of b.
func open(b []byte, max int) ([]byte, doc.ChangeHash, error) {
	var hash doc.ChangeHash
	t, sum, contents, rest, err := header(b)
	switch {
	case err != nil:
		return nil, hash, err
	case len(rest) > 0:
		return nil, hash, refuse(ReasonChunk, "%d bytes follow the chunk", len(rest))
	case t == TypeCompressed:
		if contents, err = inflate(contents, max); err != nil {
			return nil, hash, err
		}
	case t != TypeChange:
		return nil, hash, refuse(ReasonType, "chunk of type %d is no change", t)
	}
	if len(contents) > max {
		return nil, hash, refuse(ReasonLimit, "%d bytes, more than %d", len(contents), max)
	}
	hash = hashOf(TypeChange, contents)
	if !bytes.Equal(hash[:4], sum[:]) {
		return nil, hash, refuse(ReasonChecksum, "wrong checksum")
	}
	return contents, hash, nil
}

// hashOf returns the hash of a chunk with these contents.
func hashOf(t Type, contents []byte) doc.ChangeHash {
	h := sha256.New()
	h.Write(binary.AppendUvarint([]byte{byte(t)}, uint64(len(contents))))
	h.Write(contents)
	return doc.ChangeHash(h.Sum(nil))
}

// inflate returns the contents of a DEFLATE stream that is all of b.
func inflate(b []byte, max int) ([]byte, error) {
	in := bytes.NewReader(b)
	r := flate.NewReader(in)
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, int64(max)+1))
	switch {
	case n > int64(max):
		return nil, refuse(ReasonLimit, "inflates to more than %d bytes", max)
	case err != nil:
		return nil, refuse(ReasonChunk, "does not inflate: %v", err)
	case in.Len() > 0:
		return nil, refuse(ReasonChunk, "%d bytes follow the compressed data", in.Len())
	}
	return out.Bytes(), nil
}

// Hash returns the hash of the change that is all of chunk, checking no more
// than that it is one, that its checksum is right, and that it inflates within
// the default limits.
func Hash(chunk []byte) (doc.ChangeHash, error) {
	_, hash, err := open(chunk, MaxInflated)
	return hash, err
}

// deflateAbove is the size from which on Deflate tries. Automerge itself starts
// at 256 bytes; below some kilobytes what the store saves is not worth the time.
const deflateAbove = 4 << 10

// Deflate returns the same change in compressed form where that is smaller. It
// returns chunk itself where it is not, or where chunk is no plain change.
func Deflate(chunk []byte) []byte {
	t, _, contents, rest, err := header(chunk)
	if err != nil || t != TypeChange || len(rest) > 0 || len(contents) <= deflateAbove {
		return chunk
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return chunk
	}
	if _, err := w.Write(contents); err != nil {
		return chunk
	}
	if err := w.Close(); err != nil {
		return chunk
	}
	out := append([]byte(nil), chunk[:prefix]...)
	out = append(out, byte(TypeCompressed))
	out = binary.AppendUvarint(out, uint64(packed.Len()))
	out = append(out, packed.Bytes()...)
	if len(out) >= len(chunk) {
		return chunk
	}
	return out
}

// SplitChunks splits a file or message of chunks that follow one another:
// documents and changes, at most MaxChunks of them. It checks that the chunks fill data exactly, and looks inside none.
func SplitChunks(data []byte) ([]Chunk, error) {
	var out []Chunk
	for len(data) > 0 {
		t, _, _, rest, err := header(data)
		if err != nil {
			return nil, fmt.Errorf("chunk %d: %w", len(out)+1, err)
		}
		if t > TypeCompressed {
			return nil, fmt.Errorf("chunk %d: %w", len(out)+1, refuse(ReasonType, "type %d", t))
		}
		if len(out) == MaxChunks {
			return nil, refuse(ReasonLimit, "more than %d chunks", MaxChunks)
		}
		n := len(data) - len(rest)
		out = append(out, Chunk{Type: t, Bytes: data[:n:n]})
		data = rest
	}
	return out, nil
}

// Contents returns what is in the change that is all of chunk, inflated to at
// most max bytes, and the change's hash, checking no more than Hash does. The
// contents may share memory with chunk.
func Contents(chunk []byte, max int) ([]byte, doc.ChangeHash, error) { return open(chunk, max) }

// Change returns the chunk of a change with these contents, compressed as
// Deflate does, and its hash.
func Change(contents []byte) ([]byte, doc.ChangeHash) {
	hash := hashOf(TypeChange, contents)
	chunk := make([]byte, 0, prefix+11+len(contents))
	chunk = append(chunk, magic[:]...)
	chunk = append(chunk, hash[:4]...)
	chunk = append(chunk, byte(TypeChange))
	chunk = binary.AppendUvarint(chunk, uint64(len(contents)))
	return Deflate(append(chunk, contents...)), hash
}
