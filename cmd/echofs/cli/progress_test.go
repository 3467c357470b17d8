package cli

import (
	"testing"

	"echofs/cmd/echofs/control"
)

func TestSyncLine(t *testing.T) {
	total, eta := uint64(200), 75.0
	for _, c := range []struct {
		s    control.SyncStatus
		want string
	}{
		{control.SyncStatus{Entries: 7, Rate: 2048}, "7 entries, of a number that is not known yet, 2 KiB/s"},
		{control.SyncStatus{Entries: 100, Total: &total, ETA: &eta}, "[###############...............] 100 of 200 entries, 0 KiB/s, 1m15s left"},
		{control.SyncStatus{Entries: 0, Total: &total}, "[..............................] 0 of 200 entries, 0 KiB/s, time left not known"},
		{control.SyncStatus{Entries: 200, Total: &total}, "[##############################] 200 of 200 entries, 0 KiB/s, done"},
	} {
		if got := syncLine(c.s); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
