package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
)

// FileSystem is a vault that can be mounted once. Nothing in the process that
// serves it may use the mount: a request that waits for its own process cannot
// be ended.
type FileSystem struct {
	tree   *tree
	cancel context.CancelFunc
	sub    *echo.Subscription
	told   sync.WaitGroup // the goroutines that tell the kernel, and those who watch

	mu     sync.Mutex // guards the below
	dir    string     // where it is mounted, "" before
	minor  int        // of the connection
	served chan struct{}
	closed bool
}

// New makes a file system of a vault, and puts the directory of local files in
// order. The repository stays the caller's and must outlive it. Close must be
// called.
func New(repo *echo.Repo, opts Options) (*FileSystem, error) {
	if opts.LocalDir == "" {
		return nil, errors.New("file system: no directory for local files")
	}
	if opts.BlobWait == 0 {
		opts.BlobWait = DefaultBlobWait
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if !opts.Space.IsZero() {
		if _, ok := repo.SpaceByID(opts.Space); !ok {
			return nil, fmt.Errorf("file system: space %s: %w", opts.Space, echo.ErrNotFound)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := newTree(ctx, repo, opts, procfs{"/proc"})
	if err := t.local.repair(ctx, repo); err != nil {
		cancel()
		return nil, fmt.Errorf("file system: %w", err)
	}
	if err := t.blobs.recover(ctx); err != nil {
		cancel()
		return nil, fmt.Errorf("file system: %w", err)
	}
	fsys := &FileSystem{tree: t, cancel: cancel}
	fsys.sub = repo.Subscribe(echo.Data | echo.Replicates | echo.Added | echo.Removed)
	fsys.told.Go(func() { t.invalidate(fsys.sub) })
	fsys.told.Go(func() { t.blobs.run(ctx) })
	return fsys, nil
}

// Mount mounts the file system and returns when it answers. The directory must
// be the user's own, empty, and not writable by others; it is made if it is
// missing, and cleared of the mount of a daemon that died. Root mounts without
// help; other users need the package fuse3. ErrNoFUSE, ErrMountpoint, ErrMounted.
func (fsys *FileSystem) Mount(dir string) error {
	fsys.mu.Lock()
	defer fsys.mu.Unlock()
	if fsys.closed {
		return echo.ErrClosed
	}
	if fsys.dir != "" {
		return fmt.Errorf("%s: %w", fsys.dir, ErrMounted)
	}
	t := fsys.tree
	if err := t.opts.checkFUSE(); err != nil {
		return err
	}
	dir, err := prepareMountpoint(dir, t.proc.procfs, t.log)
	if err != nil {
		return err
	}
	helper := t.startHelper() // before the mount, of which it must inherit nothing
	server, err := t.newServer(dir)
	if err != nil {
		if helper != nil {
			helper.stop()
		}
		return err
	}
	if m, ok := t.proc.mountAt(dir); ok {
		t.mount.Store(int64(m.id))
		t.mounted.Store(&m)
		fsys.minor = m.minor
	}
	if helper != nil {
		fsys.told.Go(func() { t.poke(helper) })
	}
	fsys.dir, fsys.served = dir, make(chan struct{})
	go fsys.serve(server)
	return nil
}

// serve ends when the mount does. What the kernel did not close by then, because
// the connection was cut, is saved.
func (fsys *FileSystem) serve(s *fuse.Server) {
	defer close(fsys.served)
	s.Serve()
	if helper := fsys.tree.poker.Load(); helper != nil {
		helper.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	fsys.tree.closeHandles(ctx)
}

// Dir returns where the file system is mounted, "" if it is not yet.
func (fsys *FileSystem) Dir() string {
	fsys.mu.Lock()
	defer fsys.mu.Unlock()
	return fsys.dir
}

// Wait returns when the file system is not mounted any more, whoever unmounted
// it, and every open file is closed and saved. It returns at once if it never
// was.
func (fsys *FileSystem) Wait() {
	if served := fsys.isServed(); served != nil {
		<-served
	}
}

func (fsys *FileSystem) isServed() chan struct{} {
	fsys.mu.Lock()
	defer fsys.mu.Unlock()
	return fsys.served
}

// Unmount takes the file system out of the tree of files. Where programs use it,
// they keep what they have open, and Unmount waits for them until ctx ends; its
// error then wraps that of ctx. It is no error if it is not mounted.
func (fsys *FileSystem) Unmount(ctx context.Context) error {
	served := fsys.isServed()
	if served == nil {
		return nil
	}
	select {
	case <-served:
		return nil // somebody else unmounted it
	default:
	}
	fsys.tree.unmounting.Store(true)
	fsys.tree.leave.Do(func() { close(fsys.tree.leaving) })
	if err := fsys.leave(ctx); err != nil {
		return fmt.Errorf("unmount %s: %w", fsys.Dir(), err)
	}
	select {
	case <-served:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("unmount %s: files are still open: %w", fsys.Dir(), ctx.Err())
	}
}

// leave unmounts, after a moment of patience also if the mount is in use.
func (fsys *FileSystem) leave(ctx context.Context) error {
	dir := fsys.Dir()
	deadline := time.Now().Add(busyTime)
	for {
		err := unmount(ctx, dir)
		if err == nil || errors.Is(err, syscall.EINVAL) { // not mounted
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
		select {
		case <-time.After(busyTime / 10):
		case <-ctx.Done():
		}
	}
	return detach(context.WithoutCancel(ctx), dir)
}

// Close unmounts, gives programs a moment to close their files, cuts off those
// that do not, and ends everything that New started. Bytes that were written
// and not saved are saved, or kept as drafts.
func (fsys *FileSystem) Close() error {
	fsys.mu.Lock()
	if fsys.closed {
		fsys.mu.Unlock()
		return nil
	}
	fsys.closed = true
	fsys.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := fsys.Unmount(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fsys.cutOff()
	}
	fsys.sub.Close()
	fsys.cancel()
	fsys.told.Wait()
	return err
}

// cutOff ends the connection that programs still use. Where the control file
// system of FUSE is not mounted, as in many containers, that is left to the end of
// the process: what is unsaved is saved, and what comes later fails.
func (fsys *FileSystem) cutOff() error {
	err := abort(fsys.minor)
	if err == nil {
		fsys.Wait()
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
		return err
	}
	fsys.tree.log.Warn("files are still open in a mount that has ended", "dir", fsys.Dir())
	if helper := fsys.tree.poker.Load(); helper != nil {
		helper.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	fsys.tree.closeHandles(ctx)
	return nil
}

// closeTime is how long Close waits for programs that use the mount.
const closeTime = 5 * time.Second
