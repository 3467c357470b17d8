package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) draftsCommand() *cobra.Command {
	list := a.draftsList()
	c := &cobra.Command{
		Use:   "drafts",
		Short: "Show and discard saves that were not valid",
		Long: `A save that is not valid (not JSON, say) is kept as a draft: byte by byte, on
this machine only, until a valid save or until it is discarded.`,
		Example: "  echofs drafts\n  echofs drafts show notes/todo.json\n  echofs drafts discard notes/todo.json",
		Args:    cobra.NoArgs,
		RunE:    list.RunE,
	}
	c.AddCommand(list, a.draftsShow(), a.draftsDiscard())
	return c
}

func (a *app) draftsList() *cobra.Command {
	return &cobra.Command{
		Use:     "list [SPACE]",
		Short:   "List drafts, with the place and the reason",
		Example: "  echofs drafts list --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var req control.DraftList
			if len(args) == 1 {
				req.Space = args[0]
			}
			return call(c.Context(), a, need{}, control.ListDrafts, req, func(w io.Writer, drafts []control.Draft) {
				for _, d := range drafts {
					note := d.Saved.Local().Format(time.DateTime)
					if d.Meanwhile != "" {
						note += "; the object was " + d.Meanwhile + " meanwhile"
					}
					_, _ = fmt.Fprintf(w, "%s:%d:%d: %s (%s)\n", clean(d.Space+"/"+d.Path), d.Line, d.Column, clean(d.Reason), note)
				}
			})
		},
	}
}

func (a *app) draftsShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show PATH",
		Short:   "Print a draft, byte by byte",
		Long:    "Print a draft, byte by byte." + pathHelp,
		Example: "  echofs drafts show notes/todo.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ref, err := pathRef(args[0])
			if err != nil {
				return err
			}
			return a.with(c.Context(), need{}, func(s *session) error {
				got, err := control.Call(c.Context(), s.Client, control.ShowDraft, ref)
				if err != nil {
					return err
				}
				return a.printContent(got.Data)
			})
		},
	}
}

func (a *app) draftsDiscard() *cobra.Command {
	return &cobra.Command{
		Use:     "discard PATH",
		Short:   "Drop a draft; the file shows its last good content again",
		Long:    "Drop a draft; the file shows its last good content again." + pathHelp,
		Example: "  echofs drafts discard notes/todo.json",
		Args:    cobra.ExactArgs(1),
		RunE:    withPath(a, control.DiscardDraft, func(io.Writer, control.None) {}),
	}
}
