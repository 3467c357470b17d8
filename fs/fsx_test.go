package fs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"echofs/fs"
)

// fsx does the same things at random to a file of the mount and to one of a plain
// directory, and compares.
type fsx struct {
	rnd  *rand.Rand
	text bool
	file [2]*os.File // of the mount, of the plain directory
	path [2]string
	size int64
	max  int64
	did  []string
}

// helpFsx runs: PATH ORACLE SEED STEPS text|blob
func helpFsx(args []string) error {
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return err
	}
	steps, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	x := &fsx{rnd: rand.New(rand.NewPCG(seed, 1)), text: args[4] == "text", path: [2]string{args[0], args[1]}, max: 5 << 20}
	if x.text {
		x.max = 100_000
	}
	for i := range x.file {
		if x.file[i], err = os.OpenFile(x.path[i], os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644); err != nil {
			return err
		}
	}
	if err := x.write(0, x.bytes(100)); err != nil {
		return err
	}
	for range steps {
		if err := x.step(); err != nil {
			last := x.did[max(0, len(x.did)-20):]
			return fmt.Errorf("seed %d, step %d: %w\n%q", seed, len(x.did), err, last)
		}
	}
	return errors.Join(x.reopen(), x.compare(0, x.max))
}

func (x *fsx) note(format string, args ...any) { x.did = append(x.did, fmt.Sprintf(format, args...)) }

// bytes returns something to write.
func (x *fsx) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		if x.text {
			b[i] = "abcdefghij klmnop\nqrst"[x.rnd.IntN(22)]
		} else {
			b[i] = byte(x.rnd.Uint32())
		}
	}
	if !x.text && n > 0 {
		b[0] = 0
	}
	return b
}

func (x *fsx) step() error {
	n := 1 + x.rnd.IntN(9000)
	if !x.text && x.rnd.IntN(10) == 0 {
		n = 1 + x.rnd.IntN(2<<20)
	}
	off := x.rnd.Int64N(x.size + 1)
	switch k := x.rnd.IntN(12); {
	case k < 4:
		if !x.text && x.rnd.IntN(3) == 0 {
			off = x.rnd.Int64N(x.max) // leaves a hole
		}
		return x.write(min(off, x.max-int64(n)), x.bytes(n))
	case k < 7:
		return x.compare(off, int64(n))
	case k == 7:
		return x.truncate(off)
	case k == 8 && !x.text:
		return x.truncate(x.rnd.Int64N(x.max))
	case k == 9:
		return x.mapped(off)
	case k == 10:
		return x.both("fsync", func(f *os.File) error { return f.Sync() })
	case k == 11:
		return x.reopen()
	}
	return x.compare(0, x.max)
}

func (x *fsx) both(what string, do func(*os.File) error) error {
	x.note("%s", what)
	for i, f := range x.file {
		if err := do(f); err != nil {
			return fmt.Errorf("%s %s: %w", what, x.path[i], err)
		}
	}
	return nil
}

func (x *fsx) write(off int64, b []byte) error {
	off = max(off, 0)
	x.size = max(x.size, off+int64(len(b)))
	return x.both(fmt.Sprintf("write %d+%d", off, len(b)), func(f *os.File) error {
		_, err := f.WriteAt(b, off)
		return err
	})
}

func (x *fsx) truncate(size int64) error {
	if x.text {
		size = max(size, 1)
	}
	x.size = size
	return x.both(fmt.Sprintf("truncate %d", size), func(f *os.File) error { return f.Truncate(size) })
}

// mapped writes through a shared mapping.
func (x *fsx) mapped(off int64) error {
	if x.size == 0 || off >= x.size {
		return nil
	}
	b := x.bytes(int(min(5000, x.size-off)))
	return x.both(fmt.Sprintf("mmap %d+%d", off, len(b)), func(f *os.File) error {
		mem, err := unix.Mmap(int(f.Fd()), 0, int(x.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		copy(mem[off:], b)
		return errors.Join(unix.Msync(mem, unix.MS_SYNC), unix.Munmap(mem))
	})
}

func (x *fsx) reopen() error {
	x.note("reopen")
	for i := range x.file {
		if err := x.file[i].Close(); err != nil {
			return fmt.Errorf("close %s: %w", x.path[i], err)
		}
		var err error
		if x.file[i], err = os.OpenFile(x.path[i], os.O_RDWR, 0); err != nil {
			return err
		}
		if st, err := x.file[i].Stat(); err != nil || st.Size() != x.size {
			return fmt.Errorf("%s has %d bytes, want %d (%w)", x.path[i], st.Size(), x.size, err)
		}
	}
	return nil
}

func (x *fsx) compare(off, n int64) error {
	x.note("read %d+%d", off, n)
	var got [2][]byte
	for i, f := range x.file {
		b := make([]byte, n)
		m, err := f.ReadAt(b, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		got[i] = b[:m]
	}
	if bytes.Equal(got[0], got[1]) {
		return nil
	}
	at := 0
	for at < min(len(got[0]), len(got[1])) && got[0][at] == got[1][at] {
		at++
	}
	return fmt.Errorf("%d and %d bytes at %d, which differ from %d on", len(got[0]), len(got[1]), off, off+int64(at))
}

// TestFsx compares files of the mount with files of a plain directory. Long with
// ECHOFS_SOAK.
func TestFsx(t *testing.T) {
	m := mount(t, fs.Options{})
	seeds, steps := 2, 150
	if os.Getenv("ECHOFS_SOAK") != "" {
		seeds, steps = 100, 300
	}
	for _, kind := range []string{"text", "blob"} {
		for seed := range seeds {
			name := fmt.Sprintf("%s-%d.%s", kind, seed, map[string]string{"text": "txt", "blob": "bin"}[kind])
			oracle := filepath.Join(t.TempDir(), name)
			m.helper("fsx", name, oracle, strconv.Itoa(seed+1), strconv.Itoa(steps), kind)
			if got := m.node(name).Kind.String(); got != kind {
				t.Errorf("%s is of kind %s", name, got)
			}
			m.sh("cmp " + name + " " + oracle)
		}
	}
}
