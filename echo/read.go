package echo

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"echofs/echo/doc"
)

// Reading takes no lock: each method is one to three gets of the store, which
// holds what the last commit left there.

// Node returns a node. ErrNotFound where there is none, or none any more.
func (r *Repo) Node(ino Ino) (Node, error) {
	if ino == RootIno {
		return r.root(), nil
	}
	row, err := getNode(r.store, ino)
	if err != nil {
		return Node{}, fmt.Errorf("inode %d: %w", ino, err)
	}
	return r.nodeOf(ino, row), nil
}

func (r *Repo) root() Node {
	n := Node{Ino: RootIno, Parent: RootIno, Kind: KindRoot}
	for _, s := range r.Spaces() {
		if row, err := getNode(r.store, s.ino); err == nil && row.Changed > nanos(n.Changed) {
			n.Changed = time.Unix(0, row.Changed)
		}
	}
	n.ModTime = n.Changed
	return n
}

func (r *Repo) nodeOf(ino Ino, row *nodeRow) Node {
	s, ok := r.SpaceByID(row.Space)
	return row.node(ino, !ok || !s.mayWrite())
}

// Lookup returns the child of a directory by its shown name.
func (r *Repo) Lookup(parent Ino, name string) (Node, error) {
	if r.hides(parent) {
		return Node{}, fmt.Errorf("%q: %w", name, ErrNotFound)
	}
	ino, err := lookupName(r.store, parent, name)
	if err != nil {
		return Node{}, fmt.Errorf("%q: %w", name, err)
	}
	return r.Node(ino)
}

// hides reports whether nothing in a directory is shown: it is the root of a space
// of which this device is a relay.
func (r *Repo) hides(dir Ino) bool {
	if r.relays.Load() == 0 {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.spaces {
		if s.ino == dir {
			return s.Relays()
		}
	}
	return false
}

// listPage is how many children are read at a time, so that a listing of a
// large directory holds no view of the store for long.
const listPage = 512

// List calls fn for the children of a directory with numbers above after, in
// ascending order of Ino (the cursor of a readdir), until fn returns false.
// Entries made while it runs may be seen or not; every other one is seen once.
func (r *Repo) List(parent, after Ino, fn func(Node) bool) error {
	if r.hides(parent) {
		return nil
	}
	end := prefixEnd(key(tableList, parent))
	for {
		page := make([]Ino, 0, listPage)
		err := r.store.Scan(key(tableList, parent, after+1), end, func(k, _ []byte) bool {
			page = append(page, keyIno(k, 9))
			return len(page) < listPage
		})
		if err != nil {
			return fmt.Errorf("list directory %d: %w", parent, err)
		}
		rows, err := r.nodeRows(page)
		if err != nil {
			return fmt.Errorf("list directory %d: %w", parent, err)
		}
		for i, ino := range page {
			if row := rows[i]; row == nil || row.Parent != parent || row.Name == "" {
				continue // moved or removed since the page was read
			}
			if !fn(r.nodeOf(ino, rows[i])) {
				return nil
			}
		}
		if len(page) < listPage {
			return nil
		}
		after = page[len(page)-1]
	}
}

// sparse is how many times more numbers than nodes a range may have to be
// worth scanning.
const sparse = 8

// nodeRows returns the rows of nodes, whose numbers ascend; nil for those that
// are gone. Children of one directory mostly have numbers close together, and
// one scan is much cheaper than a get for each.
func (r *Repo) nodeRows(inos []Ino) ([]*nodeRow, error) {
	rows := make([]*nodeRow, len(inos))
	if len(inos) == 0 {
		return rows, nil
	}
	first, last := inos[0], inos[len(inos)-1]
	if int(last-first) > sparse*len(inos) {
		for i, ino := range inos {
			row, err := getNode(r.store, ino)
			if err != nil && !isNotFound(err) {
				return nil, err
			}
			rows[i] = row
		}
		return rows, nil
	}
	next := 0
	var bad error
	err := r.store.Scan(key(tableNode, first), key(tableNode, last+1), func(k, v []byte) bool {
		ino := keyIno(k, 1)
		for next < len(inos) && inos[next] < ino {
			next++
		}
		if next == len(inos) || inos[next] != ino {
			return next < len(inos)
		}
		row := &nodeRow{}
		if bad = decodeRow(v, row); bad != nil {
			return false
		}
		rows[next] = row
		return true
	})
	return rows, errors.Join(err, bad)
}

// Content returns what an object's file holds now: a draft if there is one.
// Fresh files are empty. ErrBlob for blobs: see OpenBlob.
func (r *Repo) Content(ino Ino) (Content, error) {
	row, err := getNode(r.store, ino)
	if err != nil {
		return Content{}, fmt.Errorf("inode %d: %w", ino, err)
	}
	c := Content{Version: Version{row.Heads}, ModTime: time.Unix(0, row.ModTime)}
	if row.HasDraft {
		c.Draft, c.ModTime = true, time.Unix(0, row.DraftAt)
		c.Data, err = r.store.Get(key(tableDraftData, ino))
		return c, wrapf(err, "draft of %q", row.Name)
	}
	c.Data, err = currentText(r.store, row)
	return c, wrapf(err, "content of %q", row.Name)
}

// currentText returns the text of an object below any draft.
func currentText(r reader, row *nodeRow) ([]byte, error) {
	switch {
	case row.Stage == Fresh:
		return nil, nil
	case row.Kind == KindObject:
		return r.Get(key(tableText, row.Space, row.ID))
	case row.Kind == KindText:
		v, err := getValue(r, row.Space, row.ID)
		if err != nil {
			return nil, err
		}
		return []byte(viewOf(KindText, v).Str), nil
	case row.Kind == KindLink:
		return []byte(row.Target + "\n"), nil
	case row.Kind == KindBlob:
		return nil, ErrBlob
	}
	return nil, ErrIsDir
}

// getValue returns the structure of an object as it is now.
func getValue(r reader, space SpaceID, id doc.ObjectID) (*doc.Value, error) {
	b, err := r.Get(key(tableValue, space, id))
	if err != nil {
		return nil, err
	}
	v, err := doc.DecodeValue(b)
	if err != nil {
		return nil, fmt.Errorf("damaged value of object %s: %w", id, err)
	}
	return v, nil
}

// Path returns the path of a node from the root, without a leading slash:
// "space/folder/name". A node that is not in the tree has the path of the
// folder it was removed from, as far as that is known.
func (r *Repo) Path(ino Ino) (string, error) {
	var parts []string
	for ino != RootIno {
		row, err := getNode(r.store, ino)
		if err != nil {
			return "", fmt.Errorf("path of inode %d: %w", ino, err)
		}
		name := row.Name
		if name == "" {
			name = row.Label
		}
		parts = append([]string{name}, parts...)
		if len(parts) > maxDepth {
			return "", fmt.Errorf("path of inode %d: %w", ino, ErrLoop)
		}
		ino = row.Parent
	}
	return strings.Join(parts, "/"), nil
}

// Resolve returns the node at a path as Path gives it.
func (r *Repo) Resolve(path string) (Node, error) {
	n := r.root()
	for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
		if part == "" {
			continue
		}
		if !n.Kind.IsDir() {
			return Node{}, fmt.Errorf("%q: %w", path, ErrNotDir)
		}
		child, err := r.Lookup(n.Ino, part)
		if err != nil {
			return Node{}, fmt.Errorf("%q: %w", path, err)
		}
		n = child
	}
	return n, nil
}

// wrapf adds what was being done to an error, and leaves nil alone.
func wrapf(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
