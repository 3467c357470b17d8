package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// vault is somebody's vault, with a daemon and a mount.
type vault struct {
	program string
	dir     string // of everything
	mnt     string
	flags   []string // of mount
	daemon  *server
}

// newVault makes a vault without a daemon.
func newVault(ctx context.Context, program, dir string, flags ...string) (*vault, error) {
	v := &vault{program: program, dir: dir, mnt: filepath.Join(dir, "mnt"), flags: flags}
	if err := os.MkdirAll(filepath.Join(dir, "home"), 0o700); err != nil {
		return nil, err
	}
	name := filepath.Base(dir)
	_, err := v.run(ctx, "init", "--name", name, "--device", name+"-device")
	return v, err
}

func (v *vault) env() []string {
	home := filepath.Join(v.dir, "home")
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, ".config"),
		"ECHOFS_HOME=" + filepath.Join(v.dir, "vault")}
}

// run runs a command of the program.
func (v *vault) run(ctx context.Context, args ...string) ([]byte, error) {
	return run(ctx, v.env(), nil, v.program, args...)
}

// mountLimit bounds the start of a daemon.
const mountLimit = 30 * time.Second

// start starts the daemon and returns how long it took until the mount showed
// its spaces.
func (v *vault) start(ctx context.Context) (took time.Duration, err error) {
	begun := time.Now()
	args := append(append([]string{"mount"}, v.flags...), v.mnt)
	if v.daemon, err = start(v.env(), v.program, args...); err != nil {
		return 0, err
	}
	for ctx.Err() == nil && time.Since(begun) < mountLimit {
		if _, err := os.Stat(filepath.Join(v.mnt, "personal")); err == nil {
			return time.Since(begun), nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, errors.Join(fmt.Errorf("no mount within %v", mountLimit), v.stop(), ctx.Err())
}

func (v *vault) stop() error { return v.daemon.stop() }

// here is the directory of the space in which the work is done.
func (v *vault) here() string { return filepath.Join(v.mnt, spaceName) }

// spaceName is the space that is measured.
const spaceName = "bench"

// admit lets a guest into the space, and returns when the guest is in.
func (v *vault) admit(ctx context.Context, guest *vault) error {
	host, err := start(v.env(), v.program, "invite", spaceName, "--json")
	if err != nil {
		return err
	}
	defer func() { _ = host.stop() }() // it ends by itself after a success
	text, err := host.line()
	if err != nil {
		return err
	}
	var inv struct {
		Code string `json:"code"`
		Auth string `json:"auth_code"`
	}
	if err := json.Unmarshal([]byte(text), &inv); err != nil {
		return fmt.Errorf("invitation: %w", err)
	}
	_, err = guest.run(ctx, "join", inv.Code, "--auth-code", inv.Auth, "--as", spaceName)
	return err
}

// acknowledged waits until all members have what is saved here now.
func (v *vault) acknowledged(ctx context.Context) error {
	_, err := v.run(ctx, "wait", spaceName, "--timeout", "10m")
	return err
}

// size is what the vault takes on disk, in bytes.
func (v *vault) size() (sum int64, err error) {
	err = filepath.WalkDir(filepath.Join(v.dir, "vault"), func(_ string, e iofs.DirEntry, err error) error {
		if errors.Is(err, iofs.ErrNotExist) {
			return nil // the store removes files of its own
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if st, err := e.Info(); err == nil {
			sum += st.Size()
		}
		return nil
	})
	return sum, err
}

// unmountBelow detaches what is still mounted below a directory.
func unmountBelow(dir string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var errs []error
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) < 5 || !bytes.HasPrefix(fields[4], []byte(dir+"/")) {
			continue
		}
		at := string(fields[4])
		if os.Geteuid() == 0 {
			errs = append(errs, unix.Unmount(at, unix.MNT_DETACH))
			continue
		}
		_, err := run(context.Background(), os.Environ(), nil, "fusermount3", "-u", "-z", "--", at)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
