package sync

import (
	"sync/atomic"
	"time"

	"echofs/halo"
)

// Progress tells how the sync of a space goes: what has come, and what is known
// to be still to come.
type Progress struct {
	Entries uint64 // held here
	// Total is how many entries there are, as far as the connected devices have
	// told; Known is false while none has, and Total is no number then.
	Total uint64
	Known bool
	// Received and Bytes are the entries that came, and the bytes of entries and
	// chunks, since the network began to run.
	Received uint64
	Bytes    uint64
	// EntryRate and ByteRate are a second's, over the last seconds.
	EntryRate, ByteRate float64
}

// Missing returns how many entries are known to be still to come.
func (p Progress) Missing() uint64 {
	if !p.Known || p.Total < p.Entries {
		return 0
	}
	return p.Total - p.Entries
}

// ETA returns when the missing entries will have come if they go on as they do;
// false where that cannot be said.
func (p Progress) ETA() (time.Duration, bool) {
	if !p.Known || p.EntryRate <= 0 || p.Missing() == 0 {
		return 0, p.Known && p.Missing() == 0
	}
	return time.Duration(float64(p.Missing()) / p.EntryRate * float64(time.Second)), true
}

// meter counts events, in all and for a rate. Adding to it takes no lock.
type meter struct {
	total   atomic.Uint64
	buckets [meterSeconds]bucket // by second
}

// meterSeconds is for how many seconds a meter remembers; the running one does
// not count for the rate.
const meterSeconds = 6

// bucket is one second. While it is taken for a new second, what others add in
// that moment may be lost to the rate, and is not to the total.
type bucket struct {
	second atomic.Int64
	count  atomic.Uint64
}

func (m *meter) add(n uint64, now time.Time) {
	m.total.Add(n)
	second := now.Unix()
	b := &m.buckets[second%meterSeconds]
	if old := b.second.Load(); old != second && b.second.CompareAndSwap(old, second) {
		b.count.Store(0)
	}
	b.count.Add(n)
}

// rate returns how much a second there was in the last full seconds.
func (m *meter) rate(now time.Time) float64 {
	second, sum := now.Unix(), uint64(0)
	for i := range m.buckets {
		if s := m.buckets[i].second.Load(); s < second && s > second-meterSeconds {
			sum += m.buckets[i].count.Load()
		}
	}
	return float64(sum) / (meterSeconds - 1)
}

// howFar sums up what is held here and what the peers told.
func (x *exchange) howFar() Progress {
	now := time.Now()
	p := Progress{Received: x.entriesIn.total.Load(), Bytes: x.bytesIn.total.Load(),
		EntryRate: x.entriesIn.rate(now), ByteRate: x.bytesIn.rate(now)}
	x.mu.Lock()
	all := Vector{}
	all.merge(x.mine)
	x.mu.Unlock()
	for _, at := range all {
		p.Entries += at.Next
	}
	for _, peer := range x.peerList() {
		peer.mu.Lock()
		if peer.ready && len(peer.theirs) > 0 {
			p.Known = true
			all.merge(peer.theirs)
		}
		peer.mu.Unlock()
	}
	for _, at := range all {
		p.Total += at.Next
	}
	return p
}

// Progress tells how the sync of a space goes; false while the network does not
// run, or not for the space.
func (n *Network) Progress(space halo.SpaceID) (Progress, bool) {
	s := n.swarm(space)
	if s == nil {
		return Progress{}, false
	}
	return s.x.howFar(), true
}
