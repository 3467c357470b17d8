package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	cases, err := parseCases("g", "# about\ncase one\nput a \"b c\"\n\ncase two\nas 7 open <3> O_RDONLY = ENOENT|EACCES\nls <5/> = \"\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 2 || cases[0].name() != "g/one" || cases[0].users || !cases[1].users {
		t.Fatalf("got %+v", cases)
	}
	if got := cases[0].steps[0].args; !slices.Equal(got, []string{"a", "b c"}) {
		t.Errorf("got arguments %q", got)
	}
	s := cases[1].steps[0]
	if s.user != 7 || s.args[0] != "nnn" || !slices.Equal(s.want, []string{"ENOENT", "EACCES"}) {
		t.Errorf("got %+v", s)
	}
	if s = cases[1].steps[1]; s.args[0] != "././n" || !slices.Equal(s.want, []string{""}) {
		t.Errorf("got %+v", s)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"mkdir a 0755", "case a\nfly a", "case a\nmkdir a", "case a\ncase a", "case a\nput a \"b",
		"case a\nrmdir a =", "case a\nas x rmdir a"} {
		if cases, err := parseCases("g", text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, cases)
		}
	}
}

// TestDisk shows that the cases ask for what the file system of the tests does.
func TestDisk(t *testing.T) {
	all, err := loadCases()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 200 {
		t.Fatalf("got %d cases, want all", len(all))
	}
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chdir(home) }()
	dir := t.TempDir()
	for _, c := range all {
		if os.Geteuid() != 0 && (c.users || c.group == "chown" || c.group == "mknod") {
			continue
		}
		failed, err := c.try(dir)
		if err != nil {
			t.Fatal(err)
		}
		// What a container or a disk of another kind may refuse.
		if failed != nil && !strings.Contains(failed.Error(), "EPERM") && !strings.Contains(failed.Error(), "EOPNOTSUPP") {
			t.Errorf("%s: %v", c.name(), failed)
		}
	}
}
