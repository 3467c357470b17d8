package halo_test

import (
	"errors"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"echofs/halo"
)

// offer returns the payload of a link that a story makes.
func (st *story) offer(words []string) halo.Payload {
	l, err := halo.NewLink(st.s.Space(), nil)
	check(st.t, err)
	st.links[words[0]] = l
	role, err := halo.ParseRole(words[1])
	check(st.t, err)
	uses, err := strconv.Atoi(words[2])
	check(st.t, err)
	p := &halo.InviteIssue{Invite: l.ID(), Key: l.Key(), Role: role, MaxUses: uint64(uses), Expires: uint64(now.Add(time.Hour).Unix())}
	p.AskAdmin, p.AnyMember = slices.Contains(words, "ask"), slices.Contains(words, "members")
	if slices.Contains(words, "old") {
		p.Expires = uint64(now.Add(-halo.LinkGrace - time.Second).Unix())
	}
	return p
}

// claim returns the payload that admits somebody by a link.
func (st *story) claim(name, link string, role []string) halo.Payload {
	p := claimed(st.t, st.s, st.links[link], st.person(name))
	p.Role = halo.RoleEditor
	for _, c := range st.s.All() {
		if issue, ok := c.Payload.(*halo.InviteIssue); ok && issue.Invite == st.links[link].ID() {
			p.Role = issue.Role
		}
	}
	if len(role) > 0 {
		r, err := halo.ParseRole(role[0])
		check(st.t, err)
		p.Role = r
	}
	return p
}

func claimed(tb testing.TB, s *space, l halo.Link, guest *person) *halo.MemberSet {
	tb.Helper()
	claim, err := l.Claim(s.Space(), guest.Identity, guest.keys.ID(), make([]byte, 32))
	check(tb, err)
	id := l.ID()
	return &halo.MemberSet{Identity: guest.Identity, Role: halo.RoleEditor, Invite: id[:], Claim: claim}
}

// Two hosts that do not know of each other admit the last guest: exactly one of
// the two waits, the same one on every replica, until an admin says more.
func TestLinkIsOversubscribed(t *testing.T) {
	st := tell(t, "o:add a admin; o:add e editor; o:offer l editor 2 members; o:claim x l; fork; a:claim y l,, e:claim u l | e:claim z l; join")
	state := st.s.State()
	link, _ := state.Link(st.links["l"].ID())
	if len(link.Uses) != 2 || link.Left() != 0 {
		t.Errorf("uses: got %d with %d left, want 2 and none left", len(link.Uses), link.Left())
	}
	waiting := state.Waiting()
	if len(waiting) != 2 || !waiting[0].Over || waiting[0].Role != halo.RoleEditor {
		t.Fatalf("waiting: got %+v, want two that are over the limit", waiting)
	}
	want := st.result(state)
	all := st.s.All()
	r := rand.New(rand.NewSource(1))
	for range 20 {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		g := halo.NewGraph(st.s.Space())
		for _, c := range all {
			_, err := g.Add(c)
			check(t, err)
		}
		if got := st.result(g.State()); got != want {
			t.Fatalf("another order: got %s, want %s", got, want)
		}
	}
	// What it wrote as a member of its host's view ends where an admin declines.
	by := halo.Issuer{Identity: st.people["o"].Identity, Signer: st.people["o"].keys}
	for _, w := range waiting {
		c, err := st.s.Issue(by, &halo.MemberRemove{Identity: w.Identity, Cuts: []halo.Cut{}}, now)
		check(t, err)
		add(t, st.s.Graph, c)
		if !slices.ContainsFunc(halo.Effective(st.s.State()), func(e *halo.Credential) bool { return e.ID == c.ID }) {
			t.Error("declining a guest who may have begun to write does not end its feeds")
		}
	}
	if left := st.s.State().Waiting(); len(left) != 0 {
		t.Errorf("after both were declined: %d wait", len(left))
	}
}

// Nobody gets in by a link that he does not have.
func TestClaimsAreChecked(t *testing.T) {
	owner, guest, other := newPerson(t), newPerson(t), newPerson(t)
	s := newSpace(t, owner)
	s.know(t, guest)
	s.know(t, other)
	l, err := halo.NewLink(s.Space(), nil)
	check(t, err)
	issue, err := s.Issue(owner.Issuer, &halo.InviteIssue{Invite: l.ID(), Key: l.Key(), Role: halo.RoleEditor, MaxUses: 9,
		Expires: uint64(now.Add(time.Hour).Unix())}, now)
	check(t, err)
	add(t, s.Graph, issue)
	foreign, err := halo.NewLink(s.Space(), nil)
	check(t, err)
	elsewhere, err := l.Claim(halo.SpaceID{1}, guest.Identity, guest.keys.ID(), make([]byte, 32))
	check(t, err)
	for name, change := range map[string]func(*halo.MemberSet){
		"of another guest":      func(p *halo.MemberSet) { p.Identity = other.Identity },
		"of another link":       func(p *halo.MemberSet) { p.Claim = claimed(t, s, foreign, guest).Claim },
		"of another space":      func(p *halo.MemberSet) { p.Claim = elsewhere },
		"for another device":    func(p *halo.MemberSet) { p.Claim[0] ^= 1 },
		"for another session":   func(p *halo.MemberSet) { p.Claim[40] ^= 1 },
		"with a bad signature":  func(p *halo.MemberSet) { p.Claim[100] ^= 1 },
		"for an unknown link":   func(p *halo.MemberSet) { id := foreign.ID(); p.Invite = id[:] },
		"for an unknown person": func(p *halo.MemberSet) { p.Identity[0] ^= 1 },
	} {
		p := claimed(t, s, l, guest)
		change(p)
		if _, err := s.Issue(owner.Issuer, p, now); !errors.Is(err, halo.ErrNotAllowed) {
			t.Errorf("a claim %s: got %v, want %v", name, err, halo.ErrNotAllowed)
		}
	}
	for name, p := range map[string]*halo.MemberSet{
		"without a link": {Identity: guest.Identity, Role: halo.RoleEditor, Claim: make([]byte, 128)},
		"too short":      {Identity: guest.Identity, Role: halo.RoleEditor, Invite: make([]byte, 16), Claim: make([]byte, 64)},
		"name alone":     {Identity: guest.Identity, Role: halo.RoleEditor, Name: []byte("x")},
	} {
		if _, err := s.Issue(owner.Issuer, p, now); !errors.Is(err, halo.ErrMalformed) {
			t.Errorf("claim %s: got %v, want %v", name, err, halo.ErrMalformed)
		}
	}
	c, err := s.Issue(owner.Issuer, claimed(t, s, l, guest), now)
	check(t, err)
	add(t, s.Graph, c)
	if role := s.State().Role(guest.Identity); role != halo.RoleEditor {
		t.Errorf("a good claim: got %v, want editor", role)
	}
}

func TestLinkGoesThroughHands(t *testing.T) {
	space := halo.SpaceID{1, 2, 3}
	want, err := halo.NewLink(space, []string{"wss://signal.example.com/x", "ws://127.0.0.1:8080"})
	check(t, err)
	text, err := want.URL()
	check(t, err)
	got, err := halo.ParseLink("  " + text + "\n")
	check(t, err)
	if !halo.IsLink(text) || !strings.HasPrefix(text, "echofs://join/1#") || halo.IsLink("echofs1-abc") {
		t.Errorf("URL: got %q", text[:20])
	}
	if !reflect.DeepEqual(got.URLs, want.URLs) || got.ID() != want.ID() || got.Key() != want.Key() || !got.LeadsTo(space) || got.LeadsTo(halo.SpaceID{1}) {
		t.Error("ParseLink: another link")
	}
	a, b := got.Meeting(), want.Meeting()
	if a.Topic() != b.Topic() || !a.NoisePSK().Equal(b.NoisePSK()) || !a.SignalKey().Equal(b.SignalKey()) || a.SignalKey().Equal(a.NoisePSK()) {
		t.Error("ParseLink: another meeting")
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s %x", got, got, got, got, got), fmt.Sprintf("%v %+v %#v", a, a, a)} {
		if strings.Trim(shown, " ") == "" || strings.Contains(shown, "example") {
			t.Errorf("a link prints as %q", shown)
		}
	}
	for _, bad := range []string{"", "echofs://join/1#", "echofs://join/2#" + text[16:], text + "=", text + "AA", text[:len(text)-1], "echofs1-" + text[16:], text + strings.Repeat("A", 3000)} {
		if _, err := halo.ParseLink(bad); !errors.Is(err, halo.ErrBadCode) || len(text) > 30 && strings.Contains(err.Error(), text[16:30]) {
			t.Errorf("ParseLink of %d characters: got %v, want ErrBadCode that does not repeat it", len(bad), err)
		}
	}
	many, err := halo.NewLink(space, slices.Repeat([]string{"wss://" + strings.Repeat("x", 150)}, 9))
	if err != nil || len(many.URLs) != 2 {
		t.Errorf("many URLs: got %d, %v, want the 2 that fit", len(many.URLs), err)
	}
}

func TestLinkMeetingIsSealed(t *testing.T) {
	space := halo.SpaceID{1}
	l, err := halo.NewLink(space, []string{"wss://" + strings.Repeat("x", 180), "wss://" + strings.Repeat("y", 180)})
	check(t, err)
	key, err := halo.NewEpochKey()
	check(t, err)
	sealed, err := l.Meeting().Seal(key, space)
	check(t, err)
	got, err := halo.OpenLinkMeeting(key, space, sealed)
	if err != nil || got.Topic() != l.Meeting().Topic() || len(got.URLs) != 2 {
		t.Errorf("OpenLinkMeeting: got %v, want the meeting", err)
	}
	other, err := halo.NewEpochKey()
	check(t, err)
	if _, err := halo.OpenLinkMeeting(other, space, sealed); !errors.Is(err, halo.ErrDecrypt) {
		t.Errorf("with another key: got %v, want ErrDecrypt", err)
	}
}

// TestLinkProperties lets hosts who know different things admit guests by two
// links, withdraw them, and remove each other: the state depends on no order,
// no link admits more than it may, and what was withdrawn concurrently is void.
func TestLinkProperties(t *testing.T) {
	people := crowd()
	guests := make([]*person, 6)
	for i := range guests {
		guests[i] = newPerson(t)
	}
	waited, used := 0, 0
	for seed := range 30 {
		r := rand.New(rand.NewSource(int64(seed)))
		s, links := linkHistory(t, r, people, guests)
		want := linkDump(s.State())
		for range 3 {
			all := s.All()
			g := halo.NewGraph(s.Space())
			for _, i := range r.Perm(len(all)) {
				_, err := g.Add(all[i])
				check(t, err)
			}
			if got := linkDump(g.State()); got != want {
				t.Fatalf("seed %d: another order\n%s\nwant\n%s", seed, got, want)
			}
		}
		for _, l := range links {
			link, ok := s.State().Link(l.ID())
			if !ok {
				continue
			}
			used += len(link.Uses)
			if len(link.Uses) > link.MaxUses {
				t.Errorf("seed %d: %d uses of %d", seed, len(link.Uses), link.MaxUses)
			}
		}
		for _, w := range s.State().Waiting() {
			waited++
			if s.State().Role(w.Identity) != halo.RoleNone {
				t.Errorf("seed %d: a member waits", seed)
			}
		}
	}
	if used < 30 || waited < 10 {
		t.Errorf("%d uses and %d who wait: they prove nothing", used, waited)
	}
}

func linkDump(s *halo.State) string {
	out := []string{dump(s)}
	for _, l := range s.Links() {
		out = append(out, fmt.Sprint(l.ID, l.Revoked, l.Uses, l.Left()))
	}
	for _, w := range s.Waiting() {
		out = append(out, fmt.Sprint(w.Identity, w.Link, w.Over))
	}
	return strings.Join(out, "\n")
}

func linkHistory(t *testing.T, r *rand.Rand, people, guests []*person) (*space, []halo.Link) {
	t.Helper()
	s := newSpace(t, people[0])
	for i, p := range people[1:] {
		s.set(t, p, []halo.Role{halo.RoleAdmin, halo.RoleAdmin, halo.RoleEditor, halo.RoleReader}[i])
	}
	for _, g := range guests {
		s.know(t, g)
	}
	var links []halo.Link
	for i := range 2 {
		l, err := halo.NewLink(s.Space(), nil)
		check(t, err)
		p := &halo.InviteIssue{Invite: l.ID(), Key: l.Key(), Role: halo.RoleEditor, MaxUses: 2, AnyMember: true, AskAdmin: i == 1 && r.Intn(2) == 0,
			Expires: uint64(now.Add(time.Hour).Unix())}
		c, err := s.Issue(people[i].Issuer, p, now)
		check(t, err)
		add(t, s.Graph, c)
		links = append(links, l)
	}
	start := s.Heads()
	knows := slices.Repeat([][]halo.CredentialID{start}, len(people))
	for range 24 {
		i := r.Intn(len(people))
		if r.Intn(3) == 0 {
			knows[i] = mergeHeads(t, s, knows[i], knows[r.Intn(len(people))])
			continue
		}
		var p halo.Payload
		l, guest := links[r.Intn(2)], guests[r.Intn(len(guests))]
		switch r.Intn(12) {
		case 0:
			p = &halo.InviteRevoke{Invite: l.ID()}
		case 1:
			p = &halo.MemberRemove{Identity: append(slices.Clone(people[1:]), guests...)[r.Intn(len(people)-1+len(guests))].Identity}
		case 2:
			p = &halo.MemberSet{Identity: guest.Identity, Role: halo.RoleReader}
		default:
			p = claimed(t, s, l, guest)
		}
		c, err := halo.Force(s.Graph, people[i].Issuer, knows[i], p, now)
		check(t, err)
		add(t, s.Graph, c)
		knows[i] = mergeHeads(t, s, knows[i], []halo.CredentialID{c.ID})
	}
	return s, links
}
