package integration_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What an ordinary user does from the first command on: mounts by fusermount3,
// works, unmounts in both ways, mounts again over what a killed daemon left. Root
// is not let in.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	d := newDen(t)
	v := d.newcomer("ada")
	if out := v.try("mount", "-d", "--offline", v.mnt); out.code != 0 || !strings.Contains(out.stderr, "mounted at "+v.mnt) {
		t.Fatalf("the first mount: %s", out)
	}
	v.isMounted(true)
	v.sh(`echo '{"title":"Buy milk","done":false}' > milk.json; mkdir d; mv milk.json d/; sed -i s/false/true/ d/milk.json
		grep -q true d/milk.json; [ "$(stat -c %u d/milk.json)" = "$(id -u)" ]; echo x > .local; rm .local; ! mknod n p 2> /dev/null`)
	var st status
	if v.json(&st, "status"); !slices.Contains(st.Mounts, v.mnt) {
		t.Errorf("status: got mounts %q, want %s", st.Mounts, v.mnt)
	}
	if r := v.as(d.enter(), `ls "$M"`); r.code == 0 || !strings.Contains(r.stderr, "Permission denied") {
		t.Errorf("root in the mount of a user: got %s, want that it is refused", r)
	}
	if r := v.as(d.enterAs(stranger), `ls "$M"`); r.code == 0 || !strings.Contains(r.stderr, "Permission denied") {
		t.Errorf("another user in the mount: got %s, want that it is refused", r)
	}

	pid := v.daemonPID()
	v.run("umount", v.mnt)
	v.isMounted(false)
	ends(t, pid)

	for _, unmount := range []string{`fusermount3 -u "$M"`, `umount "$M"`} {
		v.run("mount", "-d", "--offline", v.mnt)
		pid = v.daemonPID()
		if r := v.as(v.within, unmount); r.code != 0 {
			t.Fatalf("%s: %s", unmount, r)
		}
		v.isMounted(false)
		ends(t, pid)
	}

	v.run("mount", "-d", "--offline", v.mnt)
	v.sh(`echo '{"v":2}' > n.json`)
	if err := syscall.Kill(v.daemonPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := v.as(v.within, `ls "$M"`); r.code == 0 || !strings.Contains(r.stderr, "not connected") {
		t.Errorf("the mount of a daemon that was killed: got %s", r)
	}
	v.run("mount", "-d", "--offline", v.mnt)
	v.sh(`[ "$(cat n.json)" = '{"v":2}' ]; grep -q true d/milk.json`)
	v.run("umount", v.mnt)
	v.isMounted(false)
	v.fsck()
}

// An ordinary user's programs that watch files hear of what others do.
func TestOrdinaryUserWatches(t *testing.T) {
	t.Parallel()
	need(t, "inotifywait")
	d := newDen(t)
	r := signalServer(t)
	bob := r.vault(t, "bob").in("shared")
	ada := d.newcomer("ada")
	ada.online = []string{"--signal", r.url, "--no-lan"}
	ada.start(ada.online...)
	ada = bob.admit(ada)
	w := ada.inotify(".")
	bob.sh(`echo '{"by":"bob"}' > f.json`)
	w.expect("CREATE ./f.json", "CLOSE_WRITE,CLOSE ./f.json")
	bob.sh(`mv f.json g.json`)
	w.expect("MOVED_FROM ./f.json", "MOVED_TO ./g.json")
	w.stop()
}

// Let in are others only where the machine's settings say so, and then as far as
// modes let them.
func TestUserAllowsOther(t *testing.T) {
	t.Parallel()
	d := newDen(t)
	v := d.newcomer("ada")
	v.run("init", "--name", "Ada")
	conf := filepath.Join(v.dir, "fuse.conf")
	for i, text := range []string{"# user_allow_other\n", "user_allow_other\n"} {
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := v.as(d.enter(), `touch /etc/fuse.conf && mount --bind "`+conf+`" /etc/fuse.conf`); r.code != 0 {
			t.Skipf("no settings of our own here: %s", r)
		}
		r := v.try("mount", "-d", "--offline", "--allow-other", v.mnt)
		if i == 0 {
			if r.code != 1 || !strings.Contains(r.stderr, "user_allow_other") || !strings.Contains(r.stderr, "/etc/fuse.conf") {
				t.Errorf("without the setting: got %s, want exit status 1 and what to do", r)
			}
			v.isMounted(false)
		} else if r.code != 0 {
			t.Fatalf("with the setting: %s", r)
		}
	}
	if err := os.Chmod(v.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	v.sh(`echo '{"v":1}' > secret.json; echo '{"v":2}' > open.json; chmod 644 open.json; chmod 711 .`)
	other := d.enterAs(stranger)
	if r := v.as(other, `cat "$HERE/secret.json"`); !strings.Contains(r.stderr, "Permission denied") {
		t.Errorf("another user reads a private file: got %s", r)
	}
	if r := v.as(other, `cat "$HERE/open.json"`); r.stdout != "{\"v\":2}\n" {
		t.Errorf("another user reads an open file: got %s", r)
	}
	v.run("umount", v.mnt)
}
