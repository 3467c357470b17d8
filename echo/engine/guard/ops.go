package guard

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"unicode/utf8"
)

// maxCounter is the greatest number of an operation, and of a seq: the core
// keeps them in 32 bits.
const maxCounter = math.MaxUint32

// The actions.
const (
	actMakeMap   = 0
	actPut       = 1
	actMakeList  = 2
	actDelete    = 3
	actMakeText  = 4
	actIncrement = 5
	actMakeTable = 6
	actMark      = 7
)

// The types of values, and how their bytes must be.
const (
	valNull      = 0
	valFalse     = 1
	valTrue      = 2
	valUint      = 3
	valInt       = 4
	valFloat     = 5
	valText      = 6
	valCounter   = 8
	valTimestamp = 9
)

// objectID names an object by the operation that made it; the zero value is the
// root.
type objectID struct {
	ctr   uint64
	actor string
}

// kind is what an object is addressed by.
type kind byte

const (
	kindMap  kind = iota + 1 // maps and tables: by key
	kindList                 // lists and texts: by element
)

// rows reads the columns of the operations side by side.
type rows struct {
	objActor, objCtr, keyActor, keyCtr, keyText *column
	action, valueMeta                           *column
	predNum, predActor, predCtr, markName       *column
	insert, expand                              *booleans
	values                                      reader
}

func newRows(data map[uint64][]byte) *rows {
	return &rows{
		objActor: newColumn(data[colObjActor]), objCtr: newColumn(data[colObjCtr]),
		keyActor: newColumn(data[colKeyActor]), keyCtr: newDeltaColumn(data[colKeyCtr]),
		keyText: newTextColumn(data[colKeyText]), insert: newBooleans(data[colInsert]),
		action: newColumn(data[colAction]), valueMeta: newColumn(data[colValueMeta]),
		values:  reader{b: data[colValue]},
		predNum: newColumn(data[colPredNum]), predActor: newColumn(data[colPredActor]),
		predCtr: newDeltaColumn(data[colPredCtr]),
		expand:  newBooleans(data[colExpand]), markName: newTextColumn(data[colMarkName]),
	}
}

// more reports whether there is another row; the column of actions decides.
func (t *rows) more() bool {
	return t.action.present && t.action.r.err == nil && (t.action.left > 0 || len(t.action.r.b) > 0)
}

// op is one operation. Its cells are those of the columns, until the next row.
type op struct {
	number                     uint64
	objActor, objCtr           *cell
	keyActor, keyCtr, keyText  *cell
	insert                     bool
	action, valueMeta, predNum *cell
}

// next reads the next row into o.
func (t *rows) next(number uint64, o *op) {
	o.number = number
	o.objActor, o.objCtr = t.objActor.next(), t.objCtr.next()
	o.keyActor, o.keyCtr, o.keyText = t.keyActor.next(), t.keyCtr.next(), t.keyText.next()
	o.insert, o.action, o.valueMeta = t.insert.next(), t.action.next(), t.valueMeta.next()
	o.predNum = t.predNum.next()
	t.markName.next()
	t.expand.next()
}

// end checks that all columns end with the last row.
func (t *rows) end(n int) error {
	if n > 0 && (!t.insert.present || !t.valueMeta.present || !t.predNum.present) {
		return refuse(ReasonColumns, "a column is missing")
	}
	for _, c := range []*column{t.objActor, t.objCtr, t.keyActor, t.keyCtr, t.keyText, t.action,
		t.valueMeta, t.predNum, t.predActor, t.predCtr, t.markName} {
		if err := c.end(); err != nil {
			return err
		}
	}
	for _, c := range []*booleans{t.insert, t.expand} {
		if err := c.end(); err != nil {
			return err
		}
	}
	if t.values.err == nil && len(t.values.b) > 0 {
		t.values.fail(ReasonColumns, "more values than operations")
	}
	return t.values.err
}

// checkOps checks all operations and gathers what Info tells of them.
func (c *change) checkOps(data map[uint64][]byte) error {
	n := countRows(data[colAction], MaxOps)
	if n > MaxOps {
		return refuse(ReasonLimit, "more than %d operations", MaxOps)
	}
	if n > maxRepeats {
		if err := checkCost(data); err != nil {
			return err
		}
	}
	t := newRows(data)
	c.info.created = map[objectID]kind{}
	c.info.used = map[objectID]kind{}
	s := &opState{change: c, rows: t, keys: map[string]struct{}{}}
	var o op
	for t.more() {
		t.next(c.info.StartOp+uint64(c.info.Ops), &o)
		if err := s.check(&o); err != nil {
			// A column that ended early explains more than the null it gave.
			if short := firstError(t); short != nil {
				return short
			}
			return err
		}
		c.info.Ops++
	}
	if err := t.end(c.info.Ops); err != nil {
		return err
	}
	if c.info.MaxOp() > maxCounter {
		return refuse(ReasonLimit, "last operation %d", c.info.MaxOp())
	}
	return nil
}

func firstError(t *rows) error {
	for _, c := range []*column{t.objActor, t.objCtr, t.keyActor, t.keyCtr, t.keyText, t.action,
		t.valueMeta, t.predNum, t.predActor, t.predCtr, t.markName} {
		if c.r.err != nil {
			return c.r.err
		}
	}
	if t.insert.r.err != nil {
		return t.insert.r.err
	}
	return t.values.err
}

// opState checks operations one after another.
type opState struct {
	*change
	rows  *rows
	preds int // predecessors so far
	keys  map[string]struct{}

	lastObj  objectID // of the operation before, so that a long text is one entry
	lastKind kind
}

func (s *opState) check(o *op) error {
	if o.action.null || o.action.u > actMark {
		return refuse(ReasonOps, "unknown action")
	}
	object, err := s.object(o)
	if err != nil {
		return err
	}
	byKey, err := s.key(o)
	if err != nil {
		return err
	}
	if err := s.use(object, byKey); err != nil {
		return err
	}
	typ, err := s.value(o)
	if err != nil {
		return err
	}
	if err := s.action(o, byKey, typ); err != nil {
		return err
	}
	return s.predecessors(o)
}

// before reports whether an operation can exist before o: its actor is known,
// and its number is lower; what is not of this change is before all of it.
func (s *opState) before(o *op, actor, ctr *cell) bool {
	if actor.null || ctr.null || actor.u >= uint64(len(s.actors)) || ctr.u == 0 {
		return false
	}
	if actor.u == 0 {
		return ctr.u < o.number
	}
	return ctr.u < s.info.StartOp
}

// object returns the object that an operation works in.
func (s *opState) object(o *op) (objectID, error) {
	if o.objActor.null && o.objCtr.null {
		return objectID{}, nil
	}
	if !s.before(o, o.objActor, o.objCtr) {
		return objectID{}, refuse(ReasonOps, "object that cannot exist")
	}
	if o.objCtr.u == s.lastObj.ctr && s.lastObj.actor == string(s.actors[o.objActor.u]) {
		return s.lastObj, nil // without making a string
	}
	return objectID{o.objCtr.u, string(s.actors[o.objActor.u])}, nil
}

// key checks what an operation addresses in its object, and reports whether it
// is a key; else it is an element.
func (s *opState) key(o *op) (byKey bool, err error) {
	if !o.keyText.null {
		if !o.keyActor.null || !o.keyCtr.null || o.insert {
			return false, refuse(ReasonOps, "both a key and an element")
		}
		return true, nil
	}
	switch {
	case o.keyCtr.null:
		return false, refuse(ReasonOps, "neither a key nor an element")
	case o.keyCtr.u == 0: // the start of a list
		if !o.keyActor.null || !o.insert {
			return false, refuse(ReasonOps, "bad use of the start of a list")
		}
	case !s.before(o, o.keyActor, o.keyCtr):
		return false, refuse(ReasonOps, "element that cannot exist")
	}
	return false, nil
}

// use checks that an object is addressed as what it is, as far as the change
// itself tells, and notes it where it does not.
func (s *opState) use(object objectID, byKey bool) error {
	want := kindList
	if byKey {
		want = kindMap
	}
	if object == s.lastObj && want == s.lastKind {
		return nil
	}
	is, made := s.info.created[object]
	own := object.ctr >= s.info.StartOp && object.actor == string(s.info.Actor)
	switch {
	case object == objectID{}:
		is = kindMap
	case own && !made:
		return refuse(ReasonOps, "object that was not made")
	case !made:
		if is = s.info.used[object]; is == 0 {
			is = want
			s.info.used[object] = want
		}
	}
	if is != want {
		return refuse(ReasonOps, "object addressed as what it is not")
	}
	s.lastObj, s.lastKind = object, want
	return nil
}

// value checks the bytes of an operation's value and returns its type.
func (s *opState) value(o *op) (uint64, error) {
	if o.valueMeta.null {
		return 0, refuse(ReasonOps, "no type of value")
	}
	typ, size := o.valueMeta.u&15, o.valueMeta.u>>4
	b := s.rows.values.take(size)
	if s.rows.values.err != nil {
		return 0, s.rows.values.err
	}
	ok := true
	number := reader{b: b}
	switch typ {
	case valNull, valFalse, valTrue:
		ok = size == 0
	case valUint:
		number.uleb()
		ok = number.err == nil && len(number.b) == 0
	case valInt, valCounter, valTimestamp:
		number.sleb()
		ok = number.err == nil && len(number.b) == 0
	case valFloat:
		ok = size == 8
	case valText:
		ok = utf8.Valid(b)
	}
	if !ok {
		return 0, refuse(ReasonOps, "value that is not of its type %d", typ)
	}
	return typ, nil
}

// action checks what an operation does with the value, and notes objects and
// keys.
func (s *opState) action(o *op, byKey bool, typ uint64) error {
	switch o.action.u {
	case actMakeMap, actMakeTable, actMakeList, actMakeText:
		if typ != valNull {
			return refuse(ReasonOps, "object with a value")
		}
		made := kindMap
		if o.action.u == actMakeList || o.action.u == actMakeText {
			made = kindList
		}
		s.info.created[objectID{o.number, string(s.info.Actor)}] = made
	case actDelete:
		if typ != valNull || o.insert || o.predNum.u == 0 {
			return refuse(ReasonOps, "deletion of nothing")
		}
	case actIncrement:
		if typ != valUint && typ != valInt || o.insert || o.predNum.u == 0 {
			return refuse(ReasonOps, "increment of nothing or by no number")
		}
	case actMark:
		if byKey {
			return refuse(ReasonOps, "mark in a map")
		}
	}
	if !o.insert && o.action.u != actDelete && o.action.u != actIncrement && o.action.u != actMark {
		s.info.Puts = true
	}
	s.info.removes = s.info.removes || !byKey && o.action.u == actDelete
	s.info.inserts = s.info.inserts || o.insert && (o.action.u == actMakeMap || o.action.u == actMakeTable)
	s.info.Moves = s.info.removes && s.info.inserts
	if byKey && o.action.u != actDelete && o.action.u != actIncrement {
		s.noteKey(o.keyText.s)
	}
	return nil
}

func (s *opState) noteKey(key []byte) {
	if _, ok := s.keys[string(key)]; ok {
		return
	}
	text := string(key)
	s.keys[text] = struct{}{}
	s.info.Keys = append(s.info.Keys, text)
}

// predecessors checks the operations which an operation replaces.
func (s *opState) predecessors(o *op) error {
	n := o.predNum.u
	switch {
	case o.predNum.null:
		return refuse(ReasonOps, "no number of predecessors")
	case n > uint64(MaxOps-s.preds):
		return refuse(ReasonLimit, "more than %d predecessors", MaxOps)
	case o.insert && n > 0:
		return refuse(ReasonOps, "insertion with a predecessor")
	}
	s.preds += int(n)
	for range n {
		actor, ctr := s.rows.predActor.next(), s.rows.predCtr.next()
		if !s.before(o, actor, ctr) {
			return refuse(ReasonOps, "predecessor that cannot exist")
		}
	}
	return nil
}

// The core looks at all operations on a key or element for each further one, so
// a change takes time by the square of how often it repeats itself: ten
// thousand times takes half a second, and a hundred thousand fit into fifty
// bytes.
const (
	maxRepeats = 1 << 13
	maxCost    = maxRepeats * maxRepeats
)

// checkCost refuses a change in which the sum of the squares of the numbers of
// operations on each key or element is too great. It reads the columns once
// more than needed, since few changes are long enough to need it, and comes
// first, since it soon stops at the worst of them.
func checkCost(data map[uint64][]byte) error {
	t := newRows(data)
	count := map[uint64]uint32{}
	cost := 0
	var o op
	for t.more() {
		t.next(0, &o)
		if o.insert {
			continue
		}
		id := placeHash(&o)
		n := count[id]
		count[id] = n + 1
		if cost += 2*int(n) + 1; cost > maxCost { // n*n becomes (n+1)*(n+1)
			return refuse(ReasonLimit, "too many operations on the same keys")
		}
	}
	return nil
}

// placeHash returns a number for what an operation addresses. A collision can
// only refuse a change that is far beyond what is usual, and does so on every
// device.
func placeHash(o *op) uint64 {
	h := fnv.New64a()
	var b [32]byte
	binary.LittleEndian.PutUint64(b[0:], o.objActor.u)
	binary.LittleEndian.PutUint64(b[8:], o.objCtr.u)
	binary.LittleEndian.PutUint64(b[16:], o.keyActor.u)
	binary.LittleEndian.PutUint64(b[24:], o.keyCtr.u)
	h.Write(b[:])
	h.Write(o.keyText.s)
	return h.Sum64()
}
