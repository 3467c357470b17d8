package pebble_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/pebble"
)

// quiet discards what the database logs.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// open opens a database that is closed when the test ends, if it is not yet.
func open(t testing.TB, dir string, opts pebble.Options) *pebble.DB {
	t.Helper()
	if opts.Log == nil {
		opts.Log = quiet
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return db
}

func closeDB(t testing.TB, db *pebble.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// openForTest opens a database that is closed when the test ends.
func openForTest(t testing.TB, dir string, opts pebble.Options) *pebble.DB {
	t.Helper()
	db := open(t, dir, opts)
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func put(t testing.TB, s echo.Store, d echo.Durability, pairs ...string) {
	t.Helper()
	if err := s.Commit(batch(pairs...), d); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func batch(pairs ...string) *echo.Batch {
	var b echo.Batch
	for i := 0; i < len(pairs); i += 2 {
		b.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return &b
}

func wantGet(t testing.TB, s echo.Store, key, want string) {
	t.Helper()
	if got, err := s.Get([]byte(key)); err != nil || string(got) != want {
		t.Errorf("Get(%q): got %q, %v, want %q", key, got, err, want)
	}
}

// TestStoreOnDisk runs the suite in real files.
func TestStoreOnDisk(t *testing.T) {
	echotest.TestStore(t, func(t *testing.T) echo.Store {
		return openForTest(t, filepath.Join(t.TempDir(), "db"), pebble.Options{})
	})
}

// TestStoreThatCrashes runs the suite, and its tests of durability, in a file
// system that can crash.
func TestStoreThatCrashes(t *testing.T) {
	echotest.TestStore(t, func(t *testing.T) echo.Store {
		return newCrasher(t, vfs.NewCrashableMem(), rand.New(rand.NewPCG(5, 6)))
	})
}

// crasher is a database with the methods by which the suite makes it crash.
type crasher struct {
	*pebble.DB
	fs  *vfs.MemFS
	rng *rand.Rand
}

func newCrasher(t *testing.T, fs *vfs.MemFS, rng *rand.Rand) *crasher {
	t.Helper()
	c := &crasher{open(t, "db", pebble.Options{FS: fs}), fs, rng}
	t.Cleanup(func() { closeDB(t, c.DB) })
	return c
}

// Reopen implements echotest.Reopener.
func (c *crasher) Reopen(t *testing.T) echo.Store {
	t.Helper()
	closeDB(t, c.DB)
	c.DB = open(t, "db", pebble.Options{FS: c.fs})
	return c
}

// Kill implements echotest.Killer: what was written is there, synced or not.
func (c *crasher) Kill(t *testing.T) echo.Store {
	t.Helper()
	return newCrasher(t, c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: c.rng}), c.rng)
}

// CutPower implements echotest.PowerCutter: of what was not synced, any blocks
// are there.
func (c *crasher) CutPower(t *testing.T) echo.Store {
	t.Helper()
	percent := []int{0, 10, 50, 90}[c.rng.IntN(4)]
	return newCrasher(t, c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: c.rng}), c.rng)
}

func TestSecondOpenIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		fs   vfs.FS
		dir  string
	}{{"disk", nil, t.TempDir()}, {"memory", vfs.NewMem(), "db"}} {
		t.Run(tt.name, func(t *testing.T) {
			db := open(t, tt.dir, pebble.Options{FS: tt.fs})
			put(t, db, echo.Disk, "k", "v")
			if _, err := pebble.Open(tt.dir, pebble.Options{FS: tt.fs, Log: quiet}); !errors.Is(err, pebble.ErrLocked) {
				t.Errorf("second Open: got %v, want %v", err, pebble.ErrLocked)
			}
			put(t, db, echo.Disk, "k", "w") // the refusal has not broken the first
			closeDB(t, db)
			wantGet(t, openForTest(t, tt.dir, pebble.Options{FS: tt.fs}), "k", "w")
		})
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	f, err := vfs.Default.Create(file, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := pebble.Open(filepath.Join(file, "db"), pebble.Options{Log: quiet}); err == nil || errors.Is(err, pebble.ErrLocked) {
		t.Errorf("Open below a file: got %v, want an error other than ErrLocked", err)
	}
}

func TestCheckpoint(t *testing.T) {
	dir := t.TempDir()
	db := openForTest(t, filepath.Join(dir, "db"), pebble.Options{})
	for i := range 2000 { // some memtables
		put(t, db, echo.Kernel, fmt.Sprint("k", i), fmt.Sprintf("%05000d", i))
	}
	backup := filepath.Join(dir, "backup")
	if err := db.Checkpoint(backup); err != nil {
		t.Fatalf("Checkpoint: %v", err)
	}
	if err := db.Checkpoint(backup); err == nil {
		t.Error("Checkpoint to a directory that exists: got no error")
	}
	put(t, db, echo.Kernel, "k0", "changed", "later", "v")

	restored := openForTest(t, backup, pebble.Options{})
	n := 0
	if err := restored.Scan(nil, nil, func(key, value []byte) bool { n++; return true }); err != nil || n != 2000 {
		t.Errorf("Scan of the copy: got %d keys, %v, want 2000", n, err)
	}
	wantGet(t, restored, "k0", fmt.Sprintf("%05000d", 0))
	put(t, restored, echo.Disk, "k0", "restored")
	wantGet(t, db, "k0", "changed")
}

func TestStats(t *testing.T) {
	db := openForTest(t, t.TempDir(), pebble.Options{})
	before, err := db.Stats()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, 1<<20)
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	for i := range 10 {
		put(t, db, echo.Kernel, fmt.Sprint(i), string(value))
	}
	after, err := db.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if before.Format != pebble.Format || after.FreeBytes <= 0 || after.BackgroundErrors != 0 || after.LastError != "" {
		t.Errorf("got %+v", after)
	}
	if after.DiskBytes < before.DiskBytes+5<<20 || after.LogBytes == 0 || after.MemoryBytes == 0 {
		t.Errorf("after 10 MiB: got %+v, before %+v", after, before)
	}
}

func TestBatchTooLarge(t *testing.T) {
	db := openForTest(t, "db", pebble.Options{FS: vfs.NewMem()})
	part := make([]byte, pebble.MaxBatchBytes/4)
	var b echo.Batch
	for i := range 4 { // the keys make it too large
		b.Put([]byte{byte(i)}, part)
	}
	if err := db.Commit(&b, echo.Kernel); !errors.Is(err, pebble.ErrBatchTooLarge) {
		t.Errorf("Commit: got %v, want %v", err, pebble.ErrBatchTooLarge)
	}
	put(t, db, echo.Kernel, "k", "v")
}
