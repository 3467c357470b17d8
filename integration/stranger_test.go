package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAllowOther is what another user tries in root's mount that lets others in.
func TestAllowOther(t *testing.T) {
	t.Parallel()
	need(t, "setpriv", "python3")
	if os.Getuid() != 0 {
		t.Skip("only root can become other users")
	}
	v := newVault(t, "ada", "--allow-other", "--offline")
	v.reachable()
	v.sh(`chmod 755 .; mkdir open; chmod 777 open; echo '{"v":1}' > mine.json; echo '{"v":2}' > open/all.json; chmod 666 open/all.json
		printf '#!/bin/sh\necho ran\n' > open/run.sh; printf '#!/bin/sh\necho ran\n' > .run; chmod 755 open/run.sh .run`)
	for _, c := range []struct{ name, script, want string }{
		{"read a private file", `cat mine.json`, "Permission denied"},
		{"write a private file", `echo '{}' > mine.json`, "Permission denied"},
		{"append to a private file", `echo '{}' >> mine.json`, "Permission denied"},
		{"remove from a closed directory", `rm -f mine.json`, "Permission denied"},
		{"make in a closed directory", `echo '{}' > new.json`, "Permission denied"},
		{"change the mode of another's file", `chmod 644 mine.json`, "not permitted"},
		{"setuid on another's file", `chmod u+s open/all.json`, "not permitted"},
		{"give a file away", `chown 0 open/all.json`, "not permitted"},
		{"make a device", `mknod open/null c 1 3`, "not permitted"},
		{"make a pipe", `mkfifo open/pipe`, "not permitted"},
		{"set a security attribute", `python3 -c 'import os; os.setxattr("open/all.json", "security.x", b"1")'`, "Operation not"},
		{"set a user attribute", `python3 -c 'import os; os.setxattr("open/all.json", "user.x", b"1")'`, "Operation not"},
		{"execute an object", `./open/run.sh`, "Permission denied"},
		{"execute a local file", `./.run`, "Permission denied"},
		{"see the control directory", `cat .echofs/status.json`, "Permission denied"},
	} {
		if r := v.as(user(stranger), `cd "$HERE" && `+c.script); r.code == 0 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: got %s, want %q", c.name, r, c.want)
		}
	}
	if r := v.as(user(stranger), `cd "$HERE/open" && cat all.json && echo '{"v":3}' > all.json && echo '{"by":"other"}' > theirs.json`); r.code != 0 || r.stdout != "{\"v\":2}\n" {
		t.Errorf("what modes allow: got %s", r)
	}
	// Modes have no special bits, whoever asks; and nothing is executed.
	v.sh(`[ "$(cat mine.json)" = '{"v":1}' ]; [ "$(cat open/all.json)" = '{"v":3}' ]; chmod u+s open/run.sh
		[ "$(stat -c %a open/run.sh)" = 755 ]; ! ./open/run.sh 2> /dev/null; ! ./.run 2> /dev/null`)
	if got := v.fails(`python3 -c 'import os; os.setxattr("mine.json", "security.x", b"1")'`); !strings.Contains(got, "Operation not supported") {
		t.Errorf("security.x: got %q, want that it is not supported", got)
	}
	v.fsck()
}

// reachable lets other users come as far as the mount.
func (v *vault) reachable() {
	v.tb.Helper()
	for _, dir := range []string{rooms, v.dir} {
		if err := os.Chmod(dir, 0o711); err != nil {
			v.tb.Fatal(err)
		}
	}
}

// ask connects to a control socket, and prints what it answers to a request.
const ask = `python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
s.sendall(b"POST /v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
print("answer:", len(s.recv(1000)))' `

// TestStrangers is what another user tries with a vault and a mount that are not
// theirs, and what its owner is told who left a door open.
func TestStrangers(t *testing.T) {
	t.Parallel()
	need(t, "setpriv", "python3")
	if os.Getuid() != 0 {
		t.Skip("only root can become other users")
	}
	v := newVault(t, "ada")
	v.reachable()
	v.sh(`echo '{"v":1}' > f.json; chmod 777 .`)
	socket := filepath.Join(v.data, "ctl.sock")
	other := user(stranger)
	denied := func(what, script, want string) {
		t.Helper()
		if r := v.as(other, script); r.code == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: got %s, want %q", what, r, want)
		}
	}
	denied("another user lists the mount", `ls "$M"`, "Permission denied")
	denied("another user reads a file", `cat "$HERE/f.json"`, "Permission denied")
	denied("another user lists the vault", `ls "$ECHOFS_HOME"`, "Permission denied")
	denied("another user connects", ask+socket, "Permission denied")
	denied("another user's command", `"$ECHOFS" status`, "not private to you")

	// With both doors open the kernel tells the daemon who it is.
	open := func(dir, socketMode os.FileMode) {
		t.Helper()
		for name, mode := range map[string]os.FileMode{v.data: dir, socket: socketMode} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	open(0o755, 0o666)
	if r := v.as(other, ask+socket); strings.Contains(r.stdout, "answer:") && !strings.Contains(r.stdout, "answer: 0") {
		t.Errorf("another user at an open socket: got %s, want no answer", r)
	}
	if log := tail(v.logFile(), 4000); !strings.Contains(log, "dropped") {
		t.Errorf("the daemon's log says nothing of a stranger: %s", log)
	}
	r := v.refuse(4, "status")
	if !strings.Contains(r.stderr, "not private to you") || !strings.Contains(r.stderr, "chmod 700") {
		t.Errorf("a vault that others may enter: got %s, want what to do", r)
	}
	open(0o700, 0o600)
	v.stop()

	// Nor does a daemon start there.
	refused := func(want string) {
		t.Helper()
		if r := v.try("mount", "-d", "--offline", v.mnt); r.code == 0 || !strings.Contains(r.stderr, want) {
			t.Errorf("mount: got %s, want %q", r, want)
		}
		v.isMounted(false)
	}
	if err := os.Chmod(v.data, 0o755); err != nil {
		t.Fatal(err)
	}
	refused("not private to you")
	if err := os.Chmod(v.data, 0o700); err != nil {
		t.Fatal(err)
	}
	trap := filepath.Join(v.dir, "trap")
	if err := os.Mkdir(trap, 0o700); err != nil {
		t.Fatal(err)
	}
	aside := v.data + ".aside"
	if err := os.Rename(v.data, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(trap, v.data); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(trap, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(trap, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	refused("")
	for _, name := range []string{"ctl.sock", "lock", "db", "format"} {
		if _, err := os.Lstat(filepath.Join(trap, name)); err == nil {
			t.Errorf("the daemon made %s in the directory of another user", name)
		}
	}
	if err := os.Remove(v.data); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, v.data); err != nil {
		t.Fatal(err)
	}
	v.start("--offline")
	v.sh(`[ "$(cat f.json)" = '{"v":1}' ]`)
}
