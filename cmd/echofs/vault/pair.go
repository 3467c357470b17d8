package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/fxamacker/cbor/v2"

	"echofs/echo"
	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/lan"
)

// The files of a vault that becomes a further device of an identity.
const (
	pairKeysName = "keys.pair" // sealed keys while the device is not admitted yet
	pairedName   = "paired"    // what it was admitted with, until that is in the store
)

// maxPaired bounds the file of an admission, in bytes.
const maxPaired = 256 << 20

// pairedWire is the content of the file "paired", in CBOR.
type pairedWire struct {
	Identity [][]byte     `cbor:"1,keyasint"` // credentials, genesis first
	Space    halo.SpaceID `cbor:"2,keyasint"` // of the identity's devices
	All      [][]byte     `cbor:"3,keyasint"` // its credentials, parents first

	// By a recovery through a member: Space is not that of the identity's devices
	// but one of that member, who calls it so.
	Shared bool   `cbor:"4,keyasint,omitempty"`
	Name   string `cbor:"5,keyasint,omitempty"`
}

// PairOptions tells how a device takes an invitation to an identity.
type PairOptions struct {
	Code     string
	AuthCode func(context.Context) (string, error)
	Progress func(halo.GuestState)
	Pictures func([4]string)
	Timeout  time.Duration // for which the host is looked for; 0 for the default
	NoLAN    bool          // do not look for devices on the local network
	Log      *slog.Logger
}

// Pair makes the directory of a vault that is a further device of the identity
// that has invited it, or fails with ErrExists. An attempt that was cut off can
// be repeated. Open makes the rest.
func Pair(ctx context.Context, home string, opts MakeOptions, p PairOptions) (*Dir, error) {
	return makeAdmitted(home, opts, p.NoLAN, func(d *newDevice) error { return d.pair(ctx, p) })
}

// newDevice is a vault in the making whose device others are to admit.
type newDevice struct {
	dir       *Dir
	config    Config
	protector halo.Protector
	keys      *halo.Keystore
}

// makeAdmitted makes the directory of a vault, by having its device admitted.
func makeAdmitted(home string, opts MakeOptions, noLAN bool, admit func(*newDevice) error) (*Dir, error) {
	dir, lock, err := begin(home)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Release() }()
	d := &newDevice{dir: dir, config: Config{Name: opts.Name, Device: cmp.Or(opts.Device, hostName()), NoLAN: noLAN}}
	err = d.config.check()
	if err == nil {
		d.protector, err = dir.newProtector(opts.Access, opts.Getenv)
	}
	if err == nil {
		d.keys, err = dir.pairKeys(d.protector)
	}
	if err == nil {
		err = admit(d)
	}
	if err != nil {
		return nil, fmt.Errorf("make vault %s: %w", home, err)
	}
	return dir, nil
}

// network returns how the device meets others before it has a vault.
func (d *newDevice) network(log *slog.Logger) echosync.Options {
	network := echosync.Options{NoLAN: d.config.NoLAN, Logger: log}
	if !network.NoLAN {
		network.LAN = &lan.Options{}
	}
	return network
}

// store writes the files of the vault, once the device is admitted.
func (d *newDevice) store(got echosync.Paired) error {
	return d.dir.storePaired(d.config, d.keys, d.protector, got)
}

func (d *newDevice) pair(ctx context.Context, p PairOptions) error {
	join := echosync.JoinOptions{AuthCode: p.AuthCode, DisplayName: d.config.Device, Reach: p.Timeout, Progress: p.Progress, Pictures: p.Pictures}
	return echosync.Pair(ctx, p.Code, echosync.PairOptions{JoinOptions: join, Keys: d.keys.Device,
		Network: d.network(p.Log), Store: d.store})
}

// pairKeys returns the keys of this device: those of an attempt before, since
// whoever has admitted them admits no others.
func (d *Dir) pairKeys(p halo.Protector) (*halo.Keystore, error) {
	sealed, err := readPrivate(d.file(pairKeysName), maxKeystore)
	if err == nil {
		keys, err := halo.OpenKeystore(sealed, p)
		return keys, err
	}
	if !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("open the new device's keys: %w", err)
	}
	keys, err := halo.NewKeystore()
	if err != nil {
		return nil, err
	}
	if sealed, err = halo.SealKeystore(keys, p); err != nil {
		return nil, fmt.Errorf("keep the new device's keys: %w", err)
	}
	if err := replaceFile(d.file(pairKeysName), sealed, false); err != nil {
		return nil, fmt.Errorf("keep the new device's keys: %w", err)
	}
	return keys, nil
}

// storePaired writes the files of the vault, the keystore last.
func (d *Dir) storePaired(config Config, keys *halo.Keystore, p halo.Protector, got echosync.Paired) error {
	config.Signal = got.Signal
	if config.Name == "" {
		config.Name = cmp.Or(profileName(keys.Device, got), accountName())
	}
	if err := d.writeSettings(keys, config); err != nil {
		return err
	}
	b, err := cbor.Marshal(pairedWire{got.Credentials, got.Space, got.SpaceAll, got.Shared, got.Name})
	if err != nil {
		return fmt.Errorf("keep the admission: %w", err)
	}
	if err := replaceFile(d.file(pairedName), b, false); err != nil {
		return fmt.Errorf("keep the admission: %w", err)
	}
	keys.Identity = got.Identity
	if err := d.saveKeystore(keys, p); err != nil {
		return err
	}
	return os.Remove(d.file(pairKeysName))
}

// profileName returns the name of the person as the own devices know it, or
// nothing.
func profileName(device *halo.DeviceKeys, got echosync.Paired) string {
	graph := halo.NewGraph(got.Space)
	if graph.Load(got.SpaceAll) != nil {
		return ""
	}
	state := graph.State()
	keys := device.EpochKeys(state, nil)
	name := ""
	for _, p := range state.Profiles(got.Identity) {
		epoch, err := halo.LabelEpoch(p.Name)
		if err != nil {
			continue
		}
		if s, err := keys[epoch].OpenLabel(got.Space, "name", p.Name); err == nil {
			name = plainName(s, name)
		}
	}
	return name
}

// paired returns what the vault was admitted with, or nil once that is in the
// store.
func (d *Dir) paired() (*pairedWire, error) {
	b, err := readPrivate(d.file(pairedName), maxPaired)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the admission: %w", err)
	}
	var w pairedWire
	if err := cbor.NewDecoder(bytes.NewReader(b)).Decode(&w); err != nil {
		return nil, fmt.Errorf("read the admission: %s: %w", d.file(pairedName), err)
	}
	return &w, nil
}

// finishPairing does the last steps of Pair, each of which may have been done
// already.
func (v *Vault) finishPairing(ctx context.Context, w *pairedWire) error {
	if err := v.joinPaired(ctx, w); err != nil {
		return err
	}
	if err := v.repo.Flush(); err != nil {
		return err
	}
	if err := os.Remove(v.dir.file(pairedName)); err != nil {
		return fmt.Errorf("finish the new device: %w", err)
	}
	return nil
}

// joinPaired opens the space that the device was admitted to.
func (v *Vault) joinPaired(ctx context.Context, w *pairedWire) error {
	if !w.Shared {
		return v.repo.JoinOwn(ctx, w.Space, w.All)
	}
	_, err := v.repo.Join(ctx, echo.Admission{Space: w.Space, Credentials: w.All, Name: w.Name})
	return err
}

// Settle stays until the other devices of the identity have been met and have
// handed over what they have, at most for a moment: what is missing then comes
// another time.
func (v *Vault) Settle(ctx context.Context) {
	if own, ok := v.repo.OwnSpace(); ok && v.net != nil {
		v.linger(ctx, own, halo.DeviceID{})
	}
}
