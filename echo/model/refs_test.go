package model_test

import (
	"testing"

	"echofs/echo/doc"
	"echofs/echo/model"
)

const (
	adaID = "01JABCDEFGHJKMNPQRSTVWXYZ0"
	bobID = "01JABCDEFGHJKMNPQRSTVWXYZ1"
	space = "BABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

func TestParseRef(t *testing.T) {
	tests := []struct {
		text  string
		space string
		ok    bool
	}{
		{"echo:///" + adaID, "", true},
		{"echo://" + space + "/" + adaID, space, true},
		{"dxn:echo:@:" + adaID, "", true},
		{"dxn:echo:" + space + ":" + adaID, space, true},
		{"dxn:type:example.com/type/Task:0.1.0", "", false},
		{"echo://" + adaID, "", false},
		{"echo:///" + adaID + "/x", "", false},
		{"echo:///x", "", false},
		{"dxn:echo::" + adaID, "", false},
		{"../people/ada.json", "", false},
	}
	for _, tt := range tests {
		ref, ok := model.ParseRef(tt.text)
		if ok != tt.ok || ok && (ref.Space != tt.space || ref.Object.String() != adaID) {
			t.Errorf("ParseRef(%s): got %+v, %v", tt.text, ref, ok)
		}
		if again, valid := model.ParseRef(ref.String()); ok && (!valid || again != ref) {
			t.Errorf("ParseRef(%s): got %+v, want %+v", ref, again, ref)
		}
	}
}

// directory knows where objects are.
type directory map[string]string

func (d directory) show(r model.Ref) (string, bool) {
	path, ok := d[r.Object.String()]
	return path, ok && r.Space == ""
}

func (d directory) lookup(path string) (model.Ref, bool) {
	for id, p := range d {
		if p == path {
			object, err := doc.ParseObjectID(id)
			return model.Ref{Object: object}, err == nil
		}
	}
	return model.Ref{}, false
}

const refsText = `{"new":{"/":"echo:///` + adaID + `"},"old":[{"/":"dxn:echo:@:` + bobID + `"}],"oldest":{"objectId":"` + bobID + `","protocol":"x"},` +
	`"far":{"/":"echo://` + space + `/` + adaID + `"},"type":{"/":"dxn:type:a.b/C:1"},"lost":{"/":"../gone.json"},"bytes":{"/":{"bytes":"AQI="}}}`

func TestShowRefs(t *testing.T) {
	v := mustParse(t, refsText)
	got := canonical(model.ShowRefs(v, directory{adaID: "ada.json", bobID: "../bob.json"}.show))
	want := canonical(mustParse(t, `{"new":{"/":"ada.json"},"old":[{"/":"../bob.json"}],"oldest":{"/":"../bob.json"},`+
		`"far":{"/":"echo://`+space+`/`+adaID+`"},"type":{"/":"dxn:type:a.b/C:1"},"lost":{"/":"../gone.json"},"bytes":{"/":{"bytes":"AQI="}}}`))
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if model.ShowRefs(v, directory{}.show) != v {
		t.Errorf("a value without a known reference was copied")
	}
}

// What is shown and saved unchanged is the same data, also if every object has
// moved or vanished in between.
func TestResolveUnchangedRefs(t *testing.T) {
	base := mustParse(t, refsText)
	shown := model.ShowRefs(base, directory{adaID: "ada.json", bobID: "../bob.json"}.show)
	for _, now := range []directory{{adaID: "ada.json", bobID: "../bob.json"}, {adaID: "../bob.json", bobID: "x"}, {}} {
		got := model.ResolveRefs(shown, base, shown, now.lookup)
		if canonical(got) != canonical(base) {
			t.Errorf("%v: got %s, want %s", now, canonical(got), canonical(base))
		}
	}
}

func TestResolveRefs(t *testing.T) {
	base := mustParse(t, refsText)
	dir := directory{adaID: "ada.json", bobID: "../bob.json", "01JABCDEFGHJKMNPQRSTVWXYZ2": "eve.json"}
	shown := model.ShowRefs(base, dir.show)
	tests := []struct{ name, text, want string }{
		{"new", `{"a":{"/":"eve.json"}}`, `{"a":{"/":"dxn:echo:@:01JABCDEFGHJKMNPQRSTVWXYZ2"}}`},
		{"the generation of the object's other reference", `{"a":{"/":"../bob.json"}}`, `{"a":{"/":"dxn:echo:@:` + bobID + `"}}`},
		{"moved in a list", `{"old":[1,{"/":"../bob.json"}]}`, `{"old":[1,{"/":"dxn:echo:@:` + bobID + `"}]}`},
		{"oldest", `{"oldest":{"/":"../bob.json"}}`, `{"oldest":{"objectId":"` + bobID + `","protocol":"x"}}`},
		{"oldest points elsewhere", `{"oldest":{"/":"ada.json"}}`, `{"oldest":{"/":"echo:///` + adaID + `"}}`},
		{"written out, and there already", `{"new":{"/":"dxn:echo:@:` + adaID + `"}}`, `{"new":{"/":"echo:///` + adaID + `"}}`},
		{"written out, and new", `{"a":{"/":"echo:///` + bobID + `"}}`, `{"a":{"/":"dxn:echo:@:` + bobID + `"}}`},
		{"nobody knows", `{"a":{"/":"nobody.json"}}`, `{"a":{"/":"nobody.json"}}`},
		{"a reference as it is", `{"a":{"/":"dxn:echo:@:` + adaID + `"}}`, `{"a":{"/":"dxn:echo:@:` + adaID + `"}}`},
		{"no reference", `{"a":{"/":"eve.json","b":1}}`, `{"a":{"/":"eve.json","b":1}}`},
	}
	for _, tt := range tests {
		got := model.ResolveRefs(mustParse(t, tt.text), base, shown, dir.lookup)
		if canonical(got) != canonical(mustParse(t, tt.want)) {
			t.Errorf("%s: got %s, want %s", tt.name, canonical(got), tt.want)
		}
	}
	if got := model.ResolveRefs(shown, nil, nil, dir.lookup).At("new", "/").Text(); got != "dxn:echo:@:"+adaID {
		t.Errorf("without a base: got %s", got)
	}
}

func TestWalkRefs(t *testing.T) {
	var got []string
	model.WalkRefs(mustParse(t, refsText), func(path doc.Path, ref model.Ref) {
		got = append(got, path.Pointer()+" "+ref.String())
	})
	want := []string{"/new echo:///" + adaID, "/old/0 echo:///" + bobID, "/oldest echo:///" + bobID, "/far echo://" + space + "/" + adaID}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %s, want %s", got[i], want[i])
		}
	}
}
