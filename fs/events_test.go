package fs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"echofs/echo"
	"echofs/fs"
)

// follower is a program that reads a file as it comes.
type follower struct {
	tb  testing.TB
	cmd *exec.Cmd
	out *bufio.Scanner
	was string // the last event
}

// follow starts a shell script in the space's directory, which prints when it has
// begun to read.
func (m *mounted) follow(script string) *follower {
	m.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), clientTime)
	f := &follower{tb: m.tb, cmd: exec.CommandContext(ctx, "bash", "-c", "cd \"$"+dirEnv+"\"; "+script)}
	f.cmd.Env = m.env()
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		m.tb.Fatal(err)
	}
	f.out = bufio.NewScanner(out)
	if err := f.cmd.Start(); err != nil {
		m.tb.Fatal(err)
	}
	m.tb.Cleanup(func() {
		cancel()
		_ = f.cmd.Wait()
	})
	return f
}

// event reads the next line, as its kind and path.
func (f *follower) event() string {
	f.tb.Helper()
	if !f.out.Scan() {
		f.tb.Fatalf("the stream ended: %v", f.out.Err())
	}
	var c echo.Change
	if err := json.Unmarshal(f.out.Bytes(), &c); err != nil {
		f.tb.Fatalf("%q: %v", f.out.Text(), err)
	}
	return fmt.Sprint(c.Event, " ", c.Path, " ", c.Author, " ", c.Origin)
}

// want reads events. One that comes again is one: how many changes a save is told
// as depends on how fast they are read.
func (f *follower) want(lines ...string) {
	f.tb.Helper()
	for _, line := range lines {
		got := f.event()
		for got == f.was {
			got = f.event()
		}
		if f.was = got; got != line {
			f.tb.Fatalf("got %q, want %q", got, line)
		}
	}
}

// opened waits until so many streams are read.
func (m *mounted) opened(n int) {
	m.tb.Helper()
	eventually(m.tb, "the streams are open", func() bool { return m.fsys.Endless() == n })
}

func TestEvents(t *testing.T) {
	m := mount(t, fs.Options{})
	m.want(`ls .echofs/events $M/.echofs/events; stat -c '%s %F %a' .echofs/events`,
		".echofs/events\n"+m.dir+"/.echofs/events\n0 regular empty file 444\n")
	cat := m.follow(`exec cat .echofs/events`)
	all := m.follow(`exec cat "$M/.echofs/events"`)
	loop := m.follow(`while read -r line; do echo "$line"; done < .echofs/events`)
	m.opened(3)
	// Each is awaited: what a reader is late for is told as one.
	for _, step := range []struct {
		script string
		events []string
	}{
		{`mkdir d; echo '{"v":1}' > d/a.json`, []string{"create notes/d ada local", "create notes/d/a.json ada local"}},
		{`echo '{"v":2}' > d/a.json`, []string{"change notes/d/a.json ada local"}},
		{`mv d/a.json b.json; echo x > .local`, []string{"move notes/b.json ada local"}},
		{`rm b.json`, []string{"delete notes/b.json ada local"}},
	} {
		m.sh(step.script)
		for _, f := range []*follower{cat, all, loop} {
			f.want(step.events...)
		}
	}
	m.fails(`echo x > .echofs/events`)
}

// TestEventsEnd lets a first line end a program, a signal another, and unmounting
// the rest.
func TestEventsEnd(t *testing.T) {
	m := mount(t, fs.Options{})
	head := m.follow(`timeout 10 head -n 1 .echofs/events`)
	m.opened(1)
	m.sh(`echo '{"v":1}' > a.json; echo '{"v":1}' > b.json`)
	head.want("create notes/a.json ada local")
	if err := head.cmd.Wait(); err != nil {
		t.Errorf("head: %v", err)
	}
	m.want(`timeout -s INT 0.2 cat .echofs/events || echo $?`, "124\n")
	m.want(`dd if=.echofs/events iflag=nonblock bs=100 count=1 2>&1 | grep -o 'Resource temporarily unavailable'`, "Resource temporarily unavailable\n")
	m.opened(0)
	killed := m.follow(`exec cat .echofs/events`)
	m.opened(1)
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.opened(0)
	rest := m.follow(`cat .echofs/events; cd /; echo '{"event":"ended"}'`)
	m.opened(1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	began := time.Now()
	if err := m.fsys.Unmount(ctx); err != nil {
		t.Errorf("unmount: %v", err)
	}
	t.Logf("unmounted after %v", time.Since(began))
	rest.want("ended   ")
}
