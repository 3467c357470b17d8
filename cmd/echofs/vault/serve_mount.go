package vault

import (
	"context"
	"os"

	"echofs/cmd/echofs/control"
)

// The states of a mount in a control.MountEvent.
const (
	stateMounted   = "mounted"
	stateUnmounted = "unmounted"
)

func (v *Vault) registerMounts() {
	control.HandleStream(v.server, control.AddMount, v.addMount)
	control.Handle(v.server, control.RemoveMount, v.removeMount)
}

// addMount makes another mount. A held one is unmounted when its caller goes.
func (v *Vault) addMount(ctx context.Context, req control.MountRequest, send func(control.MountEvent) error) error {
	gone, err := v.mounts.add(ctx, req)
	if err != nil {
		return err
	}
	if err := send(control.MountEvent{Dir: req.Dir, State: stateMounted}); err != nil || !req.Hold {
		return err
	}
	select {
	case <-gone:
		return send(control.MountEvent{Dir: req.Dir, State: stateUnmounted})
	case <-ctx.Done():
		_, err := v.mounts.unmount(req.Dir, false)
		return err
	}
}

func (v *Vault) removeMount(_ context.Context, req control.MountRemove) (control.MountRemoved, error) {
	last, err := v.mounts.unmount(req.Dir, req.Lazy)
	return control.MountRemoved{Last: last, PID: os.Getpid()}, err
}
