package halo_test

import (
	"fmt"
	"sync"
	"testing"

	"echofs/halo"
)

const size = 5000

// longHistory returns the bytes of a space of some thousand credentials: twenty
// admins change the roles of editors, and every now and then one of them is
// removed while it adds somebody, and comes back.
var longHistory = sync.OnceValues(func() (halo.SpaceID, [][]byte) {
	t := new(testing.T)
	owner := newPerson(t)
	s := newSpace(t, owner)
	people := make([]*person, 40)
	for i := range people {
		people[i] = newPerson(t)
		role := halo.RoleEditor
		if i < 20 {
			role = halo.RoleAdmin
		}
		s.set(t, people[i], role)
	}
	force := func(by *person, heads []halo.CredentialID, p halo.Payload) halo.CredentialID {
		c, err := halo.Force(s.Graph, by.Issuer, heads, p, now)
		check(t, err)
		add(t, s.Graph, c)
		return c.ID
	}
	for i := 0; s.Len() < size; i++ {
		admin, editor := people[i%20], people[20+i%20]
		heads := s.Heads()
		if i%100 == 99 {
			remove := force(owner, heads, &halo.MemberRemove{Identity: admin.Identity})
			late := force(admin, heads, &halo.MemberSet{Identity: editor.Identity, Role: halo.RoleReader})
			force(owner, sorted(remove, late), &halo.MemberSet{Identity: admin.Identity, Role: halo.RoleAdmin})
			continue
		}
		role := halo.RoleReader
		if i/20%2 == 1 {
			role = halo.RoleEditor
		}
		force(admin, heads, &halo.MemberSet{Identity: editor.Identity, Role: role})
	}
	var raw [][]byte
	for _, c := range s.All() {
		raw = append(raw, c.Bytes())
	}
	return s.Space(), raw
})

func sorted(a, b halo.CredentialID) []halo.CredentialID {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return []halo.CredentialID{a, b}
}

// BenchmarkResolve measures how long it takes to say who may do what by 5,000
// credentials when nothing is remembered but what each was judged for.
func BenchmarkResolve(b *testing.B) {
	space, raw := longHistory()
	g := halo.NewGraph(space)
	check(b, g.Load(raw))
	b.ResetTimer()
	for range b.N {
		halo.Forget(g)
		if got := len(g.State().Members()); got != 41 {
			b.Fatalf("members: got %d, want 41", got)
		}
	}
}

// BenchmarkLoad measures reading, verifying and judging them.
func BenchmarkLoad(b *testing.B) {
	space, raw := longHistory()
	for _, n := range []int{len(raw)} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				check(b, halo.NewGraph(space).Load(raw[:n]))
			}
		})
	}
}
