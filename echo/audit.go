package echo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"echofs/halo"
)

// The words for where an entry stands that is not simply part of the documents.
const (
	AuditLate        = "late"        // after its feed was cut: not shown, can be adopted
	AuditHeld        = "held"        // of a revoked device, until its feed is sealed
	AuditEndorsed    = "endorsed"    // late, and shown, since an honest edit builds on it
	AuditAdopted     = "adopted"     // late, and somebody took it back
	AuditVoid        = "void"        // not allowed, or malformed: never shown
	AuditWaiting     = "waiting"     // for what it builds on, or a key
	AuditQuarantined = "quarantined" // the CRDT core did not survive it here
)

// Audited is an entry that is not simply part of the documents.
type Audited struct {
	Entry   halo.EntryID
	Feed    halo.FeedID
	Seq     uint64
	State   string
	Reason  string
	Author  string // the member's name
	Device  string
	Time    time.Time // as the author says
	Changes int       // of documents; 0 where it cannot be read
}

// Audit lists the entries of the space that are not simply part of the
// documents, by feed and number.
func (s *Space) Audit(ctx context.Context) ([]Audited, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &txn{overlay: newOverlay(s.repo.store), s: s, ctx: ctx, now: s.repo.now()}
	states, err := t.auditStates()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	out := make([]Audited, 0, len(states))
	state := s.State()
	for ref, row := range states {
		e, data, err := t.open(ref)
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		var f feedRow
		if _, err := getRow(t, key(tableFeed, s.id, ref.feed), &f); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		out = append(out, Audited{Entry: e.ID, Feed: ref.feed, Seq: ref.seq, State: row.word(), Reason: row.reason,
			Author: s.nameOf(state, f.Identity), Device: s.deviceName(f.Device), Time: e.Time(), Changes: len(changesOf(data))})
	}
	slices.SortFunc(out, func(a, b Audited) int {
		return cmp.Or(slices.Compare(a.Feed[:], b.Feed[:]), cmp.Compare(a.Seq, b.Seq))
	})
	return out, nil
}

// auditState is where an entry stands.
type auditState struct {
	state   entryState
	adopted bool
	reason  string
}

func (a auditState) word() string {
	switch a.state {
	case entryPending:
		return AuditWaiting
	case entryVoid:
		return AuditVoid
	case entryQuarantined:
		return AuditQuarantined
	case entryLate:
		return AuditLate
	case entryHeld:
		return AuditHeld
	}
	if a.adopted {
		return AuditAdopted
	}
	return AuditEndorsed
}

func (t *txn) auditStates() (map[entryRef]auditState, error) {
	out := map[entryRef]auditState{}
	prefix := key(tableWaiting, t.s.id)
	err := scanPrefix(t, prefix, func(k, v []byte) bool {
		var row waitingRow
		if decodeRow(v, &row) == nil {
			out[parseEntryRef(k[len(prefix):])] = auditState{state: row.State, reason: row.Reason}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	adopted, err := t.adopted()
	if err != nil {
		return nil, err
	}
	for feed, row := range t.s.feeds {
		l, err := t.limit(feed)
		if err != nil {
			return nil, err
		}
		if !l.Cut {
			continue
		}
		for seq := uint64(l.Last + 1); seq < row.Next; seq++ {
			ref := entryRef{feed, seq}
			if _, waits := out[ref]; waits {
				continue
			}
			e, err := t.entry(ref)
			if err != nil {
				return nil, err
			}
			out[ref] = auditState{adopted: adopted[e.ID], reason: fmt.Sprintf("after the feed was cut by credential %s", l.Cause.Short())}
		}
	}
	return out, nil
}

// ErrNotLate tells that an entry needs no adoption.
var ErrNotLate = errors.New("no late entry")

// Adopt takes late entries back: they count again for everybody, with all that
// they build on. Each of which is the beginning of an entry's id, a feed and a
// number as FEED:SEQ, a range as FEED:FROM-TO, or "all". It returns how many
// were adopted. It fails with ErrReadOnly, and with ErrNotFound where a word
// names no late entry.
func (s *Space) Adopt(ctx context.Context, which ...string) (int, error) {
	all, err := s.Audit(ctx)
	if err != nil {
		return 0, err
	}
	var ids []halo.EntryID
	for _, word := range which {
		found, err := pickLate(all, word)
		if err != nil {
			return 0, fmt.Errorf("adopt: %w", err)
		}
		ids = append(ids, found...)
	}
	slices.SortFunc(ids, func(a, b halo.EntryID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return 0, nil
	}
	err = s.update(ctx, func(t *txn) error { return t.takeBack(ids) })
	return len(ids), wrapf(err, "adopt")
}

// maxAdopt is how many entries one Adopt entry names.
const maxAdopt = 500

func (t *txn) takeBack(ids []halo.EntryID) error {
	if !t.s.mayWrite() {
		return ErrReadOnly
	}
	if err := t.openFeed(); err != nil {
		return err
	}
	for part := range slices.Chunk(ids, maxAdopt) {
		plain, err := halo.Adopt{Entries: part}.Encode()
		if err != nil {
			return err
		}
		e, err := t.seal(halo.KindAdopt, plain)
		if err != nil {
			return err
		}
		if err := t.append(e); err != nil {
			return err
		}
		if _, err := t.noteAdopted(e, plain); err != nil {
			return err
		}
	}
	return nil
}

// pickLate returns the late entries that a word names.
func pickLate(all []Audited, word string) ([]halo.EntryID, error) {
	feed, span, isRange := strings.Cut(word, ":")
	from, to, err := parseSpan(span)
	if isRange && err != nil {
		return nil, fmt.Errorf("%q: %w", word, err)
	}
	var out []halo.EntryID
	for _, a := range all {
		if a.State != AuditLate {
			continue
		}
		switch {
		case word == "all",
			isRange && len(feed) >= minPrefix && strings.HasPrefix(a.Feed.String(), feed) && a.Seq >= from && a.Seq <= to,
			!isRange && len(word) >= minPrefix && strings.HasPrefix(a.Entry.String(), word):
			out = append(out, a.Entry)
		}
	}
	if len(out) == 0 && word != "all" {
		return nil, fmt.Errorf("%q: %w: %w", word, ErrNotLate, ErrNotFound)
	}
	return out, nil
}

// parseSpan reads N or N-M.
func parseSpan(s string) (from, to uint64, err error) {
	first, last, isSpan := strings.Cut(s, "-")
	if from, err = strconv.ParseUint(first, 10, 53); err != nil {
		return 0, 0, fmt.Errorf("no number: %w", ErrNotFound)
	}
	if !isSpan {
		return from, from, nil
	}
	if to, err = strconv.ParseUint(last, 10, 53); err != nil {
		return 0, 0, fmt.Errorf("no number: %w", ErrNotFound)
	}
	return from, to, nil
}
