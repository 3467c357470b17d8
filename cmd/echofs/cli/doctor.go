package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

// What a check can find.
const (
	checkOK   = "ok"
	checkWarn = "warn"
	checkFail = "fail"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Examine this machine and the vault, and say how to mend what is wrong",
		Long: `Examine this machine (FUSE, kernel, clock, mounts), the vault (store, engine) and
the signaling servers. Exit status 1 if anything has failed.`,
		Example: "  echofs doctor",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			checks := a.examine(c.Context())
			err := a.emit(checks, func(w io.Writer) { printChecks(w, checks) })
			for _, x := range checks {
				if x.State == checkFail {
					return errors.Join(err, fmt.Errorf("%s has failed", x.Name))
				}
			}
			return err
		},
	}
}

func printChecks(w io.Writer, checks []control.Check) {
	for _, c := range checks {
		_, _ = fmt.Fprintf(w, "%-4s  %-10s %s\n", c.State, clean(c.Name), clean(c.Detail))
		if c.Fix != "" {
			_, _ = fmt.Fprintf(w, "      %-10s %s\n", "", clean("fix: "+c.Fix))
		}
	}
}

// examine makes all checks; each can fail without the others.
func (a *app) examine(ctx context.Context) []control.Check {
	checks := []control.Check{checkFuseDevice(), checkFusermount(), checkKernel(), checkClock(time.Now())}
	checks = append(checks, checkMounts()...)
	home, err := vault.Home(a.home, a.getenv)
	if err != nil {
		return append(checks, failed("vault", err, control.HintOf(err)))
	}
	_, err = vault.OpenDir(home)
	if errors.Is(err, vault.ErrNoVault) {
		return append(checks, control.Check{Name: "vault", State: checkWarn, Detail: "there is none in " + home, Fix: "echofs init"})
	}
	if err != nil {
		return append(checks, failed("vault", err, control.HintOf(err)))
	}
	return append(checks, a.checkVault(ctx)...)
}

func failed(name string, err error, fix string) control.Check {
	return control.Check{Name: name, State: checkFail, Detail: err.Error(), Fix: fix}
}

func checkFuseDevice() control.Check {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return failed("fuse", err, "sudo modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN")
	}
	_ = f.Close()
	return control.Check{Name: "fuse", State: checkOK, Detail: "/dev/fuse can be opened"}
}

func checkFusermount() control.Check {
	path, err := exec.LookPath("fusermount3")
	if err != nil {
		c := failed("fusermount", err, "sudo apt-get install fuse3")
		if os.Getuid() == 0 {
			c.State = checkWarn // root mounts by itself
		}
		return c
	}
	return control.Check{Name: "fusermount", State: checkOK, Detail: path}
}

func checkKernel() control.Check {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return failed("kernel", err, "")
	}
	release := unix.ByteSliceToString(u.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err == nil && (major < 5 || major == 5 && minor < 4) {
		return control.Check{Name: "kernel", State: checkWarn, Detail: release, Fix: "echofs is made for Linux 5.4 and later"}
	}
	return control.Check{Name: "kernel", State: checkOK, Detail: release}
}

// builtAfter is a time before which no clock is right.
var builtAfter = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// checkClock finds clocks that cannot be right; others are shown times in the
// log that make no sense.
func checkClock(now time.Time) control.Check {
	if now.Before(builtAfter) {
		return control.Check{Name: "clock", State: checkFail, Detail: now.Format(time.RFC3339), Fix: "sudo timedatectl set-ntp true"}
	}
	return control.Check{Name: "clock", State: checkOK, Detail: now.Format(time.RFC3339)}
}

// checkMounts looks at every mount of echofs on the machine. One that is dead
// answers at once, so this does not hang.
func checkMounts() []control.Check {
	dirs, err := vault.Mounts()
	if err != nil {
		return []control.Check{failed("mount", err, "")}
	}
	var out []control.Check
	for _, dir := range dirs {
		var st unix.Stat_t
		c := control.Check{Name: "mount", State: checkOK, Detail: dir}
		if err := unix.Lstat(dir, &st); errors.Is(err, unix.ENOTCONN) {
			c = control.Check{Name: "mount", State: checkFail, Detail: dir + ": its daemon is gone", Fix: "echofs umount --lazy " + dir}
		}
		out = append(out, c)
	}
	return out
}

func (a *app) checkVault(ctx context.Context) (checks []control.Check) {
	err := a.with(ctx, need{}, func(s *session) error {
		pong, err := control.Call(ctx, s.Client, control.Ping, control.None{})
		if err != nil {
			return err
		}
		how := fmt.Sprintf("%s, held by process %d (echofs %s)", pong.Home, pong.PID, pong.Version)
		if s.inside {
			how = pong.Home + ", no daemon runs"
		}
		checks = append(checks, control.Check{Name: "vault", State: checkOK, Detail: how})
		more, err := control.Call(ctx, s.Client, control.Examine, control.None{})
		checks = append(checks, more...)
		return err
	})
	if err != nil {
		checks = append(checks, failed("vault", err, control.HintOf(err)))
	}
	return checks
}
