package fs_test

import (
	"encoding/json"
	"strings"
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/fs"
)

func newVault(t *testing.T) *echotest.Vault {
	t.Helper()
	return echotest.NewVault(t, "ada", echo.Options{RemoveGrace: echo.DefaultRemoveGrace})
}

func newSpace(t *testing.T, v *echotest.Vault, name string) *echo.Space {
	t.Helper()
	s, err := v.CreateSpace(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// settle makes an object replicate, so that it has versions.
func (m *mounted) settle(path string) {
	m.tb.Helper()
	if err := m.vault.Settle(m.tb.Context(), m.node(path).Ino); err != nil {
		m.tb.Fatal(err)
	}
}

// fields returns the data of an object.
func (m *mounted) fields(path string) map[string]any {
	m.tb.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(m.content(path)), &out); err != nil {
		m.tb.Fatal(err)
	}
	return out
}

// TestStaleSaveKeepsOthersEdits saves, in each of the ways of editors, a buffer
// that was read before somebody else changed the object.
func TestStaleSaveKeepsOthersEdits(t *testing.T) {
	for _, way := range []string{"inplace", "tempfile", "jsontemp", "backup", "unlink", "jetbrains", "vim", "readwrite"} {
		t.Run(way, func(t *testing.T) {
			m := mount(t, fs.Options{})
			m.sh(`echo '{"mine":1,"theirs":1}' > t.json`)
			m.settle("t.json")
			id := m.node("t.json").ID
			c := m.start("edit", way, "t.json", `{"mine":2,"theirs":1}`)
			c.expect("read")
			m.saveElsewhere("t.json", `{"mine":1,"theirs":2}`)
			m.sh(`cat t.json > /dev/null`) // another process sees the new version
			c.tell("go")
			c.expect("saved")

			got := m.fields("t.json")
			if got["mine"] != 2.0 || got["theirs"] != 2.0 {
				t.Errorf("got %v, want both edits", got)
			}
			if m.node("t.json").ID != id {
				t.Error("it is another object")
			}
			want := "process"
			if way == "readwrite" {
				want = "handle"
			}
			if got := m.node("t.json").Base; got != want {
				t.Errorf("got base rule %q, want %q", got, want)
			}

			// The same buffer again must not undo what was merged.
			c.tell("again")
			c.expect("saved")
			c.wait()
			got = m.fields("t.json")
			if got["mine"] != 2.0 || got["theirs"] != 2.0 {
				t.Errorf("after saving the same buffer again: got %v", got)
			}
		})
	}
}

// TestBaseOfPipelines saves by processes that read nothing themselves.
func TestBaseOfPipelines(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"mine":1,"theirs":1}' > t.json`)
	m.settle("t.json")
	// One process reads, one writes a temporary file, one renames.
	c := m.start("pipeline", "t.json")
	c.expect("read")
	m.saveElsewhere("t.json", `{"mine":1,"theirs":2}`)
	c.tell("go")
	c.expect("saved")
	c.wait()
	got := m.fields("t.json")
	if got["mine"] != 2.0 || got["theirs"] != 2.0 {
		t.Errorf("got %v, want both edits", got)
	}
	if rule := m.node("t.json").Base; rule != "session" {
		t.Errorf("got base rule %q, want session", rule)
	}
}

// TestFixedDraftKeepsOthersEdits repairs a draft after somebody else changed
// the object.
func TestFixedDraftKeepsOthersEdits(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"mine":1,"theirs":1}' > t.json`)
	m.settle("t.json")
	m.fails(`cat t.json > /dev/null; printf '{"mine":2,"theirs":1' | cat > t.json`)
	m.saveElsewhere2("t.json", `{"mine":1,"theirs":2}`)
	m.sh(`cat t.json > .fixed; printf '}' >> .fixed; cat .fixed > t.json`)
	if got := m.fields("t.json"); got["mine"] != 2.0 || got["theirs"] != 2.0 {
		t.Errorf("got %v, want both edits", got)
	}
}

// saveElsewhere2 changes an object on another device, which has no draft of it.
func (m *mounted) saveElsewhere2(path, content string) {
	m.tb.Helper()
	bob := echotest.NewVault(m.tb, "bob", echo.Options{})
	theirs := m.vault.Invite(m.space, bob, roleEditor)
	n, err := bob.Resolve(theirs.Name() + "/" + path)
	if err != nil {
		m.tb.Fatal(err)
	}
	if _, err := bob.Save(m.tb.Context(), echo.Save{Ino: n.Ino, Data: []byte(content), Rule: "test"}); err != nil {
		m.tb.Fatal(err)
	}
	echotest.Exchange(m.tb, m.space, theirs)
}

// TestRemovedElsewhereWhileWritten removes an object on another device while a
// program writes it.
func TestRemovedElsewhereWhileWritten(t *testing.T) {
	for _, content := range []string{`{"a":2}`, `{"a":`} {
		m := mount(t, fs.Options{})
		m.sh(`echo '{"a":1}' > t.json`)
		m.settle("t.json")
		bob := echotest.NewVault(t, "bob", echo.Options{})
		theirs := m.vault.Invite(m.space, bob, roleEditor)
		c := m.start("hold", "t.json", content)
		c.expect("open")
		n, err := bob.Resolve(theirs.Name() + "/t.json")
		if err != nil {
			t.Fatal(err)
		}
		if err := bob.Remove(t.Context(), n.Ino); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the removal arrives", func() bool {
			echotest.Exchange(t, m.space, theirs)
			_, err := m.vault.Lookup(m.space.Ino(), "t.json")
			return err != nil
		})
		c.tell("go")
		c.cmd.Wait() // invalid content makes it fail
		m.want(`cat t.json`, content)
	}
}

// TestPartialOverwriteKeepsItsBase writes into files without truncating them.
func TestPartialOverwriteKeepsItsBase(t *testing.T) {
	for _, c := range []struct{ script, rule string }{
		{`printf x >> t.md`, "handle"},
		{`printf x | dd of=t.md conv=notrunc bs=1 seek=2 2>/dev/null`, "handle"},
		{`printf 'all of it is new' | dd of=t.md conv=notrunc 2>/dev/null`, "session"},
		{`printf 'new' | dd of=t.md 2>/dev/null`, "session"},
		{`python3 -c 'f=open("t.md","r+"); f.read(); f.seek(0); f.write("xx"); f.truncate(); f.close()'`, "handle"},
	} {
		m := mount(t, fs.Options{})
		m.sh(`echo content > t.md; cat t.md; ` + c.script)
		if got := m.node("t.md").Base; got != c.rule {
			t.Errorf("%s\ngot base rule %q, want %q", c.script, got, c.rule)
		}
	}
}

func TestCloseSettlesSizeAndTime(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"a":1}' > t.json; printf 0123456789 > p.md`)
	m.want(`cat t.json; echo '{"a":22222}' > t.json; stat -c %s t.json; cat t.json`, "{\"a\":1}\n12\n{\"a\":22222}\n")
	// The time that a program sees after its save stays.
	m.helper("stabletime", "t.json", `{"a":3}`)
	m.helper("stabletime", "p.md", "short")
}

func TestChangesFromElsewhereAreSeen(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"a":1}' > t.json; printf same > p.md; mkdir d`)
	c := m.start("watch", "t.json")
	c.expect(`{"a":1}`)
	m.saveElsewhere("t.json", `{"a":222}`)
	eventually(t, "a change is seen by a process that has the file open", func() bool {
		c.tell("again")
		return c.line() == `{"a":222}`
	})
	c.close()
	m.want(`cat t.json; stat -c %s t.json`, `{"a":222}`+"9\n")
	m.saveElsewhere("p.md", "SAME")
	m.want(`cat p.md`, "SAME")

	n, err := m.vault.CreateFile(t.Context(), m.space.Ino(), "new.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	m.want(`ls`, "d\nnew.json\np.md\nt.json\n")
	if _, _, err := m.vault.Move(t.Context(), n.Ino, m.node("d").Ino, "moved.json", false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a move is seen", func() bool { return m.sh(`ls new.json 2>/dev/null || ls d`) == "moved.json\n" })
	if err := m.vault.Remove(t.Context(), n.Ino); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a removal is seen", func() bool { return m.sh(`cat d/moved.json 2>&1 || true`) != "" && m.sh(`ls d`) == "" })
}

func TestReaderRole(t *testing.T) {
	ada := newVault(t)
	s := newSpace(t, ada, "shared")
	n, err := ada.CreateFile(t.Context(), s.Ino(), "a.json", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ada.Save(t.Context(), echo.Save{Ino: n.Ino, Data: []byte("{}\n")}); err != nil {
		t.Fatal(err)
	}
	if err := ada.Settle(t.Context(), n.Ino); err != nil {
		t.Fatal(err)
	}
	bob := echotest.NewVault(t, "bob", echo.Options{})
	m := mountVault(t, bob, ada.Invite(s, bob, roleReader), fs.Options{})
	m.want(`cat a.json; stat -c %a a.json .`, "{}\n444\n555\n")
	for _, script := range []string{`echo '{"a":1}' > a.json`, `rm a.json`, `mv a.json b.json`, `touch c.json`, `mkdir d`, `mv a.json a.json~`} {
		if got := m.fails(script); !strings.Contains(got, "Read-only") {
			t.Errorf("%s\ncomplained %q", script, got)
		}
	}
	m.want(`echo x > .local; cat .local`, "x\n")
}
