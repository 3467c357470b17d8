package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man",
		Short:   "Print the manual page",
		Example: "  echofs man | man -l -",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			w := bufio.NewWriter(a.stdout)
			manPage(w, c.Root())
			if err := w.Flush(); err != nil {
				return fmt.Errorf("print the manual: %w", err)
			}
			return nil
		},
	}
}

// manPage writes the manual of all commands in the language of man(7).
func manPage(w io.Writer, root *cobra.Command) {
	_, _ = fmt.Fprintf(w, ".TH ECHOFS 1 \"\" \"echofs %s\"\n", roff(Version()))
	_, _ = fmt.Fprintf(w, ".SH NAME\nechofs \\- %s\n", roff(root.Short))
	_, _ = io.WriteString(w, ".SH SYNOPSIS\n.B echofs\n.I command\n.RI [ arguments ]\n")
	_, _ = fmt.Fprintf(w, ".SH DESCRIPTION\n%s\n", paragraphs(root.Long))
	_, _ = io.WriteString(w, ".SH GLOBAL OPTIONS\n")
	manFlags(w, root.PersistentFlags())
	_, _ = io.WriteString(w, ".SH COMMANDS\n")
	for _, c := range root.Commands() {
		manCommand(w, c)
	}
	_, _ = io.WriteString(w, ".SH ENVIRONMENT\n.TP\n.B ECHOFS_HOME\nthe directory of the vault\n"+
		".TP\n.B XDG_DATA_HOME\nholds the directory echofs, the vault, unless ECHOFS_HOME is set\n"+
		".TP\n.B XDG_CONFIG_HOME\nholds the directory echofs/keys, the key files of vaults\n")
}

func manCommand(w io.Writer, c *cobra.Command) {
	if c.Hidden || c.Name() == "help" {
		return
	}
	if c.HasAvailableSubCommands() {
		for _, sub := range c.Commands() {
			manCommand(w, sub)
		}
		return
	}
	long := c.Long
	if long == "" {
		long = c.Short
	}
	_, _ = fmt.Fprintf(w, ".SS %s\n%s\n", roff(c.UseLine()), paragraphs(long))
	manFlags(w, c.LocalNonPersistentFlags())
	if c.Example != "" {
		_, _ = fmt.Fprintf(w, ".PP\n.nf\n%s\n.fi\n", roff(c.Example))
	}
}

func manFlags(w io.Writer, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		_, _ = fmt.Fprintf(w, ".TP\n.B \\-\\-%s %s\n%s\n", roff(f.Name), roff(kind), roff(usage))
	})
}

func paragraphs(s string) string { return strings.ReplaceAll(roff(s), "\n\n", "\n.PP\n") }

// roff makes text safe for man(7): no escapes, and no line that is a request.
func roff(s string) string {
	s = strings.NewReplacer("\\", "\\e", "-", "\\-").Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = "\\&" + l
		}
	}
	return strings.Join(lines, "\n")
}
