package fs

import (
	"slices"
	"sync"

	"echofs/echo"
	"echofs/echo/doc"
)

// The names of the rules that choose the base of a save, as `echofs stat` shows
// them, from the surest to the weakest.
const (
	ruleHandle   = "handle"   // the version that the handle itself started from
	ruleProcess  = "process"  // the last version that the process read or wrote
	ruleSession  = "session"  // the last one of a process of the same session
	ruleAncestor = "ancestor" // the last one of an ancestor
	ruleServed   = "served"   // the last one that anybody read or wrote
	ruleCurrent  = "current"  // nothing is known: the current version
)

// Limits of what is remembered. An entry is about 150 bytes, so all of it is at
// most some 40 MB, and in practice little: most processes live for moments and
// read few files.
const (
	maxProcesses       = 512   // living or not; dead ones go first
	maxSessions        = 128   // sessions outlive the processes in them
	maxObjectsOfOne    = 256   // per process: a recursive grep forgets its own reads only
	maxObjectsOfMany   = 1024  // per session
	maxObjectsServed   = 16384 // of the whole vault
	maxDraftBases      = 1024  // drafts whose base is known
	keptAfterSweep     = maxProcesses * 3 / 4
	unknownLeaderStart = 0
)

// looked is what somebody was looking at, and when.
type looked struct {
	version echo.Version
	seq     uint64 // grows with time
}

// views are what one viewer was looking at, by object.
type views = lru[doc.ObjectID, looked]

// sessionViews are the views of a session. Session numbers are used again;
// the start of the leader tells one use from the next where it is known.
type sessionViews struct {
	leader uint64
	*views
}

// bases remembers which version of an object was seen by whom, to find the
// version that the author of a save was looking at:
//
//  1. Opening an object for reading makes its version the one that the process,
//     its session and the vault as a whole are looking at.
//  2. A save makes what it wrote (its base plus its change, not the merged
//     result) the version of the same three.
//  3. The base of a save is what the process was looking at; else the later of
//     what its session and what its ancestors were looking at; else what anybody
//     was looking at.
//  4. Reading a draft is reading the version on which the draft was based.
//
// Objects are known by id, not by inode: editors rename a file away and make a
// new one, which is the same object. Processes are told apart by number and
// start time.
type bases struct {
	alive     func(processID) bool      // whether a process still runs
	start     func(pid int) uint64      // the start of a process, 0 if unknown
	ancestors func(process) []processID // those that still run, the parent first

	mu        sync.Mutex // guards the below
	seq       uint64
	processes *lru[processID, *views]
	sessions  *lru[int, sessionViews]
	served    *views
	drafts    *lru[doc.ObjectID, echo.Version]
}

func newBases(p procfs) *bases {
	return &bases{
		alive: p.alive, ancestors: p.ancestors,
		start:     newLeaders(p).start,
		processes: newLRU[processID, *views](maxProcesses + 1), // swept before it drops
		sessions:  newLRU[int, sessionViews](maxSessions),
		served:    newLRU[doc.ObjectID, looked](maxObjectsServed),
		drafts:    newLRU[doc.ObjectID, echo.Version](maxDraftBases),
	}
}

// read records that a process opened an object for reading. isDraft says that
// the content is a draft above version v.
func (b *bases) read(a author, id doc.ObjectID, v echo.Version, isDraft bool) {
	leader := b.leaderStart(a)
	b.mu.Lock()
	if base, ok := b.drafts.get(id); ok && isDraft {
		v = base
	}
	b.record(a, leader, id, v)
	sweep := b.processes.len() > maxProcesses
	b.mu.Unlock()
	if sweep {
		b.sweep()
	}
}

// wrote records what the author of a save is looking at after it. The object's
// draft, if there was one, has ended.
func (b *bases) wrote(a author, id doc.ObjectID, v echo.Version) {
	leader := b.leaderStart(a)
	b.mu.Lock()
	b.drafts.drop(id)
	b.record(a, leader, id, v)
	sweep := b.processes.len() > maxProcesses
	b.mu.Unlock()
	if sweep {
		b.sweep()
	}
}

// drafted records the base of content that became a draft; nil forgets it.
func (b *bases) drafted(id doc.ObjectID, base *echo.Version) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if base == nil {
		b.drafts.drop(id)
		return
	}
	b.drafts.put(id, *base)
}

func (b *bases) leaderStart(a author) uint64 {
	if a.session == 0 {
		return unknownLeaderStart
	}
	return b.start(a.session)
}

// record adds to all viewers that an author stands for; b.mu is held.
func (b *bases) record(a author, leader uint64, id doc.ObjectID, v echo.Version) {
	b.seq++
	l := looked{v, b.seq}
	b.served.put(id, l)
	if !a.known() {
		return
	}
	own, ok := b.processes.get(a.id)
	if !ok {
		own = newLRU[doc.ObjectID, looked](maxObjectsOfOne)
		b.processes.put(a.id, own)
	}
	own.put(id, l)
	if a.session != 0 {
		b.session(a.session, leader).put(id, l)
	}
}

// session returns the views of a session, new ones where the number has come
// to name another session; b.mu is held.
func (b *bases) session(number int, leader uint64) *views {
	s, ok := b.sessions.get(number)
	if !ok || s.leader != leader && s.leader != unknownLeaderStart && leader != unknownLeaderStart {
		s = sessionViews{leader, newLRU[doc.ObjectID, looked](maxObjectsOfMany)}
	}
	if s.leader == unknownLeaderStart {
		s.leader = leader
	}
	b.sessions.put(number, s)
	return s.views
}

// sweep forgets processes that have ended, then those that did nothing for
// longest. /proc is read without the lock.
func (b *bases) sweep() {
	b.mu.Lock()
	ids := make([]processID, 0, b.processes.len())
	b.processes.dropIf(func(id processID, _ *views) bool {
		ids = append(ids, id)
		return false
	})
	b.mu.Unlock()
	ids = slices.DeleteFunc(ids, b.alive)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		b.processes.drop(id)
	}
	for b.processes.len() > keptAfterSweep {
		b.processes.dropOldest()
	}
}

// seen returns the version that somebody sees who reads content: of a draft, the
// one it was based on.
func (b *bases) seen(id doc.ObjectID, c echo.Content) echo.Version {
	b.mu.Lock()
	defer b.mu.Unlock()
	if base, ok := b.drafts.get(id); ok && c.Draft {
		return base
	}
	return c.Version
}

// base returns the version that an author was looking at and the rule that
// found it; nil with ruleCurrent where nothing is known.
func (b *bases) base(a author, id doc.ObjectID) (*echo.Version, string) {
	l, ok := b.ofProcess(a.id, id)
	rule := ruleProcess
	if !ok && a.known() {
		l, rule, ok = b.ofRelatives(a, id)
	}
	if !ok {
		rule = ruleServed
		b.mu.Lock()
		l, ok = b.served.get(id)
		b.mu.Unlock()
	}
	if !ok {
		return nil, ruleCurrent
	}
	return &l.version, rule
}

// ofRelatives returns the later of what the session and what the ancestors of a
// process were looking at.
func (b *bases) ofRelatives(a author, id doc.ObjectID) (best looked, rule string, ok bool) {
	leader, ancestors := b.leaderStart(a), b.ancestors(a.process)
	if a.session != 0 {
		b.mu.Lock()
		best, ok = b.session(a.session, leader).get(id)
		b.mu.Unlock()
		rule = ruleSession
	}
	for _, ancestor := range ancestors {
		if l, found := b.ofProcess(ancestor, id); found && l.seq > best.seq {
			best, rule, ok = l, ruleAncestor, true
		}
	}
	return best, rule, ok
}

func (b *bases) ofProcess(p processID, id doc.ObjectID) (looked, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.processes.get(p)
	if !ok {
		return looked{}, false
	}
	return v.get(id)
}
