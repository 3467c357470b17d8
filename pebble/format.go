package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Format is the version of the format that this package writes.
const Format = 1

// formatKey holds the version of the format.
var formatKey = append([]byte{prefixOwn}, "format"...)

// upgrade brings a database from one version to the next. It is run again
// after a crash in between, so it must do the same when half of it is done.
type upgrade func(*pebble.DB) error

// upgrades lead to Format: the first from version 1 to 2, and so on.
var upgrades []upgrade

// checkEngineFormat refuses a database whose Pebble format is above ours, since
// it could not be opened with our kind of log. It reports whether there is a
// database.
func checkEngineFormat(dir string, fs vfs.FS) (exists bool, err error) {
	desc, err := pebble.Peek(dir, fs)
	if err != nil {
		return false, err
	}
	if desc.Exists && desc.FormatMajorVersion > walFormat {
		return true, fmt.Errorf("%w: Pebble format %d, known are those up to %d",
			ErrNewerFormat, desc.FormatMajorVersion, walFormat)
	}
	return desc.Exists, nil
}

// bringUpToDate writes the version into a new database, checks the seal of an
// older one, and runs the upgrades that it lacks.
func bringUpToDate(inner *pebble.DB, upgrades []upgrade, seal *Seal) error {
	newest := 1 + len(upgrades)
	version, err := readFormat(inner)
	if err != nil {
		return err
	}
	sealed := version >= sealedFormat
	flag := 0
	switch {
	case version == 0:
		if err := seal.writeMark(inner); err != nil {
			return err
		}
		if seal != nil {
			newest += sealedFormat
		}
		return writeFormat(inner, newest)
	case sealed:
		if err := seal.checkMark(inner); err != nil {
			return err
		}
		flag = sealedFormat
	case seal != nil:
		return ErrPlain
	}
	version -= flag
	if version > newest {
		return fmt.Errorf("%w: version %d, known are those up to %d", ErrNewerFormat, version, newest)
	}
	for ; version < newest; version++ {
		if err := upgrades[version-1](inner); err != nil {
			return fmt.Errorf("upgrade from format %d: %w", version, err)
		}
		if err := writeFormat(inner, flag+version+1); err != nil {
			return fmt.Errorf("upgrade from format %d: %w", version, err)
		}
	}
	return nil
}

// readFormat returns the version, which is at least 1, or 0 for a database with
// nothing in it.
func readFormat(inner *pebble.DB) (int, error) {
	value, closer, err := inner.Get(formatKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, checkEmpty(inner)
	}
	if err != nil {
		return 0, fmt.Errorf("read version of the format: %w", err)
	}
	defer closer.Close()
	version, n := binary.Uvarint(value)
	if n != len(value) || version == 0 || version > 1<<31 {
		return 0, fmt.Errorf("%w: version of the format is %x", ErrForeign, value)
	}
	return int(version), nil
}

func checkEmpty(inner *pebble.DB) error {
	it, err := inner.NewIter(nil)
	if err != nil {
		return err
	}
	ok := it.First()
	if ok && bytes.Equal(it.Key(), sealKey) { // the process died before it wrote the version
		ok = it.Next()
	}
	if ok {
		err = fmt.Errorf("%w: it has keys but no version of the format", ErrForeign)
	}
	return errors.Join(err, it.Close())
}

func writeFormat(inner *pebble.DB, version int) error {
	value := binary.AppendUvarint(nil, uint64(version))
	if err := inner.Set(formatKey, value, pebble.Sync); err != nil {
		return fmt.Errorf("write version of the format: %w", err)
	}
	return nil
}
