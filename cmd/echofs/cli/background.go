package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

// readiness is the pipe by which a daemon in the background tells whoever
// started it that it is mounted, or why it is not. The zero value tells nobody.
type readiness struct{ pipe *os.File }

// tell sends the outcome, the first time, and returns err.
func (r *readiness) tell(err error) error {
	if r.pipe == nil {
		return err
	}
	var line control.Error
	if err != nil {
		line = control.Error{Code: control.CodeOf(err), Message: err.Error(), Hint: control.HintOf(err)}
	}
	// Whoever started us may be gone.
	_ = json.NewEncoder(r.pipe).Encode(line)
	_ = r.pipe.Close()
	r.pipe = nil
	return err
}

// startDaemon starts this program again, in the background, and waits until it
// has mounted or failed.
func (a *app) startDaemon(ctx context.Context, dir *vault.Dir, f *mountFlags) error {
	pr, pw, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	defer func() { _ = pr.Close() }()
	cmd, err := daemonCommand(dir, f, pw)
	if err == nil {
		err = cmd.Start()
	}
	_ = pw.Close()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	var line control.Error
	if err := json.NewDecoder(io.LimitReader(pr, 1<<16)).Decode(&line); err != nil {
		err := cmd.Wait()
		return control.WithHint(fmt.Errorf("the daemon ended before it had mounted: %w", errors.Join(err, ctx.Err())), "see "+dir.LogPath())
	}
	if line.Message != "" {
		_ = cmd.Wait() // it has said why
		return &line
	}
	a.say("mounted at %s; unmount with: echofs umount %s", f.req.Dir, f.req.Dir)
	return cmd.Process.Release()
}

// daemonCommand returns the command that is the daemon: in a session of its
// own, in the root directory, without our streams.
func daemonCommand(dir *vault.Dir, f *mountFlags, ready *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"--home", dir.Path(), "mount", "--ready-fd", "3"}
	for flag, on := range map[string]bool{"--read-only": f.req.ReadOnly, "--allow-other": f.req.AllowOther, "--xattr": f.req.Xattr, "--offline": f.offline} {
		if on {
			args = append(args, flag)
		}
	}
	if f.req.Space != "" {
		args = append(args, "--space", f.req.Space)
	}
	cmd := exec.Command(self, append(args, "--", f.req.Dir)...)
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{ready}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	return cmd, nil
}
