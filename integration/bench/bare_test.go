package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"echofs/echo/echotest"
)

// TestMain lets the test program be the processes that the conductor starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "bare" || os.Args[1] == "work") {
		if err := role(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(echotest.Main(m))
}

func TestBareFileSystem(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no FUSE here")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := &conductor{room: t.TempDir()}
	p, err := c.startBare()
	defer func() {
		if err := c.clean(); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	const files = 300 // more than fit into one answer
	if _, err := apply(ctx, job{Op: "create", Dir: p.dir, Count: files}); err != nil {
		t.Fatal(err)
	}
	if _, err := apply(ctx, job{Op: "save", Dir: p.dir, Count: 3, Sync: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from what the kernel has not seen before
		names, err := os.ReadDir(p.dir)
		if err != nil || len(names) != files+1 {
			t.Fatalf("got %d names, %v, want %d", len(names), err, files+1)
		}
		got, err := os.ReadFile(filepath.Join(p.dir, fileName(299)))
		if err != nil || !bytes.Equal(got, object(299, 0)) {
			t.Errorf("file 299: got %q, %v", got, err)
		}
		if n, err := counter(filepath.Join(p.dir, savedName)); n != 2 || err != nil {
			t.Errorf("after three saves: got counter %d, %v, want 2", n, err)
		}
		if _, err := timed(ctx, "ls", "-l", p.dir); err != nil {
			t.Errorf("ls: %v", err)
		}
		if _, err := p.forget(ctx); err != nil {
			t.Fatal(err)
		}
	}
	own, _ := p.server().memory()
	if used := p.server().cpu(); used <= 0 || own < 1<<20 {
		t.Errorf("the server used %v and %d bytes, want more than nothing", used, own)
	}
	if err := p.server().quiet(ctx); err != nil {
		t.Error(err)
	}
}
