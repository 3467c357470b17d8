package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"echofs/echo/archive"
	"echofs/echo/doc"
)

// exported returns an archive that ECHO's own client wrote, with gzip and
// without.
func exported(t testing.TB) (zipped, plain []byte) {
	t.Helper()
	zipped, err := os.ReadFile("testdata/space.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	plain, err = io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return zipped, plain
}

func read(t testing.TB, data []byte) *archive.Archive {
	t.Helper()
	a, err := archive.Read(bytes.NewReader(data), archive.Limits{})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return a
}

func write(t testing.TB, a *archive.Archive) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := archive.Write(&b, a); err != nil {
		t.Fatalf("Write: %v", err)
	}
	return b.Bytes()
}

func TestReadExported(t *testing.T) {
	zipped, plain := exported(t)
	for name, data := range map[string][]byte{"zipped": zipped, "plain": plain} {
		a := read(t, data)
		if got, want := a.Root.String(), "2zWhpyi1QwFNWEtU8hrv7qnxypUf"; got != want || a.Documents[0].ID != a.Root {
			t.Errorf("%s: root: got %s, and first is %s, want %s", name, got, a.Documents[0].ID, want)
		}
		want := archive.Metadata{Version: 1, CreatedAt: 1795402504110, OriginalSpaceID: "BXI2YEJ7SYR6LUXXYM5PNAH663VEPWHC2"}
		if a.Metadata != want || len(a.Extra) != 0 {
			t.Errorf("%s: got %+v and %q, want %+v", name, a.Metadata, a.Extra, want)
		}
		if got, want := len(a.Documents), len(entries(t, plain))-1; got != want {
			t.Errorf("%s: got %d documents, want %d", name, got, want)
		}
		for _, d := range a.Documents {
			if !bytes.HasPrefix(d.Data, []byte{0x85, 0x6f, 0x4a, 0x83}) {
				t.Errorf("%s: document %s does not start with a chunk", name, d.ID)
			}
		}
	}
}

// TestRoundTrip: what was read and is written again has the same files in the
// same order, with the same headers where they mean something.
func TestRoundTrip(t *testing.T) {
	_, plain := exported(t)
	a := read(t, plain)
	again := write(t, a)
	if got := read(t, again); !reflect.DeepEqual(got, a) {
		t.Error("an archive that was written is read as another")
	}
	if !bytes.Equal(write(t, a), again) {
		t.Error("an archive that is written twice differs")
	}
	got, want := entries(t, again), entries(t, plain)
	if !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}
	if bytes.Contains(again[:512], []byte("PaxHeader")) || string(again[257:265]) != "ustar\x0000" {
		t.Errorf("not ustar: %q", again[257:265])
	}
}

// entries lists what matters of a tar's headers, and the text of the metadata.
func entries(t testing.TB, data []byte) (lines []string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != "metadata.json" {
			content = nil
		}
		lines = append(lines, fmt.Sprintf("%s %c %o %d %d %d %d %s", h.Name, h.Typeflag, h.Mode, h.Size, h.ModTime.Unix(), h.Uid, h.Gid, content))
	}
}

// file is one entry of a tar to be made.
type file struct {
	name, content string
	kind          byte // 0: a file
}

func pack(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if f.kind == 0 {
			f.kind = tar.TypeReg
		}
		h := &tar.Header{Name: f.name, Size: int64(len(f.content)), Mode: 0o644, Typeflag: f.kind}
		if f.kind == tar.TypeSymlink || f.kind == tar.TypeLink {
			h.Linkname = "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var (
	rootID  = doc.DocumentID{1}
	otherID = doc.DocumentID{2}
	thirdID = doc.DocumentID{3}
)

func document(id doc.DocumentID, content string) file {
	return file{name: "documents/" + id.String() + ".bin", content: content}
}

func meta() file {
	return file{name: "metadata.json", content: `{"version":1,"createdAt":7,"originalSpaceId":"B","echo":{"currentRootUrl":"automerge:` + rootID.String() + `","new":1},"new":{}}`}
}

func TestReadInAnyOrder(t *testing.T) {
	want := &archive.Archive{
		Metadata: archive.Metadata{Version: 1, CreatedAt: 7, OriginalSpaceID: "B"},
		Root:     rootID,
		Documents: []archive.Document{
			{ID: rootID, Data: []byte("root")}, {ID: otherID, Data: []byte("other")}, {ID: thirdID, Data: []byte{}},
		},
	}
	root, other, third := document(rootID, "root"), document(otherID, "other"), document(thirdID, "")
	repacked := func(f file) file { f.name = "./" + f.name; return f }
	for i, files := range [][]file{
		{root, other, third, meta()},
		{meta(), other, third, root},
		{other, meta(), root, third},
		{{name: "./", kind: tar.TypeDir}, {name: "./documents/", kind: tar.TypeDir}, repacked(other), repacked(third), repacked(meta()), repacked(root)},
	} {
		if got := read(t, pack(t, files...)); !reflect.DeepEqual(got, want) {
			t.Errorf("order %d: got %+v, want %+v", i, got, want)
		}
	}
	shuffled := *want
	shuffled.Documents = []archive.Document{want.Documents[1], want.Documents[0], want.Documents[2]}
	if !bytes.Equal(write(t, &shuffled), write(t, want)) {
		t.Error("Write does not put the root first")
	}
}

func TestReadReportsUnknownFiles(t *testing.T) {
	a := read(t, pack(t, document(rootID, "r"), file{name: "feeds/1/log", content: "x"}, file{name: "documents/notes.txt"}, meta()))
	if want := []string{"feeds/1/log", "documents/notes.txt"}; !slices.Equal(a.Extra, want) {
		t.Errorf("Extra: got %q, want %q", a.Extra, want)
	}
}

func TestReadRefuses(t *testing.T) {
	root := document(rootID, "root")
	wrongSum := []byte(otherID.String())
	wrongSum[len(wrongSum)-1] ^= 1
	metadata := func(s string) file { return file{name: "metadata.json", content: s} }
	tests := []struct {
		name  string
		files []file
	}{
		{"nothing", nil},
		{"no metadata", []file{root}},
		{"no root", []file{meta(), document(otherID, "x")}},
		{"metadata twice", []file{root, meta(), meta()}},
		{"document twice", []file{root, meta(), root}},
		{"metadata no JSON", []file{root, metadata("{")}},
		{"metadata of another kind", []file{root, metadata("[]")}},
		{"version 2", []file{root, metadata(strings.Replace(meta().content, `"version":1`, `"version":2`, 1))}},
		{"no version", []file{root, metadata(strings.Replace(meta().content, `"version":1,`, ``, 1))}},
		{"root no id", []file{root, metadata(`{"version":1,"echo":{"currentRootUrl":"automerge:x"}}`)}},
		{"document no id", []file{root, meta(), {name: "documents/x.bin"}}},
		{"document id damaged", []file{root, meta(), {name: "documents/" + string(wrongSum) + ".bin"}}},
		{"document id as URL", []file{root, meta(), {name: "documents/automerge:" + otherID.String() + ".bin"}}},
		{"up", []file{root, meta(), {name: "../x"}}},
		{"up inside", []file{root, meta(), {name: "documents/../../x"}}},
		{"unclean", []file{root, meta(), {name: "documents//x"}}},
		{"dot", []file{root, meta(), {name: "./."}}},
		{"absolute", []file{root, meta(), {name: "/etc/passwd"}}},
		{"backslash", []file{root, meta(), {name: `..\x`}}},
		{"control character", []file{root, meta(), {name: "a\nb"}}},
		{"directory up", []file{root, meta(), {name: "../x/", kind: tar.TypeDir}}},
		{"symbolic link", []file{root, meta(), {name: "x", kind: tar.TypeSymlink}}},
		{"hard link", []file{root, meta(), {name: "x", kind: tar.TypeLink}}},
		{"device", []file{root, meta(), {name: "x", kind: tar.TypeChar}}},
		{"pipe", []file{root, meta(), {name: "x", kind: tar.TypeFifo}}},
	}
	for _, tt := range tests {
		a, err := archive.Read(bytes.NewReader(pack(t, tt.files...)), archive.Limits{})
		if !errors.Is(err, archive.ErrFormat) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, a, err, archive.ErrFormat)
		}
	}
}

func TestReadLimits(t *testing.T) {
	data := pack(t, document(rootID, "12345"), document(otherID, "x"), file{name: "a"}, file{name: "b"}, meta())
	fits := archive.Limits{Documents: 2, DocumentBytes: 5, Extra: 2, TotalBytes: int64(len(data))}
	if _, err := archive.Read(bytes.NewReader(data), fits); err != nil {
		t.Errorf("an archive that just fits: %v", err)
	}
	large := meta()
	large.content += strings.Repeat(" ", 1<<20)
	for _, tt := range []struct {
		name   string
		data   []byte
		change func(*archive.Limits)
	}{
		{"documents", data, func(l *archive.Limits) { l.Documents-- }},
		{"bytes of a document", data, func(l *archive.Limits) { l.DocumentBytes-- }},
		{"unknown files", data, func(l *archive.Limits) { l.Extra-- }},
		{"total", data, func(l *archive.Limits) { l.TotalBytes-- }},
		{"bomb", bomb(t), func(l *archive.Limits) { l.TotalBytes = 1 << 20 }},
		{"metadata", pack(t, document(rootID, ""), large), func(l *archive.Limits) { l.TotalBytes = 0 }},
	} {
		lim := fits
		tt.change(&lim)
		if _, err := archive.Read(bytes.NewReader(tt.data), lim); !errors.Is(err, archive.ErrTooLarge) {
			t.Errorf("%s: got %v, want %v", tt.name, err, archive.ErrTooLarge)
		}
	}
}

// bomb returns a small file that unpacks to 100 MiB behind a valid archive.
func bomb(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(pack(t, document(rootID, "r"), meta()))
	z.Write(make([]byte, 100<<20))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadDamaged(t *testing.T) {
	zipped, plain := exported(t)
	damaged := bytes.Clone(zipped)
	damaged[len(damaged)-6] ^= 1 // gzip's checksum
	for name, data := range map[string][]byte{
		"cut": plain[:len(plain)/2+100], "zipped, cut": zipped[:len(zipped)-9], "checksum": damaged,
		"text": []byte(strings.Repeat("no archive\n", 100)), "only magic": {0x1f, 0x8b}, "one byte": {0x1f},
	} {
		if _, err := archive.Read(bytes.NewReader(data), archive.Limits{}); !errors.Is(err, archive.ErrFormat) {
			t.Errorf("%s: got %v, want %v", name, err, archive.ErrFormat)
		}
	}
	broken := errors.New("disk on fire")
	r := io.MultiReader(bytes.NewReader(plain[:5000]), iotest.ErrReader(broken))
	if _, err := archive.Read(r, archive.Limits{}); !errors.Is(err, broken) || errors.Is(err, archive.ErrFormat) {
		t.Errorf("a source that fails: got %v, want %v", err, broken)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, a := range map[string]*archive.Archive{
		"empty":   {},
		"no root": {Root: rootID, Documents: []archive.Document{{ID: otherID}}},
		"version": {Root: rootID, Documents: []archive.Document{{ID: rootID}}, Metadata: archive.Metadata{Version: 2}},
		"twice":   {Root: rootID, Documents: []archive.Document{{ID: rootID}, {ID: otherID}, {ID: otherID}}},
	} {
		var b bytes.Buffer
		if err := archive.Write(&b, a); !errors.Is(err, archive.ErrFormat) || b.Len() != 0 {
			t.Errorf("%s: got %v and %d bytes, want %v", name, err, b.Len(), archive.ErrFormat)
		}
	}
}

func FuzzRead(f *testing.F) {
	zipped, _ := exported(f)
	f.Add(zipped)
	f.Add(pack(f, document(rootID, "root"), document(otherID, "x"), file{name: "feeds/1"}, meta()))
	f.Add(pack(f, meta(), file{name: "./documents/", kind: tar.TypeDir}, document(rootID, "")))
	lim := archive.Limits{Documents: 100, DocumentBytes: 1 << 16, TotalBytes: 1 << 20, Extra: 10}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := archive.Read(bytes.NewReader(data), lim)
		if err != nil {
			if !errors.Is(err, archive.ErrFormat) && !errors.Is(err, archive.ErrTooLarge) {
				t.Errorf("Read: got %v, want an error that wraps ErrFormat or ErrTooLarge", err)
			}
			return
		}
		if len(a.Documents) > lim.Documents || len(a.Extra) > lim.Extra || a.Documents[0].ID != a.Root {
			t.Errorf("Read: %d documents, %d unknown files, root %s, first %s", len(a.Documents), len(a.Extra), a.Root, a.Documents[0].ID)
		}
		a.Extra = nil
		var b bytes.Buffer
		if err := archive.Write(&b, a); err != nil {
			t.Fatalf("Write of what was read: %v", err)
		}
		again, err := archive.Read(&b, archive.Limits{})
		if err != nil || !reflect.DeepEqual(again, a) {
			t.Errorf("a round trip: got %+v, %v, want %+v", again, err, a)
		}
	})
}
