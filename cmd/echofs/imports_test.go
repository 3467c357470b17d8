package main_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is who may import whom, within the module: the picture in
// docs/ARCHITECTURE.md. A package that is not named follows the nearest one
// above it that is.
var mayImport = map[string][]string{
	"halo":              {"halo/bip39"},
	"halo/bip39":        {},
	"echo/doc":          {},
	"echo/names":        {},
	"echo/archive":      {"echo/doc"},
	"echo/blob":         {"halo"},
	"echo/model":        {"echo/doc"},
	"echo/engine/guard": {"echo/doc"},
	"echo/engine/first": {"echo/doc", "echo/engine/guard"},
	"echo/engine":       {"echo/doc", "echo/engine/guard", "echo/engine/first"},
	"echo":              {"halo", "echo/blob", "echo/doc", "echo/names", "echo/archive", "echo/model", "echo/engine/guard"},
	"echo/echotest":     {"halo", "echo", "echo/blob", "echo/doc", "echo/engine"},
	"fs":                {"echo", "echo/blob", "echo/doc", "echo/names", "echo/model", "halo"},
	"sync":              {"echo", "halo", "sync"},
	"pebble":            {"echo"},
	"cmd/echofs":        {"cmd/echofs", "fs", "echo", "halo", "sync", "pebble"},
	"integration":       {"integration"},
	"integration/bench": {"echo", "pebble", "halo", "sync"},
}

// onlyIn names packages of others that one part alone may import.
var onlyIn = map[string]string{
	"github.com/automerge/automerge-go":   "echo/engine",
	"github.com/hanwen/go-fuse/v2/fuse":   "fs",
	"github.com/pion/webrtc/v4":           "sync",
	"github.com/cockroachdb/pebble/v2":    "pebble",
	"github.com/flynn/noise":              "sync",
	"github.com/coder/websocket":          "sync",
	"github.com/spf13/cobra":              "cmd/echofs",
	"github.com/go-json-experiment/json/": "echo/model",
}

type listed struct {
	ImportPath string
	GoFiles    []string
	Doc        string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, "echofs/")
		all = append(all, p)
	}
}

// within reports whether a package is part or below it.
func within(pkg, part string) bool { return pkg == part || strings.HasPrefix(pkg, part+"/") }

// rule returns the most special rule for a package.
func rule(pkg string) (name string, allowed []string) {
	for part, list := range mayImport {
		if within(pkg, part) && len(part) > len(name) {
			name, allowed = part, list
		}
	}
	return name, allowed
}

func TestImportsFollowThePicture(t *testing.T) {
	for _, p := range packages(t) {
		name, allowed := rule(p.ImportPath)
		if name == "" {
			t.Errorf("%s is not in the picture", p.ImportPath)
		}
		for _, i := range p.Imports {
			for foreign, part := range onlyIn {
				benchmark := within(p.ImportPath, "integration")
				if strings.HasPrefix(i, foreign) && !within(p.ImportPath, part) && !benchmark {
					t.Errorf("%s imports %s, which is for %s alone", p.ImportPath, i, part)
				}
			}
			own, ok := strings.CutPrefix(i, "echofs/")
			if !ok {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return within(own, a) }) {
				t.Errorf("%s imports %s", p.ImportPath, own)
			}
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("package %s has no package comment", p.ImportPath)
		}
	}
}
