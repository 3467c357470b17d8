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
// calls ready, and goes on until ctx ends, the last mount has gone, or the
// store fails. Then it unmounts everything. Close is the caller's to call.
func (v *Vault) Run(ctx context.Context, first control.MountRequest, ready func()) error {
	l, err := control.Listen(v.dir.path, v.log)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return control.Serve(gctx, l, v.server) })
	g.Go(func() error { return v.keepMounted(gctx, first, ready) })
	if err := g.Wait(); !errors.Is(err, errDone) {
		return err
	}
	return nil
}

// keepMounted makes the first mount, waits for the end, and unmounts. It ends
// with an error in any case, so that the other parts of the daemon end too.
func (v *Vault) keepMounted(ctx context.Context, first control.MountRequest, ready func()) error {
	if _, err := v.mounts.add(ctx, first); err != nil {
		return errors.Join(err, v.mounts.closeAll())
	}
	ready()
	var err error
	select {
	case <-ctx.Done():
		err = errDone
	case <-v.mounts.gone:
		err = errDone
	case cause := <-v.fatal:
		err = fmt.Errorf("the store has failed, everything is unmounted: %w", cause)
	}
	if closing := v.mounts.closeAll(); closing != nil && errors.Is(err, errDone) {
		return closing
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
