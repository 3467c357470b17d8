package sync_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/vnet"

	echosync "echofs/sync"
)

// roaming is a host that is at one of several places. What was opened at another
// place stays there, as sockets do that are bound to an address.
type roaming struct {
	transport.Net // of the first place, for what is the same at all
	at            atomic.Pointer[vnet.Net]
}

func roam(first *vnet.Net) *roaming {
	r := &roaming{Net: first}
	r.at.Store(first)
	return r
}

func (r *roaming) Interfaces() ([]*transport.Interface, error) { return r.at.Load().Interfaces() }

func (r *roaming) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	return r.at.Load().ListenUDP(network, addr)
}

func (r *roaming) ListenPacket(network, address string) (net.PacketConn, error) {
	return r.at.Load().ListenPacket(network, address)
}

// mobile returns a host that can be at two places, behind a NAT and on the open
// internet, and a function that moves it to the second. What goes to or from the
// place where it is not is lost.
func (v *virtual) mobile() (host *roaming, move func()) {
	first := v.behindAt(cone)
	second := v.open().(*vnet.Net)
	host = roam(first.net)
	var moved atomic.Bool
	v.wan.AddChunkFilter(func(c vnet.Chunk) bool {
		from, to := c.SourceAddr().(*net.UDPAddr), c.DestinationAddr().(*net.UDPAddr)
		return !moved.Load() || !from.IP.Equal(first.outside) && !to.IP.Equal(first.outside)
	})
	return host, func() {
		moved.Store(true)
		host.at.Store(second)
	}
}

// A device goes from Wi-Fi to another network in the middle of a transfer: it is
// connected again within seconds, and the transfer goes on where it was.
func TestMoveToAnotherNetwork(t *testing.T) {
	for _, c := range []struct {
		name  string
		mover int // whose device moves: the one that offers, and the one that asks
	}{{"one end", 0}, {"the other end", 1}} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, 25*time.Millisecond, func(t *testing.T, v *virtual) {
				s := shared(t, "ada", "ben")
				host, move := v.mobile()
				other := v.open()
				v.start()
				url, stopServer := v.serve("signal.example")
				opts := echosync.Options{Signal: []string{url}, ICE: nil}
				here, there := s[c.mover], s[1-c.mover]
				na, stopA := v.device(here.Vault(), host, opts)
				nb, stopB := v.device(there.Vault(), other, opts)
				within(t, 10*time.Second, "they meet", func() bool { return na.Connected(s[0].ID()) == 1 && nb.Connected(s[0].ID()) == 1 })
				first := na.Peers()[0].Since
				time.Sleep(5 * time.Second) // a link that is younger is not doubted
				move()
				there.Write([]byte("for who has moved"))
				took := within(t, 4*time.Second, "it arrives at the new place", has(here, there.Own(), 1))
				t.Logf("connected again after %v", took)
				if got := na.Peers(); len(got) != 1 || !got[0].Since.After(first) {
					t.Errorf("peers after the move: got %+v, want one by a new connection", got)
				}
				time.Sleep(time.Minute)
				if na.Connected(s[0].ID()) != 1 || nb.Connected(s[0].ID()) != 1 {
					t.Errorf("connections a minute later: got %d and %d, want one", na.Connected(s[0].ID()), nb.Connected(s[0].ID()))
				}
				stopA()
				stopB()
				stopServer()
				v.end()
			})
		})
	}
}
