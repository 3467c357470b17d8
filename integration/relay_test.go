package integration_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// serve starts a daemon without a mount, and waits until it answers.
func (v *vault) serve(flags ...string) {
	v.tb.Helper()
	v.launch(append([]string{program, "serve"}, flags...), "serving the vault")
}

// relayStatus is what the status of a space tells on its relay.
type relayStatus struct {
	Entries, Bytes, Refused int
	Wanted                  int `json:"chunks_wanted"`
}

// Two members who are never there at once meet through a relay, which learns
// nothing of what they write.
func TestRelay(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	r := signalServer(t)
	ada := r.vault(t, "ada").in("markerspace")
	bob := ada.admit(r.vault(t, "bob"))
	bob.leave()
	relay := makeVault(t, "keeper")
	relay.serve("--no-lan", "--signal", r.url, "--quota", "1GiB")
	inv, host := ada.invite("--role", "relay")
	joined := relay.run("join", inv.Code, "--auth-code", inv.AuthCode, "--json")
	if lines, code := host.rest(); code != 0 {
		t.Fatalf("invite ended with %d: %q", code, lines)
	}
	if strings.Contains(joined, "markerspace") {
		t.Errorf("the relay is told the space's name: %s", joined)
	}
	ada.sh(`mkdir markerfolder; echo '{"markerfield":"markervalue"}' > markerfolder/markername.json; echo markerprose > markertext.md
		head -c 3000000 /dev/zero | tr '\0' '\377' > markerblob.bin; echo markerbytes >> markerblob.bin`)
	ada.run("wait", ada.space, "--device", "relay", "--timeout", "60s")
	relaySpace := func() (name string, st relayStatus) {
		var all struct {
			Spaces []struct {
				Name, Role string
				Objects    int
				Relay      *relayStatus
			}
		}
		relay.json(&all, "status")
		for _, s := range all.Spaces {
			if s.Role == "relay" && s.Relay != nil && s.Objects == 0 {
				return s.Name, *s.Relay
			}
		}
		return "", st
	}
	eventually(t, "the relay has the chunks", patience, func() error {
		if _, st := relaySpace(); st.Entries == 0 || st.Wanted > 0 || st.Bytes < 3000000 {
			return fmt.Errorf("it keeps %+v", st)
		}
		return nil
	})
	ada.leave()
	bob.meet()
	bob.file("markertext.md", "markerprose\n", patience)
	eventually(t, "bob reads the blob", patience, func() error {
		if got := bob.shell("tail -c 12 markerblob.bin; stat -c %s markerblob.bin").stdout; got != "markerbytes\n3000012\n" {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
	if got := bob.canonical("markerfolder/markername.json"); !strings.Contains(got, "markervalue") {
		t.Errorf("bob shows %q", got)
	}
	bob.sh("echo markeranswer > markerreply.md")
	bob.run("wait", bob.space, "--device", "relay", "--timeout", "60s")
	bob.leave()
	ada.meet()
	ada.file("markerreply.md", "markeranswer\n", patience)

	name, _ := relaySpace()
	if r := relay.refuse(4, "space", "export", name, filepath.Join(relay.dir, "out.tar")); !strings.Contains(r.stderr, "relay") {
		t.Errorf("export at the relay: got %q, want the reason", r.stderr)
	}
	words := []string{"markerspace", "markerfolder", "markername", "markerfield", "markervalue", "markerprose", "markertext",
		"markerblob", "markerbytes", "markeranswer", "markerreply", "adas-machine", "bobs-machine"}
	nowhere(t, relay.data, words)
	relay.stop()
	nowhere(t, relay.data, words)
	if report := relay.run("fsck", "--json"); !strings.Contains(report, `"problems":[]`) {
		t.Errorf("fsck of the relay: %s", report)
	}
}

// nowhere checks that words are in no name and no file of a directory: neither as
// they are, nor in hexadecimal, base64 or UTF-16.
func nowhere(t *testing.T, dir string, words []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // files of a running database come and go
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		for _, w := range words {
			for _, form := range formsOf(w) {
				if bytes.Contains(b, form) || strings.Contains(path, string(form)) {
					t.Errorf("%s has %q, as %q", path, w, form)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// formsOf returns a word as it may be written, in base64 at each of three places.
func formsOf(w string) [][]byte {
	var wide []byte
	for _, u := range utf16.Encode([]rune(w)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	forms := [][]byte{[]byte(w), []byte(hex.EncodeToString([]byte(w))), wide}
	for i := range 3 {
		s := base64.StdEncoding.EncodeToString(slices.Concat(make([]byte, i), []byte(w)))
		forms = append(forms, []byte(s[(8*i+5)/6:len(s)-4]))
	}
	return forms
}
