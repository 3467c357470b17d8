package fs_test

import (
	"os/exec"
	"testing"

	"echofs/fs"
)

// TestPrograms saves with programs that people use, and looks whether the file
// says what it should and is the same object as before.
func TestPrograms(t *testing.T) {
	m := mount(t, fs.Options{})
	for _, c := range []struct{ program, script, want string }{
		{"sed", `sed -i 's/1/2/' t.json; cat t.json`, "{\"v\":2}\n"},
		{"sed", `sed -i.bak 's/1/2/' t.json; cat t.json t.json.bak; rm t.json.bak`, "{\"v\":2}\n{\"v\":1}\n"},
		{"perl", `perl -pi -e 's/1/2/' t.json; cat t.json`, "{\"v\":2}\n"},
		{"perl", `perl -pi.bak -e 's/1/2/' t.json; cat t.json; rm -f t.json.bak`, "{\"v\":2}\n"},
		{"jq", `jq -c '.v=2' t.json > t.new.tmp && mv t.new.tmp t.json; cat t.json`, "{\"v\":2}\n"},
		{"jq", `jq -c '.v=2' t.json | tee t.copy.tmp > /dev/null; cat t.copy.tmp > t.json; rm t.copy.tmp; cat t.json`, "{\"v\":2}\n"},
		{"python3", `python3 -c '
import json
d = json.load(open("t.json")); d["v"] = 2
json.dump(d, open("t.json", "w"))'; cat t.json`, `{"v": 2}`},
		{"python3", `python3 -c '
import json, os, tempfile
d = json.load(open("t.json")); d["v"] = 2
with tempfile.NamedTemporaryFile("w", dir=".", delete=False) as f:
    json.dump(d, f); f.flush(); os.fsync(f.fileno())
os.replace(f.name, "t.json")'; cat t.json`, `{"v": 2}`},
		{"cp", `echo '{"v":2}' > .n; cp .n t.json; cat t.json; rm .n`, "{\"v\":2}\n"},
		{"cp", `echo '{"v":2}' > .n; cp -b .n t.json; cat t.json; rm .n t.json~`, "{\"v\":2}\n"},
		{"install", `echo '{"v":2}' > .n; install -m 644 .n t.json; cat t.json; rm .n`, "{\"v\":2}\n"},
		{"dd", `echo '{"v":2}' | dd of=t.json 2>/dev/null; cat t.json`, "{\"v\":2}\n"},
		{"rsync", `mkdir .src; echo '{"v":2}' > .src/t.json; touch -d 2001-02-03 .src/t.json; rsync -a .src/t.json t.json; cat t.json; rsync -ain .src/t.json t.json; rm -r .src`, "{\"v\":2}\n"},
		{"tar", `mkdir .src; echo '{"v":2}' > .src/t.json; tar c -C .src t.json | tar x; cat t.json; rm -r .src`, "{\"v\":2}\n"},
		{"patch", `printf -- '--- t.json\n+++ t.json\n@@ -1 +1 @@\n-{"v":1}\n+{"v":2}\n' | patch -s; cat t.json`, "{\"v\":2}\n"},
		{"vim", `vim -es -u NONE -c 'set backup backupskip= | %s/1/2/ | wq' t.json; cat t.json; rm -f t.json~`, "{\"v\":2}\n"},
		{"vim", `vim -es -u NONE -c 'set writebackup backupcopy=no backupskip= | %s/1/2/ | wq' t.json; cat t.json; ls -A`, "{\"v\":2}\nt.json\n"},
		{"git", `git init -q .; git -c user.name=a -c user.email=a@b add t.json;
git -c user.name=a -c user.email=a@b commit -qm x; echo '{"v":3}' > t.json; git checkout -q t.json; git status --short; cat t.json; rm -rf .git`, "{\"v\":1}\n"},
	} {
		if _, err := exec.LookPath(c.program); err != nil {
			t.Logf("there is no %s here", c.program)
			continue
		}
		m.sh(`echo '{"v":1}' > t.json`)
		id := m.node("t.json").ID
		m.want(c.script, c.want)
		if n := m.node("t.json"); n.ID != id || n.Draft {
			t.Errorf("%s\nt.json is another object, or a draft: %v", c.script, n.Draft)
		}
		m.want(`ls -A`, "t.json\n")
	}
}
