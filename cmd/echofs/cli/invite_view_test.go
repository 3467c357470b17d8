package cli

import (
	"regexp"
	"strings"
	"testing"

	"rsc.io/qr"
)

// The picture of a code has the modules of the code, and a light margin.
func TestPicture(t *testing.T) {
	const text = "echofs1-0123456789ABCDEFGHJKMNPQ-rstv"
	want, err := qr.Encode(strings.ToUpper(text), qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(picture(text), "")), "\n")
	light := map[rune][2]bool{'█': {true, true}, '▀': {true, false}, '▄': {false, true}, ' ': {}}
	if len(lines) != (want.Size+5)/2 {
		t.Fatalf("got %d lines, want %d", len(lines), (want.Size+5)/2)
	}
	for n, line := range lines {
		for x, block := range []rune(line) {
			for half, lit := range light[block] {
				if at := 2*n + half - 2; lit == want.Black(x-2, at) {
					t.Fatalf("module %d, %d: got light %v", x-2, at, lit)
				}
			}
		}
	}
	if got := picture(strings.Repeat("x", 8000)); got != "" {
		t.Error("a text that fits no code has a picture")
	}
}
