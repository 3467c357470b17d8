package fs_test

import (
	"strings"
	"testing"

	"echofs/echo"
	"echofs/fs"
)

func TestControlLinks(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`mkdir people tasks
echo '{"@type":"dxn:type:example.com/type/Person:0.1.0","name":"Ada"}' > people/ada.json
echo '{"@type":"dxn:type:example.com/type/Task:0.1.0","done":false,"n":1,"owner":{"/":"../people/ada.json"}}' > tasks/one.json
echo '{"@type":"dxn:type:example.com/type/Task:0.1.0","done":true,"n":2,"owner":{"/":"../people/ada.json"}}' > tasks/two.json`)
	for _, path := range []string{"people/ada.json", "tasks/one.json", "tasks/two.json"} {
		m.settle(path)
	}
	m.sh(`cd tasks; for f in *; do sed -i 's/"n":/"m":/' $f; done`) // now that the target is there
	m.want(`ls .echofs/by-type`, "dxn:type:example.com%2Ftype%2FPerson:0.1.0\ndxn:type:example.com%2Ftype%2FTask:0.1.0\n")
	m.want(`ls .echofs/by-type/Task`, "one.json\ntwo.json\n")
	m.want(`readlink .echofs/by-type/Task/one.json`, "../../../tasks/one.json\n")
	m.want(`grep -o '"name":"Ada"' .echofs/by-type/*Person*/ada.json`, "\"name\":\"Ada\"\n")
	m.fails(`ls .echofs/by-type/Nothing`)
	m.want(`ls .echofs/refs; ls .echofs/refs/tasks; ls .echofs/refs/tasks/one.json`, "people\ntasks\none.json\ntwo.json\nada.json\n")
	m.want(`readlink .echofs/refs/tasks/one.json/ada.json; cmp .echofs/refs/tasks/one.json/ada.json people/ada.json`, "../../../../people/ada.json\n")
	m.want(`ls .echofs/backlinks/people/ada.json; ls .echofs/backlinks/tasks/one.json`, "one.json\ntwo.json\n")
	m.want(`cmp .echofs/backlinks/people/ada.json/two.json tasks/two.json`, "")
	for query, want := range map[string]string{
		"type=Task":             "one.json two.json",
		"type=Task,done=false":  "one.json",
		"type=Task,done!=false": "two.json",
		"m=2":                   "two.json",
		"name=Ada":              "ada.json",
		"name.first=Ada":        "",
		"text=ada":              "ada.json",
		"type=Nothing":          "",
		"jq:.m > 1":             "two.json",
		`jq:.name | test("^A")`: "ada.json",
	} {
		if got := strings.Join(strings.Fields(m.sh(`ls '.echofs/query/`+query+`'`)), " "); got != want {
			t.Errorf("query %s: got %q, want %q", query, got, want)
		}
	}
	m.want(`cmp '.echofs/query/m=2/two.json' tasks/two.json; ls .echofs/query`, "")
	for _, bad := range []string{"nonsense", "jq:((", "=x"} {
		m.fails(`ls '.echofs/query/` + bad + `'`)
	}
	// Nothing leads in a circle.
	m.want(`find -L . .echofs/refs .echofs/backlinks .echofs/by-type .echofs/by-id .echofs/history -type l`, "")
	m.fails(`touch .echofs/refs/x`)
	m.fails(`rm .echofs/by-type/Task/one.json`)
	m.fails(`echo x > .echofs/members/x.json`)
}

func TestControlHistory(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`mkdir d; echo '{"v":1}' > d/a.json; echo one > b.md`)
	m.settle("d/a.json")
	m.settle("b.md")
	m.sh(`echo '{"v":2}' > d/a.json; echo two > b.md`)
	revs := strings.Fields(m.sh(`ls -v .echofs/history/d/a.json`))
	want, err := m.vault.History(t.Context(), m.node("d/a.json").Ino)
	if err != nil {
		t.Fatal(err)
	}
	if len(revs) != len(want) || len(revs) < 2 || !strings.HasPrefix(revs[0], "1-2") || !strings.HasSuffix(revs[0], "Z-ada.json") {
		t.Fatalf("got versions %q, want %d", revs, len(want))
	}
	m.want(`cd .echofs/history/d/a.json; for f in $(ls -v | sed -n '1p;$p'); do tr -d ' \n' < $f; stat -c ' %s' $f; done`,
		"{\"v\":1} 13\n{\"v\":2} 13\n")
	m.want(`ls .echofs/history; ls .echofs/history/d`, "b.md\nd\na.json\n")
	m.want(`cd .echofs/history/b.md; cat $(ls -v | sed -n '1p;$p')`, "one\ntwo\n")
	m.fails(`cat .echofs/history/d/a.json/99-x.json`)
	m.fails(`ls .echofs/history/none.json`)
}

func TestControlBlame(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`mkdir d; echo '{"v":1,"w":1}' > d/a.json`)
	m.settle("d/a.json")
	m.want(`ls .echofs/blame .echofs/blame/d; grep -c '"author": "ada"' .echofs/blame/d/a.json; grep -o '"pointer": .*' .echofs/blame/d/a.json`,
		".echofs/blame:\nd\n\n.echofs/blame/d:\na.json\n2\n\"pointer\": \"/v\",\n\"pointer\": \"/w\",\n")
	m.fails(`cat .echofs/blame/d/none.json`)
	m.fails(`ls .echofs/blame/d/a.json/x`)
}

func TestControlMembers(t *testing.T) {
	m, o := mountShared(t)
	o.sync()
	m.want(`ls .echofs/members`, "ada.json\nbob.json\n")
	m.want(`grep -c '"role": "owner"' .echofs/members/ada.json; grep -c '"role": "editor"' .echofs/members/bob.json; grep -c bob-device .echofs/members/bob.json`, "1\n1\n1\n")
}

func TestControlConflicts(t *testing.T) {
	m, o := mountShared(t)
	m.sh(`mkdir d; echo '{"v":1,"w":1}' > d/a.json`)
	m.settle("d/a.json")
	o.sync()
	m.want(`ls .echofs/conflicts`, "")
	m.sh(`echo '{"v":2,"w":1}' > d/a.json`)
	o.write("d/a.json", `{"v":3,"w":1}`)
	o.sync()
	m.want(`ls .echofs/conflicts; ls .echofs/conflicts/d`, "d\na.json\na.json.json\n")
	m.want(`tr -d ' \n' < .echofs/conflicts/d/a.json.json | grep -o '"pointer":"/v"\|"value":[0-9]' | sort`, "\"pointer\":\"/v\"\n\"value\":2\n\"value\":3\n")
	m.sh(`cat d/a.json > /dev/null; echo '{"v":4,"w":1}' > d/a.json`)
	m.want(`ls .echofs/conflicts`, "")
	m.fails(`cat .echofs/conflicts/d/a.json.json`)
}

func TestSettleByWriting(t *testing.T) {
	m, o := mountShared(t)
	m.sh(`mkdir d; echo '{"v":1,"w":{"x/y":{"z":1}},"k":1}' > d/a.json; echo '{}' > b.json`)
	m.settle("d/a.json")
	m.settle("b.json")
	o.sync()
	m.sh(`echo '{"v":2,"w":{"x/y":{"z":2}},"k":1}' > d/a.json; mv b.json c.json`)
	o.write("d/a.json", `{"v":3,"w":{"x/y":{"z":3}},"k":1}`)
	o.rename("b.json", "e.json")
	o.sync()
	const dir = ".echofs/conflicts/d/a.json/"
	m.want(`ls `+dir+`; stat -c '%F %a' `+dir+`v; tr -d ' \n' < `+dir+`v | grep -o '"value":[0-9],"author":"[a-z]*"' | sort`,
		"v\nw%2Fx~1y%2Fz\nregular file 644\n\"value\":2,\"author\":\"ada\"\n\"value\":3,\"author\":\"bob\"\n")
	for script, complaint := range map[string]string{
		`/bin/echo nonsense > ` + dir + `v`:                         "Invalid argument",
		`/bin/echo '{"a":1,"a":2}' > ` + dir + `v`:                  "Invalid argument",
		`/bin/echo 1 > ` + dir + `none`:                             "Read-only",
		`/bin/echo 1 > .echofs/conflicts/d/a.json.json`:             "Read-only",
		`rm ` + dir + `v`:                                           "Read-only",
		`/bin/echo '"/"' > $(ls -d .echofs/conflicts/?.json)/@name`: "Invalid argument",
		`/bin/echo 7 > $(ls -d .echofs/conflicts/?.json)/@name`:     "Invalid argument",
	} {
		if got := m.fails(script); !strings.Contains(got, complaint) {
			t.Errorf("%s\ncomplained %q, want %q", script, got, complaint)
		}
	}
	m.sh(`: > ` + dir + `v`) // nothing written is no decision
	m.want(`ls `+dir+` | wc -l`, "2\n")
	m.sh(`exec 5> ` + dir + `v; echo 9 > ` + dir + `v; touch ` + dir + `w%2Fx~1y%2Fz`)
	m.want(`ls `+dir+`; cat d/a.json | grep -o '"v":9'`, "w%2Fx~1y%2Fz\n\"v\":9\n")
	m.sh(`/bin/echo '{"deep":[1]}' > ` + dir + `w%2Fx~1y%2Fz; echo '"f.json"' > $(ls -d .echofs/conflicts/?.json)/@name`)
	m.want(`ls .echofs/conflicts; ls; grep -o '"z":.*' d/a.json`, "d\nf.json\n\"z\":{\"deep\":[1]}}},\"k\":1}\n")
	m.fails(`ls ` + dir)
	o.sync()
	if c, err := o.vault.Content(o.node("d/a.json").Ino); err != nil || !strings.Contains(string(c.Data), `"v":9`) {
		t.Errorf("the other sees %s, %v", c.Data, err)
	}
}

func TestTakeFromTrash(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`mkdir d; echo '{"v":1}' > d/a.json; echo '{}' > b.json`)
	m.settle("d/a.json")
	id := m.node("d/a.json").ID
	m.want(`rm d/a.json; ls .echofs/trash; grep -c '"path": "d/a.json"' .echofs/trash/a.json`, "a.json\n1\n")
	m.fails(`mv -T .echofs/trash/a.json $M/a.json`)
	m.fails(`mv .echofs/members/ada.json x.json`)
	m.want(`mv .echofs/trash/a.json back.json; cat back.json; ls .echofs/trash; ls -A d`, "{\"v\":1}\n")
	if got := m.node("back.json"); got.ID != id || got.Kind != echo.KindObject {
		t.Errorf("got object %v, want %v", got.ID, id)
	}
	m.sh(`echo '{"v":2}' > back.json`)
	m.want(`cat back.json`, "{\"v\":2}\n")
}
