package integration_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A file whose close has returned is there after the daemon was killed, also
// where nothing was written into it.
func TestKilledAfterTouch(t *testing.T) {
	v := newVault(t, "ada")
	v.sh(`touch .local empty.txt && : > also.json`)
	v.kill9()
	v.restart("--offline")
	if got, want := v.sh(`ls -A`), ".local\nalso.json\nempty.txt\n"; got != want {
		t.Errorf("after the kill: got %q, want %q", got, want)
	}
}

// maxResident is what the daemon may have in memory, in bytes, whatever the
// number of objects.
const maxResident = 100_000_000

// The daemon's memory does not grow with the objects that are listed and looked
// at. The short form has 2,000 of them, the long one 100,000.
func TestMemoryOfManyObjects(t *testing.T) {
	if len(raceFlags) > 0 {
		t.Skip("the race detector takes several times the memory")
	}
	need(t, "perl", "find")
	folders, each := 10, 200
	if soak() {
		folders, each = 100, 1000
	}
	v := newVault(t, "ada")
	shell := func(script string) string {
		t.Helper()
		r := do(t, 20*time.Minute, append(v.env(), "HERE="+v.here()), "bash", "-c", `cd "$HERE" && `+script)
		if r.code != 0 {
			t.Fatalf("%s: %s", script, r.stderr)
		}
		return r.stdout
	}
	shell(fmt.Sprintf(`perl -e '
for my $f (0..%d) { mkdir "d$f" or die;
  for my $n (0..%d) {
    open(my $h, ">", "d$f/task-$n.json") or die; print $h qq({"title":"Buy $n litres of milk","done":false,"folder":$f}\n);
    close($h) or die } }'`, folders-1, each-1))
	v.run("wait", "--timeout", "10m", v.space)
	v.stop()
	v.start("--offline")
	list := `ls -lR | grep -c 'task-'; find . -size +100k | wc -l; find . -name 'task-*' | sort -u | wc -l`
	if got, want := shell(list), fmt.Sprintf("%d\n0\n%d\n", folders*each, folders*each); got != want {
		t.Errorf("listing: got %q, want %q", got, want)
	}
	now, peak := resident(t, v.cmd.Process.Pid, "VmRSS:"), resident(t, v.cmd.Process.Pid, "VmHWM:")
	t.Logf("%d objects listed and looked at: %d bytes resident, %d at most", folders*each, now, peak)
	if peak > maxResident {
		t.Errorf("got %d bytes resident, want at most %d", peak, maxResident)
	}
}

// resident reads what the kernel says of a process' memory, in bytes.
func resident(t *testing.T, pid int, what string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, what); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s in %q", what, status)
	return 0
}
