package model_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// What is rendered is read as the same data, in the same kinds where JSON has
// them, and is rendered the same again.
func TestRenderParse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genValue(t, 4, rapid.Bool().Draw(t, "stored"))
		got := reread(t, v)
		if !model.Same(v, got) || !model.Same(got, v) {
			t.Fatalf("got %s, want %s", canonical(got), canonical(v))
		}
		if g, w := canonical(got), canonical(v); g != w {
			t.Fatalf("canonical: got %s, want %s", g, w)
		}
		if again := reread(t, got); !again.Equal(got) {
			t.Fatalf("kinds or order changed: %s", canonical(got))
		}
		if diff := model.Diff(v, got, model.DiffOptions{}); diff != nil {
			t.Fatalf("diff of the same data: %v", diff)
		}
	})
}

// Same and the canonical form say the same of two values.
func TestSameIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genValue(t, 3, false)
		b := mutate(t, reread(t, a), 3)
		if got, want := model.Same(a, b), canonical(a) == canonical(b); got != want {
			t.Fatalf("same %v, canonical equal %v\n%s\n%s", got, want, canonical(a), canonical(b))
		}
	})
}

// Edits lead from the base to the data of the next version, wherever the value
// is in the document.
func TestDiffApply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := genValue(t, 4, true)
		next := mutate(t, reread(t, base), 4)
		checkDiff(t, base, next, model.DiffOptions{ForeignTexts: rapid.Bool().Draw(t, "foreign")})
	})
}

func checkDiff(t interface{ Fatalf(string, ...any) }, base, next *doc.Value, opt model.DiffOptions) {
	before := canonical(base)
	opt.Prefix = doc.Keys("objects", "x")
	edits := model.Diff(base, next, opt)
	root := doc.NewMap(doc.Field{Key: "objects", Value: doc.NewMap(doc.Field{Key: "x", Value: base})})
	got, err := model.Apply(root, edits)
	if err != nil {
		t.Fatalf("apply %v: %v\nbase %s\nnext %s", edits, err, canonical(base), canonical(next))
	}
	if got = got.At("objects", "x"); !model.Same(got, next) {
		t.Fatalf("got %s\nwant %s\nbase %s\nedits %v", canonical(got), canonical(next), before, edits)
	}
	if model.Same(base, next) != (edits == nil) {
		t.Fatalf("%d edits, same data %v", len(edits), edits == nil)
	}
	if canonical(base) != before {
		t.Fatalf("base was changed")
	}
	if again := model.Diff(got, next, opt); again != nil {
		t.Fatalf("diff after apply: %v", again)
	}
}

// A patched text is the next version, and a text that already is stays.
func TestPatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := genValue(t, 4, true)
		text := layout(t, reread(t, old))
		checkPatch(t, text, old, saved(t, old, mutate(t, reread(t, old), 4)))
	})
}

// saved returns what a document has after next was saved over base.
func saved(t *rapid.T, base, next *doc.Value) *doc.Value {
	root := doc.NewMap(doc.Field{Key: "x", Value: base})
	root, err := model.Apply(root, model.Diff(base, next, model.DiffOptions{Prefix: doc.Keys("x")}))
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	return root.Get("x")
}

func checkPatch(t interface{ Fatalf(string, ...any) }, text []byte, old, next *doc.Value) {
	before := bytes.Clone(text)
	got := model.Patch(text, old, next, model.RenderOptions{})
	v, err := model.Parse(got, model.Limits{Foreign: true, Depth: 100})
	if err != nil || !model.Same(v, next) {
		t.Fatalf("patched: %v\n%s\nwant %s", err, got, canonical(next))
	}
	if !bytes.Equal(text, before) {
		t.Fatalf("text was changed")
	}
	if model.Same(old, next) && !bytes.Equal(got, text) {
		t.Fatalf("same data: got %s, want %s", got, text)
	}
	if again := model.Patch(got, next, next, model.RenderOptions{}); !bytes.Equal(again, got) {
		t.Fatalf("patched twice: got %s, want %s", again, got)
	}
}

// layout writes v with random white space.
func layout(t *rapid.T, v *doc.Value) []byte {
	space := rapid.SliceOfN(rapid.SampledFrom([]string{"", "", " ", "\n", "\n  ", "\t", "\r\n"}), 8, 8).Draw(t, "space")
	text := model.Render(v, model.RenderOptions{})
	var out []byte
	n, quoted := 0, false
	add := func() {
		out = append(out, space[n%len(space)]...)
		n++
	}
	for i, c := range text {
		if c == '"' && !escaped(text, i) {
			quoted = !quoted
		}
		switch {
		case quoted || !strings.ContainsRune("{}[],: \n", rune(c)):
			out = append(out, c)
		case c == ' ' || c == '\n': // the layout of Render
		default:
			add()
			out = append(out, c)
			add()
		}
	}
	return out
}

func escaped(text []byte, i int) bool {
	n := 0
	for i--; i >= 0 && text[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}
