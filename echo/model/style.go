package model

import (
	"bytes"
	"strings"

	"echofs/echo/doc"
)

// styleOf finds out how a text is laid out, from the first places that show
// it.
func styleOf(text []byte, root node) style {
	st := defaultStyle
	if bytes.Contains(text, []byte("\r\n")) {
		st.newline = "\r\n"
	}
	isEmpty := len(root.kids) == 0
	st.multiline = isEmpty || bytes.IndexByte(text[root.start:root.end], '\n') >= 0
	f := finder{patcher: patcher{text: text}, style: &st}
	f.look(root)
	if f.colon && !f.space && st.colon == ":" {
		st.space = ""
	}
	return st
}

// finder looks for the first example of each property of a style.
type finder struct {
	patcher
	style                *style
	indent, colon, space bool // found
}

func (f *finder) look(n node) {
	for i, kid := range n.kids {
		if f.indent && f.colon && f.space {
			return
		}
		lead := f.leadOf(n, i)
		if !f.indent && bytes.IndexByte(lead, '\n') >= 0 {
			f.indent = true
			f.style.indent = indentOf(f.text, n.start, lead)
		}
		if !f.space && i > 0 && bytes.IndexByte(lead, '\n') < 0 {
			f.space = true
			f.style.space = string(lead)
		}
		if !f.colon && n.value.Kind == doc.Map {
			f.colon = true
			f.style.colon = colonIn(f.text[kid.keyEnd:kid.start], defaultStyle.colon)
		}
		f.look(kid)
	}
}

// indentOf returns by how much the elements of the container at start are
// indented, lead being what is before one of them.
func indentOf(text []byte, start int, lead []byte) string {
	inner := string(lead[bytes.LastIndexByte(lead, '\n')+1:])
	if unit, ok := strings.CutPrefix(inner, string(marginAt(text, start))); ok {
		return unit
	}
	return defaultStyle.indent
}

// marginAt returns the white space at the start of the line that text[:at]
// ends in.
func marginAt(text []byte, at int) []byte {
	line := text[bytes.LastIndexByte(text[:at], '\n')+1 : at]
	return line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
}

// colonIn returns a colon with its white space, or def where that is not on
// one line.
func colonIn(between []byte, def string) string {
	if bytes.IndexByte(between, '\n') >= 0 {
		return def
	}
	return string(between)
}
