package model

import "unicode/utf8"

// maxContext bounds how far the start of a grapheme cluster is looked for, in
// bytes. Clusters longer than that do not occur in writing.
const maxContext = 4096

// trim removes from both sides what is equal at their ends, as far as the
// rest starts and ends with whole grapheme clusters.
func (c *comparison) trim(s span) span {
	base, next := c.parts(s)
	head := headEnd(base, next, commonHead(base, next))
	s.base, s.next = s.base+head, s.next+head
	base, next = base[head:], next[head:]
	tail := tailLen(base, next, commonTail(base, next))
	s.baseEnd, s.nextEnd = s.baseEnd-tail, s.nextEnd-tail
	return s
}

func commonHead(a, b string) int {
	n, limit := 0, min(len(a), len(b))
	for n+64 <= limit && a[n:n+64] == b[n:n+64] {
		n += 64
	}
	for n < limit && a[n] == b[n] {
		n++
	}
	return n
}

func commonTail(a, b string) int {
	n, limit := 0, min(len(a), len(b))
	for n+64 <= limit && a[len(a)-n-64:len(a)-n] == b[len(b)-n-64:len(b)-n] {
		n += 64
	}
	for n < limit && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// isPlainBreak reports whether i is a place between two clusters of s for the
// simple reason that ASCII is on both sides. The ends always are.
func isPlainBreak(s string, i int) bool {
	if i == 0 || i == len(s) {
		return true
	}
	return s[i-1] < utf8.RuneSelf && s[i] < utf8.RuneSelf && !(s[i-1] == '\r' && s[i] == '\n')
}

// headEnd returns the last place in the first n bytes, which a and b have in
// common, where clusters end in both.
func headEnd(a, b string, n int) int {
	if isPlainBreak(a, n) && isPlainBreak(b, n) {
		return n
	}
	at := n - 1
	for at > 0 && !isPlainBreak(a, at) && n-at < maxContext {
		at--
	}
	for at > 0 && !utf8.RuneStart(a[at]) {
		at--
	}
	for at < n {
		size := clusterLen(a[at:])
		if size != clusterLen(b[at:]) || at+size > n {
			break
		}
		at += size
	}
	return at
}

// tailLen returns how much of the last n bytes, which a and b have in common,
// starts where clusters start in both. It may leave away more than it must.
func tailLen(a, b string, n int) int {
	if isPlainBreak(a, len(a)-n) && isPlainBreak(b, len(b)-n) {
		return n
	}
	most := n
	for n > 0 && most-n < maxContext {
		if n--; isPlainBreak(a, len(a)-n) {
			return n
		}
	}
	for n > 0 && !utf8.RuneStart(a[len(a)-n]) {
		n--
	}
	return n
}
