package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

const pathHelp = "\nPATH is a path in a mount, or SPACE/path."

// withPath makes the call of a command with one argument, a path.
func withPath[Item any](a *app, rpc control.RPC[control.PathRef, Item], text func(io.Writer, Item)) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		ref, err := pathRef(args[0])
		if err != nil {
			return err
		}
		return call(c.Context(), a, need{}, rpc, ref, text)
	}
}

func (a *app) statCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "stat PATH",
		Short:   "Show what is known of a file",
		Long:    "Show what is known of a file: its object, who wrote it last, who has it." + pathHelp,
		Example: "  echofs stat ~/echo/notes/plan.md",
		Args:    cobra.ExactArgs(1),
		RunE: withPath(a, control.StatObject, func(w io.Writer, s control.Stat) {
			rows := [][]string{{"id", s.ID}, {"kind", s.Kind}, {"type", s.Type}, {"space", s.Space}, {"uri", s.URI},
				{"heads", strings.Join(s.Heads, " ")}, {"author", s.Author}, {"base", s.Base},
				{"replicas", strconv.Itoa(s.Replicas)}}
			if s.Error != "" {
				rows = append(rows, []string{"error", s.Error})
			}
			for _, p := range s.Present {
				rows = append(rows, []string{"open", fmt.Sprintf("by %s on %s since %s", p.Name, p.Device, ago(&p.Since))})
			}
			table(w, []string{"path", s.Path}, rows)
		}),
	}
}

func (a *app) logCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "log PATH",
		Short:   "List the versions of an object, newest first",
		Long:    "List the versions of an object, newest first." + pathHelp,
		Example: "  echofs log notes/plan.md",
		Args:    cobra.ExactArgs(1),
		RunE: withPath(a, control.LogObject, func(w io.Writer, revs []control.Revision) {
			var rows [][]string
			for _, r := range revs {
				rows = append(rows, []string{strconv.Itoa(r.Rev), r.Time.Local().Format(time.DateTime), r.Author, r.Device, r.Summary})
			}
			table(w, []string{"REV", "TIME", "AUTHOR", "DEVICE", "CHANGE"}, rows)
		}),
	}
}

func (a *app) showCommand() *cobra.Command {
	req := control.ShowRequest{}
	raw := false
	c := &cobra.Command{
		Use:   "show PATH",
		Short: "Print an object, as it is or as it was",
		Long: `Print the content of an object, now or at a revision or time. --canonical prints
keys sorted and no layout: equal on all vaults that hold the same entries.

Of a blob its bytes are printed, but not to a terminal unless --raw is given; with
--json only its size and the address of its content.` + pathHelp,
		Example: "  echofs show notes/plan.md --at 3\n  echofs show notes/todo.json --at -2h --canonical",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if req.PathRef, err = pathRef(args[0]); err != nil {
				return err
			}
			return a.with(c.Context(), need{}, func(s *session) error {
				got, err := control.Call(c.Context(), s.Client, control.ShowObject, req)
				if err != nil {
					return err
				}
				if got.Blob != nil {
					return a.printBlob(c.Context(), s, req, got.Blob, raw)
				}
				return a.printContent(got.Data)
			})
		},
	}
	c.Flags().StringVar(&req.At, "at", "", "a revision of the log, a time (2026-11-20T18:00), or an age (-2h)")
	c.Flags().BoolVar(&req.Canonical, "canonical", false, "print the canonical form")
	c.Flags().BoolVar(&raw, "raw", false, "print a blob also to a terminal")
	return c
}

// printBlob prints the bytes of a blob as they come.
func (a *app) printBlob(ctx context.Context, s *session, req control.ShowRequest, b *control.ShownBlob, raw bool) error {
	if a.json {
		return a.emit(map[string]any{"blob": b}, nil)
	}
	if !raw && isTerminal(a.stdout) {
		return control.WithHint(fmt.Errorf("show %s: %d bytes that are no text (%w)", req.Arg, b.Size, control.ErrUsage),
			"send it to a file or a pipe, or use --raw")
	}
	return control.Each(ctx, s.Client, control.ReadObject, req, func(c control.Chunk) error {
		_, err := a.stdout.Write(c.Data)
		return err
	})
}

// printContent prints the content of a file: byte by byte, but not to a
// terminal; with --json as a JSON value.
func (a *app) printContent(data []byte) error {
	var value any = string(data)
	if json.Valid(data) {
		value = json.RawMessage(bytes.TrimSpace(data))
	}
	return a.emit(value, func(w io.Writer) {
		if isTerminal(a.stdout) {
			data = []byte(cleanText(string(data)))
		}
		_, _ = w.Write(data)
	})
}

func (a *app) queryCommand() *cobra.Command {
	var req control.QueryRequest
	var paths bool
	c := &cobra.Command{
		Use:   "query SPACE",
		Short: "Find objects by type, by a jq expression, by words",
		Example: `  echofs query notes --where '.done|not' --paths
  echofs query notes --text 'milk' --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			req.Space = args[0]
			return a.with(c.Context(), need{}, func(s *session) error {
				found, err := control.Call(c.Context(), s.Client, control.QuerySpace, req)
				if err != nil {
					return err
				}
				return a.printFound(found, paths)
			})
		},
	}
	c.Flags().StringVar(&req.Type, "type", "", "objects of this type")
	c.Flags().StringVar(&req.Where, "where", "", "objects of which this jq expression is true")
	c.Flags().StringVar(&req.Text, "text", "", "objects that contain these words")
	c.Flags().BoolVar(&paths, "paths", false, "print paths only")
	return c
}

func (a *app) printFound(found []control.QueryResult, pathsOnly bool) error {
	paths := make([]string, 0, len(found))
	for _, f := range found {
		paths = append(paths, f.Path)
	}
	if pathsOnly {
		return a.emit(paths, func(w io.Writer) {
			for _, p := range paths {
				_, _ = fmt.Fprintln(w, clean(p))
			}
		})
	}
	return a.emit(found, func(w io.Writer) {
		for _, f := range found {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", clean(f.Path), clean(string(f.Data)))
		}
	})
}
