package sync

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"echofs/halo"
	"echofs/sync/signal"
	"echofs/sync/wire"
)

// Invitation is the host's side of one invitation. It is over when it has a
// final state; after that it answers late guests, until its code has expired.
type Invitation struct {
	n       *Network
	space   Space // nil for a device
	invite  halo.Invite
	made    inviteRecord // as it was at first: for what does not change
	approve func(context.Context, GuestInfo) bool
	meeting *meeting
	ctx     context.Context // ends with the reason for the end of the invitation
	cancel  context.CancelCauseFunc
	late    context.Context // ends when late guests are no longer answered
	wg      sync.WaitGroup  // what was started for guests
	done    chan struct{}
	updates chan InviteUpdate // of one slot for each update there can be

	decision chan bool // one slot: about the guest that is reviewed

	mu    sync.Mutex // guards the below
	rec   inviteRecord
	guest GuestInfo
	phase phase
	busy  bool // a guest is being talked to
	err   error
}

// phase is how an invitation takes guests.
type phase uint8

const (
	phaseOpen   phase = iota
	phaseEnding       // no new ones until those of before have left
	phaseLate         // they are told that it is over
	phaseClosed
)

// maxUpdates is how many updates wait for a reader. The last is never lost.
const maxUpdates = 32

func newInvitation(n *Network, space Space, invite halo.Invite, r inviteRecord, approve func(context.Context, GuestInfo) bool) *Invitation {
	inv := &Invitation{
		n: n, space: space, invite: invite, approve: approve, made: r, rec: r,
		done: make(chan struct{}), updates: make(chan InviteUpdate, maxUpdates), decision: make(chan bool, 1),
		guest: GuestInfo{Identity: r.Identity, Device: r.Device, Name: r.Guest},
	}
	inv.meeting = newMeeting(invite.Topic(), invite.SignalKey(), invite.NoisePSK(), n, inv)
	return inv
}

// open begins to wait for the guest.
func (inv *Invitation) open(ctx context.Context) error {
	online, err := inv.n.whenOnline(ctx)
	if err != nil {
		return err
	}
	inv.ctx, inv.cancel = context.WithCancelCause(ctx)
	inv.late = online.ctx
	if err := inv.begin(); err != nil {
		inv.cancel(err)
		return err
	}
	stop := context.AfterFunc(online.ctx, func() { inv.cancel(ErrOffline) })
	begun := inv.n.spawn(online, func() {
		defer stop()
		inv.live()
	})
	if !begun {
		stop()
		inv.cancel(ErrOffline)
		return ErrOffline
	}
	return nil
}

// begin stores the invitation and goes where the guest is to come.
func (inv *Invitation) begin() error {
	inv.n.mu.Lock()
	full := len(inv.n.invites) >= maxInvites
	if !full {
		inv.n.invites[inv] = true
	}
	inv.n.mu.Unlock()
	if full {
		return fmt.Errorf("%d invitations: %w", maxInvites, halo.ErrFull)
	}
	switch {
	case inv.made.State.Final() || inv.made.Admitted:
	case inv.made.tries() == 0:
		inv.cancel(ErrBurned)
	default:
		if err := inv.become(halo.HostOpen, nil); err != nil {
			inv.leave()
			return err
		}
	}
	inv.n.enter(signal.Topic(inv.invite.Topic()), inv.meeting, inv.invite.URLs...)
	return nil
}

// leave ends what begin began.
func (inv *Invitation) leave() {
	inv.n.exit(signal.Topic(inv.invite.Topic()))
	inv.n.mu.Lock()
	delete(inv.n.invites, inv)
	inv.n.mu.Unlock()
}

// live takes the invitation to its end, and then tells late guests.
func (inv *Invitation) live() {
	if !inv.made.State.Final() {
		inv.watch()
	}
	inv.enter(phaseEnding)
	inv.wg.Wait()
	inv.settle(context.Cause(inv.ctx))
	inv.enter(phaseLate)
	close(inv.updates)
	close(inv.done)
	pauseFor(inv.late, time.Until(inv.invite.Expires.Add(inviteSlack)))
	inv.enter(phaseClosed)
	inv.wg.Wait()
	inv.leave()
	if inv.late.Err() == nil {
		if err := inv.n.repo.ForgetInvite(inviteID(inv.invite)); err != nil {
			inv.n.logger.Warn("an invitation that is over is not forgotten", "err", err)
		}
	}
}

func (inv *Invitation) enter(p phase) {
	inv.mu.Lock()
	inv.phase = p
	inv.mu.Unlock()
}

// watch waits until the invitation has a reason to end.
func (inv *Invitation) watch() {
	t := time.NewTimer(time.Until(inv.invite.Expires))
	defer t.Stop()
	select {
	case <-inv.ctx.Done():
		return
	case <-t.C:
	}
	if inv.admitted() { // the guest may come again for what is its own
		pauseFor(inv.ctx, resumeLife)
	}
	inv.cancel(ErrExpired)
}

func (inv *Invitation) state() halo.HostState {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.rec.State
}

func (inv *Invitation) admitted() bool {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.rec.Admitted
}

var errInviteDone = errors.New("invitation is done")

// ends says which state a reason leads to; all others lead to failed.
var ends = []struct {
	err   error
	state halo.HostState
}{
	{errInviteDone, halo.HostDone},
	{ErrExpired, halo.HostExpired},
	{ErrBurned, halo.HostBurned},
	{context.Canceled, halo.HostCancelled},
}

// settle gives the invitation its final state. One that ends because the
// network does goes on another time.
func (inv *Invitation) settle(cause error) {
	state := inv.state()
	switch {
	case state.Final():
		return
	case errors.Is(cause, ErrOffline):
		inv.tell(halo.HostFailed, cause)
		return
	case state == halo.HostCommitted: // the member exists, whatever happened since
		state, cause = halo.HostDone, nil
	default:
		state = halo.HostFailed
		for _, e := range ends {
			if errors.Is(cause, e.err) {
				state = e.state
			}
		}
	}
	if state == halo.HostDone {
		cause = nil
	}
	if err := inv.become(state, cause); err != nil {
		inv.n.logger.Warn("the end of an invitation is not kept", "err", err)
		inv.tell(state, cause)
	}
}

// change changes the record and stores it, or leaves it as it was.
func (inv *Invitation) change(f func(*inviteRecord)) error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	next := inv.rec
	f(&next)
	b, err := wire.Encode(next)
	if err == nil {
		err = inv.n.repo.SaveInvite(inviteID(inv.invite), b)
	}
	if err != nil {
		return fmt.Errorf("keep invitation: %w", err)
	}
	inv.rec = next
	return nil
}

// become stores the state and tells it.
func (inv *Invitation) become(state halo.HostState, cause error) error {
	if err := inv.change(func(r *inviteRecord) { r.State = state }); err != nil {
		return err
	}
	inv.tell(state, cause)
	return nil
}

// tell tells a state to whoever reads the updates.
func (inv *Invitation) tell(state halo.HostState, cause error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.err = cause
	u := InviteUpdate{State: state, Guest: inv.guest, TriesLeft: inv.rec.tries(), Err: cause}
	for {
		select {
		case inv.updates <- u:
			return
		default:
		}
		select {
		case <-inv.updates: // nobody reads; the newest counts
		default:
		}
	}
}

// Code returns the text for the guest.
func (inv *Invitation) Code() string { return inv.made.Code }

// AuthCode returns the six digits, or nothing if none are asked for.
func (inv *Invitation) AuthCode() string { return inv.made.Digits }

// Expires returns when the invitation ends.
func (inv *Invitation) Expires() time.Time { return inv.invite.Expires }

// States tells how the invitation goes. The channel is closed after a final
// state.
func (inv *Invitation) States() <-chan InviteUpdate { return inv.updates }

// Cancel ends the invitation and waits until it has; a guest that is there is
// told.
func (inv *Invitation) Cancel() {
	inv.cancel(context.Canceled)
	<-inv.done
}

// Wait waits for the end of the invitation, and returns who was admitted.
func (inv *Invitation) Wait(ctx context.Context) (GuestInfo, error) {
	select {
	case <-inv.done:
	case <-ctx.Done():
		return GuestInfo{}, ctx.Err()
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.guest, inv.err
}

// ID returns 16 hexadecimal digits that name the invitation and are no secret.
func (inv *Invitation) ID() string { return inv.id() }

func (inv *Invitation) id() string {
	id := inviteID(inv.invite)
	return hex.EncodeToString(id[:])
}

func (inv *Invitation) info() InviteInfo {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	info := inv.rec.info()
	if info.State == halo.HostReview {
		info.Reviewed = inv.guest
	}
	return info
}

func (inv *Invitation) finished() bool {
	select {
	case <-inv.done:
		return true
	default:
		return false
	}
}

var _ host = (*Invitation)(nil)

func (inv *Invitation) device() halo.DeviceID { return inv.n.repo.DeviceID() }

func (inv *Invitation) start(f func()) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.phase == phaseOpen || inv.phase == phaseLate {
		inv.wg.Go(f)
	}
}

// announced implements host: a guest that asks is told where the host is.
func (inv *Invitation) announced(halo.DeviceID, address, bool) (reply bool) { return true }

// gone implements host: an invitation asks nobody.
func (inv *Invitation) gone(halo.DeviceID) {}

// offered implements host: one guest at a time.
func (inv *Invitation) offered(halo.DeviceID, address) (welcome, busy bool) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.busy || inv.phase == phaseEnding || inv.phase == phaseClosed {
		return false, true
	}
	inv.busy = true
	return true, false
}

// answer implements host.
func (inv *Invitation) answer(_ halo.DeviceID, at address, id [16]byte, sdp string) {
	err := inv.meet(at, id, sdp)
	inv.n.logger.Debug("a guest is gone", "err", err)
	inv.mu.Lock()
	inv.busy = false
	open := inv.phase == phaseOpen && !inv.rec.Admitted && inv.ctx.Err() == nil
	inv.mu.Unlock()
	switch {
	case err == nil:
		inv.cancel(errInviteDone)
	case errors.Is(err, ErrBurned):
		inv.cancel(ErrBurned)
	case open:
		if err := inv.become(halo.HostOpen, nil); err != nil {
			inv.cancel(err)
		}
	}
}
