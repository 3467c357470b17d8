package integration_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// copyTo makes another machine whose vault is a copy of this one's, which must
// not be in use.
func (v *vault) copyTo(name string) *vault {
	v.tb.Helper()
	other := makeMachine(v.tb, name)
	for _, dir := range []string{"vault", "home"} {
		if out, err := exec.Command("cp", "-a", "-T", v.dir+"/"+dir, other.dir+"/"+dir).CombinedOutput(); err != nil {
			v.tb.Fatalf("copy %s: %v: %s", dir, err, out)
		}
	}
	other.online = slices.Clone(v.online)
	return &vault{other.machine, v.space}
}

// warned reports whether the status here has a warning.
func (v *vault) warned(code string) bool {
	v.tb.Helper()
	return strings.Contains(v.run("status", "--json"), `"code":"`+code+`"`)
}

// A vault's directory is copied, and both copies are used: each writes offline,
// and then both come. Nothing of either is lost, everybody shows the same, and
// the copy is told of.
func TestVaultIsCopied(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	ada, bob := pair(t)
	ada.sh(`echo '{"n":0}' > both.json; echo base > t.md`)
	bob.says("both.json", "0")
	bob.says("t.md", "base")
	ada.stop()
	twin := ada.copyTo("twin")

	ada.start("--offline")
	twin.start("--offline")
	if !twin.warned("copied") || ada.warned("copied") {
		t.Errorf("warned of the copy: got %v there and %v at the original, want true and false", twin.warned("copied"), ada.warned("copied"))
	}
	ada.sh(`echo '{"by":"ada"}' > a.json; echo '{"n":0,"ada":1}' > both.json`)
	twin.sh(`echo '{"by":"twin"}' > b.json; echo '{"n":0,"twin":1}' > both.json`)
	ada.restart(ada.online...)
	bob.says("a.json", "ada")
	bob.says("both.json", "ada")
	ada.stop()
	twin.restart(twin.online...)
	bob.says("b.json", "twin")
	bob.says("both.json", "twin")
	twin.says("a.json", "ada")
	twin.stop()
	ada.start(ada.online...)
	ada.says("b.json", "twin")
	everybody(t, "both.json", patience, holds(`{"ada":1,"n":0,"twin":1}`), ada, bob)
	ada.sh(`echo more > t.md`)
	bob.says("t.md", "more")
	for _, v := range []*vault{ada, bob} {
		v.fsck()
	}
}

// A backup of last week is put back in the place of the vault, which then writes
// at once, with or without others there: it has what it had, and nothing forks.
func TestVaultIsRestored(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	for name, online := range map[string]bool{"others are there": true, "offline first": false} {
		t.Run(name, func(t *testing.T) {
			ada, bob := pair(t)
			ada.sh(`echo '{"week":1}' > w.json`)
			bob.says("w.json", "1")
			ada.stop()
			backup := ada.copyTo("backup")
			ada.start(ada.online...)
			ada.sh(`echo '{"week":2}' > w.json; echo '{"v":1}' > since.json`)
			bob.says("since.json", "1")
			bob.says("w.json", "2")
			ada.stop()

			if online {
				backup.start(backup.online...)
			} else {
				backup.start("--offline")
			}
			backup.sh(`echo '{"v":1}' > new.json`)
			if !online {
				backup.restart(backup.online...)
			}
			backup.says("since.json", "1")
			backup.says("w.json", "2")
			bob.says("new.json", "1")
			backup.sh(`echo '{"week":3}' > w.json`)
			everybody(t, "w.json", patience, holds(`{"week":3}`), backup, bob)
			for _, v := range []*vault{backup, bob} {
				v.fsck()
			}
		})
	}
}
