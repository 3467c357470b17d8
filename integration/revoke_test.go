package integration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// audits waits until as many entries of a state are listed here.
func (v *vault) audits(state string, want int) {
	v.tb.Helper()
	eventually(v.tb, fmt.Sprintf("%s lists %d %s entries", v.name, want, state), patience, func() error {
		var all []audited
		v.json(&all, "audit", v.space)
		n := 0
		for _, a := range all {
			if a.State == state {
				n++
			}
		}
		if n != want {
			return fmt.Errorf("got %d of %+v", n, all)
		}
		return nil
	})
}

// A laptop is let go while it is away with edits that nobody has. When it comes
// they are listed and not shown, until somebody adopts them; then everybody shows
// them. What an honest member built on before it heard stays.
func TestDeviceIsRevoked(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	r := signalServer(t)
	laptop := r.vault(t, "ada").in("shared")
	bob := laptop.admit(r.vault(t, "bob"))
	phone := laptop.pair(r, "phone", "--primary")
	onPhone := phone.hasSpace("shared")
	laptop.sh(`echo '{"n":1}' > f.json`)
	bob.says("f.json", "1")
	onPhone.says("f.json", "1")

	// Bob has not heard, and builds on what the laptop writes.
	phone.leave()
	phone.run("device", "revoke", "adas-machine", "--reason", "lost")
	laptop.sh(`echo '{"n":1,"laptop":1}' > f.json`)
	bob.says("f.json", "laptop")
	bob.sh(`echo '{"n":1,"laptop":1,"bob":1}' > f.json`)
	laptop.says("f.json", "bob")
	laptop.leave()
	for i := range 5 {
		laptop.sh(fmt.Sprintf(`echo '{"n":1,"laptop":1,"bob":1,"late":%d}' > f.json`, i))
	}
	phone.meet()
	everybody(t, "f.json", patience, holds(`{"bob":1,"laptop":1,"n":1}`), bob, onPhone)
	for _, v := range []*vault{bob, onPhone} {
		v.audits("endorsed", 1)
	}

	laptop.meet()
	eventually(t, "the laptop learns of its end", patience, func() error {
		if r := laptop.shell(`echo x > x.md`); r.code == 0 {
			return errors.New("it writes")
		}
		return nil
	})
	bob.audits("late", 5)
	onPhone.audits("late", 5)
	everybody(t, "f.json", patience, holds(`{"bob":1,"laptop":1,"n":1}`), bob, onPhone)
	laptop.refuse(4, "device", "revoke", "phones-machine")
	laptop.refuse(4, "device", "invite")
	bob.run("adopt", "shared", "all")
	everybody(t, "f.json", patience, holds(`{"bob":1,"laptop":1,"late":4,"n":1}`), bob, onPhone)
	for _, v := range []*vault{bob, onPhone} {
		v.fsck()
	}
}

// Two primary devices let each other go without knowing. Neither counts, and both
// say so; the phrase decides: exactly the new device counts, and all is there.
func TestDevicesRevokeEachOther(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	r := signalServer(t)
	laptop := r.vault(t, "ada").in("shared")
	bob := laptop.admit(r.vault(t, "bob"))
	words := laptop.phrase()
	phone := laptop.pair(r, "phone", "--primary")
	onPhone := phone.hasSpace("shared")
	laptop.sh(`echo '{"n":1}' > f.json`)
	onPhone.says("f.json", "1")
	bob.says("f.json", "1")
	phone.leave()
	laptop.leave()
	phone.run("device", "revoke", "adas-machine")
	laptop.run("device", "revoke", "phones-machine")
	phone.meet()
	laptop.meet()
	for _, v := range []*vault{phone, laptop} {
		v.deviceIs("adas-machine", "suspended")
		v.deviceIs("phones-machine", "suspended")
	}
	if !strings.Contains(phone.run("status", "--json"), `"code":"suspended"`) {
		t.Error("the status does not warn of the suspended devices")
	}
	laptop.fails(`echo x > x.md`)
	onPhone.fails(`echo x > x.md`)

	desk := makeMachine(t, "desk")
	got := desk.recovers(words, "--signal", r.url, "--device", "desk")
	if len(got.spaces()) != 2 {
		t.Errorf("recover: got the spaces %q, want personal and shared", got.spaces())
	}
	desk.online = []string{"--signal", r.url, "--no-lan"}
	desk.start(desk.online...)
	desk = desk.hasSpace("shared")
	desk.says("f.json", "1")
	eventually(t, "the desk writes", patience, func() error {
		if r := desk.shell(`echo '{"n":2}' > f.json`); r.code != 0 {
			return errors.New(r.stderr)
		}
		return nil
	})
	bob.says("f.json", "2")
	desk.deviceIs("desk", "this")
	desk.deviceIs("adas-machine", "revoked")
	desk.deviceIs("phones-machine", "revoked")
	bob.fsck()
	desk.fsck()
}
