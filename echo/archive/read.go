package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"echofs/echo/doc"
)

// Read reads an archive to its end. It fails with an error that wraps ErrFormat
// or ErrTooLarge, or with the error of r.
func Read(r io.Reader, lim Limits) (*Archive, error) {
	rd := &reader{lim: lim.withDefaults(), seen: map[doc.DocumentID]bool{}}
	if err := rd.readAll(r); err != nil {
		return nil, fmt.Errorf("read space archive: %w", err)
	}
	return &rd.archive, nil
}

type reader struct {
	lim      Limits
	archive  Archive
	seen     map[doc.DocumentID]bool
	metadata bool // was read
}

func (rd *reader) readAll(r io.Reader) error {
	source := &failing{r: r}
	plain, err := unzip(source)
	if err != nil {
		return source.explain(err)
	}
	limited := &limit{r: plain, left: rd.lim.TotalBytes}
	if err := rd.readTar(tar.NewReader(limited)); err != nil {
		return source.explain(err)
	}
	// What follows the tar is only padding, but gzip's checksum is behind it.
	if _, err := io.Copy(io.Discard, limited); err != nil {
		return source.explain(err)
	}
	return rd.finish()
}

// unzip returns what r holds without gzip, if it has that.
func unzip(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	magic, err := b.Peek(2)
	if err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return gzip.NewReader(b)
	}
	return b, nil
}

func (rd *reader) readTar(t *tar.Reader) error {
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) { // we look at names ourselves
			return err
		}
		if err := rd.readEntry(h, t); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
}

func (rd *reader) readEntry(h *tar.Header, r io.Reader) error {
	name := strings.TrimPrefix(h.Name, "./")
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeDir:
		if name == "" {
			return nil
		}
		return checkName(strings.TrimSuffix(name, "/"))
	case tar.TypeReg:
	default:
		return fmt.Errorf("%w: neither a file nor a directory", ErrFormat)
	}
	if err := checkName(name); err != nil {
		return err
	}
	id, isDocument := strings.CutPrefix(name, documentPrefix)
	if isDocument {
		id, isDocument = strings.CutSuffix(id, documentSuffix)
	}
	switch {
	case isDocument:
		return rd.readDocument(id, h.Size, r)
	case name == metadataName:
		return rd.readMetadata(r)
	}
	if len(rd.archive.Extra) == rd.lim.Extra {
		return fmt.Errorf("%w: more than %d unknown files", ErrTooLarge, rd.lim.Extra)
	}
	rd.archive.Extra = append(rd.archive.Extra, name)
	return nil
}

// checkName refuses names that are not paths down from the archive's top.
func checkName(name string) error {
	if name == "." || name == ".." || name != path.Clean(name) || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "../") {
		return fmt.Errorf("%w: unsafe name", ErrFormat)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f || r == '\uFFFD' }) {
		return fmt.Errorf("%w: unsafe character in name", ErrFormat)
	}
	return nil
}

func (rd *reader) readDocument(text string, size int64, r io.Reader) error {
	id, err := doc.ParseDocumentID(text)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrFormat, err)
	case id.String() != text:
		return fmt.Errorf("%w: document id is not in its one form", ErrFormat)
	case rd.seen[id]:
		return fmt.Errorf("%w: document is there twice", ErrFormat)
	case len(rd.seen) == rd.lim.Documents:
		return fmt.Errorf("%w: more than %d documents", ErrTooLarge, rd.lim.Documents)
	case size > rd.lim.DocumentBytes:
		return fmt.Errorf("%w: document of %d bytes, the limit is %d", ErrTooLarge, size, rd.lim.DocumentBytes)
	}
	// Grows with what is there, whatever size the header claims.
	data, err := io.ReadAll(io.LimitReader(r, rd.lim.DocumentBytes))
	if err != nil {
		return err
	}
	rd.seen[id] = true
	rd.archive.Documents = append(rd.archive.Documents, Document{id, data})
	return nil
}

func (rd *reader) readMetadata(r io.Reader) error {
	if rd.metadata {
		return fmt.Errorf("%w: it is there twice", ErrFormat)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxMetadata+1))
	if err != nil {
		return err
	}
	if len(data) > maxMetadata {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxMetadata)
	}
	var m metadata
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if m.Version != Version {
		return fmt.Errorf("%w: version %d, known is %d", ErrFormat, m.Version, Version)
	}
	root, err := doc.ParseDocumentID(m.Echo.CurrentRootURL)
	if err != nil {
		return fmt.Errorf("%w: root: %w", ErrFormat, err)
	}
	rd.metadata = true
	rd.archive.Root = root
	rd.archive.Metadata = Metadata{Version: m.Version, CreatedAt: m.CreatedAt, OriginalSpaceID: m.OriginalSpaceID}
	return nil
}

// finish checks that all is there, and puts the root first.
func (rd *reader) finish() error {
	if !rd.metadata {
		return fmt.Errorf("%w: no %s", ErrFormat, metadataName)
	}
	docs := rd.archive.Documents
	i := slices.IndexFunc(docs, func(d Document) bool { return d.ID == rd.archive.Root })
	if i < 0 {
		return fmt.Errorf("%w: no root document %s", ErrFormat, rd.archive.Root)
	}
	root := docs[i]
	copy(docs[1:], docs[:i])
	docs[0] = root
	return nil
}

// limit fails when more than left bytes are read.
type limit struct {
	r    io.Reader
	left int64
}

func (l *limit) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, fmt.Errorf("%w: more bytes than the limit", ErrTooLarge)
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1] // one more, to see that there is more
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, err
}

// failing remembers an error of the source, to tell it from a damaged archive.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// explain returns an error that wraps ErrFormat, unless the source or a limit
// is to blame.
func (f *failing) explain(err error) error {
	switch {
	case f.err != nil:
		return f.err
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrFormat):
		return err
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}
