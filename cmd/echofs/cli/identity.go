package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) identityCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "identity",
		Short:   "Show who you are: your DID and this device",
		Example: "  echofs identity --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c.Context(), a, need{}, control.GetIdentity, control.None{}, printIdentity)
		},
	}
	c.AddCommand(&cobra.Command{
		Use:     "rename NAME",
		Short:   "Change your name, as other members see it",
		Example: "  echofs identity rename \"Ada Lovelace\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{}, control.RenameIdentity, control.Rename{Name: args[0]}, printIdentity)
		},
	})
	return c
}

func (a *app) phraseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "phrase",
		Short:   "Show the recovery phrase",
		Example: "  echofs phrase show",
		Args:    cobra.NoArgs,
		RunE:    needSubcommand,
	}
	var req control.PhraseRequest
	show := &cobra.Command{
		Use:   "show",
		Short: "Print the 24 words that bring a lost identity back",
		Long: `Print the 24 words that bring a lost identity back. Whoever has them is you:
write them on paper. --forget removes them from the vault afterwards, so that
the paper is the only copy. Where the vault has a passphrase, it is asked for.`,
		Example: "  echofs phrase show",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if req.Passphrase, err = a.prove(c.Context()); err != nil {
				return err
			}
			return call(c.Context(), a, need{}, control.ShowPhrase, req, func(w io.Writer, p control.Phrase) {
				_, _ = fmt.Fprintln(w, p.Phrase)
			})
		},
	}
	show.Flags().BoolVar(&req.Forget, "forget", false, "remove the phrase from the vault once it is printed")
	c.AddCommand(show)
	return c
}
