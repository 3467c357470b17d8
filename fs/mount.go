package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Errors of mounting. They are wrapped; use errors.Is.
var (
	ErrNoFUSE     = errors.New("FUSE is not available")
	ErrMountpoint = errors.New("not fit to be mounted on")
	ErrMounted    = errors.New("already mounted")
)

const (
	fuseDevice = "/dev/fuse"
	mountType  = "fuse.echofs"
)

// fusermounts are the programs that mount for users who are not root, the newer
// one first.
var fusermounts = []string{"fusermount3", "fusermount"}

// findFusermount returns the path of the program that mounts for users. It is
// looked for where it usually lies too, for a daemon with an empty PATH.
func findFusermount() (string, error) {
	for _, name := range fusermounts {
		for _, candidate := range []string{name, "/bin/" + name, "/usr/bin/" + name} {
			if p, err := exec.LookPath(candidate); err == nil {
				return p, nil
			}
		}
	}
	return "", fmt.Errorf("%w: no fusermount3 found; install the package fuse3", ErrNoFUSE)
}

// checkFUSE says what is missing before anything is tried.
func (o Options) checkFUSE() error {
	if _, err := os.Stat(fuseDevice); err != nil {
		return fmt.Errorf("%w: %w; load the kernel module fuse, or give the container the device", ErrNoFUSE, err)
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if err := unix.Access(fuseDevice, unix.R_OK|unix.W_OK); err != nil {
		return fmt.Errorf("%w: %s: %w; its permissions should be 0666", ErrNoFUSE, fuseDevice, err)
	}
	if _, err := findFusermount(); err != nil {
		return err
	}
	if conf, _ := os.ReadFile(fuseConf); o.AllowOther && !allowsOther(string(conf)) {
		return fmt.Errorf("let other users in: %w: %s has no line user_allow_other", ErrNoFUSE, fuseConf)
	}
	return nil
}

// fuseConf says what users may do who are not root.
const fuseConf = "/etc/fuse.conf"

func allowsOther(conf string) bool {
	for line := range strings.Lines(conf) {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}

// prepareMountpoint returns the absolute path of a directory that can be
// mounted on: one of the user's own, empty, which nobody else can write. One
// that is missing is made; a mount whose daemon died is removed from it. For
// root the owner and the permissions are only worth a warning.
func prepareMountpoint(dir string, p procfs, logger *slog.Logger) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("mountpoint: %w", err)
	}
	if err := removeStale(dir); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("make mountpoint: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("mountpoint: %w", err)
	}
	if m, ok := p.mountAt(dir); ok && strings.HasPrefix(m.kind, mountType) {
		return "", fmt.Errorf("%s: %w", dir, ErrMounted)
	}
	return dir, checkMountpoint(dir, logger)
}

func checkMountpoint(dir string, logger *slog.Logger) error {
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("mountpoint: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is no directory: %w", dir, ErrMountpoint)
	}
	var complaint string
	if owner := st.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		complaint = fmt.Sprintf("it belongs to user %d", owner)
	} else if st.Mode().Perm()&0o002 != 0 {
		complaint = "everybody may write it"
	}
	switch {
	case complaint != "" && os.Geteuid() != 0:
		return fmt.Errorf("%s: %w: %s", dir, ErrMountpoint, complaint)
	case complaint != "":
		logger.Warn("mountpoint is not private", "dir", dir, "reason", complaint)
	}
	return checkEmpty(dir)
}

func checkEmpty(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("mountpoint: %w", err)
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); err == nil {
		return fmt.Errorf("%s: %w: it is not empty", dir, ErrMountpoint)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("mountpoint: %w", err)
	}
	return nil
}

// removeStale removes the mount of a daemon that died: nobody answers there.
// The question is statfs(2), which the kernel never answers from its cache, as
// it does stat(2).
func removeStale(dir string) error {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	if !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED) {
		return nil
	}
	if err := detach(context.Background(), dir); err != nil {
		return fmt.Errorf("remove the mount of a daemon that died at %s: %w", dir, err)
	}
	return nil
}

// unmount removes a mount that nobody uses; EBUSY where somebody does.
func unmount(ctx context.Context, dir string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(dir, 0)
	}
	return runFusermount(ctx, "-u", "--", dir)
}

// detach removes a mount from the tree at once. Files that are open go on
// working until they are closed.
func detach(ctx context.Context, dir string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(dir, unix.MNT_DETACH)
	}
	return runFusermount(ctx, "-u", "-z", "--", dir)
}

func runFusermount(ctx context.Context, args ...string) error {
	bin, err := findFusermount()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, bin, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(bin), err, bytes.TrimSpace(out))
	}
	return nil
}

// mountOptions are what the kernel and package fuse are told.
func (t *tree) mountOptions() *fuse.MountOptions {
	o := &fuse.MountOptions{
		FsName: "echofs", Name: "echofs",
		AllowOther:        t.opts.AllowOther,
		DirectMountStrict: os.Geteuid() == 0,
		DirectMountFlags:  unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC,
		// An open that truncates is seen with its handle; write handles, which
		// bypass the page cache, can be mapped.
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_DIRECT_IO_ALLOW_MMAP,
		DisableXAttrs:     !t.opts.XAttr, // or else each write asks for one
		DisableSplice:     true,          // content comes from memory, and pipes would stay open
		Debug:             t.opts.Debug,
		Logger:            log.New(logWriter{t.log}, "", 0),
		PanicHandler:      t.recovered,
	}
	if t.opts.AllowOther {
		o.Options = append(o.Options, "default_permissions")
	}
	if t.opts.ReadOnly {
		o.DirectMountFlags |= unix.MS_RDONLY
	}
	if !o.DirectMountStrict {
		o.Options = append(o.Options, "nosuid", "nodev", "noexec")
		if t.opts.ReadOnly {
			o.Options = append(o.Options, "ro")
		}
	}
	return o
}

// recovered logs a panic of a request. The program that asked gets EIO, everybody
// else goes on.
func (t *tree) recovered(reason any) fuse.Status {
	t.log.Error("panic while serving a request", "reason", reason, "stack", string(debug.Stack()))
	return fuse.EIO
}

// logWriter passes the lines of package fuse on.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(line []byte) (int, error) {
	w.log.Debug(string(bytes.TrimSpace(line)), "from", "fuse")
	return len(line), nil
}

// newServer mounts. The connection is closed in child processes: one that kept
// it would keep the mount up, and all who use it waiting, when this process dies.
func (t *tree) newServer(dir string) (*fuse.Server, error) {
	opts := t.mountOptions()
	if opts.DirectMountStrict {
		// Nothing is started between opening the device and marking it.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	s, err := fuse.NewServer(gate{t}, dir, opts)
	closeOnExec()
	if err != nil {
		return nil, fmt.Errorf("mount at %s: %w", dir, err)
	}
	return s, nil
}

// closeOnExec marks every descriptor of the FUSE device of this process.
func closeOnExec() {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range fds {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || target != fuseDevice {
			continue
		}
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err == nil {
			unix.CloseOnExec(fd)
		}
	}
}

// abort cuts the connection to the kernel: every request that waits fails, and
// no more come. It needs the FUSE control file system.
func abort(minor int) error {
	name := fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", minor)
	return os.WriteFile(name, []byte("1"), 0o200)
}

// busyTime is how long an unmount waits for programs that are just done.
const busyTime = 300 * time.Millisecond
