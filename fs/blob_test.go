package fs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/blob"
	"echofs/echo/echotest"
	"echofs/fs"
)

// noise writes a file of random bytes into a plain directory and returns its path.
func noise(tb testing.TB, seed byte, size int) string {
	tb.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	path := filepath.Join(tb.TempDir(), fmt.Sprintf("noise-%d", seed))
	if err := os.WriteFile(path, b, 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

func (m *mounted) kind(path string) string {
	m.tb.Helper()
	return m.node(path).Kind.String()
}

func (m *mounted) wantKind(path, want string) {
	m.tb.Helper()
	if got := m.kind(path); got != want {
		m.tb.Errorf("%s is of kind %s, want %s", path, got, want)
	}
}

// blobContent is what the repository holds of a blob.
func (m *mounted) blobContent(path string) []byte {
	m.tb.Helper()
	n := m.node(path)
	v, ok := n.Blob()
	if !ok {
		m.tb.Fatalf("%s is of kind %s", path, n.Kind)
	}
	r, err := m.vault.OpenBlob(context.Background(), n.Space, v)
	if err != nil {
		m.tb.Fatal(err)
	}
	out := make([]byte, r.Size())
	if _, err := r.ReadAt(context.Background(), out, 0); err != nil && !errors.Is(err, io.EOF) {
		m.tb.Fatal(err)
	}
	return out
}

func TestBlobsAreFiles(t *testing.T) {
	m := mount(t, fs.Options{})
	src := noise(t, 1, 3<<20+123)
	m.sh("cp " + src + " photo.png; cmp " + src + " photo.png")
	m.wantKind("photo.png", "blob")
	m.want("stat -c %s photo.png", fmt.Sprintln(3<<20+123))

	// In place, by range.
	plain := noise(t, 1, 3<<20+123)
	for _, f := range []string{"photo.png", plain} {
		m.sh("printf XYZ | dd of=" + f + " bs=1 seek=1048575 conv=notrunc status=none")
	}
	m.sh("cmp " + plain + " photo.png")

	// Append, truncate, extend.
	for _, f := range []string{"photo.png", plain} {
		m.sh("printf end >> " + f + "; truncate -s 2000000 " + f + "; truncate -s 2500000 " + f + "; printf end >> " + f)
	}
	m.sh("cmp " + plain + " photo.png")
	want, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.blobContent("photo.png"), want) {
		t.Error("what is stored is not what is shown")
	}
	if got := len(m.historyOf("photo.png")); got < 1 {
		t.Errorf("%d revisions", got)
	}
}

func (m *mounted) historyOf(path string) []echo.Revision {
	m.tb.Helper()
	if err := m.vault.Settle(context.Background(), m.node(path).Ino); err != nil {
		m.tb.Fatal(err)
	}
	revs, err := m.vault.History(context.Background(), m.node(path).Ino)
	if err != nil {
		m.tb.Fatal(err)
	}
	return revs
}

func TestBlobsAreReplacedByRename(t *testing.T) {
	m := mount(t, fs.Options{})
	first, second := noise(t, 1, 200_000), noise(t, 2, 300_000)
	m.sh("cp " + first + " photo.png")
	id := m.node("photo.png").ID
	m.historyOf("photo.png")
	m.sh("cp " + second + " .photo.tmp; mv .photo.tmp photo.png; cmp " + second + " photo.png; test ! -e .photo.tmp")
	if got := m.node("photo.png"); got.ID != id {
		t.Errorf("another object: %s, was %s", got.ID, id)
	}
	// A temporary file with a name that is no local one.
	m.sh("cp " + first + " upload-photo; mv upload-photo photo.png; cmp " + first + " photo.png; test ! -e upload-photo")
	if got := m.node("photo.png"); got.ID != id {
		t.Errorf("another object: %s, was %s", got.ID, id)
	}
	// A backup, and a new file in its place.
	m.sh("mv photo.png photo.png~; cmp " + first + " photo.png~; cp " + second + " photo.png; cmp " + second + " photo.png")
	m.wantKind("photo.png~", "local")
	m.wantKind("photo.png", "blob")
	// A local file that becomes an object.
	m.sh("cp " + first + " .new; mv .new new.bin; cmp " + first + " new.bin")
	m.wantKind("new.bin", "blob")
	m.want("ls", "new.bin\nphoto.png\nphoto.png~\n")
}

func TestAFileIsWhatItsContentIs(t *testing.T) {
	m := mount(t, fs.Options{})
	src := noise(t, 3, 5000)
	m.sh("echo hello > a.txt")
	m.wantKind("a.txt", "text")
	m.historyOf("a.txt")
	m.sh("cp " + src + " a.txt; cmp " + src + " a.txt")
	m.wantKind("a.txt", "blob")
	m.sh("cp " + src + " .t; echo words > .u; mv .u a.txt")
	m.want("cat a.txt", "words\n")
	m.wantKind("a.txt", "text")
	m.sh("head -c 20000000 /dev/zero > zeros.bin; cmp -n 20000000 zeros.bin /dev/zero")
	m.wantKind("zeros.bin", "blob")
	m.sh("yes abcdefghijklmnopqrstuvwxyz | head -c 20000000 > large.txt; test $(stat -c %s large.txt) = 20000000")
	m.wantKind("large.txt", "blob")
	m.want("ls", "a.txt\nlarge.txt\nzeros.bin\n")
}

func TestSparseBlobs(t *testing.T) {
	m := mount(t, fs.Options{})
	plain := filepath.Join(t.TempDir(), "sparse")
	for _, f := range []string{"sparse.img", plain} {
		m.sh("printf '\\0begin' > " + f + "; truncate -s 100M " + f + "; printf middle | dd of=" + f + " bs=1 seek=50000000 conv=notrunc status=none")
	}
	m.sh("cmp sparse.img " + plain + "; cp --sparse=always " + plain + " copy.img; cmp copy.img " + plain)
	for _, f := range []string{"sparse.img", "copy.img"} {
		n := m.node(f)
		v, _ := n.Blob()
		r, err := m.vault.OpenBlob(context.Background(), n.Space, v)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Index().Stored(); n.Size != 100<<20 || got > 3<<20 {
			t.Errorf("%s of %d bytes stores %d, want few", f, n.Size, got)
		}
	}
}

func TestBlobsAreMapped(t *testing.T) {
	m := mount(t, fs.Options{})
	src := noise(t, 4, 1<<20+4096)
	m.sh("cp " + src + " a.bin")
	m.helper("mmap", "a.bin", "through a mapping")
	m.want("head -c 17 a.bin", "through a mapping")
	if got := m.blobContent("a.bin"); string(got[:17]) != "through a mapping" || len(got) != 1<<20+4096 {
		t.Errorf("%d bytes, beginning with %q", len(got), got[:17])
	}
}

func TestAnUnlinkedBlobIsReadToItsEnd(t *testing.T) {
	m := mount(t, fs.Options{})
	src := noise(t, 5, 2<<20)
	m.sh("cp " + src + " a.bin; exec 3< a.bin; rm a.bin; cmp " + src + " /proc/self/fd/3; exec 3<&-")
	m.sh("exec 3<> b.bin; printf '\\0abc' >&3; rm b.bin; exec 3>&-; test ! -e b.bin")
	eventually(t, "work files go with the last close", func() bool { return len(m.workFiles()) == 0 })
}

func (m *mounted) workFiles() (out []string) {
	m.tb.Helper()
	list, err := os.ReadDir(filepath.Join(m.local, "blobs"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.tb.Fatal(err)
	}
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// TestAReaderSeesOneVersion replaces a blob, as another device does, while it is
// open: who opened it before goes on with what it was, who opens it now sees what
// it is.
func TestAReaderSeesOneVersion(t *testing.T) {
	m := mount(t, fs.Options{})
	old, next := noise(t, 6, 3<<20), noise(t, 7, 1<<20)
	m.sh("cp " + old + " a.bin")
	m.historyOf("a.bin")
	c := m.start("slowread", "a.bin")
	c.expect("1048576")
	m.replaceElsewhere("a.bin", next)
	m.sh("cmp " + next + " a.bin")
	c.tell("go on")
	sum := m.sh("sha256sum < " + old)
	c.expect(strings.Fields(sum)[0])
	c.tell("end")
	c.wait()
	m.sh("cmp " + next + " a.bin; test $(stat -c %s a.bin) = 1048576")
}

// replaceElsewhere replaces a blob as somebody else would.
func (m *mounted) replaceElsewhere(path, from string) {
	m.tb.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		m.tb.Fatal(err)
	}
	n := m.node(path)
	v, _ := n.Blob()
	_, err = m.vault.SaveBlob(context.Background(), echo.BlobSave{Ino: n.Ino, Content: contentOf(b), Base: v})
	if err != nil {
		m.tb.Fatal(err)
	}
}

// contentOf is a blob.Content of bytes.
type contentOf []byte

func (c contentOf) Size() int64            { return int64(len(c)) }
func (c contentOf) Base() *blob.Index      { return nil }
func (c contentOf) Block(int64) blob.State { return blob.Changed }
func (c contentOf) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(c).ReadAt(p, off)
}

// helpSlowRead reads the first MiB of a file, waits, and reads the rest; it prints
// the hash of all.
func helpSlowRead(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	first := make([]byte, 1<<20)
	n, err := io.ReadFull(f, first)
	if err != nil {
		return err
	}
	if _, err := say(fmt.Sprint(n)); err != nil {
		return err
	}
	rest, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	_, err = say(hashOf(append(first, rest...)))
	return err
}

// TestASaveAgainstAnOldVersionIsKeptBeside holds a file open while somebody else
// replaces it.
func TestASaveAgainstAnOldVersionIsKeptBeside(t *testing.T) {
	m := mount(t, fs.Options{})
	old, next := noise(t, 8, 100_000), noise(t, 9, 100_000)
	m.sh("cp " + old + " a.bin")
	m.historyOf("a.bin")
	c := m.start("patch", "a.bin")
	c.expect("open")
	m.replaceElsewhere("a.bin", next)
	c.tell("write")
	c.expect("closed")
	c.wait()
	names := strings.Fields(m.sh("ls"))
	if len(names) != 2 {
		t.Fatalf("got %q, want the file and one beside it", names)
	}
	seen := map[string]bool{}
	for _, n := range names {
		seen[m.sh("sha256sum < "+n)] = true
	}
	patched, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	copy(patched, "patched")
	if err := os.WriteFile(old, patched, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{old, next} {
		if !seen[m.sh("sha256sum < "+f)] {
			t.Errorf("a version is lost: there is %q", names)
		}
	}
}

// helpPatch opens a file to write, and writes over its beginning when it is told
// to.
func helpPatch(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if _, err := f.ReadAt(make([]byte, 10), 0); err != nil {
		return err
	}
	if _, err := say("open"); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte("patched"), 0); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Println("closed")
	return nil
}

// TestABlobWhoseChunksAreElsewhereIsNoEmptyFile reads one of which nothing has
// come: that is an error after a while, and never short or zeros.
func TestABlobWhoseChunksAreElsewhereIsNoEmptyFile(t *testing.T) {
	ada := echotest.NewVault(t, "ada", echo.Options{})
	s, err := ada.CreateSpace(t.Context(), "notes")
	if err != nil {
		t.Fatal(err)
	}
	bob := echotest.NewVault(t, "bob", echo.Options{})
	shared := ada.Invite(s, bob, roleEditor)
	n, err := ada.CreateFile(t.Context(), s.Ino(), "a.bin", 0)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte{0xff, 0, 1}, 1<<20)
	if _, err := ada.SaveBlob(t.Context(), echo.BlobSave{Ino: n.Ino, Content: contentOf(content)}); err != nil {
		t.Fatal(err)
	}
	if err := s.SettleAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	echotest.Exchange(t, s, shared)
	m := mountVault(t, bob, shared, fs.Options{BlobWait: 200 * time.Millisecond})
	m.want("stat -c %s a.bin", fmt.Sprintln(len(content)))
	if errs := m.fails("head -c 10 a.bin"); !strings.Contains(errs, "timed out") {
		t.Errorf("complained %q, want a time-out", errs)
	}
	echotest.SendChunks(t, s, shared)
	m.want("head -c 3 a.bin | od -An -tx1", " ff 00 01\n")
}
