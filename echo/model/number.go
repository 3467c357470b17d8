package model

import (
	"math"
	"strconv"
	"strings"

	"echofs/echo/doc"
)

// parseNumber reads a JSON number, which raw must be. A reason other than ""
// says why the number cannot be kept.
func parseNumber(raw string, foreign bool) (v *doc.Value, reason string) {
	if raw != "-0" && !strings.ContainsAny(raw, ".eE") {
		return parseInteger(raw, foreign)
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		return nil, "number " + shorten(raw) + " is outside the range of a 64-bit float"
	}
	if decimalOf(raw) != decimalOf(strconv.FormatFloat(f, 'e', -1, 64)) {
		return nil, "number " + shorten(raw) + " has more digits than a 64-bit float keeps"
	}
	return doc.NewFloat(f), ""
}

func parseInteger(raw string, foreign bool) (*doc.Value, string) {
	if i, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return doc.NewInt(i), ""
	}
	if foreign {
		if u, err := strconv.ParseUint(raw, 10, 64); err == nil {
			return &doc.Value{Kind: doc.Uint, Uint: u}, ""
		}
	}
	return nil, "integer " + shorten(raw) + " is outside the range of 64 bits"
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:37] + "..."
	}
	return s
}

// decimal is a decimal number without its sign: 0.digits * 10^exp, digits
// having no zero at either end.
type decimal struct {
	digits string
	exp    int64
}

// decimalOf reads a valid JSON number. An exponent beyond nine digits is cut
// there: such a number is zero or outside the range of floats anyway.
func decimalOf(s string) decimal {
	s = strings.TrimPrefix(s, "-")
	var exp int64
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e := s[i+1:]
		if len(e) > 10 {
			e = e[:10]
		}
		exp, _ = strconv.ParseInt(e, 10, 64)
		s = s[:i]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	exp += int64(len(whole))
	digits := whole + fraction
	trimmed := strings.TrimLeft(digits, "0")
	exp -= int64(len(digits) - len(trimmed))
	trimmed = strings.TrimRight(trimmed, "0")
	if trimmed == "" {
		return decimal{}
	}
	return decimal{digits: trimmed, exp: exp}
}

// appendFloat appends the shortest decimal that reads back as f, in a form
// that parseNumber takes for a float: with a fraction or an exponent. Apart
// from that it is what ECMAScript writes.
func appendFloat(dst []byte, f float64) []byte {
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
		if n := len(dst); dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') {
			dst[n-2] = dst[n-1] // e-07 is e-7
			dst = dst[:n-1]
		}
		return dst
	}
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if f == math.Trunc(f) {
		dst = append(dst, '.', '0')
	}
	return dst
}
