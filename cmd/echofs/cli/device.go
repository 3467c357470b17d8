package cli

import (
	"io"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) deviceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "device",
		Short:   "Add, show and let go of the devices of your identity",
		Example: "  echofs device list",
		Args:    cobra.NoArgs,
		RunE:    needSubcommand,
	}
	c.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List your devices",
		Example: "  echofs device list --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c.Context(), a, need{}, control.ListDevices, control.None{}, func(w io.Writer, devices []control.Device) {
				var rows [][]string
				for _, d := range devices {
					rows = append(rows, []string{d.Name, d.Level, d.State, ago(d.LastSeen), d.ID})
				}
				table(w, []string{"NAME", "LEVEL", "STATE", "SEEN", "ID"}, rows)
			})
		},
	})
	c.AddCommand(a.deviceInviteCommand(), a.deviceRenameCommand(), a.deviceRevoke())
	return c
}

func (a *app) deviceInviteCommand() *cobra.Command {
	var req control.DeviceInvite
	w := &inviteView{a: a, join: "echofs init --join"}
	c := &cobra.Command{
		Use:   "invite",
		Short: "Add a device of yours: print a code and wait",
		Long: `Print a code by which another machine becomes a device of yours, and wait until
it has. All your spaces come to it. On the other machine: echofs init --join CODE.
Both show the same pictures; if they differ, somebody stands between: remove the
device again.

An ordinary device cannot add or remove others; one that is primary can.

With --json: {"code","auth_code","expires"}, then one {"state"} a line.`,
		Example: "  echofs device invite --primary",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			defer w.pause()
			return a.with(c.Context(), need{network: true, daemon: req.NoWait}, func(s *session) error {
				return control.Each(c.Context(), s.Client, control.InviteDevice, req, w.show)
			})
		},
	}
	c.Flags().BoolVar(&req.Primary, "primary", false, "let the device add and remove devices")
	c.Flags().DurationVar(&req.Expires, "expires", defaultExpiry, "how long the code is good")
	c.Flags().BoolVar(&req.NoAuthCode, "no-auth-code", false, "let the code alone admit, once (for scripts)")
	c.Flags().BoolVar(&req.NoWait, "no-wait", false, "print the code and leave the waiting to the daemon")
	c.Flags().BoolVar(&w.noQR, "no-qr", false, "show no picture of the code")
	return c
}

func (a *app) deviceRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rename [DEVICE] NAME",
		Short:   "Rename this device",
		Long:    "Rename this device. A device names itself: another is renamed there.",
		Example: "  echofs device rename laptop",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			req := control.DeviceRename{Name: args[len(args)-1]}
			if len(args) == 2 {
				req.Device = args[0]
			}
			return call(c.Context(), a, need{}, control.RenameDevice, req, printIdentity)
		},
	}
}
