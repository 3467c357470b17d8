package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"rsc.io/qr"

	"echofs/cmd/echofs/control"
	"echofs/halo"
)

// inviteView shows how an invitation goes: the code is data, what happens to
// it is progress. On a terminal the last line counts down.
type inviteView struct {
	a    *app
	noQR bool
	join string // the command that takes the code, if not join
	yes  bool   // admit whoever comes

	// decide admits a guest that waits, or sends it away; nil where there are none.
	decide func(guest string, admit bool) error

	expires time.Time
	line    string // what the countdown stands behind
	stop    chan struct{}
	ended   chan struct{}
}

// show prints one event.
func (w *inviteView) show(e control.InviteEvent) error {
	if w.a.json {
		if err := w.a.emit(e, nil); err != nil || !w.yes || e.Guest == "" {
			return err
		}
		return w.decide(e.Guest, true)
	}
	if e.Code != "" {
		return w.code(e)
	}
	w.pause()
	switch {
	case e.Guest != "":
		return w.review(e)
	case e.Member != "":
		w.a.say("%s: %s   %s", hostSays(e), e.Member, strings.Join(e.Emoji, " "))
	case hostOver[e.State]:
		w.a.say("%s", hostSays(e))
	default:
		w.count(hostSays(e))
	}
	return nil
}

// review asks about a guest. Without a terminal somebody else is to answer.
func (w *inviteView) review(e control.InviteEvent) error {
	why := ""
	if e.Reason != "" {
		why = " (" + e.Reason + ")"
	}
	w.a.say("%s asks to come in%s   %s   %s", e.Member, why, strings.Join(e.Emoji, " "), shortID(e.Guest))
	switch {
	case w.yes:
		return w.decide(e.Guest, true)
	case !isTerminal(w.a.stdin):
		w.a.say("decide with: echofs member approve SPACE %s, or decline", shortID(e.Guest))
		return nil
	}
	for {
		answer, err := w.a.ask("do they see the same pictures, and may they come in? [y/n] ")
		if err != nil {
			return err
		}
		switch strings.ToLower(answer) {
		case "y", "yes":
			return w.decide(e.Guest, true)
		case "n", "no":
			return w.decide(e.Guest, false)
		}
	}
}

// code prints the code and what to do with it.
func (w *inviteView) code(e control.InviteEvent) error {
	a := w.a
	if err := a.emit(e, func(out io.Writer) { _, _ = fmt.Fprintln(out, e.Code) }); err != nil {
		return err
	}
	if isTerminal(a.stderr) && !w.noQR {
		_, _ = io.WriteString(a.stderr, picture(e.Code))
	}
	if e.AuthCode != "" {
		a.say("authorization code: %s   (tell it by another way)", e.AuthCode)
	}
	if e.Expires != nil {
		w.expires = *e.Expires
		form, word := time.TimeOnly, "CODE"
		if time.Until(*e.Expires) > 12*time.Hour {
			form = "Mon 2 Jan 15:04"
		}
		if halo.IsLink(e.Code) {
			word = "'LINK'"
		}
		a.say("they type: %s %s   (until %s)", cmp.Or(w.join, "echofs join"), word, e.Expires.Local().Format(form))
	}
	return nil
}

// count begins to count down behind a line.
func (w *inviteView) count(line string) {
	if !isTerminal(w.a.stderr) {
		return
	}
	w.line, w.stop, w.ended = line, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(w.ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			_, _ = fmt.Fprintf(w.a.stderr, "\r\x1b[K%s   (%s left)", clean(line), left(w.expires))
			select {
			case <-w.stop:
				_, _ = fmt.Fprint(w.a.stderr, "\r\x1b[K")
				return
			case <-tick.C:
			}
		}
	}()
}

// pause ends the countdown.
func (w *inviteView) pause() {
	if w.stop != nil {
		close(w.stop)
		<-w.ended
		w.stop = nil
	}
}

// hostOver are the states in which an invitation ends without a guest.
var hostOver = map[string]bool{"used": true, "expired": true, "cancelled": true, "burned": true, "failed": true}

// hostSays says a state of the inviter's side to people.
func hostSays(e control.InviteEvent) string {
	switch e.State {
	case "open":
		return "waiting for the guest"
	case "contacted":
		if e.Tries > 0 {
			return fmt.Sprintf("the guest's authorization code was wrong, %d tries left", e.Tries)
		}
		return "a guest has the code"
	case "auth-ok":
		return "the guest knows the authorization code"
	case "review":
		return "to be approved"
	case "committed":
		return "admitted"
	case "done":
		return "joined"
	case "used":
		return "the link is used up"
	case "expired":
		return "the invitation has expired"
	case "cancelled":
		return "the invitation is withdrawn"
	case "burned":
		return "the invitation is burned: too many wrong authorization codes"
	}
	return strings.TrimSuffix(e.State+": "+e.Reason, ": ")
}

// guestSays says a state of the guest's side to people.
func guestSays(state string) string {
	switch state {
	case "entered", "connecting":
		return "looking for the host"
	case "auth-ok":
		return "connected"
	case "offer-shown", "requested":
		return "asking to be admitted"
	case "waiting":
		return "waiting to be approved"
	case "received", "syncing":
		return "admitted"
	}
	return state
}

// picture draws a text as a QR code of half blocks, dark on light, with the
// margin that cameras want; nothing if it does not fit one.
func picture(text string) string {
	if !halo.IsLink(text) {
		// Upper case letters need half the room of lower case ones, and codes are
		// read in either.
		text = strings.ToUpper(text)
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return ""
	}
	const margin = 2
	light := func(x, y int) bool { return !code.Black(x, y) } // also outside
	var b strings.Builder
	for y := -margin; y < code.Size+margin; y += 2 {
		b.WriteString("\x1b[40;97m")
		for x := -margin; x < code.Size+margin; x++ {
			b.WriteString(halfBlock(light(x, y), light(x, y+1)))
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String()
}

func halfBlock(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}
