package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// den is a mount namespace: what is mounted there nobody else sees, and it goes
// with the den. Everybody there may open /dev/fuse, as on the machines of people.
type den struct {
	tb   testing.TB
	keep *stream // the process that keeps it
}

// furnish is what the keeper does first. Where /dev/fuse is closed to ordinary
// users it gets another one.
const furnish = `set -e
if [ "$(stat -Lc %a /dev/fuse)" != 666 ]; then
	mkdir "$1"
	mount -t tmpfs -o mode=0755,dev tmpfs "$1"
	mknod -m 666 "$1/fuse" c 10 229
	mount --bind "$1/fuse" /dev/fuse
	umount -l "$1"
	rmdir "$1"
fi
: < /dev/fuse
echo '{}'
exec sleep infinity`

// newDen makes a den. Where that is not allowed, the test is skipped and says so.
func newDen(tb testing.TB) *den {
	tb.Helper()
	need(tb, "unshare", "nsenter", "setpriv", "fusermount3")
	if os.Getuid() != 0 {
		tb.Skip("only root can become other users")
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		tb.Skipf("no mounts of our own here: %v: %s", err, out)
	}
	if err := os.Chmod(rooms, 0o711); err != nil { // others come through
		tb.Fatal(err)
	}
	room, err := os.MkdirTemp(rooms, "den-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.Remove(room) })
	d := &den{tb: tb}
	d.keep = follow(tb, time.Hour, os.Environ(), "unshare", "--mount", "--propagation", "private",
		"bash", "-c", furnish, "bash", filepath.Join(room, "dev"))
	if !d.keep.lines.Scan() {
		d.keep.wait()
		tb.Skipf("no /dev/fuse for ordinary users here: %s", d.keep.errs.String())
	}
	return d
}

func (d *den) pid() string { return strconv.Itoa(d.keep.cmd.Process.Pid) }

// enter puts a child there, as root.
func (d *den) enter() []string { return []string{"nsenter", "--mount=/proc/" + d.pid() + "/ns/mnt"} }

// enterAs puts a child there as an ordinary user.
func (d *den) enterAs(uid int) []string { return append(d.enter(), user(uid)...) }

// mountsBelow lists the mount points there.
func (d *den) mountsBelow(dir string) []string { return mountsOf(d.pid(), dir) }

// Ordinary users of the tests. The first one has a name everywhere; a number is
// enough for others.
const (
	nobody   = 65534
	stranger = 54321
)

// user makes a child an ordinary user.
func user(uid int) []string {
	return []string{"setpriv", fmt.Sprintf("--reuid=%d", uid), fmt.Sprintf("--regid=%d", uid), "--clear-groups"}
}

// newcomer makes the machine of an ordinary user, without a vault.
func (d *den) newcomer(name string) *vault {
	d.tb.Helper()
	v := makeMachine(d.tb, name)
	v.room, v.within = d, d.enterAs(nobody)
	for _, dir := range []string{v.dir, filepath.Join(v.dir, "home")} {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			d.tb.Fatal(err)
		}
	}
	return v
}

// daemonPID is the process that uses the vault.
func (v *vault) daemonPID() int {
	v.tb.Helper()
	text, err := os.ReadFile(filepath.Join(v.data, "lock"))
	if err != nil {
		v.tb.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		v.tb.Fatal(err)
	}
	return pid
}

// ends waits until a process is no more, or only its parent has not looked.
func ends(tb testing.TB, pid int) {
	tb.Helper()
	eventually(tb, fmt.Sprintf("process %d ends", pid), patience, func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return nil
		}
		return fmt.Errorf("it lives: %s", stat)
	})
}

// isMounted demands that the machine's mount is there, or that it is not.
func (v *vault) isMounted(want bool) {
	v.tb.Helper()
	if got := v.mounts(); slices.Contains(got, v.mnt) != want {
		v.tb.Errorf("mounted is %v, want %v: %q", !want, want, got)
	}
}
