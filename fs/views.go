package fs

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"echofs/echo"
	"echofs/echo/doc"
)

// told is a file whose content comes from Options.Control.
func told(name string) func(*control, echo.Node, string) (view, error) {
	return func(c *control, dir echo.Node, _ string) (view, error) {
		if c.t.opts.Control == nil {
			return view{}, echo.ErrNotFound
		}
		full := name
		if dir.Kind == echo.KindSpace {
			s, ok := c.t.repo.SpaceByID(dir.Space)
			if !ok {
				return view{}, echo.ErrNotFound
			}
			full = s.PublicID() + "/" + name
		}
		return view{modTime: time.Now(), content: func(ctx context.Context) ([]byte, error) {
			return c.t.opts.Control(ctx, full)
		}}, nil
	}
}

const jsonExt = ".json"

// meta mirrors the tree of a space; each node has a file with what is known of
// it, named as the node and ".json".
func (c *control) meta(dir echo.Node, rest string) (view, error) {
	if base, ok := strings.CutSuffix(rest, jsonExt); ok && base != "" {
		if n, err := c.walk(dir, base); err == nil {
			return c.metaFile(n), nil
		}
	}
	n, err := c.walk(dir, rest)
	if err != nil {
		return view{}, err
	}
	if !n.Kind.IsDir() {
		return view{}, echo.ErrNotFound
	}
	return view{modTime: n.ModTime, list: func() ([]viewEntry, error) { return c.metaList(n.Ino) }}, nil
}

func (c *control) metaFile(n echo.Node) view {
	return view{modTime: n.Changed, content: func(ctx context.Context) ([]byte, error) {
		st, err := c.t.repo.Stat(ctx, n.Ino)
		if err != nil {
			return nil, err
		}
		if c.t.opts.Present != nil {
			st.Present = c.t.opts.Present(n)
		}
		out, err := json.MarshalIndent(st, "", "  ")
		return append(out, '\n'), err
	}}
}

func (c *control) metaList(ino echo.Ino) ([]viewEntry, error) {
	var out []viewEntry
	err := c.t.repo.List(ino, 0, func(n echo.Node) bool {
		out = append(out, viewEntry{name: n.Name + jsonExt})
		if n.Kind.IsDir() {
			out = append(out, viewEntry{name: n.Name, dir: true})
		}
		return len(out) < maxListed
	})
	return out, err
}

// maxListed bounds the listing of a control directory. Every entry answers to
// its name, also where it is not listed.
const maxListed = 100_000

// walk follows a path of names from a directory.
func (c *control) walk(n echo.Node, rest string) (echo.Node, error) {
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" {
			continue
		}
		var err error
		if n, err = c.t.repo.Lookup(n.Ino, part); err != nil {
			return echo.Node{}, err
		}
	}
	return n, nil
}

// byID has the files of a space by their ids.
func (c *control) byID(dir echo.Node, rest string) (view, error) {
	if rest == "" {
		return view{modTime: dir.ModTime, list: func() ([]viewEntry, error) { return c.idList(dir) }}, nil
	}
	id, err := doc.ParseObjectID(strings.TrimSuffix(rest, path.Ext(rest)))
	if err != nil {
		return view{}, echo.ErrNotFound
	}
	s, ok := c.t.repo.SpaceByID(dir.Space)
	if !ok {
		return view{}, echo.ErrNotFound
	}
	found, err := s.NodeByID(id)
	if err != nil {
		return view{}, err
	}
	if found.Name == "" || !found.Kind.IsFile() || idName(found) != rest {
		return view{}, echo.ErrNotFound
	}
	if b, ok := found.Blob(); ok {
		return view{modTime: found.ModTime, sized: true, size: b.Size, open: func(ctx context.Context) (handle, error) {
			return c.t.openVersion(ctx, s, b)
		}}, nil
	}
	return view{modTime: found.ModTime, content: func(context.Context) ([]byte, error) {
		content, err := c.t.repo.Content(found.Ino)
		return content.Data, err
	}}, nil
}

// idName is the name of an object in by-id.
func idName(n echo.Node) string {
	switch n.Kind {
	case echo.KindText:
		return n.ID.String() + ".txt"
	case echo.KindBlob:
		return n.ID.String() + ".bin"
	}
	return n.ID.String() + jsonExt
}

func (c *control) idList(dir echo.Node) ([]viewEntry, error) {
	var out []viewEntry
	err := c.each(dir.Ino, func(n echo.Node) bool {
		if n.Kind.IsFile() && n.Of.IsZero() {
			out = append(out, viewEntry{name: idName(n)})
		}
		return len(out) < maxListed
	})
	slices.SortFunc(out, func(a, b viewEntry) int { return strings.Compare(a.name, b.name) })
	return out, err
}

// each calls fn for what lies under a directory until it returns false.
func (c *control) each(dir echo.Ino, fn func(echo.Node) bool) error {
	queue := []echo.Ino{dir}
	for more := true; more && len(queue) > 0; {
		next := queue[0]
		queue = queue[1:]
		err := c.t.repo.List(next, 0, func(n echo.Node) bool {
			if n.Kind == echo.KindFolder {
				queue = append(queue, n.Ino)
			}
			more = n.Kind == echo.KindFolder || n.Kind == echo.KindLink || fn(n)
			return more
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const errorExt = ".error"

// drafts has the saves of a space that were not valid, at their paths, each with
// a file that says why.
func (c *control) drafts(dir echo.Node, rest string) (view, error) {
	all, err := c.t.repo.Drafts(dir.Space)
	if err != nil {
		return view{}, err
	}
	for _, d := range all {
		switch rest {
		case d.Path:
			return view{modTime: d.Saved, content: func(context.Context) ([]byte, error) {
				full, err := c.t.repo.DraftOf(d.Ino)
				return full.Data, err
			}}, nil
		case d.Path + errorExt:
			return view{modTime: d.Saved, content: func(context.Context) ([]byte, error) { return []byte(reason(d)), nil }}, nil
		}
	}
	list := draftList(all, rest)
	if len(list) == 0 && rest != "" {
		return view{}, echo.ErrNotFound
	}
	return view{modTime: dir.ModTime, list: func() ([]viewEntry, error) { return list, nil }}, nil
}

// draftList lists a directory of drafts.
func draftList(all []echo.Draft, rest string) []viewEntry {
	paths := make([]string, 0, len(all))
	for _, d := range all {
		paths = append(paths, d.Path)
	}
	return below(paths, rest, func(name string) []viewEntry {
		return []viewEntry{{name: name}, {name: name + errorExt}}
	})
}

// below lists a directory of a tree that has only the files at some paths;
// entries says what stands for a file there.
func below(paths []string, dir string, entries func(name string) []viewEntry) []viewEntry {
	if dir != "" {
		dir += "/"
	}
	seen := map[viewEntry]bool{}
	var out []viewEntry
	for _, p := range paths {
		rest, ok := strings.CutPrefix(p, dir)
		if !ok {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		list := []viewEntry{{name: name, dir: true}}
		if !deeper {
			list = entries(name)
		}
		for _, e := range list {
			if !seen[e] {
				seen[e] = true
				out = append(out, e)
			}
		}
	}
	return out
}

// reason says in the way of a compiler what is wrong with a draft, so that
// editors can jump to it.
func reason(d echo.Draft) string {
	where := d.Path
	if d.Why.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", d.Path, d.Why.Line, d.Why.Column)
	}
	out := where + ": " + d.Why.Reason
	if d.Why.Pointer != "" {
		out += " (at " + d.Why.Pointer + ")"
	}
	switch {
	case d.Gone:
		out += "; the object was deleted meanwhile"
	case d.Changed:
		out += "; the object was changed meanwhile"
	}
	return out + "\n"
}
