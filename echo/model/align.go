package model

import "slices"

// Bounds of the search. Editing scripts up to maxScript operations long are
// minimal; the work of finding them, in comparisons, is bounded over all
// alignments of one diff, so that hostile input costs some tenths of a second.
const (
	maxScript = 1024
	maxWork   = 10_000_000
	maxNested = 24
)

// align finds a common subsequence of a and b. Its result has an element for
// each of a: the index in b of its partner, or -1. Partners are equal and in
// order. Up to maxScript differences the subsequence is a longest one;
// beyond, it is built around the elements that occur once on both sides, and
// what is between two of those and differs too much has no partners. If every
// element occurs once on either side it is always a longest one. The work done
// is subtracted from work; where that is used up, only what is common at the
// ends and the elements that occur once are found.
func align(a, b []uint32, work *int) []int {
	al := aligner{partner: make([]int, len(a)), work: work}
	for i := range al.partner {
		al.partner[i] = -1
	}
	distinct := 0
	for _, e := range a {
		distinct = max(distinct, int(e)+1)
	}
	for _, e := range b {
		distinct = max(distinct, int(e)+1)
	}
	al.tallies = make([]tally, distinct)
	al.run(side{elems: a}, side{elems: b}, 0)
	return al.partner
}

type aligner struct {
	partner []int
	work    *int
	tallies []tally // by element; all zero but within count and its caller
}

// tally counts how often an element occurs on each side, and notes where in b
// it occurs last.
type tally struct{ inA, inB, lastB int32 }

// count fills the tallies for the elements of a and b; the function it returns
// clears them.
func (al *aligner) count(a, b []uint32) (clear func()) {
	for _, e := range a {
		al.tallies[e].inA++
	}
	for j, e := range b {
		al.tallies[e].inB++
		al.tallies[e].lastB = int32(j)
	}
	return func() {
		for _, e := range a {
			al.tallies[e] = tally{}
		}
		for _, e := range b {
			al.tallies[e] = tally{}
		}
	}
}

// side is a part of one sequence. After pruning, places tells where the
// elements were.
type side struct {
	elems  []uint32
	places []int // nil: the element i is at first + i
	first  int
}

func (s side) place(i int) int {
	if s.places != nil {
		return s.places[i]
	}
	return s.first + i
}

func (s side) cut(from, to int) side {
	if s.places != nil {
		return side{elems: s.elems[from:to], places: s.places[from:to]}
	}
	return side{elems: s.elems[from:to], first: s.first + from}
}

// prune leaves the elements that keep holds for.
func (s side) prune(keep func(e uint32) bool) side {
	out := side{elems: make([]uint32, 0, len(s.elems)), places: make([]int, 0, len(s.elems))}
	for i, e := range s.elems {
		if keep(e) {
			out.elems = append(out.elems, e)
			out.places = append(out.places, s.place(i))
		}
	}
	return out
}

// common leaves the elements that both sides have.
func (al *aligner) common(a, b side) (side, side) {
	clear := al.count(a.elems, b.elems)
	defer clear()
	return a.prune(func(e uint32) bool { return al.tallies[e].inB > 0 }),
		b.prune(func(e uint32) bool { return al.tallies[e].inA > 0 })
}

func (al *aligner) pair(a, b side, i, j int) { al.partner[a.place(i)] = b.place(j) }

// run aligns a with b: first what is equal at both ends, then the rest
// minimally, or around anchors where that is too much.
func (al *aligner) run(a, b side, nested int) {
	a, b = al.trim(a, b)
	if len(a.elems) == 0 || len(b.elems) == 0 {
		return
	}
	a, b = al.trim(al.common(a, b))
	if len(a.elems) == 0 || len(b.elems) == 0 || nested > maxNested {
		return
	}
	if !al.shortest(a, b) {
		al.anchored(a, b, nested)
	}
}

func (al *aligner) trim(a, b side) (side, side) {
	n := min(len(a.elems), len(b.elems))
	head := 0
	for head < n && a.elems[head] == b.elems[head] {
		al.pair(a, b, head, head)
		head++
	}
	tail := 0
	for la, lb := len(a.elems), len(b.elems); tail < n-head && a.elems[la-1-tail] == b.elems[lb-1-tail]; tail++ {
		al.pair(a, b, la-1-tail, lb-1-tail)
	}
	return a.cut(head, len(a.elems)-tail), b.cut(head, len(b.elems)-tail)
}

// shortest finds a shortest editing script by Myers' greedy algorithm; false
// where it is longer than maxScript or the work is used up.
func (al *aligner) shortest(a, b side) bool {
	n, m := len(a.elems), len(b.elems)
	if n-m > maxScript || m-n > maxScript || *al.work < 0 {
		return false
	}
	limit := min(n+m, maxScript)
	// reach[k+limit+1] is how far into a the diagonal k was followed. history
	// keeps, for each length of script, the part that existed before it.
	reach := make([]int32, 2*limit+3)
	var history [][]int32
	for d := 0; d <= limit; d++ {
		mid := limit + 1
		history = append(history, slices.Clone(reach[mid-d-1:mid+d+2]))
		for k := -d; k <= d; k += 2 {
			x := int(reach[mid+k-1]) + 1
			if k == -d || k != d && reach[mid+k-1] < reach[mid+k+1] {
				x = int(reach[mid+k+1])
			}
			y := x - k
			start := x
			for x < n && y < m && a.elems[x] == b.elems[y] {
				x, y = x+1, y+1
			}
			reach[mid+k] = int32(x)
			if *al.work -= x - start + 1; *al.work < 0 {
				return false
			}
			if x >= n && y >= m {
				al.trace(a, b, history)
				return true
			}
		}
	}
	return false
}

// trace follows a script back from the end and pairs what it keeps.
func (al *aligner) trace(a, b side, history [][]int32) {
	x, y := len(a.elems), len(b.elems)
	for d := len(history) - 1; d >= 0; d-- {
		reach, mid := history[d], d+1
		k := x - y
		before := k - 1
		if k == -d || k != d && reach[mid+k-1] < reach[mid+k+1] {
			before = k + 1
		}
		fromX, fromY := 0, 0
		if d > 0 {
			fromX = int(reach[mid+before])
			fromY = fromX - before
		}
		for x > fromX && y > fromY {
			x, y = x-1, y-1
			al.pair(a, b, x, y)
		}
		x, y = fromX, fromY
	}
}

// anchored pairs a longest sequence of elements that occur once on both
// sides, and aligns what is between them.
func (al *aligner) anchored(a, b side, nested int) {
	anchors := increasing(al.uniquePairs(a.elems, b.elems))
	if len(anchors) == 0 {
		return
	}
	i, j := 0, 0
	for _, p := range anchors {
		al.pair(a, b, p[0], p[1])
		al.run(a.cut(i, p[0]), b.cut(j, p[1]), nested+1)
		i, j = p[0]+1, p[1]+1
	}
	al.run(a.cut(i, len(a.elems)), b.cut(j, len(b.elems)), nested+1)
}

// uniquePairs returns the indexes of the elements that occur once in a and
// once in b, in the order of a.
func (al *aligner) uniquePairs(a, b []uint32) [][2]int {
	clear := al.count(a, b)
	defer clear()
	var pairs [][2]int
	for i, e := range a {
		if t := al.tallies[e]; t.inA == 1 && t.inB == 1 {
			pairs = append(pairs, [2]int{i, int(t.lastB)})
		}
	}
	return pairs
}

// increasing returns a longest subsequence of pairs that increases in both
// members; pairs increase in the first.
func increasing(pairs [][2]int) [][2]int {
	var tails []int // tails[n] ends a subsequence of n+1 with the smallest end
	previous := make([]int, len(pairs))
	for i, p := range pairs {
		n, _ := slices.BinarySearchFunc(tails, p[1], func(t, j int) int { return pairs[t][1] - j })
		previous[i] = -1
		if n > 0 {
			previous[i] = tails[n-1]
		}
		if n == len(tails) {
			tails = append(tails, i)
		} else {
			tails[n] = i
		}
	}
	if len(tails) == 0 {
		return nil
	}
	out := make([][2]int, len(tails))
	for i, n := tails[len(tails)-1], len(tails)-1; n >= 0; i, n = previous[i], n-1 {
		out[n] = pairs[i]
	}
	return out
}
