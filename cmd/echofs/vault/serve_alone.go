package vault

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"echofs/cmd/echofs/control"
)

// Serve is a daemon without a mount, for a member that is always there: it
// answers the control socket, calls ready, and goes on until ctx ends, the vault
// is locked, or the store fails. Mounts that are asked of it come and go. Close is the caller's to
// call.
func (v *Vault) Serve(ctx context.Context, ready func()) error {
	l, err := control.Listen(v.dir.path, v.log)
	if err != nil {
		return err
	}
	v.alone = true
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return control.Serve(gctx, l, v.server) })
	g.Go(func() error { return v.serveUntil(gctx, ready) })
	if err := g.Wait(); !errors.Is(err, errDone) {
		return err
	}
	return nil
}

// serveUntil waits for the end. It ends with an error in any case, so that the
// other parts of the daemon end too.
func (v *Vault) serveUntil(ctx context.Context, ready func()) error {
	ready()
	err := errDone
	select {
	case <-ctx.Done():
	case <-v.locking:
	case cause := <-v.fatal:
		err = fmt.Errorf("the store has failed: %w", cause)
	}
	if closing := v.mounts.closeAll(); closing != nil && errors.Is(err, errDone) {
		return closing
	}
	return err
}
