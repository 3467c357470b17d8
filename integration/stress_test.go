package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// How long the programs press a mount, in short and in a soak.
const (
	pressShort = "3s"
	pressLong  = "10m"
)

func pressTime() (string, time.Duration) {
	s := pressShort
	if soak() {
		s = pressLong
	}
	d, _ := time.ParseDuration(s) // well formed
	return s, d
}

// Stressors of stress-ng that find what they need in a mount. Left out are those
// of devices, executables, hard links and attributes of other file systems; and
// with objects those which demand that a size is seen before a save, or write
// more than a text can hold.
const (
	stressLocal = "chdir chmod copy-file dentry dir dirdeep dirmany fallocate fcntl filename flock fsize fstat getdent hdd " +
		"inotify io iomix lease locka lockf lockofd mknod open rename symlink sync-file touch utime"
	stressObjects = "chdir chmod dentry dir dirdeep dirmany fcntl filename flock fstat getdent " +
		"inotify io lease locka lockf lockofd mknod open rename touch utime"
)

// press is the script that runs stressors all at once in a directory.
func press(dir, stressors, long string) string {
	return fmt.Sprintf("mkdir -p %s; stress-ng --%s 1 -t %s --temp-path %[1]s --verify --quiet; rm -rf %[1]s",
		dir, strings.Join(strings.Fields(stressors), " 1 --"), long)
}

// TestStressors lets stress-ng and fio press a mount, everything at once, while
// files are saved in every way, another device changes a shared space, and programs
// watch that; then the mount goes at once, and with it all that was held for it.
func TestStressors(t *testing.T) {
	need(t, "stress-ng", "fio", "jq", "inotifywait")
	long, d := pressTime()
	shared, bob := pair(t)
	v := &vault{shared.machine, "personal"}
	before := v.descriptors()
	v.sh(`echo '{"n":0}' > n.json; echo start > t.md`)
	shared.sh(`mkdir d; echo start > log.md; echo '{"n":0}' > both.json`)
	eventually(t, "bob has the shared files", patience, func() error { return want(bob.shell(`cat both.json log.md; cd d`), 0) })
	events := shared.inotify("-r .")
	tail := shared.watch(`exec tail -n 0 -F log.md 2>&1`)
	jobs := map[string]string{
		"local files": press(".stress", stressLocal, long),
		"objects":     press("stress", stressObjects, long),
		"fio": `mkdir .fio; fio --name=verify --directory=.fio --ioengine=psync --rw=randrw --bsrange=512-64k
			--size=4m --verify=crc32c --verify_fatal=1 --time_based=0 --output=.fio/out
			fio --name=mapped --directory=.fio --ioengine=mmap --rw=randwrite --bs=4k --size=2m --verify=crc32c --verify_fatal=1 --output=.fio/out2`,
		"in place":  until(d, `echo "{\"n\":$i}" > n.json; jq -e .n n.json > /dev/null`),
		"by rename": until(d, `echo "{\"n\":$i}" > .n.tmp; mv .n.tmp n.json`),
		"appended":  until(d, `echo "line $i" >> t.md`),
		"listed":    until(d, `ls -lR . > /dev/null 2>&1 || true`),
	}
	// The two write the same files, and come in each other's way.
	const both = `echo "{\"n\":$i}" > both.json; echo "{\"$ME\":$i}" > f$((i%20)).json; mv f$((i%20)).json d/g$((i%7)).json || true
		rm -f d/g$((i%3)).json; mkdir -p e$((i%4)) && rmdir e$(((i+1)%4)) 2> /dev/null || true; echo "$ME $i" >> log.md; cat *.json > /dev/null 2>&1 || true; sleep 0.05`
	var all sync.WaitGroup
	job := func(v *vault, name, script string) {
		all.Go(func() {
			// A stressor ends what it has begun, which takes its time on busy cores.
			err := v.background(d+d/2+2*patience, oneLine(script))
			if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 3) { // 3: a stressor was skipped
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	for name, script := range jobs {
		job(v, name, script)
	}
	for _, who := range []*vault{shared, bob} {
		job(who, who.name, "ME="+who.name+"\n"+until(d, both))
	}
	all.Wait()
	v.sh(`jq -e . n.json; rm -rf .fio n.json t.md`)
	sameSpace(t, []*vault{shared, bob})
	bob.sh(`echo 'bob was here' >> log.md`)
	tail.expect("bob was here")
	bob.sh(`echo '{}' > last.json`)
	events.expect("CREATE ./last.json")
	t.Logf("those who watch heard %d events", len(events.seen))
	events.stop()
	tail.stop()
	for _, who := range []*vault{v, bob} {
		who.fsck()
	}
	eventually(t, "no descriptor is left", patience, func() error {
		if now := v.descriptors(); now > before+4 { // connections come and go
			return fmt.Errorf("got %d, want the %d of before", now, before)
		}
		return nil
	})
	for _, who := range []*vault{v, bob} {
		begun := time.Now()
		who.stop()
		t.Logf("%s unmounted and ended in %v", who.name, time.Since(begun).Round(time.Millisecond))
	}
}

// background runs a script in the space's directory beside the test.
func (v *vault) background(limit time.Duration, script string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := child(ctx, append(v.env(), "HERE="+v.here()), "bash", "-c", `cd "$HERE" || exit 99`+"\n"+script).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return err
}

// oneLine joins the lines of a script whose long commands were wrapped.
func oneLine(script string) string { return strings.ReplaceAll(script, "\n\t\t\t--", " --") }

// until is a script that repeats something, counting in i.
func until(d time.Duration, script string) string {
	return fmt.Sprintf("set -e; end=$((SECONDS + %d)); i=0; while ((SECONDS < end)); do i=$((i+1)); %s; done", int(d.Seconds()), script)
}

// descriptors is how many files the daemon has open.
func (v *vault) descriptors() int {
	v.tb.Helper()
	open, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(v.cmd.Process.Pid), "fd"))
	if err != nil {
		v.tb.Fatal(err)
	}
	return len(open)
}
