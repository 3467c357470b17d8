package integration_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// device is a line of `device list`.
type device struct{ ID, Name, Level, State string }

// pair makes another machine a device of the vault's identity, and starts it.
func (v *vault) pair(r *rendezvous, name string, flags ...string) *vault {
	v.tb.Helper()
	host := v.follow(append([]string{"device", "invite"}, flags...)...)
	var inv invitation
	host.next(&inv)
	other := makeMachine(v.tb, name)
	out := other.run("init", "--join", inv.Code, "--auth-code", inv.AuthCode, "--device", name+"s-machine", "--no-lan", "--json")
	var id struct{ DID, Name string }
	if err := json.Unmarshal([]byte(out), &id); err != nil || id.DID != v.did() {
		v.tb.Errorf("init --join: got %q, %v; want the identity %s", out, err, v.did())
	}
	if lines, code := host.rest(); code != 0 {
		v.tb.Fatalf("device invite ended with %d: %q %s", code, lines, host.errs.String())
	}
	other.online = []string{"--signal", r.url, "--no-lan"}
	other.start(other.online...)
	return other
}

func (v *vault) did() string {
	v.tb.Helper()
	var id struct{ DID string }
	v.json(&id, "identity")
	return id.DID
}

// hasSpace waits until a space has come to the vault, and returns it at work
// there.
func (v *vault) hasSpace(name string) *vault {
	v.tb.Helper()
	eventually(v.tb, v.name+" has the space "+name, patience, func() error {
		var spaces []struct{ Name string }
		v.json(&spaces, "space", "list")
		if !slices.ContainsFunc(spaces, func(s struct{ Name string }) bool { return s.Name == name }) {
			return fmt.Errorf("got %+v", spaces)
		}
		return nil
	})
	return &vault{v.machine, name}
}

// says waits until a file here contains a word.
func (v *vault) says(name, word string) {
	v.tb.Helper()
	eventually(v.tb, v.name+" has "+name, 2*patience, func() error {
		if r := v.shell("cat " + name); !strings.Contains(r.stdout, word) {
			return fmt.Errorf("got %q %s, want %q in it", r.stdout, r.stderr, word)
		}
		return nil
	})
}

// Two devices of one person and a second person write into the same space; what
// either device makes or joins later comes to the other.
func TestDevices(t *testing.T) {
	t.Parallel()
	r := signalServer(t)
	ada, bob := r.vault(t, "ada"), r.vault(t, "bob")
	shared := ada.in("shared")
	shared.sh(`echo '{"by":"ada"}' > a.json`)
	guest := shared.admit(bob)

	phone := ada.pair(r, "phone")
	onPhone := phone.hasSpace("shared")
	phone.hasSpace("personal")
	onPhone.says("a.json", "ada")
	onPhone.sh(`echo '{"by":"phone"}' > p.json`)
	guest.sh(`echo '{"by":"bob"}' > b.json`)
	for _, v := range []*vault{shared, guest, onPhone} {
		v.says("p.json", "phone")
		v.says("b.json", "bob")
	}
	if got := guest.log("p.json")[0]; got.Author != "Ada" || got.Device != "phones-machine" {
		t.Errorf("log of p.json at bob's: got author %q on %q, want Ada on phones-machine", got.Author, got.Device)
	}

	// Spaces of later, both ways.
	phone.in("from-phone").sh(`echo '{"v":1}' > f.json`)
	ada.hasSpace("from-phone").says("f.json", "1")
	bobs := bob.in("bobs")
	bobs.sh(`echo '{"v":2}' > g.json`)
	bobs.admit(ada)
	phone.hasSpace("bobs").says("g.json", "2")

	// Names and levels.
	var list []device
	phone.json(&list, "device", "list")
	if len(list) != 2 || list[0].State != "this" || list[0].Level != "ordinary" || list[1].Level != "primary" || list[1].Name != "adas-machine" {
		t.Errorf("device list on the phone: got %+v", list)
	}
	phone.refuse(4, "device", "invite")
	phone.run("device", "rename", "pocket")
	phone.refuse(4, "device", "rename", "adas-machine", "x")
	ada.run("identity", "rename", "Ada Lovelace")
	eventually(t, "the names have come", patience, func() error {
		var members []struct {
			Name    string
			Devices []struct{ Name string }
		}
		guest.json(&members, "member", "list", guest.space)
		if got := fmt.Sprintf("%+v", members); !strings.Contains(got, "Ada Lovelace") || !strings.Contains(got, "pocket") {
			return fmt.Errorf("bob sees %s", got)
		}
		return nil
	})

	// A third device comes while the second one is away, and all meet.
	phone.stop()
	desk := ada.pair(r, "desk", "--primary")
	desk.hasSpace("from-phone")
	phone.start(phone.online...)
	eventually(t, "the phone knows the desk", patience, func() error {
		if phone.json(&list, "device", "list"); len(list) != 3 {
			return fmt.Errorf("got %+v", list)
		}
		return nil
	})
	ada.stop()
	desk.hasSpace("shared").sh(`echo '{"by":"desk"}' > d.json`)
	onPhone.says("d.json", "desk")
	guest.says("d.json", "desk")
}
