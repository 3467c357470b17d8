package echo_test

import (
	"testing"

	"echofs/echo/echotest"
)

func TestSchemaSaysHowFieldsMerge(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/task.schema.json", `{
		"@type": "dxn:type:dxos.org/type/Schema:0.1.0",
		"typename": "example.com/type/Task", "version": "0.1.0",
		"jsonSchema": {"properties": {"votes": {"type": "number", "x-echofs-merge": "counter"},
			"slug": {"type": "string", "x-echofs-merge": "text"}, "note": {"x-echofs-merge": "value"}}}
	}`)
	const typ = `"@type": "dxn:type:example.com/type/Task:0.1.0"`
	put(t, w.ada, "notes/t.json", `{`+typ+`, "votes": 1, "slug": "abc", "note": "one two"}`)
	echotest.Exchange(t, w.adas, w.bobs)
	write(t, w.ada, "notes/t.json", `{`+typ+`, "votes": 3, "slug": "abcX", "note": "one two"}`)
	write(t, w.bob, "notes/t.json", `{`+typ+`, "votes": 6, "slug": "Yabc", "note": "one two"}`)
	echotest.Exchange(t, w.adas, w.bobs)
	want := `{"@type":"dxn:type:example.com/type/Task:0.1.0","note":"one two","slug":"YabcX","votes":8}` + "\n"
	if a, b := show(t, w.ada, "notes/t.json"), show(t, w.bob, "notes/t.json"); a != want || b != want {
		t.Errorf("ada has %sbob has %swant %s", a, b, want)
	}
}
