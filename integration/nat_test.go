package integration_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// router is a home router: a network namespace with a cable to the internet, and
// one to the only machine at home, which it hides behind its own address.
type router struct {
	*cable
	lan string // the first three numbers of the addresses at home
}

// homeRouter makes a router as people have them: what comes in unasked is
// dropped. One that is symmetric gives each connection another port outside.
func (h *hub) homeRouter(lan string, symmetric bool) *router {
	h.tb.Helper()
	r := &router{h.plug(), lan}
	masquerade := "masquerade"
	if symmetric {
		masquerade = "masquerade random,fully-random"
	}
	rules := `add table ip home
add chain ip home out { type nat hook postrouting priority 100; }
add rule ip home out oifname "eth0" ` + masquerade + `
add chain ip home in { type filter hook input priority 0; policy drop; }
add rule ip home in iifname != "eth0" accept
add rule ip home in ct state established,related accept
add chain ip home through { type filter hook forward priority 0; policy drop; }
add rule ip home through iifname != "eth0" accept
add rule ip home through ct state established,related accept
`
	script := "echo 1 > /proc/sys/net/ipv4/ip_forward && nft -f - <<'EOF'\n" + rules + "EOF\n"
	if res := do(h.tb, patience, os.Environ(), "nsenter", "--net=/run/netns/"+r.name, "sh", "-c", script); res.code != 0 {
		missing(h.tb, "no NAT of our own: "+res.String())
	}
	return r
}

// machine makes the machine at home.
func (r *router) machine() *cable {
	r.tb.Helper()
	h := r.hub
	h.count++
	c := &cable{r.tb, fmt.Sprintf("%s-%d", h.name, h.count), h}
	h.ip("netns", "add", c.name)
	h.tb.Cleanup(func() { h.ip("netns", "del", c.name) })
	h.ip("-n", r.name, "link", "add", "home", "type", "veth", "peer", "name", "eth0", "netns", c.name)
	h.ip("-n", r.name, "addr", "add", r.lan+".1/24", "dev", "home")
	h.ip("-n", r.name, "link", "set", "home", "up")
	h.ip("-n", c.name, "link", "set", "lo", "up")
	h.ip("-n", c.name, "addr", "add", r.lan+".2/24", "dev", "eth0")
	h.ip("-n", c.name, "link", "set", "eth0", "up")
	h.ip("-n", c.name, "route", "add", "default", "via", r.lan+".1")
	return c
}

// Two people behind home routers share a space: directly where a STUN server can
// tell them how they look from outside, and else through a TURN server. Both come
// with the rendezvous.
func TestBehindRouters(t *testing.T) {
	need(t, "nft")
	for _, c := range []struct {
		name      string
		symmetric bool
		server    string
		path      string
	}{{"direct", false, "--stun", "direct"}, {"relayed", true, "--turn", "relay"}} {
		t.Run(c.name, func(t *testing.T) {
			h := tryHub(t, public)
			if h == nil {
				t.Skip("no network of our own: ip netns add is not allowed here")
			}
			meet := listen(t, []string{"nsenter", "--net=/run/netns/" + h.name}, h.at(1)+":0", c.server, h.at(1)+":3478")
			at := func(name, lan string) *vault {
				v := makeVault(t, name)
				v.link = h.homeRouter(lan, c.symmetric).machine()
				v.online = []string{"--signal", meet.url, "--no-lan"}
				v.start(v.online...)
				return v
			}
			ada := at("ada", "192.168.10").in("shared")
			bob := ada.admit(at("bob", "192.168.20"))
			ada.sh(`echo '{"by":"ada"}' > a.json`)
			eventually(t, "bob has ada's file", patience, func() error { return want(bob.shell("cat a.json"), 0) })
			for _, v := range []*vault{ada, bob} {
				var peers []struct{ Path string }
				if v.json(&peers, "peers"); len(peers) != 1 || peers[0].Path != c.path {
					t.Errorf("peers of %s: got %+v, want one by %s", v.name, peers, c.path)
				}
				if got := v.run("peers"); !strings.Contains(got, c.path) {
					t.Errorf("peers of %s: got %q, want the way", v.name, got)
				}
			}
		})
	}
}

// A machine goes on under another address, as one does that leaves a Wi-Fi: its
// daemon meets the others again, and what was written meanwhile is there.
func TestAddressChanges(t *testing.T) {
	h := newHub(t)
	r := h.signalServer()
	ada := h.vault(r, "ada").in("shared")
	bob := ada.admit(h.vault(r, "bob"))
	ada.sh(`echo '{"v":1}' > a.json`)
	eventually(t, "bob has the file", patience, func() error { return want(bob.shell("cat a.json"), 0) })
	h.ip("-n", bob.link.name, "addr", "flush", "dev", "eth0")
	h.ip("-n", bob.link.name, "addr", "add", h.at(200)+"/24", "dev", "eth0")
	ada.sh(`echo '{"v":2}' > b.json`)
	took := eventually(t, "bob has what was written meanwhile", patience, func() error { return want(bob.shell("cat b.json"), 0) })
	t.Logf("under another address after %v", took)
	bob.sh(`echo '{"v":3}' > c.json`)
	eventually(t, "ada has what bob writes", patience, func() error { return want(ada.shell("cat c.json"), 0) })
}
