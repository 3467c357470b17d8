package integration_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// terminal is a window in which a program runs that looks at a screen and waits
// for keys.
type terminal struct {
	v      *vault
	socket string
	ended  bool
}

// open starts a program in a terminal, in the given directory.
func (v *vault) open(dir, command string) *terminal {
	v.tb.Helper()
	need(v.tb, "tmux")
	x := &terminal{v: v, socket: filepath.Join(v.dir, fmt.Sprintf("tmux.%d", time.Now().UnixNano()))}
	v.tb.Cleanup(x.close)
	x.tmux("new-session", "-d", "-x", "200", "-y", "24", "cd '"+dir+"' && exec "+command)
	return x
}

func (x *terminal) try(args ...string) result {
	x.v.tb.Helper()
	return do(x.v.tb, patience, x.v.env(), "tmux", append([]string{"-S", x.socket, "-f", "/dev/null"}, args...)...)
}

func (x *terminal) tmux(args ...string) string {
	x.v.tb.Helper()
	r := x.try(args...)
	if r.code != 0 {
		x.v.tb.Fatalf("terminal: %s", r)
	}
	return r.stdout
}

// keys presses keys: texts, and names like Enter, Escape, C-x.
func (x *terminal) keys(keys ...string) {
	x.v.tb.Helper()
	x.tmux(append([]string{"send-keys", "--"}, keys...)...)
}

// screen is what is to be seen.
func (x *terminal) screen() string {
	x.v.tb.Helper()
	return x.try("capture-pane", "-p").stdout
}

// see waits until a text is on the screen.
func (x *terminal) see(text string) {
	x.v.tb.Helper()
	eventually(x.v.tb, fmt.Sprintf("the screen shows %q", text), patience, func() error {
		if s := x.screen(); !strings.Contains(s, text) {
			return fmt.Errorf("it shows\n%s", strings.TrimSpace(s))
		}
		return nil
	})
}

// gone waits until the program has ended.
func (x *terminal) gone() {
	x.v.tb.Helper()
	eventually(x.v.tb, "the program ends", patience, func() error {
		if x.try("has-session").code == 0 {
			return fmt.Errorf("the screen shows\n%s", x.screen())
		}
		return nil
	})
	x.ended = true
}

func (x *terminal) close() {
	if !x.ended {
		x.try("kill-server")
	}
}

// ex types a command of vim, and waits for what it is to show.
func (x *terminal) ex(command, see string) {
	x.v.tb.Helper()
	x.keys("Escape", ":"+command, "Enter")
	if see != "" {
		x.see(see)
	}
}

// overwrite changes a buffer of vim, and saves it although vim may warn that the
// file has changed.
func (x *terminal) overwrite(change string) {
	x.v.tb.Helper()
	x.ex(change, "")
	x.ex("w!", "")
	asked := false
	eventually(x.v.tb, "vim saves", patience, func() error {
		s := x.screen()
		if strings.Contains(s, "written") {
			return nil
		}
		if strings.Contains(s, "(y/n)?") && !asked {
			asked = true // a second answer would be a command, and clear the message
			x.keys("y")
		}
		return fmt.Errorf("the screen shows\n%s", strings.TrimSpace(s))
	})
}

// step is what somebody does in a terminal: keys, and what must be seen then.
type step struct {
	keys []string
	see  string // "" for the end of the program
}

// editor is a program that edits a file in a terminal.
type editor struct {
	save
	command string // "$F" is the file
	ready   string // what the screen shows when it is
	steps   []step
}

// vi is the way of vim's children: two changes, two saves.
var vi = []step{
	{[]string{":%s/false/true/", "Enter", ":w", "Enter"}, "written"},
	{[]string{":%s/: 1/: 2/", "Enter", ":w", "Enter"}, ": 2"},
	{[]string{":%s/shop/store/", "Enter", ":wq", "Enter"}, ""},
}

var (
	changed3 = strings.NewReplacer("false", "true", ": 1", ": 2", "shop", "store").Replace(milk)
	fields3  = []string{"/done", "/n", "/tags"}
	changed2 = strings.NewReplacer("false", "true", ": 1", ": 2").Replace(milk)
)

var editors = []editor{
	{save{name: "vim", need: []string{"vim"}, want: changed3, fields: fields3}, "vim -u DEFAULTS -i NONE $F", "Buy milk", vi},
	{save{name: "vim backupcopy=yes", need: []string{"vim"}, want: changed3, fields: fields3},
		"vim -u DEFAULTS -i NONE --cmd 'set backupcopy=yes' $F", "Buy milk", vi},
	{save{name: "vim nowritebackup", need: []string{"vim"}, want: changed3, fields: fields3},
		"vim -u DEFAULTS -i NONE --cmd 'set nowritebackup' $F", "Buy milk", vi},
	{save{name: "vim backup undofile", need: []string{"vim"}, want: changed3, fields: fields3, leaves: "f.json~ .f.json.un~"},
		"vim -u DEFAULTS -i NONE --cmd 'set backup undofile' $F", "Buy milk", vi},
	{save{name: "nvim", need: []string{"nvim"}, want: changed3, fields: fields3}, "nvim -u NONE -i NONE $F", "Buy milk", vi},
	{save{name: "nano", need: []string{"nano"}, want: changed2, fields: two}, "nano -I $F", "Buy milk", []step{
		{[]string{"C-\\", "false", "Enter", "true", "Enter"}, "Replace this instance"}, {[]string{"a"}, "Replaced 1"},
		{[]string{"C-o", "Enter"}, "Wrote 2 lines"},
		{[]string{"C-\\", ": 1", "Enter", ": 2", "Enter"}, "Replace this instance"}, {[]string{"a"}, "Replaced 1"},
		{[]string{"C-x", "y", "Enter"}, ""}}},
	{save{name: "nano -B", need: []string{"nano"}, leaves: "f.json~"}, "nano -I -B $F", "Buy milk", []step{
		{[]string{"C-\\", "false", "Enter", "true", "Enter"}, "Replace this instance"}, {[]string{"a"}, "Replaced 1"},
		{[]string{"C-x", "y", "Enter"}, ""}}},
	{save{name: "emacs", need: []string{"emacs"}, want: changed2, fields: two, leaves: "f.json~"}, "emacs -nw -Q $F", "Buy milk", []step{
		{[]string{"M-%", "false", "Enter", "true", "Enter", "!"}, "Replaced 1"}, {[]string{"C-x", "C-s"}, "Wrote"},
		{[]string{"M-%", ": 1", "Enter", ": 2", "Enter", "!"}, "Replaced 1"}, {[]string{"C-x", "C-s"}, "Wrote"},
		{[]string{"C-x", "C-c"}, ""}}},
	{save{name: "micro", need: []string{"micro"}, want: changed2, fields: two}, "micro -mkparents off $F", "Buy milk", []step{
		{[]string{"C-e", "replaceall false true", "Enter"}, "Replaced 1"}, {[]string{"C-s"}, "Saved"},
		{[]string{"C-e", "replaceall ': 1' ': 2'", "Enter"}, "Replaced 1"}, {[]string{"C-s"}, "Saved"},
		{[]string{"C-q"}, ""}}},
}

// TestEditors saves with editors as people use them, with the same demands as
// TestSaves has.
func TestEditors(t *testing.T) {
	t.Parallel()
	need(t, "tmux")
	v := newVault(t, "ada").in("editors")
	var all []save
	for _, e := range editors {
		all = append(all, e.save)
	}
	paths := prepare(v, all)
	for i, e := range editors {
		t.Run(e.name, func(t *testing.T) {
			need(t, e.need...)
			w := v.on(t)
			x := w.open(filepath.Join(w.here(), dirOf(i)), strings.ReplaceAll(e.command, "$F", e.at()))
			x.see(e.ready)
			for _, s := range e.steps {
				x.keys(s.keys...)
				if s.see != "" {
					x.see(s.see)
				} else {
					x.gone()
				}
			}
			e.check(w, i, w.sh("cd "+dirOf(i)+"; F="+e.at()+"\n"+lookAt))
		})
	}
	nothingElse(v, paths)
}
