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

func (m *machine) closeStep(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	delete(m.open, args[0])
	return "", unix.Close(fd)
}

// write NAME TEXT [OFFSET]
func (m *machine) write(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	if len(args) == 2 {
		_, err = unix.Write(fd, []byte(args[1]))
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
func (m *machine) read(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
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
func (m *machine) seek(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
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

func (m *machine) ftruncate(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return "", err
	}
	return "", unix.Ftruncate(fd, size)
}

func (m *machine) fstat(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	return fields(&st, args[1])
}

func (m *machine) fchmod(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	mode, err := strconv.ParseUint(args[1], 8, 32)
	if err != nil {
		return "", err
	}
	return "", unix.Fchmod(fd, uint32(mode))
}

func (m *machine) futimens(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	times, err := parseTimes(args[1:])
	if err != nil {
		return "", err
	}
	return "", unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), times, 0)
}

func (m *machine) fsync(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	return "", unix.Fsync(fd)
}

// fallocate NAME SIZE
func (m *machine) fallocate(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return "", err
	}
	return "", unix.Fallocate(fd, 0, 0, size)
}

var lockFlags = map[string]int{"shared": unix.LOCK_SH, "exclusive": unix.LOCK_EX, "unlock": unix.LOCK_UN}

// flock NAME shared|exclusive|unlock does not wait.
func (m *machine) flock(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
	how, err := flags(args[1], lockFlags)
	if err != nil {
		return "", err
	}
	return "", unix.Flock(fd, how|unix.LOCK_NB)
}

// mmapWrite is mmap-write NAME TEXT: over the beginning of the file.
func (m *machine) mmapWrite(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
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
func (m *machine) mmapRead(args []string) (string, error) {
	fd, err := m.fd(args[0])
	if err != nil {
		return "", err
	}
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
