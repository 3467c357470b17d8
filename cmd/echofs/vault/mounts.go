package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

// mounted is a file system that the kernel asks.
type mounted interface {
	// Unmount takes it away from the kernel; with lazy also while it is in use.
	// It fails with EBUSY while it is.
	Unmount(lazy bool) error
	// Done is closed when the kernel asks no more, whoever unmounted it.
	Done() <-chan struct{}
	// Close unmounts it in any case, and cuts off who still uses it.
	Close() error
}

// mounts is the list of what is mounted. Mounts come by requests and go by
// requests, by umount(8), or all at once.
type mounts struct {
	mount func(context.Context, control.MountRequest) (mounted, error)
	log   *slog.Logger
	gone  chan struct{} // one slot: receives when the last mount has gone

	mu     sync.Mutex // guards the below
	closed bool
	list   []*mountEntry
}

type mountEntry struct {
	req control.MountRequest
	m   mounted // nil while it is being mounted
}

func newMounts(log *slog.Logger, mount func(context.Context, control.MountRequest) (mounted, error)) *mounts {
	return &mounts{mount: mount, log: log, gone: make(chan struct{}, 1)}
}

// add mounts and returns when the mount answers; the result is closed when it
// is gone.
func (s *mounts) add(ctx context.Context, req control.MountRequest) (<-chan struct{}, error) {
	e := &mountEntry{req: req}
	if err := s.reserve(e); err != nil {
		return nil, err
	}
	m, err := s.mount(ctx, req)
	if err != nil {
		s.remove(e)
		return nil, err
	}
	s.mu.Lock()
	e.m = m
	late := s.closed
	s.mu.Unlock()
	go s.attend(e)
	if late { // closeAll did not see it
		return nil, errors.Join(echo.ErrClosed, m.Unmount(true))
	}
	return m.Done(), nil
}

// attend waits for the end of a mount, whoever brings it about.
func (s *mounts) attend(e *mountEntry) {
	<-e.m.Done()
	if err := e.m.Close(); err != nil {
		s.log.Warn("mount has ended badly", "dir", e.req.Dir, "error", err)
	}
	s.remove(e)
}

// reserve enters a mount that is being made, so that no other takes its place.
func (s *mounts) reserve(e *mountEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return echo.ErrClosed
	}
	for _, other := range s.list {
		if other.req.Dir == e.req.Dir {
			return control.WithHint(fmt.Errorf("mount %s: %w", e.req.Dir, ErrMounted), "unmount it with: echofs umount "+e.req.Dir)
		}
	}
	s.list = append(s.list, e)
	return nil
}

// ErrMounted is wrapped where a directory is a mount already.
var ErrMounted = errors.New("mounted already")

// remove drops an entry, and tells if none is left.
func (s *mounts) remove(e *mountEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(other *mountEntry) bool { return other == e })
	if len(s.list) > 0 {
		return
	}
	select {
	case s.gone <- struct{}{}:
	default:
	}
}

// unmount takes one mount away, waits until it is gone, and reports whether it
// was the last.
func (s *mounts) unmount(dir string, lazy bool) (last bool, err error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.list, func(e *mountEntry) bool { return e.req.Dir == dir && e.m != nil })
	if i < 0 {
		s.mu.Unlock()
		return false, fmt.Errorf("unmount %s: no mount of this vault: %w", dir, echo.ErrNotFound)
	}
	e := s.list[i]
	s.mu.Unlock()
	if err := e.m.Unmount(lazy); err != nil {
		return false, control.WithHint(fmt.Errorf("unmount %s: %w%s", dir, err, inUse(dir)),
			"close what is open there, or detach it all the same: echofs umount --lazy "+dir)
	}
	if !lazy {
		<-e.m.Done()
	}
	s.remove(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list) == 0, nil
}

// requests lists what was asked for and is mounted.
func (s *mounts) requests() []control.MountRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []control.MountRequest
	for _, e := range s.list {
		if e.m != nil {
			out = append(out, e.req)
		}
	}
	return out
}

// take unmounts everything and waits until it is gone. What is in use stays,
// and then all of it does, unless lazy is set: the error says who is in the way.
func (s *mounts) take(ctx context.Context, lazy bool) error {
	s.mu.Lock()
	list := slices.Clone(s.list)
	s.mu.Unlock()
	var taken []control.MountRequest
	for _, e := range list {
		if e.m == nil {
			continue // it is being made, and will be closed with the daemon
		}
		if err := e.m.Unmount(lazy); err != nil {
			err = fmt.Errorf("unmount %s: %w%s", e.req.Dir, err, inUse(e.req.Dir))
			return errors.Join(err, s.again(ctx, taken))
		}
		if !lazy {
			<-e.m.Done()
		}
		taken = append(taken, e.req)
	}
	return nil
}

// again mounts what was unmounted before something else could not be.
func (s *mounts) again(ctx context.Context, reqs []control.MountRequest) error {
	var errs []error
	for _, req := range reqs {
		_, err := s.add(ctx, req)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// closeAll unmounts everything, also what is in use, and refuses new mounts.
func (s *mounts) closeAll() error {
	s.mu.Lock()
	s.closed = true
	list := slices.Clone(s.list)
	s.mu.Unlock()
	var errs []error
	for _, e := range list {
		if e.m != nil {
			errs = append(errs, e.m.Close())
		}
	}
	return errors.Join(errs...)
}

// dirs lists where mounts are.
func (s *mounts) dirs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(s.list))
	for _, e := range s.list {
		out = append(out, e.req.Dir)
	}
	slices.Sort(out)
	return out
}

// resolve returns what a path in a mount is in the vault's tree
// ("space/folder/name"), for the innermost mount that holds it.
func (s *mounts) resolve(abs string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.SortedFunc(slices.Values(s.list), func(a, b *mountEntry) int {
		return cmp.Compare(len(b.req.Dir), len(a.req.Dir))
	})
	for _, e := range list {
		rest, ok := strings.CutPrefix(abs, strings.TrimSuffix(e.req.Dir, "/"))
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		return strings.Trim(rest, "/"), true
	}
	return "", false
}
