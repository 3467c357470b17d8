package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

// turnTimeout is how long a command waits for another one to be done with the
// vault.
const turnTimeout = 10 * time.Second

// need tells what a command needs of the vault.
type need struct {
	create  bool // make a vault where there is none
	network bool // other devices must be reachable
	daemon  bool // only the daemon can do it
}

// session is a way to make calls, until close.
type session struct {
	*control.Client
	inside bool // answered by this process: no daemon runs
	close  func() error
}

// with runs fn with a way to make calls: to the daemon, or into this process.
func (a *app) with(ctx context.Context, n need, fn func(*session) error) error {
	s, err := a.connect(ctx, n)
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.close())
}

func (a *app) connect(ctx context.Context, n need) (*session, error) {
	home, err := vault.Home(a.home, a.getenv)
	if err != nil {
		return nil, err
	}
	if s, err := dialDaemon(ctx, home); s != nil || err != nil {
		return s, err
	}
	if n.daemon {
		return nil, control.WithHint(fmt.Errorf("no daemon runs for the vault %s: %w", home, control.ErrRefused),
			"start it with: echofs mount -d")
	}
	dir, err := a.openDir(ctx, home, n.create)
	if err != nil {
		return nil, err
	}
	return a.openInside(ctx, dir, n)
}

// dialDaemon returns a session with the daemon of a vault, or nil where none
// runs.
func dialDaemon(ctx context.Context, home string) (*session, error) {
	conn, err := control.Dial(ctx, home)
	if control.IsAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_ = conn.Close()
	c := control.NewClient(control.Dialer(home))
	return &session{Client: c, close: func() error { c.Close(); return nil }}, nil
}

// openDir opens the vault's directory, or makes vault, identity and first
// space.
func (a *app) openDir(ctx context.Context, home string, create bool) (*vault.Dir, error) {
	dir, err := vault.OpenDir(home)
	if !create || !errors.Is(err, vault.ErrNoVault) {
		return dir, err
	}
	id, err := a.makeVault(ctx, home, vault.MakeOptions{})
	if err != nil {
		return nil, err
	}
	a.welcome(home, id)
	return vault.OpenDir(home)
}

// openInside takes the vault into this process. While another command has it,
// it waits; if a daemon turns up meanwhile, it is asked instead.
func (a *app) openInside(ctx context.Context, dir *vault.Dir, n need) (*session, error) {
	deadline := time.Now().Add(turnTimeout)
	for {
		access, err := a.access(ctx, dir)
		if err != nil {
			return nil, err
		}
		v, err := vault.Open(ctx, vault.Options{Dir: dir, Wait: 200 * time.Millisecond, Version: Version(),
			Getenv: a.getenv, Log: a.logger(), Offline: !n.network, Access: access})
		if err == nil {
			return &session{Client: control.NewClient(control.Local(v.Handler())), inside: true, close: v.Close}, nil
		}
		if !errors.Is(err, vault.ErrLocked) || time.Now().After(deadline) || ctx.Err() != nil {
			return nil, err
		}
		if s, err := dialDaemon(ctx, dir.Path()); s != nil || err != nil {
			return s, err
		}
	}
}

// logger returns where a vault in this process says what it has to say:
// warnings to stderr.
func (a *app) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(&lineCleaner{a.stderr}, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// lineCleaner passes whole lines, made safe for a terminal.
type lineCleaner struct{ w io.Writer }

func (l *lineCleaner) Write(p []byte) (int, error) {
	if _, err := io.WriteString(l.w, clean(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// call makes a call that is answered by one item, and prints it.
func call[Req, Item any](ctx context.Context, a *app, n need, rpc control.RPC[Req, Item], req Req,
	text func(io.Writer, Item)) error {
	return a.with(ctx, n, func(s *session) error {
		item, err := control.Call(ctx, s.Client, rpc, req)
		if err != nil {
			return err
		}
		return a.emit(item, func(w io.Writer) { text(w, item) })
	})
}

// optionalPath returns what the first argument means; nothing where there is none.
func optionalPath(args []string) (control.PathRef, error) {
	if len(args) == 0 {
		return control.PathRef{}, nil
	}
	return pathRef(args[0])
}

// pathRef returns what an argument means, as typed and as an absolute path.
// Symbolic links on the way to the file are followed, the file itself is not.
func pathRef(arg string) (control.PathRef, error) {
	abs, err := filepath.Abs(arg)
	if err != nil {
		return control.PathRef{}, fmt.Errorf("find %s: %w", arg, err)
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(dir, filepath.Base(abs))
	}
	return control.PathRef{Arg: arg, Abs: abs}, nil
}
