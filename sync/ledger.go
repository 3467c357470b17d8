package sync

import (
	"bytes"

	"crypto/sha256"
	"fmt"
	"slices"

	"echofs/halo"
)

// ledger is the graph of a space's credentials as far as the exchange cares:
// who is whose ancestor. It is not safe for concurrent use.
type ledger struct {
	order []*record // parents first
	byID  map[halo.CredentialID]*record
	bySum map[[32]byte]*record
}

// record is one credential.
type record struct {
	*halo.Credential
	raw []byte
	sum [32]byte // SHA-256 of raw
}

func newLedger() *ledger {
	return &ledger{byID: make(map[halo.CredentialID]*record), bySum: make(map[[32]byte]*record)}
}

// update makes the ledger hold exactly raw, parents first. Each credential is
// parsed once in the ledger's life.
func (l *ledger) update(raw [][]byte) error {
	order := make([]*record, 0, len(raw))
	for _, b := range raw {
		sum := sha256.Sum256(b)
		r := l.bySum[sum]
		if r == nil {
			c, err := halo.ParseCredential(b)
			if err != nil {
				return fmt.Errorf("stored credential: %w", err)
			}
			r = &record{c, b, sum}
			l.bySum[sum], l.byID[c.ID] = r, r
		}
		order = append(order, r)
	}
	l.order = order
	return nil
}

// closure returns ids and their ancestors, as far as they are known.
func (l *ledger) closure(ids []halo.CredentialID) map[halo.CredentialID]bool {
	seen := make(map[halo.CredentialID]bool)
	queue := append([]halo.CredentialID(nil), ids...)
	for len(queue) > 0 {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		r := l.byID[id]
		if r == nil || seen[id] {
			continue
		}
		seen[id] = true
		queue = append(queue, r.Parents...)
	}
	return seen
}

// beyond returns what somebody lacks who holds heads and their ancestors.
func (l *ledger) beyond(heads []halo.CredentialID) []*record {
	has := l.closure(heads)
	var out []*record
	for _, r := range l.order {
		if !has[r.ID] {
			out = append(out, r)
		}
	}
	return out
}

// removals returns the credentials that take an identity out of the space or
// revoke its device. Who came by a link is out also where that was used up, or
// withdrawn, by others that its host did not know of.
func (l *ledger) removals(identity halo.IdentityID, device halo.DeviceID) (ids []halo.CredentialID) {
	link, byLink := l.linkOf(identity)
	for _, r := range l.order {
		switch p := r.Payload.(type) {
		case *halo.MemberRemove:
			if p.Identity == identity {
				ids = append(ids, r.ID)
			}
		case *halo.MemberSet:
			if byLink && bytes.Equal(p.Invite, link[:]) {
				ids = append(ids, r.ID)
			}
		case *halo.InviteRevoke:
			if byLink && p.Invite == link {
				ids = append(ids, r.ID)
			}
		case *halo.DeviceRevoke:
			if p.Device == device || p.Cascade && r.OfIdentity(identity) {
				ids = append(ids, r.ID)
			}
		case *halo.IDCheckpoint:
			listed := slices.ContainsFunc(p.Devices, func(d halo.CheckpointDevice) bool { return d.Device.ID() == device })
			if r.OfIdentity(identity) && !listed {
				ids = append(ids, r.ID)
			}
		}
	}
	return ids
}

// linkOf returns the link by which an identity came.
func (l *ledger) linkOf(identity halo.IdentityID) (link halo.LinkID, ok bool) {
	for _, r := range l.order {
		if p, is := r.Payload.(*halo.MemberSet); is && p.Identity == identity && len(p.Invite) == len(link) {
			return halo.LinkID(p.Invite), true
		}
	}
	return link, false
}

// notice returns what proves a removal to its subject: the removals and their
// ancestors, without what the subject holds, of at most limit bytes; nil where
// that is not enough.
func (l *ledger) notice(removals, held []halo.CredentialID, limit int) (raw [][]byte) {
	needed, has := l.closure(removals), l.closure(held)
	size := 0
	for _, r := range l.order {
		if !needed[r.ID] || has[r.ID] {
			continue
		}
		if size += len(r.raw); size > limit {
			return nil
		}
		raw = append(raw, r.raw)
	}
	return raw
}
