package sync

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"echofs/halo"
)

// The times between attempts to reach a device.
const (
	retryFirst = 20 * time.Millisecond // after a loss, then doubling
	retryMost  = 30 * time.Second
	refusedFor = 30 * time.Second // after a peer said that we are no member
	faultFirst = time.Minute      // after a fault, then doubling
	faultMost  = 24 * time.Hour
	faultAlarm = 3 // faults after which the device is named loudly
)

// backoff returns the time to wait before attempt number n, from 1: random
// between half and one and a half of first*2^(n-1).
func backoff(first, most time.Duration, n int) time.Duration {
	d := most
	if n < 30 {
		d = min(first<<max(n-1, 0), most)
	}
	return d/2 + rand.N(d)
}

// misdeeds is what is remembered of a device that broke the protocol.
type misdeeds struct {
	count int
	until time.Time // no connection before
}

// maxMisdeeds bounds the memory: members are few, and only a device that
// proved its key gets here.
const maxMisdeeds = 4096

// punish takes note of a fault.
func (n *Network) punish(device halo.DeviceID, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.faults[device]
	if m.count == 0 && len(n.faults) >= maxMisdeeds {
		return
	}
	m.count++
	m.until = time.Now().Add(backoff(faultFirst, faultMost, m.count))
	n.faults[device] = m
	level := n.logger.Warn
	if m.count >= faultAlarm {
		level = n.logger.Error
	}
	level("a device breaks the protocol", "device", device.String(), "times", m.count, "err", err)
}

// shunned reports whether a device has to wait because of its faults.
func (n *Network) shunned(device halo.DeviceID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Before(n.faults[device].until)
}

// Blamed returns the devices that sent what no correct device sends, since the
// network was made, sorted: what they sent was refused.
func (n *Network) Blamed() []halo.DeviceID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.SortedFunc(maps.Keys(n.faults), compareDevices)
}
