package pebble

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Defaults of Options.
const (
	DefaultCacheSize = 32 << 20 // bytes
	DefaultReserve   = 64 << 20 // bytes; a few memtables, and a compaction on its way
)

// memTableSize bounds what waits in memory before it is written to a table, in
// bytes. Less costs much work of compaction, more costs memory: there are up to
// two of them, and the logs on disk are as large.
const memTableSize = 4 << 20

// walFormat is the version of Pebble's own files: see the package comment.
const walFormat = pebble.FormatColumnarBlocks

// Options tells how to open a database. The zero value is usable.
type Options struct {
	// Log gets what Pebble has to say; nil means slog.Default().
	Log *slog.Logger
	// OnFatal is called once, in a goroutine of its own, when the database can
	// no longer be trusted to store anything. The process should unmount and
	// exit. It is not called for errors that Open returns. nil means that only
	// the log tells.
	OnFatal func(error)
	// CacheSize bounds the memory for blocks of tables, in bytes; 0 means
	// DefaultCacheSize.
	CacheSize int64
	// Reserve is the free space, in bytes, below which commits are refused; 0
	// means DefaultReserve, a negative number none.
	Reserve int64
	// Probe, if not nil, is asked before each commit whether the disk takes any
	// writes. Its error refuses the commit, before anything can break; reading goes
	// on, and so does writing when the disk can again. It must be quick.
	Probe func() error
	// Seal encrypts values; nil for a database that is not encrypted.
	Seal *Seal
	// FS holds the files; nil means the operating system's file system.
	FS vfs.FS
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.OnFatal == nil {
		o.OnFatal = func(error) {}
	}
	if o.CacheSize == 0 {
		o.CacheSize = DefaultCacheSize
	}
	if o.Reserve == 0 {
		o.Reserve = DefaultReserve
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	return o
}

// engineOptions returns Pebble's options: those of a daemon that should stay
// well under 100 MB.
func (db *DB) engineOptions() *pebble.Options {
	o := &pebble.Options{
		FormatMajorVersion:          walFormat,
		CacheSize:                   db.opts.CacheSize,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: 2,
		L0CompactionThreshold:       4,
		MaxOpenFiles:                256,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		Logger:                      engineLog{db},
		EventListener:               db.events(),
		FS:                          db.wal,
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // bits per key: 1 % false positives
	}
	o.WithFSDefaults() // reports slow disks
	return o
}
