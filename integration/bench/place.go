package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// place is one of the directories that take the same work.
type place struct {
	name   string
	dir    string
	server func() *server                               // who serves it, or nil
	forget func(context.Context) (time.Duration, error) // mounts it anew, or nil
}

// figure is what was measured of the same work at each place, by its name.
type figure struct {
	what  string
	times map[string]samples
	cpu   time.Duration // of the daemon and its workers
	count int           // of the operations to which cpu belongs
}

func newFigure(what string) *figure { return &figure{what: what, times: make(map[string]samples)} }

// places starts the three.
func (c *conductor) places(ctx context.Context) error {
	disk := filepath.Join(c.room, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		return err
	}
	c.disk = &place{name: "disk", dir: disk}
	var err error
	if c.bare, err = c.startBare(); err != nil {
		return fmt.Errorf("bare file system: %w", err)
	}
	if err = c.startRendezvous(); err != nil {
		return err
	}
	if c.ada, err = c.newVault(ctx, "ada"); err != nil {
		return err
	}
	for range c.size.starts { // of a vault with nothing in it
		took, err := c.ada.start(ctx)
		if err != nil {
			return err
		}
		c.emptyStart = append(c.emptyStart, took)
		if err := c.ada.stop(); err != nil {
			return err
		}
	}
	if _, err = c.ada.start(ctx); err != nil {
		return err
	}
	if _, err := c.ada.run(ctx, "space", "create", spaceName); err != nil {
		return err
	}
	c.echofs = &place{name: "echofs", dir: c.ada.here(), server: func() *server { return c.ada.daemon },
		forget: func(ctx context.Context) (time.Duration, error) {
			if err := c.ada.stop(); err != nil {
				return 0, err
			}
			return c.ada.start(ctx)
		}}
	return nil
}

func (c *conductor) newVault(ctx context.Context, name string) (*vault, error) {
	v, err := newVault(ctx, c.program, filepath.Join(c.room, name), "--signal", c.url, "--no-lan")
	if err == nil {
		c.closers = append(c.closers, v.stop)
	}
	return v, err
}

func (c *conductor) startBare() (*place, error) {
	dir := filepath.Join(c.room, "bare")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s, err := start(os.Environ(), self, "bare", dir)
	if err != nil {
		return nil, err
	}
	c.closers = append(c.closers, s.stop)
	p := &place{name: "bare", dir: dir, server: func() *server { return s },
		forget: func(context.Context) (time.Duration, error) {
			if _, err := fmt.Fprintln(s.in); err != nil {
				return 0, err
			}
			_, err := s.line()
			return 0, err
		}}
	_, err = s.line()
	return p, err
}

// dropCaches makes the kernel forget what it can of all file systems. Only root
// may; elsewhere the disk is not measured cold.
func dropCaches() error { return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200) }

// each does a piece of work at every place in turn, and adds what it took.
func (c *conductor) each(ctx context.Context, f *figure, do func(*place) (samples, error), places ...*place) error {
	for _, p := range places {
		if err := c.settle(ctx); err != nil {
			return err
		}
		before := c.ada.daemon.cpu()
		s, err := do(p)
		if err != nil {
			return fmt.Errorf("%s at %s: %w", f.what, p.name, err)
		}
		f.times[p.name] = append(f.times[p.name], s...)
		if p == c.echofs {
			c.busy = true
			f.cpu += c.ada.daemon.cpu() - before
			f.count += len(s)
		}
	}
	return nil
}

// settle waits until the daemon is quiet if it was given work since.
func (c *conductor) settle(ctx context.Context) error {
	if !c.busy {
		return nil
	}
	c.busy = false
	return c.ada.daemon.quiet(ctx)
}

// startRendezvous starts the server by which the vaults meet.
func (c *conductor) startRendezvous() (err error) {
	if c.rendezvous, err = start(os.Environ(), c.program, "signal", "--listen", "127.0.0.1:0"); err != nil {
		return err
	}
	c.closers = append(c.closers, c.rendezvous.stop)
	c.url, err = c.rendezvous.line()
	return err
}
