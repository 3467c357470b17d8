package fs_test

import (
	"strings"
	"testing"

	"echofs/echo"
	"echofs/fs"
)

func TestSymbolicLinks(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"a":1}' > a.json; mkdir -p d/e; ln -s a.json l; ln -s ../../a.json d/e/up; ln -s d/e dir`)
	m.want(`cat l d/e/up; ls dir; readlink l; stat -c '%F %s' l`,
		"{\"a\":1}\n{\"a\":1}\nup\na.json\nsymbolic link 6\n")
	if n := m.node("l"); n.Kind != echo.KindLink {
		t.Errorf("got kind %v, want a link that is an object", n.Kind)
	}
	m.want(`echo '{"a":2}' > l; cat a.json; readlink l`, "{\"a\":2}\na.json\n")
	m.want(`ln -sfn d l; readlink l; mv l k; readlink k; ls`, "d\nd\na.json\nd\ndir\nk\n")
	m.want(`cp -a k copy; readlink copy; rm k copy; ls d`, "d\ne\n")
	m.want(`mv dir .dir; readlink .dir; mv .dir dir; readlink dir; ls -A`, "d/e\nd/e\na.json\nd\ndir\n")
	m.want(`ln -s /etc/hostname .anywhere; readlink .anywhere; rm .anywhere`, "/etc/hostname\n")
	for _, to := range []string{"/etc/passwd", "../notes/a.json", "d/../../x", ".git/config", ".echofs/trash"} {
		if got := m.fails(`ln -s ` + to + ` bad`); !strings.Contains(got, "not permitted") {
			t.Errorf("a link to %s: complained %q", to, got)
		}
	}

	// A link that leads out since it was moved is seen and not followed.
	m.sh(`mv d/e/up up`)
	m.want(`stat -c %F up`, "symbolic link\n")
	for _, script := range []string{`readlink up`, `cat up`, `echo x > up`} {
		if got := m.fails(`LC_ALL=C ` + script); strings.Contains(got, "No such file") {
			t.Errorf("%s: complained %q", script, got)
		}
	}
	m.want(`find -L . -type f | sort`, "./a.json\n")
	m.want(`rm up; ls`, "a.json\nd\ndir\n")
}

// TestLinkFromElsewhere shows a link that another device made, and tells those who
// watch of it.
func TestLinkFromElsewhere(t *testing.T) {
	m, o := mountShared(t)
	w := m.inotify(".")
	n := o.must(o.vault.CreateLink(t.Context(), o.space.Ino(), "l", "a.json"))
	if err := o.vault.Settle(t.Context(), n.Ino); err != nil {
		t.Fatal(err)
	}
	o.sync()
	w.expect("CREATE l")
	m.want(`readlink l; stat -c %F l`, "a.json\nsymbolic link\n")
	o.rename("l", "k")
	o.sync()
	w.expect("MOVED_FROM l", "MOVED_TO k")
	o.remove("k")
	w.expect("DELETE k")
}

// TestRefusedSaveLeavesLink renames local files onto a symbolic link: one that is
// refused leaves it where it is.
func TestRefusedSaveLeavesLink(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"a":1}' > a.json; ln -s a.json l.json; printf '{"a":' > .bad; echo '{"a":2}' > .good`)
	if got := m.fails(`LC_ALL=C mv -f .bad l.json`); !strings.Contains(got, "Input/output error") {
		t.Errorf("complained %q, want EIO", got)
	}
	m.want(`readlink l.json; cat .bad l.json; ls`, "a.json\n{\"a\":{\"a\":1}\na.json\nl.json\n")
	m.want(`mv -f .good l.json; stat -c %F l.json; cat l.json a.json; ls -A`,
		"regular file\n{\"a\":2}\n{\"a\":1}\n.bad\na.json\nl.json\n")
	m.settle("l.json")
	if n := m.node("l.json"); n.Kind != echo.KindObject {
		t.Errorf("got kind %v, want an object", n.Kind)
	}

	// What is no text becomes a blob; a link is replaced by it as well.
	m.want(`ln -s a.json p.bin; printf '\0\1' > .blob; mv -f .blob p.bin; stat -c '%F %s' p.bin; ls -A`,
		"regular file 2\n.bad\na.json\nl.json\np.bin\n")
}
