package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// perFolder is how many files of a kilobyte lie in one folder.
const perFolder = 100

// kiloName is the path of a file of a kilobyte.
func kiloName(n int) string {
	return filepath.Join(fmt.Sprintf("folder-%04d", n/perFolder), fmt.Sprintf("note-%06d.json", n))
}

// words are what files of a kilobyte are made of: text that compresses as text
// of people does.
var words = strings.Fields(`the a of milk garden paper window early late quiet green river stone letter answer
	question seven twelve copper silver morning evening table under above between north south apple pear cherry
	market bridge harbour station ticket yellow orange purple monday friday winter summer always never often`)

// kilo is the content of a file: about 1000 bytes of JSON, the same in each run.
func kilo(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	var text strings.Builder
	for text.Len() < 840 {
		text.WriteString(words[r.IntN(len(words))])
		text.WriteByte(' ')
	}
	return fmt.Appendf(nil, "{\n  \"title\": \"note %d\",\n  \"done\": %t,\n  \"priority\": %d,\n  \"id\": %q,\n  \"text\": %q\n}\n",
		n, n%3 == 0, n%5, fmt.Sprintf("%016x", r.Uint64()), text.String())
}

// makeKilos makes files of a kilobyte below a directory.
func makeKilos(dir string, count int) error {
	for n := range count {
		name := filepath.Join(dir, kiloName(n))
		if n%perFolder == 0 {
			if err := os.Mkdir(filepath.Dir(name), 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(name, kilo(n), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// checkKilos fails unless all the files are there, and compares some of them
// byte by byte.
func checkKilos(dir string, count int) error {
	found := 0
	err := filepath.WalkDir(dir, func(_ string, e iofs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.HasPrefix(e.Name(), "note-") {
			found++
		}
		return err
	})
	if err == nil && found != count {
		err = fmt.Errorf("%s holds %d files, want %d", dir, found, count)
	}
	for n := 0; n < count && err == nil; n += 97 {
		var got []byte
		if got, err = os.ReadFile(filepath.Join(dir, kiloName(n))); err == nil && !bytes.Contains(got, fmt.Appendf(nil, "note %d", n)) {
			err = fmt.Errorf("%s holds %q", kiloName(n), got)
		}
	}
	return err
}

// kilos measures the first sync of many files of a kilobyte, and has Syncthing
// do the same.
func (c *conductor) kilos(ctx context.Context) error {
	own, err := c.kilosOwn(ctx)
	if err != nil {
		return err
	}
	theirs, err := c.kilosSyncthing(ctx)
	what := fmt.Sprintf("first sync of %d objects of 1 KB in %d folders, against Syncthing", c.size.kilos, c.size.kilos/perFolder)
	if errors.Is(err, errNoSyncthing) {
		fmt.Fprintln(os.Stderr, "bench: NOT MEASURED:", err)
		c.report.fact(what, "not measured: %v", err)
		return nil
	}
	if err == nil {
		c.report.fact(what, "%s times as fast", short(float64(theirs)/float64(own)))
	}
	return err
}

// kilosOwn takes the time from the invitation on: two people who have never met.
func (c *conductor) kilosOwn(ctx context.Context) (took time.Duration, err error) {
	host, err := c.newVault(ctx, "carol")
	if err != nil {
		return 0, err
	}
	guest, err := c.newVault(ctx, "dave")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, host.stop(), guest.stop()) }()
	for _, v := range []*vault{host, guest} {
		if _, err := v.start(ctx); err != nil {
			return 0, err
		}
	}
	if _, err := host.run(ctx, "space", "create", spaceName); err != nil {
		return 0, err
	}
	if err := makeKilos(host.here(), c.size.kilos); err != nil {
		return 0, err
	}
	if err := host.daemon.quiet(ctx); err != nil {
		return 0, err
	}
	hosts, guests := host.daemon.cpu(), guest.daemon.cpu()
	begun := time.Now()
	if err := host.admit(ctx, guest); err != nil {
		return 0, err
	}
	in := time.Since(begun)
	if err := host.acknowledged(ctx); err != nil {
		return 0, err
	}
	took = time.Since(begun)
	hosts, guests = host.daemon.cpu()-hosts, guest.daemon.cpu()-guests
	c.report.fact(fmt.Sprintf("first sync of %d objects of 1 KB in %d folders, from the invitation until the joiner has them durably",
		c.size.kilos, c.size.kilos/perFolder), "%.2f s, of them %.2f s until it is a member; processor time %.2f s at the host, %.2f s at the joiner",
		took.Seconds(), in.Seconds(), hosts.Seconds(), guests.Seconds())
	mem, workers := guest.daemon.memory()
	c.report.fact("memory of the joiner after that", "%s, workers %s", mib(mem), mib(workers))
	return took, checkKilos(guest.here(), c.size.kilos)
}

// kilosSyncthing takes the time from the start of the second device, which the
// first knows and waits for.
func (c *conductor) kilosSyncthing(ctx context.Context) (took time.Duration, err error) {
	a, b, err := newSyncthings(ctx, filepath.Join(c.room, "syncthing"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.stop(), b.stop()) }()
	if err := makeKilos(a.folder, c.size.kilos); err != nil {
		return 0, err
	}
	if err := a.start(); err != nil {
		return 0, err
	}
	if err := a.holds(ctx, c.size.kilos); err != nil {
		return 0, err
	}
	if err := a.daemon.quiet(ctx); err != nil {
		return 0, err
	}
	before := a.daemon.cpu()
	begun := time.Now()
	if err := b.start(); err != nil {
		return 0, err
	}
	if err := b.holds(ctx, c.size.kilos); err != nil {
		return 0, err
	}
	took = time.Since(begun)
	c.report.fact(fmt.Sprintf("the same with Syncthing, from the start of the second device until it has %d files", c.size.kilos),
		"%.2f s; processor time %.2f s at the first, %.2f s at the second", took.Seconds(), (a.daemon.cpu() - before).Seconds(), b.daemon.cpu().Seconds())
	return took, checkKilos(b.folder, c.size.kilos)
}
