package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// vault is somebody's machine, looked at from one of its spaces.
type vault struct {
	*machine
	space string // in which sh works
}

// machine is a home directory, a vault in it, a daemon, and its mount.
type machine struct {
	tb     testing.TB
	name   string
	dir    string   // of all its files
	data   string   // of the vault
	mnt    string   // the mount point
	online []string // flags of mount when it has a network
	link   *cable   // its own network, or nil
	within []string // what puts a child where the machine is and makes it its user, before its command
	room   *den     // its own mounts, or nil

	cmd   *exec.Cmd  // the daemon, or nil
	ended chan error // what became of it
}

// newVault makes a vault and mounts it with the given flags; without any it is
// offline.
func newVault(tb testing.TB, name string, flags ...string) *vault {
	tb.Helper()
	v := makeVault(tb, name)
	if len(flags) == 0 {
		flags = []string{"--offline"}
	}
	v.online = flags
	v.start(flags...)
	return v
}

// makeVault makes a vault without a daemon.
func makeVault(tb testing.TB, name string) *vault {
	tb.Helper()
	v := makeMachine(tb, name)
	v.run("init", "--name", strings.ToUpper(name[:1])+name[1:], "--device", name+"s-machine")
	return v
}

// makeMachine makes a home directory without a vault in it.
func makeMachine(tb testing.TB, name string) *vault {
	tb.Helper()
	needFUSE(tb)
	dir, err := os.MkdirTemp(rooms, name+"-")
	if err != nil {
		tb.Fatal(err)
	}
	v := &vault{&machine{tb: tb, name: name, dir: dir, data: filepath.Join(dir, "vault"), mnt: filepath.Join(dir, "mnt")}, "personal"}
	if err := os.Mkdir(filepath.Join(dir, "home"), 0o700); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(v.remove)
	return v
}

// env is the environment of everything that runs on this machine. There is no
// TMPDIR: editors treat what is below it as they treat /tmp.
func (v *vault) env() []string {
	home := filepath.Join(v.dir, "home")
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, ".config"),
		"ECHOFS_HOME=" + v.data, "M=" + v.mnt, "ECHOFS=" + program, "LC_ALL=C.UTF-8", "TERM=xterm",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
		"GORACE=atexit_sleep_ms=0"} // else every command ends a second late
}

// logFile is where the daemon's messages go.
func (v *vault) logFile() string { return filepath.Join(v.dir, "daemon.log") }

// start starts the daemon in the foreground, and waits until it has mounted and
// answers.
func (v *vault) start(flags ...string) {
	v.tb.Helper()
	command := slices.Concat(v.within, []string{program, "mount"}, flags, []string{v.mnt})
	if v.link != nil {
		command = append(v.link.enter(), command...)
	}
	v.launch(command, "mounted at") // a stale mount is listed like any other, so the daemon must say it
	var st status
	if v.json(&st, "status"); !slices.Contains(st.Mounts, v.mnt) {
		v.tb.Fatalf("status of %s: got mounts %q, want %s", v.name, st.Mounts, v.mnt)
	}
}

// launch starts the daemon by a command, and waits until its log says something.
func (v *vault) launch(command []string, says string) {
	v.tb.Helper()
	before, _ := os.ReadFile(v.logFile()) // missing at first
	log, err := os.OpenFile(v.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		v.tb.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env, cmd.Dir = v.env(), v.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		v.tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	v.cmd, v.ended = cmd, ended
	eventually(v.tb, v.name+"'s daemon: "+says, patience, func() error {
		select {
		case err := <-ended:
			v.cmd = nil
			v.tb.Fatalf("%s's daemon ended: %v\n%s", v.name, err, tail(v.logFile(), 4000))
		default:
		}
		if now, _ := os.ReadFile(v.logFile()); !strings.Contains(string(now[len(before):]), says) {
			return errors.New("it does not say so")
		}
		return nil
	})
}

// stop ends the daemon as ctrl-C does. It must succeed, and leave no mount.
func (v *vault) stop() {
	v.tb.Helper()
	v.signal(syscall.SIGTERM)
	if err := v.end(); err != nil {
		v.tb.Errorf("%s's daemon: got %v, want success after SIGTERM\n%s", v.name, err, tail(v.logFile(), 4000))
	}
	if left := v.mounts(); len(left) > 0 {
		v.tb.Errorf("%s stopped: got mounts %q, want none", v.name, left)
	}
}

// kill9 kills the daemon, which leaves its mount behind.
func (v *vault) kill9() {
	v.tb.Helper()
	v.signal(syscall.SIGKILL)
	_ = v.end() // it was killed
}

func (v *vault) signal(sig syscall.Signal) {
	v.tb.Helper()
	if v.cmd == nil {
		v.tb.Fatalf("%s has no daemon", v.name)
	}
	if err := v.cmd.Process.Signal(sig); err != nil {
		v.tb.Fatalf("signal %s's daemon: %v", v.name, err)
	}
}

// end waits for the end of the daemon.
func (v *vault) end() error {
	v.tb.Helper()
	cmd := v.cmd
	v.cmd = nil
	select {
	case err := <-v.ended:
		return err
	case <-time.After(patience):
		_ = cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to the log
		select {
		case <-v.ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
		}
		return fmt.Errorf("no end within %v", patience)
	}
}

// restart stops the daemon if it runs, and starts it with other flags, or those
// it had at first.
func (v *vault) restart(flags ...string) {
	v.tb.Helper()
	if v.cmd != nil {
		v.stop()
	}
	if len(flags) == 0 {
		flags = v.online
	}
	v.start(flags...)
}

// leave takes the vault off the network, and meet brings it back.
func (v *vault) leave() {
	v.tb.Helper()
	if v.link != nil {
		v.link.cut()
		return
	}
	v.restart("--offline")
}

func (v *vault) meet() {
	v.tb.Helper()
	if v.link != nil {
		v.link.mend()
		return
	}
	v.restart()
}

// remove ends everything, and shows the log of a test that has failed.
func (v *vault) remove() {
	if v.cmd != nil {
		v.stop()
	}
	for _, m := range v.mounts() { // of a daemon that was killed
		if r := v.try("umount", "--lazy", m); r.code != 0 {
			v.tb.Errorf("take a stale mount away: %s", r)
		}
	}
	log, _ := os.ReadFile(v.logFile()) // missing if there was no daemon
	for _, bad := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(string(log), bad) {
			v.tb.Errorf("%s's daemon: %s", v.name, bad)
		}
	}
	if v.tb.Failed() {
		v.tb.Logf("log of %s's daemon:\n%s", v.name, tail(v.logFile(), 20000))
	}
	if len(v.mounts()) == 0 {
		_ = os.RemoveAll(v.dir)
	}
}

// try runs a command of the program, and returns what became of it.
func (v *vault) try(args ...string) result {
	v.tb.Helper()
	command := slices.Concat(v.within, []string{program}, args)
	return do(v.tb, 2*patience, v.env(), command[0], command[1:]...)
}

// run runs a command that must succeed, and returns what it prints.
func (v *vault) run(args ...string) string {
	v.tb.Helper()
	r := v.try(args...)
	if r.code != 0 {
		v.tb.Fatalf("%s: %s", v.name, r)
	}
	return r.stdout
}

// refuse runs a command that must fail with an exit status.
func (v *vault) refuse(code int, args ...string) result {
	v.tb.Helper()
	r := v.try(args...)
	if r.code != code {
		v.tb.Errorf("%s: want exit status %d, got %s", v.name, code, r)
	}
	return r
}

// json runs a command with --json, and reads the document that it prints.
func (v *vault) json(doc any, args ...string) {
	v.tb.Helper()
	out := v.run(append(slices.Clone(args), "--json")...)
	if err := json.Unmarshal([]byte(out), doc); err != nil {
		v.tb.Fatalf("%s: echofs %q printed %q: %v", v.name, args, out, err)
	}
}

// follow runs a command with --json that prints line by line.
func (v *vault) follow(args ...string) *stream {
	v.tb.Helper()
	command := slices.Concat(v.within, []string{program}, args, []string{"--json"})
	return follow(v.tb, 5*time.Minute, v.env(), command[0], command[1:]...)
}

// here is the directory in which sh works. It is a string for children.
func (v *vault) here() string { return filepath.Join(v.mnt, v.space) }

// shell runs a script in the space's directory, and returns what became of it.
func (v *vault) shell(script string) result {
	v.tb.Helper()
	return v.as(v.within, `cd "$HERE" || exit 99`+"\n"+script)
}

// as runs a script as somebody who is put in place by the given words, in no
// particular directory, and returns what became of it.
func (v *vault) as(somebody []string, script string) result {
	v.tb.Helper()
	command := slices.Concat(somebody, []string{"bash", "-c", script})
	return do(v.tb, 2*patience, append(v.env(), "HERE="+v.here()), command[0], command[1:]...)
}

// mounts lists what is mounted below the machine's directory, where it is.
func (v *vault) mounts() []string {
	if v.room != nil {
		return v.room.mountsBelow(v.dir)
	}
	return mountsBelow(v.dir)
}

// sh runs a script that must succeed, and returns what it prints.
func (v *vault) sh(script string) string {
	v.tb.Helper()
	r := v.shell("set -e\n" + script)
	if r.code != 0 {
		v.tb.Fatalf("%s: %s", v.name, r)
	}
	return r.stdout
}

// fails runs a script that must fail, and returns what it complains.
func (v *vault) fails(script string) string {
	v.tb.Helper()
	r := v.shell(script)
	if r.code == 0 || r.code == 99 {
		v.tb.Errorf("%s: want a failure, got %s", v.name, r)
	}
	return r.stderr
}

// path names a file of the space in commands.
func (v *vault) path(file string) string { return v.space + "/" + file }

// in works in another space, which is made if there is none.
func (v *vault) in(space string) *vault {
	v.tb.Helper()
	var spaces []struct{ Name string }
	v.json(&spaces, "space", "list")
	if !slices.ContainsFunc(spaces, func(s struct{ Name string }) bool { return s.Name == space }) {
		v.run("space", "create", space)
	}
	return &vault{v.machine, space}
}

// file waits until a file has some content here.
func (v *vault) file(name, want string, limit time.Duration) time.Duration {
	v.tb.Helper()
	return eventually(v.tb, v.name+" has "+name, limit, func() error {
		if r := v.shell("cat " + name); r.stdout != want {
			return fmt.Errorf("got %q %s, want %q", r.stdout, r.stderr, want)
		}
		return nil
	})
}

// canonical is what `show --canonical` prints of a file.
func (v *vault) canonical(file string) string {
	v.tb.Helper()
	return v.run("show", v.path(file), "--canonical")
}

// fsck demands that what is shown is what the entries say.
func (v *vault) fsck() {
	v.tb.Helper()
	var found struct{ Problems []string }
	if v.json(&found, "fsck"); len(found.Problems) > 0 {
		v.tb.Errorf("fsck of %s: got %q, want no problems", v.name, found.Problems)
	}
}

// on returns the vault as a part of a test sees it: what fails, fails there.
func (v *vault) on(tb testing.TB) *vault {
	part := *v.machine
	part.tb = tb
	return &vault{&part, v.space}
}
