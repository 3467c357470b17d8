package pebble

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walCategory is how Pebble marks the files of its log.
const walCategory vfs.DiskWriteCategory = "pebble-wal"

// walFS is the file system under Pebble, which makes Kernel commits possible:
// see the package comment. Its log files never report an error to Pebble once
// the database is running, since that would panic with locks in an unknown
// state, and its directories never report that they could not be synced, since
// that would panic in a goroutine of Pebble's.
type walFS struct {
	vfs.FS
	disk  atomic.Int64 // Disk commits in flight
	pause atomic.Int64 // no new tables before that time, in nanoseconds since 1970
	stop  func(error)  // does not return while the database is running
	die   func(error)  // does not return
}

var _ vfs.FS = (*walFS)(nil)

// withDisk runs fn, in which commits reach the disk.
func withDisk(fs *walFS, fn func() error) error {
	fs.disk.Add(1)
	defer fs.disk.Add(-1)
	return fn()
}

// Unwrap implements vfs.FS.
func (fs *walFS) Unwrap() vfs.FS { return fs.FS }

// Create implements vfs.FS.
func (fs *walFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if category != walCategory {
		time.Sleep(time.Until(time.Unix(0, fs.pause.Load())))
	}
	f, err := fs.FS.Create(name, category)
	return fs.wrap("create", name, category, f, err)
}

// ReuseForWrite implements vfs.FS.
func (fs *walFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldname, newname, category)
	return fs.wrap("reuse", newname, category, f, err)
}

// OpenDir implements vfs.FS.
func (fs *walFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &dirFile{File: f, fs: fs, name: name}, nil
}

// dirFile is a directory.
type dirFile struct {
	vfs.File
	fs   *walFS
	name string
}

// Sync implements vfs.File.
func (f *dirFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		f.fs.die(fmt.Errorf("sync directory %s: %w", f.name, err))
	}
	return nil
}

func (fs *walFS) wrap(doing, name string, category vfs.DiskWriteCategory, f vfs.File, err error) (vfs.File, error) {
	if category != walCategory {
		return f, err
	}
	if err != nil {
		return nil, fs.check(doing, name, err)
	}
	return &walFile{File: f, fs: fs, name: name}, nil
}

// check gives an error of a log file to stop, and to Pebble if that returns.
func (fs *walFS) check(doing, name string, err error) error {
	if err != nil {
		fs.stop(fmt.Errorf("%s log %s: %w", doing, name, err))
	}
	return err
}

// walFile is a file of the log. Pebble writes and syncs it from one goroutine,
// and closes it when that has ended.
type walFile struct {
	vfs.File
	fs    *walFS
	name  string
	dirty bool // written since the last true sync
}

// Write implements vfs.File.
func (f *walFile) Write(p []byte) (int, error) {
	f.dirty = true
	n, err := f.File.Write(p)
	return n, f.fs.check("write", f.name, err)
}

// Sync implements vfs.File.
func (f *walFile) Sync() error { return f.SyncData() }

// SyncData implements vfs.File. A Disk commit raises the counter before it
// hands its record to Pebble, so the sync that serves it sees it raised.
func (f *walFile) SyncData() error {
	if f.fs.disk.Load() == 0 {
		return nil
	}
	return f.sync()
}

// Close implements vfs.File. It syncs what needs it, so that nothing that comes
// after this file can be more durable than what is in it.
func (f *walFile) Close() error {
	if f.dirty {
		if err := f.sync(); err != nil {
			return err
		}
	}
	return f.fs.check("close", f.name, f.File.Close())
}

func (f *walFile) sync() error {
	if err := f.fs.check("sync", f.name, f.File.SyncData()); err != nil {
		return err
	}
	f.dirty = false
	return nil
}
