package archive

import (
	"errors"

	"echofs/echo/doc"
)

// Errors that callers tell apart.
var (
	// ErrFormat is wrapped where a file is no archive, or a damaged one.
	ErrFormat = errors.New("not a valid space archive")
	// ErrTooLarge is wrapped where an archive exceeds a limit.
	ErrTooLarge = errors.New("space archive is too large")
)

// Version is the version of the format.
const Version = 1

// Archive is the content of an archive.
type Archive struct {
	Metadata  Metadata
	Root      doc.DocumentID
	Documents []Document // the root first, then as they are in the file; each id once
	Extra     []string   // names of files that Read did not know; not written
}

// Metadata says where an archive comes from.
type Metadata struct {
	Version         int    // of the format: Version; Write takes 0 for it too
	CreatedAt       int64  // milliseconds since 1970
	OriginalSpaceID string // of the exported space; may be empty
}

// Document is one document: Automerge chunks, one after the other.
type Document struct {
	ID   doc.DocumentID
	Data []byte
}

// Limits bounds what Read takes. A zero field means the default.
type Limits struct {
	Documents     int   // number of documents
	DocumentBytes int64 // bytes of one document
	TotalBytes    int64 // bytes of the unpacked tar, headers included
	Extra         int   // number of files that are not known
}

// The default limits: the objects a space may have and a root, and what fits
// in the memory of a small machine.
const (
	DefaultDocuments     = 1_000_001
	DefaultDocumentBytes = 256 << 20
	DefaultTotalBytes    = 2 << 30
	DefaultExtra         = 10_000
)

// maxMetadata bounds metadata.json in bytes.
const maxMetadata = 1 << 20

func (l Limits) withDefaults() Limits {
	if l.Documents == 0 {
		l.Documents = DefaultDocuments
	}
	if l.DocumentBytes == 0 {
		l.DocumentBytes = DefaultDocumentBytes
	}
	if l.TotalBytes == 0 {
		l.TotalBytes = DefaultTotalBytes
	}
	if l.Extra == 0 {
		l.Extra = DefaultExtra
	}
	return l
}

// The names of files in an archive.
const (
	documentPrefix = "documents/"
	documentSuffix = ".bin"
	metadataName   = "metadata.json"
)

// metadata is metadata.json, in the order of its fields.
type metadata struct {
	Version         int    `json:"version"`
	CreatedAt       int64  `json:"createdAt"`
	OriginalSpaceID string `json:"originalSpaceId"`
	Echo            struct {
		CurrentRootURL string `json:"currentRootUrl"`
	} `json:"echo"`
}
