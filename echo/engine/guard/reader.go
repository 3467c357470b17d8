package guard

import "unicode/utf8"

// reader reads the primitives of the format. After the first error it is empty
// and returns zeros; the error stays.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(reason Reason, format string, args ...any) {
	if r.err == nil {
		r.err = refuse(reason, format, args...)
	}
	r.b = nil
}

// uleb reads an unsigned LEB128 of the shortest form.
func (r *reader) uleb() uint64 {
	var v uint64
	for i, c := range r.b {
		if i == 9 && c > 1 {
			break // more than 64 bits
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			if c == 0 && i > 0 {
				break
			}
			r.b = r.b[i+1:]
			return v
		}
	}
	r.fail(ReasonColumns, "bad unsigned number")
	return 0
}

// sleb reads a signed LEB128 of the shortest form.
func (r *reader) sleb() int64 {
	var v int64
	for i, c := range r.b {
		if i == 9 && c != 0 && c != 0x7f {
			break // more than 64 bits
		}
		v |= int64(c&0x7f) << (7 * i)
		if c&0x80 != 0 {
			continue
		}
		if i > 0 && (c == 0 && r.b[i-1]&0x40 == 0 || c == 0x7f && r.b[i-1]&0x40 != 0) {
			break
		}
		if shift := 7 * (i + 1); shift < 64 && c&0x40 != 0 {
			v |= -1 << shift
		}
		r.b = r.b[i+1:]
		return v
	}
	r.fail(ReasonColumns, "bad signed number")
	return 0
}

// take returns the next n bytes.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(ReasonColumns, "ends early")
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// bytes reads a length and so many bytes.
func (r *reader) bytes() []byte { return r.take(r.uleb()) }

// text reads bytes that must be UTF-8.
func (r *reader) text() []byte {
	b := r.bytes()
	if !utf8.Valid(b) {
		r.fail(ReasonColumns, "not UTF-8")
		return nil
	}
	return b
}
