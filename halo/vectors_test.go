package halo_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"echofs/halo"
)

func repeated32(b byte) (out [32]byte) { copy(out[:], bytes.Repeat([]byte{b}, 32)); return out }
func repeated16(b byte) (out [16]byte) { copy(out[:], bytes.Repeat([]byte{b}, 16)); return out }

// TestKeySchedule fixes the derivations: who changes one of them cannot read
// what others wrote.
func TestKeySchedule(t *testing.T) {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(i)
	}
	key, err := halo.EpochKeyFromBytes(raw)
	check(t, err)
	space, feed, doc, device := halo.SpaceID(repeated32(1)), halo.FeedID(repeated32(2)), repeated16(3), halo.DeviceID(repeated32(4))
	epoch, swarm := key.ID(space), key.Swarm(space)
	topic := swarm.Topic(20780)
	actor, feedID := halo.Actor(feed, doc, 0), halo.NewFeedID(space, device, repeated16(5))
	branch := sha256.Sum256(append([]byte("echofs/v1/actor\x00"), append(append(feed[:], doc[:]...), 0, 0, 1, 2)...))
	branched := halo.Actor(feed, doc, 258)
	for _, v := range []struct {
		name, want string
		got        []byte
	}{
		{"epoch id", "75ba31c8c436f331d5192a69fef6a98c0213b97ed01fe620a3930eb498acf05c", epoch[:]},
		{"swarm secret", "4225912589026017322f90eee57b2f2c8a636050625141f05c8c8864809c888e", swarm.Bytes()},
		{"topic", "0db010d28b1773b9685d5e5237eb581b0e6148fd", topic[:]},
		{"signal key", "c80e4cad346741101b43b8064202f4bc98bcfed91a565c2d55c6b5e4af5db42d", swarm.SignalKey(topic).Bytes()},
		{"noise psk", "a3f590f6e057f9e344cadaa66345bc45234459a2a16a4f64adfedbe32f228bcb", swarm.NoisePSK().Bytes()},
		{"payload key", "a02ebfb76afc9a7d007bbeddef930123dae4d9a95a570d1a390eea0364164e09", key.PayloadKey(feed).Bytes()},
		{"actor", "82b8cd36fc706f7bf02c5937d291e261", actor[:]},
		{"actor of branch 258", hex.EncodeToString(branch[:16]), branched[:]},
		{"feed id", "ae3b5df94cf5d2075137404d7715df21a06bb079a98bf85e6e0482c8ba343c8f", feedID[:]},
	} {
		if got := hex.EncodeToString(v.got); got != v.want {
			t.Errorf("%s: got %s, want %s", v.name, got, v.want)
		}
	}
}

func TestRootKeysFromPhrase(t *testing.T) {
	phrase := strings.Repeat("abandon ", 23) + "art"
	root, err := halo.RootKeysFromPhrase(phrase, "")
	check(t, err)
	public := root.Public()
	if got, want := hex.EncodeToString(public.Sign[:]), "ae0fa0bd7b5fca19d1fa8d66cec69e0877209ad175a3e38cebf764616a3165d3"; got != want {
		t.Errorf("root signature key: got %s, want %s", got, want)
	}
	sum := sha256.Sum256(public.KEM)
	if got, want := hex.EncodeToString(sum[:]), "15fec1643ca846448a672f2c807250e79e8d1d119a44a1ce80a178f99bf2adc5"; got != want || len(public.KEM) != 1216 {
		t.Errorf("root receiving key: got %s of %d bytes, want %s of 1216", got, len(public.KEM), want)
	}
	other, err := halo.RootKeysFromPhrase("  "+strings.ToUpper(phrase), "x")
	check(t, err)
	if other.Public().Sign == public.Sign {
		t.Error("a passphrase changes nothing")
	}
	if _, err := halo.RootKeysFromPhrase(strings.Repeat("zoo ", 11)+"wrong", ""); err == nil {
		t.Error("a phrase of 12 words: got no error")
	}
}
