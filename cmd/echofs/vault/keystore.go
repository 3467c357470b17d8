package vault

import (
	"fmt"
	"slices"
	"sync"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/halo"
	"echofs/halo/bip39"
)

// maxKeystore bounds keys.efk, in bytes.
const maxKeystore = 16 << 20

// keystore is the vault's keys in memory. What changes is written first.
type keystore struct {
	dir    *Dir
	getenv func(string) string
	access Access // without the passphrase

	trying sync.Mutex // held by whoever tries a passphrase: one at a time

	mu        sync.Mutex // guards the below
	protector halo.Protector
	keys      *halo.Keystore
}

var _ echo.Keys = (*keystore)(nil)

// openKeystore opens the keys of a vault with what its protector has, or with
// the passphrase that was given.
func (d *Dir) openKeystore(access Access, getenv func(string) string) (*keystore, error) {
	sealed, err := readPrivate(d.file(keystoreName), maxKeystore)
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	kind, err := halo.KeystoreKind(sealed)
	if err != nil {
		return nil, d.badKeystore(err)
	}
	protector, err := d.protectorFor(kind, access, getenv)
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	if kind == halo.ProtectPassphrase {
		defer protector.Wipe()
	}
	keys, opened, err := halo.UnlockKeystore(sealed, protector)
	if err != nil {
		return nil, d.badKeystore(err)
	}
	access.Passphrase = nil
	k := &keystore{dir: d, getenv: getenv, access: access, protector: opened, keys: keys}
	return k, k.finishPassphrase()
}

func (d *Dir) badKeystore(err error) error {
	path := d.file(keystoreName)
	return control.WithHint(fmt.Errorf("open keystore: %s: %w", path, err),
		fmt.Sprintf("the passphrase or key is wrong, or the file is damaged; the one before is %s.1", path))
}

// saveKeystore seals the keys into their file.
func (d *Dir) saveKeystore(keys *halo.Keystore, p halo.Protector) error {
	sealed, err := halo.SealKeystore(keys, p)
	if err != nil {
		return fmt.Errorf("write keystore: %w", err)
	}
	if err := replaceFile(d.file(keystoreName), sealed, true); err != nil {
		return fmt.Errorf("write keystore: %w", err)
	}
	return nil
}

// Device implements echo.Keys.
func (k *keystore) Device() *halo.DeviceKeys {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys.Device
}

// EpochKeys implements echo.Keys.
func (k *keystore) EpochKeys(space echo.SpaceID) []halo.EpochKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys.Epochs[space])
}

// AddEpochKey implements echo.Keys.
func (k *keystore) AddEpochKey(space echo.SpaceID, key halo.EpochKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.keys.AddEpochKey(space, key) {
		return nil
	}
	if err := k.dir.saveKeystore(k.keys, k.protector); err != nil {
		list := k.keys.Epochs[space]
		k.keys.Epochs[space] = list[:len(list)-1] // what is not on disk is not kept
		return err
	}
	return nil
}

// Meeting returns the secret by which the devices of the identity are met with
// the recovery phrase.
func (k *keystore) Meeting() halo.Secret {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys.Meeting
}

// SetMeeting keeps that secret.
func (k *keystore) SetMeeting(s halo.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.keys.Meeting
	if before.Equal(s) {
		return nil
	}
	k.keys.Meeting = s
	if err := k.dir.saveKeystore(k.keys, k.protector); err != nil {
		k.keys.Meeting = before
		return err
	}
	return nil
}

// hasPhrase reports whether the recovery phrase is still in the vault.
func (k *keystore) hasPhrase() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.keys.Entropy.IsZero()
}

// phrase returns the recovery phrase.
func (k *keystore) phrase() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys.Entropy.IsZero() {
		return "", control.WithHint(fmt.Errorf("the recovery phrase is not in this vault: %w", echo.ErrNotFound),
			"it was made without one (--no-phrase), or it was forgotten once it had been shown")
	}
	return bip39.Encode(k.keys.Entropy.Bytes())
}

// forgetPhrase removes the recovery phrase from the vault, and from the copy of
// the keystore before.
func (k *keystore) forgetPhrase() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	entropy := k.keys.Entropy
	k.keys.Entropy = halo.Secret{}
	for range 2 { // the first save leaves it in the copy of the one before
		if err := k.dir.saveKeystore(k.keys, k.protector); err != nil {
			k.keys.Entropy = entropy
			return err
		}
	}
	entropy.Wipe()
	return nil
}

// kind returns what protects the keys.
func (k *keystore) kind() halo.ProtectorKind {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.protector.Kind()
}

// wipe overwrites the keys in memory. They must not be used any more.
func (k *keystore) wipe() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys.Wipe()
	k.protector.Wipe()
	return nil
}
