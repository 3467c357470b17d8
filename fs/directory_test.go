package fs_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"echofs/fs"
)

// dirEntry is an entry of a directory stream, and the place after it.
type dirEntry struct {
	name   string
	cookie int64
}

// readDirectory reads a directory from a place on, by the system call itself: at
// most limit entries, or all.
func readDirectory(fd int, from int64, limit int) (out []dirEntry, err error) {
	if _, err := unix.Seek(fd, from, unix.SEEK_SET); err != nil {
		return nil, fmt.Errorf("seekdir: %w", err)
	}
	const nameAt = 19 // ino 8, offset 8, length 2, type 1
	for buf := make([]byte, 8192); len(out) < limit; {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n == 0 {
			return out, err
		}
		for rest := buf[:n]; len(rest) > nameAt; {
			size := int(rest[16]) | int(rest[17])<<8
			cookie := int64(0)
			for i := range 8 {
				cookie |= int64(rest[8+i]) << (8 * i)
			}
			name, _, _ := strings.Cut(string(rest[nameAt:size]), "\x00")
			out = append(out, dirEntry{name, cookie})
			rest = rest[size:]
		}
	}
	return out, nil
}

// helpListing reads a directory again and again while it changes. Names that
// begin with "stay" are always there: each reading must see each of them once,
// nothing twice, and after a seek exactly those that came behind the place.
func helpListing(args []string) error {
	fd, err := unix.Open(args[0], unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var want []string
	for round := range 3 {
		all, err := readDirectory(fd, 0, 1<<30)
		if err != nil {
			return err
		}
		if err := distinct(all); err != nil {
			return fmt.Errorf("reading %d: %w", round, err)
		}
		got := staying(all)
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("reading %d: %d entries that stay, in the first reading %d", round, len(got), len(want))
		}
		for range 10 {
			at := rand.IntN(len(all))
			after, err := readDirectory(fd, all[at].cookie, 1<<30)
			if err != nil {
				return err
			}
			if got, want := staying(after), staying(all[at+1:]); !slices.Equal(got, want) {
				return fmt.Errorf("reading %d from place %d: %d entries that stay, want %d", round, at, len(got), len(want))
			}
		}
	}
	fmt.Println(len(want))
	return nil
}

func distinct(list []dirEntry) error {
	seen := make(map[string]bool, len(list))
	for _, e := range list {
		if seen[e.name] {
			return fmt.Errorf("%s comes twice", e.name)
		}
		seen[e.name] = true
	}
	return nil
}

func staying(list []dirEntry) (out []string) {
	for _, e := range list {
		if strings.HasPrefix(e.name, "stay") {
			out = append(out, e.name)
		}
	}
	return out
}

// A large directory is listed while files come and go in it: the short form has
// 1,000 entries, the long one 100,000.
func TestListLargeDirectoryWhileItChanges(t *testing.T) {
	count := 1000
	if os.Getenv("ECHOFS_SOAK") != "" {
		count = 100_000
	}
	m := mount(t, fs.Options{})
	folder, err := m.vault.Mkdir(t.Context(), m.space.Ino(), "many", 0)
	if err != nil {
		t.Fatal(err)
	}
	create := func(name string) {
		if _, err := m.vault.CreateFile(t.Context(), folder.Ino, name, 0); err != nil {
			t.Error(err)
		}
	}
	for n := range count {
		create(fmt.Sprintf("stay%06d.json", n))
		if n%10 == 0 {
			create(fmt.Sprintf("go%06d.json", n))
		}
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			create(fmt.Sprintf("come%06d.json", n))
			for _, name := range []string{fmt.Sprintf("go%06d.json", n*10%count), fmt.Sprintf("come%06d.json", n-100)} {
				if f, err := m.vault.Lookup(folder.Ino, name); err == nil {
					if err := m.vault.Remove(t.Context(), f.Ino); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}()
	end := sync.OnceFunc(func() { close(stop); <-done })
	defer end()
	m.startFor(10*time.Minute, "listing", "many").expect(fmt.Sprint(count))
	end()
	m.want(`ls many | grep -c stay`, fmt.Sprintf("%d\n", count))
}
