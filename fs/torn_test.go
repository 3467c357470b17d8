package fs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"echofs/fs"
)

// The readers of TestNoTornRead, in short and in a soak.
const (
	tornReads     = 15_000
	tornReadsSoak = 1_000_000
)

// TestNoTornRead reads files in every way while others save them, in place and by
// rename: each reader sees a version as a whole, whether the kernel answers from
// its cache or asks for every byte.
func TestNoTornRead(t *testing.T) {
	m := mount(t, fs.Options{})
	reads := tornReads
	if os.Getenv("ECHOFS_SOAK") != "" {
		reads = tornReadsSoak
	}
	writer := m.startFor(time.Hour, "tornsave")
	writer.expect("ready")
	c := m.startFor(time.Hour, "torn", strconv.Itoa(reads))
	var bad, cached int
	line := c.line()
	if _, err := fmt.Sscanf(line, "bad %d settled %d", &bad, &cached); err != nil {
		t.Fatalf("the readers printed %q", line)
	}
	if bad > 0 {
		t.Errorf("%d of %d reads were of no version", bad, reads)
	}
	if cached < reads/20 {
		t.Errorf("only %d of %d reads were of files that had not just changed", cached, reads)
	}
	c.wait()
	if bad > 0 {
		t.Logf("%s", c.errs.String())
	}
	t.Logf("%d reads, %d of them of settled files, %d bad", reads, cached, bad)
}

const (
	tornFiles = 80 // each is saved again when it has settled
	tornPause = 50 * time.Millisecond
)

func tornName(i int) string { return fmt.Sprintf("f%d.json", i) }

// tornContent is a version of a file of which every byte depends on its number.
func tornContent(n int) []byte {
	return fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, strings.Repeat(string(rune('a'+n%26)), n*7919%30000))
}

// isWhole reports whether content is a version.
func isWhole(data []byte) bool {
	var v struct{ N int }
	return json.Unmarshal(data, &v) == nil && string(data) == string(tornContent(v.N))
}

// helpTornSave saves files one after the other, those of even numbers in place and
// those of odd numbers by rename, until its input ends.
func helpTornSave([]string) error {
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	for i := 0; !ended.Load(); i++ {
		if i == tornFiles {
			fmt.Println("ready")
		}
		if err := saveTorn(i); err != nil {
			return err
		}
		if i > tornFiles {
			time.Sleep(tornPause)
		}
	}
	return nil
}

// helpTorn reads files a number of times and prints how many reads were of no
// version, and how many of files that had settled.
func helpTorn(args []string) error {
	reads, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	var left, bad, settled atomic.Int64
	left.Store(reads)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := readTorn(&settled); err != nil {
					fmt.Fprintln(os.Stderr, err)
					bad.Add(1)
				}
			}
		})
	}
	wg.Wait()
	_, err = fmt.Printf("bad %d settled %d\n", bad.Load(), settled.Load())
	return err
}

func saveTorn(i int) error {
	name := tornName(i % tornFiles)
	if i%2 == 0 {
		return os.WriteFile(name, tornContent(i), 0o644)
	}
	return saveBy("."+name+".tmp", name, tornContent(i))
}

// tornWays are how readers read.
var tornWays = map[string]func(*os.File) ([]byte, error){
	"all": func(f *os.File) ([]byte, error) { return io.ReadAll(f) },
	"pieces": func(f *os.File) ([]byte, error) {
		var data []byte
		for buf := make([]byte, 1000); ; {
			n, err := f.Read(buf)
			if data = append(data, buf[:n]...); errors.Is(err, io.EOF) {
				return data, nil
			} else if err != nil {
				return nil, err
			}
		}
	},
	"at once": func(f *os.File) ([]byte, error) {
		buf := make([]byte, 64<<10)
		n, err := f.ReadAt(buf, 0)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return buf[:n], err
	},
}

// readTorn reads some file in some way.
func readTorn(settled *atomic.Int64) error {
	f, err := os.Open(tornName(rand.IntN(tornFiles)))
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if time.Since(st.ModTime()) > 3*time.Second {
		settled.Add(1)
	}
	for way, read := range tornWays { // the order is random
		begun := time.Now()
		data, err := read(f)
		if err != nil {
			return err
		}
		if !isWhole(data) {
			return fmt.Errorf("%s, %s, in %v, age %v: %d bytes %.40q…%.40q", f.Name(), way, time.Since(begun),
				time.Since(st.ModTime()), len(data), data, data[max(0, len(data)-40):])
		}
		break
	}
	return nil
}
