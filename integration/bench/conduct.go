package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// size is how much work is done.
type size struct {
	objects   int // made, listed, searched, replicated
	rounds    int // in which they are made
	saves     int // of one object
	synced    int // saves with fsync
	seen      int // saves that are awaited at the other vault
	kilos     int // objects of a kilobyte that are replicated, also by Syncthing
	many      int // objects of a space that is imported, listed and looked at
	lists     int // cold ones, and as many warm ones after each
	starts    int
	histories []int // lengths
	stale     int   // stale saves for each of them
}

func fullSize() size {
	return size{objects: 10_000, rounds: 5, saves: 1000, synced: 100, seen: 300, kilos: 10_000, many: 100_000, lists: 3, starts: 5,
		histories: []int{100, 1000, 10_000}, stale: 10}
}

func shortSize() size {
	return size{objects: 1000, rounds: 2, saves: 100, synced: 10, seen: 30, kilos: 1000, many: 5000, lists: 1, starts: 1,
		histories: []int{100, 1000}, stale: 5}
}

// longSize is about listing, searching and replicating many objects.
func longSize() size {
	return size{objects: 100_000, rounds: 5, saves: 1000, synced: 100, seen: 300, kilos: 10_000, many: 999_000, lists: 2, starts: 3,
		histories: []int{100, 1000}, stale: 10}
}

// conductor measures.
type conductor struct {
	size    size
	short   bool
	only    string // steps, with commas between; empty for all
	long    bool
	program string
	room    string
	report  report
	closers []func() error // last first

	disk, bare, echofs *place
	rendezvous         *server
	url                string
	ada, bob           *vault
	busy               bool // the daemon was given work, and may be at it
	emptyStart         samples
	bareRate           float64 // bytes a second of a bare connection
}

// run does everything in the order in which one measurement leaves to the next
// what it needs.
func (c *conductor) run(ctx context.Context) error {
	c.report.begin(c.room, c.short)
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"start", c.places}, {"create", c.create}, {"save", c.save}, {"list", c.list},
		{"merge", c.merge}, {"join", c.join}, {"see", c.see}, {"kilos", c.kilos}, {"many", c.many},
	} {
		if !c.wanted(step.what) {
			continue
		}
		begun := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		fmt.Fprintf(os.Stderr, "bench: %s: %.1f s\n", step.what, time.Since(begun).Seconds())
	}
	return nil
}

// wanted reports whether a step is to be done; everything needs the first.
func (c *conductor) wanted(step string) bool {
	return c.only == "" || step == "start" || slices.Contains(strings.Split(c.only, ","), step)
}

// clean ends every process and removes every file of the run.
func (c *conductor) clean() error {
	var errs []error
	for _, stop := range slices.Backward(c.closers) {
		errs = append(errs, stop())
	}
	errs = append(errs, unmountBelow(c.room))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean up %s: %w", c.room, err)
	}
	return os.RemoveAll(c.room)
}

// create makes objects, round by round at every place. After each round the
// daemon makes documents of them, in its own time.
func (c *conductor) create(ctx context.Context) error {
	f := newFigure("create, write, close")
	before := c.ada.daemon.cpu()
	part := c.size.objects / c.size.rounds
	for round := range c.size.rounds {
		err := c.each(ctx, f, func(p *place) (samples, error) {
			return apply(ctx, job{Op: "create", Dir: p.dir, From: round * part, Count: part})
		}, c.disk, c.bare, c.echofs)
		if err != nil {
			return err
		}
	}
	c.report.compare(f)
	if err := c.ada.daemon.quiet(ctx); err != nil {
		return err
	}
	all := (c.ada.daemon.cpu() - before) / time.Duration(c.size.objects)
	c.report.fact("processor time of the daemon and its workers per new object, until it is a document that replicates",
		"%d µs", all.Microseconds())
	bytes, err := c.ada.size()
	c.report.fact("vault on disk, per object", "%d bytes", bytes/int64(c.size.objects))
	return err
}

// save saves one object again and again.
func (c *conductor) save(ctx context.Context) error {
	first := newFigure("")
	job1 := job{Op: "save", Count: 1}
	err := c.each(ctx, first, func(p *place) (samples, error) {
		job1.Dir = p.dir
		return apply(ctx, job1)
	}, c.disk, c.bare, c.echofs)
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		what  string
		count int
		sync  bool
	}{{"save one object (truncate, write, close)", c.size.saves, false}, {"save with fsync", c.size.synced, true}} {
		f := newFigure(kind.what)
		part := kind.count / c.size.rounds
		for round := range c.size.rounds {
			err := c.each(ctx, f, func(p *place) (samples, error) {
				return apply(ctx, job{Op: "save", Dir: p.dir, From: 1 + round*part, Count: part, Sync: kind.sync})
			}, c.disk, c.bare, c.echofs)
			if err != nil {
				return err
			}
		}
		c.report.compare(f)
	}
	return nil
}

// list lists and searches with the programs that people use, each time after
// the kernel and the daemon have forgotten everything, and right after that.
func (c *conductor) list(ctx context.Context) error {
	of := fmt.Sprintf(" of %d objects", c.size.objects+1)
	var starts samples
	for _, kind := range []struct {
		what string
		args []string
	}{{"ls -l" + of, []string{"ls", "-l"}}, {"grep -r" + of, []string{"grep", "-r", "oat milk"}}} {
		cold, warm := newFigure(kind.what+", cold"), newFigure(kind.what+", warm")
		once := func(p *place) (samples, error) {
			took, err := timed(ctx, kind.args[0], append(slices.Clone(kind.args[1:]), p.dir)...)
			if kind.args[0] == "grep" {
				err = nothingFound(err)
			}
			return samples{took}, err
		}
		begun := time.Now()
		for n := range c.size.lists {
			if n > 0 && time.Since(begun) > listTime {
				break
			}
			took, coldPlaces, err := c.forget(ctx)
			if err != nil {
				return err
			}
			starts = append(starts, took)
			if err := c.each(ctx, cold, once, coldPlaces...); err != nil {
				return err
			}
			for range warmLists {
				if err := c.each(ctx, warm, once, c.disk, c.bare, c.echofs); err != nil {
					return err
				}
			}
		}
		c.report.compare(cold)
		c.report.compare(warm)
		c.remember(kind.what)
	}
	c.report.fact("start of the daemon until the mount answers, new vault", "%v", c.emptyStart)
	c.report.fact(fmt.Sprintf("the same with %d objects", c.size.objects+1), "%v", starts)
	return nil
}

// warmLists is how often a warm listing is done after each cold one; no further
// cold one is begun after listTime, on a machine that is busy with other things.
const (
	warmLists = 2
	listTime  = 25 * time.Second
)

// nothingFound takes grep's answer that there is no such line for a success.
func nothingFound(err error) error {
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil
	}
	return err
}

// forget mounts anew and drops the kernel's caches. It returns how long the
// daemon took to start, and which places are cold now.
func (c *conductor) forget(ctx context.Context) (time.Duration, []*place, error) {
	if _, err := c.bare.forget(ctx); err != nil {
		return 0, nil, err
	}
	took, err := c.echofs.forget(ctx)
	if err != nil {
		return 0, nil, err
	}
	if err := c.ada.daemon.quiet(ctx); err != nil {
		return 0, nil, err
	}
	if len(c.report.memory) == 0 {
		c.remember("start, idle")
	}
	if err := dropCaches(); err != nil {
		return took, []*place{c.bare, c.echofs}, nil
	}
	return took, []*place{c.disk, c.bare, c.echofs}, nil
}

// remember notes how much memory the servers take.
func (c *conductor) remember(after string) {
	own, workers := c.ada.daemon.memory()
	bare, _ := c.bare.server().memory()
	c.report.memory = append(c.report.memory, memory{after, own, workers, bare})
}

// join lets another person in and measures until everything is there.
func (c *conductor) join(ctx context.Context) (err error) {
	if c.bob, err = c.newVault(ctx, "bob"); err != nil {
		return err
	}
	if _, err := c.bob.start(ctx); err != nil {
		return err
	}
	if err := c.ada.daemon.quiet(ctx); err != nil {
		return err
	}
	adas, bobs := c.ada.daemon.cpu(), c.bob.daemon.cpu()
	begun := time.Now()
	if err := c.ada.admit(ctx, c.bob); err != nil {
		return err
	}
	in := time.Since(begun)
	if err := c.ada.acknowledged(ctx); err != nil {
		return err
	}
	done := time.Since(begun)
	adas, bobs = c.ada.daemon.cpu()-adas, c.bob.daemon.cpu()-bobs
	names, err := os.ReadDir(c.bob.here())
	if err != nil {
		return err
	}
	if got, want := len(names), c.size.objects+1; got != want {
		return fmt.Errorf("the joiner sees %d objects, want %d", got, want)
	}
	c.report.fact("invite and join, until the joiner is a member", "%.2f s", in.Seconds())
	c.report.fact(fmt.Sprintf("first sync of %d objects, from the invitation until the joiner has acknowledged all", len(names)),
		"%.2f s; processor time %.2f s at the host, %.2f s at the joiner", done.Seconds(), adas.Seconds(), bobs.Seconds())
	own, workers := c.bob.daemon.memory()
	c.report.fact("memory of the joiner after that", "%s, workers %s", mib(own), mib(workers))
	return nil
}

// see measures from the beginning of a save at one vault until the content is
// read at the other.
func (c *conductor) see(ctx context.Context) error {
	for _, sync := range []bool{false, true} {
		for _, v := range []*vault{c.ada, c.bob} {
			if err := v.daemon.quiet(ctx); err != nil {
				return err
			}
		}
		adas, bobs := c.ada.daemon.cpu(), c.bob.daemon.cpu()
		s, err := apply(ctx, job{Op: "see", Dir: c.ada.here(), There: c.bob.here(), From: 100_000, Count: c.size.seen, Sync: sync})
		if err != nil {
			return err
		}
		n := time.Duration(len(s))
		adas, bobs = (c.ada.daemon.cpu()-adas)/n, (c.bob.daemon.cpu()-bobs)/n
		what := "save on A until visible on B"
		if sync {
			what += ", with fsync on A"
		}
		c.report.fact(what, "%v; processor time %d µs on A, %d µs on B", s, adas.Microseconds(), bobs.Microseconds())
	}
	return nil
}
