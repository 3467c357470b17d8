package blob_test

import (
	"errors"
	"math"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"echofs/echo/blob"
)

func TestRoom(t *testing.T) {
	dir := t.TempDir()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	total := int64(st.Blocks) * int64(st.Bsize)
	notYet := filepath.Join(dir, "not", "yet")
	for _, c := range []struct {
		what          string
		dir           string
		reserve, size int64
		want          error
	}{
		{"a little", dir, 0, 1, nil},
		{"a directory that is not there yet", notYet, 0, 1, nil},
		{"more than the disk has", dir, 0, math.MaxInt64, syscall.ENOSPC},
		{"a reserve of all", dir, total, 1, syscall.ENOSPC},
	} {
		r := blob.NewRoom(c.dir, c.reserve)
		for range 2 { // a refusal is none for ever, and nothing is admitted by it
			if err := r.Take(c.size); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", c.what, err, c.want)
			}
		}
	}
}

// TestNoRoomForChunks stores nothing where the disk is all but full.
func TestNoRoomForChunks(t *testing.T) {
	d, err := blob.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d.SetReserve(math.MaxInt64)
	var a blob.Address
	if err := d.Put(a, make([]byte, 100)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	if ok, err := d.Has(a); ok || err != nil {
		t.Errorf("a chunk that was refused is there: %v, %v", ok, err)
	}
}
