package model

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// splitter cuts a string into tokens between grapheme clusters. No token is
// empty.
type splitter func(s string) []string

// splitLines cuts after every line end.
func splitLines(s string) []string {
	lines := strings.SplitAfter(s, "\n")
	if n := len(lines); lines[n-1] == "" {
		lines = lines[:n-1]
	}
	return lines
}

// splitClusters cuts s into grapheme clusters.
func splitClusters(s string) []string {
	out := make([]string, 0, len(s))
	for len(s) > 0 {
		n := clusterLen(s)
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

// clusterLen returns the length of the grapheme cluster at the start of s.
func clusterLen(s string) int {
	if s[0] < utf8.RuneSelf && s[0] != '\r' && (len(s) == 1 || s[1] < utf8.RuneSelf) {
		return 1
	}
	cluster, _, _, _ := uniseg.FirstGraphemeClusterInString(s, -1)
	return len(cluster)
}

// splitWords cuts s into words, runs of blanks, and single clusters. A word is
// a run of letters and digits of a script that puts spaces between words.
func splitWords(s string) []string {
	var out []string
	for len(s) > 0 {
		n := clusterLen(s)
		if class := classOf(s); class != classSingle {
			for n < len(s) && classOf(s[n:]) == class {
				n += clusterLen(s[n:])
			}
		}
		out, s = append(out, s[:n]), s[n:]
	}
	return out
}

type class uint8

const (
	classSingle class = iota
	classWord
	classBlank
)

// classOf returns the class of the first code point of s.
func classOf(s string) class {
	r, _ := utf8.DecodeRuneInString(s)
	switch {
	case r == ' ' || r == '\t':
		return classBlank
	case r == '_' || unicode.IsDigit(r):
		return classWord
	case unicode.IsLetter(r) && !unicode.In(r, unspaced...):
		return classWord
	}
	return classSingle
}

// unspaced are scripts that put no spaces between words.
var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// alignTokens aligns two sequences of tokens, as align does.
func alignTokens(a, b []string, work *int) []int {
	names := make(map[string]uint32)
	intern := func(tokens []string) []uint32 {
		out := make([]uint32, len(tokens))
		for i, t := range tokens {
			n, ok := names[t]
			if !ok {
				n = uint32(len(names))
				names[t] = n
			}
			out[i] = n
		}
		return out
	}
	return align(intern(a), intern(b), work)
}
