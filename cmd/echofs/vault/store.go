package vault

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"strconv"

	"echofs/echo"
	"echofs/halo"
	"echofs/pebble"
)

// The names of a database while a vault of before is being encrypted.
const (
	newDBName = "db.new" // the encrypted copy; complete once there is no db
	oldDBName = "db.old" // the one before, to be removed
)

// entryTable is the table of the store whose values are ciphertext already, and
// are sent as they are stored: signed entries.
const entryTable = 0x15

// nameKeyTable is the name of the key by which names in keys are hidden.
const nameKeyTable = "names"

// seal returns what encrypts the database: keys derived from the store key in
// the keystore, one for each table.
func (k *keystore) seal() (*pebble.Seal, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return pebble.NewSeal(func(table byte) []byte {
		return k.keys.ValueKey(strconv.Itoa(int(table))).Bytes()
	}, entryTable)
}

// openDB opens the vault's database. One that an earlier version has left
// unencrypted is encrypted first.
func (v *Vault) openDB() (*pebble.DB, error) {
	seal, err := v.keys.seal()
	if err != nil {
		return nil, err
	}
	if err := v.dir.finishSwap(); err != nil {
		return nil, err
	}
	opts := pebble.Options{Log: v.log, OnFatal: v.storeFailed, Seal: seal, Probe: v.dir.writable}
	db, err := pebble.Open(v.dir.file(dbName), opts)
	if !errors.Is(err, pebble.ErrPlain) {
		return db, err
	}
	v.log.Info("the database is being encrypted; this is done once")
	if err := v.dir.encrypt(seal, v.keys.nameKey(), v.log); err != nil {
		return nil, fmt.Errorf("encrypt the database: %w", err)
	}
	return pebble.Open(v.dir.file(dbName), opts)
}

// encrypt makes an encrypted copy of the database and puts it in its place.
// Wherever it is cut off, the next Open goes on: a copy beside a database is
// made again, a copy without one is complete.
func (d *Dir) encrypt(seal *pebble.Seal, rename func([]byte) []byte, log *slog.Logger) error {
	plain, err := pebble.Open(d.file(dbName), pebble.Options{Log: log})
	if err != nil {
		return err
	}
	sealed, err := pebble.Open(d.file(newDBName), pebble.Options{Log: log, Seal: seal})
	if err != nil {
		return errors.Join(err, plain.Close())
	}
	if err := errors.Join(plain.CopyTo(sealed, rename), plain.Close(), sealed.Close()); err != nil {
		return err
	}
	if err := os.Rename(d.file(dbName), d.file(oldDBName)); err != nil {
		return err
	}
	return d.finishSwap()
}

// finishSwap does the last steps of encrypt, each of which may have been done
// already.
func (d *Dir) finishSwap() error {
	_, err := os.Lstat(d.file(dbName))
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		if _, err := os.Lstat(d.file(oldDBName)); errors.Is(err, iofs.ErrNotExist) {
			return nil // a new vault
		}
		if err := os.Rename(d.file(newDBName), d.file(dbName)); err != nil {
			return fmt.Errorf("put the encrypted database in its place: %w", err)
		}
		if err := syncDir(d.path); err != nil {
			return fmt.Errorf("put the encrypted database in its place: %w", err)
		}
	case err != nil:
		return err
	default:
		if err := os.RemoveAll(d.file(newDBName)); err != nil {
			return fmt.Errorf("remove half of a copy: %w", err)
		}
	}
	if err := os.RemoveAll(d.file(oldDBName)); err != nil {
		return fmt.Errorf("remove the unencrypted database: %w", err)
	}
	return nil
}

// indexKey returns the key by which names are hidden.
func (k *keystore) indexKey() halo.Secret {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys.IndexKey(nameKeyTable)
}

// nameKey returns what hides the names in the keys of the store.
func (k *keystore) nameKey() func([]byte) []byte {
	return echo.HideNames(k.indexKey())
}
