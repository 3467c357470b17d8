package pebble_test

import (
	"errors"
	"slices"
	"testing"

	cockroach "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"echofs/echo"
	"echofs/pebble"
)

// TestUpgrade opens a database of version 1 with a program of version 3.
func TestUpgrade(t *testing.T) {
	fs := vfs.NewMem()
	opts := pebble.Options{FS: fs, Log: quiet}
	db := open(t, "db", opts)
	put(t, db, echo.Kernel, "k", "v")
	closeDB(t, db)

	var ran []string
	failure := errors.New("no")
	step := func(name string, err error) func(*cockroach.DB) error {
		return func(db *cockroach.DB) error {
			ran = append(ran, name)
			return errors.Join(err, db.Set([]byte("\x01"+name), []byte("done"), cockroach.Sync))
		}
	}
	if _, err := pebble.OpenUpgrading("db", opts, step("1 to 2", nil), step("2 to 3", failure)); !errors.Is(err, failure) {
		t.Fatalf("Open with a failing upgrade: got %v, want %v", err, failure)
	}
	db, err := pebble.OpenUpgrading("db", opts, step("1 to 2", nil), step("2 to 3", nil))
	if err != nil {
		t.Fatalf("Open with upgrades: %v", err)
	}
	if want := []string{"1 to 2", "2 to 3", "2 to 3"}; !slices.Equal(ran, want) {
		t.Errorf("upgrades: got %q, want %q", ran, want)
	}
	wantGet(t, db, "k", "v")
	wantGet(t, db, "1 to 2", "done")
	closeDB(t, db)

	if _, err := pebble.Open("db", opts); !errors.Is(err, pebble.ErrNewerFormat) {
		t.Errorf("Open of a newer version: got %v, want %v", err, pebble.ErrNewerFormat)
	}
	db, err = pebble.OpenUpgrading("db", opts, nil, nil) // which are not run again
	if err != nil {
		t.Fatalf("Open of version 3 by version 3: %v", err)
	}
	wantGet(t, db, "k", "v") // what refused has harmed nothing
	closeDB(t, db)
}

// TestForeignDatabases: databases of others are refused, and left as they were.
func TestForeignDatabases(t *testing.T) {
	tests := []struct {
		name   string
		format cockroach.FormatMajorVersion
		key    string
		value  string
		want   error
	}{
		{"newer Pebble format", cockroach.FormatWALSyncChunks, "\x00format", "\x01", pebble.ErrNewerFormat},
		{"newest Pebble format", cockroach.FormatNewest, "\x00format", "\x01", pebble.ErrNewerFormat},
		{"no version", cockroach.FormatColumnarBlocks, "key", "value", pebble.ErrForeign},
		{"version 0", cockroach.FormatColumnarBlocks, "\x00format", "\x00", pebble.ErrForeign},
		{"version with a tail", cockroach.FormatColumnarBlocks, "\x00format", "\x01\x00", pebble.ErrForeign},
		{"empty version", cockroach.FormatColumnarBlocks, "\x00format", "", pebble.ErrForeign},
		{"version 2", cockroach.FormatColumnarBlocks, "\x00format", "\x02", pebble.ErrNewerFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fs := vfs.NewMem()
			foreign, err := cockroach.Open("db", &cockroach.Options{FS: fs, FormatMajorVersion: tt.format, Logger: cockroach.DefaultLogger})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(foreign.Set([]byte(tt.key), []byte(tt.value), cockroach.Sync), foreign.Close()); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the lock is released
				if _, err := pebble.Open("db", pebble.Options{FS: fs, Log: quiet}); !errors.Is(err, tt.want) {
					t.Errorf("Open: got %v, want %v", err, tt.want)
				}
			}
		})
	}
}

// TestStoreKeysDoNotReachOurs: nothing that a user of the store does touches
// the database's own keys.
func TestStoreKeysDoNotReachOurs(t *testing.T) {
	opts := pebble.Options{FS: vfs.NewMem()}
	db := open(t, "db", opts)
	put(t, db, echo.Kernel, "", "1", "\x00format", "2", "\xff\xff", "3")
	var b echo.Batch
	b.DeleteRange(nil, []byte("\xff\xff\xff"))
	if err := db.Commit(&b, echo.Disk); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	db = openForTest(t, "db", opts)
	if err := db.Scan(nil, nil, func(key, _ []byte) bool { t.Errorf("key %q is left", key); return true }); err != nil {
		t.Error(err)
	}
}
