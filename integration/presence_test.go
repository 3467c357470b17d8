package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Who has a file open is seen by others while it is open, in stat, in the control
// directory and in the status; not with --no-presence.
func TestWhoHasItOpen(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	ada, bob := pair(t)
	ada.sh(`echo '{"v":1}' > f.json`)
	ada.run("wait", ada.path("f.json"), "--peers", "1", "--timeout", "60s")
	open := func(v *vault) *os.File {
		t.Helper()
		f, err := os.Open(filepath.Join(v.here(), "f.json"))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	type presence struct{ Name, Device, Path string }
	seen := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("ada sees that %d others have it open", n), patience, func() error {
			var st struct{ Present []presence }
			ada.json(&st, "stat", ada.path("f.json"))
			if len(st.Present) != n || n == 1 && (st.Present[0].Name != "Bob" || st.Present[0].Device != "bobs-machine") {
				return fmt.Errorf("got %+v", st.Present)
			}
			return nil
		})
	}
	f := open(bob)
	seen(1)
	if got := ada.sh("cat .echofs/meta/f.json.json .echofs/status.json | grep -c bobs-machine"); got != "2\n" {
		t.Errorf("the control directory names bob's machine in %s lines, want 2", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	seen(0)
	bob.restart(append([]string{"--no-presence"}, bob.online...)...)
	ada.peers(1)
	quiet := open(bob)
	defer func() { _ = quiet.Close() }()
	mine := open(ada)
	eventually(t, "bob sees that ada has it open", patience, func() error {
		var st struct{ Present []presence }
		if bob.json(&st, "stat", bob.path("f.json")); len(st.Present) != 1 {
			return fmt.Errorf("got %+v", st.Present)
		}
		return nil
	})
	if err := mine.Close(); err != nil {
		t.Fatal(err)
	}
	seen(0)
	_ = quiet.Close() // before the daemon ends
}
