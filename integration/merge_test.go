package integration_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// apart is a pair that can lose each other: by a cut cable where that can be
// had, else by a restart of their daemons.
func apart(t *testing.T) (ada, bob *vault) {
	t.Helper()
	h := newHub(t)
	r := h.signalServer()
	ada = h.vault(r, "ada").in("shared")
	return ada, ada.admit(h.vault(r, "bob"))
}

// has returns a condition that canonical content contains all of some texts.
func has(texts ...string) func(string) error {
	return func(canonical string) error {
		for _, text := range texts {
			if !strings.Contains(canonical, text) {
				return fmt.Errorf("%q is not in %s", text, canonical)
			}
		}
		return nil
	}
}

// vim opens a file in vim, by its full path: a directory in use could not be
// unmounted.
func (v *vault) vim(file string, flags ...string) *terminal {
	v.tb.Helper()
	need(v.tb, "vim")
	x := v.open(filepath.Join(v.dir, "home"), "vim -u DEFAULTS -i NONE "+strings.Join(flags, " ")+" "+filepath.Join(v.here(), file))
	x.see("All")
	return x
}

// xy is an object of two fields that two people change.
const xy = "{\"x\": 1, \"y\": 1, \"title\": \"a plan\"}\n"

// Two people change two fields of one file in vim, while they cannot reach each
// other. When they can again, both have both.
func TestMeetAgain(t *testing.T) {
	t.Parallel()
	ada, bob := pair(t)
	meetAgain(t, ada, bob, "-n") // a swap file in use could not be unmounted
}

// The same while the daemons go on, and the editors with them: when they save
// the old buffers once more, they take back nothing.
func TestMeetAgainByCable(t *testing.T) {
	t.Parallel()
	ada, bob := apart(t)
	a, b := meetAgain(t, ada, bob)
	a.overwrite("%s/a plan/the plan/")
	b.overwrite("")
	took := everybody(t, "f.json", patience, has(`"x":2`, `"y":2`, `"the plan"`), ada, bob)
	t.Logf("the second save was there after %v", took)
	a.ex("e!", "")
	a.see(`"y": 2`)
	for _, x := range []*terminal{a, b} {
		x.ex("q!", "")
		x.gone()
	}
}

func meetAgain(t *testing.T, ada, bob *vault, flags ...string) (a, b *terminal) {
	t.Helper()
	ada.sh("cat > f.json <<'EOT'\n" + xy + "EOT")
	ada.run("wait", ada.path("f.json"), "--peers", "1", "--timeout", "60s")
	bob.file("f.json", "{\n  \"x\": 1,\n  \"y\": 1,\n  \"title\": \"a plan\"\n}\n", patience)
	ada.leave()
	bob.leave()
	a, b = ada.vim("f.json", flags...), bob.vim("f.json", flags...)
	a.ex(`%s/"x": 1/"x": 2/ | w`, "written")
	b.ex(`%s/"y": 1/"y": 2/ | w`, "written")
	if got, want := ada.canonical("f.json"), `{"title":"a plan","x":2,"y":1}`+"\n"; got != want {
		t.Errorf("ada alone: got %s, want %s", got, want)
	}
	if got, want := bob.canonical("f.json"), `{"title":"a plan","x":1,"y":2}`+"\n"; got != want {
		t.Errorf("bob alone: got %s, want %s", got, want)
	}
	ada.meet()
	bob.meet()
	took := everybody(t, "f.json", 2*patience, has(`"x":2`, `"y":2`), ada, bob)
	t.Logf("from the connection's return to the merged file: %v", took.Round(time.Millisecond))
	if got, want := ada.sh("cat f.json"), "{\"x\": 2, \"y\": 2, \"title\": \"a plan\"}\n"; got != want {
		t.Errorf("ada's file: got %q, want %q: the layout stays", got, want)
	}
	if got := len(bob.log("f.json")); got != 3 {
		t.Errorf("history: got %d versions, want 3", got)
	}
	return a, b
}

// Somebody saves a buffer that is older than what came from others: their
// changes stay.
func TestStaleBuffer(t *testing.T) {
	t.Parallel()
	ada, bob := pair(t)
	ada.sh("cat > f.json <<'EOT'\n" + xy + "EOT\nprintf '# Plan\\n\\nmonday\\n\\ntuesday\\n' > plan.md")
	bob.file("plan.md", "# Plan\n\nmonday\n\ntuesday\n", patience)
	bob.file("f.json", "{\n  \"x\": 1,\n  \"y\": 1,\n  \"title\": \"a plan\"\n}\n", patience)
	object, text := ada.vim("f.json"), ada.vim("plan.md")

	bob.sh(`sed -i 's/"y": 1/"y": 2/' f.json; sed -i 's/monday/monday: rest/' plan.md`)
	everybody(t, "f.json", patience, has(`"y":2`), ada, bob)
	everybody(t, "plan.md", patience, has("rest"), ada, bob)

	object.overwrite(`%s/"x": 1/"x": 2/`)
	text.overwrite("%s/tuesday/tuesday: work/")
	everybody(t, "f.json", patience, has(`"x":2`, `"y":2`), ada, bob)
	everybody(t, "plan.md", patience, has("monday: rest", "tuesday: work"), ada, bob)

	// The same buffers once more: nothing of what was merged is taken back, and
	// vim does not ask, for nobody has changed the file since.
	object.ex(`%s/a plan/the plan/ | w!`, "written")
	text.ex("%s/# Plan/# The plan/ | w!", "written")
	everybody(t, "f.json", patience, has(`"x":2`, `"y":2`, `"the plan"`), ada, bob)
	everybody(t, "plan.md", patience, has("# The plan", "monday: rest", "tuesday: work"), ada, bob)
	if st := ada.stat("f.json"); st.Base != "process" {
		t.Errorf("base of the save: got %q, want the version that the process was looking at", st.Base)
	}
}
