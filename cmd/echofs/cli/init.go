package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
	"echofs/halo"
)

func (a *app) initCommand() *cobra.Command {
	var opts vault.MakeOptions
	var join joinFlags
	c := &cobra.Command{
		Use:   "init",
		Short: "Make a vault: an identity, its first device, and the space \"personal\"",
		Long: `Make a vault: an identity, its first device, and the space "personal". The other
commands do the same where they need a vault and there is none; init is for
choosing the names.

The identity's recovery phrase is kept in the vault until "echofs phrase show
--forget"; with --no-phrase it is not kept at all, and a lost vault is lost.

With --join the vault becomes a further device of an identity that exists: the
code is from "echofs device invite" on one of its devices. The spaces of the
identity come to it.`,
		Example: "  echofs init --name Ada --device laptop",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			home, err := vault.Home(a.home, a.getenv)
			if err != nil {
				return err
			}
			make := a.makeVault
			if join.code != "" {
				make = func(ctx context.Context, home string, opts vault.MakeOptions) (control.Identity, error) {
					return a.pairVault(ctx, home, opts, join)
				}
			}
			id, err := make(c.Context(), home, opts)
			if err != nil {
				return err
			}
			a.nextSteps(!opts.NoPhrase && join.code == "")
			return a.emit(id, func(w io.Writer) { printIdentity(w, id) })
		},
	}
	c.Flags().StringVar(&opts.Name, "name", "", "your name, as other members see it (default: the account's)")
	c.Flags().StringVar(&opts.Device, "device", "", "this machine's name (default: the host's)")
	c.Flags().BoolVar(&opts.NoPhrase, "no-phrase", false, "keep no recovery phrase")
	c.Flags().StringVar(&join.code, "join", "", "become a device of the identity that this code is from")
	c.Flags().StringVar(&join.authCode, "auth-code", "", "the authorization code, with --join")
	c.Flags().DurationVar(&join.timeout, "timeout", 90*time.Second, "how long to look for the other device, with --join")
	c.Flags().BoolVar(&join.noLAN, "no-lan", false, "do not look for devices on the local network, with --join")
	c.MarkFlagsMutuallyExclusive("join", "no-phrase")
	return c
}

// joinFlags are the flags of init for a further device.
type joinFlags struct {
	code, authCode string
	timeout        time.Duration
	noLAN          bool
}

// pairVault makes a vault that is a further device of an identity.
func (a *app) pairVault(ctx context.Context, home string, opts vault.MakeOptions, join joinFlags) (control.Identity, error) {
	opts.Getenv, opts.Access = a.getenv, a.withoutPassphrase()
	dir, err := vault.Pair(ctx, home, opts, vault.PairOptions{Code: join.code, Timeout: join.timeout, NoLAN: join.noLAN, Log: a.logger(),
		AuthCode: func(context.Context) (string, error) { return a.pairDigits(join) },
		Progress: func(s halo.GuestState) { a.progress("%s", guestSays(string(s))) },
		Pictures: func(sas [4]string) {
			a.say("%s   (the other device shows the same pictures)", strings.Join(sas[:], " "))
		}})
	if err != nil {
		return control.Identity{}, err
	}
	v, err := vault.Open(ctx, vault.Options{Dir: dir, Wait: turnTimeout, Version: Version(), Getenv: a.getenv, Log: a.logger(), Access: opts.Access})
	if err != nil {
		return control.Identity{}, err
	}
	a.progress("%s", "fetching your spaces")
	v.Settle(ctx)
	id := v.Identity()
	return id, v.Close()
}

// pairDigits returns the authorization code, and asks for it on a terminal.
func (a *app) pairDigits(join joinFlags) (string, error) {
	if join.authCode != "" {
		return join.authCode, nil
	}
	if isTerminal(a.stdin) {
		return a.ask("authorization code: ")
	}
	return "", control.WithHint(fmt.Errorf("the other device asks for the authorization code: %w", control.ErrRefused), "say it with --auth-code")
}

// makeVault makes a vault and all that belongs to a new one.
func (a *app) makeVault(ctx context.Context, home string, opts vault.MakeOptions) (control.Identity, error) {
	opts.Getenv, opts.Access = a.getenv, a.withoutPassphrase()
	dir, err := vault.Make(home, opts)
	if err != nil {
		return control.Identity{}, err
	}
	v, err := vault.Open(ctx, vault.Options{Dir: dir, Wait: turnTimeout, Version: Version(),
		Getenv: a.getenv, Log: a.logger(), Offline: true, Access: opts.Access})
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
	_, _ = fmt.Fprintf(w, "identity  %s  %s\ndevice    %s  %s\nkeys      protected by %s\n",
		clean(id.Name), id.DID, clean(id.Device.Name), id.Device.ID, clean(protectedBy(id.Protection)))
}
