package echo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"echofs/halo"
)

// A relay is a member that keeps and hands on what it cannot read: it has the
// swarm secrets of the space, by which it meets the members, and no epoch key.
//
// It checks of an entry all that can be checked without opening it: form, chain,
// signature, and whether its author might write. What it stores stays sealed
// (entrySealed) and is part of no document. Nothing of the space is shown.
//
// What it takes of a space is bounded by a Quota, in bytes, of which each device
// may fill a part: with the entries that it wrote, and the chunks that it named.
//
// A member that becomes a relay keeps what it had read before, and hides it. A
// relay that becomes a member opens what it has stored.

// Quota bounds what a relay keeps of one space, in bytes of entries and chunks.
type Quota struct {
	Space  int64 // in all
	Device int64 // by one device
}

// Defaults of Options.RelayQuota.
const (
	DefaultRelaySpace  = 64 << 30
	DefaultRelayDevice = 32 << 30
)

// ErrNoRoom is wrapped where a relay keeps no more, since its quota is used up.
// Nobody is to blame for it.
var ErrNoRoom = errors.New("the relay keeps no more: its quota is used up")

// relayEpochs is of how many epochs a new relay gets the swarm secrets: members
// who have not heard of the newest ones are met on older topics.
const relayEpochs = 4

// Relays reports whether this device stores and forwards what it cannot read.
func (s *Space) Relays() bool { return s.relaying.Load() }

// SwarmSecrets returns the secrets by which this device meets the others, that
// of the current epoch first, then by age.
func (s *Space) SwarmSecrets() []halo.SwarmSecret {
	s.keysMu.RLock()
	defer s.keysMu.RUnlock()
	return slices.Clone(s.swarms)
}

// readSwarms derives the swarm secrets from keys and from what was wrapped to a
// relay. Of an epoch of which several came all are used: any may be garbage.
func (s *Space) readSwarms(state *halo.State, keys map[halo.EpochID]halo.EpochKey) []halo.SwarmSecret {
	wrapped := map[halo.EpochID][]halo.SwarmSecret{}
	device := s.repo.keys.Device()
	for _, w := range state.Wraps(device.ID()) {
		if _, have := keys[w.Epoch]; have || !w.Swarm {
			continue
		}
		if secret, err := device.UnwrapSwarm(s.id, w); err == nil {
			wrapped[w.Epoch] = append(wrapped[w.Epoch], secret)
		}
	}
	epochs := state.Epochs()
	slices.Reverse(epochs)
	if current, ok := state.CurrentEpoch(); ok {
		slices.SortStableFunc(epochs, func(a, b halo.Epoch) int {
			return cmp.Compare(rankOf(b.ID == current.ID), rankOf(a.ID == current.ID))
		})
	}
	var out []halo.SwarmSecret
	for _, e := range epochs {
		if k, have := keys[e.ID]; have {
			out = append(out, k.Swarm(s.id))
			continue
		}
		out = append(out, wrapped[e.ID]...)
	}
	return out
}

func rankOf(first bool) int {
	if first {
		return 1
	}
	return 0
}

// relayName is what a relay is called, which has no key to seal a name with: just
// that where it is the only one, else with its short id.
func relayName(state *halo.State, short string) string {
	if len(state.RelayDevices()) == 1 {
		return "relay"
	}
	return "relay-" + short
}

// setRelaying notes whether this device is a relay now; what was sealed for it is
// opened where it is one no more. s.mu is held, or the space is not in use yet.
func (s *Space) setRelaying(state *halo.State) {
	role, active := state.Member(s.repo.me.id, s.repo.me.device)
	relay := active && role == halo.RoleRelay
	was := s.relaying.Swap(relay)
	switch {
	case relay && !was:
		s.repo.relays.Add(1)
	case was && !relay:
		s.repo.relays.Add(-1)
		s.sealed = active
	}
}

// openSealed applies what was stored while this device was a relay, some entries
// in each transaction. s.mu is held.
func (s *Space) openSealed(ctx context.Context) (events []Event, err error) {
	for s.sealed {
		refs, err := s.sealedEntries(sealedBatch)
		if err != nil {
			return events, err
		}
		if len(refs) == 0 {
			s.sealed, s.unsettled = false, true
			return events, s.kept.forget()
		}
		more, err := s.transact(ctx, true, func(t *txn) error {
			for _, ref := range refs {
				if err := t.openEntry(ref); err != nil {
					return err
				}
			}
			return t.retryWaiting()
		})
		if err != nil {
			return events, err
		}
		events = append(events, more...)
	}
	return events, nil
}

// tellHidden tells that what the space's root holds is shown no more, or again.
func (t *txn) tellHidden(hidden bool) {
	what := Added
	if hidden {
		what = Removed
	}
	var inos []Ino
	prefix := key(tableList, t.s.ino)
	err := scanPrefix(t, prefix, func(k, _ []byte) bool {
		inos = append(inos, keyIno(k, len(prefix)))
		return true
	})
	if err != nil {
		t.fail(err)
		return
	}
	for _, ino := range inos {
		if row, err := getNode(t, ino); err == nil && row.Parent == t.s.ino && row.Name != "" {
			t.event(Event{What: what, Ino: ino, Parent: t.s.ino, Name: row.Name, Kind: row.Kind})
		}
	}
}

// sealedBatch is how many sealed entries are opened by one transaction.
const sealedBatch = 256

// sealedEntries lists the first entries that were stored unopened.
func (s *Space) sealedEntries(limit int) (refs []entryRef, err error) {
	prefix := key(tableWaiting, s.id)
	err = scanPrefix(s.repo.store, prefix, func(k, v []byte) bool {
		var row waitingRow
		if decodeRow(v, &row) == nil && row.State == entrySealed {
			refs = append(refs, parseEntryRef(k[len(prefix):]))
		}
		return len(refs) < limit
	})
	return refs, wrapf(err, "look for sealed entries")
}

// openEntry decides about an entry that was stored unopened.
func (t *txn) openEntry(ref entryRef) error {
	e, err := t.entry(ref)
	if err != nil {
		return err
	}
	row := t.s.feeds[ref.feed]
	if row == nil {
		return entryError(e, ErrNotFound)
	}
	return t.take(e, halo.Author{Device: row.Device, Identity: row.Identity}, nil)
}

// kept is what a relay keeps of a space, and for whom.
type kept struct {
	s *Space

	mu      sync.Mutex // guards the below; taken under Space.mu
	use     map[halo.DeviceID]usage
	wanted  map[halo.DeviceID]int // chunks that a device named and that have not come
	refused uint64                // how often there was no room
	queue   []wantedChunk
	looked  int64 // ms: when queue was filled
}

// usage is what one device fills, in bytes.
type usage struct{ entries, chunks int64 }

func (u usage) all() int64 { return u.entries + u.chunks }

// useRow is a number of bytes.
type useRow struct {
	Bytes int64 `cbor:"1,keyasint"`
}

// What the bytes of a useRow are of.
const (
	useEntries byte = 1
	useChunks  byte = 2
)

func newKept(s *Space) *kept {
	return &kept{s: s, use: map[halo.DeviceID]usage{}, wanted: map[halo.DeviceID]int{}}
}

// load reads what is kept.
func (k *kept) load() error {
	prefix := key(tableUse, k.s.id)
	err := scanRows(k.s.repo.store, prefix, func(key []byte, row *useRow) bool {
		device := halo.DeviceID(key[len(prefix) : len(key)-1])
		u := k.use[device]
		switch key[len(key)-1] {
		case useEntries:
			u.entries = row.Bytes
		case useChunks:
			u.chunks = row.Bytes
		}
		k.use[device] = u
		return true
	})
	if err != nil {
		return fmt.Errorf("read what is kept: %w", err)
	}
	return k.countWanted()
}

// room fails with ErrNoRoom where a device may not fill as much more; k.mu is
// held.
func (k *kept) room(device halo.DeviceID, more int64) error {
	quota, all := k.s.repo.opts.RelayQuota, int64(0)
	for _, u := range k.use {
		all += u.all()
	}
	switch {
	case all+more > quota.Space:
		k.refused++
		return fmt.Errorf("%d bytes of the space are kept, and at most %d: %w", all, quota.Space, ErrNoRoom)
	case k.use[device].all()+more > quota.Device:
		k.refused++
		return fmt.Errorf("%d bytes of device %s are kept, and at most %d: %w", k.use[device].all(), device.Short(), quota.Device, ErrNoRoom)
	}
	return nil
}

// chargeEntries accounts for entries of a device that a relay is about to store.
func (t *txn) chargeEntries(device halo.DeviceID, entries []*halo.Entry) error {
	size := int64(0)
	for _, e := range entries {
		raw, err := e.Bytes()
		if err != nil {
			return entryError(e, err)
		}
		size += int64(len(raw))
	}
	k := t.s.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.room(device, size); err != nil {
		return err
	}
	t.putRow(key(tableUse, t.s.id, device, useEntries), &useRow{k.use[device].entries + size})
	t.after = append(t.after, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		u := k.use[device]
		u.entries += size
		k.use[device] = u
	})
	return nil
}

// RelayInfo tells what a relay keeps of a space.
type RelayInfo struct {
	Entries uint64 // stored, all of them sealed
	Bytes   int64  // of entries and chunks, since it became a relay
	Quota   int64  // the most bytes
	Wanted  int    // chunks that were named and have not come
	Refused uint64 // how often something was refused since the vault was opened
}

// RelayInfo tells what this device keeps of a space as a relay; false where it is
// none.
func (s *Space) RelayInfo() (RelayInfo, bool) {
	if !s.Relays() {
		return RelayInfo{}, false
	}
	info := RelayInfo{Quota: s.repo.opts.RelayQuota.Space}
	v, _ := s.Vector()
	for _, p := range v {
		info.Entries += p.Next
	}
	s.kept.mu.Lock()
	defer s.kept.mu.Unlock()
	for _, u := range s.kept.use {
		info.Bytes += u.all()
	}
	for _, n := range s.kept.wanted {
		info.Wanted += n
	}
	info.Refused = s.kept.refused
	return info, true
}

// forget removes the accounts of a device that is no relay any more; its chunks
// are collected as any member's.
func (k *kept) forget() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b Batch
	for _, table := range []byte{tableUse, tableKeptChunk} {
		err := scanPrefix(k.s.repo.store, key(table, k.s.id), func(key, _ []byte) bool {
			b.Delete(slices.Clone(key))
			return true
		})
		if err != nil {
			return fmt.Errorf("forget what was kept: %w", err)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	if err := k.s.repo.store.Commit(&b, Kernel); err != nil {
		return fmt.Errorf("forget what was kept: %w", err)
	}
	clear(k.use)
	clear(k.wanted)
	k.queue = nil
	return nil
}

// grantLate grants the keys of epochs which this device began to devices that it
// did not know of then: who was admitted by somebody else meanwhile.
func (t *txn) grantLate() {
	state := t.s.State()
	role, active := state.Member(t.s.repo.me.id, t.s.repo.me.device)
	if !active || !role.Reads() {
		return
	}
	for _, e := range state.LatestEpochs() {
		c, ok := t.s.graph.Get(e.Credential)
		if !ok || c.Device != t.s.repo.me.device {
			continue
		}
		k, ok := t.s.epochKey(e.ID)
		if !ok {
			continue
		}
		for _, d := range slices.Concat(state.ActiveDevices(), state.RelayDevices()) {
			if err := t.grantIfLacking(state, e.ID, k, d); err != nil {
				t.s.repo.log.Warn("grant the key of an epoch", "space", t.s.Name(), "device", d.ID.Short(), "error", err)
			}
		}
	}
}

func (t *txn) grantIfLacking(state *halo.State, epoch halo.EpochID, k halo.EpochKey, d halo.Device) error {
	reads := state.Role(d.Identity).Reads()
	has := slices.ContainsFunc(state.Wraps(d.ID), func(w halo.Wrap) bool { return w.Epoch == epoch && w.Swarm != reads })
	if has {
		return nil
	}
	c, err := t.s.graph.GrantKey(t.s.repo.issuer(), k, d, t.now)
	if err == nil {
		_, err = t.addCredential(c)
	}
	return err
}

// Floor: what a guest's host had when it admitted the guest. Whoever shows less
// is stale.

// floorRow is a floor.
type floorRow struct {
	Vector map[halo.FeedID]Position `cbor:"1,keyasint"`
}

// SetFloor keeps what the host of the invitation had, until it is here too.
func (s *Space) SetFloor(floor Vector) error {
	var b Batch
	b.Put(key(tableFloor, s.id), encodeRow(&floorRow{floor}))
	return wrapf(s.repo.store.Commit(&b, Kernel), "keep the floor")
}

// BelowFloor returns how many of the entries that the host of the invitation had
// have not come; 0 where all have, or there was no invitation.
func (s *Space) BelowFloor() (missing uint64) {
	if s.aboveFloor.Load() {
		return 0
	}
	var row floorRow
	if _, err := getRow(s.repo.store, key(tableFloor, s.id), &row); err != nil {
		return 0
	}
	v, _ := s.Vector()
	for feed, p := range row.Vector {
		if have := v[feed].Next; have < p.Next {
			missing += p.Next - have
		}
	}
	s.aboveFloor.Store(missing == 0)
	return missing
}

// Acked returns what a device said it holds durably, ever.
func (s *Space) Acked(device halo.DeviceID) Vector {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	var row ackRow
	_, _ = getRow(s.repo.store, key(tableAck, s.id, device), &row)
	return Vector(maps.Clone(row.Vector))
}
