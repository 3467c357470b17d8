package sync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"echofs/echo"
	"echofs/echo/blob"
	"echofs/echo/echotest"
	"echofs/halo"
	echosync "echofs/sync"
)

// station is a vault whose network comes and goes.
type station struct {
	*echotest.Vault
	net  *echosync.Network
	stop func()
}

// station runs the network of a vault over repo, which stands for the vault's.
func runStation(tb testing.TB, v *echotest.Vault, url string, wrap func(echosync.Repo) echosync.Repo) *station {
	tb.Helper()
	repo := echosync.Vault(v.Repo)
	if wrap != nil {
		repo = wrap(repo)
	}
	n, err := echosync.New(repo, echosync.Options{Signal: []string{url}, Logger: testLogger("station")})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx)
	}()
	s := &station{Vault: v, net: n, stop: func() { cancel(); <-done }}
	tb.Cleanup(s.stop)
	return s
}

// relayStory is ada's space with a relay, and bob whom she has admitted.
type relayStory struct {
	url                string
	ada, bob, relay    *station
	adas, bobs, relays *echo.Space
	relayStore         *echotest.MemStore
	wrapRelay          func(echosync.Repo) echosync.Repo
}

func newRelayStory(t *testing.T, opts echo.Options, wrap func(echosync.Repo) echosync.Repo) *relayStory {
	t.Helper()
	r := &relayStory{relayStore: echotest.NewMemStore(), wrapRelay: wrap}
	r.url, _ = startSignal(t, "")
	ada, bob := echotest.NewVault(t, "ada", echo.Options{}), echotest.NewVault(t, "bob", echo.Options{})
	opts.Store = r.relayStore
	relay := echotest.NewVault(t, "relay", opts)
	var err error
	if r.adas, err = ada.CreateSpace(t.Context(), "secret-name"); err != nil {
		t.Fatal(err)
	}
	r.bobs = ada.Invite(r.adas, bob, halo.RoleEditor)
	r.ada = runStation(t, ada, r.url, nil)
	r.relay = runStation(t, relay, r.url, wrap)
	inv, err := r.ada.net.Invite(t.Context(), echosync.InviteOptions{Space: r.adas.ID(), Role: halo.RoleRelay})
	if err != nil {
		t.Fatal(err)
	}
	defer inv.Cancel()
	joined, err := r.relay.net.Join(timeout(t), inv.Code(), echosync.JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.relays, _ = relay.SpaceByID(joined.ID())
	r.bob = runStation(t, bob, r.url, nil)
	r.bob.net.SetOffline(true)
	return r
}

func (r *relayStory) acked(t *testing.T, from *echo.Space, by *station) {
	t.Helper()
	own := from.Own()
	waitFor(t, "acknowledgement of "+by.DeviceID().Short(), func() bool {
		return slices.Contains(from.AckedBy(own), by.DeviceID())
	})
}

// TestRelayBetweenTwo: two members who are never there at once.
func TestRelayBetweenTwo(t *testing.T) {
	r := newRelayStory(t, echo.Options{}, nil)
	if name := r.relays.Name(); name == "secret-name" {
		t.Errorf("the relay was told the space's name %s", name)
	}
	saveNow(t, r.ada.Vault, r.adas, "milk.json", `{"title":"Buy milk"}`)
	content := append([]byte{0xff, 0}, bytes.Repeat([]byte("film"), 1<<20)...)
	saveBlob(t, r.ada.Vault, r.adas, "film.bin", content)
	r.acked(t, r.adas, r.relay)
	waitFor(t, "chunks at the relay", func() bool {
		info, _ := r.relays.RelayInfo()
		return info.Bytes > int64(len(content)) && info.Wanted == 0
	})
	r.ada.net.SetOffline(true)
	r.bob.net.SetOffline(false)
	shows(t, r.bob.Vault, r.bobs, "milk.json", `{"title":"Buy milk"}`)
	n, err := r.bob.Lookup(r.bobs.Ino(), "film.bin")
	if err != nil {
		t.Fatal(err)
	}
	v, _ := n.Blob()
	reader, err := r.bob.OpenBlob(timeout(t), r.bobs.ID(), v)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(content))
	if _, err := reader.ReadAt(timeout(t), got, 0); err != nil || !bytes.Equal(got, content) {
		t.Errorf("bob reads other content: %v", err)
	}
	saveNow(t, r.bob.Vault, r.bobs, "milk.json", `{"title":"Buy milk","done":true}`)
	r.acked(t, r.bobs, r.relay)
	r.bob.net.SetOffline(true)
	r.ada.net.SetOffline(false)
	shows(t, r.ada.Vault, r.adas, "milk.json", `{"title":"Buy milk","done":true}`)
	if keys := r.relays.EpochKeys(); len(keys) != 0 {
		t.Errorf("the relay has %d epoch keys, want none", len(keys))
	}
}

// saveNow saves an object, which replicates when it returns.
func saveNow(tb testing.TB, v *echotest.Vault, space *echo.Space, name, content string) {
	tb.Helper()
	save(tb, v, space, name, content)
	n, err := v.Lookup(space.Ino(), name)
	if err == nil {
		err = v.Settle(tb.Context(), n.Ino)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func saveBlob(tb testing.TB, v *echotest.Vault, space *echo.Space, name string, content []byte) {
	tb.Helper()
	n, err := v.CreateFile(tb.Context(), space.Ino(), name, 0o644)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := v.SaveBlob(tb.Context(), echo.BlobSave{Ino: n.Ino, Content: wholeFile{bytes.NewReader(content)}, Rule: "test"}); err != nil {
		tb.Fatal(err)
	}
	if err := v.Settle(tb.Context(), n.Ino); err != nil {
		tb.Fatal(err)
	}
}

// wholeFile is a blob.Content of which everything is new.
type wholeFile struct{ *bytes.Reader }

func (c wholeFile) Size() int64            { return c.Reader.Size() }
func (c wholeFile) Base() *blob.Index      { return nil }
func (c wholeFile) Block(int64) blob.State { return blob.Changed }
func (c wholeFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return c.Reader.ReadAt(p, off)
}

// TestRelayHasNoRoom: the member is told, and what fitted is served.
func TestRelayHasNoRoom(t *testing.T) {
	r := newRelayStory(t, echo.Options{RelayQuota: echo.Quota{Space: 1 << 20, Device: 1 << 20}}, nil)
	saveNow(t, r.ada.Vault, r.adas, "milk.json", `{"title":"Buy milk"}`)
	r.acked(t, r.adas, r.relay)
	saveBlob(t, r.ada.Vault, r.adas, "film.bin", append([]byte{0xff, 0}, bytes.Repeat([]byte("film"), 1<<20)...))
	waitFor(t, "the relay to say that it is full", func() bool {
		return slices.ContainsFunc(r.ada.net.Peers(), func(p echosync.PeerInfo) bool { return p.NoRoom && p.Role == halo.RoleRelay })
	})
	r.ada.net.SetOffline(true)
	r.bob.net.SetOffline(false)
	shows(t, r.bob.Vault, r.bobs, "milk.json", `{"title":"Buy milk"}`)
}

// TestStaleRelay: a relay that is set back to an old state is noticed, and nothing
// goes back at those who know more.
func TestStaleRelay(t *testing.T) {
	r := newRelayStory(t, echo.Options{}, nil)
	saveNow(t, r.ada.Vault, r.adas, "milk.json", `{"n":1}`)
	r.acked(t, r.adas, r.relay)
	old := r.relayStore.AfterKill()
	saveNow(t, r.ada.Vault, r.adas, "milk.json", `{"n":2}`)
	r.acked(t, r.adas, r.relay)
	r.relay.stop()
	if err := r.relay.Close(); err != nil {
		t.Fatal(err)
	}
	r.ada.net.SetOffline(true)
	opts := r.relay.Opts
	opts.Store = old
	set := echotest.NewVault(t, "relay", opts)
	r.relay = runStation(t, set, r.url, nil)
	r.ada.net.SetOffline(false)
	waitFor(t, "the relay to be found stale", func() bool {
		return slices.ContainsFunc(r.ada.net.Peers(), func(p echosync.PeerInfo) bool { return p.Lost > 0 })
	})
	shows(t, r.ada.Vault, r.adas, "milk.json", `{"n":2}`)
}

// TestRelayBehindTheInvitation: a guest that meets only a relay which shows less
// than its host had knows that something is missing.
func TestRelayBehindTheInvitation(t *testing.T) {
	r := newRelayStory(t, echo.Options{}, nil)
	saveNow(t, r.ada.Vault, r.adas, "milk.json", `{"n":1}`)
	r.acked(t, r.adas, r.relay)
	r.relay.net.SetOffline(true)
	saveNow(t, r.ada.Vault, r.adas, "late.json", `{"n":2}`)
	waitFor(t, "a second object", func() bool {
		n, err := r.ada.Lookup(r.adas.Ino(), "late.json")
		return err == nil && n.Stage == echo.Settled
	})
	guest := runStation(t, echotest.NewVault(t, "guest", echo.Options{}), r.url, nil)
	inv, err := r.ada.net.Invite(t.Context(), echosync.InviteOptions{Space: r.adas.ID(), Role: halo.RoleReader})
	if err != nil {
		t.Fatal(err)
	}
	defer inv.Cancel()
	// Nothing but the invitation comes from ada.
	guest.stop()
	guest = runStation(t, guest.Vault, r.url, deaf)
	joined, err := guest.net.Join(timeout(t), inv.Code(), echosync.JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	space, _ := guest.SpaceByID(joined.ID())
	r.ada.net.SetOffline(true)
	guest.stop()
	guest = runStation(t, guest.Vault, r.url, nil)
	r.relay.net.SetOffline(false)
	shows(t, guest.Vault, space, "milk.json", `{"n":1}`)
	waitFor(t, "all that the relay has", func() bool {
		return slices.ContainsFunc(guest.net.Peers(), func(p echosync.PeerInfo) bool { return p.Ahead == 0 })
	})
	if got := space.BelowFloor(); got == 0 {
		t.Error("the guest does not know that something is missing")
	}
	r.ada.net.SetOffline(false)
	shows(t, guest.Vault, space, "late.json", `{"n":2}`)
	waitFor(t, "everything that the host had", func() bool { return space.BelowFloor() == 0 })
}

// deaf is a vault that takes no entries.
func deaf(r echosync.Repo) echosync.Repo {
	return altered{r, func(s echosync.Space) echosync.Space { return deafSpace{s} }}
}

type deafSpace struct{ echosync.Space }

func (s deafSpace) SetFloor(v echosync.Vector) error {
	return s.Space.(echosync.FloorKeeper).SetFloor(v)
}

func (deafSpace) Ingest(context.Context, halo.FeedID, uint64, [][]byte) (uint64, error) {
	return 0, errors.New("deaf")
}

// altered is a vault with other spaces.
type altered struct {
	echosync.Repo
	space func(echosync.Space) echosync.Space
}

func (a altered) Spaces() (list []echosync.Space) {
	for _, s := range a.Repo.Spaces() {
		list = append(list, a.space(s))
	}
	return list
}

func (a altered) SpaceByID(id halo.SpaceID) (echosync.Space, bool) {
	s, ok := a.Repo.SpaceByID(id)
	if !ok {
		return nil, false
	}
	return a.space(s), true
}

func (a altered) Join(ctx context.Context, id halo.SpaceID, name string, credentials [][]byte) (echosync.Space, error) {
	s, err := a.Repo.Join(ctx, id, name, credentials)
	if err != nil {
		return nil, err
	}
	return a.space(s), nil
}

// forger is a space of which one thing in entries is changed.
type forger struct {
	echosync.Space
	forge func([][]byte) [][]byte
}

func (f forger) Entries(feed halo.FeedID, from uint64, maxBytes int) ([][]byte, error) {
	list, err := f.Space.Entries(feed, from, maxBytes)
	return f.forge(list), err
}

// TestTamperingRelay: what a relay alters is refused, nothing of it is kept, and
// the truth comes from another.
func TestTamperingRelay(t *testing.T) {
	flip := func(at func(int) int) func([][]byte) [][]byte {
		return func(list [][]byte) [][]byte {
			for i, b := range list {
				list[i] = bytes.Clone(b)
				list[i][at(len(b))] ^= 1
			}
			return list
		}
	}
	for name, forge := range map[string]func([][]byte) [][]byte{
		"header":    flip(func(int) int { return 40 }),
		"signature": flip(func(n int) int { return n / 2 }),
		"payload":   flip(func(n int) int { return n - 1 }),
		"order": func(list [][]byte) [][]byte {
			out := slices.Clone(list)
			slices.Reverse(out)
			return out
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRelayStory(t, echo.Options{}, func(repo echosync.Repo) echosync.Repo {
				return altered{repo, func(s echosync.Space) echosync.Space { return forger{s, forge} }}
			})
			for i := range 3 {
				saveNow(t, r.ada.Vault, r.adas, "milk.json", fmt.Sprintf(`{"n":%d}`, i))
			}
			r.acked(t, r.adas, r.relay)
			r.ada.net.SetOffline(true)
			before, err := r.bobs.Vector()
			if err != nil {
				t.Fatal(err)
			}
			r.bob.net.SetOffline(false)
			waitFor(t, "the relay to be blamed", func() bool {
				return slices.Contains(r.bob.net.Blamed(), r.relay.DeviceID())
			})
			if after, err := r.bobs.Vector(); err != nil || len(after) != len(before) {
				t.Errorf("bob holds entries of %d feeds, %v, want %d", len(after), err, len(before))
			}
			r.ada.net.SetOffline(false)
			shows(t, r.bob.Vault, r.bobs, "milk.json", `{"n":2}`)
		})
	}
}
