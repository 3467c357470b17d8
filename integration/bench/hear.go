package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The events by which a watcher learns that a file has other content.
const contentEvents = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_MOVED_TO | unix.IN_CREATE

// hear saves a file here and waits until a watcher of the directory there is
// told, and what it then reads is what was saved.
func (j job) hear(n int) (time.Duration, error) {
	name := cmp.Or(j.Name, savedName)
	w, err := watch(j.There)
	if err != nil {
		return 0, err
	}
	defer func() { _ = w.Close() }()
	time.Sleep(5*time.Millisecond + rand.N(10*time.Millisecond))
	begun := time.Now()
	if _, err := j.write(filepath.Join(j.Dir, name), object(0, n), os.O_TRUNC); err != nil {
		return 0, err
	}
	if err := w.SetReadDeadline(begun.Add(visibleTime)); err != nil {
		return 0, err
	}
	buf := make([]byte, 64<<10)
	for {
		size, err := w.Read(buf)
		took := time.Since(begun)
		if err != nil {
			return 0, fmt.Errorf("watch for save %d: %w", n, err)
		}
		if !named(buf[:size], name) {
			continue
		}
		// A program that saves truncates first, and that is told, too.
		if got, err := counter(filepath.Join(j.There, name)); err == nil && got == n {
			return took, nil
		}
	}
}

// watch returns the events of a directory.
func watch(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, contentEvents); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	return f, nil
}

// named reports whether one of the events is of a file of that name.
func named(events []byte, name string) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&events[0]))
		end := unix.SizeofInotifyEvent + int(e.Len)
		if strings.TrimRight(string(events[unix.SizeofInotifyEvent:end]), "\x00") == name {
			return true
		}
		events = events[end:]
	}
	return false
}
