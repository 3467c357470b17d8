package halo

import "slices"

// The resolver: which credentials of a closed set count. It is ranked strong
// removal. Whoever is removed or lowered by somebody of a higher level loses
// what it issued concurrently, so backdating is of no use; since only higher
// levels can do that to lower ones, the rule has a bottom, and it looks at
// nothing but the set.
//
//	1  granted(c)  the author had the authority, by the resolved ancestors of c;
//	               decided when c is added, for ever
//	2  acts        the granted credentials that take something from somebody
//	               (act.go), in the order of their steps. An act is effective if
//	               nothing before it voided it and its author stands without
//	               what was voided, then and now. Effective acts void what those they are
//	               about issued concurrently and need more for than they keep.
//	3  valid(c)    granted, not voided, and its author stands by the valid
//	               ancestors of c: so what depends on something void is void
//	4  fold        of the valid credentials, per subject, the lowest of the
//	               newest (fold.go)
//
// Acts of one step void each other only where that cannot go in a circle: two
// primary devices that revoke each other are both out until a third, or the
// phrase, decides.

// resolution is what counts of a closed set.
type resolution struct {
	set    bitset
	voided bitset // by effective acts
	valid  bitset
	acts   []int // effective ones, that are valid
}

// resolve decides which credentials of a closed set count.
func (g *Graph) resolve(set bitset) resolution {
	r := resolution{set: set, voided: newBitset(len(g.nodes))}
	byStep, steps := g.actsOf(set)
	var effective []int
	for _, s := range steps {
		acts := slices.DeleteFunc(byStep[s], func(at int) bool { return !g.effective(at, r.voided) })
		acts = g.settle(s, acts)
		add := newBitset(len(g.nodes))
		for _, at := range acts {
			g.voidedBy(at, set, add)
		}
		for _, at := range acts {
			// What circles left standing stays.
			add[at>>6] &^= 1 << (at & 63)
		}
		r.voided.addAll(add)
		effective = append(effective, acts...)
	}
	if r.voided.empty() {
		r.voided = nil
	}
	r.valid = g.validate(set, r.voided)
	for _, at := range effective {
		if r.valid.has(at) {
			r.acts = append(r.acts, at)
		}
	}
	return r
}

// actsOf returns the acts of a set by step, and the steps in order. Of identity
// checkpoints only those of the highest generation speak.
func (g *Graph) actsOf(set bitset) (map[step][]int, []step) {
	byStep := map[step][]int{}
	for _, at := range g.acts {
		if set.has(at) {
			byStep[g.nodes[at].act.step] = append(byStep[g.nodes[at].act.step], at)
		}
	}
	latest := map[[32]byte]uint64{}
	gen := func(at int) uint64 { return g.nodes[at].Payload.(*IDCheckpoint).Gen }
	for _, at := range byStep[stepRoot] {
		latest[g.nodes[at].DAG] = max(latest[g.nodes[at].DAG], gen(at))
	}
	byStep[stepRoot] = slices.DeleteFunc(byStep[stepRoot], func(at int) bool { return gen(at) < latest[g.nodes[at].DAG] })
	var steps []step
	for s := range byStep {
		steps = append(steps, s)
	}
	slices.Sort(steps)
	return byStep, steps
}

// settle returns the acts of one step that are effective. Who voids whom among
// them is a graph; those on a circle stand, and void the others that they are
// about.
func (g *Graph) settle(s step, acts []int) []int {
	if s.self() || len(acts) < 2 {
		return acts
	}
	byMember, byDevice := map[IdentityID][]int{}, map[DeviceID][]int{}
	for _, at := range acts {
		n := g.nodes[at]
		byMember[n.Issuer], byDevice[n.Device] = append(byMember[n.Issuer], at), append(byDevice[n.Device], at)
	}
	voids := map[int][]int{}
	for _, a := range acts {
		about := byMember[g.nodes[a].act.member]
		for _, d := range g.nodes[a].act.devices {
			about = append(slices.Clip(about), byDevice[d]...)
		}
		for _, b := range about {
			if g.voids(g.nodes[a], b) {
				voids[a] = append(voids[a], b)
			}
		}
	}
	if len(voids) == 0 {
		return acts
	}
	gone := map[int]bool{}
	for _, component := range components(acts, voids) { // those that void come first
		for _, a := range component {
			if gone[a] {
				continue
			}
			for _, b := range voids[a] {
				if !slices.Contains(component, b) {
					gone[b] = true
				}
			}
		}
	}
	return slices.DeleteFunc(acts, func(a int) bool { return gone[a] })
}

// components returns the strongly connected components of a graph, each before
// those it has edges to (Tarjan's algorithm, whose order is the reverse).
func components(nodes []int, edges map[int][]int) [][]int {
	t := &tarjan{edges: edges, index: map[int]int{}, low: map[int]int{}, on: map[int]bool{}}
	for _, n := range nodes {
		if _, seen := t.index[n]; !seen {
			t.visit(n)
		}
	}
	slices.Reverse(t.out)
	return t.out
}

type tarjan struct {
	edges      map[int][]int
	index, low map[int]int
	on         map[int]bool
	stack      []int
	out        [][]int
}

func (t *tarjan) visit(n int) {
	t.index[n], t.low[n] = len(t.index), len(t.index)
	t.stack, t.on[n] = append(t.stack, n), true
	for _, m := range t.edges[n] {
		if _, seen := t.index[m]; !seen {
			t.visit(m)
			t.low[n] = min(t.low[n], t.low[m])
		} else if t.on[m] {
			t.low[n] = min(t.low[n], t.index[m])
		}
	}
	if t.low[n] != t.index[n] {
		return
	}
	from := slices.Index(t.stack, n)
	component := slices.Clone(t.stack[from:])
	t.stack = t.stack[:from]
	for _, m := range component {
		t.on[m] = false
	}
	t.out = append(t.out, component)
}

// voidedBy adds to out what the act at a place voids of a set.
func (g *Graph) voidedBy(at int, set, out bitset) {
	n := g.nodes[at]
	mark := func(list []int) {
		for _, other := range list {
			if set.has(other) && g.voids(n, other) {
				out.add(other)
			}
		}
	}
	switch a := n.act; {
	case a.root:
		mark(g.ofIdentity[IdentityID(n.DAG)])
	case a.link != nil:
		mark(g.claims[*a.link])
	case a.sealed != DeviceID{}:
		mark(g.signed[a.sealed])
	case len(a.devices) > 0:
		for _, d := range a.devices {
			mark(g.signed[d])
		}
	default:
		mark(g.issued[a.member])
	}
}

// voids reports whether the act n, if it is effective, voids the credential at
// another place.
func (g *Graph) voids(n *node, at int) bool {
	if !n.concurrent(g.index[n.ID], g.nodes[at], at) {
		return false
	}
	c, a := g.nodes[at], n.act
	sameStep := c.act != nil && c.act.step == a.step && a.step.self()
	switch {
	case a.root:
		return c.Type.ofIdentity() && c.DAG == n.DAG && !c.ByRoot
	case a.link != nil:
		link, ok := c.byLink()
		return ok && link == *a.link
	case a.sealed != DeviceID{}:
		return !c.Type.ofIdentity() && c.Issuer == n.Issuer && c.Device == a.sealed && !sameStep
	case len(a.devices) > 0:
		return c.Type.ofIdentity() && c.DAG == n.DAG && slices.Contains(a.devices, c.Device) && c.need.level > a.level && !sameStep
	}
	return !c.Type.ofIdentity() && c.Issuer == a.member && !a.keeps.AtLeast(c.need.role) && !(a.step.self() && c.act != nil && c.act.step.self())
}

// effective reports whether an act is not voided and stands; a seal needs the
// revocation that it is because of to do so too.
func (g *Graph) effective(at int, voided bitset) bool {
	if voided.has(at) || !g.stands(at, voided) {
		return false
	}
	a := g.nodes[at].act
	return a.sealed == DeviceID{} || g.effective(a.ref, voided)
}

// concurrent reports whether neither of two nodes knew of the other.
func (n *node) concurrent(at int, other *node, otherAt int) bool {
	return at != otherAt && !n.ancestors.has(otherAt) && !other.ancestors.has(at)
}

// stands reports whether the author of the act at a place has its authority
// without what is voided, besides what was when it was granted.
func (g *Graph) stands(at int, voided bitset) bool {
	n := g.nodes[at]
	voided = voided.within(n.ancestors)
	if voided.subsetOf(n.voided) {
		return true // as when it was granted
	}
	voided.addAll(n.voided.within(n.ancestors))
	k := standing{at, voided.key()}
	if ok, known := g.standings[k]; known {
		return ok
	}
	valid := g.validate(n.ancestors, voided)
	ok := g.foldOf(n.ancestors, valid).allows(n.Credential) == nil
	if len(g.standings) >= maxStandings {
		clear(g.standings)
	}
	g.standings[k] = ok
	return ok
}

// standing is a question that was answered before.
type standing struct {
	at     int
	voided string
}

const maxStandings = 4096

// validate returns the credentials of a closed set that count where some of
// them are voided.
func (g *Graph) validate(set, voided bitset) bitset {
	valid := newBitset(len(g.nodes))
	for at := range set.all() {
		n := g.nodes[at]
		if !n.granted || voided.has(at) {
			continue
		}
		if n.ancestors.sameWithin(voided, n.voided) || g.foldOf(n.ancestors, n.ancestors.within(valid)).allows(n.Credential) == nil {
			valid.add(at)
		}
	}
	return valid
}

// foldOf folds what is valid of a set, and remembers the last ones.
func (g *Graph) foldOf(set, valid bitset) *State {
	key := foldKey{set.key(), valid.key()}
	if s, ok := g.folds[key]; ok {
		return s
	}
	if len(g.folds) >= maxFolds {
		clear(g.folds)
	}
	s := fold(g, resolution{set: set, valid: valid})
	g.folds[key] = s
	return s
}

// foldKey is a set and what is valid of it.
type foldKey struct{ set, valid string }

const maxFolds = 64
