package echo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"echofs/halo"
)

// What other devices have. An acknowledgement means that the device holds the
// entries so that a power cut loses none of them.

func (s *Space) acks() map[halo.DeviceID]ackRow {
	out := map[halo.DeviceID]ackRow{}
	prefix := key(tableAck, s.id)
	_ = scanPrefix(s.repo.store, prefix, func(k, v []byte) bool {
		var id halo.DeviceID
		copy(id[:], k[len(prefix):])
		var row ackRow
		if decodeRow(v, &row) == nil {
			out[id] = row
		}
		return true
	})
	return out
}

// SetAck keeps what a device says it holds durably. Acknowledgements of feeds
// only grow.
func (s *Space) SetAck(_ context.Context, device halo.DeviceID, v Vector) error {
	return s.updateAck(device, func(row *ackRow) {
		for feed, p := range v {
			if p.Next > row.Vector[feed].Next {
				row.Vector[feed] = p
			}
		}
		row.Seen = s.repo.now().UnixMilli()
	})
}

// Seen keeps when a device was last connected.
func (s *Space) Seen(device halo.DeviceID, at time.Time) {
	err := s.updateAck(device, func(row *ackRow) { row.Seen = max(row.Seen, at.UnixMilli()) })
	if err != nil {
		s.repo.log.Warn("note that a device was seen", "device", device.Short(), "error", err)
	}
}

func (s *Space) updateAck(device halo.DeviceID, change func(*ackRow)) error {
	if s.repo.closed.Load() {
		return ErrClosed
	}
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	k := key(tableAck, s.id, device)
	var row ackRow
	if _, err := getRow(s.repo.store, k, &row); err != nil {
		return fmt.Errorf("acknowledgement of device %s: %w", device.Short(), err)
	}
	if row.Vector == nil {
		row.Vector = map[halo.FeedID]Position{}
	}
	change(&row)
	var b Batch
	b.Put(k, encodeRow(&row))
	if err := s.repo.store.Commit(&b, Kernel); err != nil {
		return fmt.Errorf("acknowledgement of device %s: %w", device.Short(), err)
	}
	s.repo.hub.publish([]Event{{What: Acked, Space: s.id}})
	return nil
}

// AckedBy returns the other devices that hold all of v durably, sorted.
func (s *Space) AckedBy(v Vector) []halo.DeviceID {
	var out []halo.DeviceID
	for id, row := range s.acks() {
		if id != s.repo.me.device && covers(row.Vector, v) {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b halo.DeviceID) int { return slices.Compare(a[:], b[:]) })
	return out
}

func covers(have map[halo.FeedID]Position, want Vector) bool {
	for feed, p := range want {
		if have[feed].Next < p.Next {
			return false
		}
	}
	return true
}

// Own returns how much of its own feed this device has written: what others
// need to have for everything that was saved here to be there too.
func (s *Space) Own() Vector {
	s.feedsMu.RLock()
	defer s.feedsMu.RUnlock()
	v := Vector{}
	for id, f := range s.feeds {
		if f.Device == s.repo.me.device {
			v[id] = Position{Next: f.Next, Last: f.Last}
		}
	}
	return v
}

// Behind tells how far another device is behind this one.
type Behind struct {
	Device   halo.DeviceID
	Name     string
	Entries  uint64    // entries held here that it has not acknowledged
	LastSeen time.Time // zero: never
}

// Behind lists the other devices of the space, also those that lack nothing.
func (s *Space) Behind() []Behind {
	state, acks := s.State(), s.acks()
	v, _ := s.Vector()
	var out []Behind
	for _, d := range slices.Concat(state.ActiveDevices(), state.RelayDevices()) {
		if d.ID == s.repo.me.device {
			continue
		}
		b := Behind{Device: d.ID, Name: s.deviceName(d.ID), LastSeen: timeOf(acks[d.ID].Seen)}
		for feed, p := range v {
			if have := acks[d.ID].Vector[feed].Next; have < p.Next {
				b.Entries += p.Next - have
			}
		}
		out = append(out, b)
	}
	return out
}

// SpaceInfo is what `echofs status` and `space info` tell of a space.
type SpaceInfo struct {
	ID          SpaceID
	PublicID    string
	Name        string
	Role        string
	Objects     int // files with content, folders and links in the tree
	Members     int
	Drafts      int
	Conflicts   int
	Quarantined int // entries that are held and could not be applied
	Waiting     int // entries that wait for others
	Unsettled   int // new objects that do not replicate yet
	Behind      []Behind
	Floor       uint64     // entries that the host of the invitation had and that have not come
	Relay       *RelayInfo // nil where this device is no relay of it
}

// Info returns numbers about the space. It reads all of the space's rows.
func (s *Space) Info(_ context.Context) (SpaceInfo, error) {
	state := s.State()
	info := SpaceInfo{ID: s.id, PublicID: s.PublicID(), Name: s.Name(), Members: len(state.Members()),
		Role: state.Role(s.repo.me.id).String(), Behind: s.Behind(), Floor: s.BelowFloor()}
	if relay, ok := s.RelayInfo(); ok {
		info.Relay = &relay
		return info, nil
	}
	err := scanPrefix(s.repo.store, key(tableObject, s.id), func(_, v []byte) bool {
		var row objectRow
		if decodeRow(v, &row) == nil && row.Ino != 0 && !row.Deleted && row.Kind != 0 {
			if row.Doc.IsZero() {
				if n, err := getNode(s.repo.store, row.Ino); err == nil && n.Stage == Fresh {
					return true // a file that was made, and nothing saved in it
				}
				info.Unsettled++
			}
			info.Objects++
		}
		return true
	})
	if err != nil {
		return info, fmt.Errorf("count objects: %w", err)
	}
	err = scanPrefix(s.repo.store, key(tableWaiting, s.id), func(_, v []byte) bool {
		var row waitingRow
		switch decodeErr := decodeRow(v, &row); {
		case decodeErr != nil:
		case row.State == entryPending:
			info.Waiting++
		default:
			info.Quarantined++
		}
		return true
	})
	if err != nil {
		return info, fmt.Errorf("count entries: %w", err)
	}
	info.Conflicts = s.countConflicts()
	drafts, err := s.repo.Drafts(s.id)
	info.Drafts = len(drafts)
	return info, err
}
