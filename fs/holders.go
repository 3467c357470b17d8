package fs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holderDepth is how many ancestors of a process that closes a file are looked
// at for other handles of it: a redirection is held by the shell, by the
// subshell, and by the command.
const holderDepth = 3

// opened is what /proc tells of an open file.
type opened struct {
	target string // the path; with " (deleted)" where the name is gone
	flags  int
	mount  int
	ino    uint64 // 0 where the kernel does not tell (before Linux 5.14)
}

func (o opened) writes() bool { return o.flags&unix.O_ACCMODE != unix.O_RDONLY }

// holders counts the open files for which match returns true in a process and
// in its ancestors. It makes no request to any file system but /proc: the link
// is read, not followed.
func (p procfs) holders(tid uint32, match func(opened) bool) int {
	proc, ok := p.process(tid)
	if !ok {
		return 0
	}
	ids := append([]processID{proc.id}, p.ancestors(proc)...)
	n := 0
	for _, id := range ids[:min(len(ids), holderDepth+1)] {
		n += p.matching(id.pid, match)
	}
	return n
}

func (p procfs) matching(pid int, match func(opened) bool) int {
	fds, err := os.ReadDir(p.path(pid, "fd"))
	if err != nil {
		return 0 // gone, or of another user
	}
	n := 0
	for _, fd := range fds {
		if o, ok := p.opened(pid, fd.Name()); ok && match(o) {
			n++
		}
	}
	return n
}

func (p procfs) opened(pid int, fd string) (o opened, ok bool) {
	info, err := os.ReadFile(filepath.Join(p.path(pid, "fdinfo"), fd))
	if err != nil {
		return o, false
	}
	if o, ok = parseFdinfo(string(info)); !ok || !o.writes() {
		return o, ok
	}
	o.target, err = os.Readlink(filepath.Join(p.path(pid, "fd"), fd))
	return o, err == nil
}

func parseFdinfo(info string) (o opened, ok bool) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "flags":
			n, err := strconv.ParseInt(value, 8, 64)
			o.flags, ok = int(n), err == nil
		case "mnt_id":
			o.mount, _ = strconv.Atoi(value)
		case "ino":
			o.ino, _ = strconv.ParseUint(value, 10, 64)
		}
	}
	return o, ok
}

// mountEntry is a line of /proc/self/mountinfo.
type mountEntry struct {
	id    int
	minor int // of the device: the number of a FUSE connection
	point string
	kind  string

	shared bool // what is mounted or seen here is so in other namespaces too
}

// mounts lists the mounts of this process's namespace, later ones last.
func (p procfs) mounts() ([]mountEntry, error) {
	b, err := os.ReadFile(filepath.Join(p.root, "self", "mountinfo"))
	if err != nil {
		return nil, err
	}
	var out []mountEntry
	for line := range strings.Lines(string(b)) {
		if e, ok := parseMountinfo(line); ok {
			out = append(out, e)
		}
	}
	return out, nil
}

var mountinfoUnescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func parseMountinfo(line string) (e mountEntry, ok bool) {
	f := strings.Fields(line)
	sep := -1
	for i, s := range f {
		if s == "-" && i >= 6 {
			sep = i
			break
		}
	}
	if sep < 0 || sep+1 >= len(f) {
		return e, false
	}
	_, minor, _ := strings.Cut(f[2], ":")
	var err1, err2 error
	e.id, err1 = strconv.Atoi(f[0])
	e.minor, err2 = strconv.Atoi(minor)
	e.point = mountinfoUnescape.Replace(f[4])
	e.kind = f[sep+1]
	for _, option := range f[6:sep] {
		e.shared = e.shared || strings.HasPrefix(option, "shared:")
	}
	return e, err1 == nil && err2 == nil
}

// mountAt returns the topmost mount at a path.
func (p procfs) mountAt(path string) (found mountEntry, ok bool) {
	all, err := p.mounts()
	if err != nil {
		return found, false
	}
	for _, e := range all {
		if e.point == path {
			found, ok = e, true
		}
	}
	return found, ok
}
