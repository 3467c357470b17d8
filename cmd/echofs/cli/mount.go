package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

// mountFlags is what `mount` can be told.
type mountFlags struct {
	req        control.MountRequest
	background bool
	readyFD    int // where a daemon in the background says that it is ready; 0 for none
	startFD    int // and from where it reads what it is told
	start      startDoc
	offline    bool
	signal     []string
	ice        []string
	noLAN      bool
	noPresence bool
}

func (a *app) mountCommand() *cobra.Command {
	var f mountFlags
	c := &cobra.Command{
		Use:   "mount [DIR]",
		Short: "Run the vault and mount it (default: ~/echo)",
		Long: `Run the vault and mount it at DIR (default ~/echo), which is made if it is
missing and must be empty. It stays in the foreground until a signal; with -d it
returns when the mount answers. If a daemon runs for this vault already, it is
asked for another mount.

The first mount makes an identity, a device, and the space "personal".

Others see which files are open here while they are connected; not with
--no-presence. --signal, --ice, --no-lan and --no-presence are remembered in the
vault.`,
		Example: "  echofs mount ~/echo\n  echofs mount -d --signal wss://rendezvous.example.org",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if f.req.Dir, err = a.mountDir(args); err != nil {
				return err
			}
			return a.mount(c, &f)
		},
	}
	fl := c.Flags()
	fl.BoolVarP(&f.background, "daemon", "d", false, "run in the background, and return when mounted")
	fl.StringVar(&f.req.Space, "space", "", "mount only this space")
	fl.BoolVar(&f.req.ReadOnly, "read-only", false, "refuse all writes")
	fl.BoolVar(&f.req.AllowOther, "allow-other", false, "let other users in, as far as modes allow")
	fl.BoolVar(&f.req.Xattr, "xattr", false, "show what is known of files as extended attributes, which is slow")
	fl.BoolVar(&f.offline, "offline", false, "do not talk to other devices")
	fl.StringArrayVar(&f.signal, "signal", nil, "URL of a signaling server; may be repeated; \"\" for none")
	fl.StringArrayVar(&f.ice, "ice", nil, "URL of a STUN or TURN server; may be repeated; \"\" for none")
	fl.BoolVar(&f.noLAN, "no-lan", false, "do not look for devices on the local network")
	fl.BoolVar(&f.noPresence, "no-presence", false, "do not tell others which files are open here")
	f.hidden(c)
	return c
}

// mountDir returns the absolute path of the directory to mount at.
func (a *app) mountDir(args []string) (string, error) {
	if len(args) == 1 {
		dir, err := filepath.Abs(args[0])
		if err != nil {
			return "", fmt.Errorf("mount: %w", err)
		}
		return resolveParent(dir), nil
	}
	home := a.getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", control.WithHint(fmt.Errorf("mount: $HOME is not set: %w", control.ErrUsage), "say where: echofs mount DIR")
	}
	return resolveParent(filepath.Join(home, "echo")), nil
}

// resolveParent follows symbolic links on the way to a directory, so that it
// has the name under which the kernel lists it.
func resolveParent(dir string) string {
	if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		return filepath.Join(parent, filepath.Base(dir))
	}
	return dir
}

func (a *app) mount(c *cobra.Command, f *mountFlags) error {
	ctx := c.Context()
	home, err := vault.Home(a.home, a.getenv)
	if err != nil {
		return err
	}
	if err := f.remember(c); err != nil {
		return err
	}
	f.req.Hold = !f.background
	if s, err := dialDaemon(ctx, home); err != nil {
		return err
	} else if s != nil {
		return errors.Join(a.addMount(ctx, s, f), s.close())
	}
	dir, err := a.openDir(ctx, home, true)
	if err != nil {
		return err
	}
	if f.background {
		return a.startDaemon(ctx, dir, f)
	}
	return a.runDaemon(ctx, dir, f)
}

// addMount asks a running daemon for a mount.
func (a *app) addMount(ctx context.Context, s *session, f *mountFlags) error {
	return control.Each(ctx, s.Client, control.AddMount, f.req, func(e control.MountEvent) error {
		a.say("%s is %s by the running daemon", e.Dir, e.State)
		return nil
	})
}

// remember notes the network flags that were given, to be stored in the vault
// when it is open.
func (f *mountFlags) remember(c *cobra.Command) error {
	fl := c.Flags()
	if fl.Changed("signal") {
		list := given(f.signal)
		f.start.Signal = &list
	}
	if fl.Changed("ice") {
		list := given(f.ice)
		f.start.ICE = &list
	}
	if fl.Changed("no-lan") {
		f.start.NoLAN = &f.noLAN
	}
	if fl.Changed("no-presence") {
		f.start.NoPresence = &f.noPresence
	}
	var c2 vault.Config
	f.start.change(&c2)
	return c2.Check()
}

// given returns the values of a flag without the empty ones, which say "none".
func given(values []string) (out []string) {
	for _, v := range values {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}

// runDaemon is the daemon: it holds the vault until a signal comes, or until
// its last mount has gone.
func (a *app) runDaemon(ctx context.Context, dir *vault.Dir, f *mountFlags) (err error) {
	log, ready, start, err := a.daemonVoice(dir, f)
	if err != nil {
		return err
	}
	if f.readyFD == 0 {
		if start.Access, err = a.access(ctx, dir); err != nil {
			return err
		}
	}
	v, err := vault.Open(ctx, vault.Options{Dir: dir, Wait: turnTimeout, Version: Version(), Getenv: a.getenv,
		Log: log, Offline: f.offline, Daemon: true, Access: start.Access, Settings: start.settings()})
	if err != nil {
		return ready.tell(err)
	}
	err = v.Run(ctx, f.req, func() {
		_ = ready.tell(nil) // whoever started us may be gone
		if f.readyFD == 0 {
			a.say("mounted at %s; unmount with ctrl-C, or: echofs umount %s", f.req.Dir, f.req.Dir)
		}
	})
	return ready.tell(errors.Join(err, v.Close()))
}
