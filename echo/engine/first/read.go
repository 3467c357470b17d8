package first

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"echofs/echo/doc"
	"echofs/echo/engine/guard"
)

// Read returns the value and the hash of a document whose only change is chunk.
// The error wraps ErrOther where the core must decide, which is also so for
// what is malformed.
func Read(chunk []byte) (*doc.Value, doc.ChangeHash, error) {
	contents, hash, err := guard.Contents(chunk, maxBytes)
	if err != nil {
		return nil, hash, fmt.Errorf("%w: %w", ErrOther, err)
	}
	p := newProgram()
	defer p.release()
	h, err := p.decode(contents)
	if err != nil {
		return nil, hash, err
	}
	value, err := p.fold()
	if err != nil {
		return nil, hash, err
	}
	if !bytes.Equal(p.encode(h), contents) {
		return nil, hash, ErrOther
	}
	return value, hash, nil
}

// decode reads the contents of a change, in so far as they may have the form.
// What it does not look at closely does not come out the same when it is
// written again.
func (p *program) decode(contents []byte) (head, error) {
	r := &reader{b: contents}
	var h head
	r.expect(0)
	h.actor = r.sized()
	r.expect(1)
	r.expect(1)
	h.seconds = r.signed()
	h.message = string(r.sized())
	r.expect(0)
	if len(h.actor) == 0 || len(h.actor) > guard.MaxActorLen || len(h.message) > guard.MaxMessage || !utf8.ValidString(h.message) {
		return h, ErrOther
	}
	columns, err := r.columns()
	if err != nil {
		return h, err
	}
	return h, p.decodeOps(columns)
}

// columns reads the table of columns and their data, which must be all of the
// rest.
func (r *reader) columns() (map[byte]*reader, error) {
	n := r.unsigned()
	if n > 10 {
		return nil, ErrOther
	}
	specs, sizes := make([]uint64, n), make([]uint64, n)
	for i := range n {
		specs[i], sizes[i] = r.unsigned(), r.unsigned()
	}
	out := make(map[byte]*reader, n)
	for i := range n {
		if specs[i] > math.MaxUint8 {
			return nil, ErrOther
		}
		out[byte(specs[i])] = &reader{b: r.take(sizes[i])}
	}
	return out, other(!r.bad && len(r.b) == 0)
}

// decodeOps reads the operations. The column of actions says how many they are.
func (p *program) decodeOps(columns map[byte]*reader) error {
	column := func(spec byte) *reader {
		if c := columns[spec]; c != nil {
			return c
		}
		return &reader{absent: true}
	}
	objects := rows[uint64]{r: column(colObjCtr), read: (*reader).unsigned}
	elements := rows[int64]{r: column(colKeyCtr), read: (*reader).signed}
	keys := rows[string]{r: column(colKeyText), read: func(r *reader) string { return string(r.sized()) }}
	actions := rows[uint64]{r: column(colAction), read: (*reader).unsigned}
	metas := rows[uint64]{r: column(colValueMeta), read: (*reader).unsigned}
	values := column(colValue)
	p.values = append(p.values, values.b...)
	element := int64(0)
	for actions.more() {
		if len(p.ops) == maxOps {
			return ErrOther
		}
		object, _ := objects.next()
		key, inMap := keys.next()
		step, inList := elements.next()
		action, hasAction := actions.next()
		meta, hasMeta := metas.next()
		if inMap == inList || inMap && key == "" || !utf8.ValidString(key) || !hasAction || !hasMeta || action > makeText || action == 3 {
			return ErrOther
		}
		o := op{object: object, key: key, action: byte(action), typ: byte(meta & 15), size: uint32(len(values.take(meta >> 4)))}
		if inList {
			element += step
			o.after = uint64(element)
		}
		if o.action != set && meta != typNull || o.object > uint64(len(p.ops)) || o.after > uint64(len(p.ops)) {
			return ErrOther
		}
		p.ops = append(p.ops, o)
	}
	bad := objects.r.bad || keys.r.bad || elements.r.bad || actions.r.bad || metas.r.bad || values.bad
	return other(!bad && len(values.b) == 0)
}

// rows reads a run-length encoded column; see runs.
type rows[T any] struct {
	r       *reader
	read    func(*reader) T
	left    uint64
	literal bool
	null    bool
	value   T
}

func (c *rows[T]) more() bool { return !c.r.bad && (c.left > 0 || len(c.r.b) > 0) }

// next returns the next row, false for a null. A column that is not there is
// all null; one that ended too early is bad.
func (c *rows[T]) next() (T, bool) {
	var zero T
	if c.r.absent {
		return zero, false
	}
	if c.left == 0 {
		c.run()
	}
	if c.left == 0 {
		c.r.fail()
		return zero, false
	}
	c.left--
	if c.null {
		return zero, false
	}
	if c.literal {
		c.value = c.read(c.r)
	}
	return c.value, true
}

func (c *rows[T]) run() {
	n := c.r.signed()
	c.literal, c.null = n < 0, n == 0
	switch {
	case c.r.bad || n == math.MinInt64:
		c.r.fail()
	case n > 0:
		c.left = uint64(n)
		c.value = c.read(c.r)
	case n < 0:
		c.left = uint64(-n)
	default:
		c.left = c.r.unsigned()
	}
}

// reader reads the primitives of the format. Once something was wrong it is bad
// and empty.
type reader struct {
	b      []byte
	bad    bool
	absent bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) expect(want byte) {
	if b := r.take(1); b != nil && b[0] != want {
		r.fail()
	}
}

func (r *reader) unsigned() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) signed() int64 {
	v, rest, ok := readSigned(r.b)
	if !ok {
		r.fail()
		return 0
	}
	r.b = rest
	return v
}

func (r *reader) sized() []byte { return r.take(r.unsigned()) }

// readSigned reads a signed LEB128.
func readSigned(b []byte) (v int64, rest []byte, ok bool) {
	for i, c := range b {
		if i == 10 {
			break
		}
		v |= int64(c&0x7f) << (7 * i)
		if c&0x80 != 0 {
			continue
		}
		if shift := 7 * (i + 1); shift < 64 && c&0x40 != 0 {
			v |= -1 << shift
		}
		return v, b[i+1:], true
	}
	return 0, nil, false
}
