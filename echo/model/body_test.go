package model_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"echofs/echo/doc"
	"echofs/echo/model"
)

func TestParseBody(t *testing.T) {
	for _, text := range []string{"", "\ufeffa\x00b", "é\n"} {
		if got, err := model.ParseBody([]byte(text), 0); err != nil || got != text {
			t.Errorf("ParseBody(%q): got %q, %v", text, got, err)
		}
	}
	if _, err := model.ParseBody([]byte("abc"), 2); !errors.Is(err, model.ErrTooLarge) {
		t.Errorf("too long: got %v", err)
	}
	var syntax *model.SyntaxError
	if _, err := model.ParseBody([]byte("é\né\xe2\x82"), 0); !errors.As(err, &syntax) || syntax.Line != 2 || syntax.Column != 2 {
		t.Errorf("not UTF-8: got %v", err)
	}
}

func manyLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d of a long text\n", i)
	}
	return b.String()
}

func TestDiffBody(t *testing.T) {
	long := manyLines(5000)
	twice := strings.Replace(strings.Replace(long, "line 7 of", "line seven of", 1), "line 4000 of a long text\n", "", 1)
	tests := []struct {
		name string
		base *doc.Value
		next string
		want string
	}{
		{"new", nil, "a b", `put /body text"a b"`},
		{"same", doc.NewText("a b"), "a b", ``},
		{"spliced", doc.NewText("a b"), "a c", `splice /body 2 -1 +"c"`},
		{"one value becomes a text", doc.NewString("a b"), "a c", `put /body text"a c"`},
		{"emptied", doc.NewText("a b"), "", `splice /body 0 -3 +""`},
		{"lines", model.NewBody(long), twice,
			"delete /body/7\ninsert /body/7 \"line seven of a long text\\n\"\ndelete /body/4000"},
		{"lines stay lines", model.NewBody("x\n" + long), "x\n", strings.TrimSuffix(strings.Repeat("delete /body/1\n", 5000), "\n")},
		{"bytes", &doc.Value{Kind: doc.Bytes, Bytes: []byte("a")}, "a", `put /body text"a"`},
	}
	for _, tt := range tests {
		if got := describe(model.DiffBody(tt.base, tt.next, doc.Keys("body"))); got != tt.want {
			t.Errorf("%s: got %.300s, want %.300s", tt.name, got, tt.want)
		}
	}
	grown := model.DiffBody(doc.NewText("a b"), long, doc.Keys("body"))
	if len(grown) != 1 || grown[0].Value.Kind != doc.List || len(grown[0].Value.Items) != 5000 {
		t.Errorf("grown: got %d edits", len(grown))
	}
}

func TestDiffBodyProperty(t *testing.T) {
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "\n", "c", "d e\n"}), 0, 30)
	rapid.Check(t, func(t *rapid.T) {
		base := doc.NewText(strings.Join(lines.Draw(t, "text"), ""))
		if rapid.Bool().Draw(t, "list") {
			base = listOf(lines.Draw(t, "lines"))
		}
		next := strings.Join(lines.Draw(t, "next"), "")
		root := doc.NewMap(doc.Field{Key: "body", Value: base})
		edits := model.DiffBody(base, next, doc.Keys("body"))
		got, err := model.Apply(root, edits)
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := model.BodyText(got.Get("body")); !ok || text != next || got.Get("body").Kind != base.Kind {
			t.Fatalf("got %q, want %q", text, next)
		}
	})
}

func TestBodyText(t *testing.T) {
	for _, v := range []*doc.Value{nil, doc.NewInt(1), doc.NewMap(), doc.NewList(doc.NewInt(1))} {
		if text, ok := model.BodyText(v); ok {
			t.Errorf("%v is no body, got %q", v, text)
		}
	}
}

func TestIsText(t *testing.T) {
	tests := map[string]bool{"": true, "abc\n": true, "é"[:1]: true, "\xff": false, "a\x00": false, "\xe2\x82": true, "\xe2\x82a": false, "\x89PNG": false}
	for head, want := range tests {
		if got := model.IsText([]byte(head)); got != want {
			t.Errorf("IsText(%q): got %v", head, got)
		}
	}
}
