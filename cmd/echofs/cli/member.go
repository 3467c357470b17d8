package cli

import (
	"io"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) memberCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "member",
		Short:   "Show and change who is in a space",
		Example: "  echofs member list notes\n  echofs member role notes bob reader\n  echofs member remove notes bob\n  echofs member approve notes cleo",
		Args:    cobra.NoArgs,
		RunE:    needSubcommand,
	}
	c.AddCommand(&cobra.Command{
		Use:     "list SPACE",
		Short:   "List the members of a space and their devices",
		Example: "  echofs member list notes --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{}, control.ListMembers, control.SpaceRef{Space: args[0]}, printMembers)
		},
	})
	c.AddCommand(a.memberRole(), a.memberRemove(), a.memberDecide("approve", true), a.memberDecide("decline", false))
	return c
}

func printMembers(w io.Writer, members []control.Member) {
	var rows [][]string
	for _, m := range members {
		for i, d := range m.Devices {
			who, role := m.Name, m.Role
			if i > 0 {
				who, role = "", ""
			}
			seen := ago(d.LastSeen)
			if d.Online {
				seen = "online"
			}
			rows = append(rows, []string{who, role, d.Name, shortID(d.ID), seen})
		}
		if len(m.Devices) == 0 {
			rows = append(rows, []string{m.Name, m.Role, "", "", ""})
		}
	}
	table(w, []string{"MEMBER", "ROLE", "DEVICE", "ID", "SEEN"}, rows)
}
