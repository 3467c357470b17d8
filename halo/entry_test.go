package halo_test

import (
	"bytes"
	"errors"
	"testing"

	"echofs/halo"
)

// feed is a chain of entries of one author.
type feed struct {
	id      halo.FeedID
	entries []*halo.Entry
}

// newFeed returns a feed with its first entry and n more.
func newFeed(tb testing.TB, s *space, by *person, key halo.EpochKey, n int) *feed {
	tb.Helper()
	first, err := halo.NewFeed(by.Issuer, s.Space(), key, s.AuthHeads(by.Identity), "", now)
	check(tb, err)
	f := &feed{first.Header.Feed, []*halo.Entry{first}}
	for range n {
		f.append(tb, s, by, key, halo.Data{Changes: []halo.Change{{Doc: [16]byte{1}, Bytes: []byte("change")}}})
	}
	return f
}

func (f *feed) append(tb testing.TB, s *space, by *person, key halo.EpochKey, d halo.Data) *halo.Entry {
	tb.Helper()
	plain, err := d.Encode()
	check(tb, err)
	last := f.entries[len(f.entries)-1]
	e, err := halo.SealEntry(by.keys, key, halo.Header{
		Space: s.Space(), Feed: f.id, Seq: last.Header.Seq + 1, Prev: last.ID, Auth: s.AuthHeads(by.Identity), Kind: halo.KindData,
	}, plain)
	check(tb, err)
	f.entries = append(f.entries, e)
	return e
}

func TestEntryGoesThroughBytes(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	key := s.rotate(t, nil)
	f := newFeed(t, s, alice, key, 2)

	pos := halo.Position{}
	for i, e := range f.entries {
		raw, err := e.Bytes()
		check(t, err)
		got, err := halo.ParseEntry(raw)
		check(t, err)
		if got.ID != e.ID {
			t.Errorf("entry %d: got id %v, want %v", i, got.ID, e.ID)
		}
		sign, err := s.Authorize(got.Header, alice.author())
		check(t, err)
		check(t, got.Verify(sign))
		pos, err = halo.VerifyRange(s.Space(), f.id, pos, []*halo.Entry{got}, sign)
		check(t, err)
		if _, err := got.Open(key); err != nil {
			t.Errorf("entry %d: Open: %v", i, err)
		}
	}
	plain, err := f.entries[0].Open(key)
	check(t, err)
	open, err := halo.OpenFeedOpen(f.entries[0].Header, plain)
	if err != nil || open.Device != alice.keys.ID() {
		t.Errorf("OpenFeedOpen: got %v, %v, want device %v", open.Device, err, alice.keys.ID())
	}
	plain, err = f.entries[1].Open(key)
	check(t, err)
	data, err := halo.DecodeData(plain)
	if err != nil || len(data.Changes) != 1 || !bytes.Equal(data.Changes[0].Bytes, []byte("change")) {
		t.Errorf("DecodeData: got %+v, %v, want the one change", data, err)
	}
}

func TestNoByteOfAnEntryCanChange(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	key := s.rotate(t, nil)
	e := newFeed(t, s, alice, key, 1).entries[1]
	raw, err := e.Bytes()
	check(t, err)
	sign := alice.keys.Public().Sign
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		got, err := halo.ParseEntry(changed)
		if err != nil {
			continue
		}
		if got.Verify(sign) == nil {
			t.Fatalf("byte %d changed and the entry still verifies", i)
		}
	}
}

func TestVerifyRangeRefuses(t *testing.T) {
	alice := newPerson(t)
	s := newSpace(t, alice)
	key := s.rotate(t, nil)
	f, other := newFeed(t, s, alice, key, 4), newFeed(t, s, alice, key, 4)
	e := f.entries
	forged := *e[4]
	forged.Sig[0] ^= 1
	tests := []struct {
		name    string
		pos     halo.Position
		entries []*halo.Entry
		want    error
	}{
		{"whole", halo.Position{}, e, nil},
		{"tail", halo.Position{Next: 2, Last: e[1].ID}, e[2:], nil},
		{"none", halo.Position{Next: 2, Last: e[1].ID}, nil, nil},
		{"gap", halo.Position{}, []*halo.Entry{e[0], e[2]}, halo.ErrBadChain},
		{"swap", halo.Position{}, []*halo.Entry{e[0], e[2], e[1]}, halo.ErrBadChain},
		{"other branch", halo.Position{Next: 1, Last: e[1].ID}, e[1:], halo.ErrBadChain},
		{"spliced", halo.Position{}, []*halo.Entry{e[0], other.entries[1]}, halo.ErrForeign},
		{"forged", halo.Position{}, append(e[:4:4], &forged), halo.ErrBadSignature},
	}
	for _, test := range tests {
		pos, err := halo.VerifyRange(s.Space(), f.id, test.pos, test.entries, alice.keys.Public().Sign)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if want := test.pos.Next + uint64(len(test.entries)); err == nil && pos.Next != want {
			t.Errorf("%s: got position %d, want %d", test.name, pos.Next, want)
		}
	}
}

func TestAuthorize(t *testing.T) {
	alice, bob, carol := newPerson(t), newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	s.set(t, bob, halo.RoleEditor)
	s.set(t, carol, halo.RoleReader)
	key := s.rotate(t, nil)
	before := newFeed(t, s, bob, key, 0).entries[0].Header

	if _, err := s.Authorize(before, bob.author()); err != nil {
		t.Errorf("an editor: got %v, want nil", err)
	}
	reader := newFeed(t, s, carol, key, 0).entries[0].Header
	if _, err := s.Authorize(reader, carol.author()); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("a reader: got %v, want ErrNotAllowed", err)
	}

	s.set(t, bob, halo.RoleReader)
	if _, err := s.Authorize(before, bob.author()); err != nil {
		t.Errorf("an editor who did not know of the demotion: got %v, want nil", err)
	}
	after := newFeed(t, s, bob, key, 0).entries[0].Header
	if _, err := s.Authorize(after, bob.author()); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("after the demotion: got %v, want ErrNotAllowed", err)
	}

	unknown := before
	unknown.Auth = []halo.CredentialID{{7}}
	if _, err := s.Authorize(unknown, bob.author()); !errors.Is(err, halo.ErrUnknown) {
		t.Errorf("unknown heads: got %v, want ErrUnknown", err)
	}

	s.rotate(t, map[halo.EpochID]halo.EpochKey{key.ID(s.Space()): key})
	stale := newFeed(t, s, alice, key, 0).entries[0].Header
	if _, err := s.Authorize(stale, alice.author()); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("under an old epoch: got %v, want ErrNotAllowed", err)
	}
}
