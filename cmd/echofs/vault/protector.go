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
	"syscall"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

// Protector keeps the key that opens a vault's keystore, away from the vault.
type Protector interface {
	// Make makes a new key and keeps it.
	Make() (halo.Secret, error)
	// Key returns the key that was made. The error wraps fs.ErrNotExist where
	// there is none.
	Key() (halo.Secret, error)
	// Discard removes the key for good, as far as the disk allows. It does
	// nothing where there is none, or where somebody else looks after it.
	Discard() error
}

// errNoKey is wrapped where a protector has no key yet.
var errNoKey = fmt.Errorf("there is no key: %w", iofs.ErrNotExist)

// credentialName is the name of the key among the credentials that systemd
// hands to a service.
const credentialName = "echofs.key"

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 4096

// KeyFile protects a vault by a file of 64 hexadecimal digits and a newline,
// which belongs to the user and is closed to others: one in the user's
// configuration directory, or one that the user keeps.
type KeyFile struct {
	path    string
	given   bool // by the user, who looks after it
	service bool // by systemd, which lets the service's user in by an access list
}

var _ Protector = KeyFile{}

// NewKeyFile returns the key file of the vault with this id.
func NewKeyFile(id string, getenv func(string) string) (KeyFile, error) {
	dir, err := configDir(getenv)
	if err != nil {
		return KeyFile{}, err
	}
	return KeyFile{path: filepath.Join(dir, "keys", id+".key")}, nil
}

// credential returns the key file among the credentials of a service.
func credential(getenv func(string) string) (KeyFile, bool) {
	dir := getenv("CREDENTIALS_DIRECTORY")
	if !filepath.IsAbs(dir) {
		return KeyFile{}, false
	}
	path := filepath.Join(dir, credentialName)
	_, err := os.Lstat(path)
	return KeyFile{path: path, given: true, service: true}, err == nil
}

// Path returns the path of the file.
func (k KeyFile) Path() string { return k.path }

// Make implements Protector.
func (k KeyFile) Make() (halo.Secret, error) {
	if !k.given {
		if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
			return halo.Secret{}, fmt.Errorf("make key file: %w", err)
		}
	}
	b := make([]byte, 32)
	defer clear(b)
	if _, err := rand.Read(b); err != nil {
		return halo.Secret{}, fmt.Errorf("make key file: %w", err)
	}
	// An older key may be the only one that opens a keystore somewhere: the
	// name is random and a file of that name is never replaced.
	text := append(hex.AppendEncode(nil, b), '\n')
	defer clear(text)
	if err := writeNew(k.path, text); err != nil {
		return halo.Secret{}, fmt.Errorf("make key file: %w", err)
	}
	return halo.NewSecret(b)
}

// Key implements Protector.
func (k KeyFile) Key() (halo.Secret, error) {
	text, err := k.read()
	defer clear(text)
	if errors.Is(err, iofs.ErrNotExist) {
		return halo.Secret{}, control.WithHint(fmt.Errorf("read the vault's key: %w: %w", err, errNoKey),
			"bring the key file back from a backup, or say where it is: --key-file PATH; without it the vault cannot be opened")
	}
	if err != nil {
		return halo.Secret{}, fmt.Errorf("read the vault's key: %w", err)
	}
	key, err := parseKey(text)
	if err != nil {
		return halo.Secret{}, fmt.Errorf("read the vault's key: %s: %w", k.path, err)
	}
	return key, nil
}

// read returns the content of the file.
func (k KeyFile) read() ([]byte, error) {
	if !k.service {
		return readPrivate(k.path, maxKeyFile)
	}
	f, err := os.OpenFile(k.path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Getuid() && owner != 0 || st.Mode()&0o007 != 0 {
		return nil, fmt.Errorf("%s: owner %d, mode %04o: open to others: %w", k.path, owner, st.Mode().Perm(), control.ErrRefused)
	}
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// parseKey reads what a key file or the keyring holds. It never shows it.
func parseKey(text []byte) (halo.Secret, error) {
	digits := bytes.TrimSuffix(text, []byte("\n"))
	b := make([]byte, 32)
	defer clear(b)
	if len(digits) != 64 {
		return halo.Secret{}, errors.New("not 64 hexadecimal digits")
	}
	if _, err := hex.Decode(b, digits); err != nil {
		return halo.Secret{}, errors.New("not 64 hexadecimal digits")
	}
	return halo.NewSecret(b)
}

// Discard implements Protector. The content is overwritten first; disks that
// write elsewhere keep it until they need the room.
func (k KeyFile) Discard() error {
	if k.given {
		return nil
	}
	f, err := os.OpenFile(k.path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove key file: %w", err)
	}
	_, err = f.Write(bytes.Repeat([]byte{'0'}, 64))
	if err := errors.Join(err, f.Sync(), f.Close(), os.Remove(k.path)); err != nil {
		return fmt.Errorf("remove key file: %w", err)
	}
	return syncDir(filepath.Dir(k.path))
}
