package sync

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/session"
)

// Hub is the exchange of one space for tests that bring their own sessions.
type Hub struct {
	x      *exchange
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewHub starts the exchange of a space.
func NewHub(repo Repo, space Space) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hub{x: newExchange(repo, space, slog.New(slog.DiscardHandler), [16]byte{}), cancel: cancel}
	changes := repo.Changes()
	h.x.refresh()
	h.wg.Go(func() { h.x.keepAcks(ctx) })
	h.wg.Go(func() {
		defer changes.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case <-changes.C():
				changes.Take()
				h.x.refresh()
			}
		}
	})
	return h
}

// Run runs one peer.
func (h *Hub) Run(ctx context.Context, s *session.Session, expect halo.DeviceID) error {
	return h.x.run(ctx, s, expect, nil)
}

// Close stops the exchange.
func (h *Hub) Close() {
	h.cancel()
	h.wg.Wait()
}

// The messages of the exchange, for tests that speak it themselves.
type (
	Message     = message
	Hello       = hello
	Heads       = heads
	Credentials = credentials
	VectorMsg   = vector
	AckMsg      = ack
	Want        = want
	EntriesMsg  = entries
	Ping        = ping
	Pong        = pong
	Bye         = bye
	Holding     = holding
)

var (
	EncodeMessage = encodeMessage
	DecodeMessage = decodeMessage
)

// Silence is how long a peer may say nothing.
const Silence = silence

// InviteRecord is what a host keeps of an invitation.
type InviteRecord = inviteRecord

// DecodeInviteRecord reads one strictly.
var DecodeInviteRecord = decodeInviteRecord

// InviteTries returns how many authorization codes may still be tried.
func InviteTries(r InviteRecord) int { return r.tries() }

// Voucher is an acknowledgement that others hand on.
type Voucher = voucher

// SignVoucher signs v for a space.
func SignVoucher(v Voucher, space halo.SpaceID, keys *halo.DeviceKeys) (Voucher, error) {
	msg, err := v.signed(space)
	if err == nil {
		copy(v.Sig[:], keys.Sign(msg))
	}
	return v, err
}

// TrustVoucher reports whether v is believed.
func TrustVoucher(v Voucher, space halo.SpaceID, state *halo.State) bool {
	return v.verify(space, state)
}

// KeepVouchers adds vouchers in turn; it tells which were news, and how many
// are kept in the end.
func KeepVouchers(list ...Voucher) (news []bool, kept int) {
	vs := newVouchers()
	for _, v := range list {
		news = append(news, vs.fresh(v) && vs.add(v))
	}
	return news, len(vs.all())
}

// Metered counts some events in each second from start on, and returns their
// number and the rate at a time.
func Metered(start time.Time, each []uint64, now time.Time) (total uint64, rate float64) {
	var m meter
	for i, n := range each {
		m.add(n, start.Add(time.Duration(i)*time.Second))
	}
	return m.total.Load(), m.rate(now)
}
