package vault

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"echofs/echo"
	"echofs/pebble"
)

// inPlain finds words in the files below a directory and in their names.
func inPlain(t *testing.T, dir string, words ...string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, w := range words {
			if bytes.Contains(b, []byte(w)) || bytes.Contains([]byte(path), []byte(w)) {
				found = append(found, path+": "+w)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A database that is not encrypted is when the vault is opened next, wherever
// that was cut off before.
func TestDatabaseOfBeforeIsEncrypted(t *testing.T) {
	for name, crash := range map[string]func(t *testing.T, d *Dir, keys *keystore){
		"at once": func(*testing.T, *Dir, *keystore) {},
		"half of a copy": func(t *testing.T, d *Dir, _ *keystore) {
			db, err := pebble.Open(d.file(newDBName), pebble.Options{Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				err = db.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"before the copy is in its place": func(t *testing.T, d *Dir, keys *keystore) {
			seal, err := keys.seal()
			if err == nil {
				err = d.encrypt(seal, keys.nameKey(), slog.New(slog.DiscardHandler))
			}
			if err == nil {
				err = os.Rename(d.file(dbName), d.file(newDBName))
			}
			if err == nil {
				err = os.Mkdir(d.file(oldDBName), 0o700)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := slog.New(slog.DiscardHandler)
			base := t.TempDir()
			getenv := func(v string) string { return map[string]string{"HOME": base}[v] }
			d, err := Make(filepath.Join(base, "vault"), MakeOptions{Name: "Ada", Getenv: getenv})
			if err != nil {
				t.Fatal(err)
			}
			keys, err := d.openKeystore(Access{}, getenv)
			if err != nil {
				t.Fatal(err)
			}
			db, err := pebble.Open(d.file(dbName), pebble.Options{Log: log})
			if err != nil {
				t.Fatal(err)
			}
			lookup := append([]byte{0x08, 0, 0, 0, 0, 0, 0, 0, 1}, "MARKERNAME.json"...)
			var b echo.Batch
			b.Put(lookup, []byte("MARKERVALUE"))
			if err := db.Commit(&b, echo.Disk); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			crash(t, d, keys)
			v := &Vault{dir: d, keys: keys, log: log}
			if db, err = v.openDB(); err != nil {
				t.Fatal(err)
			}
			got, err := db.Get(keys.nameKey()(lookup))
			if err != nil || string(got) != "MARKERVALUE" {
				t.Errorf("got %q, %v", got, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if found := inPlain(t, d.Path(), "MARKERNAME", "MARKERVALUE"); len(found) > 0 {
				t.Errorf("in plain: %q", found)
			}
			for _, left := range []string{newDBName, oldDBName} {
				if _, err := os.Lstat(d.file(left)); err == nil {
					t.Errorf("%s is left", left)
				}
			}
		})
	}
}
