package engine

import (
	"bytes"
	"fmt"
	"slices"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
)

// Bounds of what is kept at hand of a document's past.
const (
	// maxRecent and maxRecentBytes are how many changes a version may lack of
	// those that the document has.
	maxRecent      = 64
	maxRecentBytes = 1 << 20
	// maxTrails is how many old versions are kept that people save against, if
	// there is room for as many copies of the document.
	maxTrails = 8

	// A past is kept before anybody asks for it where going back takes some
	// milliseconds: of a document whose saved form is as long as eagerSaved and
	// which takes eagerBytes when it is loaded, or to which eagerChanges were
	// made since.
	eagerSaved   = 2 << 10
	eagerBytes   = 128 << 10
	eagerChanges = 64
)

// past is what makes a save against a version that is not long ago cheap. The
// core goes back to a version by applying all changes up to it again, which
// takes a second where the history is long. So a copy of the document that is
// some changes behind is kept, the root, with the changes that it lacks.
//
// What somebody saved against is kept too, as a trail: the version and what was
// saved. The next save of the same buffer is against exactly that, and one
// after reading the file again against something that contains it, so most
// saves find a trail which lacks a few changes. Only where none fits the root
// is copied.
//
// Changes have numbers, in the order in which the document took them, so the
// changes up to any number contain what they depend on.
type past struct {
	root   *coreDoc
	heads  doc.Heads // of root
	recent []recentChange
	number map[doc.ChangeHash]int
	first  int // the number of recent[0]
	bytes  int
	trails []*trail // the last used is the last
	most   int      // how many trails there may be
	copied bool     // a document was copied since grew was last called
}

type recentChange struct {
	doc.Change
	deps []doc.ChangeHash
	ops  int
}

// trail is a version: the root with some of the recent changes.
type trail struct {
	doc *coreDoc
	has map[int]bool // numbers
}

// newPast keeps the past of a document from a version on, with some trails at
// most. It owns root.
func newPast(root *coreDoc, trails int) (*past, error) {
	heads, err := root.heads()
	if err != nil {
		root.free()
		return nil, err
	}
	return &past{root: root, heads: heads, number: make(map[doc.ChangeHash]int), most: trails, copied: true}, nil
}

// grew reports whether it takes notably more memory than when that was last
// asked.
func (p *past) grew() bool {
	if p == nil {
		return false
	}
	grew := p.copied
	p.copied = false
	return grew
}

// limit lets there be no more than some trails, since the document has grown.
func (p *past) limit(trails int) {
	p.most = min(p.most, trails)
	for len(p.trails) > p.most {
		p.trails[0].doc.free()
		p.trails = p.trails[1:]
	}
}

// reduce drops the trail that was not used for longest, and lets there be no more
// than are left; false where none is left.
func (p *past) reduce() bool {
	if len(p.trails) == 0 {
		return false
	}
	p.trails[0].doc.free()
	p.trails = p.trails[1:]
	p.most = max(1, len(p.trails))
	return true
}

// free gives back what is kept; a nil past keeps nothing.
func (p *past) free() {
	if p == nil {
		return
	}
	p.root.free()
	for _, t := range p.trails {
		t.doc.free()
	}
	p.trails = nil
}

// add notes a change that the document took. On an error the past is of no use
// any more.
func (p *past) add(c recentChange) error {
	if _, ok := p.number[c.Hash]; ok {
		return nil
	}
	n := p.first + len(p.recent)
	p.recent = append(p.recent, c)
	p.number[c.Hash] = n
	p.bytes += len(c.Bytes)
	var err error
	for err == nil && len(p.recent) > 1 && (len(p.recent) > maxRecent || p.bytes > maxRecentBytes) {
		err = p.advance()
	}
	return err
}

// advance moves the root on by the older half of the recent changes. Trails
// that lack one of them are dropped.
func (p *past) advance() error {
	half := p.recent[:len(p.recent)/2]
	if err := applyChanges(p.root, half); err != nil {
		return err
	}
	var err error
	if p.heads, err = p.root.heads(); err != nil {
		return err
	}
	end := p.first + len(half)
	p.trails = slices.DeleteFunc(p.trails, func(t *trail) bool {
		for n := p.first; n < end; n++ {
			if !t.has[n] {
				t.doc.free()
				return true
			}
			delete(t.has, n)
		}
		return false
	})
	for _, c := range half {
		delete(p.number, c.Hash)
		p.bytes -= len(c.Bytes)
	}
	p.recent, p.first = slices.Clone(p.recent[len(half):]), end
	return nil
}

func applyChanges(d *coreDoc, changes []recentChange) error {
	chunks, hashes := make([][]byte, len(changes)), make([]doc.ChangeHash, len(changes))
	for i, c := range changes {
		chunks[i], hashes[i] = c.Bytes, c.Hash
	}
	return applyAll(d, chunks, hashes)
}

// lacks returns the numbers of the recent changes that are part of a version,
// ascending; false where the version does not contain all of the root.
func (p *past) lacks(version doc.Heads) ([]int, bool) {
	seen, reached := map[int]bool{}, map[doc.ChangeHash]bool{}
	for stack := slices.Clone(version); len(stack) > 0; {
		h := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		switch n, ok := p.number[h]; {
		case !ok:
			reached[h] = true
		case !seen[n]:
			seen[n] = true
			stack = append(stack, p.recent[n-p.first].deps...)
		}
	}
	// No change of the root depends on one of its heads, so a version that
	// contains a head leads to it directly.
	for _, h := range p.heads {
		if !reached[h] {
			return nil, false
		}
	}
	for h := range reached {
		if !p.root.has(h) {
			return nil, false
		}
	}
	out := make([]int, 0, len(seen))
	for n := range seen {
		out = append(out, n)
	}
	slices.Sort(out)
	return out, true
}

// at returns a trail at a version, or nil where the version is too old. The
// caller may change its document, and then says so to grown; if that fails it
// calls lose.
func (p *past) at(version doc.Heads) (*trail, error) {
	if p == nil {
		return nil, nil
	}
	want, ok := p.lacks(version)
	if !ok {
		return nil, nil
	}
	t, err := p.nearest(want)
	if err != nil {
		return nil, err
	}
	var missing []recentChange
	for _, n := range want {
		if !t.has[n] {
			missing = append(missing, p.recent[n-p.first])
			t.has[n] = true
		}
	}
	if err := applyChanges(t.doc, missing); err != nil {
		p.lose(t)
		return nil, fmt.Errorf("go back to %v: %w", version, err)
	}
	return t, nil
}

// nearest returns the trail that has the most of a version and nothing else, or
// a new one, and makes it the last used.
func (p *past) nearest(want []int) (*trail, error) {
	var best *trail
	for _, t := range p.trails {
		part := 0
		for _, n := range want {
			if t.has[n] {
				part++
			}
		}
		if part == len(t.has) && (best == nil || part > len(best.has)) {
			best = t
		}
	}
	if best == nil {
		copied, err := p.root.clone()
		if err != nil {
			return nil, fmt.Errorf("copy document: %w", err)
		}
		best = &trail{doc: copied, has: make(map[int]bool)}
		p.copied = true
		if len(p.trails) >= p.most {
			p.trails[0].doc.free()
			p.trails = p.trails[1:]
		}
	} else {
		p.trails = slices.DeleteFunc(p.trails, func(t *trail) bool { return t == best })
	}
	p.trails = append(p.trails, best)
	return best, nil
}

// lose drops a trail whose document is not what it should be.
func (p *past) lose(t *trail) {
	t.doc.free()
	p.trails = slices.DeleteFunc(p.trails, func(other *trail) bool { return other == t })
}

// grown notes that a change was made in a trail; it is the next to be added.
func (p *past) grown(t *trail) { t.has[p.first+len(p.recent)] = true }

// recentOf reads what a change depends on.
func recentOf(c doc.Change) (recentChange, error) {
	info, err := guard.Check(c.Bytes, guard.Rules{})
	if err != nil {
		return recentChange{}, err
	}
	return recentChange{c, info.Deps, info.Ops}, nil
}

// rebase makes a past that begins at a version, of a document at that version,
// which stays the caller's; nil where too much happened since.
func rebase(d, at *coreDoc, version doc.Heads, trails int) (*past, error) {
	raw, err := d.appendChanges(nil, version)
	if err != nil {
		return nil, err
	}
	since, err := decodeChanges(raw)
	if err != nil || len(since) > maxRecent {
		return nil, err
	}
	root, err := at.clone()
	if err != nil {
		return nil, fmt.Errorf("copy document: %w", err)
	}
	p, err := newPast(root, trails)
	if err != nil {
		return nil, err
	}
	for _, c := range since {
		c.Bytes = bytes.Clone(c.Bytes)
		r, err := recentOf(c)
		if err == nil {
			err = p.add(r)
		}
		if err != nil {
			p.free()
			return nil, err
		}
	}
	return p, nil
}
