package overlay

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

const (
	// Degree is the most connections of a device in a space.
	Degree = 8
	// side is how many neighbours on either side of the ring are wanted.
	side = 2
	// across is up to how many connections in all a device looks for more across
	// the ring. The rest of Degree is left for those who look for it.
	across = 6
)

// ID names a device.
type ID = [32]byte

// View is what one device knows of a space.
type View struct {
	space [32]byte
	self  ID
	ring  []place // all that are there, this device among them
	index map[ID]int
}

// place is a device on the ring.
type place struct {
	at [32]byte
	id ID
}

// NewView returns the view of self, which knows the others to be there. Order
// and repetitions among them do not matter.
func NewView(space [32]byte, self ID, others []ID) *View {
	v := &View{space: space, self: self, index: make(map[ID]int, len(others)+1)}
	for _, id := range append([]ID{self}, others...) {
		if _, seen := v.index[id]; !seen {
			v.index[id] = 0
			v.ring = append(v.ring, place{sha256.Sum256(slices.Concat([]byte("echofs/v1/ring\x00"), space[:], id[:])), id})
		}
	}
	slices.SortFunc(v.ring, func(a, b place) int { return bytes.Compare(a.at[:], b.at[:]) })
	for i, p := range v.ring {
		v.index[p.id] = i
	}
	return v
}

// small reports whether there are so few that each connects with each.
func (v *View) small() bool { return len(v.ring) <= Degree+1 }

// Neighbour reports whether a device is one to connect with in any case. It is
// the same for both ends where they know the same devices.
func (v *View) Neighbour(id ID) bool {
	i, known := v.index[id]
	if !known || id == v.self {
		return false
	}
	if v.small() {
		return true
	}
	d := (i - v.index[v.self] + len(v.ring)) % len(v.ring)
	return d <= side || len(v.ring)-d <= side
}

// Wanted returns the devices to connect with now, the most important first.
// linked are those with which there is a connection, or one is being made; full
// reports that a device had no room lately.
func (v *View) Wanted(linked map[ID]bool, full func(ID) bool) (want []ID) {
	var others []ID
	for _, p := range v.ring {
		switch {
		case p.id == v.self || linked[p.id]:
		case v.Neighbour(p.id):
			want = append(want, p.id)
		case !full(p.id):
			others = append(others, p.id)
		}
	}
	if v.small() {
		return want
	}
	missing := across - len(linked) - len(want)
	if missing <= 0 {
		return want
	}
	v.byPair(others)
	return append(want, others[:min(missing, len(others))]...)
}

// Accepts reports whether a connection that another device wants is taken.
func (v *View) Accepts(id ID, linked map[ID]bool) bool {
	return linked[id] || len(linked) < Degree || v.Neighbour(id)
}

// Spare returns the connections to let go so that no more than Degree are left;
// those across the ring with the largest hashes go first.
func (v *View) Spare(linked map[ID]bool) []ID {
	excess := len(linked) - Degree
	if excess <= 0 {
		return nil
	}
	var spare, near []ID
	for id := range linked {
		if v.Neighbour(id) {
			near = append(near, id)
		} else {
			spare = append(spare, id)
		}
	}
	v.byPair(spare)
	v.byPair(near)
	all := append(near, spare...) // the last go first
	return all[len(all)-excess:]
}

// byPair sorts by the hash of the pair with this device.
func (v *View) byPair(ids []ID) {
	hashes := make(map[ID][32]byte, len(ids))
	for _, id := range ids {
		a, b := v.self, id
		if bytes.Compare(a[:], b[:]) > 0 {
			a, b = b, a
		}
		hashes[id] = sha256.Sum256(slices.Concat([]byte("echofs/v1/pair\x00"), v.space[:], a[:], b[:]))
	}
	slices.SortFunc(ids, func(a, b ID) int {
		x, y := hashes[a], hashes[b]
		return bytes.Compare(x[:], y[:])
	})
}
