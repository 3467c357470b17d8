package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

func (a *app) lockCommand() *cobra.Command {
	var req control.LockRequest
	c := &cobra.Command{
		Use:   "lock",
		Short: "Unmount, end the daemon, and refuse everything until unlock",
		Long: `Unmount the vault, end all sessions and the daemon, and with it take the keys
out of memory. Until "echofs unlock" nothing opens the vault, and commands say
so with exit status 4.

A vault that no passphrase protects can be unlocked by everybody who can run
programs as you; set one with "echofs passphrase set".`,
		Example: "  echofs lock",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.lock(c.Context(), req) },
	}
	c.Flags().BoolVar(&req.Force, "force", false, "cut off programs that use a mount")
	return c
}

// locked is what lock and unlock print.
type locked struct {
	State  string   `json:"state"` // locked or unlocked
	Mounts []string `json:"mounts"`
}

func (a *app) lock(ctx context.Context, req control.LockRequest) error {
	dir, err := a.existing()
	if err != nil {
		return err
	}
	reply, err := a.lockDaemon(ctx, dir, req)
	if err != nil {
		return err
	}
	out := locked{State: control.StateLocked, Mounts: append([]string{}, reply.Unmounted...)}
	if !dir.NeedsPassphrase() {
		a.say("note: no passphrase protects its keys; set one with: echofs passphrase set")
	}
	return a.emit(out, func(w io.Writer) {
		_, _ = io.WriteString(w, "the vault is locked; unlock it with: echofs unlock\n")
	})
}

// lockDaemon locks the vault through its daemon, or by itself where none runs.
func (a *app) lockDaemon(ctx context.Context, dir *vault.Dir, req control.LockRequest) (control.LockReply, error) {
	s, err := dialDaemon(ctx, dir.Path())
	if err != nil {
		return control.LockReply{}, err
	}
	if s == nil {
		return control.LockReply{}, dir.LockKeys()
	}
	reply, err := control.Call(ctx, s.Client, control.LockVault, req)
	_ = s.close()
	if err != nil {
		return reply, err
	}
	return reply, waitForEnd(ctx, dir.Path(), control.MountRemoved{Last: true, PID: reply.PID})
}

func (a *app) unlockCommand() *cobra.Command {
	var f mountFlags
	c := &cobra.Command{
		Use:   "unlock",
		Short: "Open the vault's keys, and mount again what was mounted",
		Long: `Open the vault's keys and begin again what "echofs lock" has ended. The
passphrase is asked for on the terminal; else it is the next line of stdin, or
of the file descriptor that --passphrase-fd names.

Where a passphrase protects the keys, a daemon in the background holds them from
then on, also without a mount, so that commands need not ask: until "echofs
lock".`,
		Example: "  echofs unlock",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := a.existing()
			if err != nil {
				return err
			}
			if f.readyFD != 0 {
				return a.resume(c.Context(), dir, &f)
			}
			return a.unlock(c.Context(), dir)
		},
	}
	f.hidden(c)
	return c
}

func (a *app) unlock(ctx context.Context, dir *vault.Dir) error {
	s, err := dialDaemon(ctx, dir.Path())
	if err != nil {
		return err
	}
	if s == nil {
		if s, err = a.unlockShut(ctx, dir); err != nil {
			return err
		}
	}
	out := locked{State: "unlocked", Mounts: []string{}}
	if s != nil {
		pong, err := control.Call(ctx, s.Client, control.Ping, control.None{})
		if err := errors.Join(err, s.close()); err != nil {
			return err
		}
		out.Mounts = append(out.Mounts, pong.Mounts...)
	}
	return a.emit(out, func(w io.Writer) {
		_, _ = io.WriteString(w, "the vault is unlocked\n")
		if len(out.Mounts) > 0 {
			_, _ = fmt.Fprintf(w, "mounted at %s\n", clean(strings.Join(out.Mounts, ", ")))
		}
	})
}

// unlockShut starts the daemon that unlocks a vault, and returns a session with
// it; nil where it had nothing left to do.
func (a *app) unlockShut(ctx context.Context, dir *vault.Dir) (*session, error) {
	if !dir.Complete() {
		return nil, control.WithHint(fmt.Errorf("unlock %s: %w", dir.Path(), vault.ErrNoVault), "make it with: echofs init")
	}
	if !dir.Shut() && !dir.NeedsPassphrase() {
		return nil, nil // everybody can open it as it is
	}
	start := startDoc{Access: a.withoutPassphrase()}
	if dir.NeedsPassphrase() {
		phrase, err := a.currentPassphrase(ctx)
		if err != nil {
			return nil, err
		}
		start.Access.Passphrase = phrase
	}
	if err := a.launch(ctx, dir, []string{"unlock"}, start); err != nil {
		return nil, err
	}
	return dialDaemon(ctx, dir.Path())
}

// resume is the daemon in the background that unlock has started.
func (a *app) resume(ctx context.Context, dir *vault.Dir, f *mountFlags) error {
	log, ready, start, err := a.daemonVoice(dir, f)
	if err != nil {
		return err
	}
	v, err := vault.Open(ctx, vault.Options{Dir: dir, Wait: turnTimeout, Version: Version(), Getenv: a.getenv,
		Log: log, Daemon: true, Access: start.Access, Unlock: true})
	if err != nil {
		return ready.tell(err)
	}
	before, err := v.Resume()
	if err == nil {
		err = a.goOn(ctx, dir, v, before, func() { _ = ready.tell(nil) })
	}
	return ready.tell(errors.Join(err, v.Close()))
}

// goOn runs what ran before; where that is nothing, a daemon that holds the keys
// which a passphrase protects.
func (a *app) goOn(ctx context.Context, dir *vault.Dir, v *vault.Vault, before vault.Resumed, ready func()) error {
	switch {
	case before.Serve:
		return v.Serve(ctx, func() {
			v.Remount(ctx, before.Mounts)
			ready()
		})
	case len(before.Mounts) > 0:
		return v.RunAll(ctx, before.Mounts, ready)
	case dir.NeedsPassphrase():
		return v.Serve(ctx, ready)
	}
	return nil
}

// lockedStatus returns the status of a vault that only its owner can open; ok is
// false where the status can be had, or where there are other errors.
func (a *app) lockedStatus(ctx context.Context) (st control.StatusReply, ok bool) {
	dir, err := a.existing()
	if err != nil || !dir.Shut() && (!dir.NeedsPassphrase() || a.secrets.fd >= 0) {
		return st, false
	}
	if s, err := dialDaemon(ctx, dir.Path()); err != nil {
		return st, false
	} else if s != nil {
		_ = s.close()
		return st, false
	}
	w := control.Warning{Code: "locked", State: control.StateLocked, Fix: "echofs unlock",
		Message: "the vault is locked: nothing is mounted or synced"}
	if !dir.Shut() {
		w.Message = "no daemon runs, and a passphrase protects the vault's keys"
	}
	return control.StatusReply{Mounts: []string{}, Spaces: []control.SpaceStatus{}, Warnings: []control.Warning{w}}, true
}
