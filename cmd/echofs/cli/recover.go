package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
	"echofs/halo"
	echosync "echofs/sync"
)

// recoverFlags are what recover is told.
type recoverFlags struct {
	joinFlags
	make     vault.MakeOptions
	signal   []string
	keep     []string
	phraseFD int
}

func (a *app) recoverCommand() *cobra.Command {
	var f recoverFlags
	c := &cobra.Command{
		Use:   "recover",
		Short: "Get your identity back on a new machine, by the recovery phrase",
		Long: `Get your identity back by the 24 words of its recovery phrase, and let all its
other devices go. On a new machine this makes a vault; in a vault of the identity
it makes this device the one that counts.

The new machine looks for a device of yours that runs somewhere, on the local
network and on the servers given by --signal: from it all your spaces come. If
there is none, a member of one of your spaces helps: "echofs invite SPACE --recover" there
prints a code, which you say with --via. That space comes back by it; the others
by further codes ("echofs join CODE").

When all has come the other devices are let go, but for those named by --keep.
What they write from then on does not count. Status 5 says that nobody was met or
that not everything has come: what was restored stays, and the next recover goes
on from there.

The phrase is asked for on a terminal, else read from standard input, or from a
file descriptor (--phrase-fd); it is never an argument.`,
		Example: "  echofs recover\n  echofs recover --via CODE --auth-code 123456 < phrase.txt",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			done, err := a.recover(c.Context(), f)
			if err != nil {
				return err
			}
			return a.emit(done, func(w io.Writer) { printRecovered(w, done) })
		},
	}
	c.Flags().StringVar(&f.code, "via", "", "the code of an invitation by a member of one of your spaces")
	c.Flags().StringVar(&f.authCode, "auth-code", "", "the authorization code, with --via")
	c.Flags().StringArrayVar(&f.signal, "signal", nil, "a signaling server where your devices are")
	c.Flags().BoolVar(&f.noLAN, "no-lan", false, "do not look for devices on the local network")
	c.Flags().DurationVar(&f.timeout, "timeout", 90*time.Second, "how long to look for others, and how long to wait for what they have")
	c.Flags().StringArrayVar(&f.keep, "keep", nil, "a device that stays, by its name or the beginning of its id")
	c.Flags().IntVar(&f.phraseFD, "phrase-fd", -1, "read the phrase from this file descriptor")
	c.Flags().StringVar(&f.make.Name, "name", "", "your name, as other members see it (default: as they know it)")
	c.Flags().StringVar(&f.make.Device, "device", "", "this machine's name (default: the host's)")
	return c
}

func printRecovered(w io.Writer, r control.Recovered) {
	printIdentity(w, r.Identity)
	for _, s := range r.Spaces {
		_, _ = fmt.Fprintf(w, "space     %s  %s\n", clean(s.Name), s.ID)
	}
	for _, d := range r.Revoked {
		_, _ = fmt.Fprintf(w, "let go    %s  %s\n", clean(d.Name), d.ID)
	}
}

// recover gets an identity back, or goes on with that.
func (a *app) recover(ctx context.Context, f recoverFlags) (done control.Recovered, err error) {
	home, err := vault.Home(a.home, a.getenv)
	if err != nil {
		return done, err
	}
	if s, err := dialDaemon(ctx, home); s != nil || err != nil {
		if err == nil {
			err = errors.Join(control.WithHint(fmt.Errorf("recover: a daemon runs for the vault %s: %w", home, control.ErrRefused), "end it first: echofs umount"), s.close())
		}
		return done, err
	}
	root, err := a.readRoot(f.phraseFD)
	if err != nil {
		return done, err
	}
	dir, err := vault.OpenDir(home)
	if err != nil && !errors.Is(err, vault.ErrNoVault) {
		return done, err
	}
	if err != nil || !dir.Complete() {
		if dir, err = a.reclaimVault(ctx, home, root, f); err != nil {
			return done, err
		}
	}
	access, err := a.access(ctx, dir)
	if err != nil {
		return done, err
	}
	v, err := vault.Open(ctx, vault.Options{Dir: dir, Wait: turnTimeout, Version: Version(), Getenv: a.getenv, Log: a.logger(), Access: access})
	if err != nil {
		return done, err
	}
	done, err = a.finishRecovery(ctx, v, root, f)
	return done, errors.Join(err, v.Close())
}

// reclaimVault makes a vault that is a device of the identity of a phrase.
func (a *app) reclaimVault(ctx context.Context, home string, root *halo.RootKeys, f recoverFlags) (*vault.Dir, error) {
	f.make.Getenv, f.make.Access = a.getenv, a.withoutPassphrase()
	public := root.Public()
	a.progress("%s", "identity "+halo.DID(public.Sign[:]))
	a.progress("%s", "looking for somebody who knows it")
	dir, err := vault.Reclaim(ctx, home, f.make, vault.ReclaimOptions{
		Root: root, Code: f.code, Signal: f.signal, Timeout: f.timeout, NoLAN: f.noLAN, Log: a.logger(),
		AuthCode: func(context.Context) (string, error) { return a.pairDigits(f.joinFlags) },
		Progress: func(s halo.GuestState) { a.progress("%s", guestSays(string(s))) },
		Pictures: func(sas [4]string) {
			if f.code != "" {
				a.say("%s   (the member who helps sees the same pictures)", strings.Join(sas[:], " "))
			}
		},
	})
	switch {
	case errors.Is(err, echosync.ErrNotMember):
		err = control.WithHint(err, "the one who invited you does not know this identity: ask a member of one of your spaces")
	case errors.Is(err, echosync.ErrUnreachable):
		err = control.WithHint(fmt.Errorf("identity %s: %w", halo.DID(public.Sign[:]), err),
			"start a device of yours and run this again; or ask a member for a code (echofs invite SPACE --recover) and give it with --via")
	}
	return dir, err
}

// finishRecovery waits for what others have, if this device is new, and lets the
// others go.
func (a *app) finishRecovery(ctx context.Context, v *vault.Vault, root *halo.RootKeys, f recoverFlags) (done control.Recovered, err error) {
	if v.Recovering() {
		a.progress("%s", "fetching what the others have")
		if err := v.AwaitOthers(ctx, f.timeout); err != nil {
			return done, control.WithHint(err, "the other devices were not let go; run it again when they, or members, can be reached: echofs recover")
		}
	}
	gone, err := v.FinishRecovery(ctx, root, f.keep)
	if err != nil {
		return done, err
	}
	a.progress("%s", "telling the others")
	v.TellOthers(ctx)
	return v.Recovered(gone), nil
}

// maxPhrase bounds what is read for a phrase, in bytes.
const maxPhrase = 4096

// readRoot reads the phrase and returns the keys that belong to it.
func (a *app) readRoot(fd int) (*halo.RootKeys, error) {
	text, err := a.readPhrase(fd)
	if err != nil {
		return nil, fmt.Errorf("read the recovery phrase: %w", err)
	}
	defer clear(text)
	root, err := halo.RootKeysFromPhrase(strings.Join(strings.Fields(strings.ToLower(string(text))), " "), "")
	if err != nil {
		return nil, control.WithHint(fmt.Errorf("recovery phrase: %w: %w", control.ErrRefused, err), "24 words, as they were shown")
	}
	return root, nil
}

func (a *app) readPhrase(fd int) ([]byte, error) {
	if fd >= 0 {
		f := os.NewFile(uintptr(fd), "phrase")
		if f == nil {
			return nil, fmt.Errorf("file descriptor %d: %w", fd, control.ErrUsage)
		}
		defer func() { _ = f.Close() }()
		return io.ReadAll(io.LimitReader(f, maxPhrase))
	}
	if !isTerminal(a.stdin) {
		return io.ReadAll(io.LimitReader(a.stdin, maxPhrase))
	}
	restore, err := hideTyping(a.stdin)
	if err != nil {
		return nil, err
	}
	defer restore()
	answer, err := a.ask("recovery phrase (it is not shown): ")
	_, _ = io.WriteString(a.stderr, "\n")
	return []byte(answer), err
}
