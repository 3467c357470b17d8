package vault

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

func (v *Vault) registerStatus() {
	control.Handle(v.server, control.GetStatus, v.status)
	control.HandleStream(v.server, control.WatchStatus, v.watchStatus)
	control.Handle(v.server, control.GetIdentity, v.identity)
	v.registerKeys()
	v.registerDevices()
}

func (v *Vault) identity(context.Context, control.None) (control.Identity, error) {
	return v.Identity(), nil
}

func (v *Vault) status(ctx context.Context, _ control.None) (control.StatusReply, error) {
	id := v.Identity()
	st := control.StatusReply{Identity: control.IdentityRef{DID: id.DID, Name: id.Name}, Device: id.Device,
		Mounts: v.mounts.dirs(), Spaces: []control.SpaceStatus{}, Warnings: v.warnings()}
	for _, s := range v.repo.Spaces() {
		one, err := v.spaceStatus(ctx, s)
		if err != nil {
			return st, err
		}
		st.Spaces = append(st.Spaces, one)
		st.Warnings = append(st.Warnings, spaceWarnings(one)...)
		st.Sync = together(st.Sync, one.Sync)
	}
	return st, nil
}

func (v *Vault) spaceStatus(ctx context.Context, s *echo.Space) (control.SpaceStatus, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return control.SpaceStatus{}, fmt.Errorf("look at space %s: %w", s.Name(), err)
	}
	st := control.SpaceStatus{ID: info.PublicID, Name: info.Name, Role: strings.ToLower(info.Role), Objects: info.Objects,
		Drafts: info.Drafts, Conflicts: info.Conflicts, Quarantined: info.Quarantined,
		Behind: []control.Behind{}, Peers: v.peerCount(s.ID())}
	if r := info.Relay; r != nil {
		st.Relay = &control.RelayStatus{Entries: r.Entries, Bytes: r.Bytes, Quota: r.Quota, Wanted: r.Wanted, Refused: r.Refused}
	}
	st.Unreached = v.unreached(s, info.Floor)
	st.Open = v.openElsewhere(s)
	if p, done := v.progress(s); !done {
		st.Sync = p
	}
	for _, b := range info.Behind {
		if b.Entries == 0 {
			continue
		}
		st.Behind = append(st.Behind, control.Behind{Device: b.Device.String(), Name: b.Name, Entries: b.Entries, LastSeen: seen(b.LastSeen)})
	}
	st.State = state(len(info.Behind), v.reachedCount(s.ID()), info.Waiting > 0, len(st.Behind))
	return st, nil
}

// state sums up where a space stands: by the number of other devices, of those
// that are there, connected or through others, whether entries are under way to here, and how many
// devices lack something.
func state(devices, connected int, receiving bool, behind int) string {
	switch {
	case devices == 0:
		return control.StateAlone
	case connected == 0:
		return control.StateOffline
	case receiving || behind > devices-connected:
		return control.StateSyncing
	}
	return control.StateSynced
}

// warnings lists what the vault as a whole needs a person for.
func (v *Vault) warnings() []control.Warning {
	out := []control.Warning{}
	if v.keys.hasPhrase() {
		out = append(out, control.Warning{Code: "phrase", Message: "the recovery phrase is only in this vault",
			Fix: "write it down: echofs phrase show; then: echofs phrase show --forget"})
	}
	if v.config.NoPhrase {
		out = append(out, control.Warning{Code: "no_phrase", Message: "this identity has no recovery phrase: if its devices are lost, it is lost",
			Fix: "keep a second device, or a copy of the vault"})
	}
	if used, quota := v.repo.DraftUsage(); used > quota/10*8 {
		out = append(out, control.Warning{Code: "draft_quota", Message: fmt.Sprintf("drafts take %d of %d MiB; when there is no room an invalid save is lost", used>>20, quota>>20),
			Fix: "mend or discard some: echofs drafts list"})
	}
	return slices.Concat(out, v.diskWarnings(), v.keyWarnings(), v.recoveryWarnings(), v.heldWarnings(), v.networkWarnings(), v.peerWarnings())
}

func spaceWarnings(s control.SpaceStatus) (out []control.Warning) {
	if s.Drafts > 0 {
		out = append(out, control.Warning{Code: "drafts", Message: fmt.Sprintf("%s: saves that were not valid, kept as drafts: %d", s.Name, s.Drafts),
			Fix: "see: echofs drafts list " + s.Name})
	}
	if s.Conflicts > 0 {
		out = append(out, control.Warning{Code: "conflicts", Message: fmt.Sprintf("%s: people gave %d fields different values without knowing of each other", s.Name, s.Conflicts),
			Fix: "see: echofs conflicts " + s.Name})
	}
	if s.Quarantined > 0 {
		out = append(out, control.Warning{Code: "quarantine", Message: fmt.Sprintf("%s: %d entries could not be used and are set aside, as those of removed members and lost devices are", s.Name, s.Quarantined),
			Fix: "see: echofs audit " + s.Name})
	}
	if s.Unreached > 0 {
		out = append(out, control.Warning{Code: "stale", Message: fmt.Sprintf("%s: the connected devices are stale: the inviter had %d entries that none of them has", s.Name, s.Unreached),
			Fix: "they come when the inviter, or somebody who has them, is there; see: echofs peers"})
	}
	if s.Relay != nil && (s.Relay.Refused > 0 || s.Relay.Bytes > s.Relay.Quota/10*9) {
		out = append(out, control.Warning{Code: "relay_quota", Message: fmt.Sprintf("%s: %d of %d MiB are kept for others; more was refused %d times", s.Name, s.Relay.Bytes>>20, s.Relay.Quota>>20, s.Relay.Refused),
			Fix: "echofs serve --quota SIZE --device-quota SIZE"})
	}
	return out
}

// watchPause bounds how often a watched status is sent, and watchEvery how old
// it may get: peers come and go without an event.
const (
	watchPause = 250 * time.Millisecond
	watchEvery = time.Second
)

// watchStatus sends the status whenever it is another one.
func (v *Vault) watchStatus(ctx context.Context, none control.None, send func(control.StatusReply) error) error {
	sub := v.repo.Subscribe(^echo.What(0))
	defer sub.Close()
	var last *control.StatusReply
	for {
		sub.Take()
		st, err := v.status(ctx, none)
		if err != nil {
			return err
		}
		if last == nil || !reflect.DeepEqual(*last, st) {
			if err := send(st); err != nil {
				return err
			}
			last = &st
		}
		if err := pause(ctx, watchPause); err != nil {
			return err
		}
		if err := next(ctx, sub, watchEvery); err != nil {
			return err
		}
	}
}

// pause waits for a time.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// next waits for a change, at most for a time.
func next(ctx context.Context, sub *echo.Subscription, atMost time.Duration) error {
	t := time.NewTimer(atMost)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-sub.C():
	case <-t.C:
	}
	return nil
}
