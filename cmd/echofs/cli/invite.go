package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

// defaultExpiry is how long an invitation is open.
const defaultExpiry = 15 * time.Minute

func (a *app) inviteCommand() *cobra.Command {
	var req control.InviteRequest
	c := &cobra.Command{
		Use:   "invite SPACE",
		Short: "Invite somebody into a space: print a code and wait",
		Long: `Print an invitation code and wait until somebody has come in by it, or it has
expired. Tell the authorization code by another way than the invitation code:
who has both is a member.

With --json: {"code","auth_code","expires"}, then one {"state"} a line.`,
		Example: "  echofs invite notes --role editor --expires 1h",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			req.Space = args[0]
			return a.with(c.Context(), need{create: true, network: true, daemon: req.NoWait}, func(s *session) error {
				return control.Each(c.Context(), s.Client, control.Invite, req, a.showInvite)
			})
		},
	}
	c.Flags().StringVar(&req.Role, "role", "editor", "what the guest may do: reader, editor, admin or owner")
	c.Flags().DurationVar(&req.Expires, "expires", defaultExpiry, "how long the code is good")
	c.Flags().BoolVar(&req.NoAuthCode, "no-auth-code", false, "let the code alone admit, once (for scripts)")
	c.Flags().BoolVar(&req.NoWait, "no-wait", false, "print the code and leave the waiting to the daemon")
	return c
}

// showInvite prints an event of an invitation: the code is data, what happens
// to it is progress.
func (a *app) showInvite(e control.InviteEvent) error {
	if a.json {
		return a.emit(e, nil)
	}
	if e.Code == "" {
		if e.Member != "" {
			a.say("%s: %s", e.State, e.Member)
		} else {
			a.progress("%s", e.State)
		}
		return nil
	}
	if err := a.emit(e, func(w io.Writer) { _, _ = fmt.Fprintln(w, e.Code) }); err != nil {
		return err
	}
	if e.AuthCode != "" {
		a.say("authorization code: %s   (tell it by another way)", e.AuthCode)
	}
	if e.Expires != nil {
		a.say("they type: echofs join CODE   (until %s)", e.Expires.Local().Format(time.TimeOnly))
	}
	return nil
}

func (a *app) joinCommand() *cobra.Command {
	var req control.JoinRequest
	c := &cobra.Command{
		Use:   "join CODE",
		Short: "Join a space by an invitation code",
		Long: `Join a space by an invitation code. The authorization code, which the host has
told you by another way, is asked for if --auth-code is not given.

With --json: one {"state"} a line, and at last {"space","name"}.`,
		Example: "  echofs join echofs1-… --auth-code 123456 --as notes",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			req.Code = args[0]
			if req.AuthCode == "" && isTerminal(a.stdin) {
				if req.AuthCode, err = a.ask("authorization code (empty if there is none): "); err != nil {
					return err
				}
			}
			return a.with(c.Context(), need{create: true, network: true}, func(s *session) error {
				return control.Each(c.Context(), s.Client, control.Join, req, a.showJoin)
			})
		},
	}
	c.Flags().StringVar(&req.AuthCode, "auth-code", "", "the authorization code")
	c.Flags().StringVar(&req.As, "as", "", "name of the space on this machine (default: the one it has)")
	return c
}

func (a *app) showJoin(e control.JoinEvent) error {
	if a.json || e.Space != "" {
		return a.emit(e, func(w io.Writer) { table(w, []string{"NAME", "ID"}, [][]string{{e.Name, e.Space}}) })
	}
	a.progress("%s", e.State)
	return nil
}

// ask asks somebody at the terminal.
func (a *app) ask(question string) (string, error) {
	_, _ = io.WriteString(a.stderr, question)
	answer, err := bufio.NewReader(io.LimitReader(a.stdin, 4096)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(answer), nil
}
