package names

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Quote returns s for a terminal or a log: as it is, if it is one plain word,
// else as a string in Go's syntax, which strconv.Unquote reads. Nothing in it
// moves the cursor, is invisible, or changes the direction of text.
func Quote(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	escaped := true // what a combining mark would sit on is no character of s
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
			escaped = false
		case r == utf8.RuneError && n == 1 || !visible(r) || escaped && combining(r):
			writeGoEscape(&b, s[i:i+n], r)
			escaped = true
		default:
			b.WriteRune(r)
			escaped = false
		}
		i += n
	}
	b.WriteByte('"')
	return b.String()
}

// isPlain reports whether s needs no quotes: nothing a shell treats specially
// (but "%", "@", "+", ",", ":" and the like), nothing hidden, and no hyphen in
// front.
func isPlain(s string) bool {
	if s == "" || s[0] == '-' || s[0] == '~' || s[0] == '#' {
		return false
	}
	for i, r := range s {
		if r == utf8.RuneError || !visible(r) || i == 0 && combining(r) || strings.ContainsRune(" \t\"'`\\$&|;<>()*?[]{}!", r) {
			return false
		}
	}
	return true
}

func writeGoEscape(b *strings.Builder, s string, r rune) {
	switch {
	case r == utf8.RuneError && len(s) == 1 || r < 0x80:
		b.WriteString(`\x`)
		b.WriteByte(upperHex[s[0]>>4])
		b.WriteByte(upperHex[s[0]&0xf])
	case r < 0x10000:
		b.WriteString(`\u` + pad(strconv.FormatInt(int64(r), 16), 4))
	default:
		b.WriteString(`\U` + pad(strconv.FormatInt(int64(r), 16), 8))
	}
}

func pad(digits string, n int) string { return strings.Repeat("0", max(0, n-len(digits))) + digits }
