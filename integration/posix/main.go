package main

import (
	"embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed cases/*.txt
var caseFiles embed.FS

func main() {
	only := flag.String("run", "", "only this group or `GROUP/CASE`")
	users := flag.String("users", "none", "`none`, or only: the cases in which other users take part; these need root")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *only, *users == "only"); err != nil {
		fmt.Fprintln(os.Stderr, "posix:", err)
		os.Exit(1)
	}
}

// run tries the cases in dir, each in a directory of its own, which it removes.
func run(dir, only string, users bool) error {
	all, err := loadCases()
	if err != nil {
		return err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	for _, c := range all {
		if only != "" && c.group != only && c.name() != only || c.users != users {
			continue
		}
		failed, err := c.try(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name(), err)
		}
		if failed == nil {
			fmt.Println("ok", c.name())
		} else {
			fmt.Println("not ok", c.name(), strings.ReplaceAll(failed.Error(), "\n", " "))
		}
	}
	return nil
}

// try runs a case; failed says which step did not do what it should. An error
// means that there was no trying.
func (c testCase) try(dir string) (failed, err error) {
	room := filepath.Join(dir, strings.ReplaceAll(c.name(), "/", "-"))
	if err := os.Mkdir(room, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chmod(room, 0o755); err != nil { // whatever others may by default
		return nil, err
	}
	if err := os.Chdir(room); err != nil {
		return nil, err
	}
	m := newMachine()
	failed = m.run(c.steps)
	m.close()
	if err := os.Chdir(dir); err != nil {
		return nil, err
	}
	return failed, removeRoom(room)
}

// removeRoom removes what a case left, also from directories that nobody may
// write.
func removeRoom(room string) error {
	_ = filepath.WalkDir(room, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // what cannot be removed is reported below
		}
		return nil
	})
	return os.RemoveAll(room)
}
