package model_test

import (
	"fmt"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// A file is saved: its text becomes edits against what its author had read.
func ExampleDiff() {
	base := doc.NewMap(
		doc.Field{Key: "title", Value: doc.NewText("buy milk")},
		doc.Field{Key: "done", Value: doc.NewBool(false)},
	)
	next, err := model.Parse([]byte(`{"title": "buy oat milk", "done": false}`), model.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range model.Diff(base, next, model.DiffOptions{}) {
		fmt.Printf("%s: at %d insert %q\n", e.Path.Pointer(), e.Pos, e.Ins)
	}
	// Output: /title: at 4 insert "oat "
}

// Somebody else has changed an object: its text keeps the author's layout.
func ExamplePatch() {
	text := []byte(`{ "price": 1.50,   "done":false }`)
	old, err := model.Parse(text, model.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	next, err := model.Apply(old, []doc.Edit{{Op: doc.Put, Path: doc.Keys("done"), Value: doc.NewBool(true)}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", model.Patch(text, old, next, model.RenderOptions{}))
	// Output: { "price": 1.50,   "done":true }
}

// An invalid text is refused with its place.
func ExampleParse() {
	_, err := model.Parse([]byte("{\n  \"a\": 1,\n}"), model.Limits{})
	fmt.Println(err)
	// Output: line 2, column 9: comma without a value after it
}
