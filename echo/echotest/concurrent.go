package echotest

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"echofs/echo"
)

// testBatchesAreAtomic: writers replace a whole range with one value, readers
// see all of it in one value or are shown nothing.
func testBatchesAreAtomic(t *testing.T, s echo.Store) {
	const writers, rounds, keys = 3, 40, 20
	write := func(writer, round int) {
		var b echo.Batch
		b.DeleteRange([]byte("k"), []byte("l"))
		for i := range keys {
			// Other keys each round, so that a torn batch shows as a wrong number.
			b.Put(fmt.Appendf(nil, "k%d-%d-%d", round, writer, i), fmt.Append(nil, writer, round))
		}
		commit(t, s, &b, echo.Durability(round%2))
	}
	check := func() {
		lines := map[string]int{}
		err := s.Scan([]byte("k"), []byte("l"), func(_, value []byte) bool {
			lines[string(value)]++
			return true
		})
		if err != nil {
			t.Errorf("Scan: %v", err)
		}
		for value, n := range lines {
			if len(lines) != 1 || n != keys {
				t.Errorf("a reader saw %d of %d keys of batch %q, and %d batches", n, keys, value, len(lines))
			}
		}
	}
	write(0, 0)
	whileWriting(t, 2, check, writers, func(writer int) {
		for round := range rounds {
			write(writer, round)
		}
	})
}

// testReadersGoForward: what a reader has seen, or what has been acknowledged,
// no later read goes behind.
func testReadersGoForward(t *testing.T, s echo.Store) {
	key := []byte("counter")
	read := func() uint64 {
		value, err := s.Get(key)
		if err != nil {
			t.Errorf("Get: %v", err)
			return 0
		}
		return binary.BigEndian.Uint64(value)
	}
	write := func(n uint64) {
		var b echo.Batch
		b.Put(key, binary.BigEndian.AppendUint64(nil, n))
		commit(t, s, &b, echo.Kernel)
		if got := read(); got < n {
			t.Errorf("the writer of %d reads %d", n, got)
		}
	}
	write(1)
	var mu sync.Mutex // guards seen
	seen := uint64(0)
	check := func() {
		mu.Lock()
		defer mu.Unlock()
		got := read()
		if got < seen {
			t.Errorf("a reader saw %d after %d", got, seen)
		}
		seen = got
	}
	whileWriting(t, 2, check, 1, func(int) {
		for n := range uint64(200) {
			write(n + 2)
		}
	})
}

// testManyWriters: no write of many concurrent writers gets lost.
func testManyWriters(t *testing.T, s echo.Store) {
	const writers, rounds = 8, 40
	whileWriting(t, 0, nil, writers, func(writer int) {
		for round := range rounds {
			var b echo.Batch
			b.Put(fmt.Appendf(nil, "w%d-%03d", writer, round), []byte("x"))
			b.Delete(fmt.Appendf(nil, "w%d-%03d", writer, round-10))
			commit(t, s, &b, echo.Durability(round%2))
		}
	})
	var want []string
	for writer := range writers {
		for round := rounds - 10; round < rounds; round++ {
			want = append(want, fmt.Sprintf("w%d-%03d=x", writer, round))
		}
	}
	wantScan(t, s, want...)
}

// whileWriting runs write once for each of so many writers, and read again and
// again in each of so many readers, until the writers are done.
func whileWriting(t *testing.T, readers int, read func(), writers int, write func(writer int)) {
	t.Helper()
	done := make(chan struct{})
	var writing, reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for {
				read()
				select {
				case <-done:
					read() // once more, after the last write
					return
				default:
				}
			}
		})
	}
	for writer := range writers {
		writing.Go(func() { write(writer) })
	}
	writing.Wait()
	close(done)
	reading.Wait()
}
