package integration_test

import (
	"fmt"
	"testing"
)

// Two machines on one network share a space, and meet again after their cable
// was cut, without any server.
func TestLocalNetwork(t *testing.T) {
	h := newHub(t)
	newcomer := func(name string) *vault {
		v := makeVault(t, name)
		v.link = h.plug()
		v.start()
		return v
	}
	ada := newcomer("ada").in("shared")
	bob := ada.admit(newcomer("bob"))
	ada.sh(`echo '{"by":"ada"}' > a.json`)
	eventually(t, "bob has ada's file", patience, func() error { return want(bob.shell("cat a.json"), 0) })
	var peers []struct{ Path string }
	ada.json(&peers, "peers")
	if len(peers) != 1 || peers[0].Path != "lan" {
		t.Errorf("peers: got %+v, want one by lan", peers)
	}
	bob.link.cut()
	eventually(t, "ada knows that bob is away", patience, func() error {
		if s := ada.status(); s.Peers != 0 {
			return fmt.Errorf("got %d peers", s.Peers)
		}
		return nil
	})
	ada.sh(`echo '{"by":"ada"}' > b.json`)
	bob.link.mend()
	eventually(t, "bob has what was written meanwhile", patience, func() error { return want(bob.shell("cat b.json"), 0) })
}
