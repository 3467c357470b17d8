package sync_test

import (
	"bytes"
	"testing"
	"time"

	echosync "echofs/sync"
)

// TestBulkOverWebRTC moves a history while fresh entries pass it on the control
// lane.
func TestBulkOverWebRTC(t *testing.T) {
	url, _ := startSignal(t, "")
	s := shared(t, "ada", "ben")
	a, b := s[0], s[1]
	const size, count = 64 << 10, 64
	for range count {
		a.Write(bytes.Repeat([]byte("x"), size))
	}
	opts := echosync.Options{Signal: []string{url}}
	startNetwork(t, a.Vault(), opts)
	startNetwork(t, b.Vault(), opts)
	start := time.Now()
	await(t, b, "the first of the history", has(b, a.Own(), 1))
	b.Write([]byte("a fresh entry the other way"))
	await(t, a, "a fresh entry", has(a, b.Own(), 1))
	t.Logf("a fresh entry passed after %v", time.Since(start))
	await(t, b, "the history", has(b, a.Own(), count))
	took := time.Since(start)
	t.Logf("%d MiB in %v: %.1f MiB/s", size*count>>20, took, float64(size*count>>20)/took.Seconds())
}
