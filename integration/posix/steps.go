package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// operation is what a step can do. It prints something or fails.
type operation struct {
	least, most int // of arguments
	do          func(m *machine, args []string) (string, error)
}

// ops are all operations by name. Modes are octal; times are seconds with a
// fraction, "now" or "omit".
var ops map[string]operation

func init() { // the operations refer to the table by way of the parser
	ops = map[string]operation{
		"mkdir":      {2, 2, byMode(unix.Mkdir)},
		"mkfifo":     {2, 2, byMode(unix.Mkfifo)},
		"mknod":      {2, 3, (*machine).mknod},
		"create":     {2, 2, (*machine).create},
		"chmod":      {2, 2, byMode(unix.Chmod)},
		"chown":      {3, 3, byOwner(unix.Chown)},
		"lchown":     {3, 3, byOwner(unix.Lchown)},
		"link":       {2, 2, byNames(unix.Link)},
		"symlink":    {2, 2, byNames(unix.Symlink)},
		"readlink":   {1, 1, (*machine).readlink},
		"rename":     {2, 3, (*machine).rename},
		"unlink":     {1, 1, byName(unix.Unlink)},
		"rmdir":      {1, 1, byName(unix.Rmdir)},
		"truncate":   {2, 2, (*machine).truncate},
		"utimens":    {3, 3, (*machine).utimens},
		"stat":       {2, 2, statBy(unix.Stat)},
		"lstat":      {2, 2, statBy(unix.Lstat)},
		"same":       {2, 2, (*machine).same},
		"remember":   {2, 2, (*machine).remember},
		"moved":      {2, 2, (*machine).moved},
		"ls":         {1, 1, (*machine).list},
		"put":        {2, 2, (*machine).put},
		"cat":        {1, 1, (*machine).cat},
		"access":     {2, 2, (*machine).access},
		"umask":      {1, 1, (*machine).umask},
		"open":       {2, 4, (*machine).openStep},
		"close":      {1, 1, (*machine).closeStep},
		"write":      {2, 3, onFD(write)},
		"read":       {2, 3, onFD(read)},
		"seek":       {3, 3, onFD(seek)},
		"ftruncate":  {2, 2, onFD(ftruncate)},
		"fstat":      {2, 2, onFD(fstat)},
		"fchmod":     {2, 2, onFD(fchmod)},
		"futimens":   {3, 3, onFD(futimens)},
		"fsync":      {1, 1, onFD(fsync)},
		"fallocate":  {2, 2, onFD(fallocate)},
		"flock":      {2, 2, onFD(flock)},
		"mmap-write": {2, 2, onFD(mmapWrite)},
		"mmap-read":  {2, 2, onFD(mmapRead)},
	}
}

func byName(call func(string) error) func(*machine, []string) (string, error) {
	return func(_ *machine, args []string) (string, error) { return "", call(args[0]) }
}

func byNames(call func(a, b string) error) func(*machine, []string) (string, error) {
	return func(_ *machine, args []string) (string, error) { return "", call(args[0], args[1]) }
}

func byMode(call func(string, uint32) error) func(*machine, []string) (string, error) {
	return func(_ *machine, args []string) (string, error) {
		mode, err := strconv.ParseUint(args[1], 8, 32)
		if err != nil {
			return "", err
		}
		return "", call(args[0], uint32(mode))
	}
}

func byOwner(call func(string, int, int) error) func(*machine, []string) (string, error) {
	return func(_ *machine, args []string) (string, error) {
		uid, err := strconv.Atoi(args[1])
		if err != nil {
			return "", err
		}
		gid, err := strconv.Atoi(args[2])
		if err != nil {
			return "", err
		}
		return "", call(args[0], uid, gid)
	}
}

var nodeTypes = map[string]uint32{"file": unix.S_IFREG, "fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK,
	"char": unix.S_IFCHR, "block": unix.S_IFBLK, "dir": unix.S_IFDIR, "link": unix.S_IFLNK}

// mknod PATH TYPE [MODE]; devices have the number of /dev/null.
func (*machine) mknod(args []string) (string, error) {
	kind, ok := nodeTypes[args[1]]
	if !ok {
		return "", fmt.Errorf("no type %q", args[1])
	}
	mode := uint64(0o644)
	if len(args) > 2 {
		var err error
		if mode, err = strconv.ParseUint(args[2], 8, 32); err != nil {
			return "", err
		}
	}
	return "", unix.Mknod(args[0], kind|uint32(mode), int(unix.Mkdev(1, 3)))
}

// create PATH MODE makes an empty file that must not be there.
func (*machine) create(args []string) (string, error) {
	mode, err := strconv.ParseUint(args[1], 8, 32)
	if err != nil {
		return "", err
	}
	fd, err := unix.Open(args[0], unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, uint32(mode))
	if err != nil {
		return "", err
	}
	return "", unix.Close(fd)
}

func (*machine) readlink(args []string) (string, error) {
	buf := make([]byte, 8192)
	n, err := unix.Readlink(args[0], buf)
	return string(buf[:max(n, 0)]), err
}

var renameFlags = map[string]int{"NOREPLACE": unix.RENAME_NOREPLACE, "EXCHANGE": unix.RENAME_EXCHANGE,
	"WHITEOUT": unix.RENAME_WHITEOUT}

func (*machine) rename(args []string) (string, error) {
	if len(args) == 2 {
		return "", unix.Rename(args[0], args[1])
	}
	f, err := flags(args[2], renameFlags)
	if err != nil {
		return "", err
	}
	return "", unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], uint(f))
}

func (*machine) truncate(args []string) (string, error) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return "", err
	}
	return "", unix.Truncate(args[0], n)
}

// parseTime reads a time in seconds with a fraction, "now" or "omit".
func parseTime(s string) (unix.Timespec, error) {
	switch s {
	case "now":
		return unix.Timespec{Nsec: unix.UTIME_NOW}, nil
	case "omit":
		return unix.Timespec{Nsec: unix.UTIME_OMIT}, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return unix.Timespec{}, err
	}
	nsec, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	return unix.Timespec{Sec: sec, Nsec: nsec}, err
}

// utimens PATH ATIME MTIME does not follow a symbolic link.
func (*machine) utimens(args []string) (string, error) {
	times, err := parseTimes(args[1:])
	if err != nil {
		return "", err
	}
	return "", unix.UtimesNanoAt(unix.AT_FDCWD, args[0], times, unix.AT_SYMLINK_NOFOLLOW)
}

func parseTimes(args []string) ([]unix.Timespec, error) {
	a, err := parseTime(args[0])
	if err != nil {
		return nil, err
	}
	m, err := parseTime(args[1])
	return []unix.Timespec{a, m}, err
}

func statBy(call func(string, *unix.Stat_t) error) func(*machine, []string) (string, error) {
	return func(_ *machine, args []string) (string, error) {
		var st unix.Stat_t
		if err := call(args[0], &st); err != nil {
			return "", err
		}
		return fields(&st, args[1])
	}
}

// fields prints fields of a stat, which are named with commas between them.
func fields(st *unix.Stat_t, names string) (string, error) {
	var out []string
	for name := range strings.SplitSeq(names, ",") {
		v, err := field(st, name)
		if err != nil {
			return "", err
		}
		out = append(out, v)
	}
	return strings.Join(out, ","), nil
}

func field(st *unix.Stat_t, name string) (string, error) {
	switch name {
	case "type":
		for word, kind := range nodeTypes {
			if st.Mode&unix.S_IFMT == kind {
				return word, nil
			}
		}
		return "?", nil
	case "mode":
		return fmt.Sprintf("%04o", st.Mode&0o7777), nil
	case "size":
		return strconv.FormatInt(st.Size, 10), nil
	case "nlink":
		return strconv.FormatUint(uint64(st.Nlink), 10), nil
	case "uid":
		return strconv.FormatUint(uint64(st.Uid), 10), nil
	case "gid":
		return strconv.FormatUint(uint64(st.Gid), 10), nil
	case "ino":
		return strconv.FormatUint(st.Ino, 10), nil
	case "atime":
		return stamp(st.Atim), nil
	case "mtime":
		return stamp(st.Mtim), nil
	case "ctime":
		return stamp(st.Ctim), nil
	}
	return "", fmt.Errorf("no field %q", name)
}

func stamp(t unix.Timespec) string {
	if t.Nsec == 0 {
		return strconv.FormatInt(int64(t.Sec), 10)
	}
	return strings.TrimRight(fmt.Sprintf("%d.%09d", t.Sec, t.Nsec), "0")
}

// same A B prints whether two names are of one file.
func (*machine) same(args []string) (string, error) {
	var a, b unix.Stat_t
	if err := unix.Lstat(args[0], &a); err != nil {
		return "", err
	}
	if err := unix.Lstat(args[1], &b); err != nil {
		return "", err
	}
	return strconv.FormatBool(a.Ino == b.Ino && a.Dev == b.Dev), nil
}

// remember PATH FIELD keeps what a field is. The clocks of file systems tick
// some times in a second; what comes next falls into another tick.
func (m *machine) remember(args []string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(args[0], &st); err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(args[1], ",") {
		v, err := field(&st, name)
		if err != nil {
			return "", err
		}
		m.remembered[args[0]+" "+name] = v
	}
	time.Sleep(15 * time.Millisecond)
	return "", nil
}

// moved PATH FIELD prints whether a field is another than was remembered.
func (m *machine) moved(args []string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(args[0], &st); err != nil {
		return "", err
	}
	var out []string
	for name := range strings.SplitSeq(args[1], ",") {
		v, err := field(&st, name)
		if err != nil {
			return "", err
		}
		out = append(out, strconv.FormatBool(v != m.remembered[args[0]+" "+name]))
	}
	return strings.Join(out, ","), nil
}

// ls PATH prints the names in a directory, sorted.
func (*machine) list(args []string) (string, error) {
	entries, err := os.ReadDir(args[0])
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return strings.Join(names, ","), nil
}

func (*machine) put(args []string) (string, error) {
	return "", os.WriteFile(args[0], []byte(args[1]), 0o644)
}

func (*machine) cat(args []string) (string, error) {
	data, err := os.ReadFile(args[0])
	return string(data), err
}

var accessModes = map[string]int{"F": unix.F_OK, "R": unix.R_OK, "W": unix.W_OK, "X": unix.X_OK}

// access PATH F|R|W|X asks for the user who acts, not the one who was logged in.
func (*machine) access(args []string) (string, error) {
	mode, err := flags(args[1], accessModes)
	if err != nil {
		return "", err
	}
	return "", unix.Faccessat(unix.AT_FDCWD, args[0], uint32(mode), unix.AT_EACCESS)
}

func (*machine) umask(args []string) (string, error) {
	mask, err := strconv.ParseUint(args[0], 8, 32)
	if err != nil {
		return "", err
	}
	unix.Umask(int(mask))
	return "", nil
}
