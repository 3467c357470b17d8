package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"echofs/echo"
)

// A /proc of processes with watches, as the kernel prints them.
func TestListeners(t *testing.T) {
	const inotify, fanotify = "anon_inode:inotify", "anon_inode:[fanotify]"
	here := mountEntry{id: 84, minor: 0x2d}
	for _, c := range []struct {
		name, link, info string
		want             []echo.Ino // nil with all
		all              bool
	}{
		{"inotify", inotify, "pos:\t0\nflags:\t00\nmnt_id:\t15\ninotify wd:2 ino:1f sdev:2d mask:800afce ignored_mask:0 fhandle-bytes:8\ninotify wd:1 ino:9e7e sdev:2d mask:2 ignored_mask:0\n", []echo.Ino{0x1f, 0x9e7e}, false},
		{"another device", inotify, "inotify wd:1 ino:1f sdev:80002d mask:2\n", []echo.Ino{}, false},
		{"no watch yet", inotify, "pos:\t0\nflags:\t00\n", []echo.Ino{}, false},
		{"fanotify of a node", fanotify, "fanotify flags:10 event-flags:0\nfanotify ino:4f9 sdev:2d mflags:0 mask:3b\n", []echo.Ino{0x4f9}, false},
		{"fanotify of the mount", fanotify, "fanotify mnt_id:54 mflags:40 mask:38\n", []echo.Ino{}, false},
		{"fanotify of this mount", fanotify, "fanotify mnt_id:84 mflags:40 mask:38\n", nil, true},
		{"fanotify of the file system", fanotify, "fanotify sdev:2d mflags:0 mask:38\n", nil, true},
		{"an ordinary file", "/tmp/x", "inotify wd:2 ino:1f sdev:2d\n", []echo.Ino{}, false},
		{"damaged", inotify, "inotify wd ino:zz sdev:\ninotify\n\n", []echo.Ino{}, false},
		{"many", inotify, strings.Repeat("inotify wd:1 ino:7 sdev:2d mask:2 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:7e9e0000640d1b6d\n", 3000), []echo.Ino{7}, false},
		{"more than can be kept", inotify, numbered("inotify wd:1 ino:%x sdev:2d\n", maxWatched+2), nil, true},
		{"an endless line", inotify, strings.Repeat("x", 2*watchesRead), nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			fakeProcess(t, root, 12, "/dev/null", "")
			fakeProcess(t, root, 345, c.link, c.info)
			got := procfs{root}.listeners(here, newAskers())
			var inodes []echo.Ino
			for ino := range got.inodes {
				inodes = append(inodes, ino)
			}
			slices.Sort(inodes)
			if got.all != c.all || !slices.Equal(inodes, c.want) {
				t.Errorf("got all %v, nodes %x, want %v, %x", got.all, inodes, c.all, c.want)
			}
		})
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i+1)
	}
	return b.String()
}

// fakeProcess makes the directory of a process with one descriptor.
func fakeProcess(t *testing.T, root string, pid int, link, info string) {
	t.Helper()
	dir := filepath.Join(root, fmt.Sprint(pid))
	for _, sub := range []string{"fd", "fdinfo", fmt.Sprintf("task/%d", pid), fmt.Sprintf("task/%d", pid+1)} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(link, filepath.Join(dir, "fd/7")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fdinfo/7"), []byte(info), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A process that may not be looked into counts once one of its threads asked the
// mount something.
func TestListenersThatHide(t *testing.T) {
	root := t.TempDir()
	fakeProcess(t, root, 345, "x", "")
	// A file where a directory should be is an error that is not absence, also
	// for root, who may look into everything.
	if err := os.RemoveAll(filepath.Join(root, "345/fd")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "345/fd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	who := newAskers()
	who.note(7)
	if got := (procfs{root}).listeners(mountEntry{minor: 1}, who); got.all {
		t.Error("a process that never asked counts")
	}
	who.note(346)
	if got := (procfs{root}).listeners(mountEntry{minor: 1}, who); !got.all {
		t.Error("a process that asked by its second thread does not count")
	}
	who = newAskers()
	for tid := range uint32(maxAskers + 1) {
		who.note(1000 + tid)
	}
	if got := (procfs{root}).listeners(mountEntry{minor: 1}, who); !got.all {
		t.Error("with more askers than are remembered, a process that hides does not count")
	}
}

// TestSiftKeepsWhatChangedMeanwhile notes a change while it is looked who watches.
func TestSiftKeepsWhatChangedMeanwhile(t *testing.T) {
	w := newWatch()
	for ino := echo.Ino(2); ino <= 4; ino++ {
		w.note(echo.Event{What: echo.Data, Ino: ino, Kind: echo.KindObject})
	}
	looked := w.unheard()
	for i := range looked {
		looked[i].heard = looked[i].ino == 3
	}
	w.note(echo.Event{What: echo.Data, Ino: 4, Kind: echo.KindObject})
	w.sift(looked)
	if got := w.take(10); len(got) != 1 || got[0].ino != 3 {
		t.Errorf("to be told: got %+v, want node 3", got)
	}
	if got := w.unheard(); len(got) != 1 || got[0].ino != 4 {
		t.Errorf("to be looked at again: got %+v, want node 4", got)
	}
}

func TestSharedMount(t *testing.T) {
	for line, want := range map[string]bool{
		"84 26 0:45 / /m rw,nosuid - fuse.echofs echofs rw":          false,
		"84 26 0:45 / /m rw,nosuid shared:7 - fuse.echofs echofs rw": true,
		"84 26 0:45 / /m rw master:3 - fuse.echofs echofs rw":        false,
	} {
		if got, ok := parseMountinfo(line); !ok || got.shared != want {
			t.Errorf("%q: got %v, want %v", line, got.shared, want)
		}
	}
}
