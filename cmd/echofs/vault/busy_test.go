package vault

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestUsersOf(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, name string, links map[string]string) {
		if err := os.MkdirAll(filepath.Join(proc, pid, "fd"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "comm"), []byte(name+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for link, target := range links {
			if err := os.Symlink(target, filepath.Join(proc, pid, link)); err != nil {
				t.Fatal(err)
			}
		}
	}
	process("10", "bash", map[string]string{"cwd": "/mnt/echo", "root": "/"})
	process("20", "vim", map[string]string{"cwd": "/", "fd/4": "/mnt/echo/notes/a.json"})
	process("30", "cat", map[string]string{"cwd": "/mnt/echo2", "fd/0": "/mnt/echo-other"})
	if got, want := usersOf(proc, "/mnt/echo"), []string{"bash (10)", "vim (20)"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
