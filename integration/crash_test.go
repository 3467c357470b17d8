package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// writer saves numbered versions of some files one after the other, as quickly
// as it can, and prints the number of each save whose close has returned. It
// ends with the first error. Paths are relative, so that it can write to the
// mount and to nothing else. Once it has made the files, it waits until they are
// documents: what is saved before that is one version.
const writer = `python3 -c '
import json, os, sys, time
first, last, files = map(int, sys.argv[1:4])
def settled(n):
    with open(f".echofs/meta/f{n}.json.json") as f: return json.load(f)["heads"]
for n in range(first, last):
    fd = os.open(f"f{n % files}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    doc = "{\"n\": %d, \"filler\": \"%s\", \"end\": %d}\n" % (n, "lorem ipsum " * (n % 300), n)
    os.write(fd, doc[:len(doc) // 2].encode())
    os.write(fd, doc[len(doc) // 2:].encode())
    os.close(fd)
    print(n, flush=True)
    if n == files - 1:
        while not all(map(settled, range(files))): time.sleep(0.01)
' "$@"`

// version is what the writer saves.
type version struct{ N, End int }

// ledger is what is known of the writer's saves.
type ledger struct {
	acked map[int][]int // by file: those whose close has returned, in order
	maybe map[int]int   // by file: saves of which nobody knows
}

// crash lets the writer save until it has done some, and then does something to
// the daemon.
func (l *ledger) crash(t *testing.T, v *vault, first, last, after, files int, hit func()) int {
	t.Helper()
	w := follow(t, 2*patience, append(v.env(), "HERE="+v.here()), "bash", "-c", `cd "$HERE" && exec `+writer,
		"bash", strconv.Itoa(first), strconv.Itoa(last), strconv.Itoa(files))
	n := first
	for w.lines.Scan() {
		l.acked[n%files] = append(l.acked[n%files], n)
		if n++; n-first == after {
			hit()
		}
	}
	if w.wait() == 0 {
		return n
	}
	if n-first < after {
		t.Fatalf("the writer ended early: %s", w.errs.String())
	}
	l.maybe[n%files]++ // the save under way may have got through
	return n + 1
}

// check demands that each file is a whole version, that no acknowledged one is
// missing from history, and that nothing is there that nobody wrote.
func (l *ledger) check(t *testing.T, v *vault, files int) {
	t.Helper()
	out := v.sh(fmt.Sprintf(`for i in $(seq 0 %d); do cat f$i.json; printf '\001'; "$ECHOFS" log --json f$i.json; printf '\001'; done`, files-1))
	parts := strings.Split(out, "\x01")
	for i := range files {
		acked := l.acked[i]
		if len(acked) == 0 {
			continue
		}
		var now version
		var revs []revision
		if err := errors.Join(json.Unmarshal([]byte(parts[2*i]), &now), json.Unmarshal([]byte(parts[2*i+1]), &revs)); err != nil {
			t.Errorf("f%d.json: %v in %q", i, err, parts[2*i])
			continue
		}
		if now.N != now.End || now.N < acked[len(acked)-1] {
			t.Errorf("f%d.json: got version %d to %d, want a whole one, %d at least", i, now.N, now.End, acked[len(acked)-1])
		}
		if got := len(revs); got < len(acked) || got > len(acked)+l.maybe[i] {
			t.Errorf("f%d.json: got %d versions in its history, want %d, and perhaps %d more", i, got, len(acked), l.maybe[i])
		}
	}
}

// The daemon is killed in the midst of many saves, again and again. The next
// one clears the mount, every save whose close has returned is there, and none
// is half.
func TestKilled(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	v := newVault(t, "ada")
	total, files := 1000, 10
	if soak() {
		total *= 10
	}
	l := &ledger{acked: map[int][]int{}, maybe: map[int]int{}}
	kills := 0
	for n := 0; n < total; kills++ {
		n = l.crash(t, v, n, total, total/4-7*kills, files, v.kill9)
		if v.cmd == nil {
			if r := v.shell("true"); r.code != 99 {
				t.Errorf("the mount of a daemon that was killed: got %s, want that it cannot be entered", r)
			}
			v.start("--offline")
			l.check(t, v, files)
		}
	}
	if kills < 4 {
		t.Errorf("killed %d times, want some more", kills)
	}
	l.check(t, v, files)
	nothingHeld(t, v)
}

// nothingHeld checks that no draft is left of whole saves, and that the store
// is in order.
func nothingHeld(t *testing.T, v *vault) {
	t.Helper()
	if got := v.drafts(); len(got) != 0 {
		t.Errorf("drafts: got %+v, want none", got)
	}
	v.fsck()
}

// A daemon that is told to end while programs write ends, and tears nothing.
func TestTerminated(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	v := newVault(t, "ada")
	l := &ledger{acked: map[int][]int{}, maybe: map[int]int{}}
	for n := 0; n < 300; {
		n = l.crash(t, v, n, 300, 100, 5, v.stop)
		if v.cmd == nil {
			v.start("--offline")
			l.check(t, v, 5)
		}
	}
	nothingHeld(t, v)
}
