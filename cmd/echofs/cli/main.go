package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

// Main runs one command of a program that was called by a name, and returns its
// exit status.
func Main(name string, args []string, stdin, stdout, stderr *os.File) int {
	vault.NoDumps() // of workers and helpers too, which hold what is in files
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv}
	args, err := CommandLine(name, args)
	if err != nil {
		return a.fail(ctx, err)
	}
	root := a.root()
	root.SetArgs(args)
	err = root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !a.started && control.CodeOf(err) == control.Failed {
		err = fmt.Errorf("%w: %w", errSyntax, err)
	}
	return a.fail(ctx, err)
}

// errSyntax is wrapped where a command line is wrong before anything was done.
var errSyntax = fmt.Errorf("command line: %w", control.ErrUsage)

// errQuiet is wrapped where the command has said all there is to say.
var errQuiet = errors.New("")

// interrupted is the exit status of a command that was ended by the user, as
// shells give it for SIGINT.
const interrupted = 130

// fail tells the user about an error and returns the exit status for it.
func (a *app) fail(ctx context.Context, err error) int {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return interrupted
	}
	message := err.Error()
	if errors.Is(err, errSyntax) {
		message = strings.TrimPrefix(message, errSyntax.Error()+": ")
	}
	if !errors.Is(err, errQuiet) {
		a.say("echofs: %s", message)
	}
	if hint := control.HintOf(err); hint != "" {
		a.say("  %s", hint)
	} else if errors.Is(err, errSyntax) {
		a.say("  see: echofs help")
	}
	return control.CodeOf(err).Exit()
}

// app is what all commands share: the streams and the global flags.
type app struct {
	stdin          *os.File
	stdout, stderr *os.File
	getenv         func(string) string
	started        bool // the command line was understood
	home           string
	json           bool
	secrets        secrets
}

// say prints a message to people.
func (a *app) say(format string, args ...any) {
	_, _ = io.WriteString(a.stderr, clean(fmt.Sprintf(format, args...))+"\n")
}

// root returns the command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "echofs",
		Short: "Mount ECHO spaces as folders",
		Long: `echofs mounts ECHO spaces as folders: a space is a directory, an object is a
file, saving a file is a mutation that reaches the other members' machines.

Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 timed out or
nobody reachable.`,
		Example:       "  echofs mount ~/echo\n  echofs space create notes\n  echofs invite notes",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.started = true
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetIn(a.stdin)
	root.PersistentFlags().StringVar(&a.home, "home", "", "directory of the vault (default $ECHOFS_HOME, $XDG_DATA_HOME/echofs or ~/.local/share/echofs)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print data as JSON")
	root.PersistentFlags().StringVar(&a.secrets.keyFile, "key-file", "", "file with the key that protects the vault's keys (default $ECHOFS_KEY_FILE, a systemd credential, or one that echofs keeps)")
	root.PersistentFlags().IntVar(&a.secrets.fd, "passphrase-fd", -1, "file descriptor to read the vault's passphrase from")
	root.AddCommand(a.commands()...)
	return root
}

func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.initCommand(), a.mountCommand(), a.umountCommand(), a.serveCommand(),
		a.spaceCommand(), a.inviteCommand(), a.joinCommand(), a.memberCommand(), a.deviceCommand(), a.auditCommand(), a.adoptCommand(),
		a.statusCommand(), a.peersCommand(), a.waitCommand(),
		a.statCommand(), a.logCommand(), a.showCommand(), a.draftsCommand(), a.queryCommand(),
		a.blameCommand(), a.watchCommand(),
		a.diffCommand(), a.restoreCommand(), a.undoCommand(), a.conflictsCommand(), a.trashCommand(),
		a.signalCommand(), a.identityCommand(), a.phraseCommand(), a.recoverCommand(), a.passphraseCommand(), a.lockCommand(), a.unlockCommand(),
		a.doctorCommand(), a.fsckCommand(), a.versionCommand(), a.manCommand(), a.engineCommand(), a.pokeCommand(),
	}
}
