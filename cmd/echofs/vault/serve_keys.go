package vault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

func (v *Vault) registerKeys() {
	control.Handle(v.server, control.ShowPhrase, v.showPhrase)
	control.Handle(v.server, control.SetPassphrase, v.changePassphrase)
	control.Handle(v.server, control.DropPassphrase, v.dropPassphrase)
	control.Handle(v.server, control.LockVault, v.lockKeys)
}

// showPhrase shows the recovery phrase: to whoever knows the passphrase, where
// there is one.
func (v *Vault) showPhrase(_ context.Context, req control.PhraseRequest) (control.Phrase, error) {
	defer clear(req.Passphrase)
	err := v.keys.prove(req.Passphrase)
	var phrase string
	if err == nil {
		phrase, err = v.keys.phrase()
	}
	if err == nil && req.Forget {
		err = v.keys.forgetPhrase()
	}
	if err != nil {
		return control.Phrase{}, fmt.Errorf("show the recovery phrase: %w", err)
	}
	return control.Phrase{Phrase: phrase}, nil
}

func (v *Vault) changePassphrase(_ context.Context, req control.PassphraseChange) (control.Protection, error) {
	defer clear(req.Current)
	defer clear(req.New)
	if err := CheckPassphrase(req.New); err != nil {
		return control.Protection{}, err
	}
	if err := v.keys.prove(req.Current); err != nil {
		return control.Protection{}, fmt.Errorf("set the passphrase: %w", err)
	}
	err := v.keys.setPassphrase(req.New)
	return v.protection(), err
}

func (v *Vault) dropPassphrase(_ context.Context, req control.PassphraseChange) (control.Protection, error) {
	defer clear(req.Current)
	if v.keys.kind() != halo.ProtectPassphrase {
		return v.protection(), fmt.Errorf("remove the passphrase: there is none: %w", control.ErrRefused)
	}
	if err := v.keys.prove(req.Current); err != nil {
		return control.Protection{}, fmt.Errorf("remove the passphrase: %w", err)
	}
	err := v.keys.removePassphrase(Access{KeyFile: req.KeyFile})
	return v.protection(), err
}

// protection tells what opens the keys.
func (v *Vault) protection() control.Protection {
	return control.Protection{Kind: v.keys.kind().String(), Path: v.keys.keyFilePath()}
}

// keyWarnings tells of keys that lie beside what they open.
func (v *Vault) keyWarnings() []control.Warning {
	p := v.protection()
	if p.Path == "" || !sameDisk(p.Path, v.dir.path) {
		return nil
	}
	return []control.Warning{{Code: "key_file",
		Message: "the key file is on the disk that the vault is on: whoever copies the disk can open the vault",
		Fix:     "protect the keys by a passphrase: echofs passphrase set"}}
}

// sameDisk reports whether two files are in one file system.
func sameDisk(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}

// lockKeys is the end of a daemon: it unmounts, notes what is to be begun
// again, and lets the process end, with which all keys leave the memory.
//
// The note is written first: if the daemon is killed from here on, the vault is
// locked.
func (v *Vault) lockKeys(ctx context.Context, req control.LockRequest) (control.LockReply, error) {
	r := Resumed{Mounts: v.mounts.requests(), Serve: v.alone, Offline: v.opts.Offline}
	reply := control.LockReply{Unmounted: v.mounts.dirs(), PID: os.Getpid()}
	for i := range r.Mounts {
		r.Mounts[i].Hold = false // its caller is gone when it comes again
	}
	content, err := v.keys.shutWith(r)
	if err == nil {
		err = v.dir.writeShut(content)
	}
	if err != nil {
		return reply, err
	}
	if err := v.mounts.take(ctx, req.Force); err != nil {
		_ = v.dir.removeShut() // it was made a moment ago
		return reply, control.WithHint(fmt.Errorf("lock the vault: %w: %w", err, control.ErrRefused),
			"close what is open there, or cut it off: echofs lock --force")
	}
	select {
	case v.locking <- struct{}{}:
	default:
	}
	return reply, nil
}

// examineKeys checks who can read the vault, and what opens it.
func (v *Vault) examineKeys() []control.Check {
	p := v.protection()
	detail := "protected by a " + p.Kind
	if p.Path != "" {
		detail += ": " + p.Path
	}
	return []control.Check{v.examineModes(), {Name: "keys", State: "ok", Detail: detail}}
}

// examineModes looks for files in the vault that others may use.
func (v *Vault) examineModes() control.Check {
	var open []string
	count := 0
	err := filepath.WalkDir(v.dir.path, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // files of a running database come and go
		}
		info, err := d.Info()
		if err != nil || d.Type()&os.ModeSymlink != 0 {
			return nil
		}
		count++
		if info.Mode().Perm()&0o077 != 0 && len(open) < maxUsers {
			open = append(open, path)
		}
		return nil
	})
	switch {
	case err != nil:
		return control.Check{Name: "modes", State: "fail", Detail: err.Error()}
	case len(open) > 0:
		return control.Check{Name: "modes", State: "fail", Detail: fmt.Sprintf("open to other users: %q", open),
			Fix: "chmod -R go= " + v.dir.path}
	}
	return control.Check{Name: "modes", State: "ok", Detail: fmt.Sprintf("%d files are closed to other users", count)}
}
