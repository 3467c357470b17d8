package vault

import (
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/zalando/go-keyring"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

// withKeyring is an environment with a keyring, which the caller has mocked.
func withKeyring(home string) func(string) string {
	env := map[string]string{"HOME": home, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
	return func(k string) string { return env[k] }
}

func TestKeyring(t *testing.T) {
	keyring.MockInit()
	home := t.TempDir()
	getenv := withKeyring(home)
	d, err := Make(filepath.Join(home, "vault"), MakeOptions{Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	if kind, err := d.Protection(); err != nil || kind != halo.ProtectKeyring {
		t.Errorf("protection: got %v, %v, want the keyring", kind, err)
	}
	if _, err := os.Lstat(filepath.Join(home, ".config")); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("key file: got %v, want none", err)
	}
	k := open(t, d, getenv)

	// Whoever is not in the session gets no key, and is told so.
	other := func(name string) string { return map[string]string{"HOME": home}[name] }
	if _, err := d.openKeystore(Access{}, other); control.CodeOf(err) != control.Refused || control.HintOf(err) == "" {
		t.Errorf("without a session: got %v, want a refusal with a hint", err)
	}

	// A passphrase takes its place, and the item is gone.
	if err := k.setPassphrase([]byte("correct horse battery")); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Get(keyringService, d.ID()); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("the keyring's item: got %v, want none", err)
	}
	if err := k.removePassphrase(Access{}); err != nil {
		t.Fatal(err)
	}
	if got := open(t, d, getenv).kind(); got != halo.ProtectKeyring {
		t.Errorf("without passphrase: got %v, want the keyring", got)
	}
	if err := keyring.Delete(keyringService, d.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.openKeystore(Access{}, getenv); !errors.Is(err, iofs.ErrNotExist) || control.HintOf(err) == "" {
		t.Errorf("a keyring that has lost the key: got %v, want %v with a hint", err, iofs.ErrNotExist)
	}
}

// A keyring that does not work is no reason to fail: there is the key file.
func TestBrokenKeyring(t *testing.T) {
	keyring.MockInitWithError(errors.New("the keyring is broken"))
	t.Cleanup(keyring.MockInit)
	home := t.TempDir()
	d, err := Make(filepath.Join(home, "vault"), MakeOptions{Getenv: withKeyring(home)})
	if err != nil {
		t.Fatal(err)
	}
	if kind, err := d.Protection(); err != nil || kind != halo.ProtectKeyfile {
		t.Errorf("protection: got %v, %v, want a key file", kind, err)
	}
}

// A crash after the passphrase was set, and before the key file was removed,
// leaves a copy of the keystore that the key file opens. The next start ends
// that.
func TestSetPassphraseIsFinished(t *testing.T) {
	d, getenv := makeTest(t, MakeOptions{})
	file, err := NewKeyFile(d.ID(), getenv)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(file.Path())
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(d.file(keystoreName))
	if err != nil {
		t.Fatal(err)
	}
	if err := open(t, d, getenv).setPassphrase([]byte("correct horse battery")); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{file.Path(): key, d.file(keystoreName) + ".1": before} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.openKeystore(Access{}, getenv); !errors.Is(err, ErrNoPassphrase) {
		t.Errorf("without the passphrase: got %v, want %v", err, ErrNoPassphrase)
	}
	if _, err := d.openKeystore(Access{Passphrase: []byte("correct horse battery")}, getenv); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(file.Path()); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("key file: got %v, want none", err)
	}
	copied, err := os.ReadFile(d.file(keystoreName) + ".1")
	if err != nil {
		t.Fatal(err)
	}
	if kind, err := halo.KeystoreKind(copied); err != nil || kind != halo.ProtectPassphrase {
		t.Errorf("the copy: got %v, %v, want one with the passphrase", kind, err)
	}
}
