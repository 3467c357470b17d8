package vault

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"echofs/cmd/echofs/control"
)

// The names in a vault's directory.
const (
	formatName   = "format"      // what the directory is, its version and id; written when it is made
	lockName     = "lock"        // flock of the process that uses the vault, and its pid
	dbName       = "db"          // the Pebble database
	localName    = "local"       // content of files of this machine only
	blobsName    = "blobs"       // chunks of blobs, by space
	keystoreName = "keys.efk"    // the sealed keys
	configName   = "config.json" // settings of a vault of an earlier version
	logName      = "daemon.log"  // what a daemon in the background says
)

// newPrefix begins the names of files that are being made.
const newPrefix = ".new-"

// formatVersion is the version of the layout of the directory.
const formatVersion = 1

// ErrNoVault is wrapped where a directory holds no vault.
var ErrNoVault = fmt.Errorf("no vault there: %w", iofs.ErrNotExist)

// Dir is the directory of a vault.
type Dir struct {
	path string
	id   string // 32 hexadecimal digits, random
}

// OpenDir returns the vault's directory at path. The error wraps ErrNoVault
// where none was made.
func OpenDir(path string) (*Dir, error) {
	if err := checkDir(path); err != nil {
		return nil, err
	}
	b, err := readPrivate(filepath.Join(path, formatName), 4096)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, noVault(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	id, err := parseFormat(b)
	if err != nil {
		return nil, fmt.Errorf("open vault %s: %w", path, err)
	}
	return &Dir{path: path, id: id}, nil
}

// CreateDir returns the vault's directory at path and makes it where there is
// none. A directory with anything else in it is refused.
func CreateDir(path string) (*Dir, error) {
	d, err := OpenDir(path)
	if !errors.Is(err, ErrNoVault) {
		return d, err
	}
	if err := makePrivate(path); err != nil {
		return nil, fmt.Errorf("make vault: %w", err)
	}
	if err := checkEmpty(path); err != nil {
		return nil, err
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("make vault: %w", err)
	}
	d = &Dir{path: path, id: hex.EncodeToString(id)}
	// Whoever makes the same vault at the same moment has the same right to
	// say its id: a link fails where there is a file already.
	if err := writeNew(filepath.Join(path, formatName), formatFile(d.id)); errors.Is(err, iofs.ErrExist) {
		return OpenDir(path)
	} else if err != nil {
		return nil, fmt.Errorf("make vault: %w", err)
	}
	return d, nil
}

// Path returns the path of the directory.
func (d *Dir) Path() string { return d.path }

// ID returns the vault's id: 32 hexadecimal digits, without any meaning.
func (d *Dir) ID() string { return d.id }

func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

// LogPath returns the path of the log of a daemon in the background.
func (d *Dir) LogPath() string { return d.file(logName) }

func noVault(path string) error {
	return control.WithHint(fmt.Errorf("open vault %s: %w", path, ErrNoVault),
		"make one with: echofs init (or: echofs mount)")
}

// checkDir refuses a directory that is not private to this user.
func checkDir(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return noVault(path)
	}
	if err != nil {
		return fmt.Errorf("open vault: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open vault: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("open vault: %s is not a directory: %w", path, control.ErrUsage)
	}
	if names, err := f.Readdirnames(1); errors.Is(err, io.EOF) && len(names) == 0 {
		return noVault(path)
	}
	return checkPrivate(f)
}

// makePrivate makes a directory, or closes an empty one to others.
func makePrivate(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return checkPrivate(f)
}

// checkEmpty refuses to make a vault among other files.
func checkEmpty(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("make vault: %w", err)
	}
	for _, e := range entries {
		if e.Name() != formatName && !strings.HasPrefix(e.Name(), newPrefix) {
			return control.WithHint(fmt.Errorf("make vault %s: the directory is not empty (%s): %w", path, e.Name(), control.ErrRefused),
				"choose another place with --home DIR or $ECHOFS_HOME")
		}
	}
	return nil
}

// writeNew makes a file with content, all of it or nothing, and fails with
// fs.ErrExist where there is one.
func writeNew(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), newPrefix+"*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err := f.Write(content); err != nil {
		_ = f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// formatFile returns the content of the format file: three lines.
func formatFile(id string) []byte {
	return fmt.Appendf(nil, "echofs vault\nversion %d\nid %s\n", formatVersion, id)
}

// parseFormat reads a format file and returns the id. What it accepts is what
// formatFile writes.
func parseFormat(b []byte) (string, error) {
	var version int
	var id string
	if _, err := fmt.Sscanf(string(b), "echofs vault\nversion %d\nid %s\n", &version, &id); err != nil {
		return "", fmt.Errorf("%s: not an echofs vault", formatName)
	}
	if version > formatVersion {
		return "", control.WithHint(fmt.Errorf("its version is %d, this echofs knows %d", version, formatVersion),
			"use the newer echofs that wrote it")
	}
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 || !bytes.Equal(b, formatFile(id)) {
		return "", fmt.Errorf("%s: damaged", formatName)
	}
	return id, nil
}
