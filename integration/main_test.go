package integration_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program is the echofs that the stories are about, and rooms the directory of
// all their files. It is not below /tmp: editors make no backups there, and so
// save in another way than people see.
var program, rooms string

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := tell(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// tell builds the program, runs the tests, and checks that nothing is left.
func tell(m *testing.M) (code int, err error) {
	if rooms, err = os.MkdirTemp("/var/tmp", "echofs-stories-"); err != nil {
		return 1, fmt.Errorf("make a directory for the stories: %w", err)
	}
	program = filepath.Join(rooms, "echofs")
	build := exec.Command("go", slices.Concat([]string{"build", "-o", program}, raceFlags, []string{"echofs/cmd/echofs"})...)
	if out, err := build.CombinedOutput(); err != nil {
		_ = os.RemoveAll(rooms)
		return 1, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	code = m.Run()
	if left := leftovers(); len(left) > 0 {
		return 1, fmt.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
	}
	return code, os.RemoveAll(rooms)
}

// leftovers lists the mounts and processes of the stories that did not end.
// Helpers of a daemon that was killed need a moment to see it.
func leftovers() (left []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	_ = poll(ctx, func() error {
		left = append(mountsBelow(rooms), processes()...)
		if len(left) > 0 {
			return fmt.Errorf("%d are left", len(left))
		}
		return nil
	})
	return left
}

// mountsBelow lists the mount points below a directory, without touching them.
func mountsBelow(dir string) (mounts []string) {
	return mountsOf("self", dir)
}

// mountsOf is mountsBelow as another process sees it.
func mountsOf(process, dir string) (mounts []string) {
	info, _ := os.ReadFile(filepath.Join("/proc", process, "mountinfo")) // always there on Linux
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			mounts = append(mounts, f[4])
		}
	}
	return mounts
}

// processes lists the living processes that run the program.
func processes() (found []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is well formed
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.TrimSuffix(exe, " (deleted)") == program {
			args, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
			found = append(found, filepath.Base(filepath.Dir(link))+": "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

// environmentHas reports whether a process of processes has a word in its
// environment.
func environmentHas(process, word string) bool {
	pid, _, _ := strings.Cut(process, ":")
	env, _ := os.ReadFile(filepath.Join("/proc", pid, "environ")) // it may have ended
	return strings.Contains(string(env), word)
}

// inCI reports whether everything that can be tested must be.
func inCI() bool { return os.Getenv("CI") == "true" }

// soak reports whether the long forms are wanted.
func soak() bool { return os.Getenv("ECHOFS_SOAK") == "1" }

// withoutRace leaves a long story to the run without the race detector, which makes
// daemons several times slower; what it is about is tested with the detector in the
// packages. ECHOFS_SOAK=1 has everything with it.
func withoutRace(tb testing.TB) {
	tb.Helper()
	if len(raceFlags) > 0 && !soak() {
		tb.Skip("played by daemons without the race detector: go test ./integration")
	}
}

// need skips a test for which programs are missing, and fails it in CI.
func need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(tb, "there is no "+p+" here")
		}
	}
}

func missing(tb testing.TB, reason string) {
	tb.Helper()
	if inCI() {
		tb.Fatal(reason)
	}
	tb.Skip(reason)
}

// needFUSE skips a test where nothing can be mounted.
func needFUSE(tb testing.TB) {
	tb.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		missing(tb, "no FUSE here: "+err.Error())
	}
	_ = f.Close()
	if os.Getuid() != 0 {
		need(tb, "fusermount3")
	}
}
