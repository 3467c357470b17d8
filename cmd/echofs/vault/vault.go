package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/echo/blob"
	"echofs/echo/engine"
)

// Options tells how to open a vault.
type Options struct {
	Dir     *Dir
	Wait    time.Duration // for another process to be done with the vault; 0 for not at all
	Version string        // of the program, for whoever asks
	Getenv  func(string) string
	Log     *slog.Logger
	Offline bool // no network
	Daemon  bool // for as long as mounts are there, not for one command

	Access   Access
	Unlock   bool          // open it although it was locked
	Settings func(*Config) // changes the settings before they are used; may be nil
}

// Vault is an open vault. Close must be called.
type Vault struct {
	opts   Options
	dir    *Dir
	config Config
	log    *slog.Logger
	keys   *keystore
	repo   *echo.Repo
	engine *engine.Engine
	net    *network // nil without network

	presences *presences // nil without network

	mounts *mounts
	server *control.Server
	copied bool       // the vault was copied or restored since it was opened before
	fatal  chan error // receives once, when the store has failed for good

	alone   bool          // a daemon that goes on without mounts; set before it answers
	locking chan struct{} // one slot: receives when the vault was locked
	before  Resumed       // what ran when it was locked; of a vault that is being unlocked

	unwind []func() error // what Close does, last first
}

// Open opens a vault that Make made. The error wraps ErrLocked where another
// process has it.
func Open(ctx context.Context, opts Options) (*Vault, error) {
	defer clear(opts.Access.Passphrase)
	v := &Vault{opts: opts, dir: opts.Dir, log: opts.Log, fatal: make(chan error, 1), locking: make(chan struct{}, 1)}
	NoDumps()
	unix.Umask(0o077)
	for _, step := range []func(context.Context) error{
		v.openLock, v.openKeys, v.openEngine, v.openStore, v.openNetwork, v.openMounts,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, v.Close())
		}
	}
	return v, nil
}

// NoDumps keeps what is in this process's memory out of files, and other
// processes of the user out of it: no core dump is written, not by a handler
// either, and nobody but root attaches to it or reads its environment.
//
// Both are best effort: without them a core dump could hold keys, which a system
// that refuses the calls would not write either.
func NoDumps() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// Close takes down what Open has built, in reverse.
func (v *Vault) Close() error {
	var errs []error
	for _, undo := range slices.Backward(v.unwind) {
		errs = append(errs, undo())
	}
	v.unwind = nil
	return errors.Join(errs...)
}

func (v *Vault) onClose(undo func() error) { v.unwind = append(v.unwind, undo) }

// Handler answers the local API for this vault.
func (v *Vault) Handler() http.Handler { return v.server }

func (v *Vault) openLock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.opts.Wait)
	defer cancel()
	lock, err := v.dir.WaitLock(ctx)
	if err != nil {
		return err
	}
	v.onClose(lock.Release)
	return nil
}

func (v *Vault) openKeys(context.Context) (err error) {
	if err := v.dir.checkNotMade(); err != nil {
		return err
	}
	if v.dir.Shut() && !v.opts.Unlock {
		return v.dir.shut()
	}
	if v.keys, err = v.dir.openKeystore(v.opts.Access, v.opts.Getenv); err != nil {
		return err
	}
	v.onClose(v.keys.wipe)
	if v.opts.Unlock {
		if err := v.readShut(); err != nil {
			return err
		}
	}
	return v.openSettings()
}

// openSettings reads the settings, and stores those that were given anew.
func (v *Vault) openSettings() (err error) {
	if v.config, err = v.keys.settings(); err != nil || v.opts.Settings == nil {
		return err
	}
	v.opts.Settings(&v.config)
	return v.keys.setSettings(v.config)
}

// openEngine starts the worker processes: before anything is mounted, because
// a process that is started later could be stopped by the mount it serves.
func (v *Vault) openEngine(context.Context) (err error) {
	if v.engine, err = engine.New(engine.Options{}); err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	v.onClose(v.engine.Close)
	return nil
}

func (v *Vault) openStore(ctx context.Context) error {
	db, err := v.openDB()
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	v.onClose(db.Close)
	genesis, err := v.dir.genesis()
	if err != nil {
		return err
	}
	paired, err := v.dir.paired()
	if err != nil {
		return err
	}
	if paired != nil {
		genesis = paired.Identity
	}
	v.repo, err = echo.Open(ctx, echo.Options{Store: db, Engine: v.engine, Keys: v.keys, NameKey: v.keys.indexKey(), Identity: genesis,
		Chunks:       v.openChunks,
		RelayQuota:   echo.Quota{Space: v.config.RelaySpace, Device: v.config.RelayDevice},
		IdentityName: v.config.Name, DeviceName: v.config.Device, Logger: v.log})
	if err != nil {
		return fmt.Errorf("open repository: %w", err)
	}
	v.onClose(v.repo.Close)
	if err := v.notePlace(ctx); err != nil {
		return err
	}
	switch {
	case paired != nil:
		return v.finishPairing(ctx, paired)
	case genesis == nil:
		return nil
	}
	return v.finishMaking(ctx)
}

// openChunks opens the store of the chunks of a space's blobs.
func (v *Vault) openChunks(space echo.SpaceID) (blob.Store, error) {
	return blob.OpenDir(filepath.Join(v.dir.file(blobsName), hex.EncodeToString(space[:])))
}

// finishMaking does the last steps of making a vault, each of which may have
// been done already.
func (v *Vault) finishMaking(ctx context.Context) error {
	if len(v.repo.Spaces()) == 0 {
		if _, err := v.repo.CreateSpace(ctx, FirstSpace); err != nil {
			return err
		}
	}
	if err := v.repo.Flush(); err != nil {
		return err
	}
	if err := os.Remove(v.dir.file(genesisName)); err != nil {
		return fmt.Errorf("finish the new vault: %w", err)
	}
	return nil
}

// storeFailed is told by the store that it can no longer be trusted.
func (v *Vault) storeFailed(err error) {
	v.log.Error("the store has failed", "error", err)
	select {
	case v.fatal <- err:
	default:
	}
}

// Identity tells whose vault this is.
func (v *Vault) Identity() control.Identity {
	i := v.repo.Identity()
	return control.Identity{DID: i.DID, Name: i.Name, Device: control.DeviceRef{ID: i.DeviceID, Name: i.DeviceName},
		Protection: v.protection()}
}
