package echo_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
)

// relayed is a space of ada, with a relay and with bob, who meet through it.
type relayed struct {
	*team
	relay      *echotest.Vault
	relaySpace *echo.Space
	store      *echotest.MemStore
	keys       *echotest.Keys
}

func newRelayed(t *testing.T, opts echo.Options) *relayed {
	t.Helper()
	keys, err := echotest.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	r := &relayed{team: newTeam(t, "ada", "bob"), store: echotest.NewMemStore(), keys: keys}
	opts.Store, opts.Keys = r.store, keys
	r.relay = echotest.NewVault(t, "relay", opts)
	r.relaySpace = r.vaults["ada"].Invite(r.spaces["ada"], r.relay, halo.RoleRelay)
	return r
}

// through lets a member exchange with the relay, chunks too.
func (r *relayed) through(name string) {
	r.t.Helper()
	s := r.spaces[name]
	echotest.Exchange(r.t, s, r.relaySpace)
	if _, err := s.LiveChunks(r.t.Context(), 0, func(list [][32]byte) error {
		return r.relaySpace.NameChunks(r.vaults[name].DeviceID(), list)
	}); err != nil && !errors.Is(err, echo.ErrNoRoom) {
		r.t.Fatal(err)
	}
	echotest.SendChunks(r.t, s, r.relaySpace)
	echotest.SendChunks(r.t, r.relaySpace, s)
}

// TestRelayHandsOn: two members who never meet get each other's files through a
// relay, which can read none of it.
func TestRelayHandsOn(t *testing.T) {
	r := newRelayed(t, echo.Options{})
	ada, bob := r.vaults["ada"], r.vaults["bob"]
	put(t, ada, "notes/MARKname.json", `{"text":"MARKbody"}`)
	content := binary("MARKblob", 3<<20)
	writeBlob(t, ada, "notes/MARKfile.bin", content, echo.BlobVersion{})
	settle(t, ada, "notes/MARKfile.bin")
	r.through("ada")
	r.through("bob")
	if got, want := show(t, bob, "notes/MARKname.json"), `{"text":"MARKbody"}`; strings.TrimSpace(got) != want {
		t.Errorf("bob shows %s, want %s", got, want)
	}
	n, err := bob.Resolve("notes/MARKfile.bin")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readBlob(bob, n); err != nil || !bytes.Equal(got, content) {
		t.Errorf("bob reads %d bytes, %v, want %d", len(got), err, len(content))
	}
	write(t, bob, "notes/MARKname.json", `{"text":"MARKbody","by":"bob"}`)
	r.through("bob")
	r.through("ada")
	if got := show(t, ada, "notes/MARKname.json"); !strings.Contains(got, "bob") {
		t.Errorf("ada shows %s, want bob's edit", got)
	}
	r.wantBlind("MARKname", "MARKbody", "MARKblob", "MARKfile", "ada-device", "bob-device")
}

// wantBlind checks that the relay shows nothing and that no key opens what it has.
func (r *relayed) wantBlind(marks ...string) {
	r.t.Helper()
	if keys := r.relaySpace.EpochKeys(); len(keys) != 0 || len(r.keys.EpochKeys(r.relaySpace.ID())) != 0 {
		r.t.Errorf("the relay has %d epoch keys, want none", len(keys))
	}
	if names := tree(r.t, r.relay, r.relaySpace.Ino()); len(names) != 0 {
		r.t.Errorf("the relay shows %q, want nothing", names)
	}
	err := r.store.Scan(nil, []byte{0xff}, func(k, v []byte) bool {
		for _, mark := range marks {
			if form, found := finds(slices.Concat(k, []byte{0}, v), mark); found {
				r.t.Errorf("the relay stores %q as %s under table %#x", mark, form, k[0])
			}
		}
		return true
	})
	if err != nil {
		r.t.Fatal(err)
	}
	report, err := r.relay.Fsck(r.t.Context(), false)
	if err != nil || len(report.Problems) > 0 {
		r.t.Errorf("fsck of the relay: %v %q", err, report.Problems)
	}
}

// finds looks for a mark as it is, in base64, hexadecimal and UTF-16.
// A mark has eight bytes at least, or it would be found by chance.
func finds(b []byte, mark string) (form string, found bool) {
	wide := make([]byte, 0, 2*len(mark))
	for _, u := range utf16.Encode([]rune(mark)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	forms := map[string]string{"text": mark, "hexadecimal": hex.EncodeToString([]byte(mark)), "UTF-16": string(wide)}
	for i := range 3 { // whatever stands before it
		s := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", i) + mark))
		forms["base64"] = s[(i*8+5)/6 : len(s)-2]
		if bytes.Contains(b, []byte(forms["base64"])) {
			return "base64", true
		}
	}
	for name, f := range forms {
		if bytes.Contains(bytes.ToLower(b), bytes.ToLower([]byte(f))) {
			return name, true
		}
	}
	return "", false
}

// TestRelayCannotWrite: it has no key to write with, and is told so.
func TestRelayCannotWrite(t *testing.T) {
	r := newRelayed(t, echo.Options{})
	if _, err := r.relay.CreateFile(t.Context(), r.relaySpace.Ino(), "a.json", 0); !errors.Is(err, echo.ErrReadOnly) {
		t.Errorf("create: got %v, want %v", err, echo.ErrReadOnly)
	}
	if err := r.relaySpace.Admit(t.Context(), r.vaults["bob"].IdentityCredentials(), r.vaults["bob"].DeviceID(), halo.RoleOwner); !errors.Is(err, halo.ErrNotAllowed) {
		t.Errorf("admit: got %v, want %v", err, halo.ErrNotAllowed)
	}
}

// TestMemberBecomesRelayAndBack: the new epoch is closed to it; what it stored
// meanwhile is opened when it becomes a member again.
func TestMemberBecomesRelayAndBack(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve")
	put(t, tm.vaults["ada"], "notes/old.json", `{"a":1}`)
	tm.meet("ada", "bob", "eve")
	role := func(role halo.Role) {
		t.Helper()
		if err := tm.spaces["ada"].SetRole(t.Context(), tm.vaults["bob"].IdentityID(), role); err != nil {
			t.Fatal(err)
		}
	}
	role(halo.RoleRelay)
	write(t, tm.vaults["bob"], "notes/old.json", `{"a":2}`) // it has not heard
	tm.meet("ada", "bob", "eve")
	put(t, tm.vaults["ada"], "notes/new.json", `{"b":1}`)
	tm.meet("ada", "bob", "eve")
	if got := tm.shown("bob"); got != "" {
		t.Errorf("the relay shows %s, want nothing", got)
	}
	state := tm.spaces["ada"].State()
	current, ok := state.CurrentEpoch()
	if _, have := keyOf(tm.spaces["bob"], current.ID); !ok || have {
		t.Errorf("the relay has the key of the current epoch: %v", have)
	}
	if got, want := tm.spaces["bob"].SwarmSecrets()[0], tm.spaces["ada"].SwarmSecrets()[0]; !got.Equal(want.Secret) {
		t.Error("the relay and ada would not meet")
	}
	tm.want(`new.json={"b":1} old.json={"a":1}`, "ada", "eve")

	role(halo.RoleEditor)
	tm.meet("ada", "bob", "eve")
	tm.want(`new.json={"b":1} old.json={"a":1}`, "ada", "bob", "eve")
	write(t, tm.vaults["bob"], "notes/new.json", `{"b":2}`)
	tm.meet("ada", "bob", "eve")
	tm.want(`new.json={"b":2} old.json={"a":1}`, "ada", "bob", "eve")
}

func keyOf(s *echo.Space, id halo.EpochID) (halo.EpochKey, bool) {
	for _, k := range s.EpochKeys() {
		if k.ID(s.ID()) == id {
			return k, true
		}
	}
	return halo.EpochKey{}, false
}

// TestRelayBecomesMember: a relay that never read opens all when it may.
func TestRelayBecomesMember(t *testing.T) {
	r := newRelayed(t, echo.Options{})
	for _, name := range []string{"a", "b", "c"} {
		put(t, r.vaults["ada"], "notes/"+name+".json", `{"n":1}`)
	}
	writeBlob(t, r.vaults["ada"], "notes/x.bin", binary("x", 2<<20), echo.BlobVersion{})
	settle(t, r.vaults["ada"], "notes/x.bin")
	r.through("ada")
	if err := r.spaces["ada"].SetRole(t.Context(), r.relay.IdentityID(), halo.RoleReader); err != nil {
		t.Fatal(err)
	}
	r.through("ada")
	if got, want := tree(t, r.relay, r.relaySpace.Ino()), []string{"a.json", "b.json", "c.json", "x.bin"}; !slices.Equal(got, want) {
		t.Fatalf("shows %q, want %q", got, want)
	}
	n, err := r.relay.Resolve(r.relaySpace.Name() + "/x.bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readBlob(r.relay, n); err != nil {
		t.Error(err)
	}
	if report, err := r.relay.Fsck(t.Context(), false); err != nil || len(report.Problems) > 0 {
		t.Errorf("fsck: %v %q", err, report.Problems)
	}
}

// TestRelayGetsTheSecretOfNewEpochs: also where the epoch began before its author
// had heard of the relay.
func TestRelayGetsTheSecretOfNewEpochs(t *testing.T) {
	r := newRelayed(t, echo.Options{})
	if err := r.spaces["bob"].Rotate(t.Context()); err != nil { // bob does not know of the relay
		t.Fatal(err)
	}
	r.meet("ada", "bob")
	r.through("bob")
	r.through("ada")
	if got, want := r.relaySpace.SwarmSecrets()[0], r.spaces["ada"].SwarmSecrets()[0]; !got.Equal(want.Secret) {
		t.Error("the relay was not told of the new epoch")
	}
	if err := r.spaces["ada"].Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.through("ada")
	if got, want := r.relaySpace.SwarmSecrets()[0], r.spaces["ada"].SwarmSecrets()[0]; !got.Equal(want.Secret) {
		t.Error("a rotation leaves the relay behind")
	}
	r.wantBlind("bob-device")
}

// TestRelayQuota: what goes beyond it is refused, survives a restart as an
// account, and what was stored before stays.
func TestRelayQuota(t *testing.T) {
	r := newRelayed(t, echo.Options{RelayQuota: echo.Quota{Space: 4 << 20, Device: 3 << 20}})
	writeBlob(t, r.vaults["ada"], "notes/one.bin", binary("1", 5<<19), echo.BlobVersion{})
	settle(t, r.vaults["ada"], "notes/one.bin")
	r.through("ada")
	info, ok := r.relaySpace.RelayInfo()
	if !ok || info.Bytes < 5<<19 || info.Bytes > 3<<20 || info.Wanted != 0 || info.Entries == 0 {
		t.Errorf("the relay keeps %+v, %v", info, ok)
	}
	writeBlob(t, r.vaults["ada"], "notes/two.bin", binary("2", 3<<20), echo.BlobVersion{})
	settle(t, r.vaults["ada"], "notes/two.bin")
	echotest.Exchange(t, r.spaces["ada"], r.relaySpace)
	var refused error
	_, err := r.spaces["ada"].LiveChunks(t.Context(), 0, func(list [][32]byte) error {
		return r.relaySpace.NameChunks(r.vaults["ada"].DeviceID(), list)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range r.relaySpace.WantedChunks(100, func([32]byte) bool { return false }) {
		sealed, err := r.spaces["ada"].Chunk(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		refused = errors.Join(refused, r.relaySpace.PutChunk(a, sealed))
	}
	if !errors.Is(refused, echo.ErrNoRoom) {
		t.Errorf("beyond the quota: got %v, want %v", refused, echo.ErrNoRoom)
	}
	before, _ := r.relaySpace.RelayInfo()
	if err := r.relay.Close(); err != nil {
		t.Fatal(err)
	}
	r.relay.Open()
	r.relaySpace, _ = r.relay.SpaceByID(r.relaySpace.ID())
	after, _ := r.relaySpace.RelayInfo()
	if after.Bytes != before.Bytes || after.Wanted != before.Wanted || before.Refused == 0 {
		t.Errorf("after a restart %+v, before %+v", after, before)
	}
	if before.Bytes > 3<<20 {
		t.Errorf("ada fills %d bytes, at most %d", before.Bytes, 3<<20)
	}
}

// TestRelayDropsWhatNobodyNames: but only while members say what counts.
func TestRelayDropsWhatNobodyNames(t *testing.T) {
	var ahead atomic.Int64 // of the relay's clock
	r := newRelayed(t, echo.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	saved := writeBlob(t, r.vaults["ada"], "notes/x.bin", binary("old", 2<<20), echo.BlobVersion{})
	settle(t, r.vaults["ada"], "notes/x.bin")
	r.through("ada")
	base, _ := saved.Node.Blob()
	ahead.Store(int64(100 * 24 * time.Hour))
	if freed, err := r.relaySpace.CollectChunks(context.Background(), 0); err != nil || freed != 0 {
		t.Errorf("while all are away it drops %d bytes, %v", freed, err)
	}
	writeBlob(t, r.vaults["ada"], "notes/x.bin", binary("new", 2<<20), base)
	r.through("ada")
	freed, err := r.relaySpace.CollectChunks(context.Background(), 0)
	if err != nil || freed < 2<<20 {
		t.Errorf("drops %d bytes, %v, want those of the old version", freed, err)
	}
	r.through("bob")
	n, err := r.vaults["bob"].Resolve("notes/x.bin")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readBlob(r.vaults["bob"], n); err != nil || !bytes.Equal(got, binary("new", 2<<20)) {
		t.Errorf("bob reads %d bytes, %v", len(got), err)
	}
}

// TestFloor: what the host had is remembered until it is here.
func TestFloor(t *testing.T) {
	tm := newTeam(t, "ada", "bob")
	put(t, tm.vaults["ada"], "notes/a.json", `{"a":1}`)
	v, err := tm.spaces["ada"].Vector()
	if err != nil {
		t.Fatal(err)
	}
	if err := tm.spaces["bob"].SetFloor(v); err != nil {
		t.Fatal(err)
	}
	if got := tm.spaces["bob"].BelowFloor(); got == 0 {
		t.Error("nothing is missing before it came")
	}
	tm.meet("ada", "bob")
	if got := tm.spaces["bob"].BelowFloor(); got != 0 {
		t.Errorf("%d entries are missing, want none", got)
	}
}

// TestRemovedMemberWithTheRelaysStore: what a relay holds of the time after a
// removal is of no use to who was removed, nor are the topics it knows.
func TestRemovedMemberWithTheRelaysStore(t *testing.T) {
	r := newRelayed(t, echo.Options{})
	put(t, r.vaults["ada"], "notes/before.json", `{"a":1}`)
	r.through("ada")
	r.through("bob")
	r.remove("ada", "bob")
	put(t, r.vaults["ada"], "notes/after.json", `{"secret":1}`)
	r.through("ada")
	echotest.Send(t, r.relaySpace, r.spaces["bob"])
	if got, want := r.shown("bob"), `before.json={"a":1}`; got != want {
		t.Errorf("bob shows %s, want %s", got, want)
	}
	current, ok := r.spaces["ada"].State().CurrentEpoch()
	if _, have := keyOf(r.spaces["bob"], current.ID); !ok || have {
		t.Errorf("bob has the key of the new epoch: %v", have)
	}
	topic := r.relaySpace.SwarmSecrets()[0].Topic(1)
	if slices.ContainsFunc(r.spaces["bob"].SwarmSecrets(), func(s halo.SwarmSecret) bool { return s.Topic(1) == topic }) {
		t.Error("bob knows where the others meet")
	}
}
