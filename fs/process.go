package fs

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// processID names a process for as long as the machine runs: numbers are used
// again, start times are not.
type processID struct {
	pid   int    // of the thread group
	start uint64 // in clock ticks since boot
}

// process is what was known of a process when it made a request.
type process struct {
	id      processID
	parent  int
	session int
}

// author is who opened or wrote a file. The zero author is nobody known, as the
// kernel itself, or a process of another pid namespace.
type author struct {
	process
}

func (a author) known() bool { return a.id.pid != 0 }

// maxAncestors bounds the walk up from a process. A shell script run by a task
// runner in an editor's terminal is about eight deep.
const maxAncestors = 16

// procfs reads a proc file system.
type procfs struct {
	root string // "/proc"
}

// recent remembers for a moment what /proc said: as long as numbers of threads
// and processes are not used again.
type recent[K comparable, V any] struct {
	mu    sync.Mutex // guards the below
	known *lru[K, sighting[V]]
}

type sighting[V any] struct {
	value V
	when  time.Time
}

const (
	sightingTime = 250 * time.Millisecond // numbers of threads are not used again so soon
	maxSightings = 256
)

func newRecent[K comparable, V any](max int) *recent[K, V] {
	return &recent[K, V]{known: newLRU[K, sighting[V]](max)}
}

// get returns what is known of k; else what find says, which is remembered if
// it says ok. find is called with no lock held.
func (r *recent[K, V]) get(k K, find func() (v V, ok bool)) V {
	now := time.Now()
	r.mu.Lock()
	seen, ok := r.known.get(k)
	r.mu.Unlock()
	if ok && now.Sub(seen.when) < sightingTime {
		return seen.value
	}
	v, ok := find()
	if ok {
		r.mu.Lock()
		r.known.put(k, sighting[V]{v, now})
		r.mu.Unlock()
	}
	return v
}

// authors finds out who makes requests. What it found it believes for a moment,
// since a program that opens many files would otherwise be looked up for each.
type authors struct {
	procfs
	known *recent[uint32, author]
}

func newAuthors(p procfs) *authors {
	return &authors{procfs: p, known: newRecent[uint32, author](maxSightings)}
}

// author returns who makes a request with a thread id. It is to be asked while
// the request is served, since the thread may be gone afterwards.
func (s *authors) author(tid uint32) author {
	return s.known.get(tid, func() (author, bool) {
		proc, ok := s.process(tid)
		if !ok {
			return author{}, false
		}
		return author{proc}, true
	})
}

// leaders finds out when the leaders of sessions started, and believes it as
// long as authors does.
type leaders struct {
	procfs
	known *recent[int, uint64]
}

func newLeaders(p procfs) *leaders {
	return &leaders{procfs: p, known: newRecent[int, uint64](maxSessions)}
}

// start returns when a process started, 0 where that is not known.
func (l *leaders) start(pid int) uint64 {
	return l.known.get(pid, func() (uint64, bool) {
		proc, _ := l.stat(pid)
		return proc.id.start, true
	})
}

// process returns the process that a thread belongs to.
func (p procfs) process(tid uint32) (process, bool) {
	if tid == 0 {
		return process{}, false
	}
	pid := p.group(int(tid))
	return p.stat(pid)
}

// group returns the thread group of a thread, or its own number where that
// cannot be read.
func (p procfs) group(tid int) int {
	var buf [2048]byte // the line is the fourth
	b, ok := p.read(tid, "status", buf[:])
	if !ok {
		return tid
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("Tgid:")); ok {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(rest))); err == nil {
				return n
			}
		}
	}
	return tid
}

// Fields of /proc/<pid>/stat, counted after the name in parentheses.
const (
	statParent  = 1
	statSession = 3
	statStart   = 19
)

func (p procfs) stat(pid int) (process, bool) {
	var buf [1024]byte // a name of 64 bytes and fifty numbers at most
	b, ok := p.read(pid, "stat", buf[:])
	if !ok {
		return process{}, false
	}
	end := bytes.LastIndexByte(b, ')') // the name may hold anything
	if end < 0 {
		return process{}, false
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) <= statStart {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(f[statParent])
	session, err2 := strconv.Atoi(f[statSession])
	start, err3 := strconv.ParseUint(f[statStart], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return process{}, false
	}
	return process{processID{pid, start}, parent, session}, true
}

// ancestors returns the parents of a process that still live, nearest first,
// without the init process, from which everything descends.
func (p procfs) ancestors(proc process) []processID {
	var out []processID
	for len(out) < maxAncestors && proc.parent > 1 {
		parent, ok := p.stat(proc.parent)
		if !ok || parent.id.start > proc.id.start {
			break // the number was given to another one meanwhile
		}
		out = append(out, parent.id)
		proc = parent
	}
	return out
}

// alive reports whether a process still runs.
func (p procfs) alive(id processID) bool {
	proc, ok := p.stat(id.pid)
	return ok && proc.id == id
}

// read reads the beginning of a file into buf, without what package os does for
// files that can block.
func (p procfs) read(pid int, name string, buf []byte) ([]byte, bool) {
	fd, err := unix.Open(p.path(pid, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, buf)
	if err != nil || n <= 0 {
		return nil, false
	}
	return buf[:n], true
}

func (p procfs) path(pid int, name string) string {
	return p.root + "/" + strconv.Itoa(pid) + "/" + name
}
