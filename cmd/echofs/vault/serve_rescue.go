package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

// registerRescue enters what helps people to get back what they had.
func (v *Vault) registerRescue() {
	control.Handle(v.server, control.DiffObject, v.diffObject)
	control.Handle(v.server, control.RestoreAt, v.restoreAt)
	control.Handle(v.server, control.Undo, v.undo)
	control.Handle(v.server, control.ListConflicts, v.listConflicts)
	control.Handle(v.server, control.Settle, v.settle)
	control.Handle(v.server, control.ListTrash, v.listTrash)
	control.Handle(v.server, control.RestoreTrash, v.restoreTrash)
}

func (v *Vault) diffObject(ctx context.Context, req control.DiffRequest) (control.Diff, error) {
	node, path, err := v.settled(ctx, req.PathRef)
	if err != nil {
		return control.Diff{}, err
	}
	revs, err := v.repo.History(ctx, node.Ino)
	if err != nil {
		return control.Diff{}, fmt.Errorf("diff %s: %w", path, err)
	}
	if len(revs) == 0 {
		return control.Diff{}, fmt.Errorf("diff %s: nothing was saved yet: %w", path, echo.ErrNotFound)
	}
	if req.B == "" {
		req.B = strconv.Itoa(revs[0].Rev)
	}
	if req.A == "" {
		req.A = strconv.Itoa(revs[0].Rev - 1)
	}
	out := control.Diff{Path: path, A: req.A, B: req.B}
	if node.Kind == echo.KindBlob {
		out.Text, err = v.diffBlob(ctx, node, req)
		if err != nil {
			return control.Diff{}, fmt.Errorf("diff %s: %w", path, err)
		}
		return out, nil
	}
	a, err := v.version(ctx, node, req.A)
	if err != nil {
		return control.Diff{}, fmt.Errorf("diff %s: %w", path, err)
	}
	b, err := v.version(ctx, node, req.B)
	if err != nil {
		return control.Diff{}, fmt.Errorf("diff %s: %w", path, err)
	}
	out.Text = unified(path, req.A, a, req.B, b)
	return out, nil
}

// unified returns the difference between two versions of a file.
func unified(path, nameA string, a []byte, nameB string, b []byte) string {
	text := string(diff.Diff(path+"@"+nameA, a, path+"@"+nameB, b))
	if strings.HasPrefix(text, "diff ") { // a line that only "diff" prints
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// version returns a file as of a revision or time; before the first revision it
// was empty.
func (v *Vault) version(ctx context.Context, node echo.Node, at string) ([]byte, error) {
	if at == "0" {
		return nil, nil
	}
	return v.repo.Show(ctx, node.Ino, at, false)
}

func (v *Vault) restoreAt(ctx context.Context, req control.RestoreRequest) (control.Restored, error) {
	node, path, err := v.settled(ctx, req.PathRef)
	if err != nil {
		return control.Restored{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, blobWait)
	defer cancel()
	saved, err := v.repo.Restore(ctx, node.Ino, req.At)
	if err != nil {
		return control.Restored{}, control.WithHint(fmt.Errorf("restore %s: %w", path, err), "see: echofs log "+path)
	}
	return control.Restored{Path: path, Changed: saved.Changed}, nil
}

// undo takes back, by what PATH is: of nothing all large removals that are held,
// of a space its own, of a file the last change, of a file that is gone its
// removal.
func (v *Vault) undo(ctx context.Context, ref control.PathRef) ([]control.Undone, error) {
	if ref.Arg == "" {
		return v.undoHeld(ctx, v.repo.Spaces()...)
	}
	node, path, err := v.settled(ctx, ref)
	switch {
	case errors.Is(err, echo.ErrNotFound):
		return v.undoRemoval(ctx, ref, err)
	case err != nil:
		return nil, err
	case node.Kind == echo.KindSpace:
		s, _ := v.repo.SpaceByID(node.Space)
		return v.undoHeld(ctx, s)
	}
	saved, err := v.repo.UndoLast(ctx, node.Ino)
	if err != nil {
		return nil, fmt.Errorf("undo %s: %w", path, err)
	}
	if !saved.Changed {
		return []control.Undone{}, nil
	}
	if now, err := v.repo.Path(saved.Node.Ino); err == nil {
		path = now
	}
	return []control.Undone{{Path: path, What: "change", Count: 1}}, nil
}

func (v *Vault) undoHeld(ctx context.Context, spaces ...*echo.Space) ([]control.Undone, error) {
	out := []control.Undone{}
	for _, s := range spaces {
		n, err := v.repo.CancelHeld(ctx, s.ID())
		if err != nil {
			return out, fmt.Errorf("undo removals in %s: %w", s.Name(), err)
		}
		if n > 0 {
			out = append(out, control.Undone{Path: s.Name(), What: "removals", Count: n})
		}
	}
	return out, nil
}

// undoRemoval brings a file back that is gone: with all the others where it was
// one of a large removal that is held.
func (v *Vault) undoRemoval(ctx context.Context, ref control.PathRef, notFound error) ([]control.Undone, error) {
	s, path, err := v.former(ref)
	if err != nil {
		return nil, err
	}
	trash, err := s.Trash(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(trash, func(x echo.Trashed) bool { return x.Path == path })
	if i < 0 {
		return nil, notFound
	}
	if slices.ContainsFunc(v.repo.HeldDeletes(), func(h echo.Held) bool { return h.Space == s.ID() }) && trash[i].Waiting {
		return v.undoHeld(ctx, s)
	}
	back, err := v.restorePath(ctx, s, path)
	if err != nil {
		return nil, err
	}
	return []control.Undone{{Path: back[0], What: "removal", Count: len(back)}}, nil
}

// former returns the space and the path within it that name a file which may be
// gone.
func (v *Vault) former(ref control.PathRef) (*echo.Space, string, error) {
	path, ok := v.mounts.resolve(ref.Abs)
	if !ok {
		var err error
		if path, err = v.spacePath(ref.Arg); err != nil {
			return nil, "", err
		}
	}
	name, rest, _ := strings.Cut(path, "/")
	s, err := v.space(name)
	return s, rest, err
}

// heldWarnings tells of large removals that wait.
func (v *Vault) heldWarnings() (out []control.Warning) {
	for _, h := range v.repo.HeldDeletes() {
		s, ok := v.repo.SpaceByID(h.Space)
		if !ok {
			continue
		}
		out = append(out, control.Warning{Code: "held_deletes",
			Message: fmt.Sprintf("%s: %d files were removed at once; others are told at %s", s.Name(), h.Count, h.Until.Local().Format(time.TimeOnly)),
			Fix:     "if that was a mistake: echofs undo " + s.Name()})
	}
	return out
}

// listConflicts lists the contested fields of a file, of what is below a folder,
// of a space, or of all spaces.
func (v *Vault) listConflicts(ctx context.Context, ref control.PathRef) ([]control.Conflict, error) {
	spaces, below := v.repo.Spaces(), ""
	if ref.Arg != "" {
		node, path, err := v.resolve(ref)
		if err != nil {
			return nil, err
		}
		if s, ok := v.repo.SpaceByID(node.Space); ok {
			spaces = []*echo.Space{s}
			_, below, _ = strings.Cut(path, "/")
		}
	}
	out := []control.Conflict{}
	for _, s := range spaces {
		found, err := s.Conflicts(ctx)
		if err != nil {
			return nil, fmt.Errorf("conflicts in %s: %w", s.Name(), err)
		}
		for _, c := range found {
			if isBelow(c.Path, below) {
				out = append(out, conflict(s, c))
			}
		}
	}
	return out, nil
}

// isBelow reports whether a path is that of a folder or file, or below it; the
// empty path is above all.
func isBelow(path, dir string) bool {
	return dir == "" || path == dir || strings.HasPrefix(path, dir+"/")
}

func conflict(s *echo.Space, c echo.Conflict) control.Conflict {
	out := control.Conflict{Path: s.Name() + "/" + c.Path, Pointer: c.Pointer}
	for _, x := range c.Values {
		out.Values = append(out.Values, control.ConflictValue{Value: x.Value, Author: x.Author, Device: x.Device, Time: x.Time, Winner: x.Winner})
	}
	return out
}

func (v *Vault) settle(ctx context.Context, req control.SettleRequest) (control.None, error) {
	node, path, err := v.resolve(req.PathRef)
	if err != nil {
		return control.None{}, err
	}
	if err := v.repo.SettleConflict(ctx, node.Ino, req.Pointer, req.Value); err != nil {
		err = fmt.Errorf("settle %s: %w", path, err)
		if errors.Is(err, echo.ErrNoConflict) {
			err = control.WithHint(err, "see: echofs conflicts "+path)
		}
		return control.None{}, err
	}
	return control.None{}, nil
}

func (v *Vault) listTrash(ctx context.Context, req control.TrashList) ([]control.Trashed, error) {
	spaces, err := v.spacesAsked(req.Space)
	if err != nil {
		return nil, err
	}
	out := []control.Trashed{}
	for _, s := range spaces {
		trash, err := s.Trash(ctx)
		if err != nil {
			return nil, fmt.Errorf("trash of %s: %w", s.Name(), err)
		}
		for _, x := range trash {
			out = append(out, control.Trashed{Path: s.Name() + "/" + x.Path, ID: x.ID.String(), Kind: x.Kind.String(),
				Deleted: x.Deleted, Author: x.By, Device: x.Device, Until: seen(x.Until)})
		}
	}
	return out, nil
}

func (v *Vault) restoreTrash(ctx context.Context, ref control.PathRef) ([]string, error) {
	s, path, err := v.former(ref)
	if err != nil {
		return nil, err
	}
	out, err := v.restorePath(ctx, s, path)
	if rest, ok := strings.CutPrefix(path, s.Name()+"/"); ok && errors.Is(err, echo.ErrNotFound) {
		// SPACE/path as the list prints it, given by somebody who is in the space.
		if again, err := v.restorePath(ctx, s, rest); err == nil {
			return again, nil
		}
	}
	return out, err
}

// restorePath brings back the object that was deleted last at a path, or that
// has the path as its id, and of a folder all that was deleted in it. It
// returns where they are now.
func (v *Vault) restorePath(ctx context.Context, s *echo.Space, path string) ([]string, error) {
	trash, err := s.Trash(ctx)
	if err != nil {
		return nil, fmt.Errorf("trash of %s: %w", s.Name(), err)
	}
	i := slices.IndexFunc(trash, func(x echo.Trashed) bool { return x.Path == path || x.ID.String() == path })
	if i < 0 {
		return nil, control.WithHint(fmt.Errorf("restore %s/%s: not in the trash: %w", s.Name(), path, echo.ErrNotFound),
			"see: echofs trash list "+s.Name())
	}
	chosen := []echo.Trashed{trash[i]}
	if trash[i].Kind == echo.KindFolder {
		for _, x := range trash {
			if strings.HasPrefix(x.Path, trash[i].Path+"/") {
				chosen = append(chosen, x)
			}
		}
	}
	// Folders first, and from above, so that everything finds its place.
	slices.SortStableFunc(chosen, func(a, b echo.Trashed) int {
		return strings.Count(a.Path, "/") - strings.Count(b.Path, "/")
	})
	return v.restoreAll(ctx, s, chosen)
}

func (v *Vault) restoreAll(ctx context.Context, s *echo.Space, chosen []echo.Trashed) ([]string, error) {
	inos := make([]echo.Ino, 0, len(chosen))
	for _, x := range chosen {
		n, err := v.repo.RestoreDeleted(ctx, s.ID(), x.ID)
		if err != nil {
			return nil, fmt.Errorf("restore %s/%s: %w", s.Name(), x.Path, err)
		}
		inos = append(inos, n.Ino)
	}
	out := make([]string, 0, len(inos))
	for _, ino := range inos {
		if path, err := v.repo.Path(ino); err == nil {
			out = append(out, path)
		}
	}
	return out, nil
}
