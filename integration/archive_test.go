package integration_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// exampleArchive is a space that the TypeScript client has exported.
const exampleArchive = "../echo/archive/testdata/space.tar.gz"

// found is a line of `query --json`.
type found struct {
	ID, Path, Type string
	Data           any
}

// importExample makes a space of the example and changes an object in it.
func importExample(t *testing.T, v *vault) *vault {
	t.Helper()
	archive, err := filepath.Abs(exampleArchive)
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Name, Role string
		Objects    int
	}
	if v.json(&made, "space", "import", archive, "--name", "demo"); made.Name != "demo" || made.Role != "owner" || made.Objects != 10 {
		t.Errorf("import: got %+v, want the space demo with 10 objects", made)
	}
	return v.in("demo")
}

// An archive that the TypeScript client has written becomes a folder of files
// with names, types and references; edited, exported and imported again it has
// the same objects.
func TestArchive(t *testing.T) {
	t.Parallel()
	need(t, "jq")
	v := importExample(t, newVault(t, "ada"))
	if got, want := v.sh(`cat DXOS.json 01M83583TN2JK843D10V8VVXYP.md; jq -c '[.age,.org,.notes,.friends[0]]' Ada.json; jq -r .label 01M83584617W6NZ16572HMZW5N.json`),
		"{\n  \"@type\": \"dxn:type:example.com/type/Organization:0.1.0\",\n  \"name\": \"DXOS\",\n  \"website\": \"https://dxos.org\"\n}\n"+
			"# Hello\n\nworld, from Bob\n"+
			`[37,{"/":"DXOS.json"},{"/":"01M83583TN2JK843D10V8VVXYP.md"},{"/":"DXOS.json"}]`+"\ndyn\n"; got != want {
		t.Errorf("files: got %s, want %s", got, want)
	}
	editExample(v)
	out := filepath.Join(v.dir, "demo.tar")
	v.run("space", "export", "demo", out)
	v.run("space", "import", out, "--name", "again")
	before, after := v.all(), (&vault{v.machine, "again"}).all()
	if !slices.Equal(before, after) {
		t.Errorf("export and import: got\n%s\nwant\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	v.refuse(3, "space", "export", "nowhere", out)
	v.refuse(3, "space", "import", out+".missing")
	if r := v.try("space", "import", program); r.code == 0 {
		t.Errorf("import of a program: %s", r)
	}
	v.fsck()
}

// editExample makes changes of several kinds: a field, a text, a new object.
func editExample(v *vault) {
	v.tb.Helper()
	v.sh(`sed -i 's/"age": 37/"age": 38/' Ada.json; echo 'and from Ada' >> 01M83583TN2JK843D10V8VVXYP.md
echo '{"@type":"dxn:type:example.com/type/Organization:0.1.0","name":"Initech","tags":["a","b"]}' > Initech.json`)
}

// all lists the objects of a space: id, type and data.
func (v *vault) all() (objects []string) {
	v.tb.Helper()
	var list []found
	v.json(&list, "query", v.space)
	for _, f := range list {
		b, err := json.Marshal([]any{f.ID, f.Path, f.Type, f.Data})
		if err != nil {
			v.tb.Fatal(err)
		}
		objects = append(objects, string(b))
	}
	slices.Sort(objects)
	return objects
}

// What is exported is what the real client sees after its import.
func TestArchiveInClient(t *testing.T) {
	if os.Getenv("ECHOFS_TEST_DXOS") != "1" && !inCI() {
		t.Skip("installing the TypeScript client takes minutes: ECHOFS_TEST_DXOS=1")
	}
	need(t, "jq", "node", "npm")
	client := installClient(t)
	v := importExample(t, newVault(t, "ada"))
	editExample(v)
	v.run("wait", v.space) // what was just made is exported when it is a second old
	out := filepath.Join(v.dir, "demo.tar")
	v.run("space", "export", "demo", out)
	objects := v.objects()
	args := []string{filepath.Join(client, "check.mjs"), out}
	for _, o := range objects {
		args = append(args, o.ID)
	}
	r := do(t, 5*time.Minute, os.Environ(), "node", args...)
	if r.code != 0 {
		t.Fatalf("the client: exit status %d: %s", r.code, r.stderr[max(0, len(r.stderr)-4000):])
	}
	var seen []map[string]any
	if err := json.Unmarshal([]byte(r.stdout), &seen); err != nil {
		t.Fatalf("the client printed %.400q: %v", r.stdout, err)
	}
	byID := map[string]map[string]any{}
	for _, o := range seen {
		if id, ok := o["@id"].(string); ok {
			byID[id] = o
		}
	}
	for _, f := range objects {
		compareWithClient(t, f, byID[f.ID])
	}
}

func (v *vault) objects() (list []found) {
	v.tb.Helper()
	v.json(&list, "query", v.space)
	return list
}

// compareWithClient compares the plain fields of an object with those that the
// client shows. References are written in other words there.
func compareWithClient(t *testing.T, f found, seen map[string]any) {
	t.Helper()
	if seen == nil {
		t.Errorf("%s: the client has no object %s", f.Path, f.ID)
		return
	}
	fields, ok := f.Data.(map[string]any)
	if !ok {
		fields = map[string]any{"content": f.Data} // a text
	}
	for name, value := range fields {
		if strings.HasPrefix(name, "@") || strings.Contains(asJSON(t, value), `"/":`) {
			continue
		}
		if got, want := asJSON(t, seen[name]), asJSON(t, value); got != want {
			t.Errorf("%s: field %s: the client has %.200s, want %.200s", f.Path, name, got, want)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// installClient installs the client as its lock file says, once a machine, and
// returns where.
func installClient(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "echofs-test-dxos")
	script, err := filepath.Abs("dxos/install.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), script, dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("install the client: %v\n%s", err, out)
	}
	return dir
}
