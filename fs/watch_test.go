package fs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/fs"
)

// helperCommand is Options.Helper for the mounts of tests.
func helperCommand(tb testing.TB) []string {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return []string{self, pokeArg}
}

// elsewhere is another device that shares the space of a mount.
type elsewhere struct {
	tb    testing.TB
	vault *echotest.Vault
	space *echo.Space // as it sees it
	here  *echo.Space
}

// newElsewhere makes a member of a space. What it removes is removed at once.
func newElsewhere(tb testing.TB, v *echotest.Vault, s *echo.Space) *elsewhere {
	tb.Helper()
	bob := echotest.NewVault(tb, "bob", echo.Options{SettleDelay: time.Millisecond, RemoveGrace: time.Millisecond})
	return &elsewhere{tb, bob, v.Invite(s, bob, roleEditor), s}
}

func (o *elsewhere) must(n echo.Node, err error) echo.Node {
	o.tb.Helper()
	if err != nil {
		o.tb.Fatal(err)
	}
	return n
}

func (o *elsewhere) node(path string) echo.Node {
	o.tb.Helper()
	return o.must(o.vault.Resolve(o.space.Name() + "/" + path))
}

// parent returns the directory that a path leads to, and the name in it.
func (o *elsewhere) parent(path string) (echo.Ino, string) {
	o.tb.Helper()
	if dir := filepath.Dir(path); dir != "." {
		return o.node(dir).Ino, filepath.Base(path)
	}
	return o.space.Ino(), path
}

func (o *elsewhere) write(path, content string) {
	o.tb.Helper()
	ctx := context.Background()
	n, err := o.vault.Resolve(o.space.Name() + "/" + path)
	if err != nil {
		dir, name := o.parent(path)
		n = o.must(o.vault.CreateFile(ctx, dir, name, 0))
	}
	if _, err := o.vault.Save(ctx, echo.Save{Ino: n.Ino, Data: []byte(content), Rule: "test"}); err != nil {
		o.tb.Fatal(err)
	}
	if err := o.vault.Settle(ctx, n.Ino); err != nil {
		o.tb.Fatal(err)
	}
}

func (o *elsewhere) mkdir(path string) {
	o.tb.Helper()
	dir, name := o.parent(path)
	n := o.must(o.vault.Mkdir(context.Background(), dir, name, 0))
	if err := o.vault.Settle(context.Background(), n.Ino); err != nil {
		o.tb.Fatal(err)
	}
}

func (o *elsewhere) rename(from, to string) {
	o.tb.Helper()
	dir, name := o.parent(to)
	if _, _, err := o.vault.Move(context.Background(), o.node(from).Ino, dir, name, false); err != nil {
		o.tb.Fatal(err)
	}
}

// remove removes a file or an empty folder, and waits until that counts.
func (o *elsewhere) remove(path string) {
	o.tb.Helper()
	n := o.node(path)
	remove := o.vault.Remove
	if n.Kind.IsDir() {
		remove = o.vault.RemoveDir
	}
	if err := remove(context.Background(), n.Ino); err != nil {
		o.tb.Fatal(err)
	}
	eventually(o.tb, path+" is removed for good", func() bool {
		echotest.Send(o.tb, o.space, o.here)
		_, err := o.here.NodeByID(n.ID)
		return err != nil
	})
}

// sync brings both devices to the same state.
func (o *elsewhere) sync() {
	o.tb.Helper()
	echotest.Exchange(o.tb, o.here, o.space)
}

// watcher is a program that prints a line for each event.
type watcher struct {
	tb    testing.TB
	lines chan string
	seen  []string
}

// watch starts a program and returns when it says on its standard error that it
// is ready; at once for ready "".
func (m *mounted) watch(ready, name string, args ...string) *watcher {
	m.tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		m.tb.Skipf("there is no %s here", name)
	}
	script := `cd "$` + dirEnv + `" && exec "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", path}, args...)...)
	cmd.Env = m.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.tb.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		m.tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.tb.Fatal(err)
	}
	w := &watcher{tb: m.tb, lines: make(chan string, 10_000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			w.lines <- s.Text()
		}
	}()
	m.tb.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with the programs it started
		<-done
		cmd.Wait()
	})
	for s := bufio.NewReader(errs); ready != ""; {
		line, err := s.ReadString('\n')
		if err != nil {
			m.tb.Fatalf("%s ended: %v", name, err)
		}
		if strings.Contains(line, ready) {
			break
		}
	}
	return w
}

func (m *mounted) inotify(args ...string) *watcher {
	m.tb.Helper()
	return m.watch("Watches established", "inotifywait", append([]string{"-m", "--format", "%e %f"}, args...)...)
}

// expect waits for lines in this order; others may come between them.
func (w *watcher) expect(want ...string) {
	w.tb.Helper()
	deadline := time.After(clientTime)
	for _, line := range want {
		for found := false; !found; {
			select {
			case got := <-w.lines:
				w.seen = append(w.seen, got)
				found = got == line
			case <-deadline:
				w.tb.Fatalf("got %q, want %q", w.seen, want)
			}
		}
	}
}

// mountShared mounts a space that another device shares.
func mountShared(tb testing.TB) (*mounted, *elsewhere) {
	tb.Helper()
	m := mount(tb, fs.Options{Helper: helperCommand(tb)})
	return m, newElsewhere(tb, m.vault, m.space)
}

// TestWatchersHearOfRemoteChanges looks at what inotify tells of each change
// that comes from another device.
func TestWatchersHearOfRemoteChanges(t *testing.T) {
	m, o := mountShared(t)
	w := m.inotify(".")
	o.write("a.json", `{"v":1}`)
	o.sync()
	w.expect("CREATE a.json", "OPEN a.json", "MODIFY a.json", "CLOSE_WRITE,CLOSE a.json")
	m.want(`cat a.json; stat -c %s a.json`, "{\n  \"v\": 1\n}\n13\n")

	o.write("a.json", `{"v":22}`)
	o.sync()
	w.expect("OPEN a.json", "MODIFY a.json", "CLOSE_WRITE,CLOSE a.json")
	m.want(`cat a.json; stat -c %s a.json`, "{\n  \"v\": 22\n}\n14\n")

	o.rename("a.json", "b.json")
	o.sync()
	w.expect("MOVED_FROM a.json", "MOVED_TO b.json")
	m.want(`ls; cat b.json`, "b.json\n{\n  \"v\": 22\n}\n")

	o.mkdir("d")
	o.sync()
	w.expect("CREATE,ISDIR d")
	inner := m.inotify("d")
	o.write("d/c.md", "text\n")
	o.sync()
	inner.expect("CREATE c.md", "CLOSE_WRITE,CLOSE c.md")
	o.rename("d/c.md", "c.md")
	o.sync()
	inner.expect("MOVED_FROM c.md")
	w.expect("MOVED_TO c.md")
	m.want(`cat c.md; ls -A d`, "text\n")

	o.rename("d", "e")
	o.sync()
	w.expect("MOVED_FROM,ISDIR d", "MOVED_TO,ISDIR e")
	o.remove("c.md")
	w.expect("DELETE c.md")
	o.remove("e")
	w.expect("DELETE,ISDIR e")
	m.want(`ls`, "b.json\n")
	m.fails(`cat c.md`)
}

// TestPokesChangeNothing looks whether what is done for those who watch leaves
// times, versions and the other device alone.
func TestPokesChangeNothing(t *testing.T) {
	m, o := mountShared(t)
	w := m.inotify(".")
	o.write("a.json", `{"v":1}`)
	o.sync()
	w.expect("CREATE a.json")
	o.write("a.json", `{"v":2}`)
	o.sync()
	w.expect("CLOSE_WRITE,CLOSE a.json", "CLOSE_WRITE,CLOSE a.json")
	n := m.node("a.json")
	m.want(`stat -c '%y' a.json`, n.ModTime.Format("2006-01-02 15:04:05.000000000 -0700")+"\n")
	if n.Draft || n.Base != "" {
		t.Errorf("draft %v, base %q, want none", n.Draft, n.Base)
	}
	before, err := m.space.Vector()
	if err != nil {
		t.Fatal(err)
	}
	o.sync()
	after, err := m.space.Vector()
	if err != nil {
		t.Fatal(err)
	}
	if !sameVector(before, after) {
		t.Errorf("the poke made entries: %v, then %v", before, after)
	}
}

func sameVector(a, b echo.Vector) bool {
	for id, pos := range b {
		if a[id].Next != pos.Next {
			return false
		}
	}
	return len(a) == len(b)
}

// TestLocalSavesAreNotPoked counts the events of a change made here.
func TestLocalSavesAreNotPoked(t *testing.T) {
	m, o := mountShared(t)
	w := m.inotify("-e", "close_write", ".")
	m.sh(`echo '{"v":1}' > mine.json`)
	m.settle("mine.json")
	o.sync()
	o.write("last.json", `{}`)
	o.sync()
	w.expect("CLOSE_WRITE,CLOSE mine.json", "CLOSE_WRITE,CLOSE last.json")
	if len(w.seen) != 2 {
		t.Errorf("got %q, want two events", w.seen)
	}
}

// TestOnlyWhatIsWatchedIsPoked brings many files that nobody watches, and some that
// somebody does: only of these the helper hears. Who begins to watch hears of what
// comes from then on.
func TestOnlyWhatIsWatchedIsPoked(t *testing.T) {
	m, o := mountShared(t)
	o.mkdir("quiet")
	o.mkdir("loud")
	for i := range 100 {
		o.write(fmt.Sprintf("quiet/f%d.json", i), `{"v":1}`)
	}
	o.sync()
	m.want(`ls quiet | wc -l`, "100\n")
	w := m.inotify("loud")
	for i := range 3 {
		o.write(fmt.Sprintf("quiet/f%d.json", i), `{"v":2}`)
		o.write(fmt.Sprintf("loud/f%d.json", i), `{"v":2}`)
		o.sync()
		w.expect(fmt.Sprintf("CREATE f%d.json", i))
	}
	if got := m.fsys.Poked(); got < 3 || got > 6 {
		t.Errorf("the helper was sent %d times, want once for each of three files, or little more", got)
	}
	file := m.inotify("quiet/f7.json") // a watch of the file alone
	o.write("quiet/f8.json", `{"v":3}`)
	o.write("quiet/f7.json", `{"v":3}`)
	o.sync()
	file.expect("MODIFY ")
	before := m.fsys.Poked()
	o.rename("quiet/f9.json", "loud/g.json")
	o.rename("loud/f0.json", "quiet/g.json")
	o.sync()
	w.expect("MOVED_TO g.json")
	w.expect("MOVED_FROM f0.json")
	if got := m.fsys.Poked() - before; got > 4 {
		t.Errorf("two moves: the helper was sent %d times", got)
	}
}

func TestTailFollowsRemoteChanges(t *testing.T) {
	m, o := mountShared(t)
	o.write("log.txt", "one\n")
	o.sync()
	w := m.watch("", "tail", "-n", "+1", "-f", "log.txt")
	w.expect("one")
	o.write("log.txt", "one\ntwo\n")
	o.sync()
	w.expect("two")
	o.write("log.txt", "one\ntwo\nthree\n")
	o.sync()
	w.expect("three")
}

func TestEntrRunsAgain(t *testing.T) {
	m, o := mountShared(t)
	o.write("a.json", `{"v":1}`)
	o.sync()
	w := m.watch("", "sh", "-c", `command -v entr > /dev/null || { echo none; exit; }; echo a.json | entr -n cat a.json`)
	select {
	case got := <-w.lines:
		if got == "none" {
			t.Skip("there is no entr here")
		}
		w.tb.Logf("first run: %q", got)
	case <-time.After(clientTime):
		t.Fatal("entr does not start")
	}
	// entr runs its program before it watches, and says nothing when it does:
	// so there are changes until one is heard.
	deadline := time.After(clientTime)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for v := 2; ; {
		select {
		case got := <-w.lines:
			if strings.Contains(got, `"v":`) && !strings.Contains(got, `"v": 1`) {
				return
			}
		case <-again.C:
			o.write("a.json", fmt.Sprintf("{\"v\":%d}\n", v))
			o.sync()
			v++
		case <-deadline:
			t.Fatal("entr does not run its program again")
		}
	}
}

// TestHelperGone looks at a mount whose helper was killed: everything is seen,
// nothing is heard.
func TestHelperGone(t *testing.T) {
	m, o := mountShared(t)
	o.write("a.txt", `one`)
	o.sync()
	m.want(`cat a.txt`, `one`)
	for _, pid := range children(t, os.Getpid(), pokeArg) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	o.write("a.txt", `two`)
	o.write("b.json", `{}`)
	o.sync()
	eventually(t, "the change is seen", func() bool { return m.sh(`cat a.txt`) == `two` })
	m.want(`ls`, "a.txt\nb.json\n")
}

// children lists the children of a process whose last argument is arg.
func children(t *testing.T, parent int, arg string) (out []int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for f := range strings.FieldsSeq(string(b)) {
			var pid int
			if _, err := fmt.Sscan(f, &pid); err != nil {
				t.Fatal(err)
			}
			args, _ := os.ReadFile("/proc/" + f + "/cmdline")
			if strings.HasSuffix(string(args), "\x00"+arg+"\x00") {
				out = append(out, pid)
			}
		}
	}
	return out
}

// TestRemoteChangesUnderLoad has another device change files as fast as it can
// while programs read, write and watch them.
func TestRemoteChangesUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	m, o := mountShared(t)
	o.write("t.json", `{"n":0}`)
	o.sync()
	w := m.inotify("-e", "modify", ".")
	end := time.Now().Add(5 * time.Second)
	var wg sync.WaitGroup
	for _, script := range []string{
		`echo '{"w":1}' > w.json; mv w.json v.json; rm v.json`,
		`cat t.json r*.json > /dev/null 2>&1; ls -l > /dev/null 2>&1; true`,
		`echo '{"mine":1}' > t.json`,
	} {
		wg.Go(func() {
			m.sh(fmt.Sprintf(`set +e; while [ $(date +%%s) -lt %d ]; do %s; done; true`, end.Unix(), script))
		})
	}
	rounds := 0
	for ; time.Now().Before(end); rounds++ {
		name := fmt.Sprintf("r%d.json", rounds%10)
		o.write("t.json", fmt.Sprintf(`{"n":%d}`, rounds))
		o.write(name, fmt.Sprintf(`{"n":%d}`, rounds))
		if rounds%7 == 3 {
			o.rename(name, fmt.Sprintf("moved%d.json", rounds))
		}
		o.sync()
	}
	wg.Wait()
	heard := len(w.lines)
	t.Logf("%d rounds, %d events", rounds, heard)
	if heard == 0 {
		t.Error("nobody heard anything")
	}
	o.write("t.json", `{"last":true}`)
	o.sync()
	w.expect("MODIFY t.json")
	if !strings.Contains(m.sh(`cat t.json`), `"last"`) {
		t.Error("the last change is not seen")
	}
}

// TestKilledWhilePoking kills a daemon in the middle of its pokes.
func TestKilledWhilePoking(t *testing.T) {
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "mnt")
	victim := exec.Command(os.Args[0], "-test.run=^TestPokingVictim$")
	victim.Env = append(os.Environ(), victimEnv+"="+dir)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	var helpers []int
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "poking" {
	}
	helpers = children(t, victim.Process.Pid, pokeArg)
	if len(helpers) != 1 {
		t.Errorf("got helpers %v, want one", helpers)
	}
	go io.Copy(io.Discard, out)
	stat := exec.Command("sh", "-c", `for i in $(seq 50); do cat "$1"/notes/*.json > /dev/null 2>&1; done`, "sh", dir)
	if err := stat.Start(); err != nil {
		t.Fatal(err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		victim.Wait()
		stat.Wait()
	}()
	select {
	case <-done:
	case <-time.After(clientTime):
		t.Fatal("a process cannot be ended")
	}
	ls, err := exec.Command("ls", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(ls), "not connected") {
		t.Errorf("ls printed %q, %v, want that nobody answers", ls, err)
	}
	eventually(t, "the helper has ended", func() bool {
		return !slices.ContainsFunc(helpers, func(pid int) bool { return syscall.Kill(pid, 0) == nil && !zombie(pid) })
	})
	if err := unix.Unmount(dir, 0); err != nil {
		t.Errorf("unmount: %v", err)
	}
}

func zombie(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Contains(string(b), ") Z ")
}

// TestPokingVictim is the daemon that is killed.
func TestPokingVictim(t *testing.T) {
	dir := os.Getenv(victimEnv)
	if dir == "" {
		t.Skip("run by TestKilledWhilePoking")
	}
	v := newVault(t)
	s := newSpace(t, v, "notes")
	o := newElsewhere(t, v, s)
	fsys, err := fs.New(v.Repo, fs.Options{LocalDir: t.TempDir(), Helper: helperCommand(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := fsys.Mount(dir); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		o.write(fmt.Sprintf("r%d.json", i%20), fmt.Sprintf(`{"n":%d}`, i))
		o.sync()
		if i == 20 {
			fmt.Println("poking")
		}
	}
}
