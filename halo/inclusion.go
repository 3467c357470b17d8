package halo

import (
	"bytes"
	"fmt"
)

// Which entries count. Authority ends by credentials; up to where a feed counts
// is said by cuts: in the removal of a member, in the seal of a revoked device's
// feed, in the proof that a feed forked. Whoever writes after a removal, or with
// a clock set back, writes beyond the cut.
//
//	void      its author had no authority by what it says it knew, or its
//	          structure is bad, or it builds on something void: for ever, for all
//	base      not void, and not beyond its feed's cut; or adopted
//	included  base, and all that an included entry builds on
//	late      beyond the cut, and nothing included builds on it
//	held      of a revoked device whose feed nobody has sealed yet
//
// An honest writer who had not heard of the removal may have built on what lies
// beyond the cut; that is included too (endorsed), since without it the honest
// edit could not be shown. Once the honest writers know, nobody builds on it any
// more. All of it follows from the credentials and the entries; no order, clock
// or counter of a replica plays a part.

// Feed is what a limit depends on.
type Feed struct {
	ID     FeedID
	Author Author
	Opened []CredentialID // what its author knew when it was opened
}

// Limit is up to where a feed counts. The zero Limit is none.
type Limit struct {
	Cut   bool  // there is a cut
	Last  int64 // with Cut: the last number that counts; -1 for none
	Held  bool  // the device is revoked, and no cut says from where
	Cause CredentialID
}

// Beyond reports whether the entry with a number lies beyond the cut.
func (l Limit) Beyond(seq uint64) bool { return l.Cut && int64(seq) > l.Last }

// Limit returns up to where a feed counts by what the state says: the strictest
// of all seals, fork proofs and removals. A removal cuts all feeds of the member
// but those that were opened in knowledge of it; one that it does not name
// counts for nothing.
func (s *State) Limit(f Feed) Limit {
	var l Limit
	for _, n := range s.seals {
		switch p := n.Payload.(type) {
		case *FeedSeal:
			if p.Cut.Feed == f.ID {
				l.tighten(p.Cut.Seq, n.ID)
			}
		case *ForkProof:
			if h, err := parseHeader(p.HeaderA); err == nil && h.Feed == f.ID {
				l.tighten(int64(h.Seq)-1, n.ID)
			}
		}
	}
	for _, n := range s.lowered {
		if n.act.member == f.Author.Identity && !s.knew(f.Opened, n.ID) {
			l.tighten(n.cut(f.ID), n.ID)
		}
	}
	if d, ok := s.Device(f.Author.Identity, f.Author.Device); !l.Cut && ok && !d.Active() {
		l.Held = true
	}
	return l
}

func (l *Limit) tighten(last int64, cause CredentialID) {
	if !l.Cut || last < l.Last {
		*l = Limit{Cut: true, Last: last, Cause: cause}
	}
}

// cut returns the last number of a feed that a removal names; -1 for a feed
// that it does not name.
func (n *node) cut(feed FeedID) int64 {
	var cuts []Cut
	switch p := n.Payload.(type) {
	case *MemberSet:
		cuts = p.Cuts
	case *MemberRemove:
		cuts = p.Cuts
	}
	for _, c := range cuts {
		if c.Feed == feed {
			return c.Seq
		}
	}
	return -1
}

// knew reports whether heads, or their ancestors, hold a credential.
func (s *State) knew(heads []CredentialID, id CredentialID) bool {
	covered, err := s.graph.Covers(heads, []CredentialID{id})
	return err == nil && covered
}

// Limited reports whether the state holds anything that can limit a feed: for
// most spaces the answer is no, and nobody has to look further.
func (s *State) Limited() bool {
	if len(s.seals) > 0 || len(s.lowered) > 0 {
		return true
	}
	for _, i := range s.identities {
		for _, d := range i.devices {
			if !d.Active() {
				return true
			}
		}
	}
	return false
}

// EntryRef names an entry by its place.
type EntryRef struct {
	Feed FeedID
	Seq  uint64
}

// EntryFacts is what inclusion needs to know of an entry.
type EntryFacts struct {
	EntryRef
	ID   EntryID
	Void bool       // by itself: no authority, or a bad structure
	Deps []EntryRef // entries with the changes that its own need
}

// Standing is what an entry counts for.
type Standing uint8

// The standings.
const (
	StandingVoid     Standing = iota // never
	StandingWaiting                  // something that it builds on has not come
	StandingLate                     // beyond its feed's cut
	StandingHeld                     // of a revoked device's feed without a seal
	StandingEndorsed                 // beyond the cut, and an included entry builds on it
	StandingIncluded
)

// Counts reports whether the entry is part of the documents.
func (s Standing) Counts() bool { return s >= StandingEndorsed }

// Include decides what each of a set of entries counts for. adopted holds the
// entries that somebody took back; limit returns the limit of a feed. The set
// must hold what its entries build on, as far as it has come.
func Include(entries []EntryFacts, adopted map[EntryID]bool, limit func(FeedID) Limit) map[EntryRef]Standing {
	in := &inclusion{facts: make(map[EntryRef]EntryFacts, len(entries)), out: make(map[EntryRef]Standing, len(entries))}
	for _, e := range entries {
		in.facts[e.EntryRef] = e
	}
	in.judge()
	var base []EntryRef
	for ref, e := range in.facts {
		switch l := limit(e.Feed); {
		case in.out[ref] != StandingIncluded:
		case adopted[e.ID]:
			base = append(base, ref)
		case l.Beyond(e.Seq):
			in.out[ref] = StandingLate
		case l.Held:
			in.out[ref] = StandingHeld
		default:
			base = append(base, ref)
		}
	}
	in.close(base)
	return in.out
}

type inclusion struct {
	facts map[EntryRef]EntryFacts
	out   map[EntryRef]Standing
}

// judge decides which entries could be included at all: those that build on
// nothing that is void or missing. What goes in a circle, which no honest entry
// can, waits for ever.
func (in *inclusion) judge() {
	left := make(map[EntryRef]int, len(in.facts)) // what is to be judged before
	above := map[EntryRef][]EntryRef{}
	var ready []EntryRef
	standing := make(map[EntryRef]Standing, len(in.facts))
	for ref, e := range in.facts {
		standing[ref] = StandingIncluded
		if e.Void {
			standing[ref] = StandingVoid
		}
		for _, d := range e.Deps {
			if _, known := in.facts[d]; known {
				left[ref]++
				above[d] = append(above[d], ref)
			} else {
				standing[ref] = min(standing[ref], StandingWaiting)
			}
		}
		in.out[ref] = min(standing[ref], StandingWaiting)
		if left[ref] == 0 {
			ready = append(ready, ref)
		}
	}
	for len(ready) > 0 {
		ref := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		in.out[ref] = standing[ref]
		for _, up := range above[ref] {
			standing[up] = min(standing[up], standing[ref])
			if left[up]--; left[up] == 0 {
				ready = append(ready, up)
			}
		}
	}
}

// close includes what included entries build on.
func (in *inclusion) close(base []EntryRef) {
	for len(base) > 0 {
		e := in.facts[base[len(base)-1]]
		base = base[:len(base)-1]
		for _, d := range e.Deps {
			if s := in.out[d]; s == StandingLate || s == StandingHeld {
				in.out[d] = StandingEndorsed
				base = append(base, d)
			}
		}
	}
}

// NewForkProof returns the proof that a feed forked: a and b have one number.
// It fails with ErrMalformed where they do not, or are the same.
func NewForkProof(a, b *Entry, author Author, nonce [16]byte) (*ForkProof, error) {
	if bytes.Compare(a.hdr, b.hdr) > 0 {
		a, b = b, a
	}
	p := &ForkProof{HeaderA: a.hdr, SigA: a.Sig, HeaderB: b.hdr, SigB: b.Sig, Device: author.Device, Identity: author.Identity, Nonce: nonce}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("prove a fork: %w", err)
	}
	return p, nil
}

// At returns the feed that the proof is about, and the number of which it has two
// entries. It fails with ErrMalformed.
func (p *ForkProof) At() (FeedID, uint64, error) {
	h, err := parseHeader(p.HeaderA)
	return h.Feed, h.Seq, err
}
