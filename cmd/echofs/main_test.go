package main_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"echofs/cmd/echofs/cli"
	"echofs/cmd/echofs/vault"
)

// The test binary is echofs itself where a script, or a daemon it started,
// calls it by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"echofs": func() { os.Exit(cli.Main("echofs", os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the sessions in testdata/script: each has a home directory,
// and so a vault, of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition: func(cond string) (bool, error) {
			if cond == "fuse" {
				return haveFUSE(), nil
			}
			return false, errors.New("unknown condition " + cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status},
	})
}

func setup(env *testscript.Env) error {
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("ECHOFS_HOME", filepath.Join(env.WorkDir, "vault"))
	env.Setenv("XDG_DATA_HOME", "")
	env.Setenv("XDG_CONFIG_HOME", "")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else every command ends a second late
	env.Defer(func() { unmountBelow(env.WorkDir) })
	return os.Mkdir(filepath.Join(env.WorkDir, "home"), 0o700)
}

// unmountBelow ends the daemons that a script has left, by taking their mounts
// away.
func unmountBelow(dir string) {
	mounts, err := vault.Mounts()
	if err != nil {
		return
	}
	for _, m := range mounts {
		if strings.HasPrefix(m, dir+"/") {
			_ = vault.Detach(context.Background(), m, true)
		}
	}
}

// status is a command for scripts: "status 3 echofs stat x" runs a program and
// demands an exit status.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program [argument…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("run %v: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status of %v: got %d, want %d", args[1:], got, want)
	}
}

func haveFUSE() bool {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	_, err = exec.LookPath("fusermount3")
	return err == nil || os.Getuid() == 0
}
