package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// bareTime is how long the kernel keeps entries and attributes, as in package fs.
const bareTime = time.Hour

// The cookies of the two entries that every directory has; as in package fs the
// others have their inode number, moved up.
const (
	afterDot    = 1
	afterDotDot = 2
)

// bare is a file system of one directory with files in memory, and nothing else:
// what FUSE costs when the server has nothing to do.
type bare struct {
	fuse.RawFileSystem // ENOSYS for what is not needed
	uid, gid           uint32

	mu    sync.Mutex // guards the below
	names map[string]uint64
	nodes []*bareNode // by inode number, which counts from fuse.FUSE_ROOT_ID
}

type bareNode struct {
	name  string
	data  []byte
	mtime time.Time
}

func newBare() *bare {
	root := &bareNode{mtime: time.Now()}
	return &bare{RawFileSystem: fuse.NewDefaultRawFileSystem(), uid: uint32(os.Getuid()), gid: uint32(os.Getgid()),
		names: make(map[string]uint64), nodes: []*bareNode{nil, root}}
}

// serveBare serves a bare file system at a directory until in ends. It prints a
// line when it is mounted; for each line that it reads it mounts anew, so that
// the kernel has forgotten everything, and prints another.
func serveBare(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: bench bare DIR")
	}
	b, lines := newBare(), bufio.NewScanner(in)
	for {
		s, err := fuse.NewServer(b, args[0], b.mountOptions())
		if err != nil {
			return fmt.Errorf("mount: %w", err)
		}
		go s.Serve()
		if err := s.WaitMount(); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
		if _, err := fmt.Fprintln(out, "mounted"); err != nil {
			return errors.Join(err, s.Unmount())
		}
		more := lines.Scan()
		if err := s.Unmount(); err != nil {
			return fmt.Errorf("unmount: %w", err)
		}
		s.Wait()
		if !more {
			return lines.Err()
		}
	}
}

// mountOptions are those of package fs.
func (b *bare) mountOptions() *fuse.MountOptions {
	o := &fuse.MountOptions{FsName: "bare", Name: "bare",
		DirectMountStrict: os.Geteuid() == 0,
		DirectMountFlags:  unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC,
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_DIRECT_IO_ALLOW_MMAP,
		DisableXAttrs:     true, DisableSplice: true}
	if !o.DirectMountStrict {
		o.Options = strings.Fields("nosuid nodev noexec")
	}
	return o
}

// node returns a node by its number; b.mu is held.
func (b *bare) node(ino uint64) *bareNode {
	if ino >= uint64(len(b.nodes)) {
		return nil
	}
	return b.nodes[ino]
}

// attr fills in what the kernel wants to know of a node; b.mu is held.
func (b *bare) attr(ino uint64, out *fuse.Attr) {
	n := b.nodes[ino]
	*out = fuse.Attr{Ino: ino, Size: uint64(len(n.data)), Mode: syscall.S_IFREG | 0o644, Nlink: 1,
		Owner: fuse.Owner{Uid: b.uid, Gid: b.gid}, Blksize: 4096}
	if ino == fuse.FUSE_ROOT_ID {
		out.Mode, out.Nlink = syscall.S_IFDIR|0o755, 2
	}
	out.Blocks = (out.Size + 511) / 512
	out.SetTimes(&n.mtime, &n.mtime, &n.mtime)
}

func (b *bare) entry(ino uint64, out *fuse.EntryOut) {
	out.NodeId = ino
	out.SetEntryTimeout(bareTime)
	out.SetAttrTimeout(bareTime)
	b.attr(ino, &out.Attr)
}

// Lookup implements fuse.RawFileSystem.
func (b *bare) Lookup(_ <-chan struct{}, _ *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	ino, ok := b.names[name]
	if !ok {
		return fuse.ENOENT
	}
	b.entry(ino, out)
	return fuse.OK
}

// Forget implements fuse.RawFileSystem: nodes stay.
func (b *bare) Forget(uint64, uint64) {}

// GetAttr implements fuse.RawFileSystem.
func (b *bare) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.node(in.NodeId) == nil {
		return fuse.ENOENT
	}
	out.SetTimeout(bareTime)
	b.attr(in.NodeId, &out.Attr)
	return fuse.OK
}

// SetAttr implements fuse.RawFileSystem: only the size counts.
func (b *bare) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.node(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	if size, ok := in.GetSize(); ok {
		n.resize(int(size))
	}
	out.SetTimeout(bareTime)
	b.attr(in.NodeId, &out.Attr)
	return fuse.OK
}

func (n *bareNode) resize(size int) {
	if size > len(n.data) {
		n.data = append(n.data, make([]byte, size-len(n.data))...)
	}
	n.data = n.data[:size]
	n.mtime = time.Now()
}

// Create implements fuse.RawFileSystem.
func (b *bare) Create(_ <-chan struct{}, _ *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	ino, ok := b.names[name]
	if !ok {
		ino = uint64(len(b.nodes))
		b.nodes = append(b.nodes, &bareNode{name: name})
		b.names[name] = ino
	}
	b.nodes[ino].resize(0)
	b.entry(ino, &out.EntryOut)
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	return fuse.OK
}

// Open implements fuse.RawFileSystem: writing bypasses the page cache, reading
// keeps it, as in package fs.
func (b *bare) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.node(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	if in.Flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		out.OpenFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH
		return fuse.OK
	}
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	if in.Flags&syscall.O_TRUNC != 0 {
		n.resize(0)
	}
	return fuse.OK
}

// Read implements fuse.RawFileSystem.
func (b *bare) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.node(in.NodeId)
	if n == nil {
		return nil, fuse.ENOENT
	}
	if in.Offset >= uint64(len(n.data)) {
		return fuse.ReadResultData(nil), fuse.OK
	}
	return fuse.ReadResultData(buf[:copy(buf, n.data[in.Offset:])]), fuse.OK
}

// Write implements fuse.RawFileSystem.
func (b *bare) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.node(in.NodeId)
	if n == nil {
		return 0, fuse.ENOENT
	}
	if end := int(in.Offset) + len(data); end > len(n.data) {
		n.resize(end)
	}
	copy(n.data[in.Offset:], data)
	return uint32(len(data)), fuse.OK
}

// Flush implements fuse.RawFileSystem.
func (b *bare) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

// Fsync implements fuse.RawFileSystem.
func (b *bare) Fsync(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.OK }

// Release implements fuse.RawFileSystem.
func (b *bare) Release(<-chan struct{}, *fuse.ReleaseIn) {}

// OpenDir implements fuse.RawFileSystem.
func (b *bare) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.OK }

// ReleaseDir implements fuse.RawFileSystem.
func (b *bare) ReleaseDir(*fuse.ReleaseIn) {}

// ReadDir implements fuse.RawFileSystem.
func (b *bare) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	b.list(in, func(e fuse.DirEntry) bool { return out.AddDirEntry(e) })
	return fuse.OK
}

// ReadDirPlus implements fuse.RawFileSystem.
func (b *bare) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	b.list(in, func(e fuse.DirEntry) bool {
		entry := out.AddDirLookupEntry(e)
		if entry != nil && e.Off > afterDotDot {
			b.entry(e.Ino, entry)
		}
		return entry != nil
	})
	return fuse.OK
}

// list calls add for the entries after a cookie until it returns false.
func (b *bare) list(in *fuse.ReadIn, add func(fuse.DirEntry) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for place := in.Offset; ; place++ {
		e := fuse.DirEntry{Ino: fuse.FUSE_ROOT_ID, Mode: syscall.S_IFDIR, Off: place + 1}
		switch ino := place - afterDotDot + fuse.FUSE_ROOT_ID + 1; {
		case place < afterDot:
			e.Name = "."
		case place < afterDotDot:
			e.Name = ".."
		case ino >= uint64(len(b.nodes)):
			return
		default:
			e = fuse.DirEntry{Name: b.nodes[ino].name, Ino: ino, Mode: syscall.S_IFREG, Off: place + 1}
		}
		if !add(e) {
			return
		}
	}
}

// Access implements fuse.RawFileSystem.
func (b *bare) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.OK }

// StatFs implements fuse.RawFileSystem.
func (b *bare) StatFs(<-chan struct{}, *fuse.InHeader, *fuse.StatfsOut) fuse.Status { return fuse.OK }
