package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) fsckCommand() *cobra.Command {
	var req control.FsckRequest
	c := &cobra.Command{
		Use:   "fsck",
		Short: "Check that what is shown is what the entries say",
		Long: `Check the store: signatures and chains of the entries, and that each object is
what its entries make of it. Exit status 1 if anything is wrong; --repair makes
anew what can be derived from the entries.`,
		Example: "  echofs fsck --repair",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.with(c.Context(), need{}, func(s *session) error {
				got, err := control.Call(c.Context(), s.Client, control.CheckVault, req)
				if err != nil {
					return err
				}
				err = a.emit(got, func(w io.Writer) { printFsck(w, got) })
				if len(got.Problems) > got.Repaired {
					err = errors.Join(err, fmt.Errorf("the store has %d problems", len(got.Problems)-got.Repaired))
				}
				return err
			})
		},
	}
	c.Flags().BoolVar(&req.Repair, "repair", false, "make derived data anew where it is wrong")
	return c
}

func printFsck(w io.Writer, r control.FsckReply) {
	for _, p := range r.Problems {
		_, _ = fmt.Fprintln(w, clean(p))
	}
	_, _ = fmt.Fprintf(w, "%d entries, %d objects, %d problems, %d repaired\n", r.Entries, r.Objects, len(r.Problems), r.Repaired)
}
