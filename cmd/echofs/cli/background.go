package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
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

// startDoc is what a daemon in the background is told that is not for the eyes
// of others, who see its command line: it reads it from a pipe.
type startDoc struct {
	Access vault.Access `json:"access"`
	Signal *[]string    `json:"signal,omitempty"` // nil where they stay as they are
	ICE    *[]string    `json:"ice,omitempty"`
	NoLAN  *bool        `json:"no_lan,omitempty"`

	NoPresence *bool `json:"no_presence,omitempty"`
}

// maxStart bounds a startDoc, in bytes.
const maxStart = 1 << 20

// change changes the settings as the user has said.
func (d *startDoc) change(c *vault.Config) {
	if d.Signal != nil {
		c.Signal = *d.Signal
	}
	if d.ICE != nil {
		c.ICE = *d.ICE
	}
	if d.NoLAN != nil {
		c.NoLAN = *d.NoLAN
	}
	if d.NoPresence != nil {
		c.NoPresence = *d.NoPresence
	}
}

// settings returns change, or nil where nothing was said.
func (d *startDoc) settings() func(*vault.Config) {
	if d.Signal == nil && d.ICE == nil && d.NoLAN == nil && d.NoPresence == nil {
		return nil
	}
	return d.change
}

// startDaemon starts this program again, in the background, and waits until it
// has mounted or failed.
func (a *app) startDaemon(ctx context.Context, dir *vault.Dir, f *mountFlags) error {
	access, err := a.access(ctx, dir)
	if err != nil {
		return err
	}
	start := f.start
	start.Access = access
	if err := a.launch(ctx, dir, f.args(), start); err != nil {
		return err
	}
	a.say("mounted at %s; unmount with: echofs umount %s", f.req.Dir, f.req.Dir)
	return nil
}

// launch starts a command of this program as a daemon, and waits until it says
// that it is ready, or has ended, or has failed.
func (a *app) launch(ctx context.Context, dir *vault.Dir, args []string, start startDoc) error {
	defer clear(start.Access.Passphrase)
	ready, tell, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	defer func() { _ = ready.Close() }()
	told, say, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", errors.Join(err, tell.Close()))
	}
	defer func() { _ = say.Close() }()
	cmd, err := daemonCommand(dir, args, tell, told)
	if err == nil {
		err = cmd.Start()
	}
	_, _ = tell.Close(), told.Close()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	_ = json.NewEncoder(say).Encode(start) // if it does not take it, it says below why
	_ = say.Close()
	var line control.Error
	if err := json.NewDecoder(io.LimitReader(ready, 1<<16)).Decode(&line); err != nil {
		err := cmd.Wait()
		return control.WithHint(fmt.Errorf("the daemon ended before it was ready: %w", errors.Join(err, ctx.Err())), "see "+dir.LogPath())
	}
	if line.Message != "" {
		_ = cmd.Wait() // it has said why
		return &line
	}
	return cmd.Process.Release()
}

// daemonCommand returns the command that is the daemon: in a session of its
// own, in the root directory, without our streams.
func daemonCommand(dir *vault.Dir, args []string, ready, start *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, slices.Concat([]string{"--home", dir.Path()}, args[:1], []string{"--ready-fd", "3", "--start-fd", "4"}, args[1:])...)
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{ready, start}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	return cmd, nil
}

// args returns the command line of a daemon that makes this mount.
func (f *mountFlags) args() []string {
	args := []string{"mount"}
	for flag, on := range map[string]bool{"--read-only": f.req.ReadOnly, "--allow-other": f.req.AllowOther, "--xattr": f.req.Xattr, "--offline": f.offline} {
		if on {
			args = append(args, flag)
		}
	}
	if f.req.Space != "" {
		args = append(args, "--space", f.req.Space)
	}
	return append(args, "--", f.req.Dir)
}

// daemonVoice returns where a daemon says what it has to say, and what it was
// told when it was started.
func (a *app) daemonVoice(dir *vault.Dir, f *mountFlags) (*slog.Logger, *readiness, startDoc, error) {
	if f.readyFD == 0 {
		return a.logger(), &readiness{}, f.start, nil
	}
	unix.CloseOnExec(f.readyFD) // not for the engine's workers
	unix.CloseOnExec(f.startFD)
	ready := &readiness{pipe: os.NewFile(uintptr(f.readyFD), "ready")}
	start, err := readStart(os.NewFile(uintptr(f.startFD), "start"))
	if err != nil {
		return nil, nil, start, ready.tell(err)
	}
	file, err := dir.OpenLog()
	if err != nil {
		return nil, nil, start, ready.tell(err)
	}
	return slog.New(slog.NewTextHandler(file, nil)), ready, start, nil
}

// readStart reads what whoever has started the daemon has to tell it.
func readStart(pipe *os.File) (start startDoc, err error) {
	defer func() { _ = pipe.Close() }()
	if err := json.NewDecoder(io.LimitReader(pipe, maxStart)).Decode(&start); err != nil {
		return start, fmt.Errorf("start the daemon: read what it was told: %w", err)
	}
	return start, nil
}

// hidden adds the flags by which a daemon in the background is started.
func (f *mountFlags) hidden(c *cobra.Command) {
	fl := c.Flags()
	fl.IntVar(&f.readyFD, "ready-fd", 0, "")
	fl.IntVar(&f.startFD, "start-fd", 0, "")
	for _, name := range []string{"ready-fd", "start-fd"} {
		_ = fl.MarkHidden(name) // fails for unknown flags only
	}
}
