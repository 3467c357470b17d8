package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteCount is a flag of a number of bytes: 500M, 64GiB. Units are powers of 1024.
type byteCount int64

// sizeUnits are the letters of units, each 1024 times the one before.
const sizeUnits = "kmgt"

// String returns the size with the largest unit that divides it.
func (s *byteCount) String() string {
	n, unit := int64(*s), 0
	for unit < len(sizeUnits) && n >= 1024 && n%1024 == 0 {
		n, unit = n/1024, unit+1
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%d%ciB", n, strings.ToUpper(sizeUnits)[unit-1])
}

// Set reads a size.
func (s *byteCount) Set(text string) error {
	digits := strings.ToLower(strings.TrimSpace(text))
	digits = strings.TrimSuffix(strings.TrimSuffix(digits, "b"), "i")
	shift := 0
	if n := len(digits); n > 0 {
		if i := strings.IndexByte(sizeUnits, digits[n-1]); i >= 0 {
			digits, shift = digits[:n-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is no size like 500MiB or 64GiB", text)
	}
	*s = byteCount(n << shift)
	return nil
}

// Type names the kind of value in the help.
func (s *byteCount) Type() string { return "size" }
