package integration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// audited is a line of echofs audit.
type audited struct{ Space, Entry, State, Author string }

// late returns the entries that a vault has set aside as late.
func (v *vault) late() (list []audited) {
	v.tb.Helper()
	var all []audited
	v.json(&all, "audit", v.space)
	for _, a := range all {
		if a.State == "late" {
			list = append(list, a)
		}
	}
	return list
}

// lacks waits until a file is not there.
func (v *vault) lacks(name string) {
	v.tb.Helper()
	eventually(v.tb, v.name+" has no "+name, patience, func() error {
		if v.shell("test ! -e "+name).code != 0 {
			return errors.New("it is there")
		}
		return nil
	})
}

// A member is removed while three others write, and it writes on where nobody
// hears it: every honest edit stays, what it wrote late shows nowhere until
// somebody adopts it, and it reads nothing new.
func TestMemberIsRemoved(t *testing.T) {
	t.Parallel()
	r := signalServer(t)
	ada := r.vault(t, "ada").in("shared")
	bob := ada.admit(r.vault(t, "bob"))
	eve := ada.admit(r.vault(t, "eve"))
	joe := ada.admit(r.vault(t, "joe"))
	honest := []*vault{ada, eve, joe}
	bob.sh(`echo '{"by":"bob"}' > kept.json`)
	for _, v := range honest {
		v.file("kept.json", "{\n  \"by\": \"bob\"\n}\n", patience)
	}
	refused := eve.refuse(4, "member", "remove", "shared", "Bob")
	if !strings.Contains(refused.stderr, "role editor") {
		t.Errorf("an editor removes a member: got %q, want the reason", refused.stderr)
	}
	bob.leave()
	bob.sh(`echo '{"by":"bob","late":1}' > kept.json; echo late > late.md`)

	for i := range 5 {
		for _, v := range honest {
			v.sh(fmt.Sprintf(`echo '{"n":%d}' > %s-%d.json`, i, v.name, i))
		}
		if i == 2 {
			ada.run("member", "remove", "shared", "Bob")
		}
	}
	ada.sh(`echo 'a marker that bob must not read' > secret.md`)
	eve.file("secret.md", "a marker that bob must not read\n", patience)
	bob.meet()

	eventually(t, "bob learns of his removal", patience, func() error {
		if role := bob.status().Role; role != "none" {
			return fmt.Errorf("role %s", role)
		}
		return nil
	})
	bob.fails(`echo '{"by":"bob","late":2}' > kept.json`)
	bob.lacks("late.md")
	if bob.shell("cat secret.md").code == 0 {
		t.Error("a removed member reads what was written after its removal")
	}
	for _, author := range honest {
		for i := range 5 {
			everybody(t, fmt.Sprintf("%s-%d.json", author.name, i), patience, holds(fmt.Sprintf(`{"n":%d}`, i)), honest...)
		}
	}
	everybody(t, "kept.json", patience, holds(`{"by":"bob"}`), honest...)
	for _, v := range honest {
		v.lacks("late.md")
		v.fsck()
	}
}

// holds demands a canonical content.
func holds(want string) func(string) error {
	return func(got string) error {
		if strings.TrimSpace(got) != want {
			return fmt.Errorf("got %s, want %s", got, want)
		}
		return nil
	}
}

// An editor that was made a reader while it was away wrote on: nobody shows it,
// the list of late entries has it, and adopting brings it back everywhere.
func TestReaderWrites(t *testing.T) {
	t.Parallel()
	r := signalServer(t)
	ada := r.vault(t, "ada").in("shared")
	bob := ada.admit(r.vault(t, "bob"))
	bob.sh(`echo '{"n":1}' > f.json`)
	everybody(t, "f.json", patience, holds(`{"n":1}`), ada, bob)
	bob.leave()
	bob.sh(`echo '{"n":2}' > f.json`)
	ada.run("member", "role", "shared", "Bob", "reader")
	bob.meet()
	everybody(t, "f.json", patience, holds(`{"n":1}`), ada, bob)
	eventually(t, "bob's file is read-only", patience, func() error {
		if mode := strings.TrimSpace(bob.sh("stat -c %a f.json")); mode != "444" {
			return errors.New("mode " + mode)
		}
		return nil
	})
	bob.fails(`echo '{"n":3}' > f.json`)
	eventually(t, "ada lists the late entry", patience, func() error {
		if n := len(ada.late()); n != 1 {
			return fmt.Errorf("%d late entries", n)
		}
		return nil
	})
	if n := ada.status().Quarantined; n != 1 {
		t.Errorf("status: got %d quarantined entries, want 1", n)
	}
	bob.refuse(4, "adopt", "shared", "all")
	ada.run("adopt", "shared", ada.late()[0].Entry[:12])
	everybody(t, "f.json", patience, holds(`{"n":2}`), ada, bob)
	ada.fsck()
	bob.fsck()
	ada.run("member", "role", "shared", "Bob", "editor")
	eventually(t, "bob writes again", patience, func() error {
		if r := bob.shell(`echo '{"n":4}' > f.json`); r.code != 0 {
			return errors.New(r.stderr)
		}
		return nil
	})
	everybody(t, "f.json", patience, holds(`{"n":4}`), ada, bob)
	ada.refuse(4, "space", "leave", "shared") // the only owner
	bob.run("space", "leave", "shared")
	bob.fails(`echo x > x.md`)
}
