package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"time"

	"echofs/cmd/echofs/control"
)

// A vault that its owner has locked has a file that says so. While it is there,
// nobody opens the keys but to unlock it. It holds what ran before, sealed; or
// the magic alone where nothing did:
const (
	shutName  = "locked"
	shutMagic = "EFSL1\n"
	maxShut   = 1 << 20
)

// Resumed is what ran in a vault when it was locked, to be begun again.
type Resumed struct {
	Mounts  []control.MountRequest `json:"mounts"`
	Serve   bool                   `json:"serve"` // a daemon goes on without a mount
	Offline bool                   `json:"offline"`
}

// Shut reports whether the owner has locked the vault.
func (d *Dir) Shut() bool {
	_, err := os.Lstat(d.file(shutName))
	return err == nil
}

func (d *Dir) shut() error {
	return control.WithHint(fmt.Errorf("open vault %s: %w", d.path, ErrShut), "unlock it with: echofs unlock")
}

// ShutSince returns when the vault was locked.
func (d *Dir) ShutSince() (time.Time, error) {
	st, err := os.Lstat(d.file(shutName))
	if err != nil {
		return time.Time{}, err
	}
	return st.ModTime(), nil
}

// LockKeys locks a vault that nobody has open. The error wraps ErrLocked where
// somebody has.
func (d *Dir) LockKeys() error {
	lock, err := d.Lock()
	if err != nil {
		return err
	}
	if d.Shut() {
		return lock.Release()
	}
	return errors.Join(d.writeShut([]byte(shutMagic)), lock.Release())
}

func (d *Dir) writeShut(content []byte) error {
	if err := replaceFile(d.file(shutName), content, false); err != nil {
		return fmt.Errorf("lock the vault: %w", err)
	}
	return nil
}

// removeShut unlocks the vault; it does nothing where it is not locked.
func (d *Dir) removeShut() error {
	err := os.Remove(d.file(shutName))
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("unlock the vault: %w", err)
	}
	return syncDir(d.path)
}

// shutWith returns the content of the file of a vault in which something runs.
func (k *keystore) shutWith(r Resumed) ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return seal(k.keys, shutMagic, b)
}

// Resume unlocks the vault, which was opened to be unlocked, and returns what
// ran in it before.
func (v *Vault) Resume() (Resumed, error) { return v.before, v.dir.removeShut() }

// Remount makes mounts again in a daemon that goes on without those that cannot
// be made.
func (v *Vault) Remount(ctx context.Context, mounts []control.MountRequest) {
	if err := v.mountAll(ctx, mounts); err != nil {
		v.log.Warn("nothing is mounted again", "error", err)
	}
}

// readShut reads what ran when the vault was locked. A file that cannot be read
// is no reason to stay locked: whoever has the keys may unlock.
func (v *Vault) readShut() error {
	content, err := readPrivate(v.dir.file(shutName), maxShut)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("unlock the vault: %w", err)
	case string(content) == shutMagic:
		return nil
	}
	if err := v.keys.readShut(content, &v.before); err != nil {
		v.log.Warn("what ran before the vault was locked is not known", "error", err)
		v.before = Resumed{}
	}
	v.opts.Offline = v.before.Offline
	return nil
}

func (k *keystore) readShut(content []byte, r *Resumed) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, err := unseal(k.keys, shutMagic, content)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, r)
}
