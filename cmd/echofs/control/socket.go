package control

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

// SocketName is the name of the socket in the vault's directory.
const SocketName = "ctl.sock"

// MaxConnections bounds the clients that are connected at one time; others
// wait.
const MaxConnections = 64

// dialTimeout bounds how long a client waits for the kernel to connect it.
const dialTimeout = 2 * time.Second

// shutdownGrace bounds how long Serve waits for calls whose context has ended.
const shutdownGrace = 3 * time.Second

// ErrStranger is wrapped where the other end of the socket is another user.
var ErrStranger = errors.New("the other end of the socket belongs to another user")

// Listen makes the socket in the vault's directory dir, which must belong to
// this user and be closed to others, and removes an old one: whoever calls has
// the vault's lock, so it belongs to nobody. Connections of other users are
// dropped and logged.
func Listen(dir string, log *slog.Logger) (net.Listener, error) {
	d, err := openPrivate(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	name := viaFD(d)
	if err := os.Remove(name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("remove old control socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make control socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // by a name that is only valid while d is open
	if err := os.Chmod(name, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("close control socket to others: %w", err)
	}
	own := &ownListener{UnixListener: l, path: filepath.Join(dir, SocketName), log: log}
	return netutil.LimitListener(own, MaxConnections), nil
}

// ownListener accepts connections of this user only.
type ownListener struct {
	*net.UnixListener
	path string
	log  *slog.Logger
}

// Accept returns the next connection of this user.
func (l *ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(c); err != nil {
			l.log.Warn("connection to the control socket dropped", "error", err)
			_ = c.Close()
			continue
		}
		return c, nil
	}
}

// Close ends the listener and removes the socket.
func (l *ownListener) Close() error {
	err := l.UnixListener.Close()
	if rm := os.Remove(l.path); rm != nil && !errors.Is(rm, iofs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

// Dial connects to the daemon of the vault in dir. Where none runs, the error
// wraps fs.ErrNotExist or ECONNREFUSED; see IsAbsent.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	d, err := openPrivate(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", viaFD(d))
	if err != nil {
		return nil, fmt.Errorf("connect to the daemon: %w", err)
	}
	if err := checkPeer(c.(*net.UnixConn)); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// IsAbsent reports whether an error of Dial means that no daemon runs.
func IsAbsent(err error) bool {
	return errors.Is(err, iofs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED)
}

// Dialer returns a transport to the daemon of the vault in dir.
func Dialer(dir string) http.RoundTripper {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return Dial(ctx, dir) },
	}
}

// openPrivate opens a directory of this user which nobody else may enter.
func openPrivate(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &iofs.PathError{Op: "open", Path: dir, Err: err}
	}
	d := os.NewFile(uintptr(fd), dir)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = d.Close()
		return nil, &iofs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if int(st.Uid) != os.Getuid() || st.Mode&0o077 != 0 {
		_ = d.Close()
		return nil, WithHint(fmt.Errorf("%s: not private to you (owner %d, mode %04o): %w",
			dir, st.Uid, st.Mode&0o7777, ErrRefused), fmt.Sprintf("chown %d %s; chmod 700 %s", os.Getuid(), dir, dir))
	}
	return d, nil
}

// viaFD names the socket by an open directory: addresses of unix sockets are
// limited to 108 bytes, paths of vaults are not.
func viaFD(d *os.File) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), SocketName)
}

// checkPeer asks the kernel who is at the other end.
func checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return fmt.Errorf("ask for the peer's credentials: %w", err)
	}
	if credErr != nil {
		return fmt.Errorf("ask for the peer's credentials: %w", credErr)
	}
	if int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("uid %d, pid %d: %w: %w", cred.Uid, cred.Pid, ErrStranger, ErrRefused)
	}
	return nil
}

// Serve answers the connections of l by h until ctx ends, then gives the calls
// that are under way a moment to end, and closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
	}()
	err := srv.Serve(l)
	cancel()
	<-closed
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the control socket: %w", err)
}
