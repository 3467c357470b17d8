package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

func (a *app) blameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "blame PATH",
		Short: "Show who wrote what of an object",
		Long: `Show for each field of an object who gave it its value, when and in which change;
of a text, who changed it last.` + pathHelp,
		Example: "  echofs blame notes/todo.json",
		Args:    cobra.ExactArgs(1),
		RunE: withPath(a, control.BlameObject, func(w io.Writer, all []echo.Blame) {
			var rows [][]string
			for _, b := range all {
				rows = append(rows, []string{b.Author, b.Device, b.Time.Local().Format(time.DateTime), shortID(b.Change), b.Pointer})
			}
			table(w, []string{"AUTHOR", "DEVICE", "TIME", "CHANGE", "FIELD"}, rows)
		}),
	}
}

func (a *app) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch [PATH]",
		Short: "Print what happens to files, until interrupted",
		Long: `Print what happens to a file, below a folder, in a space, or in the whole vault: one
line for each change, as it happens, until interrupted. What happens to a file in
quick succession is one change.` + pathHelp,
		Example: "  echofs watch notes\n  echofs watch --json | jq -r 'select(.origin == \"remote\").path'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			ref, err := optionalPath(args)
			if err != nil {
				return err
			}
			return a.with(c.Context(), need{}, func(s *session) error {
				return control.Each(c.Context(), s.Client, control.WatchChanges, ref, a.printChange)
			})
		},
	}
}

func (a *app) printChange(x echo.Change) error {
	return a.emit(x, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s  %-6s  %s", x.Time.Local().Format(time.TimeOnly), x.Event, clean(x.Path))
		if x.N > 0 {
			_, _ = fmt.Fprintf(w, "%d changes were not told: look at everything again", x.N)
		}
		if x.Author != "" {
			_, _ = fmt.Fprintf(w, "  (%s)", clean(x.Author))
		}
		_, _ = fmt.Fprintln(w)
	})
}
