package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// samples are the durations of one figure.
type samples []time.Duration

// quantile returns the smallest sample that is not exceeded by a share q of
// them; 0 where there are none.
func (s samples) quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(n, 0), len(sorted)-1)]
}

func (s samples) min() time.Duration    { return s.quantile(0) }
func (s samples) median() time.Duration { return s.quantile(0.5) }
func (s samples) p99() time.Duration    { return s.quantile(0.99) }

// String is "min / median / p99", with one unit for the three.
func (s samples) String() string {
	if len(s) == 0 {
		return "–"
	}
	unit, name := time.Second, "s"
	switch m := s.median(); {
	case m < time.Millisecond:
		unit, name = time.Microsecond, "µs"
	case m < time.Second:
		unit, name = time.Millisecond, "ms"
	}
	f := func(d time.Duration) string { return short(float64(d) / float64(unit)) }
	return fmt.Sprintf("%s / %s / %s %s", f(s.min()), f(s.median()), f(s.p99()), name)
}

// short prints three digits, or as many as there are before the point.
func short(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// ratio is how many times the median of b fits into the median of a, and in
// parentheses the same of the minima, which others on the machine disturb less.
func ratio(a, b samples) string {
	if len(a) == 0 || b.min() == 0 {
		return "–"
	}
	times := func(x, y time.Duration) string { return short(float64(x)/float64(y)) + "×" }
	return fmt.Sprintf("%s (%s)", times(a.median(), b.median()), times(a.min(), b.min()))
}
