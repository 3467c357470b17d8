package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

func (a *app) passphraseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "passphrase",
		Short:   "Protect the vault's keys by a passphrase",
		Example: "  echofs passphrase set",
		Args:    cobra.NoArgs,
		RunE:    needSubcommand,
	}
	c.AddCommand(a.passphraseSet(), a.passphraseRemove())
	return c
}

func (a *app) passphraseSet() *cobra.Command {
	return &cobra.Command{
		Use:   "set",
		Short: "Set a passphrase, or another one",
		Long: `Set a passphrase, without which nobody opens the vault's keys from then on, or
set another one. The key that protected them before is removed. A copy that
somebody made of the vault together with that key, or knowing the passphrase of
before, opens as it did: what is in it does not change.

It is asked for on the terminal; else it is the next line of stdin, or of the
file descriptor that --passphrase-fd names. Where there is a passphrase already
that one comes first, on a line of its own.

A forgotten passphrase cannot be brought back: keep the recovery phrase on paper
(echofs phrase show).`,
		Example: "  echofs passphrase set",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := a.existing()
			if err != nil {
				return err
			}
			var req control.PassphraseChange
			if dir.NeedsPassphrase() && !dir.Shut() {
				if req.Current, err = a.currentPassphrase(c.Context()); err != nil {
					return err
				}
			}
			if !dir.Shut() {
				if req.New, err = a.newPassphrase(c.Context()); err != nil {
					return err
				}
			}
			return call(c.Context(), a, need{}, control.SetPassphrase, req, printProtection)
		},
	}
}

func (a *app) passphraseRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove",
		Short: "Protect the keys by the keyring or a key file again",
		Long: `Protect the vault's keys without a passphrase: by the keyring of the desktop
session where there is one, else by a key file in the configuration directory,
or by the one that --key-file names. The passphrase is asked for.`,
		Example: "  echofs passphrase remove",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := a.existing()
			if err != nil {
				return err
			}
			req := control.PassphraseChange{KeyFile: a.withoutPassphrase().KeyFile}
			if dir.NeedsPassphrase() && !dir.Shut() {
				if req.Current, err = a.currentPassphrase(c.Context()); err != nil {
					return err
				}
			}
			return call(c.Context(), a, need{}, control.DropPassphrase, req, printProtection)
		},
	}
}

func printProtection(w io.Writer, p control.Protection) {
	_, _ = fmt.Fprintf(w, "the keys are protected by %s\n", clean(protectedBy(p)))
}

// protectedBy says what opens the keys.
func protectedBy(p control.Protection) string {
	switch {
	case p.Path != "":
		return "a key file: " + p.Path
	case p.Kind == "keyring":
		return "the keyring of the desktop session"
	}
	return "a " + p.Kind
}
