package fs_test

import (
	"strings"
	"testing"

	"echofs/echo"
	"echofs/fs"
)

// TestRenameMatrix renames each kind of file to each kind of place.
func TestRenameMatrix(t *testing.T) {
	for _, c := range []struct {
		name     string
		script   string // what is done
		want     string // what `ls -A; cat` says then
		sameID   string // this file must be the object that "t.json" was
		wantKind map[string]echo.Kind
	}{
		{name: "local to local", script: `echo 1 > .a; mv .a .b; cat .b`, want: "1\n",
			wantKind: map[string]echo.Kind{".b": echo.KindLocal}},
		{name: "local over local", script: `echo 1 > .a; echo 2 > .b; mv .a .b; cat .b; ls -A`, want: "1\n.b\nt.json\n"},
		{name: "local over object", script: `echo '{"v":2}' > .a; mv .a t.json; cat t.json; ls -A`, want: "{\"v\":2}\nt.json\n", sameID: "t.json"},
		{name: "local to new object", script: `echo '{"v":2}' > .a; mv .a u.json; cat u.json; ls -A`, want: "{\"v\":2}\nt.json\nu.json\n",
			wantKind: map[string]echo.Kind{"u.json": echo.KindObject}},
		{name: "local to new text", script: `echo hi > .a; mv .a u.md; cat u.md`, want: "hi\n",
			wantKind: map[string]echo.Kind{"u.md": echo.KindText}},
		{name: "object to new name", script: `mv t.json u.json; cat u.json; ls -A`, want: "{\"v\":1}\nu.json\n", sameID: "u.json"},
		{name: "object over object", script: `echo '{"v":2}' > u.json; mv u.json t.json; cat t.json; ls -A`, want: "{\"v\":2}\nt.json\n", sameID: "t.json"},
		{name: "text over object", script: `echo '{"v":2}' > u.new; mv u.new t.json; cat t.json; ls -A`, want: "{\"v\":2}\nt.json\n", sameID: "t.json"},
		{name: "object over text", script: `echo hi > u.md; cp t.json c.json; mv c.json u.md; cat u.md`, want: "{\"v\":1}\n",
			wantKind: map[string]echo.Kind{"u.md": echo.KindText}},
		{name: "object to local", script: `mv t.json t.json~; cat t.json~; ls -A`, want: "{\"v\":1}\nt.json~\n",
			wantKind: map[string]echo.Kind{"t.json~": echo.KindLocal}},
		{name: "object over local", script: `echo x > .b; mv t.json .b; cat .b; ls -A`, want: "{\"v\":1}\n.b\n"},
		{name: "away and back", script: `mv t.json t.json~; mv t.json~ t.json; cat t.json; ls -A`, want: "{\"v\":1}\nt.json\n", sameID: "t.json"},
		{name: "away and made again", script: `mv t.json t.json~; echo '{"v":2}' > t.json; rm t.json~; cat t.json; ls -A`, want: "{\"v\":2}\nt.json\n", sameID: "t.json"},
		{name: "away, another comes", script: `echo '{"v":2}' > t.json___jb_tmp___; mv t.json t.json___jb_old___; mv t.json___jb_tmp___ t.json; rm t.json___jb_old___; cat t.json; ls -A`,
			want: "{\"v\":2}\nt.json\n", sameID: "t.json"},
		{name: "into folder", script: `mkdir d; mv t.json d; cat d/t.json; ls -A . d`, want: "{\"v\":1}\n.:\nd\n\nd:\nt.json\n", sameID: "d/t.json"},
		{name: "local into folder", script: `mkdir d; echo '{"v":2}' > .a; mv .a d/u.json; cat d/u.json`, want: "{\"v\":2}\n",
			wantKind: map[string]echo.Kind{"d/u.json": echo.KindObject}},
		{name: "folder", script: `mkdir d; mv t.json d; mv d e; cat e/t.json; ls -A`, want: "{\"v\":1}\ne\n", sameID: "e/t.json"},
		{name: "folder over empty folder", script: `mkdir d e; mv t.json d; mv -T d e; cat e/t.json; ls -A`, want: "{\"v\":1}\ne\n"},
		{name: "folder to local name", script: `mkdir d; mv t.json d; mv d .d; cat .d/t.json; ls -A`, want: "{\"v\":1}\n.d\n",
			wantKind: map[string]echo.Kind{".d": echo.KindLocalDir}},
		{name: "onto itself", script: `mv -T t.json ./t.json 2>/dev/null || cat t.json`, want: "{\"v\":1}\n", sameID: "t.json"},
		{name: "fresh over object", script: `touch u.json; mv u.json t.json 2>/dev/null || ls -A`, want: "t.json\nu.json\n", sameID: "t.json"},
		{name: "link", script: `ln -s t.json .l; mv .l .k; cat .k`, want: "{\"v\":1}\n",
			wantKind: map[string]echo.Kind{".k": echo.KindLocalLink}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mount(t, fs.Options{})
			m.sh(`echo '{"v":1}' > t.json`)
			id := m.node("t.json").ID
			m.want(c.script, c.want)
			if c.sameID != "" && m.node(c.sameID).ID != id {
				t.Errorf("%s is another object", c.sameID)
			}
			for path, kind := range c.wantKind {
				if got := m.node(path).Kind; got != kind {
					t.Errorf("%s: got kind %d, want %d", path, got, kind)
				}
			}
		})
	}
}

func TestRenameRefused(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{}' > a.json; echo '{}' > b.json; mkdir -p d e; echo '{}' > e/x.json`)
	for _, c := range []struct{ script, complaint string }{
		{`mv -T d e`, "not empty"},
		{`mv -n -T a.json b.json; test -e a.json && exit 1`, ""},
		{`mv d d/inside`, "subdirectory of itself"},
		{`mv -T a.json d`, "directory"},
	} {
		if got := m.fails(c.script); !strings.Contains(got, c.complaint) {
			t.Errorf("%s\ncomplained %q, want %q", c.script, got, c.complaint)
		}
	}
	m.sh(`echo '{"a":1}' > a.json`)
	a, b := m.node("a.json"), m.node("b.json")
	m.helper("renamex", "a.json", "b.json")
	m.want(`cat a.json b.json; ls`, "{}\n{\"a\":1}\na.json\nb.json\nd\ne\n")
	if m.node("a.json").ID != b.ID || m.node("b.json").ID != a.ID {
		t.Error("exchanged objects have other ids")
	}
}

// TestWriteAfterRename writes through a handle whose file was renamed onto an
// object: programs of GNOME rename before they close.
func TestWriteAfterRename(t *testing.T) {
	m := mount(t, fs.Options{})
	for _, tmp := range []string{".goutputstream-ABCDEF", "tmp-x.json"} {
		m.sh(`echo '{"v":1}' > t.json`)
		id := m.node("t.json").ID
		m.helper("latewrite", tmp, "t.json", `{"v":2}`, `{"v":3}`)
		m.want(`cat t.json; ls -A`, `{"v":3}`+"t.json\n")
		if m.node("t.json").ID != id {
			t.Errorf("%s: t.json is another object", tmp)
		}
	}
}
