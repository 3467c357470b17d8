package first

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"echofs/echo/doc"
)

// ErrOther is wrapped where a change or edits have not the form of this
// package. They may well be right: the core decides.
var ErrOther = errors.New("not a first change of the simple form")

// Limits of what is done here; more is left to the core.
const (
	maxOps   = 1 << 17
	maxBytes = 4 << 20 // of a change's contents
	maxDepth = 100     // less than doc.MaxDepth
)

// The actions and the types of values, as the format numbers them.
const (
	makeMap  = 0
	set      = 1
	makeList = 2
	makeText = 4

	typNull      = 0
	typFalse     = 1
	typTrue      = 2
	typUint      = 3
	typInt       = 4
	typFloat     = 5
	typString    = 6
	typBytes     = 7
	typCounter   = 8
	typTimestamp = 9
)

// op is one operation. Its number is its index plus one.
type op struct {
	object uint64 // number of the operation that made what it is in; 0 is the root
	key    string // in a map; "" in a list or text
	after  uint64 // in a list or text: the element before it, 0 for none
	action byte
	typ    byte
	size   uint32 // of its value
}

func (o *op) inMap() bool { return o.key != "" }

// program is the operations of a change.
type program struct {
	ops    []op
	values []byte // of the operations, one after another
}

// programs are used again: a text has an operation for each character.
var programs = sync.Pool{New: func() any { return new(program) }}

func newProgram() *program {
	p := programs.Get().(*program)
	p.ops, p.values = p.ops[:0], p.values[:0]
	return p
}

// release lets a program be used again, unless it is a large one.
func (p *program) release() {
	if cap(p.ops) <= maxKept {
		programs.Put(p)
	}
}

const maxKept = 1 << 13 // operations

// plan adds the operations of edits that put values at keys of the root.
func (p *program) plan(edits []doc.Edit) error {
	for _, e := range edits {
		if e.Op != doc.Put || len(e.Path) != 1 || e.Path[0].IsIndex {
			return ErrOther
		}
		if err := p.put(op{key: e.Path[0].Key}, e.Value, maxDepth); err != nil {
			return err
		}
	}
	return nil
}

// put adds a value at the place that at has: a key, or an element.
func (p *program) put(at op, v *doc.Value, depth int) error {
	if v == nil || depth == 0 || len(p.ops) >= maxOps || len(p.values) > maxBytes {
		return ErrOther
	}
	switch v.Kind {
	case doc.Map:
		return p.fields(p.add(at, makeMap, typNull), v.Fields, depth)
	case doc.List:
		return p.items(p.add(at, makeList, typNull), v.Items, depth)
	case doc.Text:
		return p.text(p.add(at, makeText, typNull), v.Str)
	}
	return p.scalar(at, v)
}

// add adds an operation and returns its number.
func (p *program) add(at op, action, typ byte, value ...byte) uint64 {
	at.action, at.typ, at.size = action, typ, uint32(len(value))
	p.values = append(p.values, value...)
	p.ops = append(p.ops, at)
	return uint64(len(p.ops))
}

func (p *program) fields(object uint64, fields []doc.Field, depth int) error {
	for _, f := range fields {
		if f.Key == "" || !utf8.ValidString(f.Key) {
			return ErrOther
		}
		if err := p.put(op{object: object, key: f.Key}, f.Value, depth-1); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) items(object uint64, items []*doc.Value, depth int) error {
	after := uint64(0)
	for _, item := range items {
		number := uint64(len(p.ops)) + 1
		if err := p.put(op{object: object, after: after}, item, depth-1); err != nil {
			return err
		}
		after = number
	}
	return nil
}

func (p *program) text(object uint64, s string) error {
	if !utf8.ValidString(s) || len(p.ops)+len(s) > maxOps {
		return ErrOther
	}
	p.ops = slices.Grow(p.ops, len(s))
	p.values = slices.Grow(p.values, len(s))
	after := uint64(0)
	for i, r := range s {
		after = p.add(op{object: object, after: after}, set, typString, []byte(s[i:i+utf8.RuneLen(r)])...)
	}
	return nil
}

func (p *program) scalar(at op, v *doc.Value) error {
	switch v.Kind {
	case doc.Null:
		p.add(at, set, typNull)
	case doc.Bool:
		typ := byte(typFalse)
		if v.Bool {
			typ = typTrue
		}
		p.add(at, set, typ)
	case doc.Int:
		p.add(at, set, typInt, appendSigned(nil, v.Int)...)
	case doc.Counter:
		p.add(at, set, typCounter, appendSigned(nil, v.Int)...)
	case doc.Timestamp:
		p.add(at, set, typTimestamp, appendSigned(nil, v.Int)...)
	case doc.Uint:
		p.add(at, set, typUint, binary.AppendUvarint(nil, v.Uint)...)
	case doc.Float:
		p.add(at, set, typFloat, binary.LittleEndian.AppendUint64(nil, math.Float64bits(v.Float))...)
	case doc.String:
		if !utf8.ValidString(v.Str) {
			return ErrOther
		}
		p.add(at, set, typString, []byte(v.Str)...)
	case doc.Bytes:
		p.add(at, set, typBytes, v.Bytes...)
	default:
		return ErrOther
	}
	return nil
}

// object is what an operation made, while values are put into it.
type object struct {
	value *doc.Value
	depth int
	text  []byte
	last  uint64 // number of the last element
}

// fold returns the value that the operations make.
func (p *program) fold() (*doc.Value, error) {
	root := &object{value: doc.NewMap(), depth: maxDepth}
	made := map[uint64]*object{0: root}
	at, current := uint64(0), root
	values := p.values
	for i := range p.ops {
		o := &p.ops[i]
		value := values[:o.size]
		values = values[o.size:]
		if o.object != at {
			if at, current = o.object, made[o.object]; current == nil {
				return nil, ErrOther
			}
		}
		next, err := current.take(o, uint64(i)+1, value)
		if err != nil {
			return nil, err
		}
		if next != nil {
			made[uint64(i)+1] = next
		}
	}
	for _, o := range made {
		if err := o.finish(); err != nil {
			return nil, err
		}
	}
	return root.value, nil
}

// take applies one operation in an object, and returns the object that it made.
func (b *object) take(o *op, number uint64, value []byte) (*object, error) {
	if o.inMap() != (b.value.Kind == doc.Map) || b.depth == 0 || !o.inMap() && o.after != b.last {
		return nil, ErrOther
	}
	b.last = number
	if b.value.Kind == doc.Text {
		if o.action != set || o.typ != typString || utf8.RuneCount(value) != 1 || !utf8.Valid(value) {
			return nil, ErrOther
		}
		b.text = append(b.text, value...)
		return nil, nil
	}
	v, err := o.read(value)
	if err != nil {
		return nil, err
	}
	if b.value.Kind == doc.Map {
		b.value.Fields = append(b.value.Fields, doc.Field{Key: o.key, Value: v})
	} else {
		b.value.Items = append(b.value.Items, v)
	}
	if o.action == set {
		return nil, nil
	}
	return &object{value: v, depth: b.depth - 1}, nil
}

// finish gives a text its string, and a map the order the core has: by key.
func (b *object) finish() error {
	b.value.Str = string(b.text)
	fields := b.value.Fields
	slices.SortFunc(fields, func(x, y doc.Field) int { return strings.Compare(x.Key, y.Key) })
	for i := 1; i < len(fields); i++ {
		if fields[i-1].Key == fields[i].Key {
			return ErrOther // replaced
		}
	}
	return nil
}

// read returns the value that an operation sets or makes.
func (o *op) read(b []byte) (*doc.Value, error) {
	switch o.action {
	case makeMap:
		return doc.NewMap(), nil
	case makeList:
		return doc.NewList(), nil
	case makeText:
		return doc.NewText(""), nil
	}
	switch o.typ {
	case typNull:
		return doc.NewNull(), nil
	case typFalse, typTrue:
		return doc.NewBool(o.typ == typTrue), nil
	case typUint:
		n, w := binary.Uvarint(b)
		return &doc.Value{Kind: doc.Uint, Uint: n}, other(w == len(b))
	case typInt:
		return signed(b, doc.Int)
	case typCounter:
		return signed(b, doc.Counter)
	case typTimestamp:
		return signed(b, doc.Timestamp)
	case typFloat:
		if len(b) != 8 {
			return nil, ErrOther
		}
		return doc.NewFloat(math.Float64frombits(binary.LittleEndian.Uint64(b))), nil
	case typString:
		return doc.NewString(string(b)), other(utf8.Valid(b))
	case typBytes:
		return &doc.Value{Kind: doc.Bytes, Bytes: slices.Clone(b)}, nil
	}
	return nil, ErrOther
}

func signed(b []byte, kind doc.Kind) (*doc.Value, error) {
	n, rest, ok := readSigned(b)
	return &doc.Value{Kind: kind, Int: n}, other(ok && len(rest) == 0)
}

// other is ErrOther unless ok.
func other(ok bool) error {
	if ok {
		return nil
	}
	return ErrOther
}
