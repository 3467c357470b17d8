package halo_test

import (
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"echofs/halo"
)

// crowd is who the random histories are about: made once, since keys are dear.
var crowd = sync.OnceValue(func() []*person {
	people := make([]*person, 5)
	for i := range people {
		people[i] = newPerson(new(testing.T))
	}
	return people
})

// roles writes who has which role.
func roles(s *halo.State) string { return fmt.Sprint(s.Members()) }

// takenBy returns the effective removals that left a member less than admin.
func removals(s *halo.State) (out []*halo.Credential) {
	for _, c := range halo.Effective(s) {
		switch p := c.Payload.(type) {
		case *halo.MemberRemove:
			out = append(out, c)
		case *halo.MemberSet:
			if !p.Role.AtLeast(halo.RoleAdmin) {
				out = append(out, c)
			}
		}
	}
	return out
}

func subject(c *halo.Credential) halo.IdentityID {
	switch p := c.Payload.(type) {
	case *halo.MemberRemove:
		return p.Identity
	case *halo.MemberSet:
		return p.Identity
	}
	return halo.IdentityID{}
}

// TestRemovalProperties lets five people act on what each knows, by the rules
// and against them, and checks what the resolver promises.
func TestRemovalProperties(t *testing.T) {
	attempts, removed := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewSource(rapid.Int64().Draw(rt, "seed")))
		people := crowd()
		s, _ := randomHistory(t, r, people)
		state := s.State()
		if got := state.Role(people[0].Identity); got != halo.RoleOwner && !ownAct(s, people[0]) {
			rt.Fatalf("the owner is %v by another's act", got)
		}
		for _, c := range halo.Effective(state) {
			if !state.Counts(c.ID) {
				rt.Fatalf("%v is effective and does not count", c)
			}
		}
		for _, c := range removals(state) {
			removed++
			attempts += backdate(t, rt, r, s, people, c)
		}
	})
	if removed < 10 || attempts < 20 {
		t.Errorf("%d removals and %d attempts to backdate: they prove nothing", removed, attempts)
	}
}

// backdate lets whom c removed say something that does not know of c, and
// checks that it changes nobody's role.
func backdate(t *testing.T, rt *rapid.T, r *rand.Rand, s *space, people []*person, c *halo.Credential) (attempts int) {
	t.Helper()
	gone := slices.IndexFunc(people, func(p *person) bool { return p.Identity == subject(c) })
	want := roles(s.State())
	for range 3 {
		heads := knowledgeWithout(t, r, s, c)
		p := randomPayload(r, people, gone)
		if p.Type() < halo.TypeSpaceGenesis || isAbout(p, people[gone]) {
			continue // of itself it may always say that it is less
		}
		late, err := halo.Force(s.Graph, people[gone].Issuer, heads, p, now)
		check(t, err)
		g := halo.NewGraph(s.Space())
		add(t, g, s.All()...)
		add(t, g, late)
		attempts++
		if got := roles(g.State()); got != want {
			rt.Fatalf("removed by %v, %s issues %T in ignorance: members\n%s, want\n%s", c, people[gone].Identity.Short(), p, got, want)
		}
	}
	return attempts
}

func isAbout(p halo.Payload, who *person) bool {
	return subject(&halo.Credential{Payload: p}) == who.Identity
}

// knowledgeWithout returns the heads of a random closed part of the space that
// holds everybody's keys and neither c nor what follows it.
func knowledgeWithout(t *testing.T, r *rand.Rand, s *space, c *halo.Credential) []halo.CredentialID {
	t.Helper()
	g := halo.NewGraph(s.Space())
	for _, other := range s.All() {
		follows, err := s.Covers([]halo.CredentialID{other.ID}, []halo.CredentialID{c.ID})
		check(t, err)
		if !follows && (g.Len() < 12 || r.Intn(4) > 0) {
			_, err := g.Add(other) // waits where its parents were left out
			check(t, err)
		}
	}
	heads := g.Heads()
	return heads[:min(len(heads), halo.MaxParents)]
}

// TestPropertiesBite: without the step that voids, backdating works, so the
// property above would notice.
func TestPropertiesBite(t *testing.T) {
	st := tell(t, "o:add a admin; fork; o:rm a | x=a:add x editor,, a:rm o; join")
	with, without := roles(st.s.State()), roles(halo.Unresolved(st.s.Graph))
	if with == without {
		t.Errorf("with and without voiding the members are %s", with)
	}
}
