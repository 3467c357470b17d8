package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

func (a *app) initCommand() *cobra.Command {
	var opts vault.MakeOptions
	c := &cobra.Command{
		Use:   "init",
		Short: "Make a vault: an identity, its first device, and the space \"personal\"",
		Long: `Make a vault: an identity, its first device, and the space "personal". The other
commands do the same where they need a vault and there is none; init is for
choosing the names.

The identity's recovery phrase is kept in the vault until "echofs phrase show
--forget"; with --no-phrase it is not kept at all, and a lost vault is lost.`,
		Example: "  echofs init --name Ada --device laptop",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := vault.Home(a.home, a.getenv)
			if err != nil {
				return err
			}
			id, err := a.makeVault(c.Context(), home, opts)
			if err != nil {
				return err
			}
			a.nextSteps(!opts.NoPhrase)
			return a.emit(id, func(w io.Writer) { printIdentity(w, id) })
		},
	}
	c.Flags().StringVar(&opts.Name, "name", "", "your name, as other members see it (default: the account's)")
	c.Flags().StringVar(&opts.Device, "device", "", "this machine's name (default: the host's)")
	c.Flags().BoolVar(&opts.NoPhrase, "no-phrase", false, "keep no recovery phrase")
	return c
}

// makeVault makes a vault and all that belongs to a new one.
func (a *app) makeVault(ctx context.Context, home string, opts vault.MakeOptions) (control.Identity, error) {
	opts.Getenv = a.getenv
	dir, err := vault.Make(home, opts)
	if err != nil {
		return control.Identity{}, err
	}
	v, err := vault.Open(ctx, vault.Options{Dir: dir, Wait: turnTimeout, Version: Version(),
		Getenv: a.getenv, Log: a.logger(), Offline: true})
	if err != nil {
		return control.Identity{}, err
	}
	id := v.Identity()
	return id, v.Close()
}

// welcome tells who began without init what was made.
func (a *app) welcome(home string, id control.Identity) {
	a.say("made a vault in %s: identity %q, device %q, space %q", home, id.Name, id.Device.Name, vault.FirstSpace)
	a.nextSteps(true)
}

func (a *app) nextSteps(phrase bool) {
	if phrase {
		a.say("  recovery phrase: echofs phrase show    (write it down: it is the only way back to a lost identity)")
	}
	if os.Getuid() == 0 {
		a.say("  note: you are root; the vault belongs to root")
	}
}

func printIdentity(w io.Writer, id control.Identity) {
	_, _ = fmt.Fprintf(w, "identity  %s  %s\ndevice    %s  %s\n", clean(id.Name), id.DID, clean(id.Device.Name), id.Device.ID)
}
