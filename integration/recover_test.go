package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// recovered is what recover prints.
type recovered struct {
	DID     string
	Spaces  []struct{ Name string }
	Revoked []device
}

// phrase is the recovery phrase of a vault.
func (v *vault) phrase() string {
	v.tb.Helper()
	return strings.TrimSpace(v.run("phrase", "show"))
}

// recover runs recover with a phrase on standard input.
func (v *vault) recover(phrase string, args ...string) result {
	v.tb.Helper()
	words := []string{"bash", "-c", `printf '%s\n' "$1" | "$ECHOFS" recover --json --no-lan "${@:2}"`, "recover", phrase}
	return do(v.tb, 3*patience, v.env(), words[0], append(words[1:], args...)...)
}

// recovers is recover, which must succeed.
func (v *vault) recovers(phrase string, args ...string) (got recovered) {
	v.tb.Helper()
	r := v.recover(phrase, args...)
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 0 {
		v.tb.Fatalf("recover: %v: %s", err, r)
	}
	if strings.Contains(r.stderr, strings.Fields(phrase)[0]+" "+strings.Fields(phrase)[1]) {
		v.tb.Errorf("recover prints the phrase: %s", r.stderr)
	}
	return got
}

func (r recovered) spaces() (names []string) {
	for _, s := range r.Spaces {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// state waits until a device is in some state in the list here.
func (v *vault) deviceIs(name, state string) {
	v.tb.Helper()
	eventually(v.tb, name+" is "+state+" at "+v.name, patience, func() error {
		var list []device
		v.json(&list, "device", "list")
		for _, d := range list {
			if d.Name == name && d.State == state {
				return nil
			}
		}
		return fmt.Errorf("got %+v", list)
	})
}

// Who has lost the only device comes back by the phrase and a member: the same
// person for everybody, the space with all in it, and the lost device writes for
// nobody any more.
func TestRecoverByMember(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	r := signalServer(t)
	laptop := r.vault(t, "ada").in("shared")
	bob := laptop.admit(r.vault(t, "bob"))
	words, did := laptop.phrase(), laptop.did()
	laptop.sh(`echo '{"by":"ada"}' > a.json; head -c 300000 /dev/urandom > b.bin`)
	sum := laptop.sh("sha256sum < b.bin")
	bob.says("a.json", "ada")
	bob.sh(`echo '{"by":"bob"}' > b.json`)
	laptop.says("b.json", "bob")
	eventually(t, "bob has the blob", patience, func() error {
		if got := bob.shell("sha256sum < b.bin"); got.stdout != sum {
			return errors.New(got.String())
		}
		return nil
	})
	laptop.leave() // stolen

	desk := makeMachine(t, "desk")
	if r := desk.recover(words, "--signal", r.url, "--timeout", "2s"); r.code != 5 || !strings.Contains(r.stderr, did) {
		t.Errorf("recover where nobody is: want exit status 5 and %s, got %s", did, r)
	}
	if r := desk.recover("abandon abandon", "--signal", r.url); r.code != 4 {
		t.Errorf("recover by a wrong phrase: want exit status 4, got %s", r)
	}
	inv, host := bob.invite("--recover")
	got := desk.recovers(words, "--via", inv.Code, "--auth-code", inv.AuthCode, "--device", "desk")
	if lines, code := host.rest(); code != 0 {
		t.Fatalf("bob's invite ended with %d: %q %s", code, lines, host.errs.String())
	}
	if got.DID != did || !slices.Equal(got.spaces(), []string{"shared"}) || len(got.Revoked) != 1 {
		t.Errorf("recover: got %+v, want the identity %s, the space and the laptop let go", got, did)
	}
	desk.online = []string{"--signal", r.url, "--no-lan"}
	desk.start(desk.online...)
	desk = &vault{desk.machine, "shared"}
	desk.says("a.json", "ada")
	if now := desk.sh("sha256sum < b.bin"); now != sum {
		t.Errorf("the blob after the recovery: got %s, want %s", now, sum)
	}
	desk.sh(`echo '{"by":"ada again"}' > c.json`)
	bob.says("c.json", "again")

	laptop.sh(`echo '{"by":"thief"}' > a.json; echo thief > t.md`)
	laptop.restart(laptop.online...)
	eventually(t, "the laptop learns of its end", patience, func() error {
		if r := laptop.shell(`echo x > x.md`); r.code == 0 {
			return errors.New("it writes")
		}
		return nil
	})
	for _, v := range []*vault{bob, desk} {
		v.lacks("t.md")
		v.says("a.json", "ada")
		v.fsck()
	}
	var members []struct {
		DID     string
		Name    string
		Devices []struct{ Name string }
	}
	bob.json(&members, "member", "list", "shared")
	if n := len(members); n != 2 {
		t.Errorf("members at bob's: got %+v, want two", members)
	}
}

// A device of one's own that runs somewhere gives everything back, also what was
// shared with nobody; then it is let go, unless it is to stay.
func TestRecoverByOwnDevice(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	r := signalServer(t)
	laptop := r.vault(t, "ada")
	words := laptop.phrase()
	laptop.run("phrase", "show", "--forget")
	laptop.sh(`echo '{"by":"laptop"}' > p.json`)
	phone := laptop.pair(r, "phone")
	onPhone := phone.hasSpace("personal")
	onPhone.says("p.json", "laptop")
	notes := laptop.in("notes")
	notes.sh(`echo '{"n":1}' > n.json`)
	phone.hasSpace("notes").says("n.json", "1")
	laptop.leave() // stolen

	desk := makeMachine(t, "desk")
	got := desk.recovers(words, "--signal", r.url, "--device", "desk", "--keep", "phones-machine")
	if !slices.Equal(got.spaces(), []string{"notes", "personal"}) || len(got.Revoked) != 1 || got.Revoked[0].Name != "adas-machine" {
		t.Errorf("recover: got %+v, want both spaces and the laptop let go", got)
	}
	desk.online = []string{"--signal", r.url, "--no-lan"}
	desk.start(desk.online...)
	desk.says("p.json", "laptop")
	desk.sh(`echo '{"by":"desk"}' > d.json`)
	onPhone.says("d.json", "desk")
	phone.deviceIs("adas-machine", "revoked")
	desk.deviceIs("desk", "this")
	onPhone.sh(`echo '{"by":"phone"}' > q.json`)
	desk.says("q.json", "phone")
	if r := desk.shell(`true`); r.code != 0 {
		t.Error(r)
	}
	desk.stop()
	if got := desk.recovers(words); len(got.Revoked) != 1 || got.Revoked[0].Name != "phones-machine" {
		t.Errorf("recover once more, to let the phone go: got %+v", got)
	}
	desk.start(desk.online...)
	phone.deviceIs("phones-machine", "revoked")
	desk.says("q.json", "phone")
	desk.fsck()
}
