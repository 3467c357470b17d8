package fs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"echofs/fs"
)

const victimEnv = "FS_TEST_VICTIM"

// TestMountpointOfADeadDaemon mounts where a daemon was killed.
func TestMountpointOfADeadDaemon(t *testing.T) {
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "mnt")
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), victimEnv+"="+dir)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var word string
	if _, err := fmt.Fscan(out, &word); err != nil || word != "mounted" {
		t.Errorf("the victim said %q, %v", word, err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.Wait()

	v := newVault(t)
	newSpace(t, v, "notes")
	fsys, err := fs.New(v.Repo, fs.Options{LocalDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	if err := fsys.Mount(dir); err != nil {
		t.Fatal(err)
	}
	ls, err := exec.Command("ls", dir).CombinedOutput()
	if err != nil || string(ls) != "notes\n" {
		t.Errorf("ls printed %q, %v", ls, err)
	}
}

// TestVictim is the daemon that is killed.
func TestVictim(t *testing.T) {
	dir := os.Getenv(victimEnv)
	if dir == "" {
		t.Skip("run by TestMountpointOfADeadDaemon")
	}
	fsys, err := fs.New(newVault(t).Repo, fs.Options{LocalDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := fsys.Mount(dir); err != nil {
		t.Fatal(err)
	}
	fmt.Println("mounted")
	fsys.Wait()
}

// TestOtherUsers lets nobody in, then lets everybody in as far as permissions
// do.
func TestOtherUsers(t *testing.T) {
	for _, allow := range []bool{false, true} {
		t.Run(fmt.Sprint(allow), func(t *testing.T) {
			m := mount(t, fs.Options{AllowOther: allow})
			openTo(t, filepath.Dir(m.dir))
			m.sh(`echo '{}' > a.json; mkdir d; echo '{}' > d/b.json`)
			m.want(`stat -c %a . a.json d`, map[bool]string{false: "755\n644\n755\n", true: "700\n600\n700\n"}[allow])
			nobody := `setpriv --reuid 65534 --regid 65534 --clear-groups `
			m.fails(nobody + `cat a.json`)
			m.fails(nobody + `ls $M/notes`)
			m.sh(`chmod 755 . ; chmod 644 a.json`)
			if allow {
				m.fails(nobody + `ls $M`) // the root has no permissions of its own to change
			}
			m.fails(nobody + `sh -c 'echo "{}" > a.json'`)
			m.fails(nobody + `touch new.json`)
			m.fails(nobody + `cat .echofs/meta/a.json.json`)
			m.fails(nobody + `chmod 666 a.json`)
			m.fails(nobody + `touch -d 2001-02-03 a.json`)
			if allow {
				m.want(nobody+`cat < a.json`, "{}\n") // it was opened by the owner
			}
		})
	}
}

// openTo lets other users come as far as a directory of a test.
func openTo(t *testing.T, dir string) {
	t.Helper()
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
