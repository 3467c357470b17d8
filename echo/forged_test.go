package echo_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/doc"
	"echofs/echo/engine/first"
	"echofs/halo"
)

// forger writes entries by hand into the feed of an editor, as a program would
// that checks nothing.
type forger struct {
	t     *testing.T
	tm    *team
	name  string
	feed  halo.FeedID
	next  uint64
	last  halo.EntryID
	epoch halo.EpochKey
}

func newForger(tm *team, name string) *forger {
	tm.t.Helper()
	s := tm.spaces[name]
	v, err := s.Vector()
	if err != nil {
		tm.t.Fatal(err)
	}
	feed := ownFeed(tm.t, s)
	at := v[feed]
	return &forger{t: tm.t, tm: tm, name: name, feed: feed, next: at.Next, last: at.Last, epoch: s.EpochKeys()[0]}
}

// ownFeed returns the feed of a vault in a space.
func ownFeed(t *testing.T, s *echo.Space) (feed halo.FeedID) {
	t.Helper()
	own := s.Own()
	for feed = range own {
	}
	if len(own) != 1 {
		t.Fatalf("%d own feeds, want one", len(own))
	}
	return feed
}

// entry signs a payload as the next of the feed, by whatever clock.
func (f *forger) entry(kind halo.Kind, plain []byte, at time.Time) []byte {
	f.t.Helper()
	e, err := halo.SealEntry(f.tm.vaults[f.name].DeviceKeys(), f.epoch, halo.Header{
		Space: f.tm.spaces[f.name].ID(), Feed: f.feed, Seq: f.next, Prev: f.last, Kind: kind,
		Auth: f.tm.spaces[f.name].CredentialHeads(), Time: uint64(at.UnixMilli()),
	}, plain)
	if err != nil {
		f.t.Fatal(err)
	}
	raw, err := e.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	f.next, f.last = f.next+1, e.ID
	return raw
}

// data is an entry of changes.
func (f *forger) data(at time.Time, changes ...halo.Change) []byte {
	f.t.Helper()
	plain, err := halo.Data{Changes: changes}.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	return f.entry(halo.KindData, plain, at)
}

// changesOf returns the changes that somebody has published.
func (f *forger) changesOf(who string) (out []halo.Change) {
	f.t.Helper()
	s := f.tm.spaces[who]
	raw, err := s.Entries(ownFeed(f.t, s), 1, 1<<20)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, b := range raw {
		e, err := halo.ParseEntry(b)
		if err != nil {
			f.t.Fatal(err)
		}
		plain, err := e.Open(f.epoch)
		if err != nil {
			f.t.Fatal(err)
		}
		d, err := halo.DecodeData(plain)
		if err != nil {
			f.t.Fatal(err)
		}
		out = append(out, d.Changes...)
	}
	return out
}

// A member signs what no honest program would: changes in the name of another,
// bombs, what is no change at all, dates of other centuries. It is void on every
// vault alike, and the honest go on.
func TestForgedEntriesAreVoid(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve")
	put(t, tm.vaults["bob"], "notes/plan.json", `{"a":1}`)
	put(t, tm.vaults["eve"], "notes/eve.json", `{"e":1}`)
	tm.meet("ada", "bob", "eve")
	f := newForger(tm, "eve")
	bobs := f.changesOf("bob")[0]
	theirs := [16]byte{1, 2, 3, 4, 5, 6, 0x50, 8, 0x80}
	put := []doc.Edit{{Op: doc.Put, Path: doc.Keys("a"), Value: doc.NewInt(666)}}
	inHisName, _, err := first.Write(doc.ActorID(halo.Actor(ownFeed(t, tm.spaces["bob"]), theirs, 0)), 0, "", put)
	if err != nil {
		t.Fatal(err)
	}
	own := func(branch uint16) doc.ActorID { return doc.ActorID(halo.Actor(f.feed, theirs, branch)) }
	otherBranch, _, err := first.Write(own(1), 0, "", put)
	if err != nil {
		t.Fatal(err)
	}
	payload := func(c doc.Change) []byte { return c.Bytes }
	forged := []halo.Change{
		bobs, // again, as her own
		{Doc: theirs, Bytes: payload(inHisName)},
		{Doc: theirs, Bytes: payload(otherBranch)}, // of an actor that another branch has
		{Doc: theirs, Bytes: []byte("no change at all")},
		{Doc: theirs, Bytes: payload(otherBranch)[:20]},
		{Doc: theirs, Bytes: append([]byte{0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 0}, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20)},
		{Doc: bobs.Doc, Bytes: bytes.Repeat([]byte{0x85, 0x6f, 0x4a, 0x83}, 1<<10)},
	}
	for _, name := range crashers(t) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 && len(b) < 1<<19 {
			forged = append(forged, halo.Change{Doc: theirs, Bytes: b})
		}
	}
	want := `eve.json={"e":1} plan.json={"a":1}`
	dates := []time.Time{time.Now(), time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)}
	from := f.next
	var raw [][]byte
	for i, c := range forged {
		raw = append(raw, f.data(dates[i%len(dates)], c))
	}
	raw = append(raw, f.entry(halo.KindData, []byte("not even data"), dates[0]), f.entry(halo.KindAdopt, []byte{1}, dates[0]))
	for _, name := range []string{"ada", "bob"} {
		next, err := tm.spaces[name].Ingest(t.Context(), f.feed, from, raw)
		if err != nil || next != f.next {
			t.Fatalf("%s: entries with good signatures: got %d, %v, want %d held", name, next, err, f.next)
		}
	}
	tm.want(want, "ada", "bob")
	if got := tm.audit("ada", echo.AuditVoid); got != len(raw) || tm.audit("bob", echo.AuditVoid) != got {
		t.Errorf("void: got %d and %d, want %d", got, tm.audit("bob", echo.AuditVoid), len(raw))
	}
	// The one in whose name it was done goes on, and so does everybody.
	write(t, tm.vaults["bob"], "notes/plan.json", `{"a":2}`)
	write(t, tm.vaults["ada"], "notes/eve.json", `{"e":2}`)
	tm.meet("ada", "bob")
	tm.want(`eve.json={"e":2} plan.json={"a":2}`, "ada", "bob")
}

// crashers returns the changes on which the core is known to end.
func crashers(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("engine/guard/testdata/crashers/*")
	if err != nil || len(names) == 0 {
		t.Fatalf("crashers: got %d, %v", len(names), err)
	}
	return names
}

// Whoever hands on entries can change none, nor put one into another feed or
// another place: the range is refused, nothing of it is kept, and the same from
// an honest member is taken.
func TestTamperedEntriesAreRefused(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve")
	tm.meet("ada", "bob", "eve")
	for _, content := range []string{`{"a":1}`, `{"a":2}`, `{"a":3}`} {
		put(t, tm.vaults["bob"], "notes/"+content[5:6]+".json", content)
	}
	put(t, tm.vaults["eve"], "notes/eve.json", `{"e":1}`)
	bobs, ada := tm.spaces["bob"], tm.spaces["ada"]
	feed := ownFeed(t, bobs)
	raw, err := bobs.Entries(feed, 0, 1<<20)
	if err != nil || len(raw) < 3 {
		t.Fatalf("entries: %d, %v", len(raw), err)
	}
	other, err := tm.spaces["eve"].Entries(ownFeed(t, tm.spaces["eve"]), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ada.Vector()
	if err != nil {
		t.Fatal(err)
	}
	from := v[feed].Next
	fresh := raw[from:]
	tampered := map[string][][]byte{
		"of another feed":        append(slices.Clone(fresh[:len(fresh)-1]), other[len(other)-1]),
		"without the one before": fresh[1:],
	}
	if len(fresh) > 1 {
		tampered["in another order"] = append([][]byte{fresh[1], fresh[0]}, fresh[2:]...)
	}
	for _, at := range []int{0, 5, 40, len(fresh[0]) / 2, len(fresh[0]) - 70, len(fresh[0]) - 1} {
		b := bytes.Clone(fresh[0])
		b[at] ^= 1
		tampered["with bit "+string(rune('a'+at%26))+" flipped"] = [][]byte{b}
	}
	for name, list := range tampered {
		if len(list) == 0 {
			continue
		}
		if _, err := ada.Ingest(t.Context(), feed, from, list); !errors.Is(err, echo.ErrPeerFault) {
			t.Errorf("entries %s: got %v, want %v", name, err, echo.ErrPeerFault)
		}
		if v, err := ada.Vector(); err != nil || v[feed].Next != from {
			t.Errorf("entries %s: %d are held, %v, want %d", name, v[feed].Next, err, from)
		}
	}
	if next, err := ada.Ingest(t.Context(), feed, from, fresh); err != nil || next != uint64(len(raw)) {
		t.Errorf("the honest ones: got %d, %v, want %d", next, err, len(raw))
	}
	tm.meet("ada", "bob", "eve")
	tm.want(tm.shown("bob"), "ada", "eve")
}

// A removed admin dates removals of everybody, and the admission of a puppet,
// before its own removal: no role changes on any vault, in any order of arrival.
func TestRemovedAdminsRevenge(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve", "joe")
	ctx := t.Context()
	eve, joe := tm.vaults["eve"].IdentityID(), tm.vaults["joe"].IdentityID()
	if err := tm.spaces["ada"].SetRole(ctx, eve, halo.RoleAdmin); err != nil {
		t.Fatal(err)
	}
	tm.meet("ada", "bob", "eve", "joe")
	if err := tm.spaces["ada"].RemoveMember(ctx, eve); err != nil {
		t.Fatal(err)
	}
	if err := tm.spaces["ada"].SetRole(ctx, joe, halo.RoleReader); err != nil {
		t.Fatal(err)
	}
	// Eve knows of nothing.
	evil := tm.spaces["eve"]
	for _, who := range []halo.IdentityID{joe, tm.vaults["bob"].IdentityID()} {
		if err := evil.RemoveMember(ctx, who); err != nil {
			t.Fatal(err)
		}
	}
	puppet := newTeam(t, "mallory").vaults["mallory"]
	tm.vaults["eve"].Invite(evil, puppet, halo.RoleEditor)
	link, err := evil.IssueLink(ctx, echo.LinkOptions{Role: halo.RoleEditor, MaxUses: 9, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	tm.meet("eve", "bob")
	tm.meet("ada", "bob", "joe")
	for _, name := range []string{"ada", "bob", "joe"} {
		state := tm.spaces[name].State()
		roles := []halo.Role{state.Role(tm.vaults["ada"].IdentityID()), state.Role(tm.vaults["bob"].IdentityID()), state.Role(joe), state.Role(eve), state.Role(puppet.IdentityID())}
		if want := []halo.Role{halo.RoleOwner, halo.RoleEditor, halo.RoleReader, halo.RoleNone, halo.RoleNone}; !slices.Equal(roles, want) {
			t.Errorf("%s: roles of ada, bob, joe, eve and the puppet: got %v, want %v", name, roles, want)
		}
		if _, known := state.Link(link.ID()); known {
			t.Errorf("%s: a link of a removed admin counts", name)
		}
		if epoch, ok := state.CurrentEpoch(); !ok || slices.Contains(epoch.Recipients, puppet.DeviceID()) {
			t.Errorf("%s: the puppet has the key of the epoch, or there is none: %v", name, ok)
		}
	}
}
