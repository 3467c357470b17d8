package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

func TestHome(t *testing.T) {
	tests := []struct {
		flag string
		env  map[string]string
		want string
	}{
		{"/v", map[string]string{"ECHOFS_HOME": "/e", "HOME": "/home/ada"}, "/v"},
		{"", map[string]string{"ECHOFS_HOME": "/e", "XDG_DATA_HOME": "/x", "HOME": "/home/ada"}, "/e"},
		{"", map[string]string{"XDG_DATA_HOME": "/x", "HOME": "/home/ada"}, "/x/echofs"},
		{"", map[string]string{"XDG_DATA_HOME": "relative", "HOME": "/home/ada"}, "/home/ada/.local/share/echofs"},
		{"", map[string]string{"HOME": "/home/ada"}, "/home/ada/.local/share/echofs"},
	}
	for _, test := range tests {
		got, err := vault.Home(test.flag, env(test.env))
		if err != nil || got != test.want {
			t.Errorf("Home(%q, %v): got %q, %v, want %q", test.flag, test.env, got, err, test.want)
		}
	}
	if _, err := vault.Home("", env(nil)); control.CodeOf(err) != control.Usage || control.HintOf(err) == "" {
		t.Errorf("without $HOME: got %v, want a usage error with a hint", err)
	}
}

func env(m map[string]string) func(string) string { return func(k string) string { return m[k] } }

func TestCreateDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "vault")
	if _, err := vault.OpenDir(path); !errors.Is(err, vault.ErrNoVault) || control.CodeOf(err) != control.NotFound {
		t.Errorf("OpenDir of nothing: got %v, want %v", err, vault.ErrNoVault)
	}
	d, err := vault.CreateDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory: got %v, %v, want mode 0700", st.Mode(), err)
	}
	again, err := vault.OpenDir(path)
	if err != nil || again.ID() != d.ID() || len(d.ID()) != 32 {
		t.Errorf("OpenDir: got %v, %v, want the id %q", again, err, d.ID())
	}
	if d.Complete() {
		t.Error("a vault without keys is complete")
	}
}

// Whoever makes a vault at the same time gets the same one.
func TestCreateDirTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			d, err := vault.CreateDir(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = d.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("got ids %q, want one", ids)
			break
		}
	}
}

func TestDirRefused(t *testing.T) {
	files := t.TempDir()
	if err := os.Chmod(files, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(files, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.CreateDir(files); control.CodeOf(err) != control.Refused {
		t.Errorf("among other files: got %v, want refused", err)
	}
	open := filepath.Join(t.TempDir(), "vault")
	if _, err := vault.CreateDir(open); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o710); err != nil {
		t.Fatal(err)
	}
	_, err := vault.OpenDir(open)
	if control.CodeOf(err) != control.Refused || control.HintOf(err) != "chmod 700 "+open {
		t.Errorf("open to others: got %v (hint %q), want refused and the fix", err, control.HintOf(err))
	}
}

func TestFormatFile(t *testing.T) {
	id := strings.Repeat("0123abcd", 4)
	good := "echofs vault\nversion 1\nid " + id + "\n"
	tests := []struct {
		name, content string
		ok            bool
	}{
		{"good", good, true},
		{"newer", strings.Replace(good, "version 1", "version 2", 1), false},
		{"not ours", "#!/bin/sh\n", false},
		{"empty", "", false},
		{"short id", "echofs vault\nversion 1\nid 0123\n", false},
		{"upper case", strings.ToUpper(good[:13]) + good[13:], false},
		{"more", good + "x\n", false},
		{"spaces", strings.Replace(good, "version 1", "version  1", 1), false},
		{"version 0", strings.Replace(good, "version 1", "version 0", 1), false},
		{"huge", good + strings.Repeat("x", 1<<20), false},
	}
	for _, test := range tests {
		dir := t.TempDir()
		if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(filepath.Join(dir, "format"), []byte(test.content), 0o600)); err != nil {
			t.Fatal(err)
		}
		d, err := vault.OpenDir(dir)
		if (err == nil) != test.ok || test.ok && d.ID() != id {
			t.Errorf("%s: got %v, %v, want ok %v", test.name, d, err, test.ok)
		}
	}
}

func newDir(t *testing.T) *vault.Dir {
	t.Helper()
	d, err := vault.CreateDir(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLock(t *testing.T) {
	d := newDir(t)
	l, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Lock()
	if !errors.Is(err, vault.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second lock: got %v, want %v, naming this process", err, vault.ErrLocked)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	if _, err := d.WaitLock(ctx); !errors.Is(err, vault.ErrLocked) {
		t.Errorf("wait in vain: got %v, want %v", err, vault.ErrLocked)
	}
	got := make(chan error, 1)
	go func() {
		l, err := d.WaitLock(t.Context())
		if err == nil {
			err = l.Release()
		}
		got <- err
	}()
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("wait for its turn: %v", err)
	}
}

func TestKeyFile(t *testing.T) {
	home := t.TempDir()
	k, err := vault.NewKeyFile("0123", env(map[string]string{"HOME": home}))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(home, ".config/echofs/keys/0123.key"); k.Path() != want {
		t.Errorf("path: got %s, want %s", k.Path(), want)
	}
	if _, err := k.Key(); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("before it was made: got %v, want %v", err, iofs.ErrNotExist)
	}
	made, err := k.Make()
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Key()
	if err != nil || !got.Equal(made) {
		t.Errorf("got another key than was made (%v)", err)
	}
	if _, err := k.Make(); !errors.Is(err, iofs.ErrExist) {
		t.Errorf("a second key: got %v, want %v", err, iofs.ErrExist)
	}
	good, err := os.ReadFile(k.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, good[:63], append(bytes.Clone(good), '\n'), bytes.Repeat([]byte("z"), 65)} {
		if err := os.WriteFile(k.Path(), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Key(); err == nil || strings.Contains(err.Error(), string(good[:64])) {
			t.Errorf("key file %q: got %v, want an error without the key", bad, err)
		}
	}
	if err := os.Chmod(k.Path(), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Key(); control.HintOf(err) != "chmod 600 "+k.Path() {
		t.Errorf("readable by others: got %v (hint %q), want the fix", err, control.HintOf(err))
	}
}
