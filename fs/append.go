package fs

import (
	"slices"
	"syscall"

	"echofs/echo"
)

// A handle that appends says what comes after what is there, not what the whole
// file is. So where nothing else was done with it, its save is the current content
// with its bytes at the end: what several programs append at once is all kept,
// each piece as a whole, also in a file that was empty a moment ago.

// appended makes the content to save of the bytes that a handle appended to a
// text since its last save; ok is false where it did something else, or where the
// file is not a text that has content.
func (h *writeHandle) appended(n echo.Node, data []byte) (all []byte, base *echo.Version, ok bool) {
	h.mu.Lock()
	from := h.tail
	h.mu.Unlock()
	if h.flags&syscall.O_APPEND == 0 || from < 0 || from > len(data) || n.Kind != echo.KindText || n.Stage == echo.Fresh {
		return nil, nil, false
	}
	c, err := h.t.repo.Content(n.Ino)
	if err != nil || c.Draft {
		return nil, nil, false
	}
	return slices.Concat(c.Data, data[from:]), &c.Version, true
}

// appendedTo notes how much of the buffer is saved.
func (h *writeHandle) appendedTo(size int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tail >= 0 {
		h.tail = size
	}
}
