package guard

import (
	"bytes"

	"echofs/echo/doc"
)

// Rules say what Check demands beside the format.
type Rules struct {
	// Actor is the only actor that may have made the change, of 16 bytes; zero
	// allows any actor of up to MaxActorLen bytes, for imported documents.
	Actor doc.ActorID
}

// Info is what a change says about itself.
type Info struct {
	Hash    doc.ChangeHash
	Actor   []byte // 16 bytes except in documents of other software
	Seq     uint64 // 1 for the actor's first change
	StartOp uint64 // number of the first operation
	Ops     int
	Deps    []doc.ChangeHash // ascending
	Time    int64            // seconds since 1970, as its author says
	Message string

	// Keys are the map keys that the change puts something at, in the order in
	// which they first appear; each one once, wherever in the document it is.
	Keys []string

	// Puts is set where the change puts something at a key, or replaces an
	// element: what two people can do differently at one place.
	Puts bool

	// Moves is set where the change removes an element and inserts a map: it may
	// have moved that within a list.
	Moves bool

	removes, inserts bool // an element; a map into a list

	created map[objectID]kind // objects that the change makes
	used    map[objectID]kind // objects of earlier changes in which it works
}

// MaxOp returns the number of the last operation; StartOp-1 where there is none.
func (i *Info) MaxOp() uint64 { return i.StartOp + uint64(i.Ops) - 1 }

// ActorID returns the actor if it has 16 bytes.
func (i *Info) ActorID() (doc.ActorID, bool) {
	if len(i.Actor) != len(doc.ActorID{}) {
		return doc.ActorID{}, false
	}
	return doc.ActorID(i.Actor), true
}

// Check reads the change that is all of chunk, and refuses it with an *Error
// where it is malformed, exceeds a limit or breaks the rules. The Info keeps
// no reference to chunk.
func Check(chunk []byte, rules Rules) (*Info, error) {
	if len(chunk) > MaxChunk {
		return nil, refuse(ReasonLimit, "%d bytes, more than %d", len(chunk), MaxChunk)
	}
	contents, hash, err := open(chunk, MaxInflated)
	if err != nil {
		return nil, err
	}
	c := &change{info: &Info{Hash: hash}}
	c.r.b = contents
	if err := c.readHeader(rules); err != nil {
		return nil, err
	}
	data, err := c.readColumns()
	if err != nil {
		return nil, err
	}
	if err := c.checkOps(data); err != nil {
		return nil, err
	}
	return c.info, nil
}

// change is a change while it is checked.
type change struct {
	r      reader
	info   *Info
	actors [][]byte // the author first
}

func (c *change) readHeader(rules Rules) error {
	c.readDeps()
	c.readAuthor(rules)
	c.info.Seq = c.r.uleb()
	c.info.StartOp = c.r.uleb()
	if c.r.err == nil && (c.info.Seq == 0 || c.info.Seq > maxCounter) {
		c.r.fail(ReasonHeader, "seq %d", c.info.Seq)
	}
	if c.r.err == nil && (c.info.StartOp == 0 || c.info.StartOp > MaxStartOp) {
		c.r.fail(ReasonLimit, "first operation %d", c.info.StartOp)
	}
	c.info.Time = c.r.sleb()
	message := c.r.text()
	if len(message) > MaxMessage {
		c.r.fail(ReasonLimit, "message of %d bytes", len(message))
	}
	c.info.Message = string(message)
	c.readActors()
	return c.r.err
}

func (c *change) readDeps() {
	n := c.r.uleb()
	if n > MaxDeps {
		c.r.fail(ReasonLimit, "%d dependencies", n)
	}
	for range n {
		b := c.r.take(uint64(len(doc.ChangeHash{})))
		if c.r.err != nil {
			return
		}
		dep := doc.ChangeHash(b)
		if k := len(c.info.Deps); k > 0 && bytes.Compare(c.info.Deps[k-1][:], dep[:]) >= 0 {
			c.r.fail(ReasonHeader, "dependencies are not ascending")
			return
		}
		c.info.Deps = append(c.info.Deps, dep)
	}
}

func (c *change) readAuthor(rules Rules) {
	actor := c.readActor()
	if rules.Actor != (doc.ActorID{}) && c.r.err == nil && !bytes.Equal(actor, rules.Actor[:]) {
		c.r.fail(ReasonActor, "made by %x, not by %s", actor, rules.Actor)
	}
	c.info.Actor = bytes.Clone(actor)
	c.actors = [][]byte{c.info.Actor}
}

func (c *change) readActor() []byte {
	actor := c.r.bytes()
	if c.r.err == nil && (len(actor) == 0 || len(actor) > MaxActorLen) {
		c.r.fail(ReasonActor, "actor of %d bytes", len(actor))
	}
	return actor
}

func (c *change) readActors() {
	n := c.r.uleb()
	if n > MaxActors {
		c.r.fail(ReasonLimit, "%d other actors", n)
	}
	seen := map[string]bool{string(c.info.Actor): true}
	for range n {
		actor := c.readActor()
		if c.r.err == nil && seen[string(actor)] {
			c.r.fail(ReasonHeader, "actor %x twice", actor)
		}
		if c.r.err != nil {
			return
		}
		seen[string(actor)] = true
		c.actors = append(c.actors, actor)
	}
}

// The columns of a change, by their specification: a number times 16 plus a
// type. The bit 8 would say that a column is deflated, which is not allowed in
// a change.
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
	colPredActor = 113
	colPredCtr   = 115
	colExpand    = 148
	colMarkName  = 165
)

var knownColumns = map[uint64]bool{colObjActor: true, colObjCtr: true, colKeyActor: true,
	colKeyCtr: true, colKeyText: true, colInsert: true, colAction: true, colValueMeta: true,
	colValue: true, colPredNum: true, colPredActor: true, colPredCtr: true, colExpand: true,
	colMarkName: true}

// readColumns returns the data of the columns by their specification.
func (c *change) readColumns() (map[uint64][]byte, error) {
	n := c.r.uleb()
	if n > MaxColumns {
		c.r.fail(ReasonLimit, "%d columns", n)
	}
	type entry struct{ spec, size uint64 }
	var entries []entry
	for range n {
		e := entry{c.r.uleb(), c.r.uleb()}
		if c.r.err != nil {
			break
		}
		if !knownColumns[e.spec] {
			c.r.fail(ReasonColumns, "unknown column %d", e.spec)
		}
		if k := len(entries); k > 0 && entries[k-1].spec >= e.spec {
			c.r.fail(ReasonColumns, "columns are not ascending")
		}
		entries = append(entries, e)
	}
	data := make(map[uint64][]byte, len(entries))
	for _, e := range entries {
		data[e.spec] = c.r.take(e.size)
	}
	return data, c.r.err
}
