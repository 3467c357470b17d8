package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The figures of the mesh are taken in a network namespace with nothing else in
// it, so that the counters of its loopback interface are the traffic of the two
// daemons and their rendezvous. All addresses of a machine are reached over
// loopback, so the second interface carries nothing; it is there because peers
// do not offer loopback addresses to each other unless they look for each other
// on the local network.

// insideEnv says that the process is in that namespace.
const insideEnv = "ECHOFS_BENCH_INSIDE"

// meshSize is how much work is done for the figures of the mesh.
type meshSize struct {
	objects  int // in the space
	seen     int // saves that are awaited at the other vault
	changed  int // objects that are changed, one after the other
	resumes  int
	bulk     int64 // bytes through a bare connection, and of entries
	blob     int64 // bytes of a large file
	most     int   // idle peers
	idleTime time.Duration
}

func (c *conductor) meshSize() meshSize {
	switch {
	case c.short:
		return meshSize{objects: 1000, seen: 50, changed: 5, resumes: 1, bulk: 16 << 20, blob: 32 << 20, most: 10, idleTime: 2 * time.Second}
	case c.long:
		return meshSize{objects: 100_000, seen: 500, changed: 20, resumes: 3, bulk: 256 << 20, blob: 1 << 30, most: 30, idleTime: 10 * time.Second}
	}
	return meshSize{objects: 10_000, seen: 500, changed: 20, resumes: 3, bulk: 128 << 20, blob: 256 << 20, most: 30, idleTime: 10 * time.Second}
}

// enter runs this program again in a network namespace of its own.
func enter(ctx context.Context, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("in a network of its own (which takes root): %w", err)
	}
	return nil
}

// wire brings up the interfaces of the namespace.
func wire(ctx context.Context) error {
	for _, line := range []string{
		"link set lo up", "link add eth0 type veth peer name eth1", "link set eth1 up", "addr add 10.213.78.1/24 dev eth0", "link set eth0 up",
	} {
		if _, err := run(ctx, os.Environ(), nil, "ip", strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// traffic is how many bytes have gone over loopback in this process's namespace.
func traffic() (int64, error) {
	const table = "/proc/self/net/dev"
	b, err := os.ReadFile(table)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if f := strings.Fields(rest); ok && name == "lo" && len(f) > 8 {
			return strconv.ParseInt(f[8], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: no loopback interface", table)
}

// meshAlone brings up the namespace and measures the mesh in it.
func (c *conductor) meshAlone(ctx context.Context) error {
	if err := wire(ctx); err != nil {
		return err
	}
	return c.mesh(ctx)
}

// mesh measures two daemons that share a space.
func (c *conductor) mesh(ctx context.Context) error {
	c.report.begin(c.room, c.short)
	size := c.meshSize()
	for _, step := range []struct {
		what string
		do   func(context.Context, meshSize) error
	}{
		{"start", c.meshStart}, {"bare connection", c.bareLink}, {"entries", c.entryBulk}, {"save to visible", c.meshSee},
		{"one change", c.change}, {"resume", c.resume}, {"blobs", c.blobs}, {"idle peers", c.idlePeers},
	} {
		begun := time.Now()
		if err := step.do(ctx, size); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Fprintf(os.Stderr, "bench: mesh: %s: %.1f s\n", step.what, time.Since(begun).Seconds())
	}
	return nil
}

// meshStart makes two vaults that share a space with objects in it.
func (c *conductor) meshStart(ctx context.Context, size meshSize) (err error) {
	disk := filepath.Join(c.room, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		return err
	}
	c.disk = &place{name: "disk", dir: disk}
	if err = c.startRendezvous(); err != nil {
		return err
	}
	if c.ada, err = c.newVault(ctx, "ada"); err != nil {
		return err
	}
	if c.bob, err = c.newVault(ctx, "bob"); err != nil {
		return err
	}
	for _, v := range []*vault{c.ada, c.bob} {
		if _, err := v.start(ctx); err != nil {
			return err
		}
	}
	if _, err := c.ada.run(ctx, "space", "create", spaceName); err != nil {
		return err
	}
	if _, err := apply(ctx, job{Op: "create", Dir: c.ada.here(), Count: size.objects}); err != nil {
		return err
	}
	if _, err := apply(ctx, job{Op: "save", Dir: c.ada.here(), Count: 1}); err != nil {
		return err
	}
	if err := c.ada.admit(ctx, c.bob); err != nil {
		return err
	}
	return c.level(ctx)
}

// level waits until both have the same and nothing to do.
func (c *conductor) level(ctx context.Context) error {
	if err := c.ada.acknowledged(ctx); err != nil {
		return err
	}
	for _, v := range []*vault{c.ada, c.bob} {
		if err := v.daemon.quiet(ctx); err != nil {
			return err
		}
	}
	return nil
}

// meshSee measures from the beginning of a save until the content is read at the
// other vault, and until watchers there are told.
func (c *conductor) meshSee(ctx context.Context, size meshSize) error {
	if _, err := apply(ctx, job{Op: "save", Dir: c.disk.dir, Count: 1}); err != nil {
		return err
	}
	for _, kind := range []struct{ op, what string }{{"see", "is read"}, {"hear", "is told to a watcher (inotify)"}} {
		var took [2]samples
		for i, dirs := range [2][2]string{{c.disk.dir, c.disk.dir}, {c.ada.here(), c.bob.here()}} {
			s, err := apply(ctx, job{Op: kind.op, Dir: dirs[0], There: dirs[1], From: 200_000, Count: size.seen})
			if err != nil {
				return err
			}
			took[i] = s
		}
		c.report.fact(fmt.Sprintf("save on A until it %s on B, %d saves", kind.what, size.seen), "%v; the same directory of the disk: %v", took[1], took[0])
	}
	return c.level(ctx)
}

// change measures what goes over the network for one changed object.
func (c *conductor) change(ctx context.Context, size meshSize) error {
	idle, err := c.idleTraffic(ctx, size)
	if err != nil {
		return err
	}
	var took samples
	var sum int64
	for n := range size.changed {
		before, err := traffic()
		if err != nil {
			return err
		}
		begun := time.Now()
		s, err := apply(ctx, job{Op: "see", Name: fileName(rand.N(size.objects)), Dir: c.ada.here(), There: c.bob.here(), From: 300_000 + n, Count: 1})
		if err != nil {
			return err
		}
		if err := c.ada.acknowledged(ctx); err != nil {
			return err
		}
		after, err := traffic()
		if err != nil {
			return err
		}
		took = append(took, s...)
		sum += after - before - int64(idle*time.Since(begun).Seconds())
	}
	c.report.fact("traffic of two idle daemons and their rendezvous", "%.0f bytes a second", idle)
	c.report.fact(fmt.Sprintf("one changed object among %d, connected", size.objects+1),
		"%v until it is read on B; %d bytes until it is acknowledged", took, sum/int64(size.changed))
	return nil
}

func (c *conductor) idleTraffic(ctx context.Context, size meshSize) (perSecond float64, err error) {
	if err := c.level(ctx); err != nil {
		return 0, err
	}
	before, err := traffic()
	if err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(size.idleTime):
	}
	after, err := traffic()
	return float64(after-before) / size.idleTime.Seconds(), err
}

// resume stops the daemon of B for longer than A waits for it, changes an object
// meanwhile, and measures from B's going on until B has the change.
func (c *conductor) resume(ctx context.Context, size meshSize) error {
	var took samples
	var sum int64
	for n := range size.resumes {
		if err := c.level(ctx); err != nil {
			return err
		}
		process := c.bob.daemon.cmd.Process
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		err := c.gone(ctx)
		if err == nil {
			_, err = apply(ctx, job{Op: "save", Dir: c.ada.here(), From: 400_000 + n, Count: 1})
		}
		before, err2 := traffic()
		begun := time.Now()
		if err := errors.Join(err, err2, process.Signal(syscall.SIGCONT)); err != nil {
			return err
		}
		d, err := c.caughtUp(ctx, 400_000+n, begun)
		if err != nil {
			return err
		}
		after, err := traffic()
		if err != nil {
			return err
		}
		took, sum = append(took, d), sum+after-before
	}
	c.report.fact(fmt.Sprintf("one changed object among %d, B was stopped for %v and goes on", size.objects+1, stoppedTime),
		"%v until it is read on B; %d bytes until then, new connections among them", took, sum/int64(size.resumes))
	return c.level(ctx)
}

// stoppedTime is longer than a peer may say nothing.
const stoppedTime = 12 * time.Second

func (c *conductor) gone(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(stoppedTime):
		return nil
	}
}

// caughtUp waits until B shows a save.
func (c *conductor) caughtUp(ctx context.Context, n int, begun time.Time) (time.Duration, error) {
	for ctx.Err() == nil && time.Since(begun) < time.Minute {
		if got, err := counter(filepath.Join(c.bob.here(), savedName)); err == nil && got == n {
			return time.Since(begun), nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, fmt.Errorf("the other side does not catch up: %w", context.DeadlineExceeded)
}

// blobs moves two large files, the second while an object is saved again and
// again.
func (c *conductor) blobs(ctx context.Context, size meshSize) error {
	took, err := c.blob(ctx, "first.bin", size.blob)
	if err != nil {
		return err
	}
	rate := float64(size.blob) / took.Seconds()
	c.report.fact(fmt.Sprintf("a file of %s, from the end of the copy on A until all of it is read on B", mib(size.blob)),
		"%.1f MB/s, %.0f %% of a bare connection between two processes", rate/1e6, 100*rate/c.bareRate)
	if err := c.level(ctx); err != nil {
		return err
	}
	type outcome struct {
		took time.Duration
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		d, err := c.blob(ctx, "second.bin", size.blob)
		done <- outcome{d, err}
	}()
	var seen samples
	for n := 500_000; ; n += seenAtOnce {
		s, err := apply(ctx, job{Op: "see", Dir: c.ada.here(), There: c.bob.here(), From: n, Count: seenAtOnce})
		if err != nil {
			return errors.Join(err, (<-done).err)
		}
		select {
		case o := <-done:
			c.report.fact(fmt.Sprintf("save on A until it is read on B, while such a file is copied to A and transferred, %d saves", len(seen)),
				"%v; the transfer then runs at %.1f MB/s", seen, float64(size.blob)/o.took.Seconds()/1e6)
			return o.err
		default:
			seen = append(seen, s...)
		}
	}
}

// seenAtOnce is how many saves are made before it is looked whether the transfer
// has ended.
const seenAtOnce = 5

// blob makes a file of random bytes on A and reads it on B. It returns how long
// that took from when A had it.
func (c *conductor) blob(ctx context.Context, name string, size int64) (time.Duration, error) {
	f, err := os.Create(filepath.Join(c.ada.here(), name))
	if err != nil {
		return 0, err
	}
	random := rand.NewChaCha8([32]byte{byte(len(name))})
	_, err = io.CopyN(f, random, size)
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	begun := time.Now()
	there := filepath.Join(c.bob.here(), name)
	for ctx.Err() == nil {
		if st, err := os.Stat(there); err == nil && st.Size() == size {
			break
		}
		time.Sleep(time.Millisecond)
	}
	g, err := os.Open(there)
	if err != nil {
		return 0, err
	}
	defer func() { _ = g.Close() }()
	if n, err := io.Copy(io.Discard, g); err != nil || n != size {
		return 0, fmt.Errorf("read %s on B: %d bytes: %w", name, n, err)
	}
	return time.Since(begun), nil
}
