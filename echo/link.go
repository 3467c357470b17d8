package echo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"echofs/echo/doc"
	"echofs/echo/names"
)

// A symbolic link is an object whose data are its target, a path relative to the
// link. The kernel follows it, so what it may say is narrow: a target goes up,
// within the space, and then down. Since no ".." comes after a name, where it
// leads cannot depend on other links on the way, and since every link obeys, no
// chain of links leaves the space. A target from elsewhere is checked again
// whenever it is read, for a link that moves up may lead out.

// TypeLink is the type of symbolic links. Their data are the field "target".
const TypeLink = "dxn:type:echofs/type/Link:0.1.0"

// ErrBadTarget is wrapped where a symbolic link would be absolute, lead out of its
// space, into .echofs, or to a file of this machine, which others do not have.
var ErrBadTarget = errors.New("not a target within the space")

// maxTarget is the longest target in bytes: what a path may have.
const maxTarget = 4095

// isLink reports whether data are a target and nothing else.
func isLink(data *doc.Value) bool {
	return data != nil && data.Kind == doc.Map && len(data.Fields) == 1 && data.Get(keyTarget).IsString()
}

// CheckTarget returns an error that wraps ErrBadTarget unless target is a path
// that stays in the space for a link that lies depth folders below its root.
func CheckTarget(target string, depth int) error {
	if target == "" || len(target) > maxTarget || strings.ContainsRune(target, 0) {
		return fmt.Errorf("%w: of %d bytes", ErrBadTarget, len(target))
	}
	if target[0] == '/' {
		return fmt.Errorf("%w: %q is absolute", ErrBadTarget, target)
	}
	down := false
	for part := range strings.SplitSeq(target, "/") {
		switch {
		case part == "" || part == ".":
		case part == ".." && down:
			return fmt.Errorf("%w: %q goes up again", ErrBadTarget, target)
		case part == "..":
			if depth--; depth < 0 {
				return fmt.Errorf("%w: %q leads out of it", ErrBadTarget, target)
			}
		case isReserved(part) || names.IsLocal(part):
			return fmt.Errorf("%w: %q is on this machine only", ErrBadTarget, part)
		default:
			down = true
		}
	}
	return nil
}

// depth returns how many folders lie between a directory and its space.
func depth(r reader, dir Ino) (int, error) {
	for n := 0; n <= maxDepth; n++ {
		row, err := getNode(r, dir)
		if err != nil {
			return 0, err
		}
		if row.Kind == KindSpace {
			return n, nil
		}
		dir = row.Parent
	}
	return 0, ErrLoop
}

// Target returns where a symbolic link leads. ErrBadTarget where that is nowhere
// in its space: whoever made such a link, nobody is to follow it.
func (r *Repo) Target(n Node) (string, error) {
	if n.Kind == KindLink {
		d, err := depth(r.store, n.Parent)
		if err == nil {
			err = CheckTarget(n.Target, d)
		}
		if err != nil {
			return "", fmt.Errorf("symbolic link %q: %w", n.Name, err)
		}
	}
	return n.Target, nil
}

// CreateLink makes a symbolic link: of this machine where its name is, with any
// target, else an object. ErrBadTarget; ErrExists, ErrReadOnly, ErrInvalidName,
// ErrReserved.
func (r *Repo) CreateLink(ctx context.Context, parent Ino, name, target string) (Node, error) {
	return r.create(ctx, parent, name, func(t *txn, dir *nodeRow) (Ino, error) {
		size := int64(len(target))
		if isLocalPlace(dir, name) {
			return t.makeLocal(parent, name, &nodeRow{Kind: KindLocalLink, Target: target, Size: size})
		}
		if !t.s.mayWrite() {
			return 0, ErrReadOnly
		}
		d, err := depth(t, parent)
		if err == nil {
			err = CheckTarget(target, d)
		}
		if err != nil {
			return 0, err
		}
		row := &nodeRow{Kind: KindLink, Stage: Nascent, Type: TypeLink, Target: target, Size: size}
		ino, err := t.makeObject(dir, name, row)
		if err != nil {
			return 0, err
		}
		data := doc.NewMap(doc.Field{Key: keyTarget, Value: doc.NewString(target)})
		t.setValue(row.ID, newStructure(shape{Type: TypeLink, Data: data}, t.now.UnixMilli()))
		t.settleLater(ino, row)
		return ino, nil
	})
}

// Relink renames one symbolic link onto another, both objects: the other stays
// and gets the target of the one, which is gone.
func (r *Repo) Relink(ctx context.Context, from, onto Ino) error {
	err := r.updateNode(ctx, onto, func(t *txn, row *nodeRow) error {
		src, err := getNode(t, from)
		if err != nil {
			return err
		}
		switch {
		case src.Kind != KindLink || row.Kind != KindLink:
			return fmt.Errorf("not symbolic links: %w", ErrExists)
		case src.Space != t.s.id:
			return ErrCrossSpace
		case !t.s.mayWrite():
			return ErrReadOnly
		}
		if err := t.retarget(onto, row, src.Target); err != nil {
			return err
		}
		return t.consume(from)
	})
	return wrapf(err, "rename a symbolic link onto another")
}

// retarget gives a link another target: one mutation, or none while it has no
// document.
func (t *txn) retarget(ino Ino, row *nodeRow, target string) error {
	if err := t.promote(ino); err != nil {
		return err
	}
	if row.Target == target {
		return nil
	}
	structure, err := getValue(t, t.s.id, row.ID)
	if err != nil {
		return err
	}
	put := doc.Edit{Op: doc.Put, Path: at(row.ID, keyData, keyTarget), Value: doc.NewString(target)}
	_, err = t.editObject(row.ID, append([]doc.Edit{put}, keepAlive(row.ID, structure)...)...)
	return err
}

// replaceLink removes what a rename replaces where it, or what is renamed, is a
// symbolic link: they are not versions of each other.
func (t *txn) replaceLink(old *nodeRow, there Ino) (replaced Ino, err error) {
	if !old.Kind.IsLocal() && !t.s.mayWrite() {
		return 0, ErrReadOnly
	}
	return there, t.consume(there)
}
