package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// later are the commands of the first plan that are not part of the program yet.
var later = []string{"app authorize", "app list", "app revoke", "backup", "console", "schema add", "schema list", "schema rm", "verify"}

// elsewhere are the commands that other tests run, since they need a network or a
// vault of their own.
var elsewhere = []string{"adopt", "completion bash", "completion fish", "completion powershell", "completion zsh", "conflicts settle",
	"device invite", "device revoke", "help", "invite cancel", "lock", "member approve", "member decline", "member remove", "member role", "passphrase remove", "passphrase set", "recover", "serve", "signal",
	"space leave", "trash restore", "umount", "unlock", "watch", "wait", "join", "mount"}

// commandsOf lists the commands of the program that do something, by their words.
func commandsOf(v *vault, words ...string) (out []string) {
	v.tb.Helper()
	r := v.try(slices.Concat([]string{"__complete"}, words, []string{""})...)
	for line := range strings.Lines(r.stdout) {
		name, about, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || about == "" || strings.HasPrefix(name, "-") {
			continue
		}
		full := append(slices.Clone(words), name)
		below := []string(nil)
		if len(words) == 0 && name != "help" {
			below = commandsOf(v, full...)
		}
		if len(below) == 0 {
			below = []string{strings.Join(full, " ")}
		}
		out = append(out, below...)
	}
	return out
}

// oneDocument reads what must be one JSON document and nothing else.
func oneDocument(out string) (doc any, err error) {
	dec := json.NewDecoder(strings.NewReader(out))
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("there is more after the document: %q", out)
	}
	return doc, nil
}

// tableRow is a command with what its document must have.
type tableRow struct {
	args   []string
	fields []string
	none   bool // it prints no data
	text   bool // it prints a text for any flags
	code   int  // the exit status
	alone  bool // it is run without a daemon too
}

// commandTable is what is run of a vault with the files f.json (twice saved),
// b.bin, gone.json, which was removed, and the draft bad.json.
func commandTable(v *vault) []tableRow {
	f, tar := v.path("f.json"), v.dir+"/out.tar"
	return []tableRow{
		{args: []string{"status"}, fields: []string{".identity.did string", ".spaces array", ".mounts array", ".warnings array"}, alone: true},
		{args: []string{"peers"}, fields: []string{" array"}, alone: true},
		{args: []string{"identity"}, fields: []string{".did string", ".name string"}, alone: true},
		{args: []string{"identity", "rename", "Ada"}, fields: []string{".did string"}},
		{args: []string{"device", "list"}, fields: []string{"[].id string", "[].name string", "[].level string", "[].state string", "[].last_seen string"}, alone: true},
		{args: []string{"device", "rename", "adas-machine"}, fields: []string{".did string"}},
		{args: []string{"member", "list", v.space}, fields: []string{"[].did string", "[].role string", "[].devices[].online bool", "[].devices[].last_seen string"}, alone: true},
		{args: []string{"space", "list"}, fields: []string{"[].id string", "[].name string", "[].role string", "[].objects number", "[].members number", "[].open bool"}, alone: true},
		{args: []string{"space", "info", v.space}, fields: []string{".id string"}},
		{args: []string{"space", "create", "more"}, fields: []string{".id string", ".name string"}},
		{args: []string{"space", "rename", "more", "less"}, fields: []string{".name string"}},
		{args: []string{"space", "export", v.space, tar}, none: true, alone: true},
		{args: []string{"space", "import", tar, "--name", "again"}, fields: []string{".id string", ".name string"}},
		{args: []string{"invite", v.space}, code: 5},
		{args: []string{"invite", "list"}, code: 5},
		{args: []string{"stat", f}, fields: []string{".id string", ".kind string", ".type string", ".space string", ".uri string", ".heads array", ".author string", ".base string", ".replicas number"}, alone: true},
		{args: []string{"stat", v.path("b.bin")}, fields: []string{".kind string", ".versions[].size number", ".versions[].here bool"}},
		{args: []string{"log", f}, fields: []string{"[].rev number", "[].time string", "[].author string", "[].device string", "[].fields array", "[].summary string"}, alone: true},
		{args: []string{"log", v.path("b.bin")}, fields: []string{"[].rev number"}},
		{args: []string{"show", f}, fields: []string{" object"}, alone: true},
		{args: []string{"show", f, "--at", "1", "--canonical"}, fields: []string{" object"}},
		{args: []string{"show", v.path("b.bin")}, fields: []string{".blob.size number", ".blob.root string"}, alone: true},
		{args: []string{"show", v.path("t.md")}, fields: []string{" string"}},
		{args: []string{"diff", f}, fields: []string{".path string", ".a string", ".b string", ".diff string"}, alone: true},
		{args: []string{"diff", v.path("b.bin")}, fields: []string{".diff string"}},
		{args: []string{"blame", f}, fields: []string{"[].pointer string", "[].author string"}, alone: true},
		{args: []string{"restore", f, "--at", "1"}, fields: []string{".path string", ".changed bool"}},
		{args: []string{"restore", v.path("b.bin"), "--at", "1"}, fields: []string{".changed bool"}},
		{args: []string{"space", "compact", v.space}, fields: []string{" object"}},
		{args: []string{"undo", f}, fields: []string{" array"}},
		{args: []string{"conflicts"}, fields: []string{" array"}, alone: true},
		{args: []string{"drafts"}, fields: []string{"[].path string", "[].line number", "[].reason string"}, alone: true},
		{args: []string{"drafts", "list"}, fields: []string{"[].path string", "[].space string", "[].column number", "[].pointer string", "[].saved string"}},
		{args: []string{"drafts", "show", v.path("bad.json")}, fields: []string{" string"}},
		{args: []string{"drafts", "discard", v.path("bad.json")}, none: true},
		{args: []string{"trash"}, fields: []string{"[].path string"}, alone: true},
		{args: []string{"trash", "list"}, fields: []string{"[].path string"}},
		{args: []string{"query", v.space}, fields: []string{"[].id string", "[].path string", "[].type string", "[].data object"}, alone: true},
		{args: []string{"query", v.space, "--paths"}, fields: []string{"[] string"}},
		{args: []string{"audit"}, fields: []string{" array"}},
		{args: []string{"wait", f, "--timeout", "10s"}, none: true},
		{args: []string{"phrase", "show"}, fields: []string{" object"}},
		{args: []string{"init"}, code: 1},
		{args: []string{"doctor"}, fields: []string{"[].name string"}, code: -1}, // which speaks of this machine
		{args: []string{"fsck"}, fields: []string{".problems array"}, alone: true},
		{args: []string{"version"}, fields: []string{".version string"}, alone: true},
		{args: []string{"man"}, text: true},
		{args: []string{"backup"}, code: 2}, {args: []string{"app", "list"}, code: 2}, {args: []string{"console"}, code: 2},
		{args: []string{"stat", v.path("none.json")}, code: 3, alone: true},
		{args: []string{"space", "leave", "nowhere"}, code: 3},
		{args: []string{"show", v.path("b.bin"), "--at", "99"}, code: 3},
		{args: []string{"wait", f, "--peers", "1", "--timeout", "100ms"}, code: 5},
	}
}

// check runs a row.
func (row tableRow) check(v *vault) {
	v.tb.Helper()
	r := v.try(append(slices.Clone(row.args), "--json")...)
	switch {
	case row.code >= 0 && r.code != row.code:
		v.tb.Errorf("want exit status %d, got %s", row.code, r)
		return
	case row.code > 0:
		if r.stdout != "" || r.stderr == "" {
			v.tb.Errorf("want nothing on stdout and a reason on stderr, got %s", r)
		}
		return
	case row.text:
		if r.stdout == "" {
			v.tb.Errorf("want a text, got %s", r)
		}
		return
	case row.none && r.stdout == "":
		return
	}
	doc, err := oneDocument(r.stdout)
	if err != nil {
		v.tb.Fatalf("%v: %s", err, r)
	}
	got := shape(doc)
	for _, want := range row.fields {
		if !slices.Contains(got, want) {
			v.tb.Errorf("there is no %q in %s", want, strings.Join(got, ", "))
		}
	}
}

// TestEveryCommand runs each command there is with --json, with a daemon, and
// those that only look without one too. A command that is in no list fails it.
func TestEveryCommand(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	v := newVault(t, "ada")
	v.sh(`echo '{"v":1}' > f.json; echo text > t.md; printf 'a\0\377' > b.bin; echo '{}' > gone.json; echo '{' > bad.json || true`)
	v.run("log", v.path("f.json")) // makes it a document
	v.run("log", v.path("b.bin"))
	v.run("log", v.path("gone.json"))
	v.sh(`echo '{"v":2}' > f.json; printf 'bb\0\377b' > b.bin; rm gone.json`)
	table := commandTable(v)
	for _, name := range commandsOf(v) {
		known := slices.ContainsFunc(table, func(r tableRow) bool {
			return strings.HasPrefix(strings.Join(r.args, " ")+" ", name+" ") && r.code != 2
		})
		if !known && !slices.Contains(elsewhere, name) && !slices.Contains(later, name) {
			t.Errorf("nobody tests the command %q", name)
		}
	}
	for _, row := range table {
		t.Run(strings.Join(row.args, " "), func(t *testing.T) { row.check(v.on(t)) })
	}
	v.sh(`echo '{' > bad.json || true`) // its draft is looked at again
	v.stop()
	for _, row := range table {
		if row.alone {
			t.Run("alone "+strings.Join(row.args, " "), func(t *testing.T) { row.check(v.on(t)) })
		}
	}
}

// TestRefused has a command end with the status for it.
func TestRefused(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	_, bob := pair(t)
	var members []struct{ DID, Role string }
	bob.json(&members, "member", "list", bob.space)
	for _, m := range members {
		if m.Role == "owner" {
			if r := bob.refuse(4, "member", "remove", bob.space, m.DID, "--json"); r.stdout != "" {
				t.Errorf("got %s, want nothing on stdout", r)
			}
		}
	}
}

// TestShowBlob prints the bytes of a blob, as it is and as it was.
func TestShowBlob(t *testing.T) {
	withoutRace(t)
	t.Parallel()
	v := newVault(t, "ada")
	v.sh(`head -c 3000000 /dev/urandom > big.bin; cp big.bin "$ECHOFS_HOME/../first"`)
	v.run("log", v.path("big.bin"))
	v.sh(`printf 'x\0\377' > big.bin`)
	v.sh(`"$ECHOFS" show personal/big.bin --at 1 | cmp - "$ECHOFS_HOME/../first"; "$ECHOFS" show personal/big.bin | cmp - big.bin`)
	if got, want := v.run("diff", v.path("big.bin"), "1"), "binary, 3000000 bytes -> 3 bytes\n"; got != want {
		t.Errorf("diff: got %q, want %q", got, want)
	}
	r := do(t, patience, v.env(), "script", "-qec", program+" show "+v.path("big.bin"), "/dev/null")
	if r.code != 2 || !strings.Contains(r.stdout, "--raw") || bytes.ContainsRune([]byte(r.stdout), 0) {
		t.Errorf("on a terminal: want exit status 2 and a hint, got %s", r)
	}
	v.run("restore", v.path("big.bin"), "--at", "1")
	v.sh(`cmp big.bin "$ECHOFS_HOME/../first"`)
	v.stop()
	if r := v.try("show", v.path("big.bin")); len(r.stdout) != 3000000 {
		t.Errorf("without a daemon: got %d bytes, %q", len(r.stdout), r.stderr)
	}
}
