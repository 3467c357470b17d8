package echo_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
)

// importSample imports the archive that the TypeScript client wrote.
func importSample(tb testing.TB, v *echotest.Vault) *echo.Space {
	tb.Helper()
	f, err := os.Open("archive/testdata/space.tar.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	s, err := v.Import(context.Background(), f, "")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// sampleObjects are the live objects of the archive as the client shows them.
func sampleObjects(tb testing.TB) map[string]map[string]any {
	tb.Helper()
	f, err := os.Open("testdata/objects.json.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var list []map[string]any
	if err := json.NewDecoder(z).Decode(&list); err != nil {
		tb.Fatal(err)
	}
	out := map[string]map[string]any{}
	for _, o := range list {
		out[o["@id"].(string)] = o
	}
	return out
}

func TestImportShowsTheObjects(t *testing.T) {
	v := echotest.NewVault(t, "ada", echo.Options{})
	s := importSample(t, v)
	if s.Name() != "Demo Space" {
		t.Errorf("the space is called %q", s.Name())
	}
	want := sampleObjects(t)
	seen := checkObjects(t, v, s, want)
	for id, o := range want {
		if !seen[id] && !strings.Contains(o["@type"].(map[string]any)["/"].(string), "Properties") {
			t.Errorf("object %s is not in the tree", id)
		}
	}
	report, err := v.Fsck(context.Background(), false)
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("fsck: %v %v", report.Problems, err)
	}
	// Another member sees the same.
	w := &world{tb: t, ada: v, bob: echotest.NewVault(t, "bob", echo.Options{}), adas: s}
	w.bobs = v.Invite(s, w.bob, 2)
	sameTree(t, w, tree(t, v, s.Ino())...)
	checkObjects(t, w.bob, w.bobs, want)
}

// checkObjects compares the files of a space with the objects they show.
func checkObjects(t *testing.T, v *echotest.Vault, s *echo.Space, want map[string]map[string]any) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	err := v.List(s.Ino(), 0, func(n echo.Node) bool {
		seen[n.ID.String()] = true
		o := want[n.ID.String()]
		if o == nil {
			t.Errorf("%s shows object %s, which the client does not", n.Name, n.ID)
			return true
		}
		canonical, err := v.Show(context.Background(), n.Ino, "", true)
		if err != nil {
			t.Errorf("%s: %v", n.Name, err)
			return true
		}
		if n.Kind == echo.KindText {
			if string(canonical) != o["content"] {
				t.Errorf("%s is %q, want %q", n.Name, canonical, o["content"])
			}
			return true
		}
		var got map[string]any
		if err := json.Unmarshal(canonical, &got); err != nil {
			t.Errorf("%s: %v", n.Name, err)
		}
		if typ, ok := o["@type"].(map[string]any); ok && got["@type"] != typ["/"] {
			t.Errorf("%s has type %v, want %v", n.Name, got["@type"], typ["/"])
		}
		for key, value := range o {
			if !strings.HasPrefix(key, "@") && !reflect.DeepEqual(got[key], value) {
				t.Errorf("%s: %s is %v, want %v", n.Name, key, got[key], value)
			}
		}
		for key := range got {
			if _, ok := o[key]; !ok && !strings.HasPrefix(key, "@relation") {
				t.Errorf("%s has a field %s, which the object has not", n.Name, key)
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestExportImportsAgain(t *testing.T) {
	v := echotest.NewVault(t, "ada", echo.Options{})
	s := importSample(t, v)
	put(t, v, s.Name()+"/new.json", `{"made":"here","text":"with white space"}`)
	mkdir(t, v, s.Name()+"/folder")
	mustMove(t, v, s.Name()+"/new.json", s.Name()+"/folder/new.json")
	before := tree(t, v, s.Ino())
	var out bytes.Buffer
	if err := s.Export(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	again, err := v.Import(context.Background(), bytes.NewReader(out.Bytes()), "again")
	if err != nil {
		t.Fatal(err)
	}
	if got := tree(t, v, again.Ino()); !reflect.DeepEqual(got, before) {
		t.Errorf("the imported export has %q, want %q", got, before)
	}
	if got, want := show(t, v, "again/folder/new.json"), "{\"made\":\"here\",\"text\":\"with white space\"}\n"; got != want {
		t.Errorf("new.json is %s, want %s", got, want)
	}
}
