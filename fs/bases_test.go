package fs

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"echofs/echo"
	"echofs/echo/doc"
)

// ver returns a version that is told from others by a number.
func ver(n byte) echo.Version { return echo.Version{Heads: doc.Heads{doc.ChangeHash{n}}} }

func number(v *echo.Version) byte {
	if v == nil {
		return 0
	}
	return v.Heads[0][0]
}

// proc returns a process, whose parent is 0, nobody, where none is given.
func proc(pid, session int, parent ...int) author {
	a := author{process{id: processID{pid, uint64(pid)}, session: session}}
	if len(parent) > 0 {
		a.parent = parent[0]
	}
	return a
}

func testBases() *bases {
	b := newBases(procfs{"/nonexistent"})
	b.alive = func(processID) bool { return true }
	b.start = func(int) uint64 { return unknownLeaderStart }
	b.ancestors = func(p process) []processID {
		if p.parent == 0 {
			return nil
		}
		return []processID{{p.parent, uint64(p.parent)}}
	}
	return b
}

func TestBaseRules(t *testing.T) {
	id, other := doc.ObjectID{1}, doc.ObjectID{2}
	editor, shell, tool, stranger := proc(10, 1), proc(20, 2), proc(21, 2, 20), proc(30, 3)
	apart := proc(22, 9, 20) // a child of the shell in a session of its own
	for _, c := range []struct {
		name string
		do   func(b *bases)
		who  author
		want byte
		rule string
	}{
		{"nothing known", func(*bases) {}, editor, 0, ruleCurrent},
		{"another object", func(b *bases) { b.read(editor, other, ver(1), false) }, editor, 0, ruleCurrent},
		{"own read", func(b *bases) { b.read(editor, id, ver(1), false); b.read(stranger, id, ver(2), false) }, editor, 1, ruleProcess},
		{"own later read", func(b *bases) { b.read(editor, id, ver(1), false); b.read(editor, id, ver(2), false) }, editor, 2, ruleProcess},
		{"own save", func(b *bases) { b.read(editor, id, ver(1), false); b.wrote(editor, id, ver(3)) }, editor, 3, ruleProcess},
		{"session", func(b *bases) { b.read(shell, id, ver(1), false); b.read(stranger, id, ver(2), false) }, proc(23, 2), 1, ruleSession},
		{"own before session", func(b *bases) { b.read(tool, id, ver(1), false); b.read(shell, id, ver(2), false) }, tool, 1, ruleProcess},
		{"ancestor", func(b *bases) { b.read(shell, id, ver(1), false); b.read(stranger, id, ver(2), false) }, apart, 1, ruleAncestor},
		{"ancestor later than session", func(b *bases) { b.read(proc(24, 9), id, ver(1), false); b.read(shell, id, ver(2), false) }, apart, 2, ruleAncestor},
		{"session later than ancestor", func(b *bases) { b.read(shell, id, ver(2), false); b.read(proc(24, 9), id, ver(1), false) }, apart, 1, ruleSession},
		{"served", func(b *bases) { b.read(editor, id, ver(1), false); b.read(stranger, id, ver(2), false) }, proc(40, 4), 2, ruleServed},
		{"unknown author", func(b *bases) { b.read(editor, id, ver(1), false) }, author{}, 1, ruleServed},
		{"reads of nobody known", func(b *bases) { b.read(author{}, id, ver(1), false) }, editor, 1, ruleServed},
		{"number used again", func(b *bases) { b.read(editor, id, ver(1), false); b.read(stranger, id, ver(2), false) },
			author{process{id: processID{10, 99}, session: 7}}, 2, ruleServed},
		{"draft", func(b *bases) { v := ver(1); b.drafted(id, &v); b.read(editor, id, ver(2), true) }, editor, 1, ruleProcess},
		{"draft of unknown base", func(b *bases) { b.read(editor, id, ver(2), true) }, editor, 2, ruleProcess},
		{"draft ended", func(b *bases) {
			v := ver(1)
			b.drafted(id, &v)
			b.wrote(stranger, id, ver(3))
			b.read(editor, id, ver(4), true)
		}, editor, 4, ruleProcess},
		{"draft of the current version", func(b *bases) {
			v := ver(1)
			b.drafted(id, &v)
			b.drafted(id, nil)
			b.read(editor, id, ver(2), true)
		}, editor, 2, ruleProcess},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := testBases()
			c.do(b)
			got, rule := b.base(c.who, id)
			if number(got) != c.want || rule != c.rule {
				t.Errorf("got version %d by rule %q, want %d by %q", number(got), rule, c.want, c.rule)
			}
		})
	}
}

func TestSessionNumberUsedAgain(t *testing.T) {
	b := testBases()
	id := doc.ObjectID{1}
	leader := uint64(100)
	b.start = func(int) uint64 { return leader }
	b.read(proc(10, 5), id, ver(1), false)
	leader = unknownLeaderStart // the leader ended, the session goes on
	if got, rule := b.base(proc(11, 5), id); number(got) != 1 || rule != ruleSession {
		t.Errorf("without its leader: got version %d by %q", number(got), rule)
	}
	leader = 200
	if _, rule := b.base(proc(12, 5), id); rule != ruleServed {
		t.Errorf("another session of the number: got rule %q", rule)
	}
}

// TestRecursiveReadForgetsOnlyItself reads more objects than are remembered.
func TestRecursiveReadForgetsOnlyItself(t *testing.T) {
	b := testBases()
	editor, grep := proc(10, 1), proc(20, 2)
	id := doc.ObjectID{15: 1}
	b.read(editor, id, ver(1), false)
	for i := range 3 * maxObjectsServed {
		b.read(grep, doc.ObjectID{byte(i), byte(i >> 8), byte(i >> 16)}, ver(2), false)
	}
	if got, rule := b.base(editor, id); number(got) != 1 || rule != ruleProcess {
		t.Errorf("got version %d by rule %q", number(got), rule)
	}
	if n := b.served.len(); n > maxObjectsServed {
		t.Errorf("%d objects are remembered as served", n)
	}
}

func TestDeadProcessesGoFirst(t *testing.T) {
	b := testBases()
	b.alive = func(p processID) bool { return p.pid == 1 }
	id := doc.ObjectID{1}
	b.read(proc(1, 1), id, ver(1), false)
	for pid := 2; pid < 5*maxProcesses; pid++ {
		b.read(proc(pid, 2), id, ver(2), false)
	}
	if got, rule := b.base(proc(1, 1), id); number(got) != 1 || rule != ruleProcess {
		t.Errorf("got version %d by rule %q", number(got), rule)
	}
	if n := b.processes.len(); n > maxProcesses {
		t.Errorf("%d processes are remembered", n)
	}
}

// TestBasesAgainstModel compares with a list of all that happened.
func TestBasesAgainstModel(t *testing.T) {
	type event struct {
		who author
		id  doc.ObjectID
		v   byte
	}
	rapid.Check(t, func(t *rapid.T) {
		b := testBases()
		var past []event
		who := rapid.Custom(func(t *rapid.T) author {
			pid := rapid.IntRange(0, 6).Draw(t, "pid")
			if pid == 0 {
				return author{}
			}
			return proc(pid, rapid.IntRange(0, 2).Draw(t, "session"), pid/2)
		})
		object := rapid.Map(rapid.ByteRange(1, 3), func(n byte) doc.ObjectID { return doc.ObjectID{n} })
		last := func(id doc.ObjectID, match func(author) bool) int {
			for i := len(past) - 1; i >= 0; i-- {
				if past[i].id == id && match(past[i].who) {
					return i
				}
			}
			return -1
		}
		t.Repeat(map[string]func(*rapid.T){
			"read": func(t *rapid.T) {
				e := event{who.Draw(t, "who"), object.Draw(t, "object"), byte(len(past) + 1)}
				past = append(past, e)
				b.read(e.who, e.id, ver(e.v), false)
			},
			"save": func(t *rapid.T) {
				e := event{who.Draw(t, "who"), object.Draw(t, "object"), byte(len(past) + 1)}
				past = append(past, e)
				b.wrote(e.who, e.id, ver(e.v))
			},
			"": func(t *rapid.T) {
				a, id := who.Draw(t, "who"), object.Draw(t, "object")
				want, rule := -1, ruleCurrent
				if a.known() {
					own := last(id, func(p author) bool { return p.id == a.id })
					session := last(id, func(p author) bool { return p.known() && a.session != 0 && p.session == a.session })
					ancestor := last(id, func(p author) bool { return p.known() && p.id.pid == a.parent })
					switch {
					case own >= 0:
						want, rule = own, ruleProcess
					case session >= 0 && session >= ancestor:
						want, rule = session, ruleSession
					case ancestor >= 0:
						want, rule = ancestor, ruleAncestor
					}
				}
				if want < 0 {
					if want = last(id, func(author) bool { return true }); want >= 0 {
						rule = ruleServed
					}
				}
				got, gotRule := b.base(a, id)
				wantVersion := byte(0)
				if want >= 0 {
					wantVersion = past[want].v
				}
				if number(got) != wantVersion || gotRule != rule {
					t.Fatalf("got version %d by %q, want %d by %q", number(got), gotRule, wantVersion, rule)
				}
			},
		})
	})
}

func Example_rules() {
	b := testBases()
	vim, id := proc(10, 1), doc.ObjectID{1}
	b.read(vim, id, ver(1), false) // :edit
	b.wrote(vim, id, ver(2))       // :write, merged with others' edits into version 3
	v, rule := b.base(vim, id)     // :write again
	fmt.Println(number(v), rule)
	// Output: 2 process
}
