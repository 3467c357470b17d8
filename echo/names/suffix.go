package names

import "strings"

// Suffixed returns the name of an object whose plain name another one holds:
// "note.json" with the id characters "3V7K2Q" is "note@3V7K2Q.json". What is
// too long then is cut before the "@".
func Suffixed(name, id string) string {
	stem, ext := splitExt(name)
	tail := "@" + id + ext
	return cut(stem, max(0, MaxBytes-len(tail))) + tail
}

// SplitSuffix undoes Suffixed, but for what was cut: it returns the plain name
// and the id characters. ok is false for a name without them, and id then
// empty. A label can look like that by itself, so ok proves nothing.
func SplitSuffix(name string) (plain, id string, ok bool) {
	stem, ext := splitExt(name)
	at := strings.LastIndexByte(stem, '@')
	if at < 0 || !isIDPart(stem[at+1:]) {
		return name, "", false
	}
	return stem[:at] + ext, stem[at+1:], true
}

// isIDPart reports whether s can be the 6 characters of an id that a suffix
// has, or all 26 of them, as it has where 6 are not enough.
func isIDPart(s string) bool {
	if len(s) != 6 && len(s) != 26 {
		return false
	}
	return consistsOf(s, isAlnum)
}

// maxExt is the length of the longest extension, with its dot.
const maxExt = 17

// splitExt splits a name before its extension: a last dot that is not at the
// start, and up to 16 letters and digits.
func splitExt(name string) (stem, ext string) {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 || dot == len(name)-1 || len(name)-dot > maxExt || !consistsOf(name[dot+1:], isAlnum) {
		return name, ""
	}
	return name[:dot], name[dot:]
}

// consistsOf reports whether all bytes of s are of a kind.
func consistsOf(s string, kind func(byte) bool) bool {
	for i := range len(s) {
		if !kind(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isAlnum(c byte) bool { return isDigit(c) || isUpper(c) || isLower(c) }
func isHex(c byte) bool   { return hexValue(c) >= 0 }
