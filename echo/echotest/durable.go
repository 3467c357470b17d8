package echotest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"echofs/echo"
)

// Reopener is a Store that can be closed and opened again.
type Reopener interface {
	// Reopen closes the store in an orderly way and returns it anew. The old
	// one is not used again.
	Reopen(t *testing.T) echo.Store
}

// Killer is a Store whose process can die without a word.
type Killer interface {
	// Kill returns a store with what a process would find that starts after
	// this one was killed during the call. It is called while commits run. The
	// old store stays usable, and the two share no changes.
	Kill(t *testing.T) echo.Store
}

// PowerCutter is a Store whose machine can lose its power.
type PowerCutter interface {
	// CutPower returns a store with what a machine would find whose power was
	// cut during the call; where chance decides about that, it may be another
	// at each call. Otherwise it is like Kill.
	CutPower(t *testing.T) echo.Store
}

func testReopen(t *testing.T, s echo.Store) {
	if _, ok := s.(Reopener); !ok {
		t.Skip("the store is no Reopener")
	}
	put(t, s, "a", "1", "b", "1")
	for i := range 3 {
		var b echo.Batch
		b.Delete([]byte("a"))
		b.Put([]byte("b"), fmt.Append(nil, i))
		commit(t, s, &b, echo.Durability(i%2))
		s = s.(Reopener).Reopen(t)
		wantScan(t, s, fmt.Sprint("b=", i))
	}
}

func testKill(t *testing.T, s echo.Store) {
	killer, ok := s.(Killer)
	if !ok {
		t.Skip("the store is no Killer")
	}
	testCrashes(t, s, echo.Kernel, killer.Kill)
}

func testPowerCut(t *testing.T, s echo.Store) {
	cutter, ok := s.(PowerCutter)
	if !ok {
		t.Skip("the store is no PowerCutter")
	}
	testCrashes(t, s, echo.Disk, cutter.CutPower)
}

// Numbers of the test of crashes. The values are large enough that a store
// that keeps a few megabytes in memory writes them out in between.
const (
	crashWriters = 4
	crashRounds  = 100
	crashPad     = 24 << 10 // bytes
	crashes      = 3
)

// testCrashes lets writers run, makes the store crash now and then, and checks
// each time what is left: see crashLog.check.
func testCrashes(t *testing.T, s echo.Store, survives echo.Durability, crash func(*testing.T) echo.Store) {
	log := &crashLog{store: s, survives: survives}
	var started atomic.Int32
	begun := make(chan struct{})
	written := make(chan struct{})
	go func() {
		defer close(written)
		whileWriting(t, 0, nil, crashWriters, func(writer int) {
			for round := range crashRounds {
				if started.Add(1) == crashWriters*crashRounds/4 {
					close(begun)
				}
				if err := log.write(writer, round); err != nil {
					t.Errorf("Commit: %v", err)
				}
			}
		})
	}()
	<-begun
	for range crashes {
		floor := log.floor()
		log.check(t, crash(t), floor)
	}
	<-written
	floor := log.floor()
	log.check(t, crash(t), floor)
}

// crashLog writes records of which it knows afterwards which must have
// survived.
type crashLog struct {
	store    echo.Store
	survives echo.Durability // the least durability that must survive

	acked [crashWriters]atomic.Int64 // records of each writer whose Commit has returned
	safe  [crashWriters]atomic.Int64 // those that must survive
}

// write commits record number round of a writer: its own key, and the writer's
// count in the same batch. Every so often the commit asks for Disk, and is
// followed by nothing but Kernel and Memory for a while.
func (l *crashLog) write(writer, round int) error {
	d := echo.Kernel
	switch {
	case round%17 == writer:
		d = echo.Disk
	case round%3 == 1:
		d = echo.Memory
	}
	before := l.countAcked()
	var b echo.Batch
	b.Put(recordKey(writer, round), recordValue(writer, round))
	b.Put(fmt.Appendf(nil, "count%d", writer), fmt.Append(nil, round+1))
	if err := l.store.Commit(&b, d); err != nil {
		return err
	}
	l.acked[writer].Store(int64(round + 1))
	if d >= l.survives {
		// What was acknowledged when this commit began came before it.
		before[writer] = int64(round + 1)
		for w := range before {
			raise(&l.safe[w], before[w])
		}
	}
	return nil
}

// floor returns how many records of each writer must survive from now on.
func (l *crashLog) floor() (n [crashWriters]int64) {
	for w := range n {
		n[w] = l.safe[w].Load()
	}
	return n
}

func (l *crashLog) countAcked() (n [crashWriters]int64) {
	for w := range n {
		n[w] = l.acked[w].Load()
	}
	return n
}

// check demands of a store after a crash that it holds of each writer the
// first n records and nothing else, where n is the count in the same batch and
// not below the floor; and that it can be written.
func (l *crashLog) check(t *testing.T, s echo.Store, floor [crashWriters]int64) {
	t.Helper()
	found := map[string]string{}
	err := s.Scan(nil, nil, func(key, value []byte) bool {
		found[string(key)] = string(value)
		return true
	})
	if err != nil {
		t.Errorf("Scan after a crash: %v", err)
		return
	}
	for writer, least := range floor {
		var n int64
		countKey := fmt.Sprintf("count%d", writer)
		if text, ok := found[countKey]; ok {
			fmt.Sscan(text, &n)
			delete(found, countKey)
		}
		if n < least {
			t.Errorf("after a crash: %d records of writer %d, want at least %d", n, writer, least)
		}
		for round := range int(n) {
			key := string(recordKey(writer, round))
			if found[key] != string(recordValue(writer, round)) {
				t.Errorf("after a crash: record %d of %d of writer %d is damaged or missing", round, n, writer)
			}
			delete(found, key)
		}
	}
	for key := range maps.Keys(found) {
		t.Errorf("after a crash: record %q is there, those before it are not", key)
	}
	put(t, s, "after", "crash")
	wantGet(t, s, "after", "crash")
}

func recordKey(writer, round int) []byte { return fmt.Appendf(nil, "r%d-%05d", writer, round) }

// recordValue returns a value of random length that does not compress away.
func recordValue(writer, round int) []byte {
	rng := rand.NewChaCha8([32]byte{byte(writer), byte(round)})
	value := make([]byte, rng.Uint64()%crashPad)
	rng.Read(value)
	return value
}

// raise sets v to n unless it is there already.
func raise(v *atomic.Int64, n int64) {
	for {
		old := v.Load()
		if old >= n || v.CompareAndSwap(old, n) {
			return
		}
	}
}
