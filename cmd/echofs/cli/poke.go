package cli

import (
	"github.com/spf13/cobra"

	"echofs/fs"
)

// pokeCommand is the helper process of a mount; people have no use for it.
func (a *app) pokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "poke",
		Short:   "Make the changes of others heard by programs that watch a mount",
		Example: "  (started by the daemon)",
		Hidden:  true,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fs.PokeMain(a.stdin, a.stdout)
		},
	}
}
