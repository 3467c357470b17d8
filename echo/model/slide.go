package model

// maxSlide bounds how far an insertion or a deletion is shifted, in bytes.
const maxSlide = 1024

// slide shifts insertions and deletions to where an author would have made
// them. Inserting "\nb" after "a" gives the same text as inserting "b\n" one
// further on, but somebody who adds to the line of "a" at the same time does
// it at the first of the two places, and the lines would mix.
func (c *comparison) slide() {
	for i := range c.spans {
		s := &c.spans[i]
		from, to := 0, len(c.base) // what stays around it, in the base
		if i > 0 {
			from = c.spans[i-1].baseEnd
		}
		if i+1 < len(c.spans) {
			to = c.spans[i+1].base
		}
		var shift int
		switch {
		case s.base == s.baseEnd:
			shift = bestShift(c.next, s.next, s.nextEnd, c.base, s.base, s.base-from, to-s.baseEnd)
		case s.next == s.nextEnd:
			shift = bestShift(c.base, s.base, s.baseEnd, c.next, s.next, s.base-from, to-s.baseEnd)
		}
		*s = span{s.base + shift, s.baseEnd + shift, s.next + shift, s.nextEnd + shift}
	}
}

// bestShift returns by how much to shift the part [start:end) of with, which is
// not in without, where it would be at: at most left to the left and right to
// the right.
func bestShift(with string, start, end int, without string, at, left, right int) int {
	best, shift := placeRank(with, start, end), 0
	try := func(k int) {
		if !isPlainBreak(with, start+k) || !isPlainBreak(with, end+k) || !isPlainBreak(without, at+k) {
			return
		}
		if rank := placeRank(with, start+k, end+k); rank > best {
			best, shift = rank, k
		}
	}
	for k := 1; k <= min(left, maxSlide) && with[start-k] == with[end-k]; k++ {
		try(-k)
	}
	for k := 1; k <= min(right, maxSlide) && with[start+k-1] == with[end+k-1]; k++ {
		try(k)
	}
	return shift
}

// placeRank tells how likely a part of a text was inserted or deleted as it is:
// whole lines most, then whole words with what separates them from the next,
// then with what separates them from the one before.
func placeRank(s string, start, end int) int {
	switch {
	case startsLine(s, start) && startsLine(s, end):
		return 3
	case startsWord(s, start) && startsWord(s, end):
		return 2
	case endsWord(s, start) && endsWord(s, end):
		return 1
	}
	return 0
}

func startsLine(s string, at int) bool { return at == 0 || s[at-1] == '\n' }

func startsWord(s string, at int) bool { return !blankAt(s, at) && (at == 0 || blankAt(s, at-1)) }

func endsWord(s string, at int) bool { return at > 0 && !blankAt(s, at-1) && blankAt(s, at) }

// blankAt reports whether a blank is at a place of s, or its end.
func blankAt(s string, at int) bool {
	return at == len(s) || s[at] == ' ' || s[at] == '\t' || s[at] == '\n'
}
