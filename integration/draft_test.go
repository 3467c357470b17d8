package integration_test

import (
	"slices"
	"strings"
	"testing"
)

// draft is a line of `drafts list --json`.
type draft struct {
	Path, Space, Pointer, Reason, Saved string
	Line, Column                        int
}

func (v *vault) drafts() (ds []draft) {
	v.tb.Helper()
	v.json(&ds, "drafts", "list", v.space)
	return ds
}

// broken is what nobody can parse: it has CR, NUL-free binary, and no newline
// at its end, so that a draft which is not kept byte by byte is seen.
const broken = "{\"title\": \"Buy milk\",\r\n\t\"n\": ,\xff\xfe"

// Content that is no JSON is refused where the program looks, kept byte by byte
// as a draft, and nobody else ever sees it.
func TestDrafts(t *testing.T) {
	t.Parallel()
	ada, bob := pair(t)
	ada.sh("cat > f.json <<'EOT'\n" + milk + "EOT\necho '{\"v\":1}' > g.json; echo '{\"v\":1}' > h.json")
	everybody(t, "h.json", patience, has(`"v":1`), ada, bob)

	// A shell says nothing, other programs say what close has answered.
	ada.shell(`printf '{"title": "Buy milk",\r\n\t"n": ,\377\376' > f.json`)
	if got := ada.fails("echo '{\"v\":' > .bad; cp .bad g.json"); !strings.Contains(got, "Invalid argument") {
		t.Errorf("cp: got %q, want EINVAL", got)
	}
	if got := ada.fails("mv .bad g.json"); !strings.Contains(got, "Input/output error") {
		t.Errorf("mv: got %q, want EIO", got)
	}
	if got := ada.fails("echo '{\"v\":2,\"v\":3}' | dd of=h.json conv=fsync status=none"); !strings.Contains(got, "Input/output error") {
		t.Errorf("dd with fsync: got %q, want EIO", got)
	}
	if got := ada.sh("cat f.json"); got != broken {
		t.Errorf("f.json: got %q, want what was written, %q", got, broken)
	}
	check := func() {
		t.Helper()
		var paths []string
		for _, d := range ada.drafts() {
			if d.Space != ada.space || d.Line < 1 || d.Column < 1 || d.Reason == "" || d.Saved == "" {
				t.Errorf("draft: got %+v, want a place and a reason", d)
			}
			paths = append(paths, d.Path)
		}
		if slices.Sort(paths); !slices.Equal(paths, []string{"f.json", "g.json", "h.json"}) {
			t.Errorf("drafts: got %q", paths)
		}
		if got := ada.run("drafts", "show", ada.path("f.json")); got != broken {
			t.Errorf("drafts show: got %q, want %q", got, broken)
		}
		if got := ada.sh("cat .echofs/drafts/f.json"); got != broken {
			t.Errorf(".echofs/drafts/f.json: got %q, want %q", got, broken)
		}
		if st := ada.status(); st.Drafts != 3 {
			t.Errorf("status: got %d drafts, want 3", st.Drafts)
		}
		if st := ada.stat("f.json"); st.Error == "" {
			t.Errorf("stat of a draft: got %+v, want an error", st)
		}
		if got, want := ada.canonical("f.json"), `{"done":false,"n":1,"tags":["shop"],"title":"Buy milk"}`+"\n"; got != want {
			t.Errorf("the object: got %s, want its last good value %s", got, want)
		}
	}
	check()
	ada.restart()
	check()

	// The others' saves still reach the object, below the draft.
	bob.sh(`sed -i 's/"n": 1/"n": 2/' f.json`)
	everybody(t, "f.json", patience, has(`"n":2`, `"done":false`), ada, bob)
	if got := ada.sh("cat f.json"); got != broken {
		t.Errorf("f.json after a remote change: got %q, want the draft", got)
	}
	if got := len(bob.drafts()); got != 0 {
		t.Errorf("bob has %d drafts, want none: they do not travel", got)
	}

	// Three ways out: discard it, save something valid, remove the file.
	ada.run("drafts", "discard", ada.path("f.json"))
	if got := ada.sh("cat f.json"); !strings.Contains(got, `"n": 2`) {
		t.Errorf("f.json: got %q, want the current value", got)
	}
	ada.sh(`echo '{"v":4}' > g.json; rm h.json`)
	if got := ada.drafts(); len(got) != 0 {
		t.Errorf("drafts: got %+v, want none", got)
	}
	everybody(t, "g.json", patience, has(`"v":4`), ada, bob)
	eventually(t, "bob loses h.json", patience, func() error { return want(bob.shell("! test -e h.json"), 0) })
	if got := ada.refuse(3, "drafts", "discard", ada.path("g.json")).stderr; !strings.Contains(got, "g.json") {
		t.Errorf("discard without a draft: got %q, want the file's name", got)
	}
}

// vim says that the save has failed, and keeps the buffer as modified.
func TestDraftInVim(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	for _, mode := range []string{"set backupcopy=auto", "set backupcopy=yes", "set nowritebackup"} {
		t.Run(mode, func(t *testing.T) {
			v := v.on(t)
			v.sh("cat > f.json <<'EOT'\n" + milk + "EOT")
			id := v.stat("f.json").ID
			x := v.vim("f.json", "--cmd", "'"+mode+"'")
			x.ex("%s/false/flase/ | w", "E512")
			x.keys("Enter")
			x.ex("set modified?", "  modified")
			x.overwrite("%s/flase/true/")
			x.ex("set modified?", "nomodified")
			x.ex("q", "")
			x.gone()
			if got := v.sh("cat f.json"); got != done {
				t.Errorf("f.json: got %q, want %q", got, done)
			}
			if st := v.stat("f.json"); st.ID != id || st.Error != "" {
				t.Errorf("stat: got %+v, want object %s and no error", st, id)
			}
			if got := v.drafts(); len(got) != 0 {
				t.Errorf("drafts: got %+v, want none", got)
			}
		})
	}
}

// An empty file is a draft, and not the wish to delete every field.
func TestEmptied(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada")
	v.sh("cat > f.json <<'EOT'\n" + milk + "EOT\nsleep 0.1; : > f.json; test -z \"$(cat f.json)\"; jq . < f.json | tee f.json")
	if got := len(v.log("f.json")); got != 1 {
		t.Errorf("history: got %d versions, want 1", got)
	}
	if got := v.drafts(); len(got) != 1 {
		t.Errorf("drafts: got %+v, want one", got)
	}
	if got := v.canonical("f.json"); !strings.Contains(got, "Buy milk") {
		t.Errorf("the object: got %s, want all its fields", got)
	}
	v.run("drafts", "discard", v.path("f.json"))
	if got := v.sh("cat f.json"); got != milk {
		t.Errorf("f.json: got %q, want %q", got, milk)
	}
}
