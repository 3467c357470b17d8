package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestUmountSaysWhoIsInTheWay unmounts while a program has a file open.
func TestUmountSaysWhoIsInTheWay(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	v.sh(`echo '{"v":1}' > f.json`)
	reader := follow(t, patience, append(v.env(), "HERE="+v.here()), "bash", "-c", `cd "$HERE" && exec 5< f.json && echo '{}' && exec sleep 600`)
	var ready struct{}
	reader.next(&ready)
	r := v.refuse(1, "umount", v.mnt)
	if want := fmt.Sprintf("(%d)", reader.cmd.Process.Pid); !strings.Contains(r.stderr, want) || !strings.Contains(r.stderr, "--lazy") {
		t.Errorf("got %s, want the process %s and a hint", r, want)
	}
	v.run("umount", "--lazy", v.mnt)
	if got := mountsBelow(v.dir); len(got) > 0 {
		t.Errorf("after umount --lazy: got mounts %q, want none", got)
	}
	reader.cancel()
	reader.wait()
	if err := v.end(); err != nil {
		t.Errorf("the daemon after its last reader: %v", err)
	}
}

// TestStopWhileSaving ends the daemon in the ordinary way while programs save.
// What they were told is saved is there afterwards.
func TestStopWhileSaving(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	told := filepath.Join(v.dir, "told")
	saver := follow(t, patience, append(v.env(), "HERE="+v.here(), "TOLD="+told), "bash", "-c",
		`cd "$HERE"; i=0; while echo "{\"n\":$i}" 2>/dev/null | cat > "f$i.json"; do echo $i > "$TOLD"; i=$((i+1)); done 2>/dev/null; cd /; exit 0`)
	eventually(t, "some saves", patience, func() error {
		if n := lastNumber(told); n < 20 {
			return fmt.Errorf("got %d", n)
		}
		return nil
	})
	v.stop()
	saver.wait()
	v.start("--offline")
	n := lastNumber(told)
	v.sh(fmt.Sprintf(`for i in $(seq 0 %d); do [ "$(cat f$i.json)" = "{\"n\":$i}" ] || { echo "f$i.json: $(cat f$i.json)"; exit 1; }; done`, n))
	v.fsck()
}

func lastNumber(file string) int {
	text, _ := os.ReadFile(file) // missing at first
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return -1
	}
	return n
}

// TestSuspendedDaemon stops the daemon as a machine that sleeps does: programs wait
// and go on.
func TestSuspendedDaemon(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	v.sh(`echo '{"v":1}' > f.json`)
	v.signal(syscall.SIGSTOP)
	reader := follow(t, patience, append(v.env(), "HERE="+v.here()), "bash", "-c", `cat "$HERE/f.json"; echo '{"v":2}' > "$HERE/g.json"; cat "$HERE/g.json"`)
	v.signal(syscall.SIGCONT)
	for want := 1; want <= 2; want++ {
		var got struct{ V int }
		if reader.next(&got); got.V != want {
			t.Errorf("got %d, want %d", got.V, want)
		}
	}
	reader.wait()
}

// TestInodeNumbersStay looks at numbers and times over a restart.
func TestInodeNumbersStay(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	v.sh(`mkdir -p d/e .local; echo '{}' > d/f.json; echo text > d/e/t.md; echo x > .local/x; ln -s f.json d/l
		touch -d '2001-02-03 04:05:06.123456789 UTC' d/f.json .local/x; chmod 640 d/f.json`)
	look := `find . -printf '%p %i %m %T@ %s %y\n' | sort`
	before := v.sh(look)
	v.restart()
	if after := v.sh(look); after != before {
		t.Errorf("after a restart:\n%swant\n%s", after, before)
	}
	v.kill9()
	v.start("--offline")
	if after := v.sh(look); after != before {
		t.Errorf("after a crash:\n%swant\n%s", after, before)
	}
}

// TestMountHelper mounts as mount(8) calls the helper of a type of file system.
func TestMountHelper(t *testing.T) {
	t.Parallel()
	v := makeVault(t, "ada")
	helper := filepath.Join(v.dir, "mount.fuse.echofs")
	if err := os.Symlink(program, helper); err != nil {
		t.Fatal(err)
	}
	mount := func(options string) result {
		return do(t, 2*patience, v.env(), helper, v.data, v.mnt, "-n", "-o", options)
	}
	if r := mount("rw,evil"); r.code != 2 || !strings.Contains(r.stderr, "evil") {
		t.Errorf("an option that is not known: got %s, want exit status 2", r)
	}
	if r := mount("ro,noauto,x-systemd.automount,offline"); r.code != 0 {
		t.Fatalf("mount: %s", r)
	}
	if got := v.fails(`echo '{}' > f.json`); !strings.Contains(got, "Read-only") {
		t.Errorf("a mount with ro: got %q, want a read-only file system", got)
	}
	if r := do(t, 2*patience, v.env(), "umount", v.mnt); r.code != 0 {
		t.Errorf("umount(8): %s", r)
	}
	eventually(t, "the daemon has ended", patience, func() error {
		if r := v.try("status", "--json"); strings.Contains(r.stdout, v.mnt) {
			return fmt.Errorf("got %s", r)
		}
		return nil
	})
}

// TestAppendFromManyProcesses lets programs append lines to one file at once: no
// line is lost or torn.
func TestAppendFromManyProcesses(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	v.sh(`: > log.md; for p in 1 2 3 4 5 6; do (for i in 1 2 3 4 5 6 7 8; do echo "process $p line $i" >> log.md; done) & done; wait`)
	v.sh(`[ "$(wc -l < log.md)" = 48 ] && [ "$(sort -u log.md | grep -cE '^process [1-6] line [1-8]$')" = 48 ] || { cat log.md; exit 1; }`)
	v.sh(`: > .log; for p in 1 2 3 4 5 6; do (for i in 1 2 3 4 5 6 7 8; do echo "process $p line $i" >> .log; done) & done; wait
		[ "$(sort -u .log | wc -l)" = 48 ]`)
}
