package cli

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"echofs/cmd/echofs/control"
)

// done prints nothing: the exit status says it.
func done(io.Writer, control.None) {}

func (a *app) memberRole() *cobra.Command {
	return &cobra.Command{
		Use:   "role SPACE WHO ROLE",
		Short: "Give a member another role",
		Long: `Give a member another role: reader, editor, admin or owner. WHO is a name, a DID
or the beginning of an id. Admins change those below them; owners change all but
owners, and make owners. Of somebody who may not write any more, what is known
here counts; what comes later is set aside (echofs audit).`,
		Example: "  echofs member role notes bob reader",
		Args:    cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{}, control.SetRole,
				control.MemberRole{MemberRef: control.MemberRef{Space: args[0], Who: args[1]}, Role: args[2]}, done)
		},
	}
}

func (a *app) memberRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove SPACE WHO",
		Short: "Remove a member",
		Long: `Remove a member from a space. It gets no key of what is written from now on. Of
what it wrote, what is known here counts; what comes later is set aside, but for
what somebody else has built on (echofs audit).`,
		Example: "  echofs member remove notes bob",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{}, control.RemoveMember, control.MemberRef{Space: args[0], Who: args[1]}, done)
		},
	}
}

func (a *app) memberDecide(word string, admit bool) *cobra.Command {
	short, long := "Admit a guest that waits", `Admit a guest that waits: one that came by a link that asks for it or was used up,
or one of an invitation with --approval ask. `
	if !admit {
		short, long = "Send a guest away that waits", `Send a guest away that waits. It comes by no link of the space again; an admin can
invite it all the same. `
	}
	return &cobra.Command{
		Use:   word + " SPACE WHO",
		Short: short,
		Long: long + `WHO is what the guest calls itself or the
beginning of its id; echofs invite list shows both, and the pictures that the
guest was shown: if they see others, it is somebody else.`,
		Example: "  echofs member " + word + " notes cleo",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{network: true}, control.DecideGuest,
				control.GuestDecision{MemberRef: control.MemberRef{Space: args[0], Who: args[1]}, Admit: admit},
				func(io.Writer, control.Guest) {})
		},
	}
}

func (a *app) spaceLeave() *cobra.Command {
	return &cobra.Command{
		Use:   "leave SPACE",
		Short: "End your own membership",
		Long: `End your own membership of a space. Its folder stays on this machine, as it is
then, and can be read only. The only owner cannot leave while others are there.`,
		Example: "  echofs space leave notes",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{}, control.LeaveSpace, control.SpaceRef{Space: args[0]}, done)
		},
	}
}

func (a *app) deviceRevoke() *cobra.Command {
	var reason, asOf string
	var cascade bool
	c := &cobra.Command{
		Use:   "revoke DEVICE",
		Short: "Let a device of yours go",
		Long: `Let a device of yours go, in all spaces: it gets no new keys, and of what it
wrote, what has come here counts. With --as-of, what came later than that time
does not. What comes from it afterwards is set aside (echofs audit) and can be
taken back (echofs adopt). Only a primary device lets others go. DEVICE is a name
or the beginning of an id.`,
		Example: "  echofs device revoke laptop --reason lost\n  echofs device revoke laptop --reason compromised --as-of 2026-11-20T18:00",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			req := control.DeviceRevoke{Device: args[0], Reason: reason, Cascade: cascade}
			if asOf != "" {
				t, err := parseTime(asOf)
				if err != nil {
					return err
				}
				req.AsOf = t
			}
			return call(c.Context(), a, need{}, control.RevokeDevice, req, done)
		},
	}
	c.Flags().StringVar(&reason, "reason", "lost", "lost, compromised or retired")
	c.Flags().StringVar(&asOf, "as-of", "", "what came from it after this time does not count (2026-11-20T18:00)")
	c.Flags().BoolVar(&cascade, "cascade", false, "also the devices that it added; always with compromised")
	return c
}

// timeForms are the forms in which a time can be typed; local but for the first.
var timeForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}

func parseTime(text string) (time.Time, error) {
	for _, form := range timeForms {
		if t, err := time.ParseInLocation(form, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q: want the form 2026-11-20T18:00 (%w)", text, control.ErrUsage)
}

func (a *app) auditCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "audit [SPACE]",
		Short: "List entries that are not simply part of the documents",
		Long: `List the signed entries that are not simply part of the documents: late ones, which
came after their author was removed or its device was let go; those of them on
which others built, or which somebody adopted; void ones, which their author was
not allowed to write; and those that wait for something.`,
		Example: "  echofs audit notes\n  echofs audit --json | jq -r '.[]|select(.state==\"late\").entry'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var req control.AuditRequest
			if len(args) == 1 {
				req.Space = args[0]
			}
			return call(c.Context(), a, need{}, control.Audit, req, printAudit)
		},
	}
}

func printAudit(w io.Writer, list []control.AuditEntry) {
	var rows [][]string
	for _, e := range list {
		at := fmt.Sprintf("%.10s:%d", e.Feed, e.Seq)
		rows = append(rows, []string{e.Space, at, e.State, e.Author, e.Device, e.Time.Local().Format(time.DateTime),
			strconv.Itoa(e.Changes), e.Reason})
	}
	table(w, []string{"SPACE", "ENTRY", "STATE", "AUTHOR", "DEVICE", "TIME", "CHANGES", "WHY"}, rows)
}

func (a *app) adoptCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "adopt SPACE ENTRY...",
		Short: "Take late entries back",
		Long: `Take late entries back, so that they count again for everybody: honest edits of a
lost device, say. ENTRY is FEED:SEQ or FEED:FROM-TO as echofs audit prints them,
the beginning of an entry's id, or "all". What they build on comes with them.`,
		Example: "  echofs adopt notes 41ad80b3c2:17-19\n  echofs adopt notes all",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return call(c.Context(), a, need{}, control.AdoptEntries, control.AdoptRequest{Space: args[0], Entries: args[1:]},
				func(w io.Writer, r control.Adopted) { _, _ = fmt.Fprintf(w, "%d entries count again\n", r.Entries) })
		},
	}
}
