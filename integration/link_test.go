package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// inviteLine is a line of `echofs invite --json`.
type inviteLine struct {
	ID, Code, State, Member, Guest string
	Emoji                          []string
}

// joinLine is a line of `echofs join --json`.
type joinLine struct {
	State, Name string
	Emoji       []string
}

// until reads lines of a join until a state, and returns the pictures shown.
func (s *stream) until(state string) (emoji []string) {
	s.tb.Helper()
	for {
		var l joinLine
		s.next(&l)
		if len(l.Emoji) > 0 {
			emoji = l.Emoji
		}
		if l.State == state {
			return emoji
		}
	}
}

// guests returns who waits in the space, as a vault lists it, with the pictures.
func (v *vault) guests() map[string]string {
	v.tb.Helper()
	var list []struct {
		Space   string
		Waiting []struct {
			Name  string
			Emoji []string
		}
	}
	v.json(&list, "invite", "list")
	out := map[string]string{}
	for _, i := range list {
		for _, g := range i.Waiting {
			if i.Space == v.space {
				out[g.Name] = strings.Join(g.Emoji, " ")
			}
		}
	}
	return out
}

// asks waits until somebody waits to be approved.
func (v *vault) asks(name string) (emoji string) {
	v.tb.Helper()
	eventually(v.tb, name+" asks "+v.name, patience, func() error {
		all := v.guests()
		if emoji = all[name]; emoji == "" {
			return fmt.Errorf("who waits: %v", all)
		}
		return nil
	})
	return emoji
}

// A link lets people in while its maker is away; beyond its number of uses they
// wait, through crashes of all sides, until an admin approves.
func TestLink(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	r := signalServer(t)
	ada, bob, cleo := r.vault(t, "ada").in("shared"), r.vault(t, "bob"), r.vault(t, "cleo")
	ada.sh(`echo '{"v":1}' > f.json`)
	var link inviteLine
	ada.json(&link, "invite", ada.space, "--link", "--uses", "1", "--approval", "auto", "--no-wait")
	bob.run("join", link.Code)
	bob = &vault{bob.machine, ada.space}
	bob.file("f.json", "{\n  \"v\": 1\n}\n", patience)
	bob.sh(`echo '{"v":2}' > g.json`)

	ada.kill9()
	first := cleo.follow("join", link.Code)
	shown := first.until("waiting")
	if len(shown) == 0 {
		var l joinLine
		first.next(&l)
		shown = l.Emoji
	}
	if got := bob.asks("Cleo"); got != strings.Join(shown, " ") || got == "" {
		t.Errorf("pictures: bob sees %q, cleo %q", got, shown)
	}
	bob.refuse(4, "member", "approve", bob.space, "Cleo") // an editor
	cleo.kill9()
	first.rest()
	cleo.start(cleo.online...)
	again := cleo.follow("join", link.Code)
	again.until("waiting")
	bob.kill9()
	ada.start(ada.online...)
	bob.start(bob.online...)
	ada.asks("Cleo")
	if n := len(ada.guests()); n != 1 {
		t.Errorf("%d wait, want cleo, once", n)
	}
	ada.run("member", "approve", ada.space, "Cleo")
	if lines, code := again.rest(); code != 0 {
		t.Errorf("join after the approval: got exit status %d, %q, %s", code, lines, again.errs.String())
	}
	cleo = &vault{cleo.machine, ada.space}
	cleo.file("f.json", "{\n  \"v\": 1\n}\n", patience)
	cleo.file("g.json", "{\n  \"v\": 2\n}\n", patience)
	cleo.sh(`echo '{"v":3}' > h.json`)
	for _, v := range []*vault{ada, bob} {
		v.file("h.json", "{\n  \"v\": 3\n}\n", patience)
	}

	// The role is not for the link's text to say, and what was changed is no link.
	dan := r.vault(t, "dan")
	dan.refuse(4, "join", link.Code[:len(link.Code)-4]+"AAAA") // the mark of another space
	ada.run("invite", "cancel", link.ID[:8])
	if got := dan.refuse(4, "join", link.Code); !strings.Contains(got.stderr, "withdrawn") {
		t.Errorf("join by a withdrawn link: got %q, want the reason", got.stderr)
	}
	if roles := ada.roles(); !slices.Equal(roles, []string{"Ada owner", "Bob editor", "Cleo editor"}) {
		t.Errorf("members: got %q", roles)
	}
	ada.refuse(2, "invite", ada.space, "--link", "--role", "admin")
	ada.refuse(2, "invite", ada.space, "--link", "--uses", "1000")
	bob.refuse(4, "invite", bob.space, "--link", "--no-wait")
}

func (v *vault) roles() (out []string) {
	v.tb.Helper()
	var members []member
	v.json(&members, "member", "list", v.space)
	for _, m := range members {
		out = append(out, m.Name+" "+m.Role)
	}
	slices.Sort(out)
	return out
}

// The user is asked about the guest of a code, and both see the same pictures.
func TestAskedAboutAGuest(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	r := signalServer(t)
	ada, bob := r.vault(t, "ada").in("shared"), r.vault(t, "bob")
	inv, host := ada.invite("--approval", "ask", "--no-auth-code")
	for _, word := range []string{"decline", "approve"} {
		joining := bob.follow("join", inv.Code)
		var e inviteLine
		for e.State != "review" {
			host.next(&e)
		}
		if got := ada.asks("Bob"); got != strings.Join(e.Emoji, " ") || e.Member != "Bob" {
			t.Errorf("%s: asked about %+v, listed with %q", word, e, got)
		}
		ada.run("member", word, ada.space, "Bob")
		lines, code := joining.rest()
		if shown := strings.Join(lines, "\n"); !strings.Contains(shown, e.Emoji[0]) {
			t.Errorf("%s: bob saw %s, ada %q", word, shown, e.Emoji)
		}
		if want := map[string]int{"decline": 4, "approve": 0}[word]; code != want {
			t.Errorf("%s: the guest ended with %d, want %d: %s", word, code, want, joining.errs.String())
		}
	}
	if lines, code := host.rest(); code != 0 {
		t.Errorf("invite: got exit status %d, %q", code, lines)
	}

	// A link whose command approves everybody.
	var link inviteLine
	attending := ada.follow("invite", ada.space, "--link", "--yes", "--uses", "1", "--role", "reader")
	attending.next(&link)
	r.vault(t, "cleo").run("join", link.Code)
	lines, code := attending.rest()
	var last inviteLine
	if err := errors.Join(json.Unmarshal([]byte(lines[len(lines)-1]), &last)); err != nil || last.State != "used" || code != 0 {
		t.Errorf("invite --link: got exit status %d, %q", code, lines)
	}
	if roles := ada.roles(); !slices.Equal(roles, []string{"Ada owner", "Bob editor", "Cleo reader"}) {
		t.Errorf("members: got %q", roles)
	}
}
