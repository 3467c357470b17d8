package echo_test

import (
	"fmt"
	"testing"

	"echofs/echo/echotest"
)

func TestReferencesAreShownAsPaths(t *testing.T) {
	w := newWorld(t)
	mkdir(t, w.ada, "notes/people")
	mkdir(t, w.ada, "notes/tasks")
	put(t, w.ada, "notes/people/ada.json", `{"name":"Ada"}`)
	put(t, w.ada, "notes/tasks/t.json", `{ "who": {"/": "../people/ada.json"} }`)
	if got, want := read(t, w.ada, "notes/tasks/t.json"), `{ "who": {"/": "../people/ada.json"} }`; got != want {
		t.Errorf("as written: %q, want %q", got, want)
	}
	target, err := w.ada.Resolve("notes/people/ada.json")
	if err != nil {
		t.Fatal(err)
	}
	canonical := fmt.Sprintf("{\"who\":{\"/\":\"dxn:echo:@:%s\"}}\n", target.ID)
	if got := show(t, w.ada, "notes/tasks/t.json"); got != canonical {
		t.Errorf("in the document: %s, want %s", got, canonical)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	if got, want := read(t, w.bob, "notes/tasks/t.json"), "{\n  \"who\": {\n    \"/\": \"../people/ada.json\"\n  }\n}\n"; got != want {
		t.Errorf("bob sees %q, want %q", got, want)
	}
	// The target moves, and then the file that refers to it: the paths follow.
	mustMove(t, w.ada, "notes/people/ada.json", "notes/people/lovelace.json")
	if got, want := read(t, w.ada, "notes/tasks/t.json"), `{ "who": {"/": "../people/lovelace.json"} }`; got != want {
		t.Errorf("after the target was renamed: %q, want %q", got, want)
	}
	mustMove(t, w.ada, "notes/tasks/t.json", "notes/t.json")
	if got, want := read(t, w.ada, "notes/t.json"), `{ "who": {"/": "people/lovelace.json"} }`; got != want {
		t.Errorf("after the file was moved: %q, want %q", got, want)
	}
	// A folder above the target moves.
	mustMove(t, w.ada, "notes/people", "notes/folk")
	if got, want := read(t, w.ada, "notes/t.json"), `{ "who": {"/": "folk/lovelace.json"} }`; got != want {
		t.Errorf("after the folder was renamed: %q, want %q", got, want)
	}
	// A buffer from before all that is saved: the link is the same object's.
	write(t, w.ada, "notes/t.json", `{ "who": {"/": "people/lovelace.json"}, "x": 1 }`)
	canonical = fmt.Sprintf("{\"who\":{\"/\":\"dxn:echo:@:%s\"},\"x\":1}\n", target.ID)
	if got := show(t, w.ada, "notes/t.json"); got != canonical {
		t.Errorf("after the save of an old buffer: %s, want %s", got, canonical)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	if a, b := show(t, w.ada, "notes/t.json"), show(t, w.bob, "notes/t.json"); a != b {
		t.Errorf("ada has %s, bob has %s", a, b)
	}
}
