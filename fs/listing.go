package fs

import (
	"context"
	"errors"
	"strings"
	"time"

	"echofs/echo"
	"echofs/echo/names"
)

// item is an entry of a directory that is made as a whole.
type item struct {
	name string
	view view
}

// listing is what such a directory held a moment ago. Programs that list a
// directory ask for each entry of it afterwards.
type listing struct {
	items []item
	names map[string]view
	made  time.Time
}

const (
	listingTime = time.Second
	maxListings = 64
)

// made returns the view of a directory that fn makes, or of an entry of it. It
// has as long as a file of the control directories.
func (c *control) made(dir echo.Node, path, name string, fn func(context.Context) ([]item, error)) (view, error) {
	p := controlPlace{dir.Ino, path}
	c.mu.Lock()
	l, ok := c.listings.get(p)
	c.mu.Unlock()
	if !ok || time.Since(l.made) > listingTime {
		ctx, cancel := context.WithTimeout(c.t.ctx, controlTime)
		defer cancel()
		items, err := fn(ctx)
		if err != nil {
			return view{}, err
		}
		l = newListing(items)
		c.mu.Lock()
		c.listings.put(p, l)
		c.mu.Unlock()
	}
	if name == "" {
		return view{modTime: dir.ModTime, list: func() ([]viewEntry, error) { return l.entries(), nil }}, nil
	}
	v, ok := l.names[name]
	if !ok {
		return view{}, echo.ErrNotFound
	}
	return v, nil
}

// forgetListing makes a directory be made again.
func (c *control) forgetListing(p controlPlace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listings.drop(p)
}

func newListing(items []item) listing {
	l := listing{items: items[:min(len(items), maxListed)], names: make(map[string]view, len(items)), made: time.Now()}
	for _, i := range items {
		l.names[i.name] = i.view
	}
	return l
}

func (l listing) entries() []viewEntry {
	out := make([]viewEntry, 0, len(l.items))
	for _, i := range l.items {
		out = append(out, i.view.entry(i.name))
	}
	return out
}

// mirror follows a path in a directory whose folders are those of the space and
// whose files are directories of their own. It returns the node, and the name
// below a file's.
func (c *control) mirror(dir echo.Node, rest string) (n echo.Node, name string, err error) {
	n = dir
	for rest != "" {
		if n.Kind.IsFile() {
			return n, rest, nil
		}
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if n, err = c.t.repo.Lookup(n.Ino, part); err != nil {
			return n, "", err
		}
	}
	if !n.Kind.IsFile() && n.Kind != echo.KindFolder && n.Kind != echo.KindSpace {
		return n, "", echo.ErrNotFound
	}
	return n, "", nil
}

// folder lists a folder of a mirror.
func (c *control) folder(n echo.Node) view {
	return view{modTime: n.ModTime, list: func() ([]viewEntry, error) {
		var out []viewEntry
		err := c.t.repo.List(n.Ino, 0, func(n echo.Node) bool {
			if n.Kind.IsFile() || n.Kind == echo.KindFolder {
				out = append(out, viewEntry{name: n.Name, dir: true})
			}
			return len(out) < maxListed
		})
		return out, err
	}}
}

// mirrored is a control directory that mirrors the tree of the space, where fn
// makes the directory of a file; path is where it is in the control directory.
func mirrored(top string, fn func(c *control, n echo.Node, path string) func(context.Context) ([]item, error)) func(*control, echo.Node, string) (view, error) {
	return func(c *control, dir echo.Node, rest string) (view, error) {
		n, name, err := c.mirror(dir, rest)
		if err != nil {
			return view{}, err
		}
		if !n.Kind.IsFile() {
			return c.folder(n), nil
		}
		path := top + "/" + strings.TrimSuffix(strings.TrimSuffix(rest, name), "/")
		return c.made(dir, path, name, fn(c, n, path))
	}
}

// space returns the space of a control directory.
func (c *control) space(dir echo.Node) (*echo.Space, error) {
	s, ok := c.t.repo.SpaceByID(dir.Space)
	if !ok {
		return nil, echo.ErrNotFound
	}
	return s, nil
}

// links makes a directory of symbolic links to nodes of the space. path is where
// it is in the control directory.
func (c *control) links(path string, nodes []echo.Node) ([]item, error) {
	up := strings.Repeat("../", strings.Count(path, "/")+2) // with the control directory itself
	out := make([]item, 0, len(nodes))
	taken := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		full, err := c.t.repo.Path(n.Ino)
		if errors.Is(err, echo.ErrNotFound) || err == nil && n.Name == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		_, within, _ := strings.Cut(full, "/")
		name := n.Name
		if taken[name] {
			name = names.Suffixed(name, n.ID.String())
		}
		taken[name] = true
		out = append(out, item{name, view{modTime: n.ModTime, link: up + within}})
	}
	return out, nil
}
