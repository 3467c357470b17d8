package vault

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxUsers is how many users of a mount an error names.
const maxUsers = 8

// usersOf lists the processes that have their directory or an open file in a
// mount, as "name (pid)", as far as this user may know. Links in /proc are read
// and not followed, so that the mount is not asked.
func usersOf(proc, mount string) (users []string) {
	pids, _ := filepath.Glob(filepath.Join(proc, "[0-9]*")) // the pattern is well formed
	for _, dir := range pids {
		if filepath.Base(dir) == fmt.Sprint(os.Getpid()) || !uses(dir, mount) {
			continue
		}
		if len(users) == maxUsers {
			return append(users, "and more")
		}
		name, _ := os.ReadFile(filepath.Join(dir, "comm")) // it may have ended
		users = append(users, fmt.Sprintf("%s (%s)", strings.TrimSpace(string(name)), filepath.Base(dir)))
	}
	return users
}

// uses reports whether a process has something of a mount.
func uses(process, mount string) bool {
	links := []string{filepath.Join(process, "cwd"), filepath.Join(process, "root")}
	open, _ := filepath.Glob(filepath.Join(process, "fd", "*")) // none if it is another user's
	return slices.ContainsFunc(append(links, open...), func(link string) bool {
		target, err := os.Readlink(link)
		return err == nil && (target == mount || strings.HasPrefix(target, mount+"/"))
	})
}

// inUse says who uses a mount that cannot be unmounted.
func inUse(mount string) string {
	users := usersOf("/proc", mount)
	if len(users) == 0 {
		return ""
	}
	return ": in use by " + strings.Join(users, ", ")
}
