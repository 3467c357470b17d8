package integration_test

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed testdata/posix/*.txt
var deviationFiles embed.FS

// posixProgram builds the program that tries what POSIX says.
func posixProgram(tb testing.TB) string {
	tb.Helper()
	bin := filepath.Join(rooms, "posix")
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if out, err := exec.Command("go", "build", "-o", bin, "echofs/integration/posix").CombinedOutput(); err != nil {
		tb.Fatalf("build the cases of POSIX: %v\n%s", err, out)
	}
	return bin
}

// TestPosix tries what POSIX says, with objects and with local files, alone and
// with other users. What is different by design is listed with its reason in
// testdata/posix; an entry of the list that is not different any more fails the
// test, so that the list can only become shorter.
func TestPosix(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("devices and other users need root")
	}
	bin := posixProgram(t)
	for _, mount := range []struct {
		name  string
		flags []string
		users string
	}{{"one-user", nil, "none"}, {"users", []string{"--allow-other"}, "only"}} {
		t.Run(mount.name, func(t *testing.T) {
			v := newVault(t, "ada", append(mount.flags, "--offline")...)
			v.sh(`mkdir .local objects`)
			for place, dir := range map[string]string{"local": ".local", "object": "objects"} {
				r := v.shell(fmt.Sprintf("%s -users=%s %s", bin, mount.users, dir))
				if r.code != 0 {
					t.Fatalf("the cases could not be tried: %s", r)
				}
				compareDeviations(t, place, mount.users == "only", r.stdout)
			}
		})
	}
}

// compareDeviations holds what the cases printed against the list of a place.
func compareDeviations(t *testing.T, place string, users bool, printed string) {
	t.Helper()
	known := deviations(t, place, users)
	tried := map[string]bool{}
	for line := range strings.Lines(printed) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "ok "); ok {
			tried[name] = true
			if reason := known[name]; reason != "" {
				t.Errorf("%s: %s is as on any file system now: take it off the list (%q)", place, name, reason)
			}
			continue
		}
		name, why, _ := strings.Cut(strings.TrimPrefix(line, "not ok "), " ")
		tried[name] = true
		if known[name] == "" {
			t.Errorf("%s: %s: %s", place, name, why)
		}
	}
	for name := range known {
		if !tried[name] {
			t.Errorf("%s: %s is on the list, and no case", place, name)
		}
	}
	if len(tried) < 20 {
		t.Errorf("%s: got only %d cases", place, len(tried))
	}
}

// deviations reads the list of a place: lines of a case and the reason why it is
// different. Cases with other users begin with "users ".
func deviations(t *testing.T, place string, users bool) map[string]string {
	t.Helper()
	text, err := deviationFiles.ReadFile("testdata/posix/" + place + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		line, withUsers := strings.CutPrefix(line, "users ")
		name, reason, _ := strings.Cut(line, ": ")
		if strings.TrimSpace(reason) == "" {
			t.Errorf("%s: %s has no reason", place, name)
		}
		if withUsers == users {
			known[name] = reason
		}
	}
	return known
}
