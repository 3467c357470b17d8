package vault

import (
	"fmt"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

// Bounds of a passphrase, in bytes.
const (
	MinPassphrase = 8
	MaxPassphrase = 1024
)

// CheckPassphrase refuses what cannot be a passphrase.
func CheckPassphrase(phrase []byte) error {
	switch {
	case len(phrase) < MinPassphrase:
		return control.WithHint(fmt.Errorf("the passphrase is shorter than %d bytes: %w", MinPassphrase, control.ErrUsage),
			"four or more random words are good")
	case len(phrase) > MaxPassphrase:
		return fmt.Errorf("the passphrase is longer than %d bytes: %w", MaxPassphrase, control.ErrUsage)
	case !utf8.Valid(phrase):
		return fmt.Errorf("the passphrase is not UTF-8 text: %w", control.ErrUsage)
	}
	return nil
}

// prove checks the passphrase of a vault that has one: whoever changes what
// protects the keys, or takes them out, must know it although the vault is
// open.
func (k *keystore) prove(phrase []byte) error {
	if k.kind() != halo.ProtectPassphrase {
		return nil
	}
	if len(phrase) == 0 {
		return control.WithHint(fmt.Errorf("this needs the vault's passphrase: %w", ErrNoPassphrase),
			"run it on a terminal, or give the passphrase on a file descriptor: --passphrase-fd N")
	}
	k.trying.Lock()
	defer k.trying.Unlock()
	sealed, err := readPrivate(k.dir.file(keystoreName), maxKeystore)
	if err != nil {
		return fmt.Errorf("check the passphrase: %w", err)
	}
	p := halo.PassphraseProtector(phrase, halo.Argon{})
	defer p.Wipe()
	keys, err := halo.OpenKeystore(sealed, p)
	if err != nil {
		return k.dir.badKeystore(err)
	}
	keys.Wipe()
	return nil
}

// memoryShare is the part of this machine's memory that trying a passphrase may
// take.
const memoryShare = 8

// memoryKiB returns how much memory a try may take here.
func memoryKiB() uint32 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0 // the least that is allowed
	}
	return uint32(min(uint64(info.Totalram)*uint64(info.Unit)/memoryShare/1024, 1<<31))
}

// setPassphrase protects the keys by a new passphrase, and forgets the one or
// the key before. The keys get a new KEK, and the copy of the keystore before
// is replaced too: neither it nor an older one is opened by what is left.
func (k *keystore) setPassphrase(phrase []byte) error {
	if err := CheckPassphrase(phrase); err != nil {
		return err
	}
	k.trying.Lock()
	defer k.trying.Unlock()
	p := halo.PassphraseProtector(phrase, halo.CalibrateArgon(memoryKiB()))
	defer p.Wipe()
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.protector.Kind()
	if err := k.protect(p); err != nil {
		return fmt.Errorf("set the passphrase: %w", err)
	}
	return k.discard(before)
}

// removePassphrase protects the keys by the keyring or a key file again.
func (k *keystore) removePassphrase(access Access) error {
	p, err := k.dir.newProtector(access, k.getenv)
	if err != nil {
		return fmt.Errorf("remove the passphrase: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.protect(p); err != nil {
		return fmt.Errorf("remove the passphrase: %w", err)
	}
	k.access = access
	return nil
}

// keyFilePath returns where the key file is that opens the keys; "" for none.
func (k *keystore) keyFilePath() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.protector.Kind() != halo.ProtectKeyfile {
		return ""
	}
	file, err := k.dir.keyFile(k.access, k.getenv)
	if err != nil {
		return ""
	}
	return file.path
}

// protect seals the keys by a new protector, in both copies of the keystore; k.mu
// is held. Before the second copy of the one before is given up, the file is
// read and opened: nobody should find out later that it cannot be.
func (k *keystore) protect(p halo.Protector) error {
	if err := k.dir.saveKeystore(k.keys, p); err != nil {
		return err
	}
	sealed, err := readPrivate(k.dir.file(keystoreName), maxKeystore)
	if err != nil {
		return err
	}
	keys, opened, err := halo.UnlockKeystore(sealed, p)
	if err != nil {
		return k.dir.badKeystore(err)
	}
	keys.Wipe()
	k.protector = opened
	return k.dir.saveKeystore(k.keys, opened)
}

// discard removes the key that protected the keystore before. One that the user
// keeps stays; what it opens are older copies only.
func (k *keystore) discard(before halo.ProtectorKind) error {
	switch before {
	case halo.ProtectKeyring:
		return NewKeyring(k.dir.id, k.getenv).Discard()
	case halo.ProtectKeyfile:
		file, err := NewKeyFile(k.dir.id, k.getenv)
		if err != nil {
			return err
		}
		return file.Discard()
	}
	return nil
}

// finishPassphrase does the last steps of setPassphrase, where it was cut off
// before they were done: while a key file is left, the copy of the keystore may
// be one that it opens.
func (k *keystore) finishPassphrase() error {
	if k.kind() != halo.ProtectPassphrase {
		return nil
	}
	file, err := NewKeyFile(k.dir.id, k.getenv)
	if err != nil {
		return nil // there is no home directory, and so none
	}
	if _, err := file.read(); err != nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.dir.saveKeystore(k.keys, k.protector); err != nil {
		return err
	}
	return file.Discard()
}
