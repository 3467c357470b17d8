package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// What other people named must not reach a terminal raw.
func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"notes", "notes"},
		{"Grüße, 世界", "Grüße, 世界"},
		{"two\nlines", "two\nlines"},
		{"\x1b[2J", `\u001b[2J`},
		{"a\u202egnp.exe", `a\u202egnp.exe`},
		{"tab\there", `tab\u0009here`},
		{"bell\a", `bell\u0007`},
		{"\xff", `\ufffd`},
		{"c1\u009b", `c1\u009b`},
	}
	for _, test := range tests {
		if got := clean(test.in); got != test.want {
			t.Errorf("clean(%q): got %q, want %q", test.in, got, test.want)
		}
	}
	if got, want := cleanText("a\tb\x1b\n"), "a\tb\\u001b\n"; got != want {
		t.Errorf("cleanText: got %q, want %q", got, want)
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	table(&b, []string{"NAME", "ID"}, [][]string{{"a", "1"}, {"evil\x1b[31m", "2"}})
	want := "NAME            ID\na               1\nevil\\u001b[31m  2\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestAgo(t *testing.T) {
	at := func(d time.Duration) *time.Time {
		then := time.Now().Add(-d)
		return &then
	}
	old := time.Now().Add(-100 * time.Hour)
	tests := []struct {
		t    *time.Time
		want string
	}{
		{nil, "never"}, {&time.Time{}, "never"}, {at(0), "now"}, {at(90 * time.Second), "1 min ago"},
		{at(3*time.Hour + time.Minute), "3 h ago"}, {&old, old.Format(time.DateOnly)},
	}
	for _, test := range tests {
		if got := ago(test.t); got != test.want {
			t.Errorf("ago(%v): got %q, want %q", test.t, got, test.want)
		}
	}
}

func TestRoff(t *testing.T) {
	got := roff(".request\n'too\n--flag \\fB")
	want := "\\&.request\n\\&'too\n\\-\\-flag \\efB"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every command says what it does and shows how it is used.
func TestCommandsAreDocumented(t *testing.T) {
	root := (&app{}).root()
	todo := root.Commands()
	for len(todo) > 0 {
		c := todo[0]
		todo = append(todo[1:], c.Commands()...)
		if c.Short == "" || c.Example == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: got short %q, example %q, want both, the first without a period", c.CommandPath(), c.Short, c.Example)
		}
		if !c.Runnable() {
			t.Errorf("%s cannot be run", c.CommandPath())
		}
	}
}

func TestCheckClock(t *testing.T) {
	if got := checkClock(time.Unix(0, 0)); got.State != checkFail || got.Fix == "" {
		t.Errorf("in 1970: got %+v, want a failure and a fix", got)
	}
	if got := checkClock(builtAfter.Add(time.Hour)); got.State != checkOK {
		t.Errorf("later: got %+v, want ok", got)
	}
}
