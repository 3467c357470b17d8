package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// cable is a vault's connection to the others, in a network namespace of its
// own. Cutting it is what happens to people in trains: the daemon goes on.
type cable struct {
	tb   testing.TB
	name string // of the namespace, and of the end in the hub
	hub  *hub
}

func (c *cable) enter() []string { return []string{"nsenter", "--net=/run/netns/" + c.name} }
func (c *cable) cut()            { c.tb.Helper(); c.hub.ip("-n", c.hub.name, "link", "set", c.name, "down") }
func (c *cable) mend()           { c.tb.Helper(); c.hub.ip("-n", c.hub.name, "link", "set", c.name, "up") }

// hub is a network to which vaults are connected by cables.
type hub struct {
	tb     testing.TB
	name   string
	prefix string // of its addresses
	count  int
}

// The addresses of a network at home, and of the internet.
const (
	private = "10.213.77."
	public  = "203.0.113."
)

// hubs counts the networks that were made.
var hubs atomic.Int32

// newHub makes a network that no other process sees. The test is skipped where
// that is not allowed.
func newHub(tb testing.TB) *hub {
	tb.Helper()
	h := tryHub(tb, private)
	if h == nil {
		tb.Skip("no network of our own: ip netns add is not allowed here")
	}
	return h
}

// tryHub makes a network, or returns nil where that is not allowed.
func tryHub(tb testing.TB, prefix string) *hub {
	tb.Helper()
	for _, p := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(p); err != nil {
			return nil
		}
	}
	h := &hub{tb: tb, prefix: prefix, name: fmt.Sprintf("ef%d%c", os.Getpid(), 'a'+rune(hubs.Add(1)-1)%26)}
	if r := do(tb, patience, os.Environ(), "ip", "netns", "add", h.name); r.code != 0 {
		return nil
	}
	tb.Cleanup(func() { h.ip("netns", "del", h.name) })
	h.ip("-n", h.name, "link", "set", "lo", "up")
	h.ip("-n", h.name, "link", "add", "br0", "type", "bridge")
	h.ip("-n", h.name, "addr", "add", h.at(1)+"/24", "dev", "br0")
	h.ip("-n", h.name, "link", "set", "br0", "up")
	return h
}

// at returns an address of the hub's network; the hub's own is the first.
func (h *hub) at(n int) string { return h.prefix + strconv.Itoa(n) }

func (h *hub) ip(args ...string) {
	h.tb.Helper()
	if r := do(h.tb, patience, os.Environ(), "ip", args...); r.code != 0 {
		h.tb.Fatalf("%s", r)
	}
}

// plug makes a network namespace with a cable to the hub.
func (h *hub) plug() *cable {
	h.tb.Helper()
	h.count++
	c := &cable{h.tb, fmt.Sprintf("%s-%d", h.name, h.count), h}
	h.ip("netns", "add", c.name)
	h.tb.Cleanup(func() { h.ip("netns", "del", c.name) })
	h.ip("-n", h.name, "link", "add", c.name, "type", "veth", "peer", "name", "eth0", "netns", c.name)
	h.ip("-n", h.name, "link", "set", c.name, "master", "br0", "up")
	h.ip("-n", c.name, "link", "set", "lo", "up")
	h.ip("-n", c.name, "addr", "add", h.at(1+h.count)+"/24", "dev", "eth0")
	h.ip("-n", c.name, "link", "set", "eth0", "up")
	return c
}

// rendezvous is where vaults find each other.
type rendezvous struct {
	url string
	s   *stream
}

// signalServer starts a rendezvous on the loopback interface.
func signalServer(tb testing.TB) *rendezvous {
	tb.Helper()
	return listen(tb, nil, "127.0.0.1:0")
}

// signalServer starts the hub's rendezvous.
func (h *hub) signalServer() *rendezvous {
	h.tb.Helper()
	return listen(h.tb, []string{"nsenter", "--net=/run/netns/" + h.name}, h.at(1)+":0")
}

func listen(tb testing.TB, prefix []string, address string, flags ...string) *rendezvous {
	tb.Helper()
	args := slices.Concat(prefix, []string{program, "signal", "--listen", address, "--json"}, flags)
	r := &rendezvous{s: follow(tb, time.Hour, append(os.Environ(), "GORACE=atexit_sleep_ms=0"), args[0], args[1:]...)}
	var bound struct{ URL string }
	r.s.next(&bound)
	r.url = bound.URL
	return r
}

// vault makes a vault that meets others by this rendezvous.
func (r *rendezvous) vault(tb testing.TB, name string) *vault {
	tb.Helper()
	return newVault(tb, name, "--signal", r.url, "--no-lan")
}

// vault makes a vault that is connected to the hub.
func (h *hub) vault(r *rendezvous, name string) *vault {
	h.tb.Helper()
	v := makeVault(h.tb, name)
	v.link = h.plug()
	v.online = []string{"--signal", r.url, "--no-lan"}
	v.start(v.online...)
	return v
}

// invitation is what `invite --json` prints first.
type invitation struct {
	Code     string
	AuthCode string `json:"auth_code"`
	Expires  time.Time
}

// invite hosts an invitation to the vault's space.
func (v *vault) invite(flags ...string) (invitation, *stream) {
	v.tb.Helper()
	s := v.follow(append([]string{"invite", v.space}, flags...)...)
	var inv invitation
	if s.next(&inv); inv.Code == "" {
		v.tb.Fatalf("invite: no code: %s", s.lines.Text())
	}
	return inv, s
}

// admit brings another vault into the space, and returns it at work there.
func (v *vault) admit(guest *vault, flags ...string) *vault {
	v.tb.Helper()
	inv, host := v.invite(flags...)
	guest.run("join", inv.Code, "--auth-code", inv.AuthCode, "--json")
	if lines, code := host.rest(); code != 0 {
		v.tb.Fatalf("invite ended with %d: %q %s", code, lines, host.errs.String())
	}
	v.peers(1)
	return &vault{guest.machine, v.space}
}

// peers waits until at least n devices are connected in the space.
func (v *vault) peers(n int) {
	v.tb.Helper()
	eventually(v.tb, fmt.Sprintf("%s meets %d", v.name, n), patience, func() error {
		if s := v.status(); s.Peers < n {
			return fmt.Errorf("got %d peers: %+v", s.Peers, s)
		}
		return nil
	})
}

// pair makes two vaults that share the space "shared".
func pair(tb testing.TB) (ada, bob *vault) {
	tb.Helper()
	r := signalServer(tb)
	ada = r.vault(tb, "ada").in("shared")
	return ada, ada.admit(r.vault(tb, "bob"))
}

// everybody waits until all vaults show the same of a file, and returns it.
func everybody(tb testing.TB, file string, limit time.Duration, ok func(canonical string) error, vaults ...*vault) time.Duration {
	tb.Helper()
	return eventually(tb, "everybody has the same "+file, limit, func() error {
		first := vaults[0].try("show", vaults[0].path(file), "--canonical")
		for _, v := range vaults[1:] {
			if r := v.try("show", v.path(file), "--canonical"); r.code != 0 || r.stdout != first.stdout {
				return fmt.Errorf("%s has %s%s, %s has %s%s", vaults[0].name, first.stdout, first.stderr, v.name, r.stdout, r.stderr)
			}
		}
		if first.code != 0 {
			return fmt.Errorf("%s", first)
		}
		return ok(first.stdout)
	})
}
