package signal_test

import (
	"bytes"
	"testing"

	"echofs/sync/signal"
	"echofs/sync/wire"
)

// FuzzRequest: what the server decodes encodes to the same bytes.
func FuzzRequest(f *testing.F) {
	for _, v := range []any{
		sub{Topic: topic, Self: signal.PeerID{1}},
		signal.Frame{Topic: topic, From: signal.PeerID{1}, To: &signal.PeerID{2}, Box: []byte("box")},
		signal.Frame{Topic: topic, From: signal.PeerID{1}, Box: []byte("box")},
		[]signal.Topic{topic},
	} {
		b, err := wire.Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := signal.DecodeRequest(b)
		if err != nil {
			return
		}
		again, err := wire.Encode(v)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x, %v", b, again, err)
		}
	})
}

// FuzzPlain: what a box may hold has one form.
func FuzzPlain(f *testing.F) {
	for _, m := range []signal.Message{
		{Kind: signal.Announce, Counter: 1},
		{Kind: signal.Offer, SDP: "v=0", Counter: 300},
		{Kind: signal.Candidate, Candidate: "candidate:1", Session: [16]byte{1}},
	} {
		b, err := wire.Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(signal.EncodePlain(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := signal.DecodePlain(b)
		if err != nil {
			return
		}
		plain, err := wire.Encode(m)
		if err != nil || !bytes.Equal(signal.EncodePlain(plain), b) {
			t.Fatalf("%x does not come back, %v", b, err)
		}
	})
}
