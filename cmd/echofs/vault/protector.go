package vault

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"

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
}

// KeyFile protects a vault by a file in the user's configuration directory:
// 64 hexadecimal digits and a newline, mode 0600.
type KeyFile struct{ path string }

var _ Protector = KeyFile{}

// NewKeyFile returns the key file of the vault with this id.
func NewKeyFile(id string, getenv func(string) string) (KeyFile, error) {
	dir, err := configDir(getenv)
	if err != nil {
		return KeyFile{}, err
	}
	return KeyFile{filepath.Join(dir, "keys", id+".key")}, nil
}

// Path returns the path of the file.
func (k KeyFile) Path() string { return k.path }

// Make implements Protector.
func (k KeyFile) Make() (halo.Secret, error) {
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return halo.Secret{}, fmt.Errorf("make key file: %w", err)
	}
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return halo.Secret{}, fmt.Errorf("make key file: %w", err)
	}
	// An older key may be the only one that opens a keystore somewhere: the
	// name is random and a file of that name is never replaced.
	if err := writeNew(k.path, append(hex.AppendEncode(nil, b), '\n')); err != nil {
		return halo.Secret{}, fmt.Errorf("make key file: %w", err)
	}
	return halo.NewSecret(b)
}

// Key implements Protector.
func (k KeyFile) Key() (halo.Secret, error) {
	text, err := readPrivate(k.path, 4096)
	if errors.Is(err, iofs.ErrNotExist) {
		return halo.Secret{}, control.WithHint(fmt.Errorf("read the vault's key: %w", err),
			"bring the key file back from a backup; without it the vault cannot be opened")
	}
	if err != nil {
		return halo.Secret{}, fmt.Errorf("read the vault's key: %w", err)
	}
	b := make([]byte, 32)
	if len(text) != 65 || text[64] != '\n' {
		return halo.Secret{}, fmt.Errorf("read the vault's key: %s: not 64 hexadecimal digits", k.path)
	}
	if _, err := hex.Decode(b, text[:64]); err != nil {
		return halo.Secret{}, fmt.Errorf("read the vault's key: %s: %w", k.path, err)
	}
	return halo.NewSecret(b)
}
