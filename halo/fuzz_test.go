package halo_test

import (
	"bytes"
	"strings"
	"testing"

	"echofs/halo"
)

func FuzzParseCredential(f *testing.F) {
	alice := newPerson(f)
	s := newSpace(f, alice)
	s.rotate(f, nil)
	s.set(f, newPerson(f), halo.RoleEditor)
	for _, c := range s.All() {
		f.Add(c.Bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := halo.ParseCredential(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Bytes(), raw) {
			t.Errorf("Bytes: got %x, want %x", c.Bytes(), raw)
		}
		again, err := halo.ParseCredential(c.Bytes())
		if err != nil || again.ID != c.ID {
			t.Errorf("parsed again: got %v, %v, want %v", again, err, c)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	alice := newPerson(f)
	s := newSpace(f, alice)
	for _, e := range newFeed(f, s, alice, s.rotate(f, nil), 1).entries {
		raw, err := e.Bytes()
		check(f, err)
		f.Add(raw)
		raw, err = e.HeaderBytes()
		check(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := halo.ParseEntry(raw)
		if err != nil {
			return
		}
		again, err := e.Bytes()
		if err != nil || !bytes.Equal(again, raw) {
			t.Errorf("Bytes: got %x, %v, want %x", again, err, raw)
		}
	})
}

func FuzzDecodeData(f *testing.F) {
	for _, d := range []halo.Data{
		{Changes: []halo.Change{{Doc: [16]byte{1}, Bytes: []byte("c"), Branch: 3}}, App: "org.example", Blobs: [][32]byte{{1}}},
		{Imports: []halo.Import{halo.NewImport([16]byte{1}, [][]byte{{1}, {2}})}},
	} {
		plain, err := d.Encode()
		check(f, err)
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		d, err := halo.DecodeData(plain)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil || !bytes.Equal(again, plain) {
			t.Errorf("Encode: got %x, %v, want %x", again, err, plain)
		}
	})
}

func FuzzDecodeAdopt(f *testing.F) {
	plain, err := halo.Adopt{Entries: []halo.EntryID{{1}, {2}}}.Encode()
	check(f, err)
	f.Add(plain)
	f.Fuzz(func(t *testing.T, plain []byte) {
		a, err := halo.DecodeAdopt(plain)
		if err != nil {
			return
		}
		if again, err := a.Encode(); err != nil || !bytes.Equal(again, plain) {
			t.Errorf("Encode: got %x, %v, want %x", again, err, plain)
		}
	})
}

func FuzzOpenFeedOpen(f *testing.F) {
	p := halo.FeedOpen{Device: halo.DeviceID{1}, Identity: halo.IdentityID{2}, Nonce: [16]byte{3}, App: "a"}
	plain, err := p.Encode()
	check(f, err)
	f.Add(plain)
	h := halo.Header{Feed: halo.NewFeedID(halo.SpaceID{}, p.Device, p.Nonce), Author: &halo.Author{Device: p.Device, Identity: p.Identity}}
	f.Fuzz(func(t *testing.T, plain []byte) {
		got, err := halo.OpenFeedOpen(h, plain)
		if err != nil {
			return
		}
		if again, err := got.Encode(); err != nil || !bytes.Equal(again, plain) {
			t.Errorf("Encode: got %x, %v, want %x", again, err, plain)
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	public := newDevice(f).Public()
	for _, m := range []halo.Message{
		&halo.Auth{Proof: [32]byte{1}},
		&halo.Offer{Kind: halo.InviteMember, Space: halo.SpaceID{1}, Role: halo.RoleEditor, Name: "n"},
		&halo.Join{Device: public.ID(), Keys: &public, Name: "Bob"},
		&halo.Sign{Body: []byte{1}}, &halo.Signed{}, &halo.Bundle{Credentials: [][]byte{{1}}},
		&halo.Admit{Floor: []halo.FeedMark{{Seq: 1}}, Hints: halo.Hints{URLs: []string{"u"}}},
		&halo.Ack{}, &halo.Refuse{Why: halo.RefuseBusy}, &halo.Resume{}, &halo.Wait{Over: true},
		&halo.Join{Device: public.ID(), Identity: [][]byte{{1}}, Claim: make([]byte, 128)},
		&halo.Past{Credentials: [][]byte{{1}}, More: true}, &halo.Reclaimed{Checkpoint: []byte{1}},
	} {
		raw, err := halo.EncodeMessage(m)
		check(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := halo.DecodeMessage(raw)
		if err != nil {
			return
		}
		again, err := halo.EncodeMessage(m)
		if err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%T: got %x, %v, want %x", m, again, err, raw)
		}
	})
}

func FuzzParseInvite(f *testing.F) {
	_, code := newInvite(f, "wss://signal.example.com")
	f.Add(code)
	f.Add(strings.ToUpper(code))
	f.Add("echofs1-0000000-00000000")
	f.Fuzz(func(t *testing.T, code string) {
		i, err := halo.ParseInvite(code)
		if err != nil {
			return
		}
		again, err := i.Code()
		check(t, err)
		j, err := halo.ParseInvite(again)
		if err != nil || j.Topic() != i.Topic() || !j.Expires.Equal(i.Expires) {
			t.Errorf("ParseInvite(Code): %v", err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add(halo.SpaceID{1, 2, 3}.String())
	f.Fuzz(func(t *testing.T, s string) {
		id, err := halo.ParseSpaceID(s)
		if err != nil {
			return
		}
		if again, err := halo.ParseSpaceID(id.String()); err != nil || again != id {
			t.Errorf("ParseSpaceID(String): got %v, %v, want %v", again, err, id)
		}
	})
}

func FuzzOpenKeystore(f *testing.F) {
	p := keyfile(f, 1)
	file, err := halo.SealKeystore(newKeystore(f), p)
	check(f, err)
	f.Add(file)
	f.Add(file[:40])
	f.Add([]byte("EFSK1\n\xa2\x01\x03\x05\x40"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := halo.OpenKeystore(file, p); err != nil && err != halo.ErrKeystore {
			t.Errorf("got %v, want ErrKeystore", err)
		}
	})
}

func FuzzDecodeDeviceKeys(f *testing.F) {
	raw, err := newDevice(f).Encode()
	check(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, err := halo.DecodeDeviceKeys(raw)
		if err != nil {
			return
		}
		if again, err := k.Encode(); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("Encode: got %x, %v, want %x", again, err, raw)
		}
	})
}

func FuzzDraftOf(f *testing.F) {
	alice := newPerson(f)
	d, err := alice.graph.Draft(alice.Issuer, &halo.Profile{Name: []byte("x")}, now)
	check(f, err)
	f.Add(d.Body())
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := halo.DraftOf(body)
		if err == nil && !bytes.Equal(d.Body(), body) {
			t.Errorf("Body: got %x, want %x", d.Body(), body)
		}
	})
}

func FuzzOpenLabel(f *testing.F) {
	key, err := halo.NewEpochKey()
	check(f, err)
	sealed, err := key.SealLabel(halo.SpaceID{}, "device", "laptop")
	check(f, err)
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if _, err := key.OpenLabel(halo.SpaceID{}, "device", sealed); err == nil {
			if _, err := halo.LabelEpoch(sealed); err != nil {
				t.Errorf("a label that opens has no epoch: %v", err)
			}
		}
	})
}

func FuzzParseLink(f *testing.F) {
	l, err := halo.NewLink(halo.SpaceID{1}, []string{"wss://signal.example.com"})
	check(f, err)
	text, err := l.URL()
	check(f, err)
	f.Add(text)
	f.Add("echofs://join/1#")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := halo.ParseLink(text)
		if err != nil {
			return
		}
		if again, err := l.URL(); err != nil || again != strings.TrimSpace(text) {
			t.Errorf("URL: got another than what was parsed, %v", err)
		}
	})
}

func FuzzOpenLinkMeeting(f *testing.F) {
	key, err := halo.NewEpochKey()
	check(f, err)
	l, err := halo.NewLink(halo.SpaceID{1}, nil)
	check(f, err)
	sealed, err := l.Meeting().Seal(key, halo.SpaceID{1})
	check(f, err)
	f.Add(sealed, "")
	f.Add([]byte{}, "x")
	f.Fuzz(func(t *testing.T, sealed []byte, plain string) {
		_, _ = halo.OpenLinkMeeting(key, halo.SpaceID{1}, sealed)
		if sealed, err := key.SealLabel(halo.SpaceID{1}, "link", plain); err == nil {
			_, _ = halo.OpenLinkMeeting(key, halo.SpaceID{1}, sealed)
		}
	})
}
