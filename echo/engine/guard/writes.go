package guard

// OpID names an operation, and the object that an operation makes; the zero
// value names the root.
type OpID struct {
	Number uint64
	Actor  string // its bytes
}

// After reports whether an operation wins over another at the same place.
func (o OpID) After(other OpID) bool {
	if o.Number != other.Number {
		return o.Number > other.Number
	}
	return o.Actor > other.Actor
}

// WriteKind is what an operation does.
type WriteKind uint8

// The kinds of operations.
const (
	WritePut WriteKind = iota + 1 // a value that is no object
	WriteMap
	WriteList
	WriteText
	WriteDelete
	WriteIncrement
	WriteMark
)

var writeKinds = map[uint64]WriteKind{actMakeMap: WriteMap, actMakeTable: WriteMap, actPut: WritePut,
	actMakeList: WriteList, actMakeText: WriteText, actDelete: WriteDelete,
	actIncrement: WriteIncrement, actMark: WriteMark}

// maxValue is how long a value may be that a Write tells.
const maxValue = 256

// Write is one operation of a change.
type Write struct {
	ID     OpID
	Object OpID // in which it works
	Key    string
	InList bool // Element counts, not Key
	Insert bool // a new element after Element, where the zero OpID is the start
	Elem   OpID // an element is named by the operation that inserted it
	Kind   WriteKind
	True   bool   // it puts the boolean true
	Value  string // of a put of a string or an integer of up to maxValue bytes: its type and its bytes
	Prev   []OpID // the operations it replaces; not kept for the next Write
}

// TextValue returns how a Write tells a string, "" where it does not.
func TextValue(s string) string {
	if len(s) > maxValue {
		return ""
	}
	return string(rune(valText)) + s
}

// IntValue returns how a Write tells an integer.
func IntValue(n int64) string {
	b := []byte{valInt}
	for { // signed LEB128
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return string(append(b, low))
		}
		b = append(b, low|0x80)
	}
}

// Writes calls yield for the operations of a change that Check has let pass,
// in their order. The Write is used again for the next.
func Writes(chunk []byte, yield func(*Write)) (*Info, error) {
	contents, hash, err := open(chunk, MaxInflated)
	if err != nil {
		return nil, err
	}
	c := &change{info: &Info{Hash: hash}}
	c.r.b = contents
	if err := c.readHeader(Rules{}); err != nil {
		return nil, err
	}
	data, err := c.readColumns()
	if err != nil {
		return nil, err
	}
	if countRows(data[colAction], MaxOps) > MaxOps {
		return nil, refuse(ReasonLimit, "more than %d operations", MaxOps)
	}
	w := &writes{rows: newRows(data)}
	for _, a := range c.actors {
		w.actors = append(w.actors, string(a))
	}
	var o op
	for w.rows.more() {
		w.rows.next(c.info.StartOp+uint64(c.info.Ops), &o)
		if err := w.read(&o); err != nil {
			return nil, err
		}
		yield(&w.write)
		c.info.Ops++
	}
	return c.info, nil
}

// writes turns rows into Writes.
type writes struct {
	rows   *rows
	actors []string
	write  Write
	preds  int
}

func (w *writes) id(actor, ctr *cell) (OpID, error) {
	if ctr.null || ctr.u == 0 {
		return OpID{}, nil
	}
	if actor.null || actor.u >= uint64(len(w.actors)) {
		return OpID{}, refuse(ReasonOps, "unknown actor")
	}
	return OpID{ctr.u, w.actors[actor.u]}, nil
}

func (w *writes) read(o *op) (err error) {
	x := &w.write
	*x = Write{ID: OpID{o.number, w.actors[0]}, Insert: o.insert, Kind: writeKinds[o.action.u], Prev: x.Prev[:0]}
	if x.Object, err = w.id(o.objActor, o.objCtr); err != nil {
		return err
	}
	if x.InList = o.keyText.null; x.InList {
		if x.Elem, err = w.id(o.keyActor, o.keyCtr); err != nil {
			return err
		}
	} else {
		x.Key = string(o.keyText.s)
	}
	x.True = x.Kind == WritePut && o.valueMeta.u&15 == valTrue
	value := w.rows.values.take(o.valueMeta.u >> 4)
	if typ := o.valueMeta.u & 15; x.Kind == WritePut && (typ == valText || typ == valInt) && len(value) <= maxValue {
		x.Value = string(append([]byte{byte(typ)}, value...))
	}
	for range min(o.predNum.u, uint64(MaxOps-w.preds)) {
		prev, err := w.id(w.rows.predActor.next(), w.rows.predCtr.next())
		if err != nil {
			return err
		}
		x.Prev = append(x.Prev, prev)
	}
	w.preds += len(x.Prev)
	return firstError(w.rows)
}
