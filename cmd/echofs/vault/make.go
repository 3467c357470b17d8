package vault

import (
	"cmp"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/user"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

// FirstSpace is the name of the space that a new vault has.
const FirstSpace = "personal"

const genesisName = "genesis"

// maxGenesis bounds the genesis file, in bytes: credentials are smaller.
const maxGenesis = 64 << 10

// ErrExists is wrapped where a vault exists already.
var ErrExists = errors.New("there is a vault already")

// MakeOptions is what can be chosen for a new vault.
type MakeOptions struct {
	Name     string // of the person; "" for the account's
	Device   string // of the machine; "" for the host's
	NoPhrase bool   // do not keep the recovery phrase
	Access   Access // what is to protect the keys
	Getenv   func(string) string
}

// Make makes the directory of a vault with the keys of a new identity and its
// first device, or fails with ErrExists. Open makes the rest.
func Make(home string, opts MakeOptions) (*Dir, error) {
	dir, lock, err := begin(home)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	if err := dir.fill(opts); err != nil {
		return nil, fmt.Errorf("make vault %s: %w", home, err)
	}
	return dir, nil
}

// begin returns the locked directory of a vault that is to be made, or fails
// with ErrExists.
func begin(home string) (*Dir, *Lock, error) {
	dir, err := CreateDir(home)
	if err != nil {
		return nil, nil, err
	}
	lock, err := dir.Lock()
	if err != nil {
		return nil, nil, err
	}
	if dir.Complete() {
		return nil, nil, errors.Join(fmt.Errorf("make vault %s: %w", home, ErrExists), lock.Release())
	}
	return dir, lock, nil
}

// Complete reports whether the vault has its keys.
func (d *Dir) Complete() bool {
	_, err := os.Lstat(d.file(keystoreName))
	return err == nil
}

// fill writes the files of a new vault, the keystore last.
func (d *Dir) fill(opts MakeOptions) error {
	config := Config{Name: cmp.Or(opts.Name, accountName()), Device: cmp.Or(opts.Device, hostName()), NoPhrase: opts.NoPhrase}
	if err := config.check(); err != nil {
		return err
	}
	keys, genesis, err := newIdentity(!opts.NoPhrase)
	if err != nil {
		return err
	}
	protector, err := d.newProtector(opts.Access, opts.Getenv)
	if err != nil {
		return err
	}
	if err := d.writeSettings(keys, config); err != nil {
		return err
	}
	if err := replaceFile(d.file(genesisName), genesis, false); err != nil {
		return err
	}
	return d.saveKeystore(keys, protector)
}

// newIdentity returns the keys of a new identity's first device, and the
// identity's first credential.
func newIdentity(keepPhrase bool) (*halo.Keystore, []byte, error) {
	keys, err := halo.NewKeystore()
	if err != nil {
		return nil, nil, err
	}
	phrase, entropy, err := halo.NewPhrase()
	if err != nil {
		return nil, nil, err
	}
	root, err := halo.RootKeysFromPhrase(phrase, "")
	if err != nil {
		return nil, nil, err
	}
	genesis, err := halo.NewIdentity(root, keys.Device, time.Now())
	if err != nil {
		return nil, nil, err
	}
	keys.Identity, keys.Meeting = halo.IdentityID(genesis.ID), root.Meeting()
	if keepPhrase {
		keys.Entropy = entropy
	}
	return keys, genesis.Bytes(), nil
}

// genesis returns the credentials that a new identity begins with, or nil once
// they are in the store.
func (d *Dir) genesis() ([][]byte, error) {
	b, err := readPrivate(d.file(genesisName), maxGenesis)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the new identity: %w", err)
	}
	return [][]byte{b}, nil
}

// accountName returns the name of the person as the system knows it.
func accountName() string {
	u, err := user.Current()
	if err != nil {
		return "me"
	}
	return plainName(cmp.Or(strings.TrimSpace(u.Name), u.Username), "me")
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "device"
	}
	name, _, _ = strings.Cut(name, ".")
	return plainName(name, "device")
}

// plainName returns a name that Config accepts.
func plainName(name, fallback string) string {
	if name == "" || (Config{Name: name}).check() != nil {
		return fallback
	}
	return name
}

// checkNotMade gives an incomplete vault the error of a missing one.
func (d *Dir) checkNotMade() error {
	if d.Complete() {
		return nil
	}
	return control.WithHint(fmt.Errorf("open vault %s: it was not made to the end: %w", d.path, ErrNoVault), "finish it with: echofs init")
}
