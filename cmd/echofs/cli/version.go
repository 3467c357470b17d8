package cli

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"echofs/echo/engine"
)

// version is set by the Makefile (-ldflags -X); without it the version of the
// module or the commit is used.
var version string

// Version returns the version of this program.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(len(s.Value), 12)]
		}
	}
	return "devel"
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  echofs version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			return a.emit(v, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "echofs %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
			})
		},
	}
}

// engineCommand is the worker process that the daemon starts; people have no
// use for it.
func (a *app) engineCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "engine",
		Short:   "Run the CRDT core for a daemon",
		Example: "  (started by the daemon)",
		Hidden:  true,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !engine.IsWorker() {
				return fmt.Errorf("engine is started by the daemon: %w", errSyntax)
			}
			// A worker ends when its daemon closes the pipe, not when somebody
			// presses ctrl-C in the terminal of both.
			signal.Ignore(os.Interrupt, syscall.SIGHUP)
			signal.Reset(syscall.SIGTERM)
			return engine.Main(a.stdin, a.stdout)
		},
	}
}
