package integration_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// secretly runs a command of the program with the passphrase on a descriptor.
func (v *vault) secretly(passphrase string, args ...string) string {
	v.tb.Helper()
	env := append(v.env(), "P="+filepath.Join(v.dir, "passphrase"))
	if err := os.WriteFile(filepath.Join(v.dir, "passphrase"), []byte(passphrase+"\n"), 0o600); err != nil {
		v.tb.Fatal(err)
	}
	r := do(v.tb, 2*patience, env, "bash", append([]string{"-c", `exec "$ECHOFS" --passphrase-fd 3 "$@" 3<"$P"`, "echofs"}, args...)...)
	if r.code != 0 {
		v.tb.Fatalf("%s: %s", v.name, r)
	}
	return r.stdout
}

// forms are the ways in which a text could stand in a file.
func forms(s string) map[string][]byte {
	wide := make([]byte, 0, 2*len(s))
	for _, u := range utf16.Encode([]rune(s)) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	return map[string][]byte{"plain": []byte(s), "hex": []byte(hex.EncodeToString([]byte(s))), "UTF-16": wide,
		"base64": []byte(base64.RawStdEncoding.EncodeToString([]byte(s))[:len(s)])}
}

// search looks for texts in all files of a directory, and for files that others
// may use.
func search(tb testing.TB, dir string, texts []string) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			tb.Errorf("%s: got mode %v (%v), want it closed to others", path, info.Mode(), err)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, text := range texts {
			for how, form := range forms(text) {
				if bytes.Contains(b, form) {
					tb.Errorf("%s has %q (%s)", path, text, how)
				}
			}
		}
		return nil
	})
	if err != nil {
		tb.Error(err)
	}
}

// A vault that is locked by a passphrase shows nobody whose it is, what is in it,
// and whom it meets; and no process, log or command line shows a secret.
func TestNothingToReadWhereAPassphraseIsSet(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	const passphrase = "markerhorse battery staple"
	v := makeMachine(t, "ada")
	v.run("init", "--name", "Markerada", "--device", "markerlaptop")
	words := strings.Fields(v.run("phrase", "show"))
	v.secretly(passphrase, "passphrase", "set") // there was none: the line is the new one
	v.secretly(passphrase, "mount", "-d", "--no-lan", "--signal", "ws://127.0.0.1:9/markersignal", v.mnt)
	v.sh(`mkdir markerfolder; echo '{"markerfield":"markervalue"}' > markerfolder/markername.json; printf '\0markerblob' > markerblob.bin`)
	v.run("space", "create", "markerspace")

	var pong struct{ Device struct{ Name string } }
	if v.json(&pong, "identity"); pong.Device.Name != "markerlaptop" {
		t.Errorf("device: got %q", pong.Device.Name)
	}
	secret := []string{passphrase, "markerhorse", strings.Join(words[:3], " "), strings.Join(words[21:], " ")}
	pid := v.daemonPID()
	for _, name := range []string{"environ", "cmdline"} {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
		if err != nil && os.Getuid() == 0 {
			t.Error(err)
		}
		for _, s := range append(secret, "markersignal") {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("the daemon's %s has %q", name, s)
			}
		}
	}
	limits, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "limits"))
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0") {
		t.Errorf("limits of the daemon: got %v\n%s, want no core dumps", err, limits)
	}

	v.run("lock")
	if left := mountsBelow(v.dir); len(left) > 0 {
		t.Errorf("locked: got mounts %q, want none", left)
	}
	v.refuse(4, "show", "personal/markerfolder/markername.json")
	search(t, v.data, append(secret, "Markerada", "markerlaptop", "markersignal", "markerfolder", "markername", "markerfield",
		"markervalue", "markerblob", "markerspace"))

	v.secretly(passphrase, "unlock")
	if got := v.sh("cat markerfolder/markername.json; cat markerblob.bin"); !strings.Contains(got, "markervalue") || !strings.Contains(got, "markerblob") {
		t.Errorf("unlocked: got %q", got)
	}
	v.run("umount", v.mnt)
}
