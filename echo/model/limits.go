package model

import (
	"errors"
	"fmt"
)

// The errors a caller tells apart. Anything else that is wrong with a file's
// text is a *SyntaxError.
var (
	// ErrEmpty is returned for a text of nothing but white space: a truncated
	// file, which is never a wish to delete every field.
	ErrEmpty = errors.New("empty text")
	// ErrTooLarge is wrapped where a text is longer than its limit.
	ErrTooLarge = errors.New("text too large")
)

// Limits bound what Parse accepts. The zero value of a member stands for the
// member of DefaultLimits.
type Limits struct {
	Bytes  int // length of the text
	Depth  int // maps and lists within each other
	Keys   int // fields of one map
	Values int // values in the whole text

	// Foreign admits what other software can have put into a document but a
	// file must not introduce: integers from 1<<63 to 1<<64-1, and the empty
	// key. Set it to HasForeign of the document the text is a version of.
	Foreign bool
}

// DefaultLimits are the limits of an object. Values bounds the memory of
// reading a text of many tiny values: about 150 bytes each here, and 600 in
// the CRDT core.
var DefaultLimits = Limits{Bytes: 4 << 20, Depth: 64, Keys: 10_000, Values: 500_000}

func (l Limits) orDefault() Limits {
	pick := func(n, def int) int {
		if n == 0 {
			return def
		}
		return n
	}
	l.Bytes = pick(l.Bytes, DefaultLimits.Bytes)
	l.Depth = pick(l.Depth, DefaultLimits.Depth)
	l.Keys = pick(l.Keys, DefaultLimits.Keys)
	l.Values = pick(l.Values, DefaultLimits.Values)
	return l
}

// SyntaxError tells where a text stops being valid and why.
type SyntaxError struct {
	Line    int    // from 1
	Column  int    // from 1, in code points
	Offset  int    // from 0, in bytes
	Pointer string // JSON pointer to the value in question; "" is the whole text
	Reason  string // lower case, without the position
}

// Error returns "line L, column C: reason".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// newSyntaxError computes line and column of a byte offset.
func newSyntaxError(text []byte, offset int, pointer, reason string) *SyntaxError {
	offset = max(0, min(offset, len(text)))
	line, start := 1, 0
	for i, c := range text[:offset] {
		if c == '\n' {
			line, start = line+1, i+1
		}
	}
	column := 1 + len([]rune(string(text[start:offset])))
	return &SyntaxError{Line: line, Column: column, Offset: offset, Pointer: pointer, Reason: reason}
}
