package model

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"echofs/echo/doc"
)

// anything are the limits for text that is known to be an object's.
var anything = Limits{Bytes: math.MaxInt, Depth: 1000, Keys: math.MaxInt, Values: math.MaxInt, Foreign: true}

// Patch returns text, a spelling of old, changed to a spelling of next: white
// space, order of keys and the spelling of what did not change stay byte for
// byte. New keys are appended to their map, and what is new is written like
// its surroundings. If old and next are the same data the text is returned
// as it is. Where text is not a spelling of old, next is rendered with opt;
// opt.Rank also orders new keys.
func Patch(text []byte, old, next *doc.Value, opt RenderOptions) []byte {
	root, err := scan(text, anything, true)
	if err != nil || !Same(root.value, old) {
		return Render(next, opt)
	}
	if Same(root.value, next) {
		return text
	}
	p := patcher{text: text, prints: newPrints(), opt: opt, style: styleOf(text, root)}
	p.out = append(p.out, text[:root.start]...)
	p.value(root, next, p.multiline)
	p.out = append(p.out, text[root.end:]...)
	if check, err := Parse(p.out, anything); err != nil || !Same(check, next) {
		return Render(next, opt) // what cannot be written in place is still written
	}
	return p.out
}

type patcher struct {
	*prints
	style
	text []byte
	opt  RenderOptions
	out  []byte
	path doc.Path
}

// value writes next over n. What is new is written on lines of its own if
// lines is set.
func (p *patcher) value(n node, next *doc.Value, lines bool) {
	if p.of(n.value) == p.of(next) && Same(n.value, next) {
		p.copy(n.start, n.end)
		return
	}
	isList := n.value.Kind == doc.List && next.Kind == doc.List
	isMap := n.value.Kind == doc.Map && plain(next).Kind == doc.Map && next.Kind == doc.Map
	switch {
	case len(n.kids) > 0 && isList:
		p.container(n, p.itemSlots(n, next), '[', ']')
	case len(n.kids) > 0 && isMap:
		p.container(n, p.fieldSlots(n, next), '{', '}')
	case Same(n.value, next):
		p.copy(n.start, n.end)
	default:
		p.fresh(next, lines)
	}
}

func (p *patcher) copy(from, to int) { p.out = append(p.out, p.text[from:to]...) }

// fresh writes a value that has no text yet, indented like the line it starts
// on.
func (p *patcher) fresh(v *doc.Value, lines bool) {
	w := writer{style: p.style, rank: p.opt.Rank, path: p.path, margin: string(marginAt(p.out, len(p.out)))}
	w.multiline = lines
	w.value(v)
	p.out = append(p.out, w.out...)
}

// slot is an element of a map or list as it is to be.
type slot struct {
	kid   int // the element whose text it has, or -1
	step  doc.Step
	value *doc.Value
}

// fieldSlots returns the fields that stay, in the order of the text, then the
// new ones.
func (p *patcher) fieldSlots(n node, next *doc.Value) []slot {
	var out []slot
	find := lookup{fields: next.Fields}
	for i, f := range n.value.Fields {
		if v, ok := find.at(i, f.Key); ok {
			out = append(out, slot{i, doc.Key(f.Key), v})
		}
	}
	kept := len(out)
	find = lookup{fields: n.value.Fields}
	for i, f := range next.Fields {
		if _, ok := find.at(i, f.Key); !ok {
			out = append(out, slot{-1, doc.Key(f.Key), f.Value})
		}
	}
	if rank := p.opt.Rank; rank != nil {
		slices.SortStableFunc(out[kept:], func(a, b slot) int {
			return cmp.Compare(rank(p.path, a.step.Key), rank(p.path, b.step.Key))
		})
	}
	return out
}

func (p *patcher) itemSlots(n node, next *doc.Value) []slot {
	var out []slot
	for _, st := range p.script(n.value.Items, next.Items) {
		if st.op != stepRemove {
			out = append(out, slot{st.i, doc.Index(len(out)), next.Items[st.j]})
		}
	}
	return out
}

// container writes a map or list that has elements and may lose them all. The
// white space before its first element and after its last one stays there,
// whichever elements those become.
func (p *patcher) container(n node, slots []slot, open, end byte) {
	p.out = append(p.out, open)
	if len(slots) > 0 {
		lines := p.hasLines(n)
		for k, s := range slots {
			p.lead(n, k, s.kid)
			p.slot(n, s, lines)
			if s.kid >= 0 && s.kid < len(n.kids)-1 && k < len(slots)-1 {
				p.copy(n.kids[s.kid].end, p.comma(n, s.kid))
			}
		}
		p.copy(n.kids[len(n.kids)-1].end, n.end-1)
	}
	p.out = append(p.out, end)
}

func (p *patcher) slot(n node, s slot, lines bool) {
	p.path = append(p.path, s.step)
	defer func() { p.path = p.path[:len(p.path)-1] }()
	if s.kid >= 0 {
		kid := n.kids[s.kid]
		p.copy(kid.keyStart, kid.keyEnd)
		if kid.keyEnd > 0 {
			p.copy(kid.keyEnd, kid.start)
		}
		p.value(kid, s.value, lines)
		return
	}
	if !s.step.IsIndex {
		p.out = appendQuoted(p.out, s.step.Key)
		p.out = append(p.out, p.colonOf(n)...)
	}
	p.fresh(s.value, lines)
}

// comma returns the place of the comma after an element.
func (p *patcher) comma(n node, kid int) int {
	end := n.kids[kid].end
	return end + bytes.IndexByte(p.text[end:], ',')
}

// leadOf returns the white space before an element.
func (p *patcher) leadOf(n node, kid int) []byte {
	from := n.start + 1
	if kid > 0 {
		from = p.comma(n, kid-1) + 1
	}
	to := n.kids[kid].start
	if n.kids[kid].keyEnd > 0 {
		to = n.kids[kid].keyStart
	}
	return p.text[from:to]
}

// lead writes the comma and the white space before element k, which has the
// text of a kid or, if kid is -1, none.
func (p *patcher) lead(n node, k, kid int) {
	if k == 0 {
		p.out = append(p.out, p.leadOf(n, 0)...)
		return
	}
	p.out = append(p.out, ',')
	if kid > 0 {
		p.out = append(p.out, p.leadOf(n, kid)...)
		return
	}
	last := p.leadOf(n, len(n.kids)-1)
	if i := bytes.LastIndexByte(last, '\n'); i >= 0 { // no blank lines
		p.out = append(p.out, p.newline...)
		p.out = append(p.out, last[i+1:]...)
	} else if len(n.kids) > 1 {
		p.out = append(p.out, last...)
	} else {
		p.out = append(p.out, p.space...)
	}
}

// hasLines reports whether the elements of n are on lines of their own.
func (p *patcher) hasLines(n node) bool {
	return bytes.IndexByte(p.leadOf(n, len(n.kids)-1), '\n') >= 0
}

// colonOf returns what is between key and value in the last field of n.
func (p *patcher) colonOf(n node) string {
	last := n.kids[len(n.kids)-1]
	return colonIn(p.text[last.keyEnd:last.start], p.colon)
}
