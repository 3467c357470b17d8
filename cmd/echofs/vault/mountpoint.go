package vault

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
)

// fuseType is how the kernel lists a mount of echofs.
const fuseType = "fuse.echofs"

// FindMount reports whether an echofs is mounted at dir, by the kernel's own
// list, which nobody is asked for who may hang.
func FindMount(dir string) (string, bool, error) {
	all, err := Mounts()
	if err != nil {
		return "", false, err
	}
	for _, m := range all {
		if m == dir {
			return m, true, nil
		}
	}
	return "", false, nil
}

// Mounts lists where echofs is mounted on this machine, by anybody.
func Mounts() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return parseMountinfo(b), nil
}

// parseMountinfo returns the mount points of echofs in the content of
// /proc/PID/mountinfo: "ID parent dev root POINT options … - TYPE source …".
func parseMountinfo(b []byte) (out []string) {
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if ok && len(fields) >= 5 && strings.HasPrefix(after, fuseType+" ") {
			out = append(out, unescapeMount(fields[4]))
		}
	}
	return out
}

// unescapeMount undoes the kernel's octal escapes (\040 for a space).
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Detach takes a mount of echofs away, whoever serves it: by umount(2) for
// root, by fusermount3 for others.
func Detach(ctx context.Context, dir string, lazy bool) error {
	if os.Getuid() == 0 {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		if err := unix.Unmount(dir, flags); err != nil {
			return fmt.Errorf("unmount: %w", &iofs.PathError{Op: "umount", Path: dir, Err: err})
		}
		return nil
	}
	args := []string{"-u", "--", dir}
	if lazy {
		args = append([]string{"-z"}, args...)
	}
	out, err := exec.CommandContext(ctx, "fusermount3", args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return control.WithHint(fmt.Errorf("unmount %s: %w", dir, err), "install fuse3")
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w: %s", dir, err, bytes.TrimSpace(out))
	}
	return nil
}
