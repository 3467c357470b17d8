package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// onSmallDisk gives a machine a disk of its own for its vault.
func (v *vault) onSmallDisk(megabytes string) {
	v.tb.Helper()
	disk, err := os.MkdirTemp(rooms, v.name+"s-disk-")
	if err != nil {
		v.tb.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=0700,size="+megabytes+"m", "tmpfs", disk).CombinedOutput(); err != nil {
		_ = os.Remove(disk)
		v.tb.Skipf("no small disk here: %v: %s", err, out)
	}
	v.tb.Cleanup(func() {
		if v.cmd != nil {
			v.stop()
		}
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			v.tb.Errorf("unmount the small disk: %v: %s", err, out)
		}
		_ = os.Remove(disk) // only if it is empty
	})
	v.data = filepath.Join(disk, "vault")
}

// TestReadOnlyDisk mounts a vault whose disk takes no writes: it is said why not.
// Commands that only look fail in the same way, and nothing is harmed.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	v := makeMachine(t, "ada")
	v.onSmallDisk("200")
	v.run("init", "--name", "Ada", "--device", "adas-machine")
	v.start("--offline")
	v.sh(`echo '{"v":1}' > f.json`)
	v.stop()
	disk := filepath.Dir(v.data)
	remount := func(how string) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "remount,"+how, disk).CombinedOutput(); err != nil {
			t.Skipf("the disk cannot be remounted %s here: %v: %s", how, err, out)
		}
	}
	remount("ro")
	for _, args := range [][]string{{"mount", "--offline", v.mnt}, {"mount", "-d", "--offline", v.mnt}, {"status"}} {
		r := v.refuse(1, args...)
		for _, want := range []string{"the disk of the vault is read-only", "remount,rw"} {
			if !strings.Contains(r.stderr, want) {
				t.Errorf("%q: got %s, want %q", args, r, want)
			}
		}
		v.isMounted(false)
	}
	remount("rw")
	v.start("--offline")
	v.sh(`[ "$(cat f.json)" = '{"v":1}' ]; echo '{"v":2}' > f.json`)
	v.fsck()
}

// TestFullDisk fills the disk of a vault with files that stay on this machine
// and with blobs. Programs are told, nothing is torn, small saves still work,
// and removing makes room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	v := makeMachine(t, "ada")
	v.onSmallDisk("200")
	v.run("init", "--name", "Ada", "--device", "adas-machine")
	v.start("--offline")
	v.sh(`echo '{"v":1}' > t.json; head -c 3000000 /dev/urandom > photo.jpg; cp photo.jpg "$HOME/photo.jpg"`)
	for _, name := range []string{".local", "blob.bin"} {
		if got := v.fails(`head -c 300000000 /dev/urandom > ` + name); !strings.Contains(got, "No space left on device") {
			t.Errorf("filling the disk with %s: got %q, want ENOSPC", name, got)
		}
		v.sh(`echo '{"v":2}' | cat > t.json; cat t.json; cmp photo.jpg "$HOME/photo.jpg"`)
		v.fails(`head -c 300000000 /dev/urandom > ` + name + `2`)
		v.sh(`rm ` + name + `*; [ ! -e ` + name + ` ]`)
	}
	v.restart("--offline")
	v.sh(`[ "$(cat t.json)" = '{"v":2}' ]; cmp photo.jpg "$HOME/photo.jpg"; head -c 1000000 /dev/urandom > .again; rm .again`)
	v.fsck()
}
