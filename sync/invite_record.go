package sync

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"echofs/halo"
	"echofs/sync/wire"
)

// InviteStore keeps the invitations of a device.
type InviteStore interface {
	// SaveInvite keeps a record under an id, in place of the one before. It
	// survives the death of the process when SaveInvite returns. The record is a
	// secret.
	SaveInvite(id [8]byte, record []byte) error
	// SavedInvites returns all records.
	SavedInvites() ([][]byte, error)
	// ForgetInvite removes a record; none is no error.
	ForgetInvite(id [8]byte) error
}

// inviteRecord is what outlives the program of an invitation. It is stored
// before anything that follows from it is sent.
type inviteRecord struct {
	Code     string          `cbor:"1,keyasint"` // a secret
	Digits   string          `cbor:"2,keyasint"` // a secret; none: not asked for
	Space    halo.SpaceID    `cbor:"3,keyasint"`
	Role     halo.Role       `cbor:"4,keyasint"`
	Level    halo.Level      `cbor:"5,keyasint"`
	State    halo.HostState  `cbor:"6,keyasint"`
	Wrong    uint64          `cbor:"7,keyasint"` // digits that were wrong, over all connections
	Admitted bool            `cbor:"8,keyasint"` // the guest below is being or was admitted, and nobody else will be
	Identity halo.IdentityID `cbor:"9,keyasint"`
	Device   halo.DeviceID   `cbor:"10,keyasint"`
	Noise    [32]byte        `cbor:"11,keyasint"`           // its session key
	Guest    string          `cbor:"12,keyasint"`           // what it calls itself
	Ask      bool            `cbor:"13,keyasint,omitempty"` // the user decides about each guest
	Recover  bool            `cbor:"16,keyasint,omitempty"` // for a member who has lost all devices
}

// maxInviteRecord bounds a record, in bytes.
const maxInviteRecord = 4096

func decodeInviteRecord(b []byte) (r inviteRecord, err error) {
	if len(b) > maxInviteRecord {
		return r, fmt.Errorf("invitation record of %d bytes: %w", len(b), wire.ErrMalformed)
	}
	if err := wire.Decode(b, &r); err != nil {
		return r, fmt.Errorf("invitation record: %w", err)
	}
	return r, nil
}

// inviteID names an invitation without giving away where it is met.
func inviteID(i halo.Invite) [8]byte { return i.ID() }

// over reports whether nothing of an invitation is worth keeping.
func (r inviteRecord) over(i halo.Invite, now time.Time) bool {
	end := i.Expires.Add(inviteSlack)
	if r.Admitted {
		end = i.Expires.Add(resumeLife)
	}
	return now.After(end)
}

func (r inviteRecord) tries() int { return halo.AuthTries - int(min(r.Wrong, halo.AuthTries)) }

func (r inviteRecord) info() InviteInfo {
	info := InviteInfo{Space: r.Space, Role: r.Role, Level: r.Level, State: r.State, TriesLeft: r.tries(), Guest: r.Guest}
	if i, err := halo.ParseInvite(r.Code); err == nil {
		id := inviteID(i)
		info.ID, info.Kind, info.Expires = hex.EncodeToString(id[:]), i.Kind, i.Expires
		if !r.State.Final() && !r.Admitted && time.Now().After(i.Expires) {
			info.State = halo.HostExpired
		}
	}
	return info
}

// inviteRecords returns what is stored, by the end of the invitations. What
// cannot be read is left out.
func (n *Network) inviteRecords() ([]inviteRecord, error) {
	raw, err := n.repo.SavedInvites()
	if err != nil {
		return nil, err
	}
	var list []inviteRecord
	for _, b := range raw {
		r, err := decodeInviteRecord(b)
		if err != nil {
			n.logger.Warn("a stored invitation cannot be read", "err", err)
			continue
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b inviteRecord) int {
		x, y := a.info(), b.info()
		return cmp.Or(x.Expires.Compare(y.Expires), cmp.Compare(x.ID, y.ID))
	})
	return list, nil
}
