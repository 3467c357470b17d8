package integration_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// scribe edits files at random, as a program does that reads, changes and
// writes: fields, nested fields, lists, prose. Each save leaves a mark of its
// own, so that none is empty. It prints how many saves it made of each file. Of a
// file that it made it waits until it is a document: what is saved before that is
// one version.
const scribe = `python3 - <<'EOP'
import json, os, random, time
me, first, edits, files = os.environ["ME"], %d, %d, %d
rnd = random.Random(f"{me} {first}")
saves = {}
def word(): return rnd.choice(["milk", "bread", "tea", "salt", "plum", "rice"]) + str(rnd.randrange(100))
def change(d):
    kind = rnd.randrange(6)
    if kind == 0: d["f%%d" %% rnd.randrange(6)] = rnd.choice([True, None, rnd.randrange(1000), word()])
    elif kind == 1: d.setdefault("nested", {})[word()[:2]] = {"n": rnd.randrange(9), "by": me}
    elif kind == 2: d.setdefault("list", []).insert(rnd.randrange(1 + len(d.get("list", []))), word())
    elif kind == 3 and d.get("list"): d["list"].pop(rnd.randrange(len(d["list"])))
    elif kind == 4: d.pop("f%%d" %% rnd.randrange(6), None)
    else:
        t = d.get("prose", "once upon a time")
        at = rnd.randrange(len(t) + 1)
        d["prose"] = (t[:at] + " " + word() + " " + t[at:])[-400:]
    d.setdefault("marks", {})[me] = first + saves_total()
def settled(name):
    with open(".echofs/meta/" + name + ".json") as f: return json.load(f)["heads"]
def saves_total(): return sum(saves.values())
for _ in range(edits):
    name = "doc%%d.json" %% rnd.randrange(files)
    try:
        with open(name) as f: d = json.load(f)
        new = False
    except FileNotFoundError:
        d, new = {}, True
    change(d)
    with open(name, "w") as f: json.dump(d, f, indent=rnd.choice([None, 1, 2]))
    while new and not settled(name): time.sleep(0.01)
    saves[name] = saves.get(name, 0) + 1
print(json.dumps(saves))
EOP`

// Three people edit the same files at random, now alone and now together. In
// the end all have the same, byte by byte, and no save is lost.
func TestConverge(t *testing.T) {
	t.Parallel()
	need(t, "python3", "jq")
	edits, files, rounds := 1000, 12, 4
	if soak() {
		edits, files, rounds = 10000, 60, 8
	}
	vaults := three(t)
	saves := map[string]int{} // by name of the author
	rnd := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	for round := range rounds {
		away := rnd.IntN(1 << len(vaults))
		var wg sync.WaitGroup
		for i, v := range vaults {
			if away>>i&1 != 0 {
				v.leave()
			}
			each := edits / rounds / len(vaults)
			wg.Go(func() {
				r := v.shell("export ME=" + v.name + "\n" + fmt.Sprintf(scribe, round*each, each, files))
				made := map[string]int{}
				if err := json.Unmarshal([]byte(r.stdout), &made); err != nil {
					t.Errorf("%s", r)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, n := range made {
					saves[v.name] += n
				}
			})
		}
		wg.Wait()
		for i, v := range vaults {
			if away>>i&1 != 0 {
				v.meet()
			}
		}
	}
	if t.Failed() {
		return
	}
	took := sameSpace(t, vaults)
	t.Logf("all the same %v after the last edit", took.Round(time.Millisecond))
	checkHistory(t, vaults, files, saves)
	for _, v := range vaults {
		v.fsck()
		if st := v.status(); st.Drafts != 0 || st.Quarantined != 0 {
			t.Errorf("%s: got %+v, want no draft and nothing in quarantine", v.name, st)
		}
	}
}

// three makes three vaults that share a space, by cables where that can be had.
func three(t *testing.T) []*vault {
	t.Helper()
	var newcomer func(name string) *vault
	if h := tryHub(t, private); h != nil {
		r := h.signalServer()
		newcomer = func(name string) *vault { return h.vault(r, name) }
	} else {
		r := signalServer(t)
		newcomer = func(name string) *vault { return r.vault(t, name) }
	}
	ada := newcomer("ada").in("shared")
	bob := ada.admit(newcomer("bob"))
	eve := ada.admit(newcomer("eve"))
	for _, v := range []*vault{ada, bob, eve} {
		v.peers(2)
	}
	ada.sh(`echo '{"prose":"a beginning that all share"}' > doc0.json`)
	for _, v := range []*vault{bob, eve} {
		eventually(t, v.name+" has the first file", patience, func() error { return want(v.shell("cat doc0.json"), 0) })
	}
	return []*vault{ada, bob, eve}
}

// sameSpace waits until all vaults hold the same objects.
func sameSpace(t *testing.T, vaults []*vault) time.Duration {
	t.Helper()
	return eventually(t, "all have the same", patience, func() error {
		first := vaults[0].run("query", vaults[0].space, "--json")
		for _, v := range vaults[1:] {
			if got := v.run("query", v.space, "--json"); got != first {
				return fmt.Errorf("%s and %s: %s\n%s", vaults[0].name, v.name, difference(first, got), standing(vaults))
			}
		}
		return nil
	})
}

// standing tells how far everybody is.
func standing(vaults []*vault) string {
	var b strings.Builder
	for _, v := range vaults {
		fmt.Fprintf(&b, "%s: %+v\npeers: %s", v.name, v.status(), v.run("peers", "--json"))
	}
	return b.String()
}

// difference shows where two texts part.
func difference(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	from := max(0, i-150)
	return fmt.Sprintf("at byte %d\n…%s\n…%s", i, a[from:min(len(a), i+150)], b[from:min(len(b), i+150)])
}

// checkHistory demands that the canonical bytes and the heads of all files are
// the same everywhere, and that each author has all of his saves in the history.
// Two people who made the same file each have an object of that name.
func checkHistory(t *testing.T, vaults []*vault, files int, saves map[string]int) {
	t.Helper()
	const dump = `for f in $(ls | LC_ALL=C sort); do echo $f; "$ECHOFS" show $f --canonical; "$ECHOFS" stat $f --json | jq -c '.heads|sort'; done`
	first := vaults[0].sh(dump)
	for _, v := range vaults[1:] {
		if got := v.sh(dump); got != first {
			t.Errorf("canonical bytes and heads of %s and %s: %s", vaults[0].name, v.name, difference(first, got))
		}
	}
	got := map[string]int{}
	for _, v := range vaults {
		for i, line := range strings.Split(strings.TrimSpace(v.sh(`for f in $(ls); do echo $f; "$ECHOFS" log $f --json; done`)), "\n") {
			if i%2 == 0 {
				continue
			}
			var revs []revision
			if err := json.Unmarshal([]byte(line), &revs); err != nil {
				t.Fatalf("log printed %q: %v", line, err)
			}
			for _, r := range revs {
				if r.Device == v.name+"s-machine" {
					got[v.name]++
				}
			}
		}
	}
	got["ada"]-- // the beginning
	for name, n := range saves {
		if got[name] != n {
			t.Errorf("history of what %s saved: got %d versions, want %d", name, got[name], n)
		}
	}
	if got := strings.Count(first, ".json\n"); got < files {
		t.Errorf("got %d files, want %d at least", got, files)
	}
}

// Two people answer each other in one file, again and again, while a third is
// away. Back, he gets the whole conversation.
func TestConversation(t *testing.T) {
	t.Parallel()
	turns := 100
	vaults := three(t)
	ada, bob, eve := vaults[0], vaults[1], vaults[2]
	eve.leave()
	script := fmt.Sprintf(`A="$HERE/doc0.json" B="%s/doc0.json"
for n in $(seq %d); do
	printf '{"prose":"a beginning that all share","ada":%%d,"bob":%%d}' $n $((n-1)) > "$A"
	until grep -q "\"ada\": *$n[,}]" "$B" 2>/dev/null; do :; done
	printf '{"prose":"a beginning that all share","ada":%%d,"bob":%%d}' $n $n > "$B"
	until grep -q "\"bob\": *$n[,}]" "$A" 2>/dev/null; do :; done
done`, bob.here(), turns)
	ada.sh(script)
	eve.meet()
	want := fmt.Sprintf(`"ada":%d,"bob":%d`, turns, turns)
	took := everybody(t, "doc0.json", patience, has(want), ada, bob, eve)
	t.Logf("eve has %d answers %v after her return", 2*turns, took.Round(time.Millisecond))
	if st := eve.status(); st.State != "synced" {
		t.Errorf("eve: got %+v, want synced", st)
	}
}
