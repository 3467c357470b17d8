package fs_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"echofs/halo"
)

const (
	roleEditor = halo.RoleEditor
	roleReader = halo.RoleReader
)

// helpers are what this program does as a client of a mount.
var helpers = map[string]func(args []string) error{
	"truncate":   helpTruncate,
	"mmap":       helpMmap,
	"renamex":    helpRenameFlags,
	"latewrite":  helpLateWrite,
	"stabletime": helpStableTime,
	"stress":     helpStress,
	"torn":       helpTorn,
	"tornsave":   helpTornSave,
	"hold":       helpHold,
	"edit":       helpEdit,
	"pipeline":   helpPipeline,
	"watch":      helpWatch,
	"getxattr":   helpGetxattr,
	"fsx":        helpFsx,
	"slowread":   helpSlowRead,
	"patch":      helpPatch,
	"listing":    helpListing,
}

// helpGetxattr prints an extended attribute, or for the name "" all their names,
// or the error.
func helpGetxattr(args []string) error {
	buf := make([]byte, 4096)
	n, err := 0, error(nil)
	if args[1] == "" {
		n, err = unix.Listxattr(args[0], buf)
	} else {
		n, err = unix.Getxattr(args[0], args[1], buf)
	}
	if err != nil {
		_, err = fmt.Print(unix.ErrnoName(err.(unix.Errno)))
		return err
	}
	_, err = fmt.Print(strings.ReplaceAll(string(buf[:n]), "\x00", " "))
	return err
}

func helpTruncate(args []string) error {
	n, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	return os.Truncate(args[0], n)
}

// helpMmap writes over the beginning of a file through a shared mapping.
func helpMmap(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	copy(mem, args[1])
	if err := unix.Msync(mem, unix.MS_SYNC); err != nil {
		return fmt.Errorf("msync: %w", err)
	}
	return unix.Munmap(mem)
}

func helpRenameFlags(args []string) error {
	rename := func(flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], flags)
	}
	if err := rename(unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	if err := rename(unix.RENAME_WHITEOUT); !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("whiteout: got %v, want EINVAL", err)
	}
	if err := rename(unix.RENAME_NOREPLACE); !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("no replace: got %v, want EEXIST", err)
	}
	return nil
}

// helpLateWrite writes a temporary file, syncs, renames it, writes again and
// closes.
func helpLateWrite(args []string) error {
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	if _, err := f.WriteString(args[2]); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(args[0], args[1]); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(args[3]), 0); err != nil {
		return err
	}
	return f.Close()
}

// helpStableTime saves and looks whether the time moves afterwards.
func helpStableTime(args []string) error {
	if err := os.WriteFile(args[0], []byte(args[1]), 0o644); err != nil {
		return err
	}
	first, err := os.Stat(args[0])
	if err != nil {
		return err
	}
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		st, err := os.Stat(args[0])
		if err != nil {
			return err
		}
		if !st.ModTime().Equal(first.ModTime()) || st.Size() != int64(len(args[1])) {
			return fmt.Errorf("%v %d bytes, then %v %d bytes", first.ModTime(), first.Size(), st.ModTime(), st.Size())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// helpStress writes versions of very different sizes over a file while readers
// check that each they see is whole. It prints the numbers of reads and of bad
// ones.
func helpStress(args []string) error {
	long, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	var reads, bad atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(long)
	for range 2 {
		wg.Go(func() {
			for time.Now().Before(end) {
				data, err := os.ReadFile(args[0])
				reads.Add(1)
				if err != nil || !json.Valid(data) || len(data) == 0 {
					bad.Add(1)
				}
			}
		})
	}
	for i := 0; time.Now().Before(end); i++ {
		v := fmt.Sprintf(`{"n":%d,"text":%q}`, i, strings.Repeat("x ", i*7919%10000))
		if err := os.WriteFile(args[0], []byte(v), 0o644); err != nil {
			return err
		}
	}
	wg.Wait()
	_, err = fmt.Println(reads.Load(), bad.Load())
	return err
}

var stdin = bufio.NewReader(os.Stdin)

// say prints a line, and waits for one.
func say(line string) (string, error) {
	fmt.Println(line)
	s, err := stdin.ReadString('\n')
	return strings.TrimSpace(s), err
}

// helpHold keeps a file open until it is told to write and close it.
func helpHold(args []string) error {
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	if _, err := say("open"); err != nil {
		return err
	}
	if _, err := f.WriteString(args[1]); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Println("closed")
	return nil
}

// helpWatch reads a file that it keeps open, as often as it is told to.
func helpWatch(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	for {
		data, err := os.ReadFile(args[0]) // with f open, the inode stays known
		if err != nil {
			return err
		}
		if _, err := say(strings.TrimSpace(string(data))); err != nil {
			return f.Close()
		}
	}
}

// helpEdit reads a file, waits, and saves in the way of an editor; then again.
func helpEdit(args []string) error {
	way, path, data := args[0], args[1], []byte(args[2])
	save, ok := saves[way]
	if !ok {
		return fmt.Errorf("no way %q", way)
	}
	if way == "readwrite" {
		return editReadWrite(path, data)
	}
	if _, err := os.ReadFile(path); err != nil {
		return err
	}
	if _, err := say("read"); err != nil {
		return err
	}
	if err := save(path, data); err != nil {
		return err
	}
	if _, err := say("saved"); err != nil {
		return err
	}
	if err := save(path, data); err != nil {
		return err
	}
	fmt.Println("saved")
	return nil
}

// editReadWrite reads and writes through one descriptor.
func editReadWrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.ReadAll(f); err != nil {
		return err
	}
	if _, err := say("read"); err != nil {
		return err
	}
	for i := range 2 {
		if err := errors.Join(f.Truncate(0), second(f.WriteAt(data, 0)), f.Sync()); err != nil {
			return err
		}
		if i == 0 {
			if _, err := say("saved"); err != nil {
				return err
			}
		}
	}
	fmt.Println("saved")
	return nil
}

func second(_ int, err error) error { return err }

func hashOf(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// saves are the ways in which editors save a file.
var saves = map[string]func(path string, data []byte) error{
	"readwrite": nil,
	"inplace":   func(path string, data []byte) error { return os.WriteFile(path, data, 0o644) },
	"tempfile":  func(path string, data []byte) error { return saveBy("."+path+".tmp", path, data) },
	"jsontemp":  func(path string, data []byte) error { return saveBy("x-"+path, path, data) },
	"backup": func(path string, data []byte) error {
		if err := os.Rename(path, path+"~"); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o644)
	},
	"unlink": func(path string, data []byte) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o644)
	},
	"jetbrains": func(path string, data []byte) error {
		tmp, old := path+"___jb_tmp___", path+"___jb_old___"
		return errors.Join(os.WriteFile(tmp, data, 0o644), os.Rename(path, old), os.Rename(tmp, path), os.Remove(old))
	},
	"vim": saveVim,
}

func saveBy(tmp, path string, data []byte) error {
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// saveVim does what vim does: a probe, the old file renamed to a backup, a new
// one written, synced and given the old permissions, the backup removed.
func saveVim(path string, data []byte) error {
	probe, err := os.OpenFile("4913", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	backup := path + "~"
	err = errors.Join(probe.Close(), os.Chown("4913", 0, 0), os.Remove("4913"), os.Rename(path, backup))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(0), second(f.Write(data)), f.Sync(), f.Chmod(0o644), f.Close(), os.Remove(backup))
}

// helpPipeline edits with three processes, none of which both reads and writes
// the file.
func helpPipeline(args []string) error {
	sh := func(script string) error {
		out, err := exec.Command("sh", "-c", script).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", script, err, bytes.TrimSpace(out))
		}
		return nil
	}
	if err := sh("cat " + args[0] + " > .read"); err != nil {
		return err
	}
	if _, err := say("read"); err != nil {
		return err
	}
	if err := sh(`sed 's/"mine":1/"mine":2/' .read > .edited`); err != nil {
		return err
	}
	if err := sh("mv .edited " + args[0]); err != nil {
		return err
	}
	fmt.Println("saved")
	return nil
}
