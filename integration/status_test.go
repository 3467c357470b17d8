package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// peer is a line of `peers --json`.
type peer struct {
	Device, Name, Space, Path string
	RTT                       float64 `json:"rtt_ms"`
	EntriesBehind             int     `json:"entries_behind"`
}

// member is a line of `member list --json`.
type member struct {
	DID, Name, Role string
	Devices         []struct {
		ID, Name string
		Online   bool
	}
}

// becomes waits until the status of the space is as it should be.
func (v *vault) becomes(what string, ok func(spaceStatus) bool) {
	v.tb.Helper()
	eventually(v.tb, v.name+" is "+what, patience, func() error {
		if st := v.status(); !ok(st) {
			return fmt.Errorf("got %+v", st)
		}
		return nil
	})
}

// Status tells who is connected and how far behind everybody is, and wait
// returns when they are not.
func TestStatusAndWait(t *testing.T) {
	t.Parallel()
	ada, bob := pair(t)
	ada.sh(`echo '{"v":1}' > f.json`)
	ada.run("wait", ada.path("f.json"), "--peers", "1", "--timeout", "60s")
	if r := bob.shell("cat f.json"); r.code != 0 { // at once: that is what wait has promised
		t.Errorf("after wait: %s", r)
	}
	ada.becomes("synced", func(s spaceStatus) bool { return s.State == "synced" && s.Peers == 1 && len(s.Behind) == 0 })
	var peers []peer
	if ada.json(&peers, "peers"); len(peers) != 1 || peers[0].Name != "bobs-machine" || peers[0].Space != ada.space ||
		(peers[0].Path != "direct" && peers[0].Path != "lan") || peers[0].EntriesBehind != 0 {
		t.Errorf("peers: got %+v, want bob's machine", peers)
	}
	var members []member
	ada.json(&members, "member", "list", ada.space)
	if len(members) != 2 || len(members[0].Devices) != 1 || len(members[1].Devices) != 1 || !members[0].Devices[0].Online || !members[1].Devices[0].Online {
		t.Errorf("members: got %+v, want two, both online", members)
	}

	bob.stop()
	ada.becomes("without peers", func(s spaceStatus) bool { return s.State == "offline" && s.Peers == 0 })
	ada.sh(`echo '{"v":2}' > f.json; echo '{"v":3}' > f.json`)
	if r := ada.refuse(5, "wait", ada.path("f.json"), "--peers", "1", "--timeout", "1s"); !strings.Contains(r.stderr, "bobs-machine") {
		t.Errorf("wait for nobody: got %q, want the name of who lacks it", r.stderr)
	}
	st := ada.status()
	if len(st.Behind) != 1 || st.Behind[0].Name != "bobs-machine" || st.Behind[0].Entries != 2 || st.Behind[0].LastSeen == nil {
		t.Errorf("behind: got %+v, want bob's machine by 2 entries", st.Behind)
	}

	begun := time.Now()
	waiting := ada.follow("wait", ada.path("f.json"), "--device", "bobs-machine", "--timeout", "2m")
	bob.start(bob.online...)
	if lines, code := waiting.rest(); code != 0 {
		t.Errorf("wait: got exit status %d, %q, %s", code, lines, waiting.errs.String())
	}
	t.Logf("bob's machine has it %v after its start", time.Since(begun).Round(time.Millisecond))
	if got := bob.canonical("f.json"); got != "{\"v\":3}\n" {
		t.Errorf("after wait bob has %s", got)
	}
	ada.becomes("synced", func(s spaceStatus) bool { return s.State == "synced" && len(s.Behind) == 0 })
}
