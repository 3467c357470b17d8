package integration_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// wrong returns digits that are not those of an invitation.
func wrong(digits string) string {
	if digits[0] == '0' {
		return "1" + digits[1:]
	}
	return "0" + digits[1:]
}

// A wrong authorization code is refused, the third burns the invitation, and
// after that the right one does not help.
func TestWrongCode(t *testing.T) {
	t.Parallel()
	r := signalServer(t)
	ada, bob := r.vault(t, "ada").in("shared"), r.vault(t, "bob")
	inv, host := ada.invite()
	if len(inv.AuthCode) != 6 || time.Until(inv.Expires) > 15*time.Minute || time.Until(inv.Expires) < 10*time.Minute {
		t.Errorf("invite: got %+v, want six digits, for 15 minutes", inv)
	}
	for range 3 {
		bob.refuse(4, "join", inv.Code, "--auth-code", wrong(inv.AuthCode))
	}
	if lines, code := host.rest(); code != 4 {
		t.Errorf("invite: got exit status %d after %q, want 4: it has burned", code, lines)
	}
	if r := bob.refuse(4, "join", inv.Code, "--auth-code", inv.AuthCode); !strings.Contains(r.stderr, "burned") {
		t.Errorf("join a burned invitation: got %q, want the reason", r.stderr)
	}
	var spaces []struct{ Name string }
	if bob.json(&spaces, "space", "list"); len(spaces) != 1 {
		t.Errorf("bob's spaces: got %+v, want his own only", spaces)
	}
	if st := ada.status(); st.State != "alone" {
		t.Errorf("ada's space: got %+v, want nobody else in it", st)
	}

	// After one mistake the right code is still good.
	inv, host = ada.invite()
	bob.refuse(4, "join", inv.Code, "--auth-code", wrong(inv.AuthCode))
	joined := bob.follow("join", inv.Code, "--auth-code", inv.AuthCode, "--as", "ours")
	lines, code := joined.rest()
	if code != 0 || len(lines) == 0 || !strings.Contains(lines[len(lines)-1], `"name":"ours"`) || !strings.Contains(lines[len(lines)-1], `"space":"B`) {
		t.Errorf("join: got exit status %d, %q, %s", code, lines, joined.errs.String())
	}
	if lines, code := host.rest(); code != 0 || !strings.Contains(strings.Join(lines, "\n"), "Bob") {
		t.Errorf("invite: got exit status %d, %q, want the guest's name", code, lines)
	}
	ada.sh(`echo '{"v":1}' > f.json`)
	ours := &vault{bob.machine, "ours"}
	ours.file("f.json", "{\n  \"v\": 1\n}\n", patience)
	for _, v := range []*vault{ada, ours} {
		eventually(t, v.name+" knows both names", patience, func() error {
			var members []member
			v.json(&members, "member", "list", v.space)
			var names []string
			for _, m := range members {
				names = append(names, m.Name+" "+m.Role)
			}
			if slices.Sort(names); !slices.Equal(names, []string{"Ada owner", "Bob editor"}) {
				return fmt.Errorf("got %q", names)
			}
			return nil
		})
		if got := v.log("f.json")[0]; got.Author != "Ada" || got.Device != "adas-machine" {
			t.Errorf("log of %s: got author %q on %q, want Ada on adas-machine", v.name, got.Author, got.Device)
		}
	}
}

// An invitation ends with its time, and with who made it.
func TestInvitationEnds(t *testing.T) {
	t.Parallel()
	r := signalServer(t)
	ada, bob := r.vault(t, "ada").in("shared"), r.vault(t, "bob")
	inv, host := ada.invite("--expires", "1s")
	if lines, code := host.rest(); code != 4 && code != 5 {
		t.Errorf("invite: got exit status %d after %q, want 4 or 5: expired", code, lines)
	}
	bob.refuse(4, "join", inv.Code, "--auth-code", inv.AuthCode)
	bob.refuse(4, "join", "not-a-code")

	// Who interrupts the command withdraws the invitation, and a guest that
	// comes later learns it.
	inv, host = ada.invite()
	if err := host.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, code := host.rest(); code != 130 {
		t.Errorf("invite: got exit status %d, want 130: interrupted", code)
	}
	if r := bob.refuse(4, "join", inv.Code, "--auth-code", inv.AuthCode); !strings.Contains(r.stderr, "withdrawn") {
		t.Errorf("join a withdrawn invitation: got %q, want the reason", r.stderr)
	}
	var open struct{ ID, Code string }
	ada.json(&open, "invite", ada.space, "--no-wait", "--no-auth-code")
	ada.run("invite", "cancel", open.ID[:6])
	bob.refuse(4, "join", open.Code)
	var list []struct{ ID, State, Space string }
	ada.json(&list, "invite", "list")
	at := slices.IndexFunc(list, func(i struct{ ID, State, Space string }) bool { return i.ID == open.ID })
	if at < 0 || list[at].State != "cancelled" || list[at].Space != ada.space {
		t.Errorf("invite list: got %+v, want %s among them and cancelled", list, open.ID)
	}

	// Nobody is there any more.
	ada.json(&open, "invite", ada.space, "--no-wait", "--no-auth-code")
	ada.kill9()
	bob.refuse(5, "join", open.Code, "--timeout", "1s")

	// The host's next run goes on with it, and admits once.
	ada.start(ada.online...)
	bob.run("join", open.Code, "--as", "theirs")
	if r := bob.run("join", open.Code); !strings.Contains(r, "theirs") {
		t.Errorf("join again: got %q, want the space", r)
	}
	r.vault(t, "cy").refuse(4, "join", open.Code)
	ada.refuse(2, "invite", ada.space, "--role", "emperor")
	ada.refuse(3, "invite", "nowhere")
}

// A reader sees everything and changes nothing.
func TestReader(t *testing.T) {
	t.Parallel()
	r := signalServer(t)
	ada := r.vault(t, "ada").in("shared")
	ada.sh(`echo '{"v":1}' > f.json`)
	bob := ada.admit(r.vault(t, "bob"), "--role", "reader")
	bob.file("f.json", "{\n  \"v\": 1\n}\n", patience)
	if st := bob.status(); st.Role != "reader" {
		t.Errorf("bob's role: got %q, want reader", st.Role)
	}
	for _, script := range []string{`echo '{"v":2}' > f.json`, `rm f.json`, `mv f.json g.json`, `mkdir d`, `echo '{}' > new.json`, `sed -i s/1/2/ f.json`} {
		if got := bob.fails(script); !strings.Contains(got, "Read-only file system") {
			t.Errorf("%s: got %q, want EROFS", script, got)
		}
	}
	if got := bob.sh("cat f.json; ls"); got != "{\n  \"v\": 1\n}\nf.json\n" {
		t.Errorf("bob's space: got %q, want it as it was", got)
	}
	bob.refuse(4, "invite", bob.space)
	ada.sh(`echo '{"v":3}' > f.json`)
	bob.file("f.json", "{\n  \"v\": 3\n}\n", patience)
	if got := bob.drafts(); len(got) != 0 {
		t.Errorf("drafts: got %+v, want none", got)
	}
}
