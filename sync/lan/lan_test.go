package lan_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"echofs/sync/lan"
)

func run(t *testing.T, port uint16) *lan.Finder {
	t.Helper()
	f := lan.New(lan.Options{Port: port, Loopback: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

func awaitPeer(t *testing.T, f *lan.Finder, ok func(lan.Peer) bool) lan.Peer {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if i := slices.IndexFunc(f.Peers(), ok); i >= 0 {
			return f.Peers()[i]
		}
		select {
		case <-f.Changed():
		case <-deadline:
			t.Fatalf("not in time; there are %v", f.Peers())
		}
	}
}

func TestFindAndFollowTags(t *testing.T) {
	one, two := lan.TagOf([20]byte{1}), lan.TagOf([20]byte{2})
	a := run(t, 1001)
	a.SetTags([]lan.Tag{one})
	b := run(t, 1002)
	has := func(name string, tag lan.Tag) func(lan.Peer) bool {
		return func(p lan.Peer) bool { return p.Instance == name && slices.Contains(p.Tags, tag) }
	}
	got := awaitPeer(t, b, has(a.Instance(), one))
	if want := []string{"ws://127.0.0.1:1001"}; !slices.Equal(got.URLs, want) {
		t.Errorf("got %q, want %q", got.URLs, want)
	}
	b.SetTags([]lan.Tag{two})
	awaitPeer(t, a, has(b.Instance(), two))
	a.SetTags([]lan.Tag{two})
	got = awaitPeer(t, b, has(a.Instance(), two))
	if slices.Contains(got.Tags, one) {
		t.Errorf("%s still announces a tag that it gave up", a.Instance())
	}
	if slices.ContainsFunc(a.Peers(), func(p lan.Peer) bool { return p.Instance == a.Instance() }) {
		t.Error("a finder finds itself")
	}
}
