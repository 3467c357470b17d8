package blob

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Dir is a Store in a directory: a file for each chunk, named by its address, in
// 256 directories named by its first byte. Files are better than a database
// here: chunks are large, never change, and are deleted one by one.
type Dir struct {
	path string
	room *Room

	mu       sync.Mutex // guards unsynced
	unsynced []string   // files that the disk may not have, for Sync
}

var _ Store = (*Dir)(nil)

// tempPrefix begins the names of files that are not complete.
const tempPrefix = "new-"

// maxUnsynced is for how many chunks it is remembered that the disk may not
// have them; beyond, the oldest are synced at once.
const maxUnsynced = 4096

// OpenDir opens a store, and clears it of what a crash left half written. The
// directory is made when the first chunk is put.
func OpenDir(path string) (*Dir, error) {
	half, err := filepath.Glob(filepath.Join(path, "??", tempPrefix+"*"))
	if err != nil {
		return nil, fmt.Errorf("open chunks: %w", err)
	}
	for _, name := range half {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("open chunks: %w", err)
		}
	}
	return &Dir{path: path, room: NewRoom(path, DefaultReserve)}, nil
}

func (d *Dir) file(a Address) string {
	name := a.String()
	return filepath.Join(d.path, name[:2], name)
}

// Get implements Source. A file that a power cut left without its content is no
// chunk.
func (d *Dir) Get(_ context.Context, a Address) ([]byte, error) {
	b, err := os.ReadFile(d.file(a))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, missing(a)
	case err != nil:
		return nil, fmt.Errorf("read chunk: %w", err)
	}
	if _, err := Epoch(b); err != nil {
		return nil, fmt.Errorf("%w: %w", missing(a), err)
	}
	return b, nil
}

// Put implements Store. The content is written under another name first, so
// that a file with the chunk's name is always all of it.
func (d *Dir) Put(a Address, sealed []byte) error {
	name := d.file(a)
	if ok, err := d.Has(a); ok || err != nil {
		return err
	}
	if err := d.room.Take(int64(len(sealed))); err != nil {
		return fmt.Errorf("store chunk: %w", err)
	}
	err := d.write(name, sealed)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			err = d.write(name, sealed)
		}
	}
	if err != nil {
		return fmt.Errorf("store chunk: %w", err)
	}
	return d.remember(name)
}

func (d *Dir) write(name string, sealed []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), tempPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(sealed)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what stays is removed at the next start
	}
	return err
}

// remember notes a file for Sync.
func (d *Dir) remember(name string) error {
	d.mu.Lock()
	d.unsynced = append(d.unsynced, name)
	full := len(d.unsynced) >= maxUnsynced
	d.mu.Unlock()
	if full {
		return d.Sync()
	}
	return nil
}

// Has implements Store.
func (d *Dir) Has(a Address) (bool, error) {
	st, err := os.Lstat(d.file(a))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find chunk: %w", err)
	}
	return st.Size() >= minSealed, nil
}

// Delete implements Store.
func (d *Dir) Delete(a Address) error {
	err := os.Remove(d.file(a))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete chunk: %w", err)
	}
	return nil
}

// Walk implements Store.
func (d *Dir) Walk(fn func(Address, int64) error) error {
	dirs, err := os.ReadDir(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list chunks: %w", err)
	}
	for _, sub := range dirs {
		files, err := os.ReadDir(filepath.Join(d.path, sub.Name()))
		if err != nil {
			return fmt.Errorf("list chunks: %w", err)
		}
		for _, f := range files {
			a, err := ParseAddress(f.Name())
			if err != nil || !strings.HasPrefix(f.Name(), sub.Name()) {
				continue // not ours, or not complete
			}
			size := int64(0)
			if st, err := f.Info(); err == nil {
				size = st.Size()
			}
			if err := fn(a, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sync implements Store: the files first, then the directories that name them.
func (d *Dir) Sync() error {
	d.mu.Lock()
	names := d.unsynced
	d.unsynced = nil
	d.mu.Unlock()
	err := syncAll(names)
	if err != nil {
		d.mu.Lock()
		d.unsynced = append(names, d.unsynced...)
		d.mu.Unlock()
		return fmt.Errorf("sync chunks: %w", err)
	}
	return nil
}

func syncAll(names []string) error {
	dirs := make(map[string]bool)
	for _, name := range names {
		if err := syncPath(name); err != nil && !errors.Is(err, os.ErrNotExist) { // deleted meanwhile
			return err
		}
		dirs[filepath.Dir(name)] = true
		dirs[filepath.Dir(filepath.Dir(name))] = true
	}
	for dir := range dirs {
		if err := syncPath(dir); err != nil {
			return err
		}
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
