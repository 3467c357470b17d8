package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) spaceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "space",
		Short:   "Create, list, rename, leave, export and import spaces",
		Long:    "A space is a folder whose objects are replicated to its members.\nSPACE is a name or the beginning of an id.",
		Example: "  echofs space create notes\n  echofs space list",
		Args:    cobra.NoArgs,
		RunE:    needSubcommand,
	}
	c.AddCommand(a.spaceCreate(), a.spaceList(), a.spaceInfo(), a.spaceRename(),
		a.spaceExport(), a.spaceImport(), a.spaceCompact(), a.spaceLeave())
	return c
}

// needSubcommand is what a command does that is only a family of others.
func needSubcommand(c *cobra.Command, _ []string) error {
	return control.WithHint(fmt.Errorf("%s: which one? (%w)", c.CommandPath(), control.ErrUsage), "see: "+c.CommandPath()+" --help")
}

func (a *app) spaceCreate() *cobra.Command {
	return &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a space of your own",
		Example: "  echofs space create notes",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{create: true}, control.CreateSpace, control.SpaceCreate{Name: args[0]}, printSpace)
		},
	}
}

// printSpace prints what is needed to name the space in the next command.
func printSpace(w io.Writer, s control.Space) {
	table(w, []string{"NAME", "ID"}, [][]string{{s.Name, s.ID}})
}

func (a *app) spaceList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the spaces of this vault",
		Example: "  echofs space list --json | jq -r '.[].name'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c.Context(), a, need{}, control.ListSpaces, control.None{}, func(w io.Writer, spaces []control.Space) {
				var rows [][]string
				for _, s := range spaces {
					rows = append(rows, []string{s.Name, s.Role, strconv.Itoa(s.Objects), strconv.Itoa(s.Members), s.ID})
				}
				table(w, []string{"NAME", "ROLE", "OBJECTS", "MEMBERS", "ID"}, rows)
			})
		},
	}
}

func (a *app) spaceInfo() *cobra.Command {
	return &cobra.Command{
		Use:     "info SPACE",
		Short:   "Show what is known of a space",
		Example: "  echofs space info notes",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{}, control.GetSpace, control.SpaceRef{Space: args[0]}, printSpaceInfo)
		},
	}
}

func printSpaceInfo(w io.Writer, s control.SpaceInfo) {
	table(w, []string{"name", s.Name}, [][]string{
		{"id", s.ID}, {"genesis id", s.GenesisID}, {"role", s.Role}, {"state", s.State},
		{"objects", strconv.Itoa(s.Objects)}, {"drafts", strconv.Itoa(s.Drafts)},
		{"conflicts", strconv.Itoa(s.Conflicts)}, {"quarantined", strconv.Itoa(s.Quarantined)},
		{"peers", strconv.Itoa(s.Peers)},
	})
	_, _ = io.WriteString(w, "\n")
	printMembers(w, s.Members)
	printBehind(w, s.Behind)
}

func (a *app) spaceRename() *cobra.Command {
	return &cobra.Command{
		Use:     "rename SPACE NAME",
		Short:   "Change the name that a space has on this machine",
		Example: "  echofs space rename notes journal",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{}, control.RenameSpace, control.SpaceRename{Space: args[0], Name: args[1]}, printSpace)
		},
	}
}

func (a *app) spaceExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export SPACE FILE",
		Short: "Write a space as an ECHO space archive",
		Long: `Write the content of a space, with its history, as an ECHO space archive (tar).
FILE is replaced when the archive is complete; "-" is stdout.`,
		Example: "  echofs space export notes notes.tar",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.with(c.Context(), need{}, func(s *session) error {
				return a.writeOut(args[1], func(w io.Writer) error { return export(c.Context(), s, args[0], w) })
			})
		},
	}
}

func export(ctx context.Context, s *session, space string, w io.Writer) error {
	return control.Each(ctx, s.Client, control.ExportSpace, control.SpaceRef{Space: space}, func(c control.Chunk) error {
		_, err := w.Write(c.Data)
		return err
	})
}

// writeOut makes a file of what fn writes, all of it or nothing.
func (a *app) writeOut(name string, fn func(io.Writer) error) (err error) {
	if name == "-" {
		return fn(a.stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".echofs-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := fn(f); err != nil {
		_ = f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (a *app) spaceImport() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:     "import FILE",
		Short:   "Make a space of an ECHO space archive",
		Long:    `Make a new space with the content of an ECHO space archive (tar or tar.gz). "-" is stdin.`,
		Example: "  echofs space import notes.tar --name notes-copy",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in := a.stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("import: %w", err)
				}
				defer func() { _ = f.Close() }()
				in = f
			}
			return a.with(c.Context(), need{create: true}, func(s *session) error {
				got, err := control.Send(c.Context(), s.Client, control.ImportSpace, control.SpaceImport{Name: name}, in)
				if err != nil {
					return err
				}
				return a.emit(got, func(w io.Writer) { printSpace(w, got) })
			})
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the new space (default: the one it had)")
	return c
}

func (a *app) spaceCompact() *cobra.Command {
	return &cobra.Command{
		Use:     "compact SPACE",
		Short:   "Store a space's documents in less room",
		Example: "  echofs space compact notes",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{}, control.CompactSpace, control.SpaceRef{Space: args[0]},
				func(w io.Writer, r control.Compacted) {
					_, _ = fmt.Fprintf(w, "database: %s before, %s after\n", size(r.Before), size(r.After))
				})
		},
	}
}

// size prints bytes as people say them.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1023)>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
