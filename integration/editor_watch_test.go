package integration_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What other devices do reaches the libraries by which editors and the servers of
// JavaScript projects watch folders: VS Code's recursive watcher (@parcel/watcher),
// Node's own, and chokidar.
func TestEditorsThatWatch(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	need(t, "node", "npm")
	dir := installWatchers(t)
	ada, bob := pair(t)
	bob.sh(`echo '{"n":1}' > old.json; mkdir d`)
	eventually(t, "ada has the file", patience, func() error { return want(ada.shell("cat old.json; cd d"), 0) })

	type events struct{ create, change, away, back, remove string }
	for _, library := range []struct {
		name string
		events
	}{
		{"parcel", events{"create f.json", "update old.json", "delete f.json", "create g.json", "delete g.json"}},
		{"node", events{"rename f.json", "change old.json", "rename f.json", "rename g.json", "rename g.json"}},
		{"chokidar", events{"add f.json", "change old.json", "unlink f.json", "add g.json", "unlink g.json"}},
	} {
		// It is found from where the script lies.
		w := ada.watch("exec node " + filepath.Join(dir, "watch.mjs") + " " + library.name)
		w.expect("ready")
		bob.sh(`echo '{"made":true}' > f.json`)
		w.expect(library.create)
		bob.sh(`echo "{\"n\":$RANDOM}" > old.json`)
		w.expect(library.change)
		bob.sh(`mv f.json g.json`)
		w.expectAll(library.away, library.back)
		bob.sh(`rm g.json`)
		w.expect(library.remove)
		w.stop()
	}
}

// expectAll waits for lines in any order.
func (w *watcher) expectAll(want ...string) {
	w.tb.Helper()
	if len(want) == 0 {
		return
	}
	from := len(w.seen)
	w.expect(want[0])
	for _, line := range want[1:] {
		if !slices.ContainsFunc(w.seen[from:], func(got string) bool { return strings.Contains(got, line) }) {
			w.expect(line)
		}
	}
}

// installWatchers installs the libraries, as the lock file says, and returns where
// the script is that uses them.
func installWatchers(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "watch.mjs"} {
		b, err := os.ReadFile(filepath.Join("testdata", "watch", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// No script of a package is run: the watcher comes as a binary.
	r := do(t, 3*time.Minute, os.Environ(), "npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	if r.code != 0 {
		t.Skipf("THE LIBRARIES CANNOT BE INSTALLED: npm: exit status %d: %.2000s", r.code, r.stderr)
	}
	return dir
}
