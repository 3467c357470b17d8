package vault

import (
	"errors"
	"fmt"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

// Access is what the user has given to open a vault's keys, or to protect those
// of a new one.
type Access struct {
	// KeyFile is the path of a key file that the user keeps; "" for the one that
	// echofs keeps, or a credential of systemd.
	KeyFile string
	// Passphrase is what opens a keystore with a passphrase; nil where it was not
	// asked for.
	Passphrase []byte
}

// Errors of opening keys.
var (
	// ErrShut is wrapped where a vault was locked by its owner.
	ErrShut = fmt.Errorf("the vault is locked: %w", control.ErrRefused)
	// ErrNoPassphrase is wrapped where a passphrase protects the keys and none
	// was given.
	ErrNoPassphrase = fmt.Errorf("its keys are protected by a passphrase: %w", control.ErrRefused)
)

// Protection returns what opens the vault's keys, which anybody who can read
// the vault can see. It fails with halo.ErrKeystore for a damaged keystore.
func (d *Dir) Protection() (halo.ProtectorKind, error) {
	sealed, err := readPrivate(d.file(keystoreName), maxKeystore)
	if err != nil {
		return 0, fmt.Errorf("open keystore: %w", err)
	}
	kind, err := halo.KeystoreKind(sealed)
	if err != nil {
		return 0, d.badKeystore(err)
	}
	return kind, nil
}

// NeedsPassphrase reports whether the vault opens only with a passphrase. It
// does not for a vault that is not made or damaged, which has other errors.
func (d *Dir) NeedsPassphrase() bool {
	kind, err := d.Protection()
	return err == nil && kind == halo.ProtectPassphrase
}

// noPassphrase is the error of a vault whose passphrase nobody has said.
func (d *Dir) noPassphrase() error {
	return control.WithHint(fmt.Errorf("open vault %s: %w", d.path, ErrNoPassphrase),
		"unlock it first: echofs unlock; or give the passphrase on a file descriptor: --passphrase-fd N")
}

// protectorFor returns the protector of a keystore of some kind.
func (d *Dir) protectorFor(kind halo.ProtectorKind, access Access, getenv func(string) string) (halo.Protector, error) {
	if kind == halo.ProtectPassphrase {
		if access.Passphrase == nil {
			return halo.Protector{}, d.noPassphrase()
		}
		return halo.PassphraseProtector(access.Passphrase, halo.Argon{}), nil
	}
	keeper, err := d.keeperOf(kind, access, getenv)
	if err != nil {
		return halo.Protector{}, err
	}
	key, err := keeper.Key()
	if err != nil {
		return halo.Protector{}, err
	}
	return halo.KeyProtector(kind, key), nil
}

// keeperOf returns who keeps the key of a keystore that is protected by no
// passphrase.
func (d *Dir) keeperOf(kind halo.ProtectorKind, access Access, getenv func(string) string) (Protector, error) {
	switch {
	case kind == halo.ProtectKeyring && access.KeyFile == "":
		return NewKeyring(d.id, getenv), nil
	case kind == halo.ProtectKeyring:
		return nil, control.WithHint(fmt.Errorf("the keys are protected by the keyring, not by a key file: %w", control.ErrUsage), "leave --key-file away")
	}
	return d.keyFile(access, getenv)
}

// keyFile returns the key file that is to be used: the user's, else a
// credential of systemd, else the one of echofs.
func (d *Dir) keyFile(access Access, getenv func(string) string) (KeyFile, error) {
	if access.KeyFile != "" {
		return KeyFile{path: access.KeyFile, given: true}, nil
	}
	if file, ok := credential(getenv); ok {
		return file, nil
	}
	return NewKeyFile(d.id, getenv)
}

// newProtector returns the key that will open a keystore, and who keeps it. An
// earlier attempt to make the vault may have left it. Without a wish it is the
// keyring where there is one, else the key file of echofs.
func (d *Dir) newProtector(access Access, getenv func(string) string) (halo.Protector, error) {
	file, err := d.keyFile(access, getenv)
	if err != nil {
		return halo.Protector{}, err
	}
	if ring := NewKeyring(d.id, getenv); !file.given && ring.Reachable() {
		ring.patience = keyringGlance
		if key, err := keyOrNew(ring); err == nil {
			return halo.KeyProtector(halo.ProtectKeyring, key), nil
		}
	}
	key, err := keyOrNew(file)
	return halo.KeyProtector(halo.ProtectKeyfile, key), err
}

// keyOrNew returns the key that a protector has, or has it make one.
func keyOrNew(p Protector) (halo.Secret, error) {
	key, err := p.Key()
	if errors.Is(err, errNoKey) {
		return p.Make()
	}
	return key, err
}
