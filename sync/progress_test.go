package sync_test

import (
	"testing"
	"time"

	"echofs/echo"
	echosync "echofs/sync"
)

func TestMeter(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	total, rate := echosync.Metered(start, []uint64{10, 20, 0, 30, 40}, start.Add(5*time.Second))
	if total != 100 || rate != 20 {
		t.Errorf("total %d, rate %v, want 100 and 20 a second", total, rate)
	}
	if _, rate := echosync.Metered(start, []uint64{10, 20, 0, 30, 40}, start.Add(time.Minute)); rate != 0 {
		t.Errorf("a minute later the rate is %v, want 0", rate)
	}
}

func TestETA(t *testing.T) {
	for name, c := range map[string]struct {
		p    echosync.Progress
		want time.Duration
		ok   bool
	}{
		"unknown total": {echosync.Progress{Entries: 5, EntryRate: 10}, 0, false},
		"no rate":       {echosync.Progress{Entries: 5, Total: 10, Known: true}, 0, false},
		"under way":     {echosync.Progress{Entries: 5, Total: 10, Known: true, EntryRate: 10}, 500 * time.Millisecond, true},
		"done":          {echosync.Progress{Entries: 10, Total: 10, Known: true}, 0, true},
	} {
		if got, ok := c.p.ETA(); got != c.want || ok != c.ok {
			t.Errorf("%s: got %v, %v, want %v, %v", name, got, ok, c.want, c.ok)
		}
	}
}

// TestProgress: nothing is said of the total before a device has told what it
// has; when all has come, all is accounted for.
func TestProgress(t *testing.T) {
	r := newRelayStory(t, echo.Options{}, nil)
	saveNow(t, r.ada.Vault, r.adas, "milk.json", `{"title":"Buy milk"}`)
	r.acked(t, r.adas, r.relay)
	if _, ok := r.bob.net.Progress(r.bobs.ID()); ok {
		t.Error("there is a progress while the network is offline")
	}
	r.bob.net.SetOffline(false)
	waitFor(t, "bob to have everything", func() bool {
		p, ok := r.bob.net.Progress(r.bobs.ID())
		if ok && !p.Known && p.Missing() != 0 {
			t.Errorf("unknown, and %d entries are missing", p.Missing())
		}
		return ok && p.Known && p.Missing() == 0 && p.Received > 0 && p.Bytes > 0 && p.Entries == p.Total
	})
}
