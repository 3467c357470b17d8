package echo

import (
	"context"
	"fmt"
	"time"

	"echofs/halo"
)

// Who revokes a device also seals its feeds. Where that did not happen, since
// the revoking device ended in between, had another space, or a feed came to
// light later, others do: a device of the identity, or an admin of the space.
// They wait for a while, so that the one who has more to go by comes first. Until
// then the entries that have come since are held.

// DefaultSealDelay is how long others wait for the seal of a revoked device's
// feeds.
const DefaultSealDelay = 10 * time.Minute

// sealEvery is how often feeds without a seal are looked for.
const sealEvery = time.Minute

// sealer seals feeds that nobody else seals, while the vault is open.
func (r *Repo) sealer(ctx context.Context) {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.SealLost(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("seal feeds of revoked devices", "error", err)
		}
	}
}

// SealLost looks in all spaces for feeds of revoked devices without a seal, and
// seals those that it has known of for DefaultSealDelay. It also grants the key of
// the current epoch to devices that may read and have none. The Repo calls it
// every minute.
func (r *Repo) SealLost(ctx context.Context) error {
	for _, s := range r.spacesWithOwn() {
		if err := s.grantLacking(ctx); err != nil {
			return fmt.Errorf("space %q: %w", s.Name(), err)
		}
		lost := s.lostDevices()
		if len(lost) == 0 {
			continue
		}
		if err := s.update(ctx, func(t *txn) error { return t.sealLost(lost) }); err != nil {
			return fmt.Errorf("space %q: %w", s.Name(), err)
		}
	}
	return nil
}

// grantLacking hands the key of the current epoch to all devices that may read
// and have none: by whoever began it, and by admins.
func (s *Space) grantLacking(ctx context.Context) error {
	epoch, lacking := s.lacking()
	c, ok := s.graph.Get(epoch.Credential)
	if !ok || c.Device != s.repo.me.device && !s.State().Role(s.repo.me.id).AtLeast(halo.RoleAdmin) {
		return nil
	}
	for _, d := range lacking {
		if err := s.update(ctx, func(t *txn) error { return t.grantKeys(d.Identity, d.ID) }); err != nil {
			return fmt.Errorf("grant device %s: %w", d.ID.Short(), err)
		}
	}
	return nil
}

// lacking returns the current epoch, and the devices that may read and were not
// handed its key; none where this device has not got it either, or may not hand
// it on.
func (s *Space) lacking() (epoch halo.Epoch, lacking []halo.Device) {
	state := s.State()
	epoch, ok := state.CurrentEpoch()
	if _, active := state.Member(s.repo.me.id, s.repo.me.device); !ok || !active {
		return halo.Epoch{}, nil
	}
	if _, have := s.epochKey(epoch.ID); !have {
		return halo.Epoch{}, nil
	}
	holds := map[halo.DeviceID]bool{}
	for _, d := range state.Holders(epoch) {
		holds[d] = true
	}
	for _, d := range state.ActiveDevices() {
		if !holds[d.ID] {
			lacking = append(lacking, d)
		}
	}
	return epoch, lacking
}

// lostDevice is a revoked device of which something is not sealed.
type lostDevice struct {
	halo.Device
	ref   halo.CredentialID
	feeds []halo.FeedID // that are held
	word  bool          // of the own identity, which seals to end its word in the space too
}

// lostDevices returns the devices whose seal is overdue and this device's to
// make.
func (s *Space) lostDevices() []lostDevice {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.State()
	role, active := state.Member(s.repo.me.id, s.repo.me.device)
	if !active || !state.AnyRevoked() {
		return nil
	}
	t := &txn{overlay: newOverlay(s.repo.store), s: s}
	now := s.repo.now()
	var out []lostDevice
	seen := map[halo.DeviceID]time.Time{}
	for _, m := range state.Members() {
		mine := m.Identity == s.repo.me.id
		if !mine && !role.AtLeast(halo.RoleAdmin) {
			continue
		}
		for _, d := range state.Devices(m.Identity) {
			l, lost := t.lostDevice(d, mine)
			if !lost {
				continue
			}
			since, known := s.lost[d.ID]
			if !known {
				since = now
			}
			seen[d.ID] = since
			if now.Sub(since) >= DefaultSealDelay {
				out = append(out, l)
			}
		}
	}
	s.lost = seen
	return out
}

func (t *txn) lostDevice(d halo.Device, mine bool) (l lostDevice, lost bool) {
	ref, revoked := revocationOf(t.s.graph, d.Identity, d)
	if !revoked {
		return l, false
	}
	l = lostDevice{Device: d, ref: ref, word: mine && !t.isSealed(d.ID)}
	for id, row := range t.s.feeds {
		if row.Device != d.ID || row.Next == 0 {
			continue
		}
		if limit, err := t.limit(id); err == nil && limit.Held {
			l.feeds = append(l.feeds, id)
		}
	}
	return l, l.word || len(l.feeds) > 0
}

// sealLost seals the feeds of devices after what had come before the revocation
// was heard of: what came since is held.
func (t *txn) sealLost(lost []lostDevice) error {
	for _, l := range lost {
		if l.word && len(l.feeds) == 0 {
			if err := t.sealDevice(l.Device, l.ref, time.Time{}); err != nil {
				return err
			}
		}
		for _, feed := range l.feeds {
			nonce, err := t.nonceOf(feed)
			if err != nil {
				t.s.repo.log.Warn("seal a revoked device's feed", "feed", feed.Short(), "error", err)
				continue
			}
			cut, err := t.cutBeforeHeld(feed)
			if err != nil {
				return err
			}
			if err := t.issue(&halo.FeedSeal{Cut: cut, Why: halo.SealDevice, Ref: &l.ref, Device: l.ID, Identity: l.Identity, Nonce: nonce}); err != nil {
				return err
			}
		}
	}
	t.s.refresh()
	t.rotateIfLeaked()
	return nil
}

// cutBeforeHeld returns where a feed ends before the first entry that is held.
func (t *txn) cutBeforeHeld(feed halo.FeedID) (halo.Cut, error) {
	row := t.s.feeds[feed]
	last := int64(row.Next) - 1
	for ref, state := range t.waitingStates() {
		if ref.feed == feed && state == entryHeld {
			last = min(last, int64(ref.seq)-1)
		}
	}
	if last < 0 {
		return halo.Cut{Feed: feed, Seq: -1}, nil
	}
	e, err := t.entry(entryRef{feed, uint64(last)})
	if err != nil {
		return halo.Cut{}, err
	}
	return halo.Cut{Feed: feed, Seq: last, Entry: e.ID}, nil
}
