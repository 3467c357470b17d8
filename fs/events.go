package fs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"syscall"
	"time"

	"echofs/echo"
)

// eventsName is a file of the control directories that tells what happens, one
// JSON document a line, to who has it open. A read waits until something happens;
// it holds no lock meanwhile, and ends when a signal comes or the file system is
// unmounted. It is no place in a file: two who have it open both read everything,
// and it cannot be sought in. poll(2) always says that it can be read, as for any
// regular file.
const eventsName = "events"

// events is the stream of a space, or of all that the mount shows.
func (c *control) events(dir echo.Node, _ string) (view, error) {
	under := dir.Ino
	if dir.Kind == echo.KindRoot && !c.t.opts.Space.IsZero() {
		s, ok := c.t.repo.SpaceByID(c.t.opts.Space)
		if !ok {
			return view{}, echo.ErrNotFound
		}
		under = s.Ino()
	}
	return view{costly: true, modTime: time.Now(), open: func(context.Context) (handle, error) {
		feed, err := c.t.repo.Watch(under)
		if err != nil {
			return nil, err
		}
		return &eventsHandle{t: c.t, feed: feed}, nil
	}}, nil
}

// eventsHandle is a stream that somebody reads. What was not read is bounded by
// the feed; beyond that it says how much was lost.
type eventsHandle struct {
	t    *tree
	feed *echo.ChangeFeed

	mu     sync.Mutex // guards the below; never held while waiting
	unread []byte
}

// next implements endless.
func (h *eventsHandle) next(cancel <-chan struct{}, most int, wait bool) ([]byte, error) {
	for {
		if out, err := h.take(most); err != nil || len(out) > 0 {
			return out, err
		}
		if !wait {
			select {
			case <-h.t.leaving:
				return nil, nil
			default:
				return nil, syscall.EAGAIN
			}
		}
		select {
		case <-h.feed.C():
		case <-h.t.leaving:
			return nil, nil
		case <-h.t.ctx.Done():
			return nil, nil
		case <-cancel:
			return nil, syscall.EINTR
		}
	}
}

// take returns what is there.
func (h *eventsHandle) take(most int) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.unread) == 0 {
		var lines bytes.Buffer
		enc := json.NewEncoder(&lines)
		enc.SetEscapeHTML(false) // as the command prints it
		for _, c := range h.feed.Take() {
			if err := enc.Encode(c); err != nil {
				return nil, fmt.Errorf("tell of a change: %w", err)
			}
		}
		h.unread = lines.Bytes()
	}
	out := h.unread[:min(most, len(h.unread))]
	h.unread = h.unread[len(out):]
	return out, nil
}

func (h *eventsHandle) read([]byte, int64) ([]byte, error)  { return nil, syscall.EINVAL }
func (h *eventsHandle) write(uint32, []byte, int64) error   { return syscall.EBADF }
func (h *eventsHandle) truncate(int64) error                { return syscall.EINVAL }
func (h *eventsHandle) flush(context.Context, uint32) error { return nil }
func (h *eventsHandle) fsync(context.Context) error         { return nil }
func (h *eventsHandle) release(context.Context)             { h.feed.Close() }
