package fs_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/fs"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == pokeArg {
		if err := fs.PokeMain(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if run := helpers[os.Getenv(helperEnv)]; run != nil {
		if err := errors.Join(os.Chdir(os.Getenv(dirEnv)), run(os.Args[1:])); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(echotest.Main(m))
}

// pokeArg makes this program the helper of a mount.
const pokeArg = "poke"

// helperEnv makes this program a client of a mount. Tests never use the mounts
// they serve: a process that waits for itself cannot be ended.
const helperEnv = "FS_TEST_HELPER"

// dirEnv is the directory of the space, for the client to change to. The start of
// a process in that directory would be a use of the mount by this one: between
// fork and exec the child is this process.
const dirEnv = "FS_TEST_DIR"

// clientTime bounds what a client program does.
const clientTime = 20 * time.Second

// mounted is a mount of a vault with one space.
type mounted struct {
	tb    testing.TB
	vault *echotest.Vault
	space *echo.Space
	fsys  *fs.FileSystem
	dir   string // the mount
	files string // the space in it
	local string // Options.LocalDir
}

// mount mounts a vault of its own with the space "notes".
func mount(tb testing.TB, opts fs.Options) *mounted {
	tb.Helper()
	v := echotest.NewVault(tb, "ada", echo.Options{RemoveGrace: echo.DefaultRemoveGrace})
	s, err := v.CreateSpace(tb.Context(), "notes")
	if err != nil {
		tb.Fatal(err)
	}
	return mountVault(tb, v, s, opts)
}

func mountVault(tb testing.TB, v *echotest.Vault, s *echo.Space, opts fs.Options) *mounted {
	tb.Helper()
	needFUSE(tb)
	dir := filepath.Join(tb.TempDir(), "mnt")
	if opts.LocalDir == "" {
		opts.LocalDir = tb.TempDir()
	}
	opts.Logger = slog.New(slog.NewTextHandler(testLog{tb}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	fsys, err := fs.New(v.Repo, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := fsys.Close(); err != nil {
			tb.Errorf("close file system: %v", err)
		}
	})
	if err := fsys.Mount(dir); err != nil {
		tb.Fatal(err)
	}
	return &mounted{tb, v, s, fsys, dir, filepath.Join(dir, s.Name()), opts.LocalDir}
}

func needFUSE(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("mounting in a test needs root")
	}
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		tb.Skipf("no FUSE here: %v", err)
	}
	f.Close()
}

type testLog struct{ tb testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.tb.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// run runs a program that goes to the space's directory itself.
func (m *mounted) run(name string, args ...string) (stdout, stderr string, err error) {
	return m.runEnv(nil, name, args...)
}

func (m *mounted) runEnv(env []string, name string, args ...string) (stdout, stderr string, err error) {
	m.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(m.env(), env...)
	// A session of its own, as in a terminal: where the tests' own session was
	// started outside of this pid namespace, it has no number here.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		m.tb.Fatalf("%s %q took too long", name, args)
	}
	return out.String(), errs.String(), err
}

// env is the environment of clients. The race detector would make each of them
// wait for a second at its end.
func (m *mounted) env() []string {
	return append(os.Environ(), "M="+m.dir, dirEnv+"="+m.files, "LC_ALL=C", "GORACE=atexit_sleep_ms=0")
}

// sh runs a shell script in the space's directory, which must succeed, and
// returns what it prints.
func (m *mounted) sh(script string) string {
	m.tb.Helper()
	out, errs, err := m.run("sh", "-c", "set -e; cd \"$"+dirEnv+"\"\n"+script)
	if err != nil {
		m.tb.Fatalf("%s\n%v: %s", script, err, errs)
	}
	return out
}

// fails runs a shell script that must fail, and returns what it complains.
func (m *mounted) fails(script string) string {
	m.tb.Helper()
	out, errs, err := m.run("sh", "-c", "cd \"$"+dirEnv+"\" || exit 0\n"+script)
	if err == nil {
		m.tb.Fatalf("%s\nsucceeded and printed %q", script, out)
	}
	return errs
}

// helper runs a helper of this program in the space's directory.
func (m *mounted) helper(name string, args ...string) string {
	m.tb.Helper()
	out, errs, err := m.runEnv([]string{helperEnv + "=" + name}, os.Args[0], args...)
	if err != nil {
		m.tb.Fatalf("helper %s %q: %v: %s", name, args, err, errs)
	}
	return out
}

// want checks what a script prints.
func (m *mounted) want(script, want string) {
	m.tb.Helper()
	if got := m.sh(script); got != want {
		m.tb.Errorf("%s\nprinted %q, want %q", script, got, want)
	}
}

// node returns the node of a file of the space.
func (m *mounted) node(path string) echo.Node {
	m.tb.Helper()
	n, err := m.vault.Resolve(m.space.Name() + "/" + path)
	if err != nil {
		m.tb.Fatal(err)
	}
	return n
}

// content returns what the repository holds for a file of the space.
func (m *mounted) content(path string) string {
	m.tb.Helper()
	c, err := m.vault.Content(m.node(path).Ino)
	if err != nil {
		m.tb.Fatal(err)
	}
	return string(c.Data)
}

// saveElsewhere changes an object as somebody else would, who was looking at
// the current version.
func (m *mounted) saveElsewhere(path, content string) {
	m.tb.Helper()
	_, err := m.vault.Save(m.tb.Context(), echo.Save{Ino: m.node(path).Ino, Data: []byte(content), Rule: "test"})
	if err != nil {
		m.tb.Fatal(err)
	}
}

// eventually waits until a condition holds that something in the background
// brings about.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(clientTime)
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not in time", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// client is a helper that is told what to do line by line.
type client struct {
	m      *mounted
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errs   bytes.Buffer
	cancel context.CancelFunc
}

// start starts a helper that goes on while the test does something else. Like a
// program started from another terminal it has a session of its own.
func (m *mounted) start(name string, args ...string) *client {
	m.tb.Helper()
	return m.startFor(clientTime, name, args...)
}

// startFor is start for what takes its time.
func (m *mounted) startFor(limit time.Duration, name string, args ...string) *client {
	m.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	c := &client{m: m, cmd: exec.CommandContext(ctx, os.Args[0], args...), cancel: cancel}
	c.cmd.Env = append(m.env(), helperEnv+"="+name)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.cmd.Stderr = &c.errs
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		m.tb.Fatal(err)
	}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		m.tb.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		m.tb.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	m.tb.Cleanup(c.close)
	return c
}

func (c *client) line() string {
	c.m.tb.Helper()
	s, err := c.out.ReadString('\n')
	if err != nil {
		c.cmd.Wait()
		c.m.tb.Fatalf("helper ended: %v: %s", err, c.errs.String())
	}
	return strings.TrimSuffix(s, "\n")
}

func (c *client) expect(want string) {
	c.m.tb.Helper()
	if got := c.line(); got != want {
		c.m.tb.Fatalf("helper said %q, want %q", got, want)
	}
}

func (c *client) tell(line string) {
	c.m.tb.Helper()
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		c.m.tb.Fatal(err)
	}
}

// wait waits for the helper to end by itself.
func (c *client) wait() {
	c.m.tb.Helper()
	if err := c.cmd.Wait(); err != nil {
		c.m.tb.Fatalf("helper: %v: %s", err, c.errs.String())
	}
}

// close ends the helper.
func (c *client) close() {
	c.in.Close()
	c.cancel()
	c.cmd.Wait()
}

// getxattr returns an extended attribute as a client sees it.
func (m *mounted) getxattr(path, name string) string {
	m.tb.Helper()
	return m.helper("getxattr", path, name)
}

// controlStub answers with the name that was asked for.
func controlStub(asked chan<- string) func(context.Context, string) ([]byte, error) {
	return func(_ context.Context, name string) ([]byte, error) {
		select {
		case asked <- name:
		default:
		}
		return fmt.Appendf(nil, `{"file":%q}`, name), nil
	}
}
