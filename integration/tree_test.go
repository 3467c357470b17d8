package integration_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// treeOf lists all paths of a space, and then its objects with their identities.
const treeOf = `find . -mindepth 1 -print | LC_ALL=C sort; "$ECHOFS" query shared --json | jq -c 'sort_by(.id)[] | [.id, .path]'`

// Three people change the same tree without knowing of each other: they make the
// same names, move folders into each other, move and remove the same file, make
// files in a folder that somebody removes, and rename onto each other. All come to
// the same tree, in which nothing is lost, and log knows what happened.
func TestConcurrentTrees(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	need(t, "jq")
	vaults := three(t)
	ada, bob, eve := vaults[0], vaults[1], vaults[2]
	ada.sh(`mkdir a b c gone; for f in moved onto1 onto2 edited; do echo "{\"was\":\"$f\"}" > $f.json; done; echo '{}' > gone/old.json`)
	for _, v := range vaults {
		eventually(t, v.name+" has the tree", patience, func() error {
			return want(v.shell("cat gone/old.json edited.json onto2.json; cd a; cd ../b; cd ../c"), 0)
		})
	}
	for _, v := range vaults {
		v.leave()
	}
	ada.sh(`mv a b/; mv moved.json c/; echo '{"by":"ada"}' > same.json; mkdir both; echo '{}' > both/ada.json; echo '{"by":"ada"}' > gone/new.json; mv onto1.json x.json`)
	bob.sh(`mv b c/; rm moved.json; echo '{"by":"bob"}' > same.json; mkdir both; echo '{}' > both/bob.json; rm -r gone; mv onto2.json x.json; rm edited.json`)
	eve.sh(`mv c a/; mv moved.json a/; echo '{"by":"eve"}' > same.json; echo '{"was":"edited","by":"eve"}' > edited.json; mv onto1.json onto2.json`)
	for _, v := range vaults {
		v.meet()
	}
	for _, v := range vaults {
		v.peers(2)
	}
	var tree string
	eventually(t, "all have the same tree", 2*patience, func() error {
		first := ada.shell(treeOf)
		for _, v := range vaults[1:] {
			if got := v.shell(treeOf); got.stdout != first.stdout || first.code != 0 {
				return fmt.Errorf("ada:\n%s\n%s:\n%s", first.stdout, v.name, got.stdout)
			}
		}
		for _, name := range []string{"/new.json\n", "/ada.json\n", "/bob.json\n", "edited.json\n", "x.json\n"} {
			if !strings.Contains(first.stdout, name) {
				return fmt.Errorf("there is no %s in\n%s", name, first.stdout)
			}
		}
		tree = first.stdout
		return nil
	})
	for _, folder := range []string{"/a\n", "/b\n", "/c\n"} {
		if strings.Count(tree, folder) != 1 {
			t.Errorf("folder %s is there %d times, want once:\n%s", folder, strings.Count(tree, folder), tree)
		}
	}
	if got := strings.Count(tree, "\n./same"); got != 3 {
		t.Errorf("three files of one name: got %d in\n%s", got, tree)
	}
	for _, v := range vaults {
		v.sh(`cat $(find . -name 'same*.json') | grep -o '"by": *"[a-z]*"' | tr -d ' ' | sort | tr -d '\n' | grep -q '"by":"ada""by":"bob""by":"eve"'
			grep -q eve edited.json`)
		var revs []revision
		if err := json.Unmarshal([]byte(v.sh(`"$ECHOFS" log edited.json --json`)), &revs); err != nil || !slices.ContainsFunc(revs, func(r revision) bool { return strings.Contains(r.Summary, "delete") }) {
			t.Errorf("%s: log of what was removed and edited: got %+v, %v, want the removal too", v.name, revs, err)
		}
	}
	for _, v := range vaults {
		v.restart()
		if got := v.sh(treeOf); got != tree {
			t.Errorf("%s after a restart: got\n%swant\n%s", v.name, got, tree)
		}
		v.fsck()
	}
}
