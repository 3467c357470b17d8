package fs

import (
	"context"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
)

// Extended attributes say what the files in meta say. They are there with
// Options.XAttr only, since a kernel that may ask for them asks at each write.

const xattrPrefix = "user.echofs."

// xattrs are the attributes in the order in which they are listed. What is empty
// is not there.
var xattrs = []struct {
	name  string
	value func(echo.Stat) string
}{
	{"id", func(s echo.Stat) string { return s.ID }},
	{"kind", func(s echo.Stat) string { return s.Kind }},
	{"type", func(s echo.Stat) string { return s.Type }},
	{"space", func(s echo.Stat) string { return s.Space }},
	{"uri", func(s echo.Stat) string { return s.URI }},
	{"heads", func(s echo.Stat) string { return strings.Join(s.Heads, " ") }},
	{"author", func(s echo.Stat) string { return s.Author }},
	{"base", func(s echo.Stat) string { return s.Base }},
	{"error", func(s echo.Stat) string { return s.Error }},
	{"replicas", func(s echo.Stat) string {
		if s.Replicas == 0 {
			return ""
		}
		return strconv.Itoa(s.Replicas)
	}},
}

// stat returns what is known of a node; nothing for one of a control directory
// or without a name.
func (t *tree) stat(id uint64) (echo.Stat, error) {
	if isControl(id) || echo.Ino(id) == echo.RootIno {
		return echo.Stat{}, nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, controlTime)
	defer cancel()
	return t.repo.Stat(ctx, echo.Ino(id))
}

// GetXAttr implements fuse.RawFileSystem.
func (t *tree) GetXAttr(_ <-chan struct{}, h *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	if !t.opts.XAttr {
		return 0, fuse.ENOSYS
	}
	name, ok := strings.CutPrefix(attr, xattrPrefix)
	switch {
	case ok:
	case strings.HasPrefix(attr, "user."):
		return 0, fuse.ENODATA
	default:
		return 0, fuse.Status(syscall.EOPNOTSUPP)
	}
	for _, x := range xattrs {
		if x.name != name {
			continue
		}
		st, err := t.stat(h.NodeId)
		if err != nil {
			return 0, errno(err)
		}
		if value := x.value(st); value != "" {
			return fill(dest, value)
		}
	}
	return 0, fuse.ENODATA
}

// ListXAttr implements fuse.RawFileSystem.
func (t *tree) ListXAttr(_ <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	if !t.opts.XAttr {
		return 0, fuse.ENOSYS
	}
	st, err := t.stat(h.NodeId)
	if err != nil {
		return 0, errno(err)
	}
	var list strings.Builder
	for _, x := range xattrs {
		if x.value(st) != "" {
			list.WriteString(xattrPrefix + x.name + "\x00")
		}
	}
	return fill(dest, list.String())
}

// fill answers with a value, or with its size where there is no room.
func fill(dest []byte, value string) (uint32, fuse.Status) {
	if len(dest) < len(value) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

// SetXAttr implements fuse.RawFileSystem: none can be set. Programs that copy
// files go on when it is not supported.
func (t *tree) SetXAttr(_ <-chan struct{}, _ *fuse.SetXAttrIn, attr string, _ []byte) fuse.Status {
	return t.xattrRefused(attr)
}

// RemoveXAttr implements fuse.RawFileSystem.
func (t *tree) RemoveXAttr(_ <-chan struct{}, _ *fuse.InHeader, attr string) fuse.Status {
	return t.xattrRefused(attr)
}

func (t *tree) xattrRefused(attr string) fuse.Status {
	switch {
	case !t.opts.XAttr:
		return fuse.ENOSYS
	case strings.HasPrefix(attr, xattrPrefix):
		return fuse.EPERM
	}
	return fuse.Status(syscall.EOPNOTSUPP)
}
