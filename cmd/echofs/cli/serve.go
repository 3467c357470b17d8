package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

func (a *app) serveCommand() *cobra.Command {
	var f mountFlags
	var unit bool
	var quota relayQuota
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the vault without a mount, as a member or relay that is always there",
		Long: `Run the vault without a mount: a member that is always there, so that others get
what was saved while they were away from each other. It stays in the foreground
until a signal. Make it a member as any other: echofs join CODE.

Invited as a relay (echofs invite SPACE --role relay) it keeps and hands on what
it cannot read: entries and files stay encrypted, and it is not told the space's
name. --quota bounds what it keeps of a space, --device-quota how much of that
one device may fill.

--unit prints a systemd unit that runs it:

  echofs serve --unit > ~/.config/systemd/user/echofs.service
  systemctl --user enable --now echofs && loginctl enable-linger

--signal, --ice, --no-lan and the quotas are remembered in the
vault.`,
		Example: "  echofs serve --signal wss://rendezvous.example.org\n  echofs serve --quota 200GiB --device-quota 50GiB\n  echofs serve --unit",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := vault.Home(a.home, a.getenv)
			if err != nil {
				return err
			}
			if unit {
				return a.printUnit(home)
			}
			return a.serve(c, home, &f, quota)
		},
	}
	fl := c.Flags()
	fl.StringArrayVar(&f.signal, "signal", nil, "URL of a signaling server; may be repeated; \"\" for none")
	fl.StringArrayVar(&f.ice, "ice", nil, "URL of a STUN or TURN server; may be repeated; \"\" for none")
	fl.BoolVar(&f.noLAN, "no-lan", false, "do not look for devices on the local network")
	fl.Var(&quota.space, "quota", "the most that is kept of a space as its relay (default 64GiB)")
	fl.Var(&quota.device, "device-quota", "the most of it that one device may fill (default 32GiB)")
	fl.BoolVar(&unit, "unit", false, "print a systemd unit, and do nothing else")
	return c
}

// relayQuota are the flags that bound what is kept for others; 0 for the default.
type relayQuota struct{ space, device byteCount }

// change notes the quotas that were given in the settings.
func (q relayQuota) change(c *vault.Config) {
	c.RelaySpace = cmp.Or(int64(q.space), c.RelaySpace)
	c.RelayDevice = cmp.Or(int64(q.device), c.RelayDevice)
}

// settings returns what changes the settings as the flags say.
func (q relayQuota) settings(start *startDoc) func(*vault.Config) {
	if q == (relayQuota{}) {
		return start.settings()
	}
	return func(c *vault.Config) {
		start.change(c)
		q.change(c)
	}
}

func (a *app) serve(c *cobra.Command, home string, f *mountFlags, quota relayQuota) error {
	ctx := c.Context()
	if err := f.remember(c); err != nil {
		return err
	}
	if s, err := dialDaemon(ctx, home); err != nil {
		return err
	} else if s != nil {
		return errors.Join(control.WithHint(errors.New("serve: a daemon runs for this vault already"),
			"it does what serve would do; see: echofs status"), s.close())
	}
	dir, err := a.openDir(ctx, home, true)
	if err != nil {
		return err
	}
	access, err := a.access(ctx, dir)
	if err != nil {
		return err
	}
	v, err := vault.Open(ctx, vault.Options{Dir: dir, Wait: turnTimeout, Version: Version(), Getenv: a.getenv,
		Log: a.logger(), Daemon: true, Access: access, Settings: quota.settings(&f.start)})
	if err != nil {
		return err
	}
	var said error
	err = v.Serve(ctx, func() {
		said = a.emit(served{Home: dir.Path(), Since: time.Now().UTC()}, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "serving the vault %s; end with ctrl-C\n", dir.Path())
		})
	})
	return errors.Join(err, said, v.Close())
}

// served is what serve prints when it is ready.
type served struct {
	Home  string    `json:"home"`
	Since time.Time `json:"since"`
}

// printUnit prints a systemd unit for the vault.
func (a *app) printUnit(home string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if home, err = filepath.Abs(home); err != nil {
		return fmt.Errorf("find the vault: %w", err)
	}
	_, err = fmt.Fprintf(a.stdout, systemdUnit, unitQuote(self), unitQuote(home))
	return err
}

// unitQuote writes a path as one argument of a command in a unit.
func unitQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(s) + `"`
}

const systemdUnit = `[Unit]
Description=echofs vault, always there
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=%s --home %s serve
Restart=on-failure
RestartSec=5
# a vault that is locked stays so
RestartPreventExitStatus=4
# its keys may come from systemd:
#LoadCredential=echofs.key:/etc/echofs.key
TimeoutStopSec=30
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
`
