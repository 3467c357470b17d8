package fs

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"echofs/echo"
)

// The kernel does not tell a file system who watches it, but /proc shows the
// watches of every process that this one may look into. They are looked at after a
// change has been made known and before the helper is sent: so whoever watched
// before the change is found, and whoever is not found began to watch after it,
// and sees it by looking.

// listeners is who watched a mount at some moment.
type listeners struct {
	all    bool // anybody may watch anything
	inodes map[echo.Ino]struct{}
	until  time.Time // when looking ends
}

// hear reports whether somebody watches one of some nodes.
func (l listeners) hear(nodes ...echo.Ino) bool {
	if l.all {
		return true
	}
	for _, ino := range nodes {
		if _, ok := l.inodes[ino]; ok && ino != 0 {
			return true
		}
	}
	return false
}

// Limits of one look. Beyond them it is as if somebody watched everything.
const (
	maxWatched  = 1 << 16  // nodes
	maxFDInfo   = 16 << 20 // bytes of /proc that tell of the watches of one descriptor
	maxAskers   = 4096     // threads that asked the mount something
	watchesRead = 64 << 10 // bytes in one read of it
	lookTime    = time.Second
)

// errSlow ends a look that takes too long.
var errSlow = errors.New("there are too many processes to look into")

// listeners looks for who watches. Processes that may not be looked into count,
// as watching everything, if one of their threads is among the askers: nobody
// begins to watch a mount that he never asked.
func (p procfs) listeners(m mountEntry, who *askers) listeners {
	found := listeners{inodes: make(map[echo.Ino]struct{}), until: time.Now().Add(lookTime)}
	pids, err := os.ReadDir(p.root)
	if err != nil {
		return listeners{all: true}
	}
	for _, e := range pids {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		switch err := p.watchesOf(pid, m, &found); {
		case err == nil, errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ESRCH):
		case errors.Is(err, errSlow):
			return listeners{all: true}
		default:
			found.all = p.asked(pid, who)
		}
		if found.all || len(found.inodes) > maxWatched {
			return listeners{all: true}
		}
	}
	return found
}

// watchesOf adds what a process watches.
func (p procfs) watchesOf(pid int, m mountEntry, found *listeners) error {
	dir, err := os.Open(p.path(pid, "fd"))
	if err != nil {
		return err
	}
	defer dir.Close()
	fds, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	var target [64]byte
	for _, fd := range fds {
		if time.Now().After(found.until) {
			return errSlow
		}
		n, err := unix.Readlinkat(int(dir.Fd()), fd, target[:])
		if err != nil || !isWatcher(target[:n]) {
			continue
		}
		if err := p.readWatches(pid, fd, m, found); err != nil {
			return err
		}
	}
	return nil
}

func isWatcher(target []byte) bool {
	return string(target) == "anon_inode:inotify" || string(target) == "anon_inode:[fanotify]"
}

// readWatches adds the watches of one descriptor.
func (p procfs) readWatches(pid int, fd string, m mountEntry, found *listeners) error {
	f, err := os.Open(p.path(pid, "fdinfo/"+fd))
	if err != nil {
		return err
	}
	defer f.Close()
	buf, rest, total := make([]byte, watchesRead), 0, 0
	for {
		n, err := f.Read(buf[rest:])
		end := rest + n
		lines := bytes.LastIndexByte(buf[:end], '\n') + 1
		for line := range bytes.Lines(buf[:lines]) {
			found.add(string(line), m)
		}
		rest = copy(buf, buf[lines:end])
		total += n
		if rest == len(buf) || total > maxFDInfo || len(found.inodes) > maxWatched {
			found.all = true
		}
		if err != nil || n == 0 || found.all {
			return nil // at the end, or the descriptor is gone
		}
	}
}

// add takes a line of what the kernel tells of a descriptor:
//
//	inotify wd:1 ino:9e7e sdev:800013 mask:…
//	fanotify ino:4f969 sdev:800013 mflags:0 mask:…
//	fanotify mnt_id:12 mflags:40 mask:…
//	fanotify sdev:800013 mflags:0 mask:…
//
// The numbers of nodes and devices are hexadecimal.
func (l *listeners) add(line string, m mountEntry) {
	kind, rest, _ := strings.Cut(line, " ")
	if kind != "inotify" && kind != "fanotify" {
		return
	}
	var ino, device uint64
	var hasIno, here bool
	for field := range strings.FieldsSeq(rest) {
		name, value, _ := strings.Cut(field, ":")
		switch name {
		case "ino":
			ino, _ = strconv.ParseUint(value, 16, 64)
			hasIno = true
		case "sdev":
			device, _ = strconv.ParseUint(value, 16, 64)
			here = device == uint64(m.minor) // the major number of such devices is 0
		case "mnt_id":
			id, _ := strconv.Atoi(value)
			here = id == m.id
		}
	}
	switch {
	case !here:
	case hasIno:
		l.inodes[echo.Ino(ino)] = struct{}{}
	default:
		l.all = true
	}
}

// asked reports whether a thread of a process has asked the mount something.
func (p procfs) asked(pid int, who *askers) bool {
	tasks, err := os.ReadDir(p.path(pid, "task"))
	if err != nil {
		return false // it has ended
	}
	for _, e := range tasks {
		if tid, err := strconv.ParseUint(e.Name(), 10, 32); err == nil && who.has(uint32(tid)) {
			return true
		}
	}
	return false
}

// askers remembers the threads that looked something up or opened something. If
// there were too many, or some that cannot be named, everybody counts.
type askers struct {
	last atomic.Uint32 // the one that asked last

	mu      sync.Mutex // guards the below
	threads map[uint32]struct{}
	anybody bool
}

func newAskers() *askers { return &askers{threads: make(map[uint32]struct{})} }

// note takes note of a request by a thread.
func (a *askers) note(tid uint32) {
	if a.last.Load() == tid && tid != 0 {
		return
	}
	a.last.Store(tid)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.threads) >= maxAskers {
		clear(a.threads)
		a.anybody = true
	}
	a.threads[tid] = struct{}{}
}

func (a *askers) has(tid uint32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.threads[tid]
	return ok || a.anybody
}

// initialPIDNamespace is the number that the kernel gives the first namespace of
// processes, in which every process can be seen.
const initialPIDNamespace = "pid:[4026531836]"

// seesAll reports whether every process that can come to a mount can be seen in
// this /proc: it is that of the whole machine, or the mount is in no other
// namespace.
func (p procfs) seesAll(m mountEntry) bool {
	ns, err := os.Readlink(p.root + "/self/ns/pid")
	return err == nil && ns == initialPIDNamespace || !m.shared
}
