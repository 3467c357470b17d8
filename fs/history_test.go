package fs_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"echofs/echo"
	"echofs/fs"
)

// settleAll makes all objects of a vault documents.
func (m *mounted) settleAll() {
	m.tb.Helper()
	var each func(dir echo.Ino)
	each = func(dir echo.Ino) {
		err := m.vault.List(dir, 0, func(n echo.Node) bool {
			if err := m.vault.Settle(m.tb.Context(), n.Ino); err != nil {
				m.tb.Error(err)
			}
			if n.Kind.IsDir() {
				each(n.Ino)
			}
			return true
		})
		if err != nil {
			m.tb.Fatal(err)
		}
	}
	each(m.space.Ino())
}

// keep copies the space's files to a directory.
func (m *mounted) keep() string {
	m.tb.Helper()
	dir := filepath.Join(m.tb.TempDir(), "kept")
	m.sh(`cp -r . ` + dir)
	return dir
}

// moment returns the time now, after which nothing happens for a moment.
func moment() string {
	now := time.Now()
	for time.Now().UnixMilli() == now.UnixMilli() {
	}
	return now.UTC().Format(time.RFC3339Nano)
}

func TestAt(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`mkdir d d/e; printf '{\n  "v": 1,\n  "w": 2\n}\n' > d/a.json; echo one > b.md; printf 'x\0\377y' > d/e/c.bin; ln -s ../b.md d/l; echo local > .swp`)
	m.settleAll()
	before, first := m.keep(), moment()
	m.sh(`rm .swp; mv d/e d/f; mv d/a.json z.json; echo '{"v":2,   "w":2}' > z.json; echo two >> b.md; printf 'x\0\377yz' > d/f/c.bin; ln -sfn b.md d/m; rm d/l; mkdir new; echo '{}' > new/n.json`)
	m.settleAll()
	eventually(t, "the link is deleted", func() bool {
		trash, err := m.space.Trash(t.Context())
		return err == nil && len(trash) == 1 && !trash[0].Waiting
	})
	after, second := m.keep(), moment()
	if err := os.Remove(filepath.Join(before, ".swp")); err != nil {
		t.Fatal(err)
	}
	m.want(`ls -A .echofs/at`, "")
	for when, want := range map[string]string{first: before, second: after} {
		at := ".echofs/at/" + when
		m.want(`diff -r --no-dereference `+want+` `+at+`; cd `+at+`; find . | sort`, m.sh(`cd `+want+`; find . | sort`))
		m.sh(`d=$(mktemp -d); cp -r ` + at + ` $d/x; diff -r --no-dereference ` + want + ` $d/x; tar -C ` + at + ` -c . | tar -C $d -x; rm -r $d`)
		m.want(`cd `+at+`; for f in $(find . -type f); do test $(stat -c %s $f) = $(wc -c < $f) || echo $f; done`, "")
	}
	m.want(`cd .echofs/at/`+first+`; ls d d/e; grep -rl one . ; cat d/l; readlink d/l`,
		"d:\na.json\ne\nl\n\nd/e:\nc.bin\n./b.md\none\n../b.md\n")
	m.want(`ls .echofs/at/2001-02-03 .echofs/at/-3d; ls -d .echofs/at/2001-02`, ".echofs/at/-3d:\n\n.echofs/at/2001-02-03:\n.echofs/at/2001-02\n")
	m.want(`ls .echofs/at/-0s/`, "b.md\nd\nnew\nz.json\n")
	for _, script := range []string{`ls .echofs/at/yesterday`, `cat .echofs/at/-1h/b.md`, `ls .echofs/at/-0s/b.md/x`, `cat .echofs/at/-0s/.swp`} {
		m.fails(script)
	}
	for _, script := range []string{`touch .echofs/at/-0s/x`, `echo 1 > .echofs/at/-0s/b.md`, `rm .echofs/at/-0s/b.md`,
		`mv .echofs/at/-0s/b.md c.md`, `mkdir .echofs/at/-0s/q`, `rm -r .echofs/at/-0s/d`} {
		if got := m.fails(script); !strings.Contains(got, "Read-only file system") {
			t.Errorf("%s\ncomplained %q", script, got)
		}
	}
}

// TestAtStaysOneMoment walks through "-0s" while the space changes.
func TestAtStaysOneMoment(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"v":1}' > a.json`)
	m.settle("a.json")
	m.want(`ls .echofs/at/-0s`, "a.json\n")
	m.sh(`echo '{"v":2}' > a.json; echo '{}' > b.json`)
	m.settle("b.json")
	m.want(`ls .echofs/at/-0s; tr -d ' \n' < .echofs/at/-0s/a.json`, "a.json\n{\"v\":1}")
}

func TestHistoryOfBlobs(t *testing.T) {
	m := mount(t, fs.Options{BlobWait: 50 * time.Millisecond})
	m.sh(`mkdir d; printf 'a\0\377' > d/x.bin`)
	m.settle("d/x.bin")
	first := moment()
	m.sh(`printf 'bb\0\377b' > d/x.bin; mv d/x.bin d/y.bin`)
	m.want(`ls .echofs/history/d; cd .echofs/history/d/y.bin; for f in $(ls -v); do stat -c %s $f; od -An -c $f; done | tr -s ' '`,
		"y.bin\n3\n a \\0 377\n5\n b b \\0 377 b\n5\n b b \\0 377 b\n")
	m.want(`cd .echofs/at/`+first+`/d; od -An -c x.bin | tr -s ' '; stat -c %s x.bin`, " a \\0 377\n3\n")
	m.want(`cd .echofs/by-id; od -An -c *.bin | tr -s ' '`, " b b \\0 377 b\n")
	if err := m.space.Compact(t.Context()); err != nil { // drops what was replaced
		t.Fatal(err)
	}
	for _, path := range []string{".echofs/at/" + first + "/d/x.bin", ".echofs/history/d/y.bin/1-*"} {
		if got := m.fails(`cat ` + path); !strings.Contains(got, syscall.ENODATA.Error()) && !strings.Contains(got, "No data available") {
			t.Errorf("%s: complained %q", path, got)
		}
	}
	m.want(`grep -o '"size": .\|"here": [a-z]*' .echofs/meta/d/y.bin.json`, "\"size\": 5\n\"here\": true\n\"size\": 3\n\"here\": false\n")
	m.want(`ls -l .echofs/at/`+first+`/d | grep -c x.bin; cat .echofs/history/d/y.bin/2-* | wc -c`, "1\n5\n")
}

func TestHistoryOfWhatWasDeleted(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`mkdir d; echo '{"v":1}' > d/a.json; echo x > d/b.md`)
	m.settleAll()
	m.sh(`echo '{"v":2}' > d/a.json; rm d/a.json`)
	eventually(t, "it is deleted", func() bool {
		trash, err := m.space.Trash(t.Context())
		return err == nil && len(trash) == 1 && !trash[0].Waiting
	})
	m.want(`ls .echofs/history/d; cd .echofs/history/d/a.json; cat $(ls -v) | grep -o '"v": .'; ls | wc -l`, "b.md\n\"v\": 1\n\"v\": 2\n\"v\": 2\n3\n")
	m.fails(`ls .echofs/history/d/none.json`)
	m.fails(`ls .echofs/history/d/a.json/none`)
}
