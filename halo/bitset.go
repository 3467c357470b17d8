package halo

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// bitset is a set of small numbers. Sets of different lengths can be compared:
// what is beyond the end is not in it.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)>>6) }

func (s bitset) has(i int) bool { return i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0 }

// add puts i, which is below the n of newBitset, into s.
func (s bitset) add(i int) { s[i>>6] |= 1 << (i & 63) }

// addAll puts other, which is no longer than s, into s.
func (s bitset) addAll(other bitset) {
	for i, w := range other {
		s[i] |= w
	}
}

// count returns the number of elements.
func (s bitset) count() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// empty reports whether nothing is in s.
func (s bitset) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// word returns 64 elements; none where s is shorter.
func (s bitset) word(i int) uint64 {
	if i < len(s) {
		return s[i]
	}
	return 0
}

// within returns the elements that are in other too.
func (s bitset) within(other bitset) bitset {
	out := make(bitset, min(len(s), len(other)))
	for i := range out {
		out[i] = s[i] & other[i]
	}
	return out
}

// subsetOf reports whether all of s is in other.
func (s bitset) subsetOf(other bitset) bool {
	for i, w := range s {
		if w&^other.word(i) != 0 {
			return false
		}
	}
	return true
}

// sameWithin reports whether a and b have the same elements within s.
func (s bitset) sameWithin(a, b bitset) bool {
	for i, w := range s {
		if (a.word(i)^b.word(i))&w != 0 {
			return false
		}
	}
	return true
}

// all yields the elements in ascending order.
func (s bitset) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(i<<6 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// key returns the set as a key of a map: the same for equal sets.
func (s bitset) key() string {
	for len(s) > 0 && s[len(s)-1] == 0 {
		s = s[:len(s)-1]
	}
	b := make([]byte, 0, 8*len(s))
	for _, w := range s {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return string(b)
}
