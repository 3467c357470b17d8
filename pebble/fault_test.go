package pebble_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"echofs/echo"
	"echofs/pebble"
)

// faults makes operations of a file system fail from some point on, for ever or
// a number of times.
type faults struct {
	match func(errorfs.Op) bool
	err   error
	times int64        // 0 means for ever
	count atomic.Int64 // operations that match so far
	after atomic.Int64 // those that still succeed
}

func (f *faults) String() string { return "faults" }

func (f *faults) MaybeError(op errorfs.Op) error {
	if !f.match(op) {
		return nil
	}
	n := f.count.Add(1) - f.after.Load()
	if n <= 0 || f.times > 0 && n > f.times {
		return nil
	}
	return f.err
}

func changes(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }

func onFile(suffix string, kinds ...errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		if !strings.HasSuffix(op.Path, suffix) {
			return false
		}
		for _, k := range kinds {
			if op.Kind == k {
				return true
			}
		}
		return false
	}
}

const never = 1 << 40

// TestFailuresStopTheDatabase: a failure of the log or of a table ends all
// commits with an error, the waiting ones too, is told once, and loses nothing
// that was acknowledged.
func TestFailuresStopTheDatabase(t *testing.T) {
	tests := []struct {
		name  string
		match func(errorfs.Op) bool
		err   error
		d     echo.Durability
	}{
		{"log full", onFile(".log", errorfs.OpFileWrite), syscall.ENOSPC, echo.Kernel},
		{"log broken", onFile(".log", errorfs.OpFileWrite), syscall.EIO, echo.Disk},
		{"log sync", onFile(".log", errorfs.OpFileSync, errorfs.OpFileSyncData), syscall.EIO, echo.Disk},
		{"log sync at its end", onFile(".log", errorfs.OpFileSync, errorfs.OpFileSyncData), syscall.EIO, echo.Kernel},
		{"next log", onFile(".log", errorfs.OpCreate, errorfs.OpReuseForWrite), syscall.EIO, echo.Kernel},
		{"table", onFile(".sst", errorfs.OpFileWrite), syscall.EIO, echo.Kernel},
		{"everything", changes, syscall.EIO, echo.Kernel},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			f := &faults{match: tt.match, err: tt.err}
			f.after.Store(never)
			fatal := make(chan error, 10)
			db := open(t, "db", pebble.Options{
				FS: errorfs.Wrap(mem, f), OnFatal: func(err error) { fatal <- err }, Reserve: -1,
			})
			put(t, db, tt.d, "before", "v")
			f.after.Store(0)

			acked, err := writeUntilFailure(db, tt.d)
			if !errors.Is(err, pebble.ErrStopped) || !errors.Is(err, tt.err) {
				t.Errorf("Commit: got %v, want an error that wraps ErrStopped and %v", err, tt.err)
			}
			select {
			case err := <-fatal:
				if !errors.Is(err, tt.err) {
					t.Errorf("OnFatal: got %v, want %v", err, tt.err)
				}
			case <-time.After(10 * time.Second):
				t.Error("OnFatal was not called")
			}
			wantStopped(t, db)
			if len(fatal) != 0 {
				t.Errorf("OnFatal was called again: %v", <-fatal)
			}
			checkAcked(t, mem, acked)
		})
	}
}

// writeUntilFailure commits from several goroutines until each of them has met
// an error; it returns the last, and what was acknowledged before.
func writeUntilFailure(db *pebble.DB, d echo.Durability) (acked map[string]bool, last error) {
	var mu sync.Mutex // guards acked and last
	acked = map[string]bool{"before": true}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range 2000 {
				key := fmt.Sprintf("%d-%d", w, i)
				value := make([]byte, 10000)
				for j := range value {
					value[j] = byte(rng.Uint32())
				}
				err := db.Commit(batch(key, string(value), "and"+key, "x"), d)
				mu.Lock()
				if err == nil {
					acked[key] = true
				} else {
					last = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	writers.Wait()
	return acked, last
}

func wantStopped(t *testing.T, db *pebble.DB) {
	t.Helper()
	_, getErr := db.Get([]byte("before"))
	_, statsErr := db.Stats()
	for name, err := range map[string]error{
		"Commit":     db.Commit(batch("k", "v"), echo.Kernel),
		"Get":        getErr,
		"Scan":       db.Scan(nil, nil, func(_, _ []byte) bool { return true }),
		"Checkpoint": db.Checkpoint("copy"),
		"Stats":      statsErr,
		"Close":      db.Close(),
	} {
		if !errors.Is(err, pebble.ErrStopped) {
			t.Errorf("%s of a stopped database: got %v, want %v", name, err, pebble.ErrStopped)
		}
	}
}

// checkAcked opens what the process left, and demands all that was
// acknowledged, and no batch by half.
func checkAcked(t *testing.T, mem *vfs.MemFS, acked map[string]bool) {
	t.Helper()
	left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	db := openForTest(t, "db", pebble.Options{FS: left})
	found := map[string]bool{}
	err := db.Scan(nil, nil, func(key, _ []byte) bool {
		found[string(key)] = true
		return true
	})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	for key := range acked {
		if !found[key] {
			t.Errorf("acknowledged record %s is missing", key)
		}
	}
	for key := range found {
		if other, ok := strings.CutPrefix(key, "and"); ok && !found[other] {
			t.Errorf("half a batch: %s without %s", key, other)
		}
	}
}

// TestOpenFailsCleanly makes each operation of Open fail in turn, and then
// opens without a fault.
func TestOpenFailsCleanly(t *testing.T) {
	base := vfs.NewCrashableMem()
	db := open(t, "db", pebble.Options{FS: base})
	put(t, db, echo.Disk, "k", "v")
	closeDB(t, db)
	rng := rand.New(rand.NewPCG(1, 1))
	for n := int64(0); ; n++ {
		mem := base.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		f := &faults{match: changes, err: syscall.EIO}
		f.after.Store(n)
		db, err := pebble.Open("db", pebble.Options{FS: errorfs.Wrap(mem, f), Log: quiet, Reserve: -1,
			OnFatal: func(err error) { t.Errorf("fault %d: OnFatal was called: %v", n, err) }})
		if err == nil {
			if f.count.Load() > n {
				t.Logf("fault %d did not matter to Open", n)
			}
			f.after.Store(never)
			closeDB(t, db)
			if f.count.Load() <= n {
				return // Open has fewer operations
			}
			continue
		}
		after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		db = open(t, "db", pebble.Options{FS: after})
		wantGet(t, db, "k", "v")
		closeDB(t, db)
	}
}

// TestFullDiskRefusesCommits: near the end of the disk commits fail and the
// database lives on.
func TestFullDiskRefusesCommits(t *testing.T) {
	mem := vfs.NewMem()
	disk := func(free uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: 1 << 30}) }
	disk(1 << 20)
	db := openForTest(t, "db", pebble.Options{FS: mem, Reserve: 1 << 20,
		OnFatal: func(err error) { t.Errorf("OnFatal: %v", err) }})
	if err := db.Commit(batch("k", "v"), echo.Kernel); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, pebble.ErrStopped) {
		t.Errorf("Commit on a full disk: got %v, want %v", err, syscall.ENOSPC)
	}
	if _, err := db.Get([]byte("k")); !errors.Is(err, echo.ErrNotFound) {
		t.Errorf("Get after a refused commit: got %v, want %v", err, echo.ErrNotFound)
	}
	disk(1<<20 + 100)
	put(t, db, echo.Kernel, "k", "v")
	large := strings.Repeat("x", 2<<20)
	if err := db.Commit(batch("large", large), echo.Kernel); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Commit of what has no room: got %v, want %v", err, syscall.ENOSPC)
	}
	disk(1 << 30)
	put(t, db, echo.Disk, "large", large)
	wantGet(t, db, "k", "v")
}

// TestReadOnlyDiskRefusesCommits: while the disk takes no writes commits fail,
// reading goes on, and later commits work.
func TestReadOnlyDiskRefusesCommits(t *testing.T) {
	var readOnly atomic.Bool
	db := openForTest(t, "db", pebble.Options{FS: vfs.NewMem(), Reserve: -1,
		Probe: func() error {
			if readOnly.Load() {
				return syscall.EROFS
			}
			return nil
		},
		OnFatal: func(err error) { t.Errorf("OnFatal: %v", err) }})
	put(t, db, echo.Kernel, "k", "before")
	readOnly.Store(true)
	for _, d := range []echo.Durability{echo.Kernel, echo.Disk} {
		if err := db.Commit(batch("k", "refused"), d); !errors.Is(err, syscall.EROFS) || errors.Is(err, pebble.ErrStopped) {
			t.Errorf("Commit: got %v, want %v", err, syscall.EROFS)
		}
	}
	wantGet(t, db, "k", "before")
	readOnly.Store(false)
	put(t, db, echo.Disk, "k", "after")
	wantGet(t, db, "k", "after")
}

// TestFullDiskCanGetRoom: tables that have no room wait, and the commits behind
// them too; with room again all goes on.
func TestFullDiskCanGetRoom(t *testing.T) {
	mem := vfs.NewCrashableMem()
	f := &faults{match: onFile(".sst", errorfs.OpFileWrite), err: syscall.ENOSPC, times: 3}
	db := openForTest(t, "db", pebble.Options{FS: errorfs.Wrap(mem, f), Reserve: -1,
		OnFatal: func(err error) { t.Errorf("OnFatal: %v", err) }})
	value := strings.Repeat("x", 10000)
	for i := range 2000 {
		put(t, db, echo.Kernel, fmt.Sprint(i), value)
	}
	stats, err := db.Stats()
	if err != nil || stats.BackgroundErrors == 0 || stats.LastError == "" {
		t.Errorf("Stats: got %+v, %v, want errors in the background", stats, err)
	}
	wantGet(t, db, "0", value)
}
