package overlay_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"echofs/sync/overlay"
)

// world is devices that are there and their connections, as both ends have them.
type world struct {
	there []overlay.ID
	links map[overlay.ID]map[overlay.ID]bool
	full  map[[2]overlay.ID]bool
}

func newWorld() *world {
	return &world{links: make(map[overlay.ID]map[overlay.ID]bool), full: make(map[[2]overlay.ID]bool)}
}

func id(n int) (d overlay.ID) { d[0], d[1] = byte(n>>8), byte(n); return d }

func (w *world) come(d overlay.ID) {
	w.there = append(w.there, d)
	w.links[d] = make(map[overlay.ID]bool)
}

func (w *world) goAway(i int) {
	d := w.there[i]
	w.there = slices.Delete(w.there, i, i+1)
	for other := range w.links[d] {
		delete(w.links[other], d)
	}
	delete(w.links, d)
}

func (w *world) view(d overlay.ID) *overlay.View { return overlay.NewView([32]byte{7}, d, w.there) }

// round lets a device act once; it reports whether anything changed.
func (w *world) round(d overlay.ID) (changed bool) {
	v := w.view(d)
	for _, to := range v.Wanted(w.links[d], func(o overlay.ID) bool { return w.full[[2]overlay.ID{d, o}] }) {
		theirs := w.view(to)
		if !theirs.Accepts(d, w.links[to]) || !v.Accepts(to, w.links[d]) {
			w.full[[2]overlay.ID{d, to}] = true
			changed = true
			continue
		}
		w.links[d][to], w.links[to][d] = true, true
		changed = true
		w.trim(d, v)
		w.trim(to, theirs)
	}
	return changed
}

func (w *world) trim(d overlay.ID, v *overlay.View) {
	for _, gone := range v.Spare(w.links[d]) {
		delete(w.links[d], gone)
		delete(w.links[gone], d)
	}
}

// reached returns how many devices a change at one of them gets to, and how
// many steps that takes.
func (w *world) reached() (n, steps int) {
	if len(w.there) == 0 {
		return 0, 0
	}
	seen := map[overlay.ID]bool{w.there[0]: true}
	for front := []overlay.ID{w.there[0]}; ; steps++ {
		var next []overlay.ID
		for _, d := range front {
			for o := range w.links[d] {
				if !seen[o] {
					seen[o] = true
					next = append(next, o)
				}
			}
		}
		if len(next) == 0 {
			return len(seen), steps
		}
		front = next
	}
}

func (w *world) settle(t *rapid.T, order func(n int) []int) {
	for round := range 50 {
		changed := false
		for _, i := range order(len(w.there)) {
			changed = w.round(w.there[i]) || changed
			for d, links := range w.links {
				if len(links) > overlay.Degree {
					t.Fatalf("device %x has %d connections", d[:2], len(links))
				}
			}
		}
		if !changed {
			return
		}
		if round == 49 {
			t.Fatal("it does not settle")
		}
	}
}

// Whoever comes and goes in whatever order: once things have settled, all that
// are there are connected, nobody by more than Degree connections.
func TestConnectedUnderChurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		next := 0
		order := func(n int) []int {
			all := make([]int, n)
			for i := range all {
				all[i] = i
			}
			return rapid.Permutation(all).Draw(t, "order")
		}
		for range rapid.IntRange(1, 5).Draw(t, "phases") {
			for range rapid.IntRange(0, 40).Draw(t, "come") {
				w.come(id(next))
				next++
			}
			for range rapid.IntRange(0, len(w.there)).Draw(t, "go") {
				w.goAway(rapid.IntRange(0, len(w.there)-1).Draw(t, "who"))
			}
			clear(w.full)
			w.settle(t, order)
			n, steps := w.reached()
			if n != len(w.there) {
				t.Fatalf("%d of %d devices are connected", n, len(w.there))
			}
			if steps > 8 {
				t.Fatalf("%d steps among %d devices", steps, n)
			}
		}
	})
}

func TestFewConnectEachWithEach(t *testing.T) {
	var others []overlay.ID
	for n := range overlay.Degree {
		others = append(others, id(n+1))
	}
	v := overlay.NewView([32]byte{}, id(0), others)
	if got := v.Wanted(nil, func(overlay.ID) bool { return true }); len(got) != overlay.Degree {
		t.Errorf("wants %d of %d", len(got), overlay.Degree)
	}
}

// Who is whose neighbour both ends say alike.
func TestNeighboursAreMutual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []overlay.ID
		for n := range rapid.IntRange(2, 100).Draw(t, "devices") {
			all = append(all, id(n))
		}
		a := rapid.SampledFrom(all).Draw(t, "a")
		b := rapid.SampledFrom(all).Draw(t, "b")
		va, vb := overlay.NewView([32]byte{1}, a, all), overlay.NewView([32]byte{1}, b, all)
		if va.Neighbour(b) != vb.Neighbour(a) {
			t.Fatalf("of %d, %x and %x do not agree", len(all), a[:2], b[:2])
		}
	})
}
