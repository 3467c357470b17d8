package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

// defaultExpiry is how long an invitation is open.
const defaultExpiry = 15 * time.Minute

func (a *app) inviteCommand() *cobra.Command {
	var req control.InviteRequest
	w := &inviteView{a: a}
	c := &cobra.Command{
		Use:   "invite SPACE",
		Short: "Invite somebody into a space: print a code and wait",
		Long: `Print an invitation code and wait until somebody has come in by it, or it has
expired. With --link it is a link that is good for several people: any editor's
device that is online lets them in, and an admin approves each, here or with
echofs member approve, unless --approval is auto. A link is good until it is used
up, expires, or is withdrawn (echofs invite cancel), whether or not this command
still waits.

Of a code, tell the authorization code by another way than the invitation code:
who has both is a member. Interrupting the command withdraws the invitation. A
program that is killed instead goes on with it the next time it is online.

On a terminal the code is shown as a picture for cameras too.

With --json: {"code","auth_code","expires"}, then one {"state"} a line.`,
		Example: "  echofs invite notes --role editor --expires 1h\n  echofs invite notes --link --uses 5 --role reader",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			req.Space = args[0]
			defer w.pause()
			return a.with(c.Context(), need{create: true, network: true, daemon: req.NoWait}, func(s *session) error {
				w.decide = func(guest string, admit bool) error {
					_, err := control.Call(c.Context(), s.Client, control.DecideGuest,
						control.GuestDecision{MemberRef: control.MemberRef{Space: req.Space, Who: guest}, Admit: admit})
					return err
				}
				return control.Each(c.Context(), s.Client, control.Invite, req, w.show)
			})
		},
	}
	c.Flags().StringVar(&req.Role, "role", "editor", "what the guest may do: reader, editor, admin or owner; or relay, which keeps what it cannot read")
	c.Flags().DurationVar(&req.Expires, "expires", 0, "how long it is good (default 15m, a link 168h)")
	c.Flags().BoolVar(&req.Link, "link", false, "make a link for several people")
	c.Flags().IntVar(&req.Uses, "uses", 0, "how many can come by the link (default 10)")
	c.Flags().StringVar(&req.Hosts, "hosts", "members", "whose devices let guests of the link in: members (editors and above) or admins")
	c.Flags().StringVar(&req.Approval, "approval", "", "auto, or ask: you look at each guest (default auto, of a link ask)")
	c.Flags().BoolVarP(&w.yes, "yes", "y", false, "approve every guest while this command waits")
	c.Flags().BoolVar(&req.NoAuthCode, "no-auth-code", false, "let the code alone admit, once (for scripts)")
	c.Flags().BoolVar(&req.NoWait, "no-wait", false, "print the code and leave the waiting to the daemon")
	c.Flags().BoolVar(&req.Recover, "recover", false, "help a member who has lost all devices and has the recovery phrase: nobody else comes in")
	c.Flags().BoolVar(&w.noQR, "no-qr", false, "show no picture of the code")
	c.AddCommand(a.inviteListCommand(), a.inviteCancelCommand())
	return c
}

func (a *app) inviteListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List invitations and links",
		Long: `List the invitations that this device has made: those that are open, and until their
codes expire those that have ended; and the links of all spaces, whoever made
them, with who waits to be approved and the pictures that each was shown.`,
		Example: "  echofs invite list --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return call(c.Context(), a, need{network: true}, control.ListInvites, control.None{}, printInvitations)
		},
	}
}

func (a *app) inviteCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "cancel ID",
		Short:   "Withdraw an invitation or a link",
		Example: "  echofs invite cancel 3f9c",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{network: true}, control.CancelInvite, control.InvitationRef{ID: args[0]},
				func(w io.Writer, i control.Invitation) { printInvitations(w, []control.Invitation{i}) })
		},
	}
}

func printInvitations(w io.Writer, list []control.Invitation) {
	var rows [][]string
	for _, i := range list {
		what := i.Space + " as " + i.Role
		if i.Kind == "device" {
			what = "a device of yours"
		}
		state := i.State
		if i.Kind == "link" {
			state = fmt.Sprintf("%s, %d of %d came", i.State, i.Uses, i.MaxUses)
		}
		rows = append(rows, []string{shortLink(i), what, state, i.Guest, left(i.Expires)})
		for _, g := range i.Waiting {
			rows = append(rows, []string{"", "", "waits", g.Name + "  " + strings.Join(g.Emoji, " ") + "  " + shortID(g.ID), ""})
		}
	}
	table(w, []string{"ID", "TO", "STATE", "GUEST", "LEFT"}, rows)
}

func shortLink(i control.Invitation) string { return i.ID[:min(len(i.ID), 16)] }

// left says how long something is still good.
func left(until time.Time) string {
	d := time.Until(until).Round(time.Second)
	if d <= 0 {
		return "over"
	}
	if d > 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours())/24)
	}
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func (a *app) joinCommand() *cobra.Command {
	var req control.JoinRequest
	c := &cobra.Command{
		Use:   "join CODE|LINK",
		Short: "Join a space by an invitation code or a link",
		Long: `Join a space by an invitation code or a link. Who comes by a link may have to wait
until an admin of the space approves: the command can be interrupted then, and
repeated at any time. The pictures that it shows are those that the admin sees.

The authorization code, which the host has
told you by another way, is asked for if --auth-code is not given. The command stays
until what there is has come, but for contents of large files; it comes as well if
the command is interrupted and a daemon runs.

With --json: one {"state"} a line, with "sync" while entries come, and at last {"space","name"}.`,
		Example: "  echofs join echofs1-… --auth-code 123456 --as notes",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			req.Code = args[0]
			if req.AuthCode == "" && isTerminal(a.stdin) && !halo.IsLink(req.Code) {
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
	c.Flags().DurationVar(&req.Timeout, "timeout", 90*time.Second, "how long to look for the host")
	c.Flags().BoolVar(&req.NoWait, "no-wait", false, "do not stay until what there is has come")
	return c
}

func (a *app) showJoin(e control.JoinEvent) error {
	if a.json {
		return a.emit(e, nil)
	}
	if e.Sync != nil {
		a.showSync(*e.Sync)
		return nil
	}
	if e.Space == "" {
		if len(e.Emoji) > 0 {
			a.progress("%s   (the host sees the same pictures)", strings.Join(e.Emoji, " "))
		} else {
			a.progress("%s", guestSays(e.State))
		}
		return nil
	}
	if e.Already {
		a.say("you are a member of %s already", e.Name)
	}
	return a.emit(e, func(w io.Writer) { table(w, []string{"NAME", "ID"}, [][]string{{e.Name, e.Space}}) })
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
