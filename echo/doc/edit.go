package doc

import (
	"strconv"
	"strings"
)

// Step is one step of a Path: a key of a map, or an index of a list.
type Step struct {
	Key     string
	Index   int
	IsIndex bool
}

// Key returns a step into a map.
func Key(key string) Step { return Step{Key: key} }

// Index returns a step into a list.
func Index(i int) Step { return Step{Index: i, IsIndex: true} }

// Path leads from a document's root to a value. The empty path is the root.
type Path []Step

// Keys returns a path of keys.
func Keys(keys ...string) Path {
	p := make(Path, len(keys))
	for i, k := range keys {
		p[i] = Key(k)
	}
	return p
}

// Join returns p followed by steps, in new memory.
func (p Path) Join(steps ...Step) Path {
	out := make(Path, 0, len(p)+len(steps))
	return append(append(out, p...), steps...)
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// Pointer returns the path as a JSON pointer (RFC 6901).
func (p Path) Pointer() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteByte('/')
		if s.IsIndex {
			b.WriteString(strconv.Itoa(s.Index))
		} else {
			b.WriteString(pointerEscaper.Replace(s.Key))
		}
	}
	return b.String()
}

// Op tells what an Edit does.
type Op uint8

// The operations. Their numbers are part of the pipe protocol between daemon
// and engine, which both come from one binary.
const (
	// Put sets the value at Path: the last step names a key of a map, or an
	// existing index of a list. Maps, lists and texts in Value are created
	// with all they contain.
	Put Op = iota + 1
	// Insert inserts Value before the index that is Path's last step; the
	// length of the list appends.
	Insert
	// Delete removes the key or the element at Path. A missing key is no error.
	Delete
	// Splice changes the text at Path: from code point Pos on, Del code points
	// are removed and Ins is inserted.
	Splice
	// Increment adds By to the counter at Path.
	Increment
)

// Edit is one operation on a document. See the package comment for how a list
// of edits is read.
type Edit struct {
	Op    Op
	Path  Path
	Value *Value // Put, Insert
	Pos   int    // Splice, in code points
	Del   int    // Splice, in code points
	Ins   string // Splice
	By    int64  // Increment
}
