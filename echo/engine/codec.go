package engine

import (
	"encoding/binary"
	"errors"
	"fmt"

	"echofs/echo/doc"
)

// The messages on the pipe. Both ends are one binary, so there are no versions;
// all decoding is bounded nevertheless, since a worker is not trusted.
//
// The worker begins with a frame that holds helloFrame; then each request gets
// one reply.
//
//	request  = op id heads chunks body
//	id       = 16 bytes
//	heads    = uvarint n+1 and n hashes; 0 is nil
//	chunks   = 0, or 1 list of bytes
//	bytes    = uvarint length, bytes
//	reply    = replyOK body | replyNeed | replyError code bytes

type opcode byte

const (
	opEdit opcode = iota + 1
	opMerge
	opRead
	opCompact
	opChanges
	opConflicts
)

const (
	replyOK byte = iota + 1
	replyNeed
	replyError
)

var helloFrame = []byte("echofs engine")

var errMessage = errors.New("malformed message")

// request is what every operation has: the document, and the chunks that make
// it where the worker asked for them.
type request struct {
	op        opcode
	id        doc.DocumentID
	heads     doc.Heads
	hasChunks bool
	chunks    [][]byte
	body      []byte // of the operation; not decoded yet
}

func appendRequest(b []byte, r *request) []byte {
	b = append(b, byte(r.op))
	b = append(b, r.id[:]...)
	b = appendHeads(b, r.heads)
	if !r.hasChunks {
		b = append(b, 0)
	} else {
		b = appendList(append(b, 1), r.chunks)
	}
	return append(b, r.body...)
}

func decodeRequest(b []byte) (*request, error) {
	d := &decoder{b: b}
	r := &request{op: opcode(d.byte())}
	copy(r.id[:], d.take(len(r.id)))
	r.heads = d.heads()
	if r.hasChunks = d.byte() != 0; r.hasChunks {
		r.chunks = d.list()
	}
	r.body = d.b
	return r, d.err
}

// ---- bodies of requests ----

func appendEditRequest(b []byte, r *doc.EditRequest) []byte {
	b = appendHeads(b, r.Base)
	b = binary.AppendUvarint(b, uint64(len(r.Branches)))
	for _, branch := range r.Branches {
		b = append(b, branch.Actor[:]...)
		b = append(b, branch.Last[:]...)
	}
	b = binary.AppendVarint(b, r.Time)
	b = appendBytes(b, r.Message)
	b = binary.AppendUvarint(b, uint64(len(r.Edits)))
	for i := range r.Edits {
		b = appendEdit(b, &r.Edits[i])
	}
	return b
}

func decodeEditRequest(b []byte) (*doc.EditRequest, error) {
	d := &decoder{b: b}
	r := &doc.EditRequest{Base: d.heads()}
	r.Branches = make([]doc.Branch, d.count(len(doc.ActorID{})+len(doc.ChangeHash{})))
	for i := range r.Branches {
		copy(r.Branches[i].Actor[:], d.take(len(doc.ActorID{})))
		copy(r.Branches[i].Last[:], d.take(len(doc.ChangeHash{})))
	}
	r.Time = d.varint()
	r.Message = string(d.bytes())
	r.Edits = make([]doc.Edit, d.count(minEdit))
	for i := range r.Edits {
		if d.edit(&r.Edits[i]); d.err != nil {
			break
		}
	}
	return r, d.end()
}

// minEdit is the least an edit takes: its operation, an empty path, no value.
const minEdit = 3

func appendEdit(b []byte, e *doc.Edit) []byte {
	b = append(b, byte(e.Op))
	b = binary.AppendUvarint(b, uint64(len(e.Path)))
	for _, s := range e.Path {
		if s.IsIndex {
			b = binary.AppendVarint(append(b, 1), int64(s.Index))
		} else {
			b = appendBytes(append(b, 0), s.Key)
		}
	}
	if e.Value == nil {
		b = append(b, 0)
	} else {
		b = appendBytes(append(b, 1), doc.EncodeValue(e.Value))
	}
	switch e.Op {
	case doc.Splice:
		b = binary.AppendVarint(b, int64(e.Pos))
		b = binary.AppendVarint(b, int64(e.Del))
		b = appendBytes(b, e.Ins)
	case doc.Increment:
		b = binary.AppendVarint(b, e.By)
	}
	return b
}

func (d *decoder) edit(e *doc.Edit) {
	e.Op = doc.Op(d.byte())
	e.Path = make(doc.Path, d.count(2))
	for i := range e.Path {
		e.Path[i] = d.step()
	}
	if d.byte() != 0 {
		v, err := doc.DecodeValue(d.bytes())
		if err != nil {
			d.fail(fmt.Errorf("edit at %q: %w: %w", e.Path.Pointer(), err, ErrEdit))
		}
		e.Value = v
	}
	switch e.Op {
	case doc.Splice:
		e.Pos, e.Del, e.Ins = int(d.varint()), int(d.varint()), string(d.bytes())
	case doc.Increment:
		e.By = d.varint()
	}
}

func (d *decoder) step() doc.Step {
	if d.byte() != 0 {
		return doc.Index(int(d.varint()))
	}
	return doc.Key(string(d.bytes()))
}

// ---- bodies of replies ----

// A result is: hash and chunk of the change, branch, heads, value.

func decodeResult(b []byte) (doc.Result, error) {
	d := &decoder{b: b}
	var r doc.Result
	r.Change = d.change()
	r.Branch = int(d.uvarint())
	r.Heads = d.heads()
	r.Value = d.value()
	return r, d.end()
}

func (d *decoder) change() doc.Change {
	var c doc.Change
	copy(c.Hash[:], d.take(len(c.Hash)))
	if c.Bytes = d.bytes(); len(c.Bytes) == 0 {
		c.Bytes = nil
	}
	return c
}

func decodeChanges(b []byte) ([]doc.Change, error) {
	d := &decoder{b: b}
	var out []doc.Change
	for len(d.b) > 0 {
		out = append(out, d.change())
	}
	return out, d.err
}

func decodeConflicts(b []byte) ([]doc.Conflict, error) {
	d := &decoder{b: b}
	var out []doc.Conflict
	for len(d.b) > 0 {
		out = append(out, d.conflict())
	}
	return out, d.err
}

func (d *decoder) conflict() doc.Conflict {
	c := doc.Conflict{Path: make(doc.Path, d.count(2))}
	for i := range c.Path {
		if d.byte() == 0 {
			c.Path[i] = doc.Key(string(d.bytes()))
		} else {
			c.Path[i] = doc.Index(int(d.uvarint()))
		}
	}
	c.Values = make([]*doc.Value, d.count(1))
	for i := range c.Values {
		c.Values[i] = d.value()
	}
	return c
}

func (d *decoder) value() *doc.Value {
	v, err := doc.DecodeValue(d.bytes())
	if err != nil {
		d.fail(err)
		return nil
	}
	return v
}

// ---- primitives ----

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendList(b []byte, list [][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, item := range list {
		b = appendBytes(b, item)
	}
	return b
}

func appendHeads(b []byte, h doc.Heads) []byte {
	if h == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(h))+1)
	for i := range h {
		b = append(b, h[i][:]...)
	}
	return b
}

// decoder reads the primitives; after the first error it reads nothing more.
// What it returns shares memory with the message.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

// end returns the first error, one of them being that something is left.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail(fmt.Errorf("%d bytes too many: %w", len(d.b), errMessage))
	}
	return d.err
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail(errMessage)
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errMessage)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errMessage)
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads the number of things that take at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail(errMessage)
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte { return d.take(d.count(1)) }

func (d *decoder) list() [][]byte {
	out := make([][]byte, d.count(1))
	for i := range out {
		out[i] = d.bytes()
	}
	return out
}

func (d *decoder) heads() doc.Heads {
	n := d.uvarint()
	if n == 0 || d.err != nil {
		return nil
	}
	if n-1 > uint64(len(d.b)/len(doc.ChangeHash{})) {
		d.fail(errMessage)
		return nil
	}
	h := make(doc.Heads, n-1)
	for i := range h {
		copy(h[i][:], d.take(len(h[i])))
	}
	return h
}
