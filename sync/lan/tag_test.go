package lan_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/pion/mdns/v2"
	"pgregory.net/rapid"

	"echofs/sync/lan"
)

func TestTagsSurviveTheirEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tags []lan.Tag
		for n := range rapid.IntRange(0, 2*lan.MaxTags).Draw(t, "tags") {
			tags = append(tags, lan.TagOf([20]byte{byte(n), byte(n >> 8)}))
		}
		entries := lan.EncodeTags(tags)
		got := lan.DecodeTags(entries)
		if want := min(len(tags), lan.MaxTags); len(got) != want {
			t.Fatalf("%d tags of %d, want %d", len(got), len(tags), want)
		}
		for _, tag := range got {
			if !slices.Contains(tags, tag) {
				t.Fatalf("tag %v was not announced", tag)
			}
		}
		size := 0
		for _, e := range entries {
			if n := len(e.Key) + 1 + len(e.Value); n > 255 {
				t.Fatalf("an attribute of %d bytes", n)
			} else {
				size += n + 1
			}
		}
		if size > 1100 {
			t.Fatalf("%d bytes do not fit a datagram with the rest", size)
		}
	})
}

func FuzzTags(f *testing.F) {
	f.Add("t0", []byte("12345678"))
	f.Add("t", []byte{})
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		tags := lan.DecodeTags([]mdns.TXTEntry{{Key: key, Value: value}})
		if len(tags) > lan.MaxTags {
			t.Errorf("%d tags", len(tags))
		}
	})
}

// Nobody on the network can make a finder believe in addresses elsewhere, or
// remember without bounds.
func TestHostileAnnouncements(t *testing.T) {
	f := lan.New(lan.Options{Port: 1, Loopback: true})
	event := func(name, addr string, port uint16) mdns.ServiceEvent {
		return mdns.ServiceEvent{Addr: netip.MustParseAddr(addr),
			Instance: mdns.ServiceInstance{Instance: name, Service: lan.Service, Port: port}}
	}
	for _, e := range []mdns.ServiceEvent{
		event("0123456789abcdef", "8.8.8.8", 80), event("0123456789abcdef", "10.0.0.1", 80),
		event("0123456789abcdef", "127.0.0.1", 0), event("../../etc/passwd", "127.0.0.1", 80),
		event("", "127.0.0.1", 80), event(f.Instance(), "127.0.0.1", 80),
	} {
		if f.Heard(e); len(f.Peers()) != 0 {
			t.Fatalf("believes %+v", e)
		}
	}
	for i := range 2 * lan.MaxPeers {
		f.Heard(event(fmt.Sprintf("%016x", i), "127.0.0.1", 80))
		f.Heard(event(fmt.Sprintf("%016x", 0), "127.0.0.1", uint16(i+1)))
	}
	peers := f.Peers()
	if len(peers) != lan.MaxPeers {
		t.Errorf("remembers %d, want %d", len(peers), lan.MaxPeers)
	}
	if n := len(peers[0].URLs); n > 4 {
		t.Errorf("remembers %d addresses of one", n)
	}
}
