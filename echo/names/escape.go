package names

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// MaxBytes is the length of the longest name.
const MaxBytes = 255

// ErrInvalidName is wrapped where a name cannot be one of an object: it is not
// what its label would be shown as, so it would come back as another. The file
// system answers EILSEQ.
var ErrInvalidName = errors.New("invalid name")

// Escape returns a label as a name, but of any length: see the package comment.
// foreign says that another identity set the label.
func Escape(label string, foreign bool) string {
	label = norm.NFC.String(label)
	switch label {
	case "":
		return "%"
	case "%":
		return "%25"
	}
	var b strings.Builder
	escaped := true // the start counts as an escape for combining marks
	for i := 0; i < len(label); {
		r, n := utf8.DecodeRuneInString(label[i:])
		escaped = mustEscape(label, i, r, n, foreign) || escaped && combining(r)
		if escaped {
			writeEscaped(&b, label[i:i+n])
		} else {
			b.WriteString(label[i : i+n])
		}
		i += n
	}
	return b.String()
}

// mustEscape reports whether the rune of n bytes at label[i] is not allowed
// there.
func mustEscape(label string, i int, r rune, n int, foreign bool) bool {
	first, last := i == 0, i+n == len(label)
	switch {
	case r == utf8.RuneError && n <= 1, !visible(r), r == '/', r == '\\':
		return true
	case r == '%':
		return isEscape(label[i:])
	case r == '.':
		return first && foreign || last
	case r == ' ':
		return first || last
	case r == '-':
		return first && foreign
	case r == '~':
		return first
	}
	return false
}

const upperHex = "0123456789ABCDEF"

func writeEscaped(b *strings.Builder, s string) {
	for i := range len(s) {
		b.WriteByte('%')
		b.WriteByte(upperHex[s[i]>>4])
		b.WriteByte(upperHex[s[i]&0xf])
	}
}

// isEscape reports whether s starts with "%" and two hexadecimal digits of
// either case.
func isEscape(s string) bool {
	return len(s) >= 3 && s[0] == '%' && hexValue(s[1]) >= 0 && hexValue(s[2]) >= 0
}

// hexValue returns the value of a hexadecimal digit, or -1.
func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// Unescape returns the label of a name that Escape made. It accepts any string;
// Create tells whether a name is one of Escape's.
func Unescape(name string) string {
	if name == "%" {
		return ""
	}
	if !strings.Contains(name, "%") {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if isEscape(name[i:]) {
			b.WriteByte(byte(hexValue(name[i+1])<<4 | hexValue(name[i+2])))
			i += 2
		} else {
			b.WriteByte(name[i])
		}
	}
	return b.String()
}

// Component returns the name of an object: its escaped label, which is cut and
// followed by "~" and the end of its id if it would be too long. The label of
// such a name is known from the object only, not from the name.
func Component(label, id string, foreign bool) string {
	name := Escape(label, foreign)
	if len(name) <= MaxBytes {
		return name
	}
	end := "~" + id[max(0, len(id)-cutIDChars):]
	return cut(name, MaxBytes-len(end)) + end
}

// cutIDChars is how much of an id makes a name that was cut unique. An ObjectID
// ends with chance; it begins with the time.
const cutIDChars = 8

// Create returns the label that an object gets that this device creates as
// name, or an error that wraps ErrInvalidName.
func Create(name string) (label string, err error) {
	if len(name) > MaxBytes {
		return "", fmt.Errorf("%w: %d bytes of at most %d", ErrInvalidName, len(name), MaxBytes)
	}
	label = Unescape(name)
	if shown := Escape(label, false); shown != name {
		return "", fmt.Errorf("%w: %s would be shown as %s", ErrInvalidName, Quote(name), Quote(shown))
	}
	return label, nil
}

// CollisionKey returns a string that is equal for names that a person could
// take for one: that differ in case or in forms of the same characters.
func CollisionKey(name string) string {
	folded := cases.Fold().String(norm.NFKC.String(name))
	return norm.NFKC.String(folded)
}

// cut returns the longest start of a name with at most limit bytes that ends
// between two characters, escaped ones included.
func cut(name string, limit int) string {
	end := 0
	for end < len(name) {
		n := unitLen(name[end:])
		if end+n > limit {
			break
		}
		end += n
	}
	return name[:end]
}

// unitLen returns the length of the first character of s, which is not empty:
// of one rune, or of the escapes of all bytes of one rune.
func unitLen(s string) int {
	if !isEscape(s) {
		_, n := utf8.DecodeRuneInString(s)
		return n
	}
	var encoded []byte
	for i := 0; isEscape(s[i:]) && len(encoded) < utf8.UTFMax; i += 3 {
		encoded = append(encoded, byte(hexValue(s[i+1])<<4|hexValue(s[i+2])))
	}
	_, n := utf8.DecodeRune(encoded)
	return 3 * n
}
