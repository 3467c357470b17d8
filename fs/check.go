package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// What the types of this package can do.
var (
	_ fuse.RawFileSystem = gate{}

	_ handle = (*readHandle)(nil)
	_ handle = (*writeHandle)(nil)
	_ handle = (*localHandle)(nil)
)
