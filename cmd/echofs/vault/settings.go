package vault

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"

	"golang.org/x/crypto/chacha20poly1305"

	"echofs/halo"
)

// Settings and other small files of the vault are sealed by a key of the
// keystore, so that a vault that is shut shows no name and no address:
//
//	magic (6 bytes) || nonce (24) || XChaCha20-Poly1305(key of the file, content, AAD = magic)
const (
	settingsName  = "settings.efs"
	settingsMagic = "EFSS1\n"
)

// seal returns content as it is written to the file with this magic.
func seal(keys *halo.Keystore, magic string, content []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(keys.ValueKey(magic).Bytes())
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(magic)+chacha20poly1305.NonceSizeX+len(content)+chacha20poly1305.Overhead), magic...)
	nonce := out[len(magic) : len(magic)+chacha20poly1305.NonceSizeX]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(out[:len(magic)+len(nonce)], nonce, content, []byte(magic)), nil
}

// errSealed is the error of a sealed file that does not open.
var errSealed = errors.New("damaged, or sealed by other keys")

// unseal reads what seal wrote.
func unseal(keys *halo.Keystore, magic string, sealed []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(keys.ValueKey(magic).Bytes())
	if err != nil {
		return nil, err
	}
	begin := len(magic) + chacha20poly1305.NonceSizeX
	if len(sealed) < begin || string(sealed[:len(magic)]) != magic {
		return nil, errSealed
	}
	content, err := aead.Open(nil, sealed[len(magic):begin], sealed[begin:], []byte(magic))
	if err != nil {
		return nil, errSealed
	}
	return content, nil
}

// readSettings reads the settings; without a file they are empty. Those that an
// earlier version has left in plain are sealed.
func (d *Dir) readSettings(keys *halo.Keystore) (Config, error) {
	sealed, err := readPrivate(d.file(settingsName), maxConfig)
	if errors.Is(err, iofs.ErrNotExist) {
		return d.adoptSettings(keys)
	}
	if err != nil {
		return Config{}, fmt.Errorf("read settings: %w", err)
	}
	b, err := unseal(keys, settingsMagic, sealed)
	if err != nil {
		return Config{}, fmt.Errorf("read settings: %s: %w", d.file(settingsName), err)
	}
	return parseConfig(b)
}

// adoptSettings seals the settings of config.json, and removes it.
func (d *Dir) adoptSettings(keys *halo.Keystore) (Config, error) {
	c, err := d.plainConfig()
	if err != nil {
		return c, err
	}
	if err := d.writeSettings(keys, c); err != nil {
		return c, err
	}
	if err := os.Remove(d.file(configName)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return c, fmt.Errorf("remove the settings of an earlier version: %w", err)
	}
	return c, nil
}

// writeSettings stores the settings.
func (d *Dir) writeSettings(keys *halo.Keystore, c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	sealed, err := seal(keys, settingsMagic, b)
	if err == nil {
		err = replaceFile(d.file(settingsName), sealed, false)
	}
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// settings reads the settings anew.
func (k *keystore) settings() (Config, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dir.readSettings(k.keys)
}

// setSettings stores the settings.
func (k *keystore) setSettings(c Config) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dir.writeSettings(k.keys, c)
}
