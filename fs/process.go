package fs

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	ancestors []processID // the parent first
}

func (a author) known() bool { return a.id.pid != 0 }

// maxAncestors bounds the walk up from a process. A shell script run by a task
// runner in an editor's terminal is about eight deep.
const maxAncestors = 16

// procfs reads a proc file system.
type procfs struct {
	root string // "/proc"
}

// author returns who makes a request with a thread id. It is to be asked while
// the request is served, since the thread may be gone afterwards.
func (p procfs) author(tid uint32) author {
	proc, ok := p.process(tid)
	if !ok {
		return author{}
	}
	return author{proc, p.ancestors(proc)}
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
	b, err := os.ReadFile(p.path(tid, "status"))
	if err != nil {
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
	b, err := os.ReadFile(p.path(pid, "stat"))
	if err != nil {
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

func (p procfs) path(pid int, name string) string {
	return filepath.Join(p.root, strconv.Itoa(pid), name)
}
