package fs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"echofs/echo"
	"echofs/echo/doc"
)

// byType has a directory for each type, with links to its objects. Besides the
// names that are listed, each name by which a query finds a type leads to it.
func (c *control) byType(dir echo.Node, rest string) (view, error) {
	if rest == "" {
		return view{modTime: dir.ModTime, list: func() ([]viewEntry, error) { return c.typeList(dir) }}, nil
	}
	first, name, _ := strings.Cut(rest, "/")
	v, err := c.made(dir, "by-type/"+first, name, func(ctx context.Context) ([]item, error) {
		return c.matching(ctx, dir, "by-type/"+first, echo.Query{Type: unescapeType(first)})
	})
	if err != nil || name != "" {
		return v, err
	}
	if list, err := v.list(); err != nil || len(list) == 0 {
		return view{}, errors.Join(err, echo.ErrNotFound)
	}
	return v, nil
}

// Types are URIs, names of files have no slashes.
func escapeType(t string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F").Replace(t)
}

func unescapeType(name string) string {
	return strings.NewReplacer("%25", "%", "%2F", "/").Replace(name)
}

func (c *control) typeList(dir echo.Node) ([]viewEntry, error) {
	seen := map[string]bool{}
	err := c.each(dir.Ino, func(n echo.Node) bool {
		if n.Type != "" {
			seen[escapeType(n.Type)] = true
		}
		return len(seen) < maxListed
	})
	var out []viewEntry
	for name := range seen {
		out = append(out, viewEntry{name: name, dir: true})
	}
	slices.SortFunc(out, func(a, b viewEntry) int { return strings.Compare(a.name, b.name) })
	return out, err
}

// matching makes links to what a query finds.
func (c *control) matching(ctx context.Context, dir echo.Node, path string, q echo.Query) ([]item, error) {
	s, err := c.space(dir)
	if err != nil {
		return nil, err
	}
	found, err := s.Query(ctx, q)
	if err != nil {
		return nil, err
	}
	ids := make([]doc.ObjectID, 0, len(found))
	for _, r := range found {
		ids = append(ids, r.ID)
	}
	return c.linksTo(s, path, ids)
}

// linksTo makes links to objects; those that are not there have none.
func (c *control) linksTo(s *echo.Space, path string, ids []doc.ObjectID) ([]item, error) {
	nodes := make([]echo.Node, 0, len(ids))
	for _, id := range ids {
		n, err := s.NodeByID(id)
		if errors.Is(err, echo.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return c.links(path, nodes)
}

// graph makes the directory of an object with links to others.
func graph(ids func(*echo.Space, doc.ObjectID) ([]doc.ObjectID, error)) func(*control, echo.Node, string) func(context.Context) ([]item, error) {
	return func(c *control, n echo.Node, path string) func(context.Context) ([]item, error) {
		return func(context.Context) ([]item, error) {
			s, err := c.space(n)
			if err != nil {
				return nil, err
			}
			all, err := ids(s, n.ID)
			if err != nil {
				return nil, err
			}
			return c.linksTo(s, path, all)
		}
	}
}

// query has a directory for every query there is; none is listed.
func (c *control) query(dir echo.Node, rest string) (view, error) {
	if rest == "" {
		return view{modTime: dir.ModTime, list: func() ([]viewEntry, error) { return nil, nil }}, nil
	}
	expr, name := rest, ""
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		expr, name = rest[:i], rest[i+1:]
	}
	q, err := parseQuery(expr)
	if err != nil {
		return view{}, err
	}
	return c.made(dir, "query/"+expr, name, func(ctx context.Context) ([]item, error) {
		return c.matching(ctx, dir, "query/"+expr, q)
	})
}

const jqPrefix = "jq:"

// parseQuery reads a query as a name of a directory spells it: "jq:" and a jq
// expression, or conditions with commas between them. A condition is
// "type=Task", "text=some words", "field=value" or "field!=value", where a field
// of a field has a dot and a value that is no JSON is a string.
func parseQuery(expr string) (q echo.Query, err error) {
	if where, ok := strings.CutPrefix(expr, jqPrefix); ok {
		return echo.Query{Where: where}, nil
	}
	var where []string
	for cond := range strings.SplitSeq(expr, ",") {
		key, value, ok := strings.Cut(cond, "=")
		if !ok || key == "" {
			return q, fmt.Errorf("%w: %q is no condition", echo.ErrBadQuery, cond)
		}
		op := "=="
		if k, not := strings.CutSuffix(key, "!"); not {
			key, op = k, "!="
		}
		switch {
		case key == "type" && op == "==":
			q.Type = value
		case key == "text" && op == "==":
			q.Text = value
		default:
			where = append(where, jqCondition(key, op, value))
		}
	}
	q.Where = strings.Join(where, " and ")
	return q, nil
}

// jqCondition compares a field in jq. What is not there is null.
func jqCondition(key, op, value string) string {
	path, _ := json.Marshal(strings.Split(key, "."))
	literal := value
	if !json.Valid([]byte(value)) {
		quoted, _ := json.Marshal(value)
		literal = string(quoted)
	}
	return fmt.Sprintf("((try getpath(%s) catch null) %s %s)", path, op, literal)
}
