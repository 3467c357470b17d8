package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) diffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff PATH [A [B]]",
		Short: "Show what changed between two versions of an object",
		Long: `Show what changed between two versions of an object, each a revision of the log
or a time: by default between the last revision and the one before, with A alone
between A and the last. Both are shown without their layout.` + pathHelp,
		Example: "  echofs diff notes/plan.md\n  echofs diff notes/todo.json -- -1h",
		Args:    cobra.RangeArgs(1, 3),
		RunE: func(c *cobra.Command, args []string) (err error) {
			var req control.DiffRequest
			if req.PathRef, err = pathRef(args[0]); err != nil {
				return err
			}
			if len(args) > 1 {
				req.A = args[1]
			}
			if len(args) > 2 {
				req.B = args[2]
			}
			return call(c.Context(), a, need{}, control.DiffObject, req, func(w io.Writer, d control.Diff) {
				_, _ = io.WriteString(w, cleanText(d.Text))
			})
		},
	}
}

func (a *app) restoreCommand() *cobra.Command {
	var req control.RestoreRequest
	c := &cobra.Command{
		Use:     "restore PATH --at REV|TIME",
		Short:   "Make an old content of an object the current one",
		Long:    "Make an old content of an object the current one, as a new revision. Name and\nplace stay." + pathHelp,
		Example: "  echofs restore notes/plan.md --at 3",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if req.At == "" {
				return fmt.Errorf("restore what? give --at REV or --at TIME: %w", control.ErrUsage)
			}
			if req.PathRef, err = pathRef(args[0]); err != nil {
				return err
			}
			return call(c.Context(), a, need{}, control.RestoreAt, req, func(w io.Writer, r control.Restored) {
				if !r.Changed {
					_, _ = fmt.Fprintf(w, "%s: is as it was then\n", clean(r.Path))
				}
			})
		},
	}
	c.Flags().StringVar(&req.At, "at", "", "a revision of the log, a time (2026-11-20T18:00), or an age (-2h)")
	return c
}

func (a *app) undoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "undo [PATH]",
		Short: "Take back the last change, a removal, or a large removal that is held",
		Long: `Take back your last change of a file: only what it changed, and only where nobody
changed it since. Of a file that was removed: bring it back. Of a space, or
without PATH: bring back what was removed at once in large numbers, as long as
others have not been told.` + pathHelp,
		Example: "  echofs undo notes/plan.md\n  echofs undo notes",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			ref, err := optionalPath(args)
			if err != nil {
				return err
			}
			return call(c.Context(), a, need{}, control.Undo, ref, printUndone)
		},
	}
}

func printUndone(w io.Writer, undone []control.Undone) {
	if len(undone) == 0 {
		_, _ = io.WriteString(w, "nothing to undo\n")
	}
	for _, u := range undone {
		switch u.What {
		case "change":
			_, _ = fmt.Fprintf(w, "%s: undone\n", clean(u.Path))
		default:
			_, _ = fmt.Fprintf(w, "%s: %d back\n", clean(u.Path), u.Count)
		}
	}
}

func (a *app) conflictsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "conflicts [PATH]",
		Short: "List fields that people gave different values",
		Long: `List fields to which people gave different values without knowing of each other.
The file shows the value marked with *, the same for everybody. A save that
changes the field settles it, and so does: echofs conflicts settle` + pathHelp,
		Example: "  echofs conflicts notes\n  echofs conflicts settle notes/todo.json /title '\"Buy milk\"'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			ref, err := optionalPath(args)
			if err != nil {
				return err
			}
			return call(c.Context(), a, need{}, control.ListConflicts, ref, printConflicts)
		},
	}
	c.AddCommand(a.conflictsSettle())
	return c
}

func printConflicts(w io.Writer, conflicts []control.Conflict) {
	for _, x := range conflicts {
		_, _ = fmt.Fprintf(w, "%s %s\n", clean(x.Path), clean(x.Pointer))
		for _, v := range x.Values {
			mark := " "
			if v.Winner {
				mark = "*"
			}
			_, _ = fmt.Fprintf(w, "  %s %s  (%s on %s, %s)\n", mark, clean(string(v.Value)), clean(v.Author), clean(v.Device),
				v.Time.Local().Format(time.DateTime))
		}
	}
}

func (a *app) conflictsSettle() *cobra.Command {
	return &cobra.Command{
		Use:   "settle PATH FIELD VALUE",
		Short: "Give a contested field its value",
		Long: `Give a contested field its value. FIELD is as "echofs conflicts" shows it; VALUE is
JSON, and what is no JSON is taken as a string.` + pathHelp,
		Example: "  echofs conflicts settle notes/todo.json /done true",
		Args:    cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) (err error) {
			req := control.SettleRequest{Pointer: args[1], Value: json.RawMessage(args[2])}
			if req.PathRef, err = pathRef(args[0]); err != nil {
				return err
			}
			if !json.Valid(req.Value) {
				if req.Value, err = json.Marshal(args[2]); err != nil {
					return fmt.Errorf("settle: %w", err)
				}
			}
			return call(c.Context(), a, need{}, control.Settle, req, func(io.Writer, control.None) {})
		},
	}
}

func (a *app) trashCommand() *cobra.Command {
	list := a.trashList()
	c := &cobra.Command{
		Use:     "trash",
		Short:   "List and restore what was deleted",
		Example: "  echofs trash\n  echofs trash restore notes/plan.md",
		Args:    cobra.NoArgs,
		RunE:    list.RunE,
	}
	c.AddCommand(list, a.trashRestore())
	return c
}

func (a *app) trashList() *cobra.Command {
	return &cobra.Command{
		Use:     "list [SPACE]",
		Short:   "List what was deleted, the last first",
		Example: "  echofs trash list notes --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var req control.TrashList
			if len(args) == 1 {
				req.Space = args[0]
			}
			return call(c.Context(), a, need{}, control.ListTrash, req, func(w io.Writer, trash []control.Trashed) {
				var rows [][]string
				for _, x := range trash {
					rows = append(rows, []string{x.Deleted.Local().Format(time.DateTime), x.Author, x.Kind, x.Path, x.ID})
				}
				table(w, []string{"DELETED", "BY", "KIND", "PATH", "ID"}, rows)
			})
		},
	}
}

func (a *app) trashRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore PATH",
		Short: "Bring back what was deleted",
		Long: `Bring back what was deleted at a path, or by SPACE/ID; of a folder, all that was
deleted in it. Where the folder of a file is gone, the file appears in the next
one above.` + pathHelp,
		Example: "  echofs trash restore notes/plan.md",
		Args:    cobra.ExactArgs(1),
		RunE: withPath(a, control.RestoreTrash, func(w io.Writer, paths []string) {
			for _, p := range paths {
				_, _ = fmt.Fprintln(w, clean(p))
			}
		}),
	}
}
