package guard

import "math"

// cell is one value of a column.
type cell struct {
	null bool
	u    uint64
	s    []byte
}

// column reads a run-length encoded column row by row. A run is a signed count:
// positive for one value repeated, negative for so many different values, zero
// and an unsigned count for nulls. In a delta column the values are signed
// differences to the value before.
type column struct {
	r       reader
	present bool // there are bytes
	text    bool
	delta   bool

	left    uint64 // rows of the current run
	literal bool   // each row of the run has its own value
	same    bool   // all rows of the run are value
	step    int64  // of a run in a delta column
	value   cell   // of the row before
	abs     uint64 // of the last row in a delta column that was not null
}

func newColumn(b []byte) *column      { return &column{r: reader{b: b}, present: len(b) > 0} }
func newTextColumn(b []byte) *column  { c := newColumn(b); c.text = true; return c }
func newDeltaColumn(b []byte) *column { c := newColumn(b); c.delta = true; return c }

// next returns the next row, valid until next is called again. A column without
// bytes is all null.
func (c *column) next() *cell {
	if c.left > 0 && c.same { // within a long run, which is the usual case
		c.left--
		return &c.value
	}
	return c.nextOther()
}

func (c *column) nextOther() *cell {
	if !c.present {
		return &noCell
	}
	if c.left == 0 {
		c.run()
	}
	if c.left == 0 {
		c.r.fail(ReasonColumns, "column is too short")
		return &noCell
	}
	c.left--
	if c.literal {
		c.read()
	}
	if c.delta && !c.value.null {
		c.advance()
	}
	return &c.value
}

var noCell = cell{null: true}

// run starts the next run.
func (c *column) run() {
	c.start()
	c.same = !c.literal && (!c.delta || c.value.null)
}

func (c *column) start() {
	n := c.r.sleb()
	switch {
	case n > 0:
		c.left, c.literal = uint64(n), false
		c.read()
	case n < 0:
		if n == math.MinInt64 {
			c.r.fail(ReasonColumns, "bad run")
			return
		}
		c.left, c.literal = uint64(-n), true
	default:
		if c.left = c.r.uleb(); c.left == 0 {
			c.r.fail(ReasonColumns, "empty run")
		}
		c.literal = false
		c.value = cell{null: true}
	}
}

// read reads one value of the column.
func (c *column) read() {
	switch {
	case c.text:
		c.value = cell{s: c.r.text()}
	case c.delta:
		c.step = c.r.sleb()
		c.value = cell{}
	default:
		c.value = cell{u: c.r.uleb()}
	}
}

// advance adds the difference to the value before. No value is negative or
// greater than an operation's number can be.
func (c *column) advance() {
	sum := int64(c.abs) + c.step // abs is small, so this overflows only for a bad step
	if c.step > maxCounter || c.step < -maxCounter || sum < 0 || sum > maxCounter {
		c.r.fail(ReasonColumns, "difference out of range")
		sum = 0
	}
	c.abs = uint64(sum)
	c.value = cell{u: c.abs}
}

// countRows returns how many rows a column of plain numbers has, by its runs alone:
// so a few bytes that claim millions of rows take no time. A malformed column
// gives what was counted before.
func countRows(b []byte, max uint64) uint64 {
	c := newColumn(b)
	var n uint64
	for len(c.r.b) > 0 && n <= max {
		c.run()
		n += min(c.left, max+1)
		if c.literal {
			for range min(c.left, uint64(len(c.r.b))) {
				c.r.uleb()
			}
		}
	}
	return n
}

// end returns the first error, one of them being that rows are left.
func (c *column) end() error {
	if c.r.err == nil && (c.left > 0 || len(c.r.b) > 0) {
		c.r.fail(ReasonColumns, "column is too long")
	}
	return c.r.err
}

// booleans reads a column of alternating counts, of false first.
type booleans struct {
	r       reader
	present bool
	left    uint64
	value   bool
	started bool
}

func newBooleans(b []byte) *booleans {
	return &booleans{r: reader{b: b}, present: len(b) > 0, value: true}
}

func (c *booleans) next() bool {
	if !c.present {
		return false
	}
	for c.left == 0 {
		if len(c.r.b) == 0 {
			c.r.fail(ReasonColumns, "column is too short")
			return false
		}
		c.left = c.r.uleb()
		c.value = !c.value
		if c.left == 0 && c.started {
			c.r.fail(ReasonColumns, "empty run")
			return false
		}
		c.started = true
	}
	c.left--
	return c.value
}

func (c *booleans) end() error {
	if c.r.err == nil && (c.left > 0 || len(c.r.b) > 0) {
		c.r.fail(ReasonColumns, "column is too long")
	}
	return c.r.err
}
