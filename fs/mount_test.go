package fs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"echofs/echo"
	"echofs/fs"
)

func TestCreateReadAppend(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"title":"Buy milk","done":false}' > milk.json`)
	m.want(`cat milk.json`, `{"title":"Buy milk","done":false}`+"\n")
	if n := m.node("milk.json"); n.Kind != echo.KindObject {
		t.Errorf("got kind %v, want an object", n.Kind)
	}
	m.sh(`printf 'one\n' > plan.md; printf 'two\n' >> plan.md`)
	m.want(`cat plan.md`, "one\ntwo\n")
	m.want(`stat -c %s plan.md`, "8\n")
	m.want(`ls`, "milk.json\nplan.md\n")
	m.want(`ls $M`, "notes\n")
	m.want(`{ printf a; printf b; printf c; } > sub.txt; cat sub.txt`, "abc")
	m.want(`(printf x; (printf y)) > sub.txt 2>&1; cat sub.txt`, "xy")
	m.want(`exec 5> sub.txt; printf 1 >&5; (printf 2 >&5); exec 5>&-; cat sub.txt`, "12")
}

func TestAttributes(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{}' > a.json; mkdir dir; touch .local; ln -s a.json .link`)
	m.want(`stat -c '%F %a %h %s' a.json`, "regular file 644 1 3\n")
	m.want(`stat -c '%F %a %h' dir`, "directory 755 1\n")
	m.want(`stat -c '%F %s' .link; readlink .link; cat .link`, "symbolic link 6\na.json\n{}\n")
	m.want(`stat -c %i a.json`, fmt.Sprintln(m.node("a.json").Ino))
	m.want(`chmod 600 a.json; chown 0:0 a.json; stat -c %a a.json`, "600\n")
	m.want(`touch -d '2001-02-03 04:05:06.123456789 UTC' a.json; date -u -r a.json +%F.%N`, "2001-02-03.123456789\n")
	m.want(`cp -p a.json b.json; stat -c '%a %y' a.json b.json | uniq | wc -l`, "1\n")
	m.want(`cp -p a.json .b; stat -c '%a %y' a.json .b | uniq | wc -l`, "1\n")
	m.want(`df --output=fstype . | tail -n 1`, "fuse.echofs\n")
	if out := m.sh(`df --output=size . | tail -n 1`); strings.TrimSpace(out) == "0" {
		t.Errorf("the file system has size %q", out)
	}
	m.want(`getfattr -d a.json 2>/dev/null || true; cat a.json`, "{}\n")
}

func TestRefused(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{}' > a.json; mkdir d; echo '{}' > d/b.json`)
	for _, c := range []struct{ script, complaint string }{
		{`ln a.json b.json`, "not permitted"},
		{`mkfifo p`, "not permitted"},
		{`rmdir $M/notes`, "not permitted"},
		{`rmdir d`, "not empty"},
		{`mkdir .echofs`, "exists"},
		{`rm -r .echofs`, "Read-only"},
		{`mv a.json .echofs`, "Read-only"},
		{`mv .echofs x`, "not permitted"},
		{`touch .echofs/x`, "Read-only"},
		{`rm .echofs/meta/a.json.json`, "Read-only"},
		{`echo x > .echofs/meta/a.json.json`, "Read-only"},
		{`touch $M/file`, "not permitted"},
		{`mv -T d a.json`, "directory"},
		{`touch ` + strings.Repeat("n", 256), "too long"},
		{`touch "$(printf 'a\001b')"`, ""},
	} {
		if got := m.fails(c.script); !strings.Contains(got, c.complaint) {
			t.Errorf("%s\ncomplained %q, want %q", c.script, got, c.complaint)
		}
	}
	m.want(`cat a.json d/b.json`, "{}\n{}\n")
}

func TestTruncate(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`printf 0123456789 > a.txt; echo '{"a":1}' > a.json`)
	m.want(`truncate -s 4 a.txt; cat a.txt; stat -c %s a.txt`, "01234\n"[:4]+"4\n")
	m.want(`truncate -s 6 a.txt; od -An -c a.txt`, "   0   1   2   3  \\0  \\0\n")
	m.helper("truncate", "a.txt", "2") // by path, without a handle
	m.want(`cat a.txt`, "01")

	// Emptied and nothing written: a draft, no save, no error.
	m.sh(`: > a.json`)
	m.want(`cat a.json; stat -c %s a.json`, "0\n")
	if got := m.sh(`cat .echofs/drafts/a.json.error`); !strings.HasPrefix(got, "a.json: the file was emptied") {
		t.Errorf("got reason %q", got)
	}
	if got, err := m.vault.Show(t.Context(), m.node("a.json").Ino, "", false); err != nil || string(got) != `{"a":1}`+"\n" {
		t.Errorf("the object holds %q, %v, want its old value", got, err)
	}
	m.sh(`echo '{"a":2}' > a.json`)
	m.want(`ls -a .echofs/drafts; cat a.json`, ".\n..\n{\"a\":2}\n")

	// A pipeline whose reader lost the race empties the file.
	m.sh(`cat a.json > /dev/null; : | tee a.json`)
	if n := m.node("a.json"); !n.Draft {
		t.Error("an emptied file is no draft")
	}
}

func TestTouchIsNoSave(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`touch new.json; echo '{}' > old.json; touch old.json; dd if=/dev/null of=old.json conv=notrunc 2>/dev/null`)
	m.want(`cat new.json old.json`, "{}\n")
	if n := m.node("new.json"); n.Stage != echo.Fresh || n.Draft {
		t.Errorf("got stage %v, draft %v, want a fresh file", n.Stage, n.Draft)
	}
}

func TestListLargeDirectory(t *testing.T) {
	m := mount(t, fs.Options{})
	const count = 2000
	folder, err := m.vault.Mkdir(t.Context(), m.space.Ino(), "many", 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		if _, err := m.vault.CreateFile(t.Context(), folder.Ino, fmt.Sprintf("f%04d.json", i), 0); err != nil {
			t.Fatal(err)
		}
	}
	m.want(`ls many | wc -l; ls many | sort -u | wc -l; ls -l many | grep -c json`, "2000\n2000\n2000\n")
	m.want(`ls many | sort | sed -n '1p;$p'`, "f0000.json\nf1999.json\n")
	// Cookies stay valid while entries go: every one is seen once or removed.
	m.want(`find many -name '*7.json' -delete; ls -A many | wc -l`, "1800\n")
}

func TestDraft(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"a":1}' > a.json`)
	if got := m.fails(`printf '{"a":\n  2,}}\n' | cat > a.json`); !strings.Contains(got, "Invalid argument") {
		t.Errorf("the close complained %q", got)
	}
	m.want(`cat a.json`, "{\"a\":\n  2,}}\n")
	m.want(`cat .echofs/drafts/a.json`, "{\"a\":\n  2,}}\n")
	if got := m.sh(`cat .echofs/drafts/a.json.error`); !strings.HasPrefix(got, "a.json:2:") {
		t.Errorf("got reason %q, want line 2", got)
	}
	if got := m.sh(`grep '"error"' .echofs/meta/a.json.json`); !strings.Contains(got, "line 2") {
		t.Errorf("got %q", got)
	}
	m.sh(`echo '{"a":3}' > a.json`)
	m.want(`cat a.json; ls .echofs/drafts`, "{\"a\":3}\n")

	// A rename and an fsync say EIO, since programs misread EINVAL there.
	m.sh(`echo '{' > .tmp`)
	if got := m.fails(`mv .tmp a.json`); !strings.Contains(got, "Input/output error") {
		t.Errorf("the rename complained %q", got)
	}
	m.want(`cat .tmp a.json`, "{\n{\n")
	m.sh(`echo '{"a":4}' > a.json`)
	if got := m.fails(`echo '{' | dd of=a.json conv=fsync 2>&1 >/dev/null | cat >&2; exit 1`); !strings.Contains(got, "Input/output error") {
		t.Errorf("the fsync complained %q", got)
	}
	m.want(`cat a.json`, "{\n")
	m.want(`rm a.json; ls .echofs/drafts`, "")

	// A program that ignores the error loses nothing.
	m.sh(`echo '{}' > b.json; echo '{"half":' > b.json`)
	m.want(`cat b.json .echofs/drafts/b.json`, "{\"half\":\n{\"half\":\n")
	m.sh(`sh -c 'echo "[1," > b.json; kill -9 $$' || true`)
	eventually(t, "what a killed program wrote is a draft", func() bool { return m.content("b.json") == "[1,\n" })
}

func TestHalfWrittenIsNoError(t *testing.T) {
	m := mount(t, fs.Options{})
	m.want(`{ printf '{"a":'; cat /dev/null; printf 1; printf '}'; } > a.json; cat a.json`, `{"a":1}`)
	m.want(`exec 5> a.json; printf '{"a":' >&5; sh -c 'printf 2 >&5'; (printf '}' >&5); exec 5>&-; cat a.json`, `{"a":2}`)
	if n := m.node("a.json"); n.Draft {
		t.Error("a draft is left")
	}
}

func TestBinaryBecomesABlob(t *testing.T) {
	m := mount(t, fs.Options{})
	m.want(`printf '\377\330\000' > photo.png; od -An -tx1 photo.png`, " ff d8 00\n")
	if n := m.node("photo.png"); n.Kind != echo.KindBlob || n.Size != 3 {
		t.Errorf("got kind %v of %d bytes, want a blob of 3", n.Kind, n.Size)
	}
	m.want(`mv photo.png pic.png; od -An -tx1 pic.png; ls`, " ff d8 00\npic.png\n")
	m.want(`head -c 17000000 /dev/zero > big.bin; stat -c %s big.bin; head -c 17000000 /dev/zero | cmp - big.bin`, "17000000\n")
	m.want(`echo ok > t.txt; printf '\377' | cat > t.txt; od -An -tx1 t.txt`, " ff\n")
	if n := m.node("t.txt"); n.Kind != echo.KindBlob {
		t.Errorf("a text that is none any more is of kind %v", n.Kind)
	}
}

func TestLocalFiles(t *testing.T) {
	m := mount(t, fs.Options{})
	m.want(`echo abc > .x; printf def >> .x; cat .x; stat -c %s .x`, "abc\ndef7\n")
	m.want(`truncate -s 100000 .x; stat -c %s .x; rm .x; ls -A`, "100000\n")
	m.want(`mkdir .git; echo a > .git/a.json; mkdir .git/b; mv .git/a.json .git/b/c; cat .git/b/c; find .git | sort`,
		"a\n.git\n.git/b\n.git/b/c\n")
	m.want(`echo 1 > .a; echo 2 > .b; mv .a .b; cat .b; ls -A`, "1\n.b\n.git\n")
	m.want(`exec 5<>.b; rm .b; echo new >&5; cat /proc/self/fd/5; stat -L -c %h /dev/fd/5`, "new\n0\n")
	m.want(`dd if=/dev/zero of=.sync bs=1k count=3 conv=fsync 2>/dev/null; stat -c %s .sync`, "3072\n")
	if n := m.node(".git/b/c"); n.Kind != echo.KindLocal {
		t.Errorf("got kind %v, want local", n.Kind)
	}
	m.sh(`rm -r .git .sync`)
	left, err := os.ReadDir(m.local)
	if err != nil || len(left) != 0 {
		t.Errorf("content is left: %v, %v", left, err)
	}
}

func TestMmap(t *testing.T) {
	m := mount(t, fs.Options{})
	for _, name := range []string{".local", "text.txt"} {
		m.sh(`printf 'hello, world' > ` + name)
		m.helper("mmap", name, "HELLO")
		m.want(`cat `+name, "HELLO, world")
		eventually(t, "the pages of a mapping are saved", func() bool { return m.sh(`cat `+name) == "HELLO, world" })
	}
}

func TestSpaces(t *testing.T) {
	m := mount(t, fs.Options{})
	m.want(`mkdir $M/work; echo '{}' > $M/work/a.json; ls $M`, "notes\nwork\n")
	if _, err := m.vault.FindSpace("work"); err != nil {
		t.Error(err)
	}
	m.want(`mv $M/work $M/office; cat $M/office/a.json; ls $M`, "{}\nnotes\noffice\n")
	m.want(`mv $M/office/a.json here.json; cat here.json; ls $M/office`, "{}\n")
	m.fails(`mv $M/office $M/notes/office`)
}

func TestOneSpaceOnly(t *testing.T) {
	v := newVault(t)
	a, b := newSpace(t, v, "one"), newSpace(t, v, "two")
	m := mountVault(t, v, a, fs.Options{Space: a.ID()})
	m.want(`ls -a $M; echo '{}' > a.json`, ".\n..\none\n")
	m.fails(`ls $M/two`)
	m.fails(`mkdir $M/three`)
	if _, err := v.Resolve(b.Name()); err != nil {
		t.Error(err)
	}
}

func TestReadOnlyMount(t *testing.T) {
	m := mount(t, fs.Options{ReadOnly: true})
	if got := m.fails(`touch a.json`); !strings.Contains(got, "Read-only") {
		t.Errorf("complained %q", got)
	}
}

func TestRemovedAndMadeAgainIsTheSameObject(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"a":1,"b":1}' > a.json`)
	id := m.node("a.json").ID
	m.sh(`rm a.json; echo '{"a":2,"b":1}' > a.json`)
	if got := m.node("a.json").ID; got != id {
		t.Errorf("removed and made again: got id %v, want %v", got, id)
	}
	m.sh(`echo '{"a":3,"b":1}' > new.tmp; cp --remove-destination new.tmp a.json`)
	if got := m.node("a.json").ID; got != id {
		t.Errorf("cp --remove-destination: got id %v, want %v", got, id)
	}
	m.want(`cat a.json`, `{"a":3,"b":1}`+"\n")
}

func TestControl(t *testing.T) {
	asked := make(chan string, 100)
	m := mount(t, fs.Options{Control: controlStub(asked)})
	m.sh(`echo '{"a":1}' > a.json; mkdir d; echo text > d/b.md`)
	m.want(`ls -a $M/.echofs`, ".\n..\nevents\nidentity.json\npeers.json\nstatus.json\n")
	m.want(`ls .echofs`, "at\nbacklinks\nblame\nby-id\nby-type\nconflicts\ndrafts\nevents\nhistory\nmembers\nmeta\nquery\nrefs\nstatus.json\ntrash\n")
	m.want(`cat $M/.echofs/status.json`, `{"file":"status.json"}`)
	m.want(`cat .echofs/status.json`, `{"file":"`+m.space.PublicID()+`/status.json"}`)
	m.want(`stat -c %s $M/.echofs/peers.json`, "21\n")
	m.want(`find .echofs/meta | sort`,
		".echofs/meta\n.echofs/meta/a.json.json\n.echofs/meta/d\n.echofs/meta/d.json\n.echofs/meta/d/b.md.json\n")
	m.want(`grep -c '"kind": "object"' .echofs/meta/a.json.json; grep -c '"kind": "folder"' .echofs/meta/d.json`, "1\n1\n")
	json, md := m.node("a.json").ID.String()+".json", m.node("d/b.md").ID.String()+".txt"
	m.want(`cat .echofs/by-id/`+json+` .echofs/by-id/`+md, "{\"a\":1}\ntext\n")
	if got := strings.Fields(m.sh(`ls .echofs/by-id`)); len(got) != 2 {
		t.Errorf("by-id lists %q", got)
	}
	m.fails(`cat .echofs/by-id/nothing.json`)
	m.fails(`cat .echofs/nothing`)
	m.want(`find . -name .echofs; find $M -name .echofs; grep -rl status $M || true`, "")
}

func TestConcurrentReadersSeeNothingTorn(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"n":0}' > a.json`)
	out := m.helper("stress", "a.json", "2s")
	var reads, torn int
	if _, err := fmt.Sscanf(out, "%d %d", &reads, &torn); err != nil {
		t.Fatalf("stress printed %q", out)
	}
	t.Logf("%d reads", reads)
	if torn > 0 || reads == 0 {
		t.Errorf("%d of %d reads were torn or empty", torn, reads)
	}
}

func TestUnmountLeavesNothing(t *testing.T) {
	before := descriptors(t)
	m := mount(t, fs.Options{})
	m.sh(`echo '{}' > a.json; cat a.json > .copy; ls -la > /dev/null`)
	if err := m.fsys.Close(); err != nil {
		t.Fatal(err)
	}
	m.fsys.Wait()
	if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), m.dir) {
		t.Errorf("still mounted at %s, %v", m.dir, err)
	}
	for fd, target := range descriptors(t) {
		if _, ok := before[fd]; !ok && (target == "/dev/fuse" || strings.HasPrefix(target, m.local)) {
			t.Errorf("descriptor %s of %s is open", fd, target)
		}
	}
	if err := m.fsys.Mount(m.dir); err == nil {
		t.Error("a closed file system was mounted")
	}
}

func descriptors(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil {
			out[l] = target
		}
	}
	return out
}

func TestUnmountWhileInUse(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"a":1}' > a.json`)
	c := m.start("hold", "a.json", `{"a":2}`)
	c.expect("open")
	done := make(chan error, 1)
	go func() { done <- m.fsys.Unmount(t.Context()) }()
	eventually(t, "the mount is detached", func() bool {
		mounts, err := os.ReadFile("/proc/self/mounts")
		return err == nil && !strings.Contains(string(mounts), m.dir)
	})
	c.tell("go") // writes and closes on the mount that nobody sees any more
	c.expect("closed")
	c.wait()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := m.content("a.json"); got != `{"a":2}` {
		t.Errorf("the last save has %q", got)
	}
}

func TestMountpoint(t *testing.T) {
	needFUSE(t)
	v := newVault(t)
	newFS := func() *fs.FileSystem {
		fsys, err := fs.New(v.Repo, fs.Options{LocalDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { fsys.Close() })
		return fsys
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{full, filepath.Join(full, "x"), "/nonexistent/deep/dir"} {
		if err := newFS().Mount(dir); err == nil {
			t.Errorf("mounted at %s", dir)
		}
	}
	dir := t.TempDir()
	first := newFS()
	if err := first.Mount(dir); err != nil {
		t.Fatal(err)
	}
	if err := newFS().Mount(dir); err == nil {
		t.Error("mounted twice at one place")
	}
	if err := first.Mount(t.TempDir()); err == nil {
		t.Error("mounted one file system twice")
	}
}

func TestUserAllowOther(t *testing.T) {
	for conf, want := range map[string]bool{
		"":                                     false,
		"#user_allow_other\n":                  false,
		"mount_max = 1000\nuser_allow_other\n": true,
		"  user_allow_other # yes":             true,
		"user_allow_others\n":                  false,
	} {
		if got := fs.AllowsOther(conf); got != want {
			t.Errorf("%q: got %v, want %v", conf, got, want)
		}
	}
}

func TestOrphansAreRemoved(t *testing.T) {
	v := newVault(t)
	s := newSpace(t, v, "notes")
	local := t.TempDir()
	n, err := v.CreateFile(t.Context(), s.Ino(), ".keep", 0)
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(local, strconv.FormatUint(uint64(n.Ino), 10))
	orphan := filepath.Join(local, "99999")
	for _, path := range []string{kept, orphan} {
		if err := os.WriteFile(path, []byte("left by a crash"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := mountVault(t, v, s, fs.Options{LocalDir: local})
	m.want(`cat .keep; stat -c %s .keep`, "left by a crash15\n")
	if _, err := os.Stat(orphan); !os.IsNotExist(err) {
		t.Errorf("the orphan is there: %v", err)
	}
}
