package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeProc is a proc file system in a directory.
type fakeProc struct {
	tb testing.TB
	procfs
}

func newFakeProc(tb testing.TB) fakeProc {
	return fakeProc{tb, procfs{tb.TempDir()}}
}

func (f fakeProc) write(path, content string) {
	f.tb.Helper()
	path = filepath.Join(f.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		f.tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		f.tb.Fatal(err)
	}
}

func (f fakeProc) add(pid, group, parent, session int, start uint64) {
	f.tb.Helper()
	f.write(fmt.Sprintf("%d/status", pid), fmt.Sprintf("Name:\tx\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\n", group, pid, parent))
	f.write(fmt.Sprintf("%d/stat", pid), fmt.Sprintf(
		"%d (a) b (c) S %d %d %d 34816 1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 %d 9 10\n", pid, parent, pid, session, start))
}

func (f fakeProc) open(pid, fd int, target, info string) {
	f.tb.Helper()
	f.write(fmt.Sprintf("%d/fdinfo/%d", pid, fd), info)
	link := filepath.Join(f.root, fmt.Sprint(pid), "fd", fmt.Sprint(fd))
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		f.tb.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		f.tb.Fatal(err)
	}
}

func TestAuthor(t *testing.T) {
	f := newFakeProc(t)
	f.add(1, 1, 0, 1, 1)
	f.add(100, 100, 1, 100, 10)
	f.add(200, 200, 100, 100, 20)
	f.add(201, 200, 100, 100, 25) // a thread of 200
	a := newAuthors(f.procfs).author(201)
	if want := (processID{200, 20}); a.id != want || a.session != 100 {
		t.Errorf("got %v in session %d, want %v in 100", a.id, a.session, want)
	}
	if got, want := f.ancestors(a.process), []processID{{100, 10}}; !slices.Equal(got, want) {
		t.Errorf("got ancestors %v, want %v", got, want)
	}
	for _, tid := range []uint32{0, 999} {
		if newAuthors(f.procfs).author(tid).known() {
			t.Errorf("thread %d is known", tid)
		}
	}
	if !f.alive(processID{200, 20}) || f.alive(processID{200, 21}) || f.alive(processID{999, 1}) {
		t.Error("alive is wrong about some process")
	}
}

func TestAncestorsStopAtAReusedNumber(t *testing.T) {
	f := newFakeProc(t)
	f.add(100, 100, 1, 100, 99) // younger than its child
	f.add(200, 200, 100, 100, 20)
	p, ok := f.process(200)
	if got := f.ancestors(p); !ok || len(got) != 0 {
		t.Errorf("got ancestors %v", got)
	}
}

func TestMalformedStat(t *testing.T) {
	f := newFakeProc(t)
	for i, content := range []string{"", "5 (x", "5 (x) S", "5 (x) S a b c d e f g h i j k l m n o p q r s"} {
		f.write(fmt.Sprintf("%d/stat", i+5), content)
		if _, ok := f.stat(i + 5); ok {
			t.Errorf("%q was read", content)
		}
	}
}

func TestHolders(t *testing.T) {
	f := newFakeProc(t)
	f.add(100, 100, 1, 100, 10)
	f.add(200, 200, 100, 100, 20)
	f.add(300, 300, 200, 100, 30)
	f.add(400, 400, 300, 100, 40)
	f.add(500, 500, 400, 100, 50)
	info := func(flags, mount, ino int) string {
		return fmt.Sprintf("pos:\t0\nflags:\t0%o\nmnt_id:\t%d\nino:\t%d\n", flags, mount, ino)
	}
	f.open(500, 1, "/m/a", info(unix.O_WRONLY, 7, 42))
	f.open(500, 2, "/m/a", info(unix.O_RDONLY, 7, 42))
	f.open(500, 3, "/m/b", info(unix.O_WRONLY, 7, 43))
	f.open(400, 1, "/m/a (deleted)", info(unix.O_RDWR|unix.O_APPEND, 7, 42))
	f.open(200, 5, "/other/a", info(unix.O_WRONLY, 8, 42))
	f.open(200, 6, "/m/a", info(unix.O_WRONLY, 7, 42))
	f.open(100, 1, "/m/a", info(unix.O_WRONLY, 7, 42)) // too far above 500
	match := func(o opened) bool { return o.writes() && o.ino == 42 && o.mount == 7 }
	for tid, want := range map[uint32]int{500: 3, 400: 3, 300: 2, 200: 2, 100: 1, 0: 0, 999: 0} {
		if got := f.holders(tid, match); got != want {
			t.Errorf("holders of %d: got %d, want %d", tid, got, want)
		}
	}
}

func TestOwnDescriptors(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	got := procfs{"/proc"}.holders(uint32(os.Getpid()), func(o opened) bool { return o.ino == st.Ino && o.target == file.Name() })
	if got != 1 {
		t.Errorf("got %d holders of an open file, want 1", got)
	}
}

func TestParseMountinfo(t *testing.T) {
	line := `84 29 0:45 / /home/a\040b/echo rw,nosuid shared:1 master:2 - fuse.echofs echofs rw,user_id=0` + "\n"
	got, ok := parseMountinfo(line)
	if want := (mountEntry{id: 84, minor: 45, point: "/home/a b/echo", kind: "fuse.echofs", shared: true}); !ok || got != want {
		t.Errorf("got %v, %v, want %v", got, ok, want)
	}
	for _, bad := range []string{"", "84", "84 29 0:45 / /x rw", "x 29 0:45 / /x rw - t s o", "84 29 0:45 / /x rw -"} {
		if _, ok := parseMountinfo(bad); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

func FuzzParseProc(f *testing.F) {
	f.Add("pos:\t0\nflags:\t0100001\nmnt_id:\t29\nino:\t7\n")
	f.Add("84 29 0:45 / /x rw - fuse f rw\n")
	f.Fuzz(func(t *testing.T, s string) {
		if o, ok := parseFdinfo(s); ok && o.flags < 0 && o.writes() == (o.flags&unix.O_ACCMODE == 0) {
			t.Error("contradiction")
		}
		if e, ok := parseMountinfo(s); ok && e.kind == "" {
			t.Error("a mount of no type")
		}
	})
}
