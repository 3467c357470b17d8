package engine

/*
#include <malloc.h>
#include <stdlib.h>
#include <sys/prctl.h>

// What must hold for all threads is done before the Go runtime makes any.
__attribute__((constructor)) static void echofs_engine_start(void) {
	if (!getenv("ECHOFS_ENGINE_WORKER")) return;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#ifdef M_ARENA_MAX
	mallopt(M_ARENA_MAX, 1); // further arenas would reserve 64 MiB each
#endif
}
*/
import "C"

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// confine takes from this process what a worker does not need. It is called
// once the runtime is up.
func confine(l limits) error {
	// Of a process that runs Go, more than a gigabyte is address space without
	// memory behind it, so the limit is on top of what there is at the start.
	base, err := addressSpace()
	if err != nil {
		return err
	}
	for _, set := range []struct {
		what  int
		limit uint64
	}{
		{unix.RLIMIT_AS, uint64(base + l.memory)},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_FSIZE, 0},
		{unix.RLIMIT_NOFILE, 16},
	} {
		if err := unix.Setrlimit(set.what, &unix.Rlimit{Cur: set.limit, Max: set.limit}); err != nil {
			return fmt.Errorf("limit %d to %d: %w", set.what, set.limit, err)
		}
	}
	if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || v != 1 {
		return fmt.Errorf("process may gain privileges (%v)", err)
	}
	return nil
}

// addressSpace returns the size of this process's address space in bytes.
func addressSpace() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	pages, _, _ := bytes.Cut(b, []byte(" "))
	n, err := strconv.ParseInt(string(pages), 10, 64)
	return n * int64(os.Getpagesize()), err
}

// detach moves a file to another descriptor and puts the standard error in its
// place, so that a stray print cannot get between the frames.
func detach(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	if err := unix.Dup3(int(os.Stderr.Fd()), int(f.Fd()), 0); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "replies"), nil
}

// fetter makes a worker end with the daemon even where that is killed while
// the worker is busy and not looking at its pipe.
func fetter(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
