package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"echofs/echo/doc"
)

// fileMode is what ECHO's exporter writes.
const fileMode = 0o777

// Write writes an archive. The root may stand anywhere in a.Documents, and is
// written first. It fails with an error that wraps ErrFormat where Read would
// refuse the result.
func Write(w io.Writer, a *Archive) error {
	if err := write(w, a); err != nil {
		return fmt.Errorf("write space archive: %w", err)
	}
	return nil
}

func write(w io.Writer, a *Archive) error {
	root, err := findRoot(a)
	if err != nil {
		return err
	}
	data, err := encodeMetadata(a) // before anything is written
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	created := time.UnixMilli(a.Metadata.CreatedAt)
	if err := writeDocument(t, a.Documents[root], created); err != nil {
		return err
	}
	for i, d := range a.Documents {
		if i == root {
			continue
		}
		if err := writeDocument(t, d, created); err != nil {
			return err
		}
	}
	if err := writeFile(t, metadataName, data, created); err != nil {
		return err
	}
	return t.Close()
}

// findRoot returns the index of the root document, and checks that each
// document is there once.
func findRoot(a *Archive) (int, error) {
	root := -1
	seen := make(map[doc.DocumentID]bool, len(a.Documents))
	for i, d := range a.Documents {
		if seen[d.ID] {
			return 0, fmt.Errorf("%w: document %s is there twice", ErrFormat, d.ID)
		}
		seen[d.ID] = true
		if d.ID == a.Root {
			root = i
		}
	}
	if root < 0 {
		return 0, fmt.Errorf("%w: no root document %s", ErrFormat, a.Root)
	}
	return root, nil
}

func encodeMetadata(a *Archive) ([]byte, error) {
	if v := a.Metadata.Version; v != 0 && v != Version {
		return nil, fmt.Errorf("%w: version %d, known is %d", ErrFormat, v, Version)
	}
	m := metadata{Version: Version, CreatedAt: a.Metadata.CreatedAt, OriginalSpaceID: a.Metadata.OriginalSpaceID}
	m.Echo.CurrentRootURL = a.Root.URL()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("%s: %w", metadataName, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func writeDocument(t *tar.Writer, d Document, created time.Time) error {
	return writeFile(t, documentPrefix+d.ID.String()+documentSuffix, d.Data, created)
}

func writeFile(t *tar.Writer, name string, data []byte, created time.Time) error {
	err := t.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Size:     int64(len(data)),
		Mode:     fileMode,
		ModTime:  created.Truncate(time.Second),
		Format:   tar.FormatUSTAR,
	})
	if err == nil {
		_, err = t.Write(data)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
