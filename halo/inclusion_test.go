package halo_test

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"echofs/halo"
)

// office is a space with an owner and three editors who write and gossip. The
// last of them pretends never to hear that it was removed.
type office struct {
	t       *testing.T
	s       *space
	people  []*person
	feeds   []halo.Feed
	knows   [][]halo.CredentialID
	holds   []map[halo.EntryRef]bool
	entries []halo.EntryFacts
	auth    map[halo.EntryRef][]halo.CredentialID
	removal *halo.Credential
	next    []uint64
}

func newOffice(t *testing.T, people []*person) *office {
	t.Helper()
	o := &office{t: t, s: newSpace(t, people[0]), people: people, auth: map[halo.EntryRef][]halo.CredentialID{}, next: make([]uint64, len(people))}
	for _, p := range people[1:] {
		o.s.set(t, p, halo.RoleEditor)
	}
	start := o.s.Heads()
	for i, p := range people {
		o.feeds = append(o.feeds, halo.Feed{ID: halo.FeedID{byte(i + 1)}, Author: p.author(), Opened: start})
		o.knows = append(o.knows, start)
		o.holds = append(o.holds, map[halo.EntryRef]bool{})
	}
	return o
}

func (o *office) attacker() int { return len(o.people) - 1 }

// view returns what one of them takes the entries for.
func (o *office) view(i int) map[halo.EntryRef]halo.Standing {
	state, err := o.s.StateAt(o.knows[i])
	check(o.t, err)
	var mine []halo.EntryFacts
	for _, e := range o.entries {
		if o.holds[i][e.EntryRef] {
			mine = append(mine, e)
		}
	}
	return halo.Include(mine, nil, o.limits(state))
}

func (o *office) limits(s *halo.State) func(halo.FeedID) halo.Limit {
	return func(id halo.FeedID) halo.Limit { return s.Limit(o.feeds[id[0]-1]) }
}

// write adds an entry that builds on all that its author shows.
func (o *office) write(i int) {
	state, err := o.s.StateAt(o.knows[i])
	check(o.t, err)
	void := !state.Role(o.people[i].Identity).AtLeast(halo.RoleEditor)
	if void && i != o.attacker() {
		return
	}
	e := halo.EntryFacts{EntryRef: halo.EntryRef{Feed: o.feeds[i].ID, Seq: o.next[i]}, Void: void}
	e.ID = halo.EntryID{byte(i + 1), byte(e.Seq), byte(e.Seq >> 8)}
	shown := o.view(i)
	for _, other := range o.entries {
		if shown[other.EntryRef].Counts() || i == o.attacker() && o.holds[i][other.EntryRef] {
			e.Deps = append(e.Deps, other.EntryRef)
		}
	}
	o.next[i]++
	o.entries = append(o.entries, e)
	o.auth[e.EntryRef] = o.knows[i]
	o.holds[i][e.EntryRef] = true
}

func (o *office) gossip(i, j int) {
	if i == j {
		return
	}
	for _, to := range []int{i, j} {
		if to != o.attacker() {
			o.knows[to] = mergeHeads(o.t, o.s, o.knows[i], o.knows[j])
		}
	}
	for ref := range o.holds[i] {
		o.holds[j][ref] = true
	}
	for ref := range o.holds[j] {
		o.holds[i][ref] = true
	}
}

// remove lets the owner remove the attacker, up to what the owner holds.
func (o *office) remove() {
	cut := halo.Cut{Feed: o.feeds[o.attacker()].ID, Seq: -1}
	for _, e := range o.entries {
		if o.holds[0][e.EntryRef] && e.Feed == cut.Feed && int64(e.Seq) > cut.Seq {
			cut.Seq, cut.Entry = int64(e.Seq), e.ID
		}
	}
	c, err := halo.Force(o.s.Graph, o.people[0].Issuer, o.knows[0], &halo.MemberRemove{
		Identity: o.people[o.attacker()].Identity, Cuts: []halo.Cut{cut}}, now)
	check(o.t, err)
	add(o.t, o.s.Graph, c)
	o.removal, o.knows[0] = c, []halo.CredentialID{c.ID}
}

func (o *office) tellAll() {
	for range 2 {
		for i := range o.people {
			for j := range o.people {
				o.gossip(i, j)
			}
		}
	}
}

// TestInclusionProperties: whoever writes, gossips and removes in whatever
// order, all who know the same show the same, no edit of those who were never
// removed is lost, and nothing that the removed one writes once all know of it
// counts.
func TestInclusionProperties(t *testing.T) {
	late, endorsed := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewSource(rapid.Int64().Draw(rt, "seed")))
		o := newOffice(t, crowd()[:4])
		for step := range 30 {
			if r.Intn(2) == 0 {
				o.write(r.Intn(4))
			} else {
				o.gossip(r.Intn(4), r.Intn(4))
			}
			if step == 15 {
				o.remove()
			}
		}
		o.tellAll()
		o.check(rt)
		before := len(o.entries)
		for range 8 {
			o.write(r.Intn(4))
			o.tellAll()
		}
		o.check(rt)
		view := o.view(1)
		for i, e := range o.entries {
			mine := e.Feed == o.feeds[o.attacker()].ID
			switch s := view[e.EntryRef]; {
			case i >= before && mine && s.Counts():
				rt.Fatalf("written when all knew of the removal, and counted: %v", e.EntryRef)
			case s == halo.StandingEndorsed:
				endorsed++
			case s == halo.StandingLate:
				late++
			}
		}
	})
	if late < 10 || endorsed < 2 {
		t.Errorf("%d late and %d endorsed entries: they prove nothing", late, endorsed)
	}
}

// check checks what must hold among those who know the same.
func (o *office) check(rt *rapid.T) {
	want := o.view(0)
	for i := 1; i < o.attacker(); i++ {
		if got := o.view(i); fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("%d takes the entries for\n%v, 0 for\n%v", i, got, want)
		}
	}
	for _, e := range o.entries {
		if e.Feed != o.feeds[o.attacker()].ID && !e.Void && !want[e.EntryRef].Counts() {
			rt.Fatalf("an honest edit is lost: %v is %d", e.EntryRef, want[e.EntryRef])
		}
		if !want[e.EntryRef].Counts() {
			continue
		}
		for _, d := range e.Deps {
			if !want[d].Counts() {
				rt.Fatalf("%v counts and %v, on which it builds, does not", e.EntryRef, d)
			}
		}
	}
}

func TestInclude(t *testing.T) {
	ref := func(feed byte, seq uint64) halo.EntryRef { return halo.EntryRef{Feed: halo.FeedID{feed}, Seq: seq} }
	entry := func(at halo.EntryRef, deps ...halo.EntryRef) halo.EntryFacts {
		return halo.EntryFacts{EntryRef: at, ID: halo.EntryID{at.Feed[0], byte(at.Seq)}, Deps: deps}
	}
	void := func(e halo.EntryFacts) halo.EntryFacts { e.Void = true; return e }
	cut := halo.Limit{Cut: true, Last: 1}
	for _, test := range []struct {
		name    string
		entries []halo.EntryFacts
		limit   halo.Limit // of feed 2
		adopt   halo.EntryID
		want    halo.Standing // of the last entry
	}{
		{"before the cut", []halo.EntryFacts{entry(ref(2, 1))}, cut, halo.EntryID{}, halo.StandingIncluded},
		{"beyond the cut", []halo.EntryFacts{entry(ref(2, 2))}, cut, halo.EntryID{}, halo.StandingLate},
		{"built upon by an honest writer", []halo.EntryFacts{entry(ref(1, 0), ref(2, 2)), entry(ref(2, 2))}, cut, halo.EntryID{}, halo.StandingEndorsed},
		{"what that builds on too", []halo.EntryFacts{entry(ref(1, 0), ref(2, 3)), entry(ref(2, 3), ref(2, 2)), entry(ref(2, 2))}, cut, halo.EntryID{}, halo.StandingEndorsed},
		{"built upon by a void one", []halo.EntryFacts{void(entry(ref(1, 0), ref(2, 2))), entry(ref(2, 2))}, cut, halo.EntryID{}, halo.StandingLate},
		{"builds on a void one", []halo.EntryFacts{void(entry(ref(2, 0))), entry(ref(1, 1), ref(2, 0))}, cut, halo.EntryID{}, halo.StandingVoid},
		{"builds on what has not come", []halo.EntryFacts{entry(ref(1, 1), ref(3, 0))}, cut, halo.EntryID{}, halo.StandingWaiting},
		{"adopted", []halo.EntryFacts{entry(ref(2, 2))}, cut, halo.EntryID{2, 2}, halo.StandingIncluded},
		{"in a circle", []halo.EntryFacts{entry(ref(1, 1), ref(1, 2)), entry(ref(1, 2), ref(1, 1))}, cut, halo.EntryID{}, halo.StandingWaiting},
		{"held", []halo.EntryFacts{entry(ref(2, 0))}, halo.Limit{Held: true}, halo.EntryID{}, halo.StandingHeld},
	} {
		got := halo.Include(test.entries, map[halo.EntryID]bool{test.adopt: true}, func(f halo.FeedID) halo.Limit {
			if f == (halo.FeedID{2}) {
				return test.limit
			}
			return halo.Limit{}
		})
		if last := test.entries[len(test.entries)-1]; got[last.EntryRef] != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got[last.EntryRef], test.want)
		}
	}
}

// TestLimit: the strictest of what was said holds; a feed that was opened in
// knowledge of a removal is not its matter.
func TestLimit(t *testing.T) {
	alice, ann, bob := newPerson(t), newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	s.set(t, ann, halo.RoleAdmin)
	s.set(t, bob, halo.RoleEditor)
	feed := halo.Feed{ID: halo.FeedID{7}, Author: bob.author(), Opened: s.Heads()}
	other := feed
	other.ID = halo.FeedID{8}
	fork := s.Heads()
	cuts := func(seq int64) []halo.Cut { return []halo.Cut{{Feed: feed.ID, Seq: seq, Entry: halo.EntryID{1}}} }
	one, err := halo.Force(s.Graph, alice.Issuer, fork, &halo.MemberSet{Identity: bob.Identity, Role: halo.RoleReader, Cuts: cuts(5)}, now)
	check(t, err)
	two, err := halo.Force(s.Graph, ann.Issuer, fork, &halo.MemberRemove{Identity: bob.Identity, Cuts: cuts(3)}, now)
	check(t, err)
	for _, step := range []struct {
		c    *halo.Credential
		last int64
	}{{one, 5}, {two, 3}} {
		add(t, s.Graph, step.c)
		if l := s.State().Limit(feed); !l.Cut || l.Last != step.last || l.Cause != step.c.ID {
			t.Errorf("limit: got %+v, want a cut after %d because of %v", l, step.last, step.c)
		}
		if l := s.State().Limit(other); !l.Cut || l.Last != -1 {
			t.Errorf("a feed that is not named: got %+v, want a cut before all", l)
		}
	}
	s.set(t, bob, halo.RoleEditor)
	again := halo.Feed{ID: halo.FeedID{9}, Author: bob.author(), Opened: s.Heads()}
	if l := s.State().Limit(again); l != (halo.Limit{}) {
		t.Errorf("opened after the readmission: got %+v, want none", l)
	}
	if l := s.State().Limit(feed); !l.Cut {
		t.Error("the old feed counts again after the readmission")
	}
	s.set(t, bob, halo.RoleReader)
	c, err := s.Issue(alice.Issuer, &halo.MemberRemove{Identity: bob.Identity}, now)
	check(t, err)
	add(t, s.Graph, c)
	if l := s.State().Limit(again); l.Last != -1 || !l.Cut {
		t.Errorf("after a demotion without cuts: got %+v", l)
	}
}

// TestForkProof: two entries of one number end the feed before them, if its own
// device signed both.
func TestForkProof(t *testing.T) {
	alice, bob := newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	s.set(t, bob, halo.RoleEditor)
	key := s.rotate(t, nil)
	open, err := halo.NewFeed(bob.Issuer, s.Space(), key, s.AuthHeads(bob.Identity), "", now)
	check(t, err)
	plain, err := open.Open(key)
	check(t, err)
	p, err := halo.OpenFeedOpen(open.Header, plain)
	check(t, err)
	sides := func(signer halo.Signer) []*halo.Entry {
		var out []*halo.Entry
		for _, kind := range []halo.Kind{halo.KindData, halo.KindFeedClose} {
			e, err := halo.SealEntry(signer, key, halo.Header{Space: s.Space(), Feed: open.Header.Feed, Seq: 1,
				Prev: open.ID, Auth: open.Header.Auth, Kind: kind}, nil)
			check(t, err)
			out = append(out, e)
		}
		return out
	}
	for _, test := range []struct {
		signer halo.Signer
		want   int64
		fails  bool
	}{{alice.keys, 0, true}, {bob.keys, 0, false}} {
		pair := sides(test.signer)
		proof, err := halo.NewForkProof(pair[0], pair[1], bob.author(), p.Nonce)
		check(t, err)
		c, err := s.Issue(alice.Issuer, proof, now)
		if (err != nil) != test.fails {
			t.Fatalf("proof signed by its own device %v: got %v", !test.fails, err)
		}
		if test.fails {
			continue
		}
		add(t, s.Graph, c)
		l := s.State().Limit(halo.Feed{ID: open.Header.Feed, Author: bob.author(), Opened: open.Header.Auth})
		if !l.Cut || l.Last != test.want || slices.Contains(s.State().Members(), halo.Member{}) {
			t.Errorf("limit of the forked feed: got %+v, want a cut after %d", l, test.want)
		}
	}
}
