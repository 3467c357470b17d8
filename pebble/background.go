package pebble

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// background remembers what went wrong where nobody waited for it: when memory
// was written to tables, and when tables were merged.
type background struct {
	mu    sync.Mutex // guards what follows
	count int
	last  error
	flush error // of the flush that ended last
}

// retryDelay is waited for after a failure before a new table is begun. Pebble
// would try again at once, for ever.
const retryDelay = 200 * time.Millisecond

// events watches Pebble's work in the background. Pebble holds its locks when
// it calls, so the functions neither wait nor use the database.
func (db *DB) events() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: db.backgroundFailed,
		FlushEnd:        func(info pebble.FlushInfo) { db.background.setFlush(info.Err) },
		DiskSlow: func(info pebble.DiskSlowInfo) {
			db.opts.Log.Warn("the disk is slow", "path", info.Path, "op", info.OpType.String(), "took", info.Duration)
		},
	}
}

// backgroundFailed ends the database when it can no longer write memory out. A
// full disk can get room again, and commits wait that long; for anything else
// they would wait in vain, and so would Open. Tables that cannot be merged cost
// speed only.
func (db *DB) backgroundFailed(err error) {
	db.wal.pause.Store(time.Now().Add(retryDelay).UnixNano())
	flush := db.background.add(err)
	db.opts.Log.Error("the database failed at work in the background", "dir", db.dir, "err", err)
	state := db.state.Load()
	if flush && (state == opening || state == running && !errors.Is(err, syscall.ENOSPC)) {
		db.die(fmt.Errorf("write memory to a table: %w", err))
	}
}

// setFlush notes how a flush ended. Not every error is a failure: one that
// found nothing to write ends with an error too. Failures are reported to add.
func (b *background) setFlush(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush = err
}

// add notes a failure, and reports whether it is that of the last flush.
func (b *background) add(err error) (flush bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	b.last = err
	return b.flush != nil && errors.Is(err, b.flush)
}

func (b *background) get() (count int, last error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count, b.last
}
