package doc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mr-tron/base58"
	"github.com/oklog/ulid/v2"
)

// ErrBadID is wrapped by every error of the parsers of identifiers.
var ErrBadID = errors.New("malformed identifier")

// DocumentID names an Automerge document. Its text form is base58check of the
// 16 bytes, as in automerge-repo.
type DocumentID [16]byte

// IsZero reports whether id is the zero id, which names no document.
func (id DocumentID) IsZero() bool { return id == DocumentID{} }

// URLPrefix stands before a DocumentID in an Automerge URL.
const URLPrefix = "automerge:"

// String returns the base58check form, about 27 characters.
func (id DocumentID) String() string {
	sum := checksum(id[:])
	return base58.Encode(append(id[:], sum[:4]...))
}

// URL returns "automerge:" and the base58check form.
func (id DocumentID) URL() string { return URLPrefix + id.String() }

// ParseDocumentID reads the base58check form, with or without the prefix
// "automerge:". It fails with ErrBadID on a wrong length or checksum.
func ParseDocumentID(s string) (DocumentID, error) {
	var id DocumentID
	raw, err := base58.Decode(strings.TrimPrefix(s, URLPrefix))
	if err != nil || len(raw) != len(id)+4 {
		return id, fmt.Errorf("document id %q: %w", s, ErrBadID)
	}
	sum := checksum(raw[:len(id)])
	if !bytes.Equal(sum[:4], raw[len(id):]) {
		return id, fmt.Errorf("document id %q: wrong checksum: %w", s, ErrBadID)
	}
	copy(id[:], raw)
	return id, nil
}

func checksum(b []byte) [32]byte {
	once := sha256.Sum256(b)
	return sha256.Sum256(once[:])
}

// ObjectID names an ECHO object: a ULID.
type ObjectID [16]byte

// String returns the 26 characters of the ULID in upper case.
func (id ObjectID) String() string { return ulid.ULID(id).String() }

// IsZero reports whether id is the zero id, which stands for a space's root
// folder wherever a parent is named.
func (id ObjectID) IsZero() bool { return id == ObjectID{} }

// Compare orders ids by their bytes, which is the order of their text.
func (id ObjectID) Compare(other ObjectID) int { return bytes.Compare(id[:], other[:]) }

// ParseObjectID reads the 26 characters of a ULID in either case. It fails
// with ErrBadID on anything else.
func ParseObjectID(s string) (ObjectID, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil {
		return ObjectID{}, fmt.Errorf("object id %q: %w", s, ErrBadID)
	}
	return ObjectID(id), nil
}

// ActorID names the author of a sequence of changes in one document.
type ActorID [16]byte

// String returns the id in hexadecimal.
func (id ActorID) String() string { return hex.EncodeToString(id[:]) }

// ChangeHash is the SHA-256 by which Automerge names a change.
type ChangeHash [32]byte

// String returns the hash in hexadecimal.
func (h ChangeHash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is the zero hash, which names no change.
func (h ChangeHash) IsZero() bool { return h == ChangeHash{} }

// ParseChangeHash reads 64 hexadecimal digits.
func ParseChangeHash(s string) (ChangeHash, error) {
	var h ChangeHash
	if len(s) != 2*len(h) {
		return h, fmt.Errorf("change hash %q: %w", s, ErrBadID)
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return h, fmt.Errorf("change hash %q: %w", s, ErrBadID)
	}
	return h, nil
}

// Heads name a version of a document; sorted, without duplicates. Heads of no
// element name the empty document.
type Heads []ChangeHash

// NewHeads returns hashes sorted and without duplicates, in new memory.
func NewHeads(hashes ...ChangeHash) Heads {
	h := slices.Clone(hashes)
	slices.SortFunc(h, func(a, b ChangeHash) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(h)
}

// Equal reports whether both name the same version.
func (h Heads) Equal(other Heads) bool { return slices.Equal(h, other) }

// Contains reports whether hash is one of the heads.
func (h Heads) Contains(hash ChangeHash) bool { return slices.Contains(h, hash) }

// Strings returns the heads in hexadecimal; never nil.
func (h Heads) Strings() []string {
	out := make([]string, 0, len(h))
	for _, c := range h {
		out = append(out, c.String())
	}
	return out
}
