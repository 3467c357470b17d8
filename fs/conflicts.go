package fs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"time"

	"echofs/echo"
	"echofs/echo/names"
)

// conflictRecord is a contested field as the command shows it.
type conflictRecord struct {
	Path    string          `json:"path"`
	Pointer string          `json:"pointer"`
	Values  []conflictValue `json:"values"`
}

type conflictValue struct {
	Value  json.RawMessage `json:"value"`
	Author string          `json:"author"`
	Device string          `json:"device"`
	Time   time.Time       `json:"time"`
	Winner bool            `json:"winner"`
}

func conflictRecordOf(f echo.Conflict) conflictRecord {
	r := conflictRecord{Path: f.Path, Pointer: f.Pointer}
	for _, v := range f.Values {
		r.Values = append(r.Values, conflictValue{v.Value, v.Author, v.Device, v.Time, v.Winner})
	}
	return r
}

// conflicts has for each file with contested fields a file at its path and
// ".json", which lists them, and a directory at its path with a file for each
// field: it lists the values, and what is written to it settles the field. Where
// a contested file's list has the path of another file, it is the list.
func (c *control) conflicts(dir echo.Node, rest string) (view, error) {
	if base, ok := strings.CutSuffix(rest, jsonExt); ok {
		if n, err := c.walk(dir, base); err == nil && n.Kind.IsFile() {
			if v, err := c.conflictsOf(n); !errors.Is(err, echo.ErrNotFound) {
				return v, err
			}
		}
	}
	n, name, err := c.mirror(dir, rest)
	if err != nil {
		return view{}, err
	}
	if n.Kind.IsFile() {
		return c.contested(n, strings.TrimSuffix(strings.TrimSuffix(rest, name), "/"), name)
	}
	s, err := c.space(dir)
	if err != nil {
		return view{}, err
	}
	return view{modTime: n.ModTime, list: func() ([]viewEntry, error) {
		ctx, cancel := context.WithTimeout(c.t.ctx, controlTime)
		defer cancel()
		all, err := s.Conflicts(ctx)
		return conflictList(all, rest), err
	}}, nil
}

// conflictList lists a directory of conflicts.
func conflictList(all []echo.Conflict, rest string) []viewEntry {
	paths := make([]string, 0, len(all))
	for _, f := range all {
		paths = append(paths, f.Path)
	}
	return below(paths, rest, func(name string) []viewEntry {
		return []viewEntry{{name: name + jsonExt}, {name: name, dir: true}}
	})
}

// conflictsOf is the list of a file's contested fields; ErrNotFound where it has
// none.
func (c *control) conflictsOf(n echo.Node) (view, error) {
	ctx, cancel := context.WithTimeout(c.t.ctx, controlTime)
	defer cancel()
	all, err := c.t.repo.ConflictsOf(ctx, n.Ino)
	if err != nil {
		return view{}, err
	}
	if len(all) == 0 {
		return view{}, echo.ErrNotFound
	}
	out := make([]conflictRecord, 0, len(all))
	for _, f := range all {
		out = append(out, conflictRecordOf(f))
	}
	return record(n.ModTime, out), nil
}

// contested is the directory of a file's contested fields, or a field in it;
// ErrNotFound for a file that has none.
func (c *control) contested(n echo.Node, path, field string) (view, error) {
	// What was found holds for the version it was found in.
	key := "conflicts/" + path + "\x00" + strings.Join(n.Version.Heads.Strings(), " ")
	v, err := c.made(n, key, field, func(ctx context.Context) ([]item, error) {
		all, err := c.t.repo.ConflictsOf(ctx, n.Ino)
		if err != nil {
			return nil, err
		}
		out := make([]item, 0, len(all))
		for _, f := range all {
			out = append(out, item{fieldName(f.Pointer), c.field(n, f)})
		}
		return out, nil
	})
	if err != nil || field != "" {
		return v, err
	}
	if list, err := v.list(); err != nil || len(list) == 0 {
		return view{}, errors.Join(err, echo.ErrNotFound)
	}
	return v, nil
}

// fieldName is the name of the file of a contested field: its JSON pointer
// without the first slash, as the name of a file (the further slashes are
// "%2F", one that is too long is cut and ends with a hash); "@name", "@parent" and
// "@body" for what is no field. Fields that begin with "@" are ECHO's.
func fieldName(pointer string) string {
	switch field, isField := strings.CutPrefix(pointer, "/"); {
	case isField:
		sum := sha256.Sum256([]byte(field))
		return names.Component(field, hex.EncodeToString(sum[:]), true)
	case pointer == "":
		return "@body"
	}
	return "@" + pointer
}

// field is the file of a contested field.
func (c *control) field(n echo.Node, f echo.Conflict) view {
	v := record(n.ModTime, conflictRecordOf(f).Values)
	if n.ReadOnly {
		return v
	}
	v.accept = func(ctx context.Context, data []byte) error {
		err := c.t.repo.SettleConflict(ctx, n.Ino, f.Pointer, data)
		c.t.changed(n.Ino)
		return asWritten(err)
	}
	return v
}

// asWritten makes one error of all that can be wrong with a value.
func asWritten(err error) error {
	for _, bad := range []error{echo.ErrInvalidName, echo.ErrNotFound, echo.ErrNotDir, echo.ErrLoop} {
		if errors.Is(err, bad) {
			return syscall.EINVAL
		}
	}
	return err
}
