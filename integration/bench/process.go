package main

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
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit in which the kernel counts processor time for /proc.
const tick = 10 * time.Millisecond

// run runs a program to its end and returns what it printed.
func run(ctx context.Context, env []string, in io.Reader, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdin = env, in
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args...), " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.Bytes(), nil
}

// timed runs a program whose output nobody wants and returns how long it took.
func timed(ctx context.Context, name string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	begun := time.Now()
	err := cmd.Run()
	return time.Since(begun), err
}

// apply has an application process do a job.
func apply(ctx context.Context, j job) (samples, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	out, err := run(ctx, os.Environ(), bytes.NewReader(order), self, "work")
	if err != nil {
		return nil, err
	}
	var s samples
	if err := json.Unmarshal(out, &s); err != nil {
		return nil, fmt.Errorf("result of a worker: %w", err)
	}
	return s, nil
}

// server is a process that goes on, in a session of its own.
type server struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
	errs  *bytes.Buffer
}

func start(env []string, name string, args ...string) (*server, error) {
	s := &server{cmd: exec.Command(name, args...), errs: new(bytes.Buffer)}
	s.cmd.Env, s.cmd.Stderr = env, s.errs
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.in, s.lines = in, bufio.NewReader(out)
	return s, s.cmd.Start()
}

// line returns the next line of the server's output.
func (s *server) line() (string, error) {
	text, err := s.lines.ReadString('\n')
	if err != nil {
		return "", errors.Join(fmt.Errorf("%q ended", s.cmd.Args), s.stop(), errors.New(s.errs.String()))
	}
	return strings.TrimSpace(text), nil
}

// stopTime is how long a server may take to end.
const stopTime = 20 * time.Second

// stop asks the server to end, waits, and at last kills it.
func (s *server) stop() error {
	if s == nil || s.cmd.ProcessState != nil {
		return nil
	}
	_ = s.in.Close()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	kill := time.AfterFunc(stopTime, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	_, _ = io.Copy(io.Discard, s.lines)
	if err := s.cmd.Wait(); err != nil && s.cmd.ProcessState.ExitCode() > 0 {
		return fmt.Errorf("%s: %w: %s", s.cmd.Args[0], err, s.errs)
	}
	return nil
}

// family is a process and its children.
func (s *server) family() []int {
	pids := []int{s.cmd.Process.Pid}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pids[0])) // none if it has ended
	for _, t := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pids[0], t.Name()))
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// cpu is the processor time that the server and its children have used.
func (s *server) cpu() (sum time.Duration) {
	if s == nil {
		return 0
	}
	for _, pid := range s.family() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		for _, f := range strings.Fields(rest)[11:13] { // utime and stime
			n, _ := strconv.Atoi(f)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// memory is what the server, and what its children take, in bytes. They are runs
// of one program, whose pages lie in memory once for all of them: each has its
// share of those.
func (s *server) memory() (own, children int64) {
	for i, pid := range s.family() {
		if n := ownBytes(pid); i == 0 {
			own = n
		} else {
			children += n
		}
	}
	return own, children
}

// ownBytes is the memory of a process alone, and its share of what several
// have together.
func ownBytes(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	return kilobytes(b, "Pss:")
}

// quietTime is how long a server must have done nothing to count as quiet, and
// quietLimit how long that is waited for.
const (
	quietTime  = 250 * time.Millisecond
	quietLimit = 90 * time.Second
)

// quiet waits until the server has nothing to do: what is measured next is not
// to pay for what was done before.
func (s *server) quiet(ctx context.Context) error {
	if s == nil {
		return nil
	}
	limit := time.Now().Add(quietLimit)
	for used := s.cpu(); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(quietTime):
		}
		now := s.cpu()
		if now-used <= tick {
			return nil
		}
		if used = now; time.Now().After(limit) {
			return fmt.Errorf("%s is not quiet after %v", s.cmd.Args[0], quietLimit)
		}
	}
}

// peak is the most memory that the server itself has had resident, in bytes.
func (s *server) peak() int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	return kilobytes(b, "VmHWM:")
}

// kilobytes finds a line of /proc that tells of kilobytes; it returns bytes.
func kilobytes(text []byte, what string) int64 {
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, what); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}
