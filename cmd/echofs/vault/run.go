package vault

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"echofs/cmd/echofs/control"
)

// errDone ends a daemon that has nothing left to do.
var errDone = errors.New("the last mount has gone")

// Run is the daemon: it answers the control socket, makes the first mount,
// calls ready, and goes on until ctx ends, the last mount has gone, the vault is
// locked, or the store fails. Then it unmounts everything. Close is the caller's
// to call.
func (v *Vault) Run(ctx context.Context, first control.MountRequest, ready func()) error {
	return v.run(ctx, []control.MountRequest{first}, ready)
}

// RunAll is Run with the mounts of before; those that cannot be made are left
// out, unless that is all of them.
func (v *Vault) RunAll(ctx context.Context, mounts []control.MountRequest, ready func()) error {
	return v.run(ctx, mounts, ready)
}

func (v *Vault) run(ctx context.Context, mounts []control.MountRequest, ready func()) error {
	l, err := control.Listen(v.dir.path, v.log)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return control.Serve(gctx, l, v.server) })
	g.Go(func() error { return v.keepMounted(gctx, mounts, ready) })
	if err := g.Wait(); !errors.Is(err, errDone) {
		return err
	}
	return nil
}

// keepMounted makes the mounts, waits for the end, and unmounts. It ends
// with an error in any case, so that the other parts of the daemon end too.
func (v *Vault) keepMounted(ctx context.Context, mounts []control.MountRequest, ready func()) error {
	if err := v.mountAll(ctx, mounts); err != nil {
		return errors.Join(err, v.mounts.closeAll())
	}
	ready()
	var err error
	select {
	case <-ctx.Done():
		err = errDone
	case <-v.mounts.gone:
		err = errDone
	case <-v.locking:
		err = errDone
	case cause := <-v.fatal:
		err = fmt.Errorf("the store has failed, everything is unmounted: %w", cause)
	}
	if closing := v.mounts.closeAll(); closing != nil && errors.Is(err, errDone) {
		return closing
	}
	return err
}

// mountAll makes mounts, and fails if it can make none of them.
func (v *Vault) mountAll(ctx context.Context, mounts []control.MountRequest) error {
	var errs []error
	for _, req := range mounts {
		if _, err := v.mounts.add(ctx, req); err != nil {
			errs = append(errs, err)
		}
	}
	err := errors.Join(errs...)
	if len(errs) < len(mounts) && err != nil {
		v.log.Warn("not all is mounted again", "error", err)
		return nil
	}
	return err
}

func (v *Vault) openMounts(context.Context) error {
	v.mounts = newMounts(v.log, v.mountTree)
	v.onClose(v.mounts.closeAll)
	v.server = control.NewServer(v.log)
	v.register()
	return nil
}
