package pebble_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/pebble"
)

func newSeal(tb testing.TB, secret byte) *pebble.Seal {
	tb.Helper()
	s, err := pebble.NewSeal(func(table byte) []byte { return bytes.Repeat([]byte{secret, table}, 16) }, 'p')
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// A sealed database is a Store like any other.
func TestSealedStore(t *testing.T) {
	echotest.TestStore(t, func(t *testing.T) echo.Store {
		return openForTest(t, "db", pebble.Options{FS: vfs.NewMem(), Log: quiet, Seal: newSeal(t, 1)})
	})
}

// Values are not on the disk, but in tables that are ciphertext already; a
// database opens with its own seal only.
func TestSealHidesValues(t *testing.T) {
	fs := vfs.NewMem()
	opts := pebble.Options{FS: fs, Log: quiet, Seal: newSeal(t, 1)}
	db := open(t, "db", opts)
	put(t, db, echo.Disk, "table", "a secret value", "plain", "ciphertext already", "empty", "")
	closeDB(t, db)
	disk := readAll(t, fs, "db")
	if bytes.Contains(disk, []byte("a secret value")) || !bytes.Contains(disk, []byte("ciphertext already")) {
		t.Error("the value is on the disk, or what need not be hidden is")
	}
	for name, seal := range map[string]*pebble.Seal{"another": newSeal(t, 2), "none": nil} {
		if _, err := pebble.Open("db", pebble.Options{FS: fs, Log: quiet, Seal: seal}); !errors.Is(err, pebble.ErrSealed) {
			t.Errorf("with seal %s: got %v, want %v", name, err, pebble.ErrSealed)
		}
	}
	db = openForTest(t, "db", opts)
	wantGet(t, db, "table", "a secret value")
	wantGet(t, db, "empty", "")
}

// A value that was moved to another key or changed does not open.
func TestSealedValuesAreBound(t *testing.T) {
	fs := vfs.NewMem()
	plain, err := pebble.NewSeal(func(byte) []byte { return make([]byte, 32) }, 't', 'p')
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := pebble.NewSeal(func(byte) []byte { return make([]byte, 32) }, 'p')
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, "db", pebble.Options{FS: fs, Log: quiet, Seal: sealed})
	put(t, db, echo.Disk, "t1", "one")
	closeDB(t, db)
	db = open(t, "db", pebble.Options{FS: fs, Log: quiet, Seal: plain}) // sees stored forms
	stored, err := db.Get([]byte("t1"))
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(stored)
	changed[len(changed)-1] ^= 1
	put(t, db, echo.Disk, "t2", string(stored), "t3", string(changed), "t4", "short")
	closeDB(t, db)
	db = openForTest(t, "db", pebble.Options{FS: fs, Log: quiet, Seal: sealed})
	wantGet(t, db, "t1", "one")
	for _, key := range []string{"t2", "t3", "t4"} {
		if v, err := db.Get([]byte(key)); !errors.Is(err, pebble.ErrDamaged) {
			t.Errorf("%s: got %q, %v; want %v", key, v, err, pebble.ErrDamaged)
		}
	}
	if err := db.Scan(nil, nil, func(_, _ []byte) bool { return true }); !errors.Is(err, pebble.ErrDamaged) {
		t.Errorf("Scan: got %v, want %v", err, pebble.ErrDamaged)
	}
}

// A database that is not sealed is copied into one that is.
func TestCopyToSealed(t *testing.T) {
	fs := vfs.NewMem()
	from := openForTest(t, "from", pebble.Options{FS: fs, Log: quiet})
	put(t, from, echo.Kernel, "name", "v", "other", "w")
	closedPlain := open(t, "plain", pebble.Options{FS: fs, Log: quiet})
	closeDB(t, closedPlain)
	if _, err := pebble.Open("plain", pebble.Options{FS: fs, Log: quiet, Seal: newSeal(t, 1)}); !errors.Is(err, pebble.ErrPlain) {
		t.Errorf("a seal for a database that has none: got %v, want %v", err, pebble.ErrPlain)
	}
	to := openForTest(t, "to", pebble.Options{FS: fs, Log: quiet, Seal: newSeal(t, 1)})
	if err := from.CopyTo(to, func(k []byte) []byte { return bytes.ToUpper(k) }); err != nil {
		t.Fatal(err)
	}
	wantGet(t, to, "NAME", "v")
	wantGet(t, to, "OTHER", "w")
}

// readAll returns the bytes of all files of a directory.
func readAll(t *testing.T, fs vfs.FS, dir string) (out []byte) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

func BenchmarkSealedCommitAndGet(b *testing.B) {
	value := bytes.Repeat([]byte("x"), 400)
	for name, seal := range map[string]*pebble.Seal{"plain": nil, "sealed": newSeal(b, 1)} {
		b.Run(name, func(b *testing.B) {
			db := openForTest(b, "db", pebble.Options{FS: vfs.NewMem(), Log: quiet, Seal: seal})
			for b.Loop() {
				var batch echo.Batch
				batch.Put([]byte("key"), value)
				if err := db.Commit(&batch, echo.Kernel); err != nil {
					b.Fatal(err)
				}
				if _, err := db.Get([]byte("key")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
