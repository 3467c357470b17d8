package echo_test

import (
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
)

// A vault is put back to an earlier state behind its back and writes on: its feed
// forks. Whoever sees both entries proves it; the feed ends before them for
// everybody, what the device wrote after the fork is saved again in a new feed,
// and all come to the same.
func TestFeedForks(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve")
	store := echotest.NewMemStore()
	eve := echotest.NewVault(t, "eve", echo.Options{Store: store})
	tm.vaults["eve"] = eve
	tm.spaces["eve"] = tm.vaults["ada"].Invite(tm.spaces["ada"], eve, halo.RoleEditor)
	put(t, eve, "notes/plan.json", `{"a":1}`)
	tm.meet("ada", "bob", "eve")
	before := store.AfterKill()
	write(t, eve, "notes/plan.json", `{"a":2}`)
	put(t, eve, "notes/gone.json", `{"n":1}`)
	tm.meet("ada", "eve")

	opts := eve.Opts
	opts.Store = before
	back := echotest.NewVault(t, "eve", opts)
	tm.vaults["back"] = back
	tm.spaces["back"], _ = back.SpaceByID(tm.spaces["ada"].ID())
	write(t, back, "notes/plan.json", `{"a":1,"back":1}`)
	put(t, back, "notes/new.json", `{"n":2}`)
	echotest.Send(t, tm.spaces["back"], tm.spaces["bob"]) // who has not the other branch

	feed := tm.spaces["back"].Own()
	raw, err := tm.spaces["back"].Entries(oneFeed(feed), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tm.spaces["ada"].Ingest(t.Context(), oneFeed(feed), 0, raw); err != nil {
		t.Fatalf("entries of the other branch: %v", err)
	}
	if forks := tm.spaces["ada"].Forks(); len(forks) != 1 || forks[0].Author.Device != back.DeviceID() {
		t.Fatalf("forks at ada's: got %+v, want one of eve's device", forks)
	}
	for range 2 {
		for _, pair := range [][2]string{{"ada", "back"}, {"ada", "bob"}, {"back", "bob"}} {
			echotest.Exchange(t, tm.spaces[pair[0]], tm.spaces[pair[1]])
		}
	}
	tm.want(`new.json={"n":2} plan.json={"a":1,"back":1}`, "ada", "bob", "back")
	write(t, back, "notes/new.json", `{"n":3}`)
	for _, name := range []string{"ada", "bob"} {
		echotest.Exchange(t, tm.spaces["back"], tm.spaces[name])
	}
	tm.want(`new.json={"n":3} plan.json={"a":1,"back":1}`, "ada", "bob", "back")
}

// oneFeed returns the feed of a vector with one.
func oneFeed(v echo.Vector) (feed halo.FeedID) {
	for feed = range v {
	}
	return feed
}
