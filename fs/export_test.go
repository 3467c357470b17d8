package fs

// AllowsOther is for the tests of this package.
var AllowsOther = allowsOther

// Told returns how often the kernel was told of a change of a node.
func (fsys *FileSystem) Told() int64 { return fsys.tree.told.Load() }

// Poked returns how many requests the helper was given.
func (fsys *FileSystem) Poked() int64 { return fsys.tree.poked.Load() }

// Endless returns how many files that have no end are open.
func (fsys *FileSystem) Endless() (n int) {
	fsys.tree.mu.Lock()
	defer fsys.tree.mu.Unlock()
	for _, h := range fsys.tree.handles {
		if _, ok := h.(endless); ok {
			n++
		}
	}
	return n
}
