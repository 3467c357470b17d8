package sync

import (
	"context"
	"crypto/ed25519"
	"maps"
	"slices"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/wire"
)

const (
	// vouchEvery is the time between two of this device's vouchers.
	vouchEvery = 2 * time.Second
	// maxVouchers is how many vouchers of a device are kept and handed on: the last
	// that tells everything, and those after it. The next one tells everything.
	maxVouchers = 8
	// maxVouchFeeds is the most feeds in one voucher.
	maxVouchFeeds = maxVectorFeeds
	// Vouchers that a peer may hand over: a second, and at once.
	vouchRate  = 256
	vouchBurst = 4096
)

// voucher is an acknowledgement that others hand on: signed, since whoever has
// something durably must say so itself. It stays true for ever.
type voucher struct {
	Device   halo.DeviceID   `cbor:"1,keyasint"`
	Identity halo.IdentityID `cbor:"2,keyasint"`
	At       uint64          `cbor:"3,keyasint"` // unix milliseconds of the device; only its order counts
	Feeds    []holding       `cbor:"4,keyasint"` // those that grew since the one before, or all
	All      bool            `cbor:"5,keyasint,omitempty"`
	Sig      [64]byte        `cbor:"6,keyasint"`
}

func (voucher) kind() kind { return kindVoucher }

func (v voucher) check() error { return atMost(len(v.Feeds), maxVouchFeeds, "feeds") }

// signed returns what the signature of v is over.
func (v voucher) signed(space halo.SpaceID) ([]byte, error) {
	v.Sig = [64]byte{}
	body, err := wire.Encode(v)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]byte("echofs/v1/durable\x00"), space[:], body), nil
}

// verify reports whether a member's device signed v.
func (v voucher) verify(space halo.SpaceID, state *halo.State) bool {
	device, known := state.Device(v.Identity, v.Device)
	if _, member := state.Member(v.Identity, v.Device); !known || !member {
		return false
	}
	msg, err := v.signed(space)
	return err == nil && ed25519.Verify(device.Public.Sign[:], msg, v.Sig[:])
}

// vouchers are those of all devices of a space that are told of here.
type vouchers struct {
	mu   sync.Mutex // guards the below
	list map[halo.DeviceID][]voucher
	last time.Time // of the own one
	told Vector    // what it and those before told
}

func newVouchers() *vouchers { return &vouchers{list: make(map[halo.DeviceID][]voucher)} }

// add keeps v unless it is known or older than what is; it reports whether it
// was news.
func (vs *vouchers) add(v voucher) bool {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	list := vs.list[v.Device]
	for _, old := range list {
		if old.At == v.At || old.All && v.At < old.At {
			return false
		}
	}
	if list == nil && len(vs.list) >= maxContacts {
		return false
	}
	if v.All {
		list = slices.DeleteFunc(slices.Clone(list), func(old voucher) bool { return old.At < v.At })
	}
	if len(list) >= 2*maxVouchers {
		return false // a device that does not keep to the rules is not handed on
	}
	vs.list[v.Device] = append(slices.Clip(list), v)
	return true
}

// fresh reports whether v would be news.
func (vs *vouchers) fresh(v voucher) bool {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	return !slices.ContainsFunc(vs.list[v.Device], func(old voucher) bool { return old.At == v.At || old.All && v.At < old.At })
}

// all returns what a new peer is told.
func (vs *vouchers) all() (out []voucher) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, list := range vs.list {
		out = append(out, list...)
	}
	return out
}

// own makes the next voucher of this device: nil where there is nothing new, or
// it is too early; then due says when.
func (vs *vouchers) own(x *exchange, durable Vector, now time.Time) (v *voucher, due time.Duration, err error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	grown := durable.beyond(vs.told)
	if len(grown) == 0 || len(durable) > maxVouchFeeds {
		return nil, 0, nil
	}
	if wait := vouchEvery - now.Sub(vs.last); wait > 0 {
		return nil, wait, nil
	}
	me := x.repo.DeviceID()
	next := voucher{Device: me, Identity: x.repo.IdentityID(), At: uint64(now.UnixMilli())}
	mine := vs.list[me]
	next.All = len(mine) == 0 || len(mine) > maxVouchers
	if next.All {
		grown = durable
	}
	for _, piece := range grown.holdings() {
		next.Feeds = append(next.Feeds, piece...)
	}
	msg, err := next.signed(x.space.ID())
	if err != nil {
		return nil, 0, err
	}
	copy(next.Sig[:], x.repo.DeviceKeys().Sign(msg))
	if next.All {
		mine = nil
	}
	vs.list[me] = append(slices.Clip(mine), next)
	vs.last, vs.told = now, maps.Clone(durable)
	return &next, 0, nil
}

// vouch tells all peers what is durable here, where some devices are reached
// only through others.
func (x *exchange) vouch() {
	if !x.sparse.Load() {
		return
	}
	_, durable := x.held()
	v, due, err := x.vouchers.own(x, durable, time.Now())
	switch {
	case err != nil:
		x.logger.Warn("cannot vouch for what is durable", "space", x.space.ID().Short(), "err", err)
	case v != nil:
		x.spread(*v, nil)
	case due > 0:
		time.AfterFunc(due, func() { poke(x.ackDue) })
	}
}

// spread posts a voucher to all peers but the one it came from.
func (x *exchange) spread(v voucher, from *peer) {
	for _, p := range x.peerList() {
		if p != from && p.remote.Device != v.Device {
			p.postVoucher(v)
		}
	}
}

// postVoucher queues a voucher; what does not fit now, the next one tells.
func (p *peer) postVoucher(v voucher) {
	p.mu.Lock()
	if len(p.vouchers) < 4*maxContacts {
		p.vouchers = append(p.vouchers, v)
	}
	p.mu.Unlock()
	poke(p.wake)
}

// handleVoucher takes what a device says through others.
func (p *peer) handleVoucher(ctx context.Context, v voucher) {
	x := p.x
	if v.Device == x.repo.DeviceID() || !p.vouches.Allow() || !x.vouchers.fresh(v) || !v.verify(x.space.ID(), x.space.State()) {
		return
	}
	if !x.vouchers.add(v) {
		return
	}
	if err := x.space.SetAck(ctx, v.Device, vectorOf(v.Feeds)); err != nil {
		p.logger.Warn("cannot keep what a device holds", "of", v.Device.Short(), "err", err)
	}
	x.spread(v, p)
}
