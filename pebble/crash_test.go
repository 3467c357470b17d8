package pebble_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"echofs/echo"
	"echofs/pebble"
)

// TestPowerCutsKeepAPrefix cuts the power again and again, each time of what
// the last cut has left. Small records make a long tail that no sync has seen:
// the database must open with any part of it, and hold a prefix of the commits
// that ends no earlier than the last Disk commit.
func TestPowerCutsKeepAPrefix(t *testing.T) {
	cuts := 12
	if os.Getenv("ECHOFS_TEST_LONG") != "" {
		cuts = 500
	}
	rng := rand.New(rand.NewPCG(7, 8))
	fs := vfs.NewCrashableMem()
	next := uint64(0) // number of the first record that is not in the database
	for cut := range cuts {
		db := open(t, "db", pebble.Options{FS: fs})
		have := countRecords(t, db)
		if have < next {
			t.Fatalf("cut %d: %d records are left, want at least %d", cut, have, next)
		}
		safe := writeRecords(t, db, rng, have)
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 10 + rng.IntN(90), RNG: rng})
		closeDB(t, db)
		fs, next = crashed, safe
	}
}

// writeRecords commits some thousand records from number first on, now and then
// with Disk, and returns up to where they must survive.
func writeRecords(t *testing.T, db *pebble.DB, rng *rand.Rand, first uint64) (safe uint64) {
	t.Helper()
	safe = first
	n := first + uint64(rng.IntN(3000))
	for i := first; i < n; i++ {
		d := echo.Kernel
		if rng.IntN(700) == 0 {
			d = echo.Disk
		}
		put(t, db, d, string(binary.BigEndian.AppendUint64(nil, i)), strings.Repeat("x", rng.IntN(300)))
		if d == echo.Disk {
			safe = i + 1
		}
	}
	return safe
}

// countRecords returns how many records there are, which must be the first so
// many.
func countRecords(t *testing.T, db *pebble.DB) (n uint64) {
	t.Helper()
	err := db.Scan(nil, nil, func(key, _ []byte) bool {
		if got := binary.BigEndian.Uint64(key); got != n {
			t.Errorf("record %d follows record %d", got, n-1)
		}
		n++
		return true
	})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return n
}

// TestDiskCoversOtherCommits: a Disk commit makes everything durable that
// anybody had committed before, and so does one with an empty batch, after
// memory was written out and without.
func TestDiskCoversOtherCommits(t *testing.T) {
	for _, size := range []int{10, 20 << 10} {
		fs := vfs.NewCrashableMem()
		db := openForTest(t, "db", pebble.Options{FS: fs})
		value := strings.Repeat("v", size)
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for i := range 50 {
					if err := db.Commit(batch(fmt.Sprintf("%d-%d", w, i), value), echo.Kernel); err != nil {
						t.Errorf("Commit: %v", err)
					}
				}
			})
		}
		writers.Wait()
		put(t, db, echo.Disk)
		after := openForTest(t, "db", pebble.Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
		n := 0
		if err := after.Scan(nil, nil, func(_, v []byte) bool { n++; return len(v) == size }); err != nil || n != 400 {
			t.Errorf("values of %d bytes: got %d, %v, want 400", size, n, err)
		}
	}
}

// TestKernelCommitsDoNotSync: that is what they are for.
func TestKernelCommitsDoNotSync(t *testing.T) {
	fs := &syncCounter{FS: vfs.NewMem()}
	db := openForTest(t, "db", pebble.Options{FS: fs})
	count := func(d echo.Durability) int64 {
		before := fs.logSyncs.Load()
		for i := range 10 {
			put(t, db, d, fmt.Sprint(i), "v")
		}
		return fs.logSyncs.Load() - before
	}
	if got := count(echo.Kernel); got != 0 {
		t.Errorf("10 Kernel commits: got %d syncs of the log, want 0", got)
	}
	if got := count(echo.Disk); got != 10 {
		t.Errorf("10 Disk commits: got %d syncs of the log, want 10", got)
	}
}

// syncCounter counts true syncs of logs.
type syncCounter struct {
	vfs.FS
	logSyncs atomic.Int64
}

func (fs *syncCounter) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return &countedFile{f, fs}, nil
}

type countedFile struct {
	vfs.File
	fs *syncCounter
}

func (f *countedFile) SyncData() error {
	f.fs.logSyncs.Add(1)
	return f.File.SyncData()
}

// killEnv names the database of a child process that is to be killed.
const killEnv = "ECHOFS_TEST_KILL_DIR"

// TestKilledChild is the child: it commits without end, from several
// goroutines, and prints each record's key when it was acknowledged.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(killEnv)
	if dir == "" {
		t.Skip("only as a child of TestKill")
	}
	db := open(t, dir, pebble.Options{})
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			value := strings.Repeat(fmt.Sprint(w), 5000)
			for i := 0; ; i++ {
				key := fmt.Sprintf("acked:%d:%06d", w, i)
				if err := db.Commit(batch(key, value), echo.Kernel); err != nil {
					t.Errorf("Commit: %v", err)
					return
				}
				os.Stdout.WriteString(key + "\n") // one write(2), so whole lines
			}
		})
	}
	writers.Wait()
}

// TestKill kills a process with signal 9 amid its commits: what it had
// acknowledged is there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	total := 0
	for range 3 {
		acked := runAndKill(t, dir, 600)
		db := open(t, dir, pebble.Options{})
		for _, key := range acked {
			if value, err := db.Get([]byte(key)); err != nil || len(value) != 5000 {
				t.Errorf("acknowledged record %s: got %d bytes, %v", key, len(value), err)
			}
		}
		total += len(acked)
		closeDB(t, db)
	}
	t.Logf("%d records", total)
}

// runAndKill starts the child and kills it when it has acknowledged n records;
// it returns all that were acknowledged before it died.
func runAndKill(t *testing.T, dir string, n int) (acked []string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
	child.Env = append(os.Environ(), killEnv+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "acked:") {
			acked = append(acked, lines.Text())
		}
		if len(acked) == n {
			child.Process.Kill()
		}
	}
	child.Wait()
	if len(acked) < n {
		t.Fatalf("the child died after %d records", len(acked))
	}
	return acked
}

func benchmarkCommit(b *testing.B, d echo.Durability, parallel int) {
	db := openForTest(b, b.TempDir(), pebble.Options{})
	value := make([]byte, 160)
	var n atomic.Uint64
	b.SetParallelism(parallel)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var batch echo.Batch
			batch.Put(binary.BigEndian.AppendUint64(nil, n.Add(1)), value)
			if err := db.Commit(&batch, d); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 16} { // per processor
		b.Run(fmt.Sprintf("Kernel/%d", writers), func(b *testing.B) { benchmarkCommit(b, echo.Kernel, writers) })
		b.Run(fmt.Sprintf("Disk/%d", writers), func(b *testing.B) { benchmarkCommit(b, echo.Disk, writers) })
	}
}

func BenchmarkCommitSerial(b *testing.B) {
	for _, d := range []echo.Durability{echo.Kernel, echo.Disk} {
		b.Run([]string{"Kernel", "Disk"}[d], func(b *testing.B) {
			db := openForTest(b, b.TempDir(), pebble.Options{})
			value := make([]byte, 160)
			for i := 0; b.Loop(); i++ {
				var batch echo.Batch
				batch.Put(binary.BigEndian.AppendUint64(nil, uint64(i)), value)
				if err := db.Commit(&batch, d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
