package cli

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) waitCommand() *cobra.Command {
	req := control.WaitRequest{}
	c := &cobra.Command{
		Use:   "wait [PATH|SPACE]",
		Short: "Wait until other devices have what is saved here now",
		Long: `Wait until other devices have acknowledged what is saved here now: in a space,
in the space of a file, or in all spaces. Without --peers and --device, all
devices of the members must have it. Exit status 5 when the time is up.`,
		Example: "  echofs wait notes --timeout 30s\n  echofs wait ~/echo/notes/plan.md --peers 1",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if req.PathRef, err = optionalPath(args); err != nil {
				return err
			}
			return a.with(c.Context(), need{network: true}, func(s *session) error {
				var last control.WaitReply
				err := control.Each(c.Context(), s.Client, control.Wait, req, func(r control.WaitReply) error {
					a.progress("%d devices have it, %d do not yet%s", len(r.Acknowledged), len(r.Missing), names(r.Missing))
					last = r
					return nil
				})
				if err != nil {
					return err
				}
				return a.emit(last, func(io.Writer) {})
			})
		},
	}
	c.Flags().IntVar(&req.Peers, "peers", 0, "how many devices must have it (default all)")
	c.Flags().StringVar(&req.Device, "device", "", "the device that must have it: name or id")
	c.Flags().DurationVar(&req.Timeout, "timeout", 0*time.Second, "give up after this time (default never)")
	return c
}

func names(devices []control.DeviceRef) string {
	if len(devices) == 0 {
		return ""
	}
	var out []string
	for _, d := range devices {
		out = append(out, d.Name)
	}
	return ": " + strings.Join(out, ", ")
}

// progress prints where things are, to somebody who looks.
func (a *app) progress(format string, args ...any) {
	if isTerminal(a.stderr) {
		a.say(format, args...)
	}
}
