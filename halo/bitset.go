package halo

import "math/bits"

// bitset is a set of small numbers.
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
