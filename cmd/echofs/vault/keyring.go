package vault

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/zalando/go-keyring"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

// keyringService is the name under which the keyring lists echofs.
const keyringService = "echofs"

// keyringPatience is how long the keyring may take: it asks its owner when it
// is locked. Who makes a vault is not asked, so that only has a glance.
const (
	keyringPatience = 60 * time.Second
	keyringGlance   = 3 * time.Second
)

// Keyring protects a vault by the keyring of the desktop session (the Secret
// Service), which opens when its owner logs in. The item is bound to the
// vault's id; a vault is one device.
type Keyring struct {
	id       string
	getenv   func(string) string
	patience time.Duration
}

var _ Protector = Keyring{}

// NewKeyring returns the keyring's item of the vault with this id.
func NewKeyring(id string, getenv func(string) string) Keyring {
	return Keyring{id, getenv, keyringPatience}
}

// Reachable reports whether there is a session bus on which a keyring could be.
// Without one the library would start a bus of its own.
func (k Keyring) Reachable() bool {
	if k.getenv("ECHOFS_KEYRING") == "off" {
		return false
	}
	if k.getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	dir := k.getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "bus"))
	return err == nil
}

// Make implements Protector.
func (k Keyring) Make() (halo.Secret, error) {
	b := make([]byte, 32)
	defer clear(b)
	if _, err := rand.Read(b); err != nil {
		return halo.Secret{}, fmt.Errorf("make a key in the keyring: %w", err)
	}
	_, err := within(k.patience, func() (string, error) {
		return "", keyring.Set(keyringService, k.id, hex.EncodeToString(b))
	})
	if err != nil {
		return halo.Secret{}, fmt.Errorf("make a key in the keyring: %w", err)
	}
	return halo.NewSecret(b)
}

// Key implements Protector.
func (k Keyring) Key() (halo.Secret, error) {
	if !k.Reachable() {
		return halo.Secret{}, control.WithHint(fmt.Errorf("read the vault's key from the keyring: there is no session bus: %w", control.ErrRefused),
			"run echofs in the desktop session, or set $DBUS_SESSION_BUS_ADDRESS; echofs passphrase set makes it independent of the keyring")
	}
	text, err := within(k.patience, func() (string, error) { return keyring.Get(keyringService, k.id) })
	if errors.Is(err, keyring.ErrNotFound) {
		return halo.Secret{}, control.WithHint(fmt.Errorf("read the vault's key from the keyring: %w", errNoKey),
			"bring the keyring back from a backup; without it the vault cannot be opened")
	}
	if err != nil {
		return halo.Secret{}, control.WithHint(fmt.Errorf("read the vault's key from the keyring: %w", err), "unlock the keyring")
	}
	key, err := parseKey([]byte(text))
	if err != nil {
		return halo.Secret{}, fmt.Errorf("read the vault's key from the keyring: %w", err)
	}
	return key, nil
}

// Discard implements Protector.
func (k Keyring) Discard() error {
	_, err := within(k.patience, func() (string, error) { return "", keyring.Delete(keyringService, k.id) })
	if err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return fmt.Errorf("remove the vault's key from the keyring: %w", err)
	}
	return nil
}

// within calls fn and waits for it for a time. The library has no other way to
// give up; what comes later is dropped.
func within(limit time.Duration, fn func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := fn()
		answered <- answer{text, err}
	}()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case a := <-answered:
		return a.text, a.err
	case <-late.C:
		return "", fmt.Errorf("the keyring does not answer within %v: %w", limit, control.ErrTimeout)
	}
}
