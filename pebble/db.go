package pebble

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"echofs/echo"
)

var _ echo.Store = (*DB)(nil)

// Errors that callers tell apart.
var (
	// ErrLocked is wrapped where another process, or this one, has the database
	// open.
	ErrLocked = errors.New("database is in use")
	// ErrNewerFormat is wrapped where a newer version of the program wrote the
	// database.
	ErrNewerFormat = errors.New("database has a newer format than this program knows")
	// ErrForeign is wrapped where a directory holds a Pebble database that this
	// package did not make.
	ErrForeign = errors.New("not an echofs database")
	// ErrStopped is wrapped by every error after the database failed for good.
	ErrStopped = errors.New("database has stopped")
	// ErrBatchTooLarge is wrapped where a batch has more than MaxBatchBytes.
	ErrBatchTooLarge = errors.New("batch is too large")
)

// MaxBatchBytes bounds the keys and values of one batch. Batches of 1 or 2 MiB
// are better: a batch is held in memory several times over.
const MaxBatchBytes = 256 << 20

// DB is an open database. All methods may be called from any goroutine.
type DB struct {
	opts  Options
	dir   string
	wal   *walFS
	lock  io.Closer
	inner *pebble.DB
	space space

	background background

	state    atomic.Int32 // opening, running, closing
	stopOnce sync.Once
	stopped  chan struct{} // closed by the first failure
	cause    error         // the failure; set before stopped is closed
}

// The states of a DB. What fails while it is running is fatal; before and after
// there is a caller who is told.
const (
	opening int32 = iota
	running
	closing
)

// Open opens the database in dir, and makes dir and database if there are
// none. The errors ErrLocked, ErrNewerFormat and ErrForeign leave the data as
// it was.
func Open(dir string, opts Options) (*DB, error) {
	db, err := open(dir, opts, upgrades)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", dir, err)
	}
	return db, nil
}

func open(dir string, opts Options, upgrades []upgrade) (*DB, error) {
	db := &DB{opts: opts.withDefaults(), dir: dir, stopped: make(chan struct{})}
	db.wal = &walFS{FS: db.opts.FS, stop: db.stop, die: db.die}
	db.space = space{fs: db.opts.FS, dir: dir, probe: db.opts.Probe, reserve: db.opts.Reserve}
	if err := db.opts.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDirectory(dir, db.opts.FS)
	if err != nil {
		return nil, err
	}
	db.lock = lock
	if err := db.guard(func() error { return db.openEngine(lock, upgrades) }); err != nil {
		if !errors.Is(err, ErrStopped) { // else it may still be at work
			err = errors.Join(err, lock.Close())
		}
		return nil, err
	}
	db.state.Store(running)
	return db, nil
}

// lockDirectory keeps other processes out.
func lockDirectory(dir string, fs vfs.FS) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fs)
	if err == nil {
		return lock, nil
	}
	// A lock that this process holds is reported by an error without an errno;
	// one of another process by the errno of fcntl(2).
	var errno syscall.Errno
	if !errors.As(err, &errno) || errno == syscall.EAGAIN {
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	return nil, err
}

// openEngine opens Pebble's database and brings its format up to date.
func (db *DB) openEngine(lock *pebble.Lock, upgrades []upgrade) error {
	exists, err := checkEngineFormat(db.dir, db.opts.FS)
	if err != nil {
		return err
	}
	o := db.engineOptions()
	o.Lock = lock
	o.ErrorIfNotExists = exists
	inner, err := pebble.Open(db.dir, o)
	if err != nil {
		return err
	}
	err = withDisk(db.wal, func() error { return bringUpToDate(inner, upgrades, db.opts.Seal) })
	if err != nil {
		return errors.Join(err, inner.Close())
	}
	db.inner = inner
	return nil
}

// Close writes everything to the disk and releases the directory. The database
// must not be used any more.
func (db *DB) Close() error {
	db.state.Store(closing)
	err := db.guard(func() error {
		return errors.Join(db.inner.Close(), db.lock.Close())
	})
	if err != nil {
		return fmt.Errorf("close database %s: %w", db.dir, err)
	}
	return nil
}

// Get implements echo.Store.
func (db *DB) Get(key []byte) ([]byte, error) {
	if err := db.alive(); err != nil {
		return nil, fmt.Errorf("get key %x: %w", key, err)
	}
	value, closer, err := db.inner.Get(storeKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("get key %x: %w", key, echo.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("get key %x: %w", key, err)
	}
	// Never nil, since an empty value is a value.
	owned, err := db.opts.Seal.open(make([]byte, 0, len(value)), key, value)
	if err := errors.Join(err, closer.Close()); err != nil {
		return nil, fmt.Errorf("get key %x: %w", key, err)
	}
	return owned, nil
}

// Scan implements echo.Store.
func (db *DB) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if err := db.alive(); err != nil {
		return fmt.Errorf("scan from %x: %w", from, err)
	}
	upper := []byte{prefixStore + 1}
	if to != nil {
		upper = storeKey(to)
	}
	if err := scanRange(db.inner, db.opts.Seal, storeKey(from), upper, fn); err != nil {
		return fmt.Errorf("scan from %x: %w", from, err)
	}
	return nil
}

func scanRange(inner *pebble.DB, seal *Seal, from, to []byte, fn func(key, value []byte) bool) error {
	if bytes.Compare(from, to) >= 0 {
		return nil
	}
	it, err := inner.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	var opened []byte // holds the value during the call
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()[1:]
		value, err := it.ValueAndErr()
		if err == nil && seal.cipher(key) != nil {
			value, err = seal.open(opened[:0], key, value)
			opened = value
		}
		if err != nil {
			return errors.Join(fmt.Errorf("key %x: %w", key, err), it.Close())
		}
		if !fn(key, value) {
			break
		}
	}
	return it.Close() // with the error that ended the loop, if one did
}

// Commit implements echo.Store. It fails with an error that wraps
// syscall.ENOSPC while the disk is all but full, and with that of Options.Probe. An error that wraps ErrStopped
// leaves open whether the batch will be there when the database is opened
// again; all others mean that it is not.
func (db *DB) Commit(b *echo.Batch, d echo.Durability) error {
	if err := db.commit(b, d); err != nil {
		return fmt.Errorf("commit batch of %d writes: %w", b.Len(), err)
	}
	return nil
}

func (db *DB) commit(b *echo.Batch, d echo.Durability) error {
	if err := db.alive(); err != nil {
		return err
	}
	size, err := batchSize(b)
	if err != nil {
		return err
	}
	if err := db.space.take(size); err != nil {
		return err
	}
	batch, err := engineBatch(db.inner, db.opts.Seal, b, size)
	if err != nil || batch == nil && d == echo.Memory {
		return err
	}
	return db.guard(func() error {
		switch d {
		case echo.Memory:
			return apply(db.inner, batch, pebble.NoSync)
		case echo.Disk:
			return withDisk(db.wal, func() error { return apply(db.inner, batch, pebble.Sync) })
		}
		return apply(db.inner, batch, pebble.Sync)
	})
}

// apply commits a batch, or makes what was committed before durable if there
// is none.
func apply(inner *pebble.DB, batch *pebble.Batch, how *pebble.WriteOptions) error {
	if batch == nil {
		return inner.LogData(nil, how)
	}
	if err := batch.Commit(how); err != nil {
		return err
	}
	return batch.Close()
}

// Checkpoint writes a consistent copy of the database to dir, which must not
// exist, but whose parent must. Tables are shared by hard links where dir is on
// the same file system, so it takes little time and room.
func (db *DB) Checkpoint(dir string) error {
	err := db.alive()
	if err == nil {
		err = db.guard(func() error {
			return withDisk(db.wal, func() error {
				return db.inner.Checkpoint(dir, pebble.WithFlushedWAL())
			})
		})
	}
	if err != nil {
		return fmt.Errorf("copy database to %s: %w", filepath.Clean(dir), err)
	}
	return nil
}
