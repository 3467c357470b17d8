package echo

import (
	"path"
	"slices"
	"strings"

	"echofs/echo/doc"
	"echofs/echo/model"
)

// References are ids in documents and paths in files. A path is relative to
// the folder of the file that has it, so it changes when either end moves: the
// texts of the files concerned are then written again (retellRefs). A path by
// which an object went before still leads to it, unless another object has it
// now, so a buffer that was read before the move does not break the link.

// maxRetell bounds the files whose texts one transaction writes again because
// what they refer to moved. The paths of more stay as they were, and lead
// where they led.
const maxRetell = 10_000

// folders returns the names of the folders above a file within the space, the
// outermost first.
func folders(r reader, parent Ino) ([]string, error) {
	var parts []string
	for range maxDepth {
		row, err := getNode(r, parent)
		if err != nil {
			return nil, err
		}
		if row.Kind == KindSpace {
			break
		}
		parts = append(parts, row.Name)
		parent = row.Parent
	}
	slices.Reverse(parts)
	return parts, nil
}

// relativePath returns the path that leads from one place to another.
func relativePath(from, to []string) string {
	same := 0
	for same < len(from) && same < len(to)-1 && from[same] == to[same] {
		same++
	}
	up := slices.Repeat([]string{".."}, len(from)-same)
	return strings.Join(append(up, to[same:]...), "/")
}

// showRefs returns a view as the file in a folder shows it.
func (s *Space) showRefs(r reader, folder Ino, view *doc.Value) *doc.Value {
	var from []string
	known := false
	return model.ShowRefs(view, func(ref model.Ref) (string, bool) {
		if ref.Space != "" && ref.Space != s.PublicID() {
			return "", false
		}
		obj, err := getObject(r, s.id, ref.Object)
		if err != nil || obj.Ino == 0 {
			return "", false
		}
		row, err := getNode(r, obj.Ino)
		if err != nil || row.Name == "" {
			return "", false
		}
		if !known {
			if from, err = folders(r, folder); err != nil {
				return "", false
			}
			known = true
		}
		to, err := folders(r, row.Parent)
		if err != nil {
			return "", false
		}
		return relativePath(from, append(to, row.Name)), true
	})
}

// resolveRefs returns a view, as it was read from a file in a folder, with
// paths replaced by references. base is the view its author was looking at.
func (s *Space) resolveRefs(r reader, folder Ino, view, base *doc.Value) *doc.Value {
	var shown *doc.Value
	if base != nil {
		shown = s.showRefs(r, folder, base)
	}
	return model.ResolveRefs(view, base, shown, func(p string) (model.Ref, bool) {
		id, ok := s.resolvePath(r, folder, p)
		return model.Ref{Object: id}, ok
	})
}

// resolvePath follows a relative path within the space.
func (s *Space) resolvePath(r reader, folder Ino, p string) (doc.ObjectID, bool) {
	if p == "" || path.IsAbs(p) || len(p) > 4096 {
		return doc.ObjectID{}, false
	}
	at := folder
	var id doc.ObjectID
	for _, part := range strings.Split(p, "/") {
		switch part {
		case "", ".":
			continue
		case "..":
			row, err := getNode(r, at)
			if err != nil || row.Kind == KindSpace {
				return doc.ObjectID{}, false
			}
			at, id = row.Parent, doc.ObjectID{}
			continue
		}
		next, ok := s.step(r, at, part)
		if !ok {
			return doc.ObjectID{}, false
		}
		row, err := getNode(r, next)
		if err != nil {
			return doc.ObjectID{}, false
		}
		at, id = next, row.ID
	}
	return id, !id.IsZero()
}

// step goes to a child, or to the object that went by the name before.
func (s *Space) step(r reader, at Ino, name string) (Ino, bool) {
	if ino, err := lookupName(r, at, name); err == nil {
		return ino, true
	}
	b, err := r.Get(key(tableFormer, at, name))
	if err != nil || len(b) != len(doc.ObjectID{}) {
		return 0, false
	}
	obj, err := getObject(r, s.id, doc.ObjectID(b))
	if err != nil || obj.Ino == 0 {
		return 0, false
	}
	return obj.Ino, true
}

// indexRefs keeps the index of who refers to an object.
func (t *txn) indexRefs(id doc.ObjectID, obj *objectRow, before, after *doc.Value) {
	was, is := refTargets(before), refTargets(after)
	for target := range was {
		if !is[target] {
			t.delete(key(tableBacklink, t.s.id, target, id))
		}
	}
	for target := range is {
		if !was[target] {
			t.put(key(tableBacklink, t.s.id, target, id), nil)
		}
	}
	obj.Refs = len(is) > 0
}

// refTargets returns the objects that a structure's file refers to.
func refTargets(structure *doc.Value) map[doc.ObjectID]bool {
	out := map[doc.ObjectID]bool{}
	collect := func(v *doc.Value) {
		model.WalkRefs(v, func(_ doc.Path, ref model.Ref) { out[ref.Object] = true })
	}
	collect(structure.Get(keyData))
	collect(structure.At(keySystem, keySource))
	collect(structure.At(keySystem, keyTarget))
	return out
}

// noteMoved remembers that a node is shown under another path from now on.
func (t *txn) noteMoved(row *nodeRow, ino, parent Ino, formerName string) {
	if row.ID.IsZero() {
		return
	}
	if formerName != "" {
		t.put(key(tableFormer, parent, formerName), row.ID[:])
	}
	if t.moved == nil {
		t.moved = make(map[Ino]bool)
	}
	t.moved[ino] = true
}

// retellRefs writes the texts of files again whose references are shown by
// other paths now, because something moved.
func (t *txn) retellRefs() error {
	if len(t.moved) == 0 {
		return nil
	}
	if any, err := t.any(key(tableBacklink, t.s.id)); err != nil || !any {
		return err
	}
	affected := map[doc.ObjectID]bool{}
	for ino := range t.moved {
		if err := t.collectAffected(ino, affected, 0); err != nil {
			return err
		}
	}
	for id := range affected {
		if err := t.retell(id); err != nil {
			return err
		}
	}
	return nil
}

// collectAffected adds the files whose text depends on where a node is.
func (t *txn) collectAffected(ino Ino, affected map[doc.ObjectID]bool, depth int) error {
	row, err := getNode(t, ino)
	if isNotFound(err) || depth > maxDepth || len(affected) >= maxRetell {
		return nil
	}
	if err != nil {
		return err
	}
	prefix := key(tableBacklink, t.s.id, row.ID)
	if err := scanPrefix(t, prefix, func(k, _ []byte) bool {
		affected[doc.ObjectID(k[len(prefix):])] = true
		return len(affected) < maxRetell
	}); err != nil {
		return err
	}
	if obj, err := getObject(t, t.s.id, row.ID); err == nil && obj.Refs {
		affected[row.ID] = true
	}
	if row.Kind != KindFolder {
		return nil
	}
	var children []Ino
	if err := scanPrefix(t, key(tableList, ino), func(k, _ []byte) bool {
		children = append(children, keyIno(k, 9))
		return true
	}); err != nil {
		return err
	}
	for _, child := range children {
		if err := t.collectAffected(child, affected, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// retell writes one file's text with the paths its references have now.
func (t *txn) retell(id doc.ObjectID) error {
	obj, err := getObject(t, t.s.id, id)
	if isNotFound(err) || err == nil && (obj.Ino == 0 || obj.Kind != KindObject) {
		return nil
	}
	if err != nil {
		return err
	}
	row, err := getNode(t, obj.Ino)
	if err != nil || row.Stage == Fresh || row.Kind != KindObject || row.Name == "" {
		return err
	}
	structure, err := getValue(t, t.s.id, id)
	if err != nil {
		return err
	}
	text, err := t.Get(key(tableText, t.s.id, id))
	if err != nil {
		return err
	}
	raw := viewOf(row.Kind, structure)
	old, err := parseView(row.Kind, text, raw)
	if err != nil {
		return nil // what the file shows is for fsck to mend
	}
	after := t.s.showRefs(t, row.Parent, raw)
	if model.Same(old, after) {
		return nil
	}
	text = renderView(row.Kind, text, old, after, nil)
	t.put(key(tableText, t.s.id, id), text)
	row.Size = int64(len(text))
	row.ModTime = max(t.now.UnixNano(), row.ModTime+1)
	row.Changed = row.ModTime
	t.putNode(obj.Ino, row)
	t.event(Event{What: Data, Ino: obj.Ino, Kind: row.Kind})
	return nil
}
