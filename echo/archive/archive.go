// Package archive reads and writes ECHO space archives, the files in which
// spaces are handed to and from other ECHO software.
//
// # Format
//
// An archive is a plain ustar file without directory entries:
//
//	documents/<documentId>.bin    the chunks of an Automerge document
//	metadata.json                 {"version":1,"createdAt":<ms>,"originalSpaceId":"B…",
//	                               "echo":{"currentRootUrl":"automerge:<documentId>"}}
//
// Write puts the root document first, the others in the order in which they are
// given, and the metadata last. Read takes the entries in any order, and the
// whole compressed by gzip. What else there is (such as feeds/…) is listed in
// Archive.Extra and left out. The chunks themselves are not looked at.
//
// Archives come from other people: counts and sizes are bounded, names that are
// not those above are never used as paths.
package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"echofs/echo/doc"
)

// Errors of Read.
var (
	// ErrFormat is wrapped where the input is no archive of a space.
	ErrFormat = errors.New("not a space archive")
	// ErrTooLarge is wrapped where a limit is exceeded.
	ErrTooLarge = errors.New("space archive too large")
)

// Limits bound what Read accepts. The zero value of a member stands for the
// member of DefaultLimits.
type Limits struct {
	Document  int64 // bytes of one document
	Total     int64 // bytes of all documents
	Documents int
	Entries   int // entries of the file, the unknown ones included
}

// DefaultLimits are enough for a space of a million objects.
var DefaultLimits = Limits{Document: 64 << 20, Total: 4 << 30, Documents: 1_100_000, Entries: 1_200_000}

func (l Limits) orDefault() Limits {
	return Limits{
		Document: cmp.Or(l.Document, DefaultLimits.Document), Total: cmp.Or(l.Total, DefaultLimits.Total),
		Documents: cmp.Or(l.Documents, DefaultLimits.Documents), Entries: cmp.Or(l.Entries, DefaultLimits.Entries),
	}
}

// Metadata says where an archive comes from.
type Metadata struct {
	Version         int
	CreatedAt       int64 // ms since 1970
	OriginalSpaceID string
}

// Document is one document of an archive.
type Document struct {
	ID   doc.DocumentID
	Data []byte // Automerge chunks, one after another
}

// Archive is a space as it is handed on.
type Archive struct {
	Metadata  Metadata
	Root      doc.DocumentID // the document with the links to the others
	Documents []Document
	Extra     []string // names of entries that Read left out
}

// metadataWire is metadata.json.
type metadataWire struct {
	Version         int    `json:"version"`
	CreatedAt       int64  `json:"createdAt"`
	OriginalSpaceID string `json:"originalSpaceId"`
	Echo            struct {
		CurrentRootURL string `json:"currentRootUrl"`
	} `json:"echo"`
}

const (
	metadataName   = "metadata.json"
	documentPrefix = "documents/"
	documentSuffix = ".bin"
	maxMetadata    = 1 << 20
	maxExtra       = 1000 // names that are listed

	// version is the format's version, the only one there is.
	version = 1
)

// Read reads an archive. It fails with ErrFormat or ErrTooLarge, or an error
// of r.
func Read(r io.Reader, lim Limits) (*Archive, error) {
	plain, err := decompress(r)
	if err != nil {
		return nil, fmt.Errorf("read space archive: %w", err)
	}
	in := &reader{lim: lim.orDefault(), tar: tar.NewReader(plain), seen: make(map[doc.DocumentID]bool)}
	if err := in.readAll(); err != nil {
		return nil, fmt.Errorf("read space archive: %w", err)
	}
	return &in.archive, nil
}

// decompress returns r, uncompressed if it is compressed.
func decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, err := b.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return z, nil
}

// reader is a Read under way.
type reader struct {
	lim     Limits
	tar     *tar.Reader
	archive Archive
	seen    map[doc.DocumentID]bool
	total   int64
	known   bool // the metadata was read
}

func (in *reader) readAll() error {
	for n := 0; ; n++ {
		h, err := in.tar.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		if n >= in.lim.Entries {
			return fmt.Errorf("more than %d entries: %w", in.lim.Entries, ErrTooLarge)
		}
		if err := in.entry(h); err != nil {
			return err
		}
	}
	switch {
	case !in.known:
		return fmt.Errorf("no %s: %w", metadataName, ErrFormat)
	case !in.seen[in.archive.Root]:
		return fmt.Errorf("the root document %s is missing: %w", in.archive.Root, ErrFormat)
	}
	return nil
}

func (in *reader) entry(h *tar.Header) error {
	name := strings.TrimPrefix(h.Name, "./")
	id, isDocument := documentID(name)
	switch {
	case h.Typeflag == tar.TypeDir:
		return nil
	case h.Typeflag != tar.TypeReg:
		in.extra(name)
		return nil
	case name == metadataName:
		return in.metadata(h.Size)
	case isDocument:
		return in.document(id, h.Size)
	}
	in.extra(name)
	return nil
}

// documentID returns the id that an entry's name has.
func documentID(name string) (doc.DocumentID, bool) {
	rest, ok := strings.CutPrefix(name, documentPrefix)
	if !ok {
		return doc.DocumentID{}, false
	}
	text, ok := strings.CutSuffix(rest, documentSuffix)
	if !ok || strings.HasPrefix(text, doc.URLPrefix) {
		return doc.DocumentID{}, false
	}
	id, err := doc.ParseDocumentID(text)
	return id, err == nil
}

func (in *reader) extra(name string) {
	if len(in.archive.Extra) < maxExtra {
		in.archive.Extra = append(in.archive.Extra, name)
	}
}

func (in *reader) metadata(size int64) error {
	if in.known {
		return fmt.Errorf("%s twice: %w", metadataName, ErrFormat)
	}
	if size > maxMetadata {
		return fmt.Errorf("%s of %d bytes: %w", metadataName, size, ErrTooLarge)
	}
	b, err := io.ReadAll(in.tar)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", metadataName, ErrFormat, err)
	}
	var w metadataWire
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("%s: %w: %w", metadataName, ErrFormat, err)
	}
	if w.Version != version {
		return fmt.Errorf("version %d, only %d is known: %w", w.Version, version, ErrFormat)
	}
	if in.archive.Root, err = doc.ParseDocumentID(w.Echo.CurrentRootURL); err != nil {
		return fmt.Errorf("%s: root document: %w: %w", metadataName, ErrFormat, err)
	}
	in.archive.Metadata = Metadata{w.Version, w.CreatedAt, w.OriginalSpaceID}
	in.known = true
	return nil
}

func (in *reader) document(id doc.DocumentID, size int64) error {
	in.total += size
	switch {
	case in.seen[id]:
		return fmt.Errorf("document %s twice: %w", id, ErrFormat)
	case len(in.seen) >= in.lim.Documents:
		return fmt.Errorf("more than %d documents: %w", in.lim.Documents, ErrTooLarge)
	case size > in.lim.Document:
		return fmt.Errorf("document %s of %d bytes: %w", id, size, ErrTooLarge)
	case in.total > in.lim.Total:
		return fmt.Errorf("more than %d bytes: %w", in.lim.Total, ErrTooLarge)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, in.tar); err != nil {
		return fmt.Errorf("document %s: %w: %w", id, ErrFormat, err)
	}
	in.seen[id] = true
	in.archive.Documents = append(in.archive.Documents, Document{id, b.Bytes()})
	return nil
}

// Write writes an archive. The same archive gives the same bytes. It fails if
// there is no document of the id Root, or an error of w.
func Write(w io.Writer, a *Archive) error {
	if err := write(tar.NewWriter(w), a); err != nil {
		return fmt.Errorf("write space archive: %w", err)
	}
	return nil
}

func write(t *tar.Writer, a *Archive) error {
	when := time.UnixMilli(a.Metadata.CreatedAt).Truncate(time.Second)
	put := func(name string, data []byte) error {
		h := &tar.Header{Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: name,
			Size: int64(len(data)), Mode: 0o644, ModTime: when}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		_, err := t.Write(data)
		return err
	}
	found := false
	for _, first := range []bool{true, false} {
		for _, d := range a.Documents {
			if (d.ID == a.Root) != first {
				continue
			}
			found = found || first
			if err := put(documentPrefix+d.ID.String()+documentSuffix, d.Data); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("the root document %s is missing: %w", a.Root, ErrFormat)
	}
	m := metadataWire{Version: version, CreatedAt: a.Metadata.CreatedAt, OriginalSpaceID: a.Metadata.OriginalSpaceID}
	m.Echo.CurrentRootURL = a.Root.URL()
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := put(metadataName, b); err != nil {
		return err
	}
	return t.Close()
}
