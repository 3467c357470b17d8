package model_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"pgregory.net/rapid"

	"echofs/echo/doc"
	"echofs/echo/model"
)

func TestDiffText(t *testing.T) {
	tests := []struct{ base, next, want string }{
		{"", "", ""},
		{"", "a", `splice  0 -0 +"a"`},
		{"abc", "", `splice  0 -3 +""`},
		{"buy milk", "buy oat milk", `splice  4 -0 +"oat "`},
		{"color", "colour", `splice  4 -0 +"u"`},
		{"the quick brown fox", "the slow red fox", "splice  4 -5 +\"slow\"\nsplice  9 -5 +\"red\""},
		{"the color and the honor", "the colour and the honour", "splice  8 -0 +\"u\"\nsplice  23 -0 +\"u\""},
		{"x \u0301y", "x \u0301y \u0301y", "splice  4 -0 +\" \u0301y\""},
		{"a b c d", "a x c y", "splice  2 -1 +\"x\"\nsplice  6 -1 +\"y\""},
		{"héllo wörld", "héllo wörlds", `splice  11 -0 +"s"`},
		{"👍🏼 ok", "👍🏽 ok", `splice  0 -2 +"👍🏽"`},
		{"👨\u200d👩\u200d👧", "👨\u200d👩\u200d👦", `splice  0 -5 +"👨\u200d👩\u200d👦"`},
		{"🇩🇪🇫🇷", "🇪🇩🇫🇷", `splice  0 -2 +"🇪🇩"`},
		{"e", "e\u0301", "splice  0 -1 +\"e\u0301\""},
		{"a\r\nb", "a\nb", `splice  1 -2 +"\n"`},
		{"我喜欢茶", "我喜欢咖啡", `splice  3 -1 +"咖啡"`},
		{"one\nthree\n", "one\ntwo\nthree\n", `splice  4 -0 +"two\n"`},
		{"a\n\nb\n\nc\n", "a\n\nc\n", `splice  3 -3 +""`},
		{"three", "three\nfour", `splice  5 -0 +"\nfour"`},
		{"a b", "a a b", `splice  2 -0 +"a "`},
		{"one\ntwo\nthree\n", "one\n2\nthree\nfour\n", "splice  4 -3 +\"2\"\nsplice  12 -0 +\"four\\n\""},
	}
	for _, tt := range tests {
		if got := describe(model.DiffText(tt.base, tt.next, nil)); got != tt.want {
			t.Errorf("%q to %q: got\n%s\nwant\n%s", tt.base, tt.next, got, tt.want)
		}
	}
}

var genText = rapid.Custom(func(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{"a", "b", " ", "\n", "\r", "word", "é", "e\u0301", "\u0301", "👍", "🏼", "\u200d", "🇩", "🇪", "한", "ᄀ", "ᅡ",
		"茶", "ไทย", "\u0600", "क", "्", "\ufffc", "\x00"})
	return strings.Join(rapid.SliceOfN(piece, 0, 40).Draw(t, "pieces"), "")
})

// Splices lead from base to next, and start and end between grapheme clusters
// of both.
func TestDiffTextProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := genText.Draw(t, "base")
		next := base
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			runes := []rune(next)
			at := rapid.IntRange(0, len(runes)).Draw(t, "at")
			end := min(len(runes), at+rapid.IntRange(0, 4).Draw(t, "del"))
			next = string(runes[:at]) + genText.Draw(t, "ins") + string(runes[end:])
		}
		checkText(t, base, next)
	})
}

func checkText(t interface{ Fatalf(string, ...any) }, base, next string) []doc.Edit {
	edits := model.DiffText(base, next, nil)
	got, err := model.Apply(doc.NewText(base), edits)
	if err != nil || got.Str != next {
		t.Fatalf("%q to %q: %v\n%s", base, next, err, describe(edits))
	}
	inBase, inNext := boundaries(base), boundaries(next)
	shift := 0 // a position in next minus that in base
	for _, e := range edits {
		end := e.Pos + utf8.RuneCountInString(e.Ins)
		if !inNext[e.Pos] || !inNext[end] || !inBase[e.Pos-shift] || !inBase[e.Pos-shift+e.Del] {
			t.Fatalf("%q to %q cuts a cluster:\n%s", base, next, describe(edits))
		}
		shift += end - e.Pos - e.Del
	}
	return edits
}

// boundaries returns where grapheme clusters start or end, in code points.
func boundaries(s string) map[int]bool {
	out, at := map[int]bool{0: true}, 0
	for g := uniseg.NewGraphemes(s); g.Next(); {
		at += len(g.Runes())
		out[at] = true
	}
	return out
}

// However little two texts have in common, comparing them ends soon, and what
// is small is found in what is large.
func TestDiffTextIsBounded(t *testing.T) {
	const size = 1 << 20
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(alphabet string) string {
		b := make([]byte, size)
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	one := strings.Repeat("a", size)
	lines := strings.Repeat("a line of text\n", size/15)
	tests := []struct {
		name, base, next string
		inserted         int // bytes at most
	}{
		{"insertion into one letter", one, one[:size/2] + "b" + one[size/2:], 1},
		{"one letter more", one, one + "a", 1},
		{"insertion into one accented letter", strings.Repeat("é", size/2), strings.Repeat("é", size/4) + "x" + strings.Repeat("é", size/4), 8192},
		{"two insertions into equal lines", lines, "x\n" + lines[:size/30*15] + "y\n" + lines[size/30*15:], 64},
		{"letters", noise("abcdefgh"), noise("abcdefgh"), size},
		{"letters and line ends", noise("ab\n")[:size/4], noise("ab\n")[:size/4], size},
		{"line ends", noise("a\n\n\n\n")[:size/4], noise("a\n\n\n\n")[:size/4], size},
		{"words", noise("abc "), noise("abc "), size},
		{"combining marks", "a" + strings.Repeat("\u0301", size/2), "b" + strings.Repeat("\u0301", size/2), 2 * size},
		{"flags", strings.Repeat("🇩🇪", size/8), "🇩" + strings.Repeat("🇩🇪", size/8), 2 * size},
		{"words, less", noise("ab ")[:60000], noise("ab ")[:60000], 60000},
		{"letters, less", noise("ab")[:60000], noise("ab")[:60000], 60000},
	}
	for _, tt := range tests {
		start := time.Now()
		edits := model.DiffText(tt.base, tt.next, nil)
		took := time.Since(start)
		if got := spliced(tt.base, edits); got != tt.next {
			t.Errorf("%s: the splices do not lead to the next text", tt.name)
		}
		inserted := 0
		for _, e := range edits {
			inserted += len(e.Ins)
		}
		if inserted > tt.inserted {
			t.Errorf("%s: %d bytes inserted, want %d", tt.name, inserted, tt.inserted)
		}
		if took > time.Minute { // tenths of a second on a quiet machine
			t.Errorf("%s: took %v", tt.name, took)
		}
		t.Logf("%s: %d edits, %v", tt.name, len(edits), took)
	}
}

// spliced applies splices that go through a text from its start.
func spliced(base string, edits []doc.Edit) string {
	var out []rune
	rest := []rune(base)
	for _, e := range edits {
		keep := e.Pos - len(out)
		out = append(append(out, rest[:keep]...), []rune(e.Ins)...)
		rest = rest[keep+e.Del:]
	}
	return string(append(out, rest...))
}

func TestDiffTextLarge(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		b.WriteString(strings.Repeat("w", i%17) + " line\n")
	}
	base := b.String()
	next := strings.Replace(base, "wwww line\n", "wwww lime\n", 3)
	edits := checkText(t, base, next)
	if got := len(edits); got != 3 {
		t.Errorf("got %d edits, want 3:\n%.300s", got, describe(edits))
	}
	for _, e := range edits {
		if e.Del != 1 || e.Ins != "m" {
			t.Errorf("got -%d +%q, want one letter", e.Del, e.Ins)
		}
	}
}
