package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
	"echofs/echo"
)

// stopTimeout is how long a daemon may take to end after its last mount.
const stopTimeout = 30 * time.Second

func (a *app) umountCommand() *cobra.Command {
	var lazy bool
	c := &cobra.Command{
		Use:     "umount DIR",
		Aliases: []string{"unmount"},
		Short:   "Unmount, and stop the daemon if it was the last mount",
		Example: "  echofs umount ~/echo",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("unmount: %w", err)
			}
			return a.umount(c.Context(), resolveParent(dir), lazy)
		},
	}
	c.Flags().BoolVar(&lazy, "lazy", false, "detach it although it is in use")
	return c
}

func (a *app) umount(ctx context.Context, dir string, lazy bool) error {
	home, err := vault.Home(a.home, a.getenv)
	if err != nil {
		return err
	}
	if s, err := dialDaemon(ctx, home); err != nil {
		return err
	} else if s != nil {
		removed, err := control.Call(ctx, s.Client, control.RemoveMount, control.MountRemove{Dir: dir, Lazy: lazy})
		_ = s.close()
		if err == nil {
			return waitForEnd(ctx, home, removed)
		}
		if control.CodeOf(err) != control.NotFound {
			return err
		}
	}
	// A daemon of another vault, or one that was killed.
	mount, ok, err := vault.FindMount(dir)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("unmount %s: no echofs is mounted there: %w", dir, echo.ErrNotFound)
	}
	return vault.Detach(ctx, mount, lazy)
}

// waitForEnd waits until a daemon without mounts has given its vault back.
func waitForEnd(ctx context.Context, home string, removed control.MountRemoved) error {
	if !removed.Last {
		return nil
	}
	dir, err := vault.OpenDir(home)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	lock, err := dir.WaitLock(ctx)
	if errors.Is(err, vault.ErrLocked) {
		return fmt.Errorf("unmounted, but the daemon (process %d) goes on: %w", removed.PID, control.ErrTimeout)
	}
	if err != nil {
		return err
	}
	return lock.Release()
}
