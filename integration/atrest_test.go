package integration_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is in the objects, and what they are called, is nowhere in the vault's
// files, while the daemon runs and after.
func TestNothingInPlain(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	v.sh(`mkdir markerfolder; echo '{"@type":"dxn:type:example.com/type/Markertype:0.1.0","markerfield":"markervalue"}' > markername.json
		echo markerprose > markertext.md; mv markername.json markermoved.json; rm markertext.md; echo '{"markerdraft' > markerbad.json || true`)
	v.run("space", "create", "markerspace")
	phrase := strings.Fields(v.run("phrase", "show"))
	words := []string{"markerfolder", "Markertype", "markerfield", "markervalue", "markername", "markerprose", "markertext",
		"markermoved", "markerdraft", "markerbad", "markerspace", strings.Join(phrase[:3], " ")}
	search := func(when string) {
		dir := v.data
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // files of a running database come and go
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			for _, w := range words {
				for _, form := range []string{w, hex.EncodeToString([]byte(w)), base64.RawStdEncoding.EncodeToString([]byte(w))[:len(w)]} {
					if bytes.Contains(b, []byte(form)) || strings.Contains(path, form) {
						t.Errorf("%s: %s has %q", when, path, form)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	search("running")
	v.restart()
	if got := v.sh("cat markermoved.json; ls"); !strings.Contains(got, "markervalue") || !strings.Contains(got, "markerfolder") {
		t.Errorf("after a restart: got %q", got)
	}
	v.fsck()
	v.stop()
	search("stopped")
}
