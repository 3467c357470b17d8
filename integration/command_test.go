package integration_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// shape lists the fields of a document with their types: "spaces[].name string".
func shape(v any) []string {
	set := map[string]bool{}
	collect(set, "", v)
	return slices.Sorted(maps.Keys(set))
}

func collect(set map[string]bool, at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		set[at+" object"] = true
		for k, x := range v {
			collect(set, at+"."+k, x)
		}
	case []any:
		set[at+" array"] = true
		for _, x := range v {
			collect(set, at+"[]", x)
		}
	case string:
		set[at+" string"] = true
	case float64:
		set[at+" number"] = true
	case bool:
		set[at+" bool"] = true
	case nil:
		set[at+" null"] = true
	}
}

// fields spells out the fields of objects: fields("[]", "a string", "b.c number").
func fields(at string, names ...string) (out []string) {
	for _, n := range names {
		out = append(out, at+"."+n)
	}
	return out
}

// TestDocuments checks the documents that commands print with --json: scripts
// read these fields. Others may be added.
func TestDocuments(t *testing.T) {
	t.Parallel()
	ada, bob := pair(t)
	ada.sh("cat > f.json <<'EOT'\n" + milk + "EOT\necho '{' > bad.json || true")
	ada.run("wait", ada.path("f.json"), "--peers", "1", "--timeout", "60s")
	bob.stop()
	ada.becomes("without peers", func(s spaceStatus) bool { return s.Peers == 0 })
	ada.sh(`echo '{}' > f.json`)
	space := []string{"id string", "name string", "role string", "objects number", "drafts number", "conflicts number",
		"quarantined number", "behind array", "peers number", "state string"}
	behind := []string{"device string", "name string", "entries number", "last_seen string"}
	for _, c := range []struct {
		args []string
		want [][]string
	}{
		{[]string{"status"}, [][]string{fields("", "identity.did string", "identity.name string", "device.id string", "device.name string",
			"mounts array", "mounts[] string", "spaces array", "warnings array"), fields(".spaces[]", space...), fields(".spaces[].behind[]", behind...),
			fields(".warnings[]", "code string", "message string", "fix string")}},
		{[]string{"space", "info", ada.space}, [][]string{fields("", space...), fields(".members[]", "did string", "name string", "role string", "devices array")}},
		{[]string{"space", "list"}, [][]string{fields("[]", "id string", "name string", "role string", "objects number", "members number", "open bool")}},
		{[]string{"member", "list", ada.space}, [][]string{fields("[]", "did string", "name string", "role string", "devices array"),
			fields("[].devices[]", "id string", "name string", "online bool", "last_seen string")}},
		{[]string{"device", "list"}, [][]string{fields("[]", "id string", "name string", "level string", "state string")}},
		{[]string{"drafts", "list"}, [][]string{fields("[]", "path string", "space string", "line number", "column number", "pointer string", "reason string", "saved string")}},
		{[]string{"log", ada.path("f.json")}, [][]string{fields("[]", "rev number", "time string", "author string", "device string", "fields array", "summary string")}},
		{[]string{"stat", ada.path("f.json")}, [][]string{fields("", "id string", "kind string", "type string", "space string", "uri string", "heads array",
			"author string", "base string", "replicas number")}},
		{[]string{"stat", ada.path("bad.json")}, [][]string{fields("", "error string")}},
		{[]string{"query", ada.space}, [][]string{fields("[]", "id string", "path string", "type string", "data object")}},
		{[]string{"query", ada.space, "--paths"}, [][]string{{"[] string"}}},
		{[]string{"peers"}, [][]string{{" array"}}},
		{[]string{"identity"}, [][]string{fields("", "did string", "name string")}},
		{[]string{"fsck"}, [][]string{fields("", "problems array")}},
		{[]string{"doctor"}, [][]string{fields("[]", "name string", "state string", "detail string")}},
		{[]string{"version"}, [][]string{fields("", "version string")}},
		{[]string{"show", ada.path("f.json")}, [][]string{{" object"}}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			r := ada.on(t).try(append(slices.Clone(c.args), "--json")...)
			var doc any
			if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil {
				t.Fatalf("%v: %s", err, r)
			}
			if r.code != 0 && c.args[0] != "doctor" { // which speaks of this machine
				t.Errorf("%s", r)
			}
			got := shape(doc)
			for _, want := range slices.Concat(c.want...) {
				if !slices.Contains(got, want) {
					t.Errorf("there is no %q in %s", want, strings.Join(got, ", "))
				}
			}
		})
	}
}

// TestExitCodes checks what scripts decide by, and that a command that fails
// prints no data and says why on stderr.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	v.sh("cat > f.json <<'EOT'\n" + milk + "EOT")
	for _, c := range []struct {
		code int
		args string
	}{
		{0, "status"}, {0, "space list"}, {0, "space info personal"}, {0, "stat personal/f.json"}, {0, "stat $M/personal/f.json"},
		{0, "log personal/f.json"}, {0, "show personal/f.json"}, {0, "show personal/f.json --at 1"}, {3, "show personal/f.json --at -1h"},
		{0, "drafts"}, {0, "query personal"}, {0, "peers"}, {0, "member list personal"}, {0, "device list"}, {0, "wait --timeout 10s"},
		{0, "identity"}, {0, "fsck"}, {0, "version"}, {0, "help"}, {0, "completion bash"}, {0, "man"}, {0, "space compact personal"},
		{1, "init"}, {1, "mount -d $M"},
		{2, "bogus"}, {2, "status --bogus"}, {2, "stat"}, {2, "wait --timeout soon"}, {2, "query personal --where .x|"}, {2, "space create"},
		{2, "show personal/f.json --at yesterday-ish"}, {2, "invite personal --role emperor"},
		{3, "space info nowhere"}, {3, "stat personal/none.json"}, {3, "stat nowhere/f.json"}, {3, "stat /etc/hosts"}, {3, "log personal/none.json"},
		{3, "show personal/none.json"}, {3, "show personal/f.json --at 99"}, {3, "drafts show personal/f.json"}, {3, "drafts discard personal/f.json"},
		{3, "query nowhere"}, {3, "member list nowhere"}, {3, "umount $HOME"}, {3, "wait nowhere"}, {3, "space export nowhere x.tar"},
		{5, "join nonsense"},
		{5, "wait personal/f.json --peers 1 --timeout 100ms"}, {5, "invite personal"},
	} {
		t.Run(c.args, func(t *testing.T) {
			r := v.on(t).shell(`cd /; "$ECHOFS" ` + strings.ReplaceAll(c.args, "|", `\|`) + " --json < /dev/null")
			if r.code != c.code {
				t.Errorf("want exit status %d, got %s", c.code, r)
			}
			if c.code != 0 && (r.stdout != "" || r.stderr == "") {
				t.Errorf("want nothing on stdout and a reason on stderr, got %s", r)
			}
		})
	}
}

// TestMounts has two mounts of one vault, by the one daemon it can have.
func TestMounts(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	v.sh(`echo '{"v":1}' > f.json`)

	// Another mount, in the foreground: it is held by its command.
	second := v.dir + "/second"
	held := follow(t, 2*patience, v.env(), program, "mount", "--read-only", second)
	eventually(t, "the second mount", patience, func() error {
		if !slices.Contains(mountsBelow(v.dir), second) {
			return fmt.Errorf("got %q", mountsBelow(v.dir))
		}
		return nil
	})
	in := func(script string) result { return v.shell("cd " + second + "/personal || exit 99\n" + script) }
	if got := in("cat f.json"); got.stdout != "{\"v\":1}\n" {
		t.Errorf("through the second mount: got %s", got)
	}
	if got := in(`echo '{"v":2}' > f.json`); got.code == 0 || !strings.Contains(got.stderr, "Read-only file system") {
		t.Errorf("write to a mount made with --read-only: got %s, want EROFS", got)
	}
	v.sh(`echo '{"v":3}' > f.json`)
	if got := in("cat f.json"); got.stdout != "{\"v\":3}\n" {
		t.Errorf("through the second mount, at once after a save in the first: got %s", got)
	}
	var st status
	if v.json(&st, "status"); len(st.Mounts) != 2 {
		t.Errorf("status: got mounts %q, want two", st.Mounts)
	}
	v.run("umount", second)
	if code := held.wait(); code != 0 {
		t.Errorf("the command that held the second mount: got exit status %d, %s", code, held.errs.String())
	}
	if got := v.sh("cat f.json"); got != "{\"v\":3}\n" {
		t.Errorf("the first mount, after the second has gone: got %q", got)
	}

	// The vault has one daemon. A program that gets round it is told which.
	r := v.shell(`rm -f "$ECHOFS_HOME/ctl.sock"; timeout 60 "$ECHOFS" mount ` + second)
	if want := fmt.Sprint(v.cmd.Process.Pid); r.code != 1 || !strings.Contains(r.stderr, want) {
		t.Errorf("a second daemon: want exit status 1 and process %s, got %s", want, r)
	}
	v.stop()

	// umount of the last mount ends the daemon.
	v.start("--offline")
	v.run("umount", v.mnt)
	if err := v.end(); err != nil {
		t.Errorf("the daemon after umount: %v", err)
	}
	if got := mountsBelow(v.dir); len(got) > 0 {
		t.Errorf("after umount: got mounts %q, want none", got)
	}
	if got := v.run("show", "personal/f.json"); got != "{\"v\":3}\n" {
		t.Errorf("without a daemon: got %q", got)
	}
}
