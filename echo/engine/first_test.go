package engine

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"echofs/echo/doc"
	"echofs/echo/engine/first"
	"echofs/echo/engine/guard"
)

// coreFirst has the core make the first change of a document.
func coreFirst(edits []doc.Edit, actor doc.ActorID, seconds int64, message string) (doc.Change, *doc.Value, error) {
	d, err := newCoreDoc()
	if err != nil {
		return doc.Change{}, nil, err
	}
	defer d.free()
	change, err := makeChange(d, &doc.EditRequest{Edits: edits, Time: seconds, Message: message}, actor)
	if err != nil {
		return doc.Change{}, nil, err
	}
	b, err := d.appendValue(nil, nil)
	if err != nil {
		return doc.Change{}, nil, err
	}
	value, err := doc.DecodeValue(b)
	return change, value, err
}

// sameAsCore fails unless both ways make and read the same.
func sameAsCore(t interface{ Fatalf(string, ...any) }, edits []doc.Edit, seconds int64, message string) {
	actor := doc.ActorID{1, 2, 3}
	want, value, err := coreFirst(edits, actor, seconds, message)
	if err != nil {
		t.Fatalf("core: %v", err)
	}
	got, made, err := first.Write(actor, seconds, message, edits)
	if err != nil {
		t.Fatalf("write: %v", err)
	}
	if got.Hash != want.Hash || !bytes.Equal(got.Bytes, want.Bytes) {
		t.Fatalf("wrote\n%x, want\n%x", got.Bytes, want.Bytes)
	}
	if !bytes.Equal(doc.EncodeValue(made), doc.EncodeValue(value)) {
		t.Fatalf("written value %v, want %v", made, value)
	}
	read, hash, err := first.Read(want.Bytes)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if hash != want.Hash || !bytes.Equal(doc.EncodeValue(read), doc.EncodeValue(value)) {
		t.Fatalf("read %v, want %v", read, value)
	}
}

func putAt(key string, v *doc.Value) doc.Edit {
	return doc.Edit{Op: doc.Put, Path: doc.Keys(key), Value: v}
}

func TestFirstChangeIsThatOfTheCore(t *testing.T) {
	field := func(k string, v *doc.Value) doc.Field { return doc.Field{Key: k, Value: v} }
	deep := doc.NewText("x")
	for range 40 {
		deep = doc.NewList(doc.NewNull(), doc.NewMap(field("k", deep)))
	}
	for name, v := range map[string]*doc.Value{
		"scalars": doc.NewMap(field("true", doc.NewBool(true)), field("bytes", &doc.Value{Kind: doc.Bytes, Bytes: []byte{0, 255}}),
			field("counter", &doc.Value{Kind: doc.Counter, Int: -9}), field("empty", doc.NewString("")), field("false", doc.NewBool(false)),
			field("float", doc.NewFloat(math.Copysign(0, -1))), field("nan", doc.NewFloat(math.NaN())), field("max", doc.NewInt(math.MaxInt64)),
			field("min", doc.NewInt(math.MinInt64)), field("63", doc.NewInt(63)), field("64", doc.NewInt(64)), field("-64", doc.NewInt(-64)), field("-65", doc.NewInt(-65)),
			field("null", doc.NewNull()), field("nul", doc.NewString("a\x00b")), field("time", &doc.Value{Kind: doc.Timestamp, Int: 1700000000123}),
			field("uint", &doc.Value{Kind: doc.Uint, Uint: math.MaxUint64})),
		"text":    doc.NewText("a😀é👍🏼z e\u0301 \r\n\t\u0000 \ufffc\ufffd \U0010ffff"),
		"lists":   doc.NewList(doc.NewNull(), doc.NewList(), doc.NewText(""), doc.NewText("in a list"), doc.NewMap(), doc.NewList(doc.NewInt(1), doc.NewInt(1), doc.NewInt(1))),
		"order":   doc.NewMap(field("z", doc.NewInt(1)), field("a", doc.NewMap(field("y", doc.NewText("1")), field("é", doc.NewNull()), field("Z", doc.NewNull()))), field("ключ/~", doc.NewNull())),
		"deep":    deep,
		"long":    doc.NewText(strings.Repeat("lorem ipsum dolor sit amet ", 2000)),
		"strings": doc.NewList(doc.NewString(strings.Repeat("x", 5000)), doc.NewString(strings.Repeat("x", 5000)), doc.NewString("é")),
	} {
		t.Run(name, func(t *testing.T) {
			sameAsCore(t, []doc.Edit{putAt("version", doc.NewInt(1)), putAt("objects", doc.NewMap(field("id", v)))}, 1700000000, "")
			sameAsCore(t, []doc.Edit{putAt("v", v)}, -5, "why")
		})
	}
}

func drawFirst(t *rapid.T, depth int) *doc.Value {
	switch rapid.IntRange(0, 9+depth).Draw(t, "kind") {
	case 0:
		return doc.NewInt(rapid.Int64().Draw(t, "int"))
	case 1, 2:
		return doc.NewString(rapid.StringN(0, 5, 20).Draw(t, "string"))
	case 3, 4:
		return doc.NewText(rapid.StringN(0, 12, 48).Draw(t, "text"))
	case 5:
		return doc.NewFloat(rapid.Float64().Draw(t, "float"))
	case 6:
		return doc.NewBool(rapid.Bool().Draw(t, "bool"))
	case 7:
		return doc.NewNull()
	case 8, 9:
		v := doc.NewList()
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			v.Items = append(v.Items, drawFirst(t, max(0, depth-1)))
		}
		return v
	}
	v := doc.NewMap()
	for _, k := range rapid.SliceOfNDistinct(rapid.StringN(1, 3, 12), 0, 4, func(s string) string { return s }).Draw(t, "keys") {
		v.Fields = append(v.Fields, doc.Field{Key: k, Value: drawFirst(t, depth-1)})
	}
	return v
}

func TestAnyFirstChangeIsThatOfTheCore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var edits []doc.Edit
		for _, key := range []string{"b", "a", "c"}[:rapid.IntRange(1, 3).Draw(t, "edits")] {
			edits = append(edits, putAt(key, drawFirst(t, 4)))
		}
		sameAsCore(t, edits, rapid.Int64Range(-1<<40, 1<<40).Draw(t, "time"), rapid.StringN(0, 5, 20).Draw(t, "message"))
	})
}

// What has another form is left to the core.
func TestOtherFirstChanges(t *testing.T) {
	list := putAt("l", doc.NewList(doc.NewInt(1), doc.NewInt(2)))
	for name, edits := range map[string][]doc.Edit{
		"replaced":    {putAt("a", doc.NewInt(1)), putAt("a", doc.NewInt(2))},
		"deleted":     {putAt("a", doc.NewInt(1)), putAt("b", doc.NewInt(2)), {Op: doc.Delete, Path: doc.Keys("a")}},
		"in between":  {list, {Op: doc.Insert, Path: doc.Keys("l").Join(doc.Index(1)), Value: doc.NewNull()}},
		"in a list":   {list, {Op: doc.Put, Path: doc.Keys("l").Join(doc.Index(1)), Value: doc.NewNull()}},
		"spliced":     {putAt("t", doc.NewText("abc")), {Op: doc.Splice, Path: doc.Keys("t"), Pos: 1, Ins: "x"}},
		"incremented": {putAt("c", &doc.Value{Kind: doc.Counter}), {Op: doc.Increment, Path: doc.Keys("c"), By: 1}},
	} {
		if _, _, err := first.Write(doc.ActorID{1}, 0, "", edits); !errors.Is(err, first.ErrOther) {
			t.Errorf("%s: write: got %v, want %v", name, err, first.ErrOther)
		}
		change, _, err := coreFirst(edits, doc.ActorID{1}, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		if v, _, err := first.Read(change.Bytes); !errors.Is(err, first.ErrOther) {
			t.Errorf("%s: read: got %v, %v, want %v", name, v, err, first.ErrOther)
		}
	}
	for name, v := range map[string]*doc.Value{
		"no value": nil, "unknown": {Kind: doc.Unknown}, "not UTF-8": doc.NewText("\xff"), "not UTF-8 either": doc.NewString("\xff"),
		"empty key": doc.NewMap(doc.Field{Value: doc.NewNull()}),
		"same key":  doc.NewMap(doc.Field{Key: "a", Value: doc.NewNull()}, doc.Field{Key: "a", Value: doc.NewNull()}),
	} {
		if _, _, err := first.Write(doc.ActorID{1}, 0, "", []doc.Edit{putAt("v", v)}); !errors.Is(err, first.ErrOther) {
			t.Errorf("%s: got %v, want %v", name, err, first.ErrOther)
		}
	}
}

// A second change, or one of an actor's later ones, is no first change.
func TestLaterChangesAreOthers(t *testing.T) {
	d, err := newCoreDoc()
	if err != nil {
		t.Fatal(err)
	}
	defer d.free()
	for n, actor := range []doc.ActorID{{1}, {1}, {2}} {
		change, err := makeChange(d, &doc.EditRequest{Edits: []doc.Edit{putAt(string(rune('a'+n)), doc.NewInt(1))}}, actor)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := first.Read(change.Bytes); (err == nil) != (n == 0) {
			t.Errorf("change %d: got error %v", n+1, err)
		}
	}
}

// What is read without the core, the core reads the same.
func FuzzReadFirst(f *testing.F) {
	for _, v := range []*doc.Value{doc.NewInt(1), doc.NewText("añb"), doc.NewList(doc.NewNull(), doc.NewMap(doc.Field{Key: "k", Value: doc.NewString("v")}))} {
		change, _, err := first.Write(doc.ActorID{1}, 1700000000, "m", []doc.Edit{putAt("a", v), putAt("b", v)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(change.Bytes[10:]) // the contents: the checksum is made by the test
	}
	f.Fuzz(func(t *testing.T, contents []byte) {
		chunk, hash := guard.Change(contents)
		got, read, err := first.Read(chunk)
		if err != nil {
			return
		}
		d, err := newCoreDoc()
		if err != nil {
			t.Fatal(err)
		}
		defer d.free()
		if err := applyAll(d, [][]byte{chunk}, []doc.ChangeHash{hash}); err != nil || read != hash {
			t.Fatalf("the core: %v, hash %v, want %v", err, read, hash)
		}
		want, err := d.appendValue(nil, nil)
		if err != nil || !bytes.Equal(doc.EncodeValue(got), want) {
			t.Fatalf("got %x, want %x, %v", doc.EncodeValue(got), want, err)
		}
	})
}
