package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// job is what an application process is told to do.
type job struct {
	Op    string // create, save, see, hear, stat
	Dir   string
	There string // see, hear: the directory in which saves are awaited
	Name  string // see, hear: of the object; savedName if it is empty
	From  int    // create: the number of the first file
	Count int
	Of    int  // stat: how many files there are to choose from
	Sync  bool // fsync before each close
}

// visibleTime bounds the wait for one save to come out elsewhere.
const visibleTime = 20 * time.Second

// savedName is the object that is saved again and again.
const savedName = "saved.json"

// work does one job, read from in, and writes how long each step took to out.
func work(in io.Reader, out io.Writer) error {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	s, err := j.do()
	if err != nil {
		return fmt.Errorf("%s in %s: %w", j.Op, j.Dir, err)
	}
	return json.NewEncoder(out).Encode(s)
}

func (j job) do() (samples, error) {
	took := make(samples, 0, j.Count)
	for n := j.From; n < j.From+j.Count; n++ {
		d, err := j.step(n)
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	return took, nil
}

func (j job) step(n int) (time.Duration, error) {
	switch j.Op {
	case "create":
		return j.write(filepath.Join(j.Dir, fileName(n)), object(n, 0), os.O_CREATE|os.O_EXCL)
	case "save":
		return j.write(filepath.Join(j.Dir, savedName), object(0, n), os.O_CREATE|os.O_TRUNC)
	case "see":
		return j.see(n)
	case "stat":
		name := filepath.Join(j.Dir, manyName(rand.IntN(j.Of)))
		begun := time.Now()
		_, err := os.Lstat(name)
		return time.Since(begun), err
	case "hear":
		return j.hear(n)
	}
	return 0, errors.New("no such job")
}

// write does what a program does that saves a file, and tells how long it took
// until close returned.
func (j job) write(name string, content []byte, flags int) (time.Duration, error) {
	begun := time.Now()
	f, err := os.OpenFile(name, os.O_WRONLY|flags, 0o644)
	if err != nil {
		return 0, err
	}
	_, err = f.Write(content)
	if err == nil && j.Sync {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	return time.Since(begun), err
}

// see saves a file here and waits until it is there, at intervals that leave
// the processor to others. Its status is answered by the kernel until the
// daemon there has told it of the change, so asking costs the daemon nothing.
func (j job) see(n int) (time.Duration, error) {
	time.Sleep(5*time.Millisecond + rand.N(10*time.Millisecond))
	name := cmp.Or(j.Name, savedName)
	there := filepath.Join(j.There, name)
	before, err := os.Stat(there)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if _, err := j.write(filepath.Join(j.Dir, name), object(0, n), os.O_TRUNC); err != nil {
		return 0, err
	}
	for time.Since(begun) < visibleTime {
		st, err := os.Stat(there)
		if err != nil {
			return 0, err
		}
		if st.ModTime().Equal(before.ModTime()) {
			time.Sleep(50 * time.Microsecond)
			continue
		}
		if got, err := counter(there); err != nil || got == n {
			return time.Since(begun), err
		}
		before = st
	}
	return 0, fmt.Errorf("save %d was not seen in %v", n, visibleTime)
}

// counter reads what a save changes. The layout of the file is not looked at: it
// is each reader's own.
func counter(name string) (int, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	var content struct{ Counter int }
	if err := json.Unmarshal(b, &content); err != nil {
		return 0, fmt.Errorf("%s holds %q: %w", name, b, err)
	}
	return content.Counter, nil
}

func fileName(n int) string { return fmt.Sprintf("task-%06d.json", n) }

// object is the content of a file: about 200 bytes of JSON, whose counter is
// what a save changes.
func object(n, counter int) []byte {
	return fmt.Appendf(nil, "{\n  \"title\": \"Buy %d litres of milk\",\n  \"done\": %t,\n  \"priority\": %d,\n"+
		"  \"tags\": [\"home\", \"shop\", \"week-%02d\"],\n  \"due\": \"2030-%02d-%02d\",\n  \"counter\": %d,\n  \"notes\": %q\n}\n",
		n, n%3 == 0, n%5, n%53, 1+n%12, 1+n%28, counter, strings.Repeat("whole milk, ", 4))
}
