package pebble

import (
	"bytes"
	"fmt"

	"echofs/echo"
)

// copyBatch is how many bytes CopyTo commits at a time, about.
const copyBatch = 1 << 20

// CopyTo writes all that is in the store into another database, with the keys
// that rename gives them, and makes it durable. It is how a database is sealed.
func (db *DB) CopyTo(to *DB, rename func(key []byte) []byte) error {
	var b echo.Batch
	var failed error
	size := 0
	err := db.Scan(nil, nil, func(key, value []byte) bool {
		k, v := bytes.Clone(rename(key)), bytes.Clone(value)
		b.Put(k, v)
		if size += len(k) + len(v); size >= copyBatch {
			failed = to.Commit(&b, echo.Kernel)
			b, size = echo.Batch{}, 0
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = to.Commit(&b, echo.Disk)
	}
	if err != nil {
		return fmt.Errorf("copy database %s to %s: %w", db.dir, to.dir, err)
	}
	return nil
}
