package main

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

var openFlags = map[string]int{
	"O_RDONLY": unix.O_RDONLY, "O_WRONLY": unix.O_WRONLY, "O_RDWR": unix.O_RDWR, "O_CREAT": unix.O_CREAT,
	"O_EXCL": unix.O_EXCL, "O_TRUNC": unix.O_TRUNC, "O_APPEND": unix.O_APPEND, "O_DIRECTORY": unix.O_DIRECTORY,
	"O_NOFOLLOW": unix.O_NOFOLLOW, "O_NONBLOCK": unix.O_NONBLOCK, "O_SYNC": unix.O_SYNC, "O_PATH": unix.O_PATH,
	"O_TMPFILE": unix.O_TMPFILE, "O_NOATIME": unix.O_NOATIME,
}

// openStep is open PATH FLAGS [MODE [NAME]]: with a name the descriptor is kept
// under it, else closed at once.
func (m *machine) openStep(args []string) (string, error) {
	f, err := flags(args[1], openFlags)
	if err != nil {
		return "", err
	}
	mode := uint64(0)
	if len(args) > 2 {
		if mode, err = strconv.ParseUint(args[2], 8, 32); err != nil {
			return "", err
		}
	}
	fd, err := unix.Open(args[0], f|unix.O_CLOEXEC, uint32(mode))
	if err != nil {
		return "", err
	}
	if len(args) < 4 {
		return "", unix.Close(fd)
	}
	m.open[args[3]] = fd
	return "", nil
}

func (m *machine) fd(name string) (int, error) {
	fd, ok := m.open[name]
	if !ok {
		return 0, fmt.Errorf("nothing is open as %q", name)
	}
	return fd, nil
}

// onFD makes a step of what is done with a descriptor; the first argument of the
// step is the descriptor's name.
func onFD(do func(fd int, args []string) (string, error)) func(*machine, []string) (string, error) {
	return func(m *machine, args []string) (string, error) {
		fd, err := m.fd(args[0])
		if err != nil {
			return "", err
		}
		return do(fd, args)
	}
}

func (m *machine) closeStep(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	delete(m.open, args[0])
	return "", unix.Close(fd)
}

// write NAME TEXT [OFFSET]
func write(fd int, args []string) (string, error) {
	if len(args) == 2 {
		_, err := unix.Write(fd, []byte(args[1]))
		return "", err
	}
	off, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return "", err
	}
	_, err = unix.Pwrite(fd, []byte(args[1]), off)
	return "", err
}

// read NAME SIZE [OFFSET]
func read(fd int, args []string) (string, error) {
	size, err := strconv.ParseUint(args[1], 10, 20)
	if err != nil {
		return "", err
	}
	buf, n := make([]byte, size), 0
	if len(args) == 2 {
		n, err = unix.Read(fd, buf)
	} else {
		var off int64
		if off, err = strconv.ParseInt(args[2], 10, 64); err != nil {
			return "", err
		}
		n, err = unix.Pread(fd, buf, off)
	}
	return string(buf[:max(n, 0)]), err
}

var whences = map[string]int{"set": unix.SEEK_SET, "cur": unix.SEEK_CUR, "end": unix.SEEK_END}

// seek NAME OFFSET set|cur|end prints where it comes to.
func seek(fd int, args []string) (string, error) {
	off, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return "", err
	}
	whence, err := flags(args[2], whences)
	if err != nil {
		return "", err
	}
	at, err := unix.Seek(fd, off, whence)
	return strconv.FormatInt(at, 10), err
}

func ftruncate(fd int, args []string) (string, error) {
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return "", err
	}
	return "", unix.Ftruncate(fd, size)
}

func fstat(fd int, args []string) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	return fields(&st, args[1])
}

func fchmod(fd int, args []string) (string, error) {
	mode, err := strconv.ParseUint(args[1], 8, 32)
	if err != nil {
		return "", err
	}
	return "", unix.Fchmod(fd, uint32(mode))
}

func futimens(fd int, args []string) (string, error) {
	times, err := parseTimes(args[1:])
	if err != nil {
		return "", err
	}
	return "", unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), times, 0)
}

func fsync(fd int, args []string) (string, error) {
	return "", unix.Fsync(fd)
}

// fallocate NAME SIZE
func fallocate(fd int, args []string) (string, error) {
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return "", err
	}
	return "", unix.Fallocate(fd, 0, 0, size)
}

var lockFlags = map[string]int{"shared": unix.LOCK_SH, "exclusive": unix.LOCK_EX, "unlock": unix.LOCK_UN}

// flock NAME shared|exclusive|unlock does not wait.
func flock(fd int, args []string) (string, error) {
	how, err := flags(args[1], lockFlags)
	if err != nil {
		return "", err
	}
	return "", unix.Flock(fd, how|unix.LOCK_NB)
}

// mmapWrite is mmap-write NAME TEXT: over the beginning of the file.
func mmapWrite(fd int, args []string) (string, error) {
	mem, err := unix.Mmap(fd, 0, len(args[1]), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return "", err
	}
	copy(mem, args[1])
	if err := unix.Msync(mem, unix.MS_SYNC); err != nil {
		return "", err
	}
	return "", unix.Munmap(mem)
}

// mmapRead is mmap-read NAME SIZE.
func mmapRead(fd int, args []string) (string, error) {
	size, err := strconv.ParseUint(args[1], 10, 20)
	if err != nil {
		return "", err
	}
	mem, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return "", err
	}
	text := string(mem)
	return text, unix.Munmap(mem)
}
