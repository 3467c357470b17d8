package model_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"echofs/echo/doc"
	"echofs/echo/model"
)

func TestApplyRefuses(t *testing.T) {
	v := mustParse(t, `{"m":{"a":1},"l":[1],"s":"x"}`)
	v.Fields = append(v.Fields, doc.Field{Key: "t", Value: doc.NewText("aé")})
	list := func(key string, i int) doc.Path { return doc.Path{doc.Key(key), doc.Index(i)} }
	edits := []doc.Edit{
		{},
		{Op: doc.Put, Path: doc.Keys("m", "b")},
		{Op: doc.Put, Path: doc.Keys("x", "b"), Value: doc.NewNull()},
		{Op: doc.Put, Path: doc.Keys("s", "b"), Value: doc.NewNull()},
		{Op: doc.Put, Path: list("l", 1), Value: doc.NewNull()},
		{Op: doc.Insert, Path: list("l", 2), Value: doc.NewNull()},
		{Op: doc.Insert, Path: doc.Keys("l"), Value: doc.NewNull()},
		{Op: doc.Delete, Path: list("l", 1)},
		{Op: doc.Delete, Path: list("m", 0)},
		{Op: doc.Delete, Path: doc.Keys("s", "a")},
		{Op: doc.Splice, Path: doc.Keys("s"), Ins: "a"},
		{Op: doc.Splice, Path: doc.Keys("t"), Pos: 3},
		{Op: doc.Splice, Path: doc.Keys("t"), Pos: 1, Del: 2},
		{Op: doc.Splice, Path: doc.Keys("t"), Pos: -1},
		{Op: doc.Splice, Path: doc.Keys("t"), Ins: "\xff"},
		{Op: doc.Increment, Path: doc.Keys("m", "a"), By: 1},
	}
	for _, e := range edits {
		if got, err := model.Apply(v, []doc.Edit{e}); !errors.Is(err, model.ErrBadEdit) {
			t.Errorf("%+v: got %v, %v", e, got, err)
		}
	}
	if got, err := model.Apply(v, []doc.Edit{{Op: doc.Delete, Path: doc.Keys("m", "none")}}); err != nil || !got.Equal(v) {
		t.Errorf("deleting what is not there: got %v", err)
	}
}

func TestChanged(t *testing.T) {
	tests := []struct {
		old, next string
		want      []string
	}{
		{`{"a":1}`, `{"a":1.0}`, nil},
		{`{"a":1,"b":1,"c":[1]}`, `{"b":2,"c":[2],"d":1}`, []string{"/b", "/c", "/d", "/a"}},
		{`{"a":{"b":{"c":{"d":1}}}}`, `{"a":{"b":{"c":{"d":2}},"x":1}}`, []string{"/a/b/c", "/a/x"}},
		{`[1]`, `[2]`, []string{""}},
	}
	for _, tt := range tests {
		if got := model.Changed(mustParse(t, tt.old), mustParse(t, tt.next)); !slices.Equal(got, tt.want) {
			t.Errorf("%s to %s: got %q, want %q", tt.old, tt.next, got, tt.want)
		}
	}
	many := doc.NewMap()
	for i := range 100 {
		many.Fields = append(many.Fields, doc.Field{Key: fmt.Sprint(i), Value: doc.NewNull()})
	}
	if got := len(model.Changed(doc.NewMap(), many)); got != model.MaxChanged {
		t.Errorf("got %d pointers, want %d", got, model.MaxChanged)
	}
	if got := model.Changed(nil, many); !slices.Equal(got, []string{""}) {
		t.Errorf("created: got %q", got)
	}
}
