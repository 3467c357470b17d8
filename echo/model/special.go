package model

import (
	"encoding/base64"
	"math"
	"regexp"
	"time"

	"echofs/echo/doc"
)

// The values JSON has no form for are maps of the single key "/", like the
// references of ECHO, whose value is a map of one of these single keys.
const (
	linkKey    = "/"
	bytesKey   = "bytes"
	floatKey   = "float"
	unknownKey = "unknown"
)

// isSpecialFloat reports whether f has no JSON number.
func isSpecialFloat(f float64) bool { return math.IsNaN(f) || math.IsInf(f, 0) }

func floatName(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case f > 0:
		return "Infinity"
	}
	return "-Infinity"
}

func floatNamed(name string) (float64, bool) {
	switch name {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	return 0, false
}

func link(key, value string) doc.Value {
	inner := doc.NewMap(doc.Field{Key: key, Value: doc.NewString(value)})
	return doc.Value{Kind: doc.Map, Fields: []doc.Field{{Key: linkKey, Value: inner}}}
}

// unlink returns the value a map stands for: bytes or a float that is no JSON
// number. Every other map stands for itself, also one that is only almost a
// special form.
func unlink(v *doc.Value) (doc.Value, bool) {
	if len(v.Fields) != 1 || v.Fields[0].Key != linkKey {
		return doc.Value{}, false
	}
	inner := v.Fields[0].Value
	if inner == nil || inner.Kind != doc.Map || len(inner.Fields) != 1 || !inner.Fields[0].Value.IsString() {
		return doc.Value{}, false
	}
	text := inner.Fields[0].Value.Str
	switch inner.Fields[0].Key {
	case bytesKey:
		if b, ok := decodeBase64(text); ok {
			return doc.Value{Kind: doc.Bytes, Bytes: b}, true
		}
	case floatKey:
		if f, ok := floatNamed(text); ok {
			return doc.Value{Kind: doc.Float, Float: f}, true
		}
	}
	return doc.Value{}, false
}

// decodeBase64 reads standard base64 with or without padding, and nothing
// else: no line ends and no stray bits, so that equal bytes are equal text
// but for the padding.
func decodeBase64(s string) ([]byte, bool) {
	for i := range len(s) {
		if s[i] == '\n' || s[i] == '\r' {
			return nil, false
		}
	}
	if len(s)%4 == 0 {
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		return b, err == nil
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	return b, err == nil
}

const timestampForm = "2006-01-02T15:04:05.000Z"

// The timestamps that RFC 3339 can write: the years 0 to 9999.
var (
	minTimestamp = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	maxTimestamp = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1
)

// formatTimestamp returns the text of a timestamp; false where the year has
// not four digits, and the number of milliseconds is shown.
func formatTimestamp(ms int64) (string, bool) {
	if ms < minTimestamp || ms > maxTimestamp {
		return "", false
	}
	return time.UnixMilli(ms).UTC().Format(timestampForm), true
}

// rfc3339 is what time.Parse is more lenient about.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$`)

// parseTimestamp reads RFC 3339 where it names a whole millisecond.
func parseTimestamp(s string) (int64, bool) {
	if !rfc3339.MatchString(s) {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Nanosecond()%int(time.Millisecond) != 0 {
		return 0, false
	}
	ms := t.UnixMilli()
	return ms, ms >= minTimestamp && ms <= maxTimestamp
}

func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
