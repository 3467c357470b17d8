package integration_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostileNames are names, as their author's own mount shows them, of labels with
// everything in it that harms a terminal, a shell or a reader: an escape in the
// name is a byte of the label.
var hostileNames = []string{
	"a%2Fb.json", "x%2F..%2F..%2F..%2Fetc%2Fpasswd.json", "-rf", "-rf.json", "nul%00byte.json", "new%0Aline.json",
	"clip%1B]52;c;aGk=%07.json", "clear%1B[2J.md", "csi%C2%9B31m.md", "dcs%1BPq%1B%5C.md", "bell%07.md", "del%7F.md",
	"gpj%E2%80%AEexe.md", "zero.md", "ze%E2%80%8Bro.md", "%20lead.md", "%EF%BB%BFbom.md",
	strings.Repeat("é", 125) + ".json",
}

// plant makes files of hostile names with hostile content.
const plant = `
import os, sys
for name in sys.argv[1:]:
    body = "hi \x1b]52;c;aGk=\x07\x1b[2J\x9b31m\x7f\r\n"
    if name.endswith(".json"):
        body = '{"x":"\\u001b]52;c;aGk=\\u0007\\u009b","\\u001b[2J":1}'
    with open(name, "w") as f: f.write(body)
`

// look walks the mount as scripts do: every name is one harmless component, can be
// looked at, read and removed by its name, and no link leads out.
const lookAround = `
import os, sys
top, seen = os.path.realpath("."), []
for dir, dirs, files in os.walk("."):
    for name in dirs + files:
        path = os.path.join(dir, name)
        assert name not in ("", ".", "..") and "/" not in name, repr(name)
        assert name.isprintable(), repr(name)
        os.lstat(path)
        if os.path.islink(path):
            try: real = os.path.realpath(path, strict=True)
            except OSError: real = top # leads nowhere
            assert real == top or real.startswith(top + "/"), (path, real)
        elif os.path.isfile(path):
            open(path, "rb").read()
        seen.append(path)
assert len(set(seen)) == len(seen)
for path in sorted(seen): print(path)
`

// Somebody plants files whose names and contents are meant to do harm to those
// who look at them, twins of names that are there, and links that lead round in
// circles. All can be seen and handled, and nothing gets out.
func TestHostileNames(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	need(t, "python3", "script")
	ada, bob := pair(t)
	ada.sh(`echo mine > README.md; ln -s README.md link; echo '{"v":1}' > own.json`)
	eventually(t, "bob has ada's files", patience, func() error { return want(bob.shell("cat README.md own.json"), 0) })
	bob.leave()
	bob.python(plant, hostileNames...)
	bob.sh(`for n in readme.md ReadMe.md README.MD; do echo "not $n" > $n; done
		ln -s l2 l1; ln -s l3 l2; ln -s l1 l3; mkdir -p c/d; ln -s ../../c c/d/up; ln -s . self
		echo '{"to":{"/":"../../../../etc/shadow"},"at":{"/":"/etc/passwd"}}' > refs.json; echo /etc/shadow > path.md`)
	bob.fails(`ln -s /etc/shadow out`)
	bob.fails(`ln -s ../../../../etc/shadow out`)
	bob.meet()
	eventually(t, "ada has what bob planted", 2*patience, func() error {
		if got := strings.Count(ada.shell(`ls -A`).stdout, "\n"); got < len(hostileNames)+3+len("l1 l2 l3 c self refs path")/4 {
			return fmt.Errorf("got %d names", got)
		}
		return want(ada.shell("cat path.md refs.json && readlink c/d/up"), 0)
	})
	seen := ada.python(lookAround)
	ada.sh(`[ "$(cat README.md)" = mine ]; [ "$(cat link)" = mine ]; cat readme.md ReadMe.md README.MD > /dev/null
		find . -print0 | xargs -0 -n 50 stat -c %i -- > /dev/null; ls -d -- * > /dev/null; timeout 20 find -L . > /dev/null 2>&1 || [ $? = 1 ]
		! grep -rs "root:" . > /dev/null`)
	ada.restart("--offline")
	if again := ada.python(lookAround); again != seen {
		t.Errorf("after a restart: got\n%swant\n%s", again, seen)
	}

	// What is printed on a terminal.
	ada.sh(`for f in *.md; do echo more >> "./$f"; done; printf '{"bad' > ./a%2Fb.json || true; rm -- "clear%1B[2J.md"`)
	for _, command := range []string{"ls -la", `"$ECHOFS" status`, `"$ECHOFS" conflicts`, `"$ECHOFS" drafts list`, `"$ECHOFS" trash list`,
		`for f in ./*; do "$ECHOFS" show "$f"; "$ECHOFS" log "$f"; "$ECHOFS" stat "$f"; done`, `"$ECHOFS" drafts show ./a%2Fb.json`,
		`"$ECHOFS" query shared`, `"$ECHOFS" peers`, `"$ECHOFS" diff ./bell%07.md`, `"$ECHOFS" blame ./clip*.json`} {
		out := ada.onTerminal(command)
		if bad := harmful(out); bad != "" {
			t.Errorf("%s printed %s on a terminal:\n%q", command, bad, out)
		}
	}
	if bad := harmful(tail(ada.logFile(), 1<<20)); bad != "" {
		t.Errorf("the daemon's log has %s", bad)
	}
	ada.sh(`rm -rf -- *; [ -z "$(ls)" ]`)
	ada.fsck()
}

// python runs a program in the space's directory.
func (v *vault) python(program string, args ...string) string {
	v.tb.Helper()
	var quoted []string
	for _, a := range args {
		quoted = append(quoted, "'"+a+"'")
	}
	return v.sh("python3 - " + strings.Join(quoted, " ") + " <<'EOP'\n" + program + "\nEOP")
}

// onTerminal runs a command in the space's directory on a terminal, and returns
// all that it printed there.
func (v *vault) onTerminal(command string) string {
	v.tb.Helper()
	cmd := exec.Command("script", "-qec", `cd "$HERE" && `+command, "/dev/null")
	cmd.Env = append(v.env(), "HERE="+v.here(), "SHELL=/bin/bash")
	out, _ := cmd.CombinedOutput() // commands that find nothing fail
	return string(out)
}

// harmful names the first thing in a text that does more to a terminal than to
// show itself.
func harmful(s string) string {
	for i, r := range s {
		if r == utf8.RuneError && !utf8.ValidString(s[i:i+1]) {
			return fmt.Sprintf("byte %#x", s[i])
		}
		if r != '\n' && r != '\t' && r != '\r' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return fmt.Sprintf("%U", r)
		}
	}
	return ""
}

// A chain of folders in folders is bounded, and the mount stays what it was.
func TestDeepFolders(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	v := newVault(t, "ada")
	v.sh(`echo '{"v":1}' > f.json`)
	out := v.python(`
import errno, os
depth = 0
try:
    for depth in range(10000):
        os.mkdir("d"); os.chdir("d")
except OSError as e:
    print(depth, errno.errorcode[e.errno])
else:
    print(depth + 1, "all")
`)
	var depth int
	var why string
	if _, err := fmt.Sscan(out, &depth, &why); err != nil || depth != 500 || why != "ENAMETOOLONG" {
		t.Errorf("got %q, want 500 folders in each other, and then ENAMETOOLONG", out)
	}
	v.sh(`cat f.json; timeout 50 find . -maxdepth 20 > /dev/null`)
	v.restart("--offline")
	v.sh(`cat f.json; ls d`)
	v.fsck()
}
