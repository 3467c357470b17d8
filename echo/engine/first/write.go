package first

import (
	"encoding/binary"
	"unicode/utf8"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
)

// head is what a change says beside its operations.
type head struct {
	actor   []byte
	seconds int64
	message string
}

// Write returns the change by which an actor makes a new document with edits,
// and the document's value. Every edit puts a value at a key of the root that
// no other puts one at. The error wraps ErrOther where the core must decide;
// nothing else fails.
func Write(actor doc.ActorID, seconds int64, message string, edits []doc.Edit) (doc.Change, *doc.Value, error) {
	p := newProgram()
	defer p.release()
	if err := p.plan(edits); err != nil {
		return doc.Change{}, nil, err
	}
	value, err := p.fold()
	if err != nil {
		return doc.Change{}, nil, err
	}
	contents := p.encode(head{actor[:], seconds, message})
	if len(p.ops) == 0 || len(contents) > maxBytes || len(message) > guard.MaxMessage || !utf8.ValidString(message) {
		return doc.Change{}, nil, ErrOther
	}
	chunk, hash := guard.Change(contents)
	if len(chunk) > guard.MaxChunk {
		return doc.Change{}, nil, ErrOther
	}
	return doc.Change{Hash: hash, Bytes: chunk}, value, nil
}

// encode returns the contents of a change.
func (p *program) encode(h head) []byte {
	columns := p.encodeColumns()
	size := 64 + len(h.actor) + len(h.message)
	for _, c := range columns {
		size += len(c.data) + 12
	}
	b := make([]byte, 0, size)
	b = append(b, 0) // no dependencies
	b = appendSized(b, h.actor)
	b = append(b, 1, 1) // seq, first operation
	b = appendSigned(b, h.seconds)
	b = appendSized(b, h.message)
	b = append(b, 0) // no other actors
	b = binary.AppendUvarint(b, uint64(len(columns)))
	for _, c := range columns {
		b = binary.AppendUvarint(b, uint64(c.spec))
		b = binary.AppendUvarint(b, uint64(len(c.data)))
	}
	for _, c := range columns {
		b = append(b, c.data...)
	}
	return b
}

type columnData struct {
	spec byte
	data []byte
}

// The columns of a change; package guard names them too.
const (
	colObjActor  = 1
	colObjCtr    = 2
	colKeyActor  = 17
	colKeyCtr    = 19
	colKeyText   = 21
	colInsert    = 52
	colAction    = 66
	colValueMeta = 86
	colValue     = 87
	colPredNum   = 112
)

// encodeColumns returns the columns that have bytes, in order.
func (p *program) encodeColumns() []columnData {
	var objActor, objCtr, keyActor, action, meta, preds runs[uint64]
	var keyCtr runs[int64]
	var keyText runs[string]
	objActor.put, objCtr.put, keyActor.put, action.put = appendUnsigned, appendUnsigned, appendUnsigned, appendUnsigned
	meta.put, preds.put, keyCtr.put, keyText.put = appendUnsigned, appendUnsigned, appendSigned, appendSized[string]
	var insert booleans
	element := int64(0)
	for i := range p.ops {
		o := &p.ops[i]
		objActor.add(0, o.object == 0)
		objCtr.add(o.object, o.object == 0)
		keyActor.add(0, o.inMap() || o.after == 0)
		keyCtr.add(int64(o.after)-element, o.inMap())
		if !o.inMap() {
			element = int64(o.after)
		}
		keyText.add(o.key, !o.inMap())
		insert.add(!o.inMap())
		action.add(uint64(o.action), false)
		meta.add(uint64(o.size)<<4|uint64(o.typ), false)
		preds.add(0, false)
	}
	all := []columnData{
		{colObjActor, objActor.end()}, {colObjCtr, objCtr.end()},
		{colKeyActor, keyActor.end()}, {colKeyCtr, keyCtr.end()}, {colKeyText, keyText.end()},
		{colInsert, insert.end()}, {colAction, action.end()},
		{colValueMeta, meta.end()}, {colValue, p.values}, {colPredNum, preds.end()},
	}
	out := all[:0]
	for _, c := range all {
		if len(c.data) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// runs writes a run-length encoded column: a positive count and the value that
// is repeated, a negative count and so many values that differ, or a zero and a
// count of nulls. A column of nulls alone has no bytes.
type runs[T comparable] struct {
	put     func([]byte, T) []byte
	b       []byte
	literal []T // values that differ, before last
	last    T
	count   int // of last, at the end; 0 where the column ends with nulls or is empty
	nulls   int // at the end
	started bool
}

func (r *runs[T]) add(v T, null bool) {
	switch {
	case null:
		r.flush()
		r.nulls++
	case r.count == 0:
		if r.nulls > 0 {
			r.b = binary.AppendUvarint(append(r.b, 0), uint64(r.nulls))
			r.nulls = 0
		}
		r.last, r.count, r.started = v, 1, true
	case r.last == v:
		r.flushLiteral()
		r.count++
	case r.count > 1:
		r.flush()
		r.last, r.count = v, 1
	default:
		r.literal = append(r.literal, r.last)
		r.last = v
	}
}

// flushLiteral writes the values before last.
func (r *runs[T]) flushLiteral() {
	if len(r.literal) == 0 {
		return
	}
	r.b = appendSigned(r.b, -int64(len(r.literal)))
	for _, v := range r.literal {
		r.b = r.put(r.b, v)
	}
	r.literal = r.literal[:0]
}

// flush writes all values.
func (r *runs[T]) flush() {
	switch {
	case r.count > 1:
		r.flushLiteral()
		r.b = r.put(appendSigned(r.b, int64(r.count)), r.last)
	case r.count == 1:
		r.literal = append(r.literal, r.last)
		r.flushLiteral()
	}
	r.count = 0
}

func (r *runs[T]) end() []byte {
	r.flush()
	if r.nulls > 0 && r.started {
		r.b = binary.AppendUvarint(append(r.b, 0), uint64(r.nulls))
	}
	return r.b
}

// booleans writes a column of counts, of false and true in turn.
type booleans struct {
	b     []byte
	value bool
	count uint64
}

func (c *booleans) add(v bool) {
	if v != c.value {
		c.b = binary.AppendUvarint(c.b, c.count)
		c.value, c.count = v, 0
	}
	c.count++
}

func (c *booleans) end() []byte {
	if c.count > 0 {
		c.b = binary.AppendUvarint(c.b, c.count)
	}
	return c.b
}

func appendUnsigned(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func appendSized[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendSigned appends a signed LEB128.
func appendSigned(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
