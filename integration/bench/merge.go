package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/echo/engine"
	"echofs/pebble"
)

// historian saves objects inside this process.
type historian struct {
	repo *echo.Repo
	dir  echo.Ino // of the space
}

// merge measures what a save costs that its author based on an old version,
// for histories of several lengths.
func (c *conductor) merge(ctx context.Context) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	eng, err := engine.New(engine.Options{Command: []string{self, "engine"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	db, err := pebble.Open(filepath.Join(c.room, "merge"), pebble.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	keys, err := echotest.NewKeys()
	if err != nil {
		return err
	}
	identity, err := echotest.NewIdentity(keys.Device())
	if err != nil {
		return err
	}
	repo, err := echo.Open(ctx, echo.Options{Store: db, Engine: eng, Keys: keys, Identity: identity, IdentityName: "ada", DeviceName: "a"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	s, err := repo.CreateSpace(ctx, spaceName)
	if err != nil {
		return err
	}
	h := &historian{repo, s.Ino()}
	for _, length := range c.size.histories {
		costs, err := h.measure(ctx, length, c.size.stale)
		if err != nil {
			return fmt.Errorf("history of %d: %w", length, err)
		}
		c.report.merges = append(c.report.merges, costs)
	}
	return nil
}

// mergeCosts is what saves cost at a length of history.
type mergeCosts struct {
	length                int
	build                 time.Duration // of the history
	current, last, oldest samples       // saves based on the current, the last, and the first version
	refused               int           // saves that took the engine too long, and which a mount keeps as drafts
}

func (h *historian) measure(ctx context.Context, length, count int) (*mergeCosts, error) {
	n, err := h.repo.CreateFile(ctx, h.dir, fmt.Sprintf("h%d.json", length), 0)
	if err != nil {
		return nil, err
	}
	o := &history{historian: h, ino: n.Ino}
	if _, err := o.save(ctx, nil); err != nil {
		return nil, err
	}
	if err := h.repo.Settle(ctx, n.Ino); err != nil {
		return nil, err
	}
	first, err := o.version()
	if err != nil {
		return nil, err
	}
	costs := &mergeCosts{length: length}
	for range length {
		took, err := o.save(ctx, nil)
		if err != nil {
			return nil, err
		}
		costs.build += took
	}
	for range count {
		before, err := o.version()
		if err != nil {
			return nil, err
		}
		for _, kind := range []struct {
			base *echo.Version
			into *samples
		}{{nil, &costs.current}, {&before, &costs.last}, {&first, &costs.oldest}} {
			took, err := o.save(ctx, kind.base)
			if isRefusal(err) {
				costs.refused++
			} else if err != nil {
				return nil, err
			}
			*kind.into = append(*kind.into, took)
		}
	}
	return costs, nil
}

// isRefusal reports whether a save was refused: the content is good, so it is
// the engine that did not merge it.
func isRefusal(err error) bool {
	_, refused := errors.AsType[*echo.InvalidError](err)
	return refused
}

// history is an object that is saved often.
type history struct {
	*historian
	ino   echo.Ino
	count int
}

func (o *history) version() (echo.Version, error) {
	n, err := o.repo.Node(o.ino)
	return n.Version, err
}

// save saves what was not saved before, based on a version; nil for the
// current one.
func (o *history) save(ctx context.Context, base *echo.Version) (time.Duration, error) {
	o.count++
	begun := time.Now()
	s, err := o.repo.Save(ctx, echo.Save{Ino: o.ino, Data: object(0, o.count), Base: base, Rule: "bench"})
	if err == nil && !s.Changed {
		err = errors.New("a save changed nothing")
	}
	return time.Since(begun), err
}
