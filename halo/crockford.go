package halo

import "strings"

// Text that people read aloud, type and compare: Crockford base32 in lower
// case, in groups of seven characters, each followed by a check character, so
// that a mistake is noticed and can be located. The check is Luhn's algorithm
// modulo 32, which finds every wrong character and nearly every swap of two
// neighbours.

const (
	crockfordAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	groupSize         = 7
)

// crockfordDigit returns the value of a character as people type it: either
// case, o for zero, i and l for one.
func crockfordDigit(c byte) (int, bool) {
	switch c {
	case 'o', 'O':
		return 0, true
	case 'i', 'I', 'l', 'L':
		return 1, true
	}
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	i := strings.IndexByte(crockfordAlphabet, c)
	return i, i >= 0
}

// crockfordDigits splits b into digits of five bits; the last is padded with
// zero bits.
func crockfordDigits(b []byte) []int {
	digits := make([]int, 0, (len(b)*8+4)/5)
	acc, bits := 0, 0
	for _, c := range b {
		acc, bits = acc<<8|int(c), bits+8
		for bits >= 5 {
			bits -= 5
			digits = append(digits, acc>>bits)
			acc &= 1<<bits - 1
		}
	}
	if bits > 0 {
		digits = append(digits, acc<<(5-bits))
	}
	return digits
}

// crockfordBytes is the inverse of crockfordDigits. It refuses a number of
// digits that no bytes give, and padding that is not zero.
func crockfordBytes(digits []int) ([]byte, bool) {
	out := make([]byte, 0, len(digits)*5/8)
	acc, bits := 0, 0
	for _, d := range digits {
		acc, bits = acc<<5|d, bits+5
		if bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
			acc &= 1<<bits - 1
		}
	}
	return out, bits < 5 && acc == 0
}

// luhn returns the check digit of a group.
func luhn(digits []int) int {
	sum, factor := 0, 2
	for i := len(digits) - 1; i >= 0; i-- {
		n := digits[i] * factor
		sum += n/32 + n%32
		factor = 3 - factor
	}
	return (32 - sum%32) % 32
}

// grouped returns b as groups with check characters, joined by dashes.
func grouped(b []byte) string {
	var out strings.Builder
	digits := crockfordDigits(b)
	for i := 0; i < len(digits); i += groupSize {
		group := digits[i:min(i+groupSize, len(digits))]
		if i > 0 {
			out.WriteByte('-')
		}
		for _, d := range group {
			out.WriteByte(crockfordAlphabet[d])
		}
		out.WriteByte(crockfordAlphabet[luhn(group)])
	}
	return out.String()
}

// ungrouped reads what grouped wrote, as people type it: dashes and white
// space anywhere, either case. It reports the number, from one, of the first
// group that is wrong; zero if none is.
func ungrouped(s string) (b []byte, wrong int) {
	var digits, group []int
	flush := func() bool {
		n := len(group) - 1
		if n < 1 || luhn(group[:n]) != group[n] {
			return false
		}
		digits, group = append(digits, group[:n]...), group[:0]
		return true
	}
	count := 1
	for i := 0; i < len(s); i++ {
		if strings.IndexByte("- \t\r\n", s[i]) >= 0 {
			continue
		}
		d, ok := crockfordDigit(s[i])
		if !ok {
			return nil, count
		}
		if group = append(group, d); len(group) == groupSize+1 {
			if !flush() {
				return nil, count
			}
			count++
		}
	}
	if len(group) > 0 && !flush() {
		return nil, count
	}
	b, ok := crockfordBytes(digits)
	if !ok {
		return nil, count
	}
	return b, 0
}
