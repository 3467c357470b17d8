package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"testing"

	"echofs/echo/archive"
	"echofs/echo/doc"
)

// sample returns an archive that the TypeScript client wrote.
func sample(tb testing.TB) []byte {
	tb.Helper()
	f, err := os.Open("testdata/space.tar.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestReadArchiveOfOtherSoftware(t *testing.T) {
	a, err := archive.Read(bytes.NewReader(sample(t)), archive.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(a.Documents); got != 12 {
		t.Errorf("%d documents, want 12", got)
	}
	if a.Documents[0].ID != a.Root {
		t.Errorf("the first document is %s, the root %s", a.Documents[0].ID, a.Root)
	}
	if a.Metadata.Version != 1 || a.Metadata.OriginalSpaceID == "" || a.Metadata.CreatedAt == 0 {
		t.Errorf("metadata %+v", a.Metadata)
	}
	f, err := os.Open("testdata/space.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := archive.Read(f, archive.Limits{})
	if err != nil || len(z.Documents) != len(a.Documents) {
		t.Errorf("compressed: %v", err)
	}
}

func TestWriteReadsBack(t *testing.T) {
	a, err := archive.Read(bytes.NewReader(sample(t)), archive.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	a.Documents[0], a.Documents[3] = a.Documents[3], a.Documents[0] // the root need not be first here
	var one, two bytes.Buffer
	if err := archive.Write(&one, a); err != nil {
		t.Fatal(err)
	}
	if err := archive.Write(&two, a); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same archive was written as different bytes")
	}
	b, err := archive.Read(&one, archive.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Documents[0].ID != a.Root || b.Root != a.Root || b.Metadata != a.Metadata || len(b.Documents) != len(a.Documents) {
		t.Errorf("read back: root %s, %d documents, %+v", b.Root, len(b.Documents), b.Metadata)
	}
}

type entry struct {
	name, content string
	kind          byte
}

func build(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Size: int64(len(e.content)), Mode: 0o644, Typeflag: e.kind}
		if e.kind == tar.TypeSymlink {
			h.Size, h.Linkname = 0, e.content
		}
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(e.content)); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestReadRefuses(t *testing.T) {
	id := doc.DocumentID{1}
	name := "documents/" + id.String() + ".bin"
	meta := entry{"metadata.json", `{"version":1,"echo":{"currentRootUrl":"` + id.URL() + `"}}`, tar.TypeReg}
	root := entry{name, "x", tar.TypeReg}
	for _, c := range []struct {
		what string
		in   []byte
		want error
	}{
		{"no tar", []byte("hello"), archive.ErrFormat},
		{"nothing", nil, archive.ErrFormat},
		{"no metadata", build(t, root), archive.ErrFormat},
		{"no root", build(t, meta), archive.ErrFormat},
		{"metadata twice", build(t, meta, root, meta), archive.ErrFormat},
		{"document twice", build(t, root, root, meta), archive.ErrFormat},
		{"other version", build(t, root, entry{"metadata.json", `{"version":2}`, tar.TypeReg}), archive.ErrFormat},
		{"no JSON", build(t, root, entry{"metadata.json", `{`, tar.TypeReg}), archive.ErrFormat},
		{"large document", build(t, meta, entry{name, string(make([]byte, 100)), tar.TypeReg}), archive.ErrTooLarge},
	} {
		_, err := archive.Read(bytes.NewReader(c.in), archive.Limits{Document: 50})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	a, err := archive.Read(bytes.NewReader(build(t, entry{"feeds/1", "y", tar.TypeReg}, meta, root,
		entry{"../../etc/passwd", "z", tar.TypeReg}, entry{"documents/link.bin", "/etc/shadow", tar.TypeSymlink})), archive.Limits{})
	if err != nil || len(a.Documents) != 1 || len(a.Extra) != 3 {
		t.Errorf("unknown entries: %+v, %v", a, err)
	}
}

func FuzzRead(f *testing.F) {
	id := doc.DocumentID{1}
	f.Add(build(f, entry{"documents/" + id.String() + ".bin", "x", tar.TypeReg},
		entry{"metadata.json", `{"version":1,"echo":{"currentRootUrl":"` + id.URL() + `"}}`, tar.TypeReg}))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := archive.Read(bytes.NewReader(in), archive.Limits{Document: 1 << 20, Total: 1 << 20})
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := archive.Write(&b, a); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := archive.Read(&b, archive.Limits{})
		if err != nil || len(again.Documents) != len(a.Documents) || again.Root != a.Root {
			t.Fatalf("what was written does not read back: %v", err)
		}
	})
}
