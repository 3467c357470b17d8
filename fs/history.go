package fs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"echofs/echo"
	"echofs/echo/doc"
	"echofs/echo/names"
)

// history mirrors the tree of a space; each file is a directory of its versions,
// the oldest first. What was deleted answers to the path it had, and is not
// listed.
func (c *control) history(dir echo.Node, rest string) (view, error) {
	s, err := c.space(dir)
	if err != nil {
		return view{}, err
	}
	n, name, err := c.mirror(dir, rest)
	switch {
	case errors.Is(err, echo.ErrNotFound):
		return c.deletedHistory(s, dir, rest)
	case err != nil:
		return view{}, err
	case !n.Kind.IsFile():
		return c.folder(n), nil
	}
	id := n.ID
	if !n.Of.IsZero() {
		id = n.Of
	}
	return c.made(dir, "history\x00"+id.String(), name, func(ctx context.Context) ([]item, error) {
		return c.versions(ctx, s, id, path.Ext(n.Name))
	})
}

// deletedHistory is the directory of an object that was deleted, or a version in
// it.
func (c *control) deletedHistory(s *echo.Space, dir echo.Node, rest string) (view, error) {
	of, name := rest, ""
	id, err := s.FindDeleted(of)
	if errors.Is(err, echo.ErrNotFound) {
		of, name = path.Dir(rest), path.Base(rest)
		id, err = s.FindDeleted(of)
	}
	if err != nil {
		return view{}, err
	}
	return c.made(dir, "history\x00"+id.String(), name, func(ctx context.Context) ([]item, error) {
		return c.versions(ctx, s, id, path.Ext(of))
	})
}

// versions makes the directory of an object's versions. A structured object's end
// in ".json" whatever the file is called.
func (c *control) versions(ctx context.Context, s *echo.Space, id doc.ObjectID, ext string) ([]item, error) {
	revs, err := s.History(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make([]item, 0, len(revs))
	for i := len(revs) - 1; i >= 0; i-- {
		r := revs[i]
		ext := ext
		if r.Kind == echo.KindObject {
			ext = jsonExt
		}
		if !r.Kind.IsFile() {
			continue
		}
		name := fmt.Sprintf("%d-%s-%s%s", r.Rev, r.Time.UTC().Format("20060102T150405Z"), plainName(r.Author), ext)
		out = append(out, item{name, c.version(s, id, r)})
	}
	return out, nil
}

func (c *control) version(s *echo.Space, id doc.ObjectID, r echo.Revision) view {
	v := view{modTime: r.Time, sized: true, size: r.Size}
	if b, ok := r.Blob(); ok {
		v.open = func(ctx context.Context) (handle, error) { return c.t.openVersion(ctx, s, b) }
	} else {
		v.content = func(ctx context.Context) ([]byte, error) { return s.ReadRevision(ctx, id, r) }
	}
	return v
}

// plainName makes a part of a file's name of a name that people gave.
func plainName(name string) string {
	if name == "" {
		return "unknown"
	}
	return names.Escape(name, true)
}

// moment is the space at a time that somebody named.
type moment struct {
	past *echo.Past
	used time.Time
}

const (
	// maxMoments is for how many times it is remembered what was then.
	maxMoments = 8
	// momentTime is how long a time such as "-2h" stays the same moment after it
	// was last used, so that who walks through the tree walks through one.
	momentTime = time.Minute
)

// past has the space as it was at any time; none is listed.
func (c *control) past(dir echo.Node, rest string) (view, error) {
	if rest == "" {
		return view{modTime: dir.ModTime, list: func() ([]viewEntry, error) { return nil, nil }}, nil
	}
	text, within, _ := strings.Cut(rest, "/")
	p, err := c.moment(dir, text)
	if err != nil {
		return view{}, err
	}
	ctx, cancel := context.WithTimeout(c.t.ctx, controlTime)
	defer cancel()
	n, depth := p.Root(), 0
	for more := within != ""; more; {
		var part string
		part, within, more = strings.Cut(within, "/")
		if n, err = p.Lookup(ctx, n, part); err != nil {
			return view{}, err
		}
		depth++
	}
	return c.pastView(dir, p, n, depth-1)
}

// moment returns the space at a time. What a text means, if it counts from now, is
// fixed when it is first looked up.
func (c *control) moment(dir echo.Node, text string) (*echo.Past, error) {
	p, now := controlPlace{dir.Ino, text}, time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if m, ok := c.moments.get(p); ok && now.Sub(m.used) < momentTime {
		m.used = now
		return m.past, nil
	}
	when, err := echo.ParseTime(text, now)
	if err != nil {
		return nil, err
	}
	s, err := c.space(dir)
	if err != nil {
		return nil, err
	}
	m := &moment{s.At(when), now}
	c.moments.put(p, m)
	return m.past, nil
}

// pastView is a node of the past, so many folders below the root.
func (c *control) pastView(dir echo.Node, p *echo.Past, n echo.PastNode, depth int) (view, error) {
	v := view{modTime: n.ModTime, sized: true, size: n.Size}
	switch n.Kind {
	case echo.KindSpace, echo.KindFolder:
		v.list = func() ([]viewEntry, error) { return c.pastList(p, n) }
	case echo.KindLink:
		if err := echo.CheckTarget(n.Target, depth); err != nil {
			return view{}, err
		}
		v.link = n.Target
	case echo.KindBlob:
		s, err := c.space(dir)
		if err != nil {
			return view{}, err
		}
		b, _ := n.Blob()
		v.open = func(ctx context.Context) (handle, error) { return c.t.openVersion(ctx, s, b) }
	default:
		v.content = func(ctx context.Context) ([]byte, error) { return p.Read(ctx, n) }
	}
	return v, nil
}

func (c *control) pastList(p *echo.Past, n echo.PastNode) ([]viewEntry, error) {
	ctx, cancel := context.WithTimeout(c.t.ctx, controlTime)
	defer cancel()
	list, err := p.List(ctx, n)
	out := make([]viewEntry, 0, min(len(list), maxListed))
	for _, e := range list[:min(len(list), maxListed)] {
		out = append(out, viewEntry{name: e.Name, dir: e.Kind == echo.KindFolder, link: e.Kind == echo.KindLink})
	}
	return out, err
}
