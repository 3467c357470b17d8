package engine

import (
	"bytes"
	"io"
	"math"
	"reflect"
	"testing"
	"testing/iotest"

	"echofs/echo/doc"
)

func sampleEdit() *doc.EditRequest {
	return &doc.EditRequest{
		Base:     doc.Heads{{1}, {2}},
		Branches: []doc.Branch{{Actor: doc.ActorID{3}, Last: doc.ChangeHash{4}}, {Actor: doc.ActorID{5}}},
		Time:     -7, Message: "message",
		Edits: []doc.Edit{
			{Op: doc.Put, Path: doc.Keys("a", "").Join(doc.Index(300), doc.Index(-1)), Value: doc.NewText("é")},
			{Op: doc.Insert, Path: doc.Path{}, Value: doc.NewMap(doc.Field{Key: "k", Value: doc.NewInt(1)})},
			{Op: doc.Delete, Path: doc.Keys("x")},
			{Op: doc.Splice, Path: doc.Keys("x"), Pos: 1, Del: 2, Ins: "ins"},
			{Op: doc.Increment, Path: doc.Keys("x"), By: math.MinInt64},
		},
	}
}

func TestEditRequestRoundTrip(t *testing.T) {
	for _, base := range []doc.Heads{nil, {}, {{1}, {2}}} {
		want := sampleEdit()
		want.Base = base
		got, err := decodeEditRequest(appendEditRequest(nil, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestRequestRoundTrip(t *testing.T) {
	for _, want := range []*request{
		{op: opRead, id: doc.DocumentID{1}, body: []byte("body")},
		{op: opMerge, heads: doc.Heads{{9}}, hasChunks: true, chunks: [][]byte{{1}, {}, {2, 3}}, body: []byte{}},
	} {
		got, err := decodeRequest(appendRequest(nil, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

// Frames arrive in any pieces, and reading goes on after an interruption.
func TestFrameReader(t *testing.T) {
	var pipe bytes.Buffer
	want := [][]byte{{}, []byte("one"), bytes.Repeat([]byte{7}, 3<<20)}
	for _, b := range want {
		if _, err := writeFrame(&pipe, append(make([]byte, frameRoom), b...)); err != nil {
			t.Fatal(err)
		}
	}
	var f frameReader
	in := &faltering{r: iotest.HalfReader(&pipe)}
	for i := range want {
		got, err := f.next(in)
		for err == iotest.ErrTimeout {
			got, err = f.next(in)
		}
		if err != nil || !bytes.Equal(got, want[i]) {
			t.Fatalf("frame %d: %d bytes, %v; want %d", i, len(got), err, len(want[i]))
		}
	}
	if _, err := f.next(bytes.NewReader(nil)); err != io.EOF {
		t.Errorf("at the end: %v, want io.EOF", err)
	}
	if _, err := f.next(bytes.NewReader([]byte{9, 0, 0, 0, 1})); err != io.ErrUnexpectedEOF {
		t.Errorf("cut: %v, want io.ErrUnexpectedEOF", err)
	}
	var g frameReader
	if _, err := g.next(bytes.NewReader([]byte{255, 255, 255, 255})); err == nil {
		t.Error("a frame of 4 GiB is accepted")
	}
}

// faltering fails with a timeout before every read that works.
type faltering struct {
	r    io.Reader
	fail bool
}

func (f *faltering) Read(b []byte) (int, error) {
	if f.fail = !f.fail; f.fail {
		return 0, iotest.ErrTimeout
	}
	return f.r.Read(b)
}

func FuzzDecoders(f *testing.F) {
	body := appendEditRequest(nil, sampleEdit())
	f.Add(appendRequest(nil, &request{op: opEdit, heads: doc.Heads{{1}}, hasChunks: true, chunks: [][]byte{{1, 2}}, body: body}))
	f.Add(body)
	f.Add([]byte{1, 0, 1, 'k', 2, 3, 1, 2, 4, 2, 1, 0}) // a conflict
	f.Add(append(make([]byte, 32), 2, 8, 9, 0, 0, 2, 1, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRequest(b); err == nil {
			if again, err := decodeRequest(appendRequest(nil, r)); err != nil || !reflect.DeepEqual(r, again) {
				t.Errorf("request %+v becomes %+v, %v", r, again, err)
			}
		}
		if r, err := decodeEditRequest(b); err == nil {
			again := appendEditRequest(nil, r)
			if r2, err := decodeEditRequest(again); err != nil || !bytes.Equal(again, appendEditRequest(nil, r2)) {
				t.Errorf("edit request %+v becomes %+v, %v", r, r2, err)
			}
		}
		// What a worker might send must not disturb the daemon either.
		decodeResult(b)
		decodeChanges(b)
		decodeConflicts(b)
	})
}
