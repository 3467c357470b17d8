package echo

import (
	"bytes"
	"fmt"
)

// Invitations are kept for whoever hosts them (package sync), who alone knows
// what is in a record. They are secrets of this device and go nowhere.

// SaveInvite keeps the record of an invitation under an id, in place of the one
// before. It survives the death of the process.
func (r *Repo) SaveInvite(id [8]byte, record []byte) error {
	var b Batch
	b.Put(key(tableInvite, string(id[:])), bytes.Clone(record))
	return wrapf(r.store.Commit(&b, Kernel), "keep invitation")
}

// SavedInvites returns the records of all invitations.
func (r *Repo) SavedInvites() ([][]byte, error) {
	var out [][]byte
	err := scanPrefix(r.store, []byte{tableInvite}, func(_, v []byte) bool {
		out = append(out, bytes.Clone(v))
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read invitations: %w", err)
	}
	return out, nil
}

// ForgetInvite removes the record of an invitation; none is no error.
func (r *Repo) ForgetInvite(id [8]byte) error {
	var b Batch
	b.Delete(key(tableInvite, string(id[:])))
	return wrapf(r.store.Commit(&b, Kernel), "forget invitation")
}
