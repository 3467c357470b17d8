package blob

import "slices"

// JournalState is what a journal says.
type JournalState struct {
	Size   int64
	Blocks []int64
	Dirty  bool
}

// ParseOfAnotherBoot reads a journal as after a restart of the machine.
func ParseOfAnotherBoot(b []byte) (JournalState, error) {
	s, err := parseJournal(b, [16]byte{0xff})
	out := JournalState{Size: s.size, Dirty: s.dirty}
	for block := range s.changed {
		out.Blocks = append(out.Blocks, block)
	}
	slices.Sort(out.Blocks)
	return out, err
}

// DecodeRoot reads the payload of a root.
func DecodeRoot(b []byte) (*Index, error) {
	x, _, err := decodeRoot(b)
	return x, err
}

// SetReserve sets what stays free of the disk, for tests.
func (d *Dir) SetReserve(bytes int64) { d.room = NewRoom(d.path, bytes) }
