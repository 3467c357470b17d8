package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds what a child does unless the story says otherwise. It is
// generous: with the race detector on busy cores everything takes its time.
const patience = 60 * time.Second

// result is what a child did.
type result struct {
	command        string
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("%s\nexit status %d\nstdout: %s\nstderr: %s", r.command, r.code, r.stdout, r.stderr)
}

// child prepares a process in a session of its own, which is killed with all
// that it has started when ctx ends.
func child(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// do runs a child to its end. The test fails when that is not in time.
func do(tb testing.TB, limit time.Duration, env []string, name string, args ...string) result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := child(ctx, env, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	r := result{strings.Join(append([]string{name}, args...), " "), out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && (!exited || ctx.Err() != nil) {
		tb.Fatalf("%v after %v: %s", err, limit, r)
	}
	return r
}

// poll calls ok until it returns nil or ctx ends, and then returns its last
// error.
func poll(ctx context.Context, ok func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// eventually waits for what comes about by itself, and tells how long it took.
func eventually(tb testing.TB, what string, limit time.Duration, ok func() error) time.Duration {
	tb.Helper()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := poll(ctx, ok); err != nil {
		tb.Fatalf("%s: not within %v: %v", what, limit, err)
	}
	return time.Since(begun)
}

// stream is a child of whose output one line is read after the other.
type stream struct {
	tb     testing.TB
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	errs   bytes.Buffer
	cancel context.CancelFunc
	done   bool
}

// follow starts a child whose lines the story reads as they come. It is ended
// with the test at the latest.
func follow(tb testing.TB, limit time.Duration, env []string, name string, args ...string) *stream {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	s := &stream{tb: tb, cmd: child(ctx, env, name, args...), cancel: cancel}
	s.cmd.Stderr = &s.errs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	s.lines = bufio.NewScanner(out)
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.cancel(); s.wait() })
	return s
}

// next reads a line as JSON.
func (s *stream) next(v any) {
	s.tb.Helper()
	if !s.lines.Scan() {
		s.tb.Fatalf("%q ended with status %d: %s", s.cmd.Args, s.wait(), s.errs.String())
	}
	if err := json.Unmarshal(s.lines.Bytes(), v); err != nil {
		s.tb.Fatalf("%q printed %q: %v", s.cmd.Args, s.lines.Text(), err)
	}
}

// wait waits for the end of the child and returns its exit status.
func (s *stream) wait() int {
	if !s.done {
		for s.lines.Scan() {
		}
		_ = s.cmd.Wait() // the status says it
		s.done = true
		s.cancel()
	}
	return s.cmd.ProcessState.ExitCode()
}

// rest reads what is left of the output, and returns it with the exit status.
func (s *stream) rest() (lines []string, code int) {
	for s.lines.Scan() {
		lines = append(lines, s.lines.Text())
	}
	return lines, s.wait()
}

// tail returns the last bytes of a file for a message.
func tail(name string, n int64) string {
	f, err := os.Open(name)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if end, err := f.Seek(0, io.SeekEnd); err == nil && end > n {
		_, _ = f.Seek(-n, io.SeekEnd)
	} else {
		_, _ = f.Seek(0, io.SeekStart)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}

// want returns an error unless a child ended with an exit status.
func want(r result, code int) error {
	if r.code != code {
		return fmt.Errorf("want exit status %d, got %s", code, r)
	}
	return nil
}
