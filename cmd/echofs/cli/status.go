package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show mounts, spaces, who is behind, and what needs a decision",
		Long: `Show mounts, spaces, who is behind, and what needs a decision.

The state of a space is: synced (the connected devices have everything),
syncing, offline (no device is connected), alone (there is no other device).

It never asks for a passphrase: of a vault that is locked it says just that.`,
		Example: "  echofs status\n  echofs status --watch --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if st, ok := a.lockedStatus(c.Context()); ok {
				return a.emit(st, func(w io.Writer) { printWarnings(w, st.Warnings) })
			}
			if !watch {
				return call(c.Context(), a, need{}, control.GetStatus, control.None{}, printStatus)
			}
			return a.with(c.Context(), need{}, func(s *session) error {
				return control.Each(c.Context(), s.Client, control.WatchStatus, control.None{}, a.showStatus)
			})
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "print it again whenever it changes, until interrupted")
	return c
}

// showStatus prints one of a stream of statuses, on a terminal in the place of
// the one before.
func (a *app) showStatus(st control.StatusReply) error {
	return a.emit(st, func(w io.Writer) {
		if isTerminal(a.stdout) {
			_, _ = io.WriteString(w, "\x1b[H\x1b[2J") // cursor home, clear
		}
		printStatus(w, st)
	})
}

func printStatus(w io.Writer, st control.StatusReply) {
	mounts := "nothing is mounted"
	if len(st.Mounts) > 0 {
		mounts = "mounted at " + strings.Join(st.Mounts, ", ")
	}
	_, _ = fmt.Fprintf(w, "%s on %s, %s\n\n", clean(st.Identity.Name), clean(st.Device.Name), clean(mounts))
	var rows [][]string
	for _, s := range st.Spaces {
		rows = append(rows, []string{s.Name, s.State, s.Role, strconv.Itoa(s.Objects), strconv.Itoa(s.Peers),
			strconv.Itoa(s.Drafts), strconv.Itoa(s.Conflicts)})
	}
	table(w, []string{"SPACE", "STATE", "ROLE", "OBJECTS", "PEERS", "DRAFTS", "CONFLICTS"}, rows)
	for _, s := range st.Spaces {
		if s.Sync != nil {
			_, _ = fmt.Fprintf(w, "\n%s: %s\n", clean(s.Name), syncLine(*s.Sync))
			if s.Sync.Blobs > 0 {
				_, _ = fmt.Fprintf(w, "  the content of %d files is missing, %s at most\n", s.Sync.Blobs, size(s.Sync.Content))
			}
		}
		if s.Relay != nil {
			_, _ = fmt.Fprintf(w, "\n%s: a relay here: %d entries, %s of %s\n", clean(s.Name), s.Relay.Entries, size(s.Relay.Bytes), size(s.Relay.Quota))
		}
		if s.Quarantined > 0 {
			_, _ = fmt.Fprintf(w, "\n%s: %d entries are in quarantine\n", clean(s.Name), s.Quarantined)
		}
		if len(s.Behind) > 0 {
			_, _ = fmt.Fprintf(w, "\n%s:\n", clean(s.Name))
			printBehind(w, s.Behind)
		}
	}
	printWarnings(w, st.Warnings)
}

func printWarnings(w io.Writer, list []control.Warning) {
	for _, x := range list {
		_, _ = fmt.Fprintf(w, "\nwarning: %s\n  %s\n", clean(x.Message), clean(x.Fix))
	}
}

func printBehind(w io.Writer, behind []control.Behind) {
	for _, b := range behind {
		_, _ = fmt.Fprintf(w, "  %s lacks %d entries (seen: %s)\n", clean(b.Name), b.Entries, ago(b.LastSeen))
	}
}

func (a *app) peersCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "peers",
		Short:   "List the devices that are connected",
		Example: "  echofs peers --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c.Context(), a, need{}, control.GetPeers, control.None{}, func(w io.Writer, peers []control.Peer) {
				var rows [][]string
				for _, p := range peers {
					rows = append(rows, []string{p.Name, p.Space, p.Path, fmt.Sprintf("%.0f ms", p.RTT),
						strconv.FormatUint(p.EntriesBehind, 10), shortID(p.Device)})
				}
				table(w, []string{"DEVICE", "SPACE", "PATH", "RTT", "BEHIND", "ID"}, rows)
			})
		},
	}
}
