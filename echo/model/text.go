package model

import (
	"unicode/utf8"

	"echofs/echo/doc"
)

// DiffText returns the splices that make the text at prefix, which is base,
// the text next; nil where they are equal. Both are valid UTF-8. The splices
// are sequential, as all edits, and count in code points.
//
// Splices are as small as they can be without cutting a grapheme cluster in
// two: words that changed are found first, then what changed in a word. In a
// text with more than MaxText bytes between its first and its last change,
// lines that changed are found first. The time is bounded: what differs too
// much to be compared is replaced as a whole, after what is common at both
// ends.
func DiffText(base, next string, prefix doc.Path) []doc.Edit {
	c := comparison{base: base, next: next, work: maxWork}
	c.between(span{0, len(base), 0, len(next)})
	c.limit()
	c.slide()
	return c.edits(prefix)
}

// maxSplices bounds the number of splices of one comparison.
const maxSplices = 4096

// limit joins changes with little text between them until there are few
// enough.
func (c *comparison) limit() {
	for near := 16; len(c.spans) > maxSplices; near *= 2 {
		joined := c.spans[:1]
		for _, s := range c.spans[1:] {
			last := &joined[len(joined)-1]
			if s.base-last.baseEnd <= near {
				last.baseEnd, last.nextEnd = s.baseEnd, s.nextEnd
			} else {
				joined = append(joined, s)
			}
		}
		c.spans = joined
	}
}

// span is a part of the base and the part of the next text that replaces it,
// in bytes.
type span struct{ base, baseEnd, next, nextEnd int }

type comparison struct {
	base, next string
	spans      []span // what changed, in order
	work       int    // left, as in align
}

func (c *comparison) edits(prefix doc.Path) []doc.Edit {
	var out []doc.Edit
	pos, from := 0, 0 // pos counts the code points of next[:from]
	for _, s := range c.spans {
		pos += utf8.RuneCountInString(c.next[from:s.next])
		from = s.next
		out = append(out, doc.Edit{
			Op:   doc.Splice,
			Path: prefix.Join(),
			Pos:  pos,
			Del:  utf8.RuneCountInString(c.base[s.base:s.baseEnd]),
			Ins:  c.next[s.next:s.nextEnd],
		})
	}
	return out
}

func (c *comparison) parts(s span) (base, next string) {
	return c.base[s.base:s.baseEnd], c.next[s.next:s.nextEnd]
}

// emit notes a change; a changed neighbour grows instead.
func (c *comparison) emit(s span) {
	if s.base == s.baseEnd && s.next == s.nextEnd {
		return
	}
	if n := len(c.spans); n > 0 && c.spans[n-1].baseEnd == s.base && c.spans[n-1].nextEnd == s.next {
		c.spans[n-1].baseEnd, c.spans[n-1].nextEnd = s.baseEnd, s.nextEnd
		return
	}
	c.spans = append(c.spans, s)
}

// between compares whole texts, or the lines between two that stayed.
func (c *comparison) between(s span) {
	s = c.trim(s)
	base, next := c.parts(s)
	switch {
	case base == "" || next == "":
		c.emit(s)
	case len(base)+len(next) <= 2*MaxText:
		c.compare(s, splitWords, c.words)
	default:
		c.compare(s, splitLines, c.lines)
	}
}

// lines compares lines that changed.
func (c *comparison) lines(s span) {
	s = c.trim(s)
	base, next := c.parts(s)
	if base == "" || next == "" || len(base)+len(next) > 2*MaxText {
		c.emit(s)
		return
	}
	c.compare(s, splitWords, c.words)
}

// compare aligns the tokens of both sides and hands on what is between
// partners.
func (c *comparison) compare(s span, split splitter, gap func(span)) {
	base, next := c.parts(s)
	a, b := split(base), split(next)
	gaps(s, a, b, alignTokens(a, b, &c.work), gap)
}

// gaps calls gap for what is before, between and after partners, also where
// that is nothing. a and b are the tokens of s.
func gaps(s span, a, b []string, partner []int, gap func(span)) {
	at := span{s.base, s.base, s.next, s.next}
	j := 0
	for i, p := range partner {
		if p < 0 {
			at.baseEnd += len(a[i])
			continue
		}
		for ; j < p; j++ {
			at.nextEnd += len(b[j])
		}
		gap(at)
		j++
		n := len(a[i])
		at = span{at.baseEnd + n, at.baseEnd + n, at.nextEnd + n, at.nextEnd + n}
	}
	at.baseEnd, at.nextEnd = s.baseEnd, s.nextEnd
	gap(at)
}

// A word that is replaced by another has letters in common with it by chance;
// letters are compared only in what is longer than any word, and what stays
// must be some letters long.
const (
	longWord = 32
	minKept  = 4
)

// words compares words that changed, cluster by cluster.
func (c *comparison) words(s span) {
	base, next := c.parts(s)
	if base == "" || next == "" {
		c.emit(s)
		return
	}
	a, b := splitClusters(base), splitClusters(next)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		s.base, s.next = s.base+len(a[0]), s.next+len(a[0])
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		n := len(a[len(a)-1])
		s.baseEnd, s.nextEnd = s.baseEnd-n, s.nextEnd-n
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) < longWord || len(b) < longWord {
		c.emit(s)
		return
	}
	gaps(s, a, b, dropShort(alignTokens(a, b, &c.work)), c.emit)
}

// dropShort removes runs of partners shorter than minKept.
func dropShort(partner []int) []int {
	for i := 0; i < len(partner); {
		n := 1
		for partner[i] >= 0 && i+n < len(partner) && partner[i+n] == partner[i]+n {
			n++
		}
		if n < minKept {
			for k := i; k < i+n; k++ {
				partner[k] = -1
			}
		}
		i += n
	}
	return partner
}
