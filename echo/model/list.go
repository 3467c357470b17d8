package model

import (
	"slices"
	"strconv"

	"echofs/echo/doc"
)

type stepOp uint8

const (
	stepPair   stepOp = iota // base[i] became next[j]; they may be equal
	stepRemove               // base[i] is gone
	stepInsert               // next[j] is new, or was moved here from base[i] if i >= 0
)

// step is one step from one version of a list to another. The steps of a
// script go through both versions from the front.
type step struct {
	op   stepOp
	i, j int
}

// identityKeys are the fields that tell the elements of a list apart, the
// first that fits being used.
var identityKeys = []string{"@id", "id", "key", "name"}

// IdentityKeys returns the fields that can tell the elements of a list apart,
// the strongest first.
func IdentityKeys() []string { return slices.Clone(identityKeys) }

// maxCells bounds the table in which the changed elements of one place of a
// list are compared each with each.
const maxCells = 4096

// script tells how base became next. Elements are the same by their identity
// where there is one: a field of identityKeys that tells the elements of both
// versions apart; else by their value. What then remains between two elements
// that stayed is paired where it looks like a change of the other, in order.
func (p *prints) script(base, next []*doc.Value) []step {
	l := lists{prints: p, base: base, next: next, identity: commonIdentity(base, next)}
	l.intern()
	return l.steps(align(l.a, l.b, &p.work))
}

type lists struct {
	*prints
	base, next []*doc.Value
	identity   string   // the field that identifies elements, or ""
	a, b       []uint32 // a name for each element: equal for the same element
	named      []bool   // by name: is it an identity, not a value
	inA, inB   []int    // by name: where an identity is, or -1
}

// commonIdentity returns the first of identityKeys which elements of both
// lists have, and no two elements of one list alike; "" if there is none.
func commonIdentity(base, next []*doc.Value) string {
	for _, key := range identityKeys {
		inBase, ok := distinct(base, key)
		if !ok || inBase == 0 {
			continue
		}
		if inNext, ok := distinct(next, key); ok && inNext > 0 {
			return key
		}
	}
	return ""
}

func distinct(items []*doc.Value, key string) (n int, ok bool) {
	seen := make(map[string]struct{})
	for _, item := range items {
		id, has := identityOf(item, key)
		if !has {
			continue
		}
		if _, dup := seen[id]; dup {
			return 0, false
		}
		seen[id] = struct{}{}
	}
	return len(seen), true
}

// identityOf returns the identity of an element under key: a string that is
// not empty, or an integer.
func identityOf(item *doc.Value, key string) (string, bool) {
	v := item.Get(key)
	if key == "" || v == nil {
		return "", false
	}
	switch p := plain(v); p.Kind {
	case doc.String:
		return "s" + p.Str, p.Str != ""
	case doc.Int:
		return "i" + strconv.FormatInt(p.Int, 10), true
	}
	return "", false
}

// intern gives the elements their names.
func (l *lists) intern() {
	ids := make(map[string]uint32)
	values := make(map[uint64]uint32)
	name := func(item *doc.Value) uint32 {
		fresh := uint32(len(l.named))
		if id, ok := identityOf(item, l.identity); ok {
			if n, ok := ids[id]; ok {
				return n
			}
			ids[id] = fresh
			l.named = append(l.named, true)
			return fresh
		}
		print := l.of(item)
		if n, ok := values[print]; ok {
			return n
		}
		values[print] = fresh
		l.named = append(l.named, false)
		return fresh
	}
	for _, item := range l.base {
		l.a = append(l.a, name(item))
	}
	for _, item := range l.next {
		l.b = append(l.b, name(item))
	}
	l.inA, l.inB = l.index(l.a), l.index(l.b)
}

func (l *lists) index(names []uint32) []int {
	out := make([]int, len(l.named))
	for i := range out {
		out[i] = -1
	}
	for i, n := range names {
		if l.named[n] {
			out[n] = i
		}
	}
	return out
}

// steps completes an alignment with what is between the partners.
func (l *lists) steps(partner []int) []step {
	var out []step
	i, j := 0, 0
	for k, p := range partner {
		if p < 0 {
			continue
		}
		out = l.gap(out, i, k, j, p)
		out = append(out, step{stepPair, k, p})
		i, j = k+1, p+1
	}
	return l.gap(out, i, len(l.base), j, len(l.next))
}

// gap appends the steps from base[i0:i1] to next[j0:j1], which have no
// elements in common.
func (l *lists) gap(out []step, i0, i1, j0, j1 int) []step {
	i, j := i0, j0
	for _, p := range l.pairs(i0, i1, j0, j1) {
		out = l.replace(out, i, p[0], j, p[1])
		out = append(out, step{stepPair, p[0], p[1]})
		i, j = p[0]+1, p[1]+1
	}
	return l.replace(out, i, i1, j, j1)
}

func (l *lists) replace(out []step, i0, i1, j0, j1 int) []step {
	for i := i0; i < i1; i++ {
		out = append(out, step{stepRemove, i, -1})
	}
	for j := j0; j < j1; j++ {
		out = append(out, step{stepInsert, l.inA[l.b[j]], j})
	}
	return out
}

// pairs chooses which elements of a gap are changes of each other: those with
// the highest sum of likeness, or, in a large gap, those at the same place.
func (l *lists) pairs(i0, i1, j0, j1 int) [][2]int {
	n, m := i1-i0, j1-j0
	if n == 0 || m == 0 {
		return nil
	}
	var out [][2]int
	if n*m > maxCells {
		for k := range min(n, m) {
			if l.likeness(i0+k, j0+k) > 0 {
				out = append(out, [2]int{i0 + k, j0 + k})
			}
		}
		return out
	}
	like, best := make([]int, n*m), make([]int, (n+1)*(m+1))
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			like[i*m+j] = l.likeness(i0+i, j0+j)
			sum := max(best[(i+1)*(m+1)+j], best[i*(m+1)+j+1])
			if s := like[i*m+j]; s > 0 {
				sum = max(sum, s+best[(i+1)*(m+1)+j+1])
			}
			best[i*(m+1)+j] = sum
		}
	}
	for i, j := 0, 0; i < n && j < m; {
		sum, s := best[i*(m+1)+j], like[i*m+j]
		switch {
		case s > 0 && sum == s+best[(i+1)*(m+1)+j+1]:
			out = append(out, [2]int{i0 + i, j0 + j})
			i, j = i+1, j+1
		case sum == best[(i+1)*(m+1)+j]:
			i++
		default:
			j++
		}
	}
	return out
}

// likeness tells how much next[j] looks like a change of base[i]: 0 not at
// all, 101 at most. Two tokens are never a change of each other: a list of
// tokens is mostly a set, where two people who replace one element want both
// of the new ones.
func (l *lists) likeness(i, j int) int {
	a, b := plain(l.base[i]), plain(l.next[j])
	switch {
	case a.Kind == doc.Map && b.Kind == doc.Map:
		return l.likeMaps(i, j, a.Fields, b.Fields)
	case a.Kind == doc.List && b.Kind == doc.List:
		return 1
	case a.Kind == doc.String && b.Kind == doc.String:
		if l.base[i].Kind == doc.Timestamp {
			return 1
		}
		return likeStrings(a.Str, b.Str)
	case isNumber(a.Kind) && isNumber(b.Kind), a.Kind == b.Kind:
		return 1
	}
	return 0
}

func isNumber(k doc.Kind) bool { return k == doc.Int || k == doc.Uint || k == doc.Float }

func (l *lists) likeMaps(i, j int, a, b []doc.Field) int {
	x, y := l.a[i], l.b[j]
	identified := l.named[x] || l.named[y]
	if identified && (!l.named[x] || !l.named[y] || l.inB[x] >= 0 || l.inA[y] >= 0) {
		return 0 // another element, or one that was moved
	}
	find := lookup{fields: b}
	keys, equal, total := 0, 0, max(len(a), len(b))
	for k, f := range a {
		if other, ok := find.at(k, f.Key); ok {
			keys++
			if l.of(f.Value) == l.of(other) {
				equal++
			}
		}
	}
	switch {
	case identified && equal*2 > total: // renamed, the rest mostly kept
		return 1 + 100*equal/total
	case !identified && keys*2 >= total:
		return 1 + 100*equal/max(total, 1)
	}
	return 0
}

// likeStrings compares the ends of two strings one of which is prose.
func likeStrings(a, b string) int {
	const look = 1024
	if !isProse(a) && !isProse(b) {
		return 0
	}
	n := min(len(a), len(b))
	head := 0
	for head < min(n, look) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(n-head, look) && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	if longer := min(max(len(a), len(b)), 2*look); (head+tail)*2 >= longer {
		return 1 + 100*(head+tail)/longer
	}
	return 0
}
