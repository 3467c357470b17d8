package fs_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"echofs/fs"
)

const posixEnv = "FS_TEST_POSIX"

// notPosix are the cases of the suite that fail by design, and why.
var notPosix = map[string]string{
	"Link":                "there are no hard links",
	"LinkUnlinkRename":    "there are no hard links",
	"Fallocate":           "space is not reserved",
	"FallocateKeepSize":   "space is not reserved",
	"XAttr":               "there are no extended attributes",
	"XAttrLarge":          "there are no extended attributes",
	"FcntlFlockLocksFile": "fails on every file system of Linux",
	"Tmpfile":             "a file has a name",
}

// notPosixObjects are those that fail with objects besides.
var notPosixObjects = map[string]string{
	"OpenSymlinkRace":          "a link that others get has no absolute target",
	"SymlinkReadlink":          "a link that others get has no absolute target",
	"NlinkZero":                "a rename onto an object is a save of that object, which stays",
	"RenameOverwriteDestExist": "a rename onto an object is a save of that object, which keeps its number",
}

// TestPosix runs go-fuse's suite on local files, which are to be like those of
// any file system, and on objects. A process of its own does it, since this one
// serves the mount.
func TestPosix(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh("mkdir .posix posix")
	for dir, least := range map[string]int{".posix": 20, "posix": 15} {
		t.Run(dir, func(t *testing.T) {
			out, errs, err := m.runEnv([]string{posixEnv + "=" + filepath.Join(m.files, dir)},
				os.Args[0], "-test.run=^TestPosixClient$", "-test.v")
			if err != nil {
				t.Errorf("%v\n%s%s", err, out, errs)
			}
			if n := strings.Count(out, "--- PASS: TestPosixClient/"); n < least {
				t.Errorf("only %d cases passed:\n%s", n, out)
			}
		})
	}
}

func TestPosixClient(t *testing.T) {
	dir := os.Getenv(posixEnv)
	if dir == "" {
		t.Skip("run by TestPosix")
	}
	var names []string
	for name := range posixtest.All {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if why, ok := notPosix[name]; ok {
				t.Skip(why)
			}
			if why, ok := notPosixObjects[name]; ok && filepath.Base(dir) == "posix" {
				t.Skip(why)
			}
			sub := filepath.Join(dir, name)
			if err := os.Mkdir(sub, 0o755); err != nil {
				t.Fatal(err)
			}
			posixtest.All[name](t, sub)
		})
	}
}
