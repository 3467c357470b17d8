package echo

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// DefaultDraftQuota is how many bytes the drafts of a vault may take together.
const DefaultDraftQuota = 1 << 30

// PutDraft keeps content that was not valid, byte by byte, on this machine.
// From then on Content returns it. It survives restarts. ErrDraftQuota where
// there is no room.
func (r *Repo) PutDraft(ctx context.Context, ino Ino, data []byte, why *InvalidError) (Node, error) {
	err := r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error {
		if !row.Kind.IsFile() {
			return ErrIsDir
		}
		used, quota := r.DraftUsage()
		if row.HasDraft {
			used -= row.DraftLen
		}
		if used+int64(len(data)) > quota {
			return fmt.Errorf("%d of %d bytes are used: %w", used, quota, ErrDraftQuota)
		}
		t.setDraft(ino, row, data, why)
		t.event(Event{What: Data, Ino: ino, Kind: row.Kind})
		return nil
	})
	if err != nil {
		return Node{}, fmt.Errorf("keep a draft: %w", err)
	}
	return r.Node(ino)
}

func (t *txn) setDraft(ino Ino, row *nodeRow, data []byte, why *InvalidError) {
	row.HasDraft, row.DraftLen, row.DraftAt = true, int64(len(data)), t.now.UnixNano()
	row.Changed = row.DraftAt
	t.putNode(ino, row)
	t.put(key(tableDraftData, ino), data)
	t.putRow(key(tableDraft, ino), &draftRow{
		Line: why.Line, Column: why.Column, Pointer: why.Pointer, Reason: why.Reason,
		TooLarge: why.TooLarge, NotText: why.NotText, Saved: row.DraftAt, Space: t.s.id,
		Length: int64(len(data)), Heads: row.Heads,
	})
}

// errEmpty is why an empty structured file is a draft.
var errEmpty = &InvalidError{Reason: "the file is empty; that is no wish to delete every field"}

func (t *txn) emptyDraft(ino Ino) error {
	row, err := getNode(t, ino)
	if err != nil {
		return err
	}
	t.setDraft(ino, row, nil, errEmpty)
	return nil
}

// dropDraft ends a draft, if there is one; the caller stores the row.
func (t *txn) dropDraft(ino Ino, row *nodeRow) {
	if !row.HasDraft {
		return
	}
	row.HasDraft, row.DraftLen = false, 0
	t.delete(key(tableDraft, ino))
	t.delete(key(tableDraftData, ino))
}

// DiscardDraft drops a draft; the file shows its object again. A Fresh file
// without content is removed.
func (r *Repo) DiscardDraft(ctx context.Context, ino Ino) error {
	err := r.updateNode(ctx, ino, func(t *txn, row *nodeRow) error {
		if !row.HasDraft {
			return fmt.Errorf("no draft: %w", ErrNotFound)
		}
		if row.Stage == Fresh {
			t.dropObject(ino, row)
			return nil
		}
		t.dropDraft(ino, row)
		row.ModTime = t.now.UnixNano() // what the file shows has changed
		t.putNode(ino, row)
		t.event(Event{What: Data, Ino: ino, Kind: row.Kind})
		if row.Name == "" && !row.Hidden {
			t.delete(key(tableNode, ino)) // kept for the draft alone
		}
		return nil
	})
	return wrapf(err, "discard draft")
}

// updateNode runs fn on a node's row in a transaction of its space.
func (r *Repo) updateNode(ctx context.Context, ino Ino, fn func(*txn, *nodeRow) error) error {
	row, err := getNode(r.store, ino)
	if err != nil {
		return fmt.Errorf("inode %d: %w", ino, err)
	}
	s, err := r.spaceOf(row)
	if err != nil {
		return err
	}
	return s.update(ctx, func(t *txn) error {
		row, err := getNode(t, ino)
		if err != nil {
			return err
		}
		return fn(t, row)
	})
}

// Draft is a save that was not valid.
type Draft struct {
	Ino   Ino
	Space SpaceID
	Path  string // within the space, "/"-separated
	Data  []byte
	Why   InvalidError
	Saved time.Time
	// Gone tells that the object was deleted by somebody meanwhile, and Changed
	// that it was changed.
	Gone, Changed bool
}

// DraftOf returns the draft of a file, or ErrNotFound.
func (r *Repo) DraftOf(ino Ino) (Draft, error) {
	var row draftRow
	ok, err := getRow(r.store, key(tableDraft, ino), &row)
	if err == nil && !ok {
		err = ErrNotFound
	}
	if err != nil {
		return Draft{}, fmt.Errorf("draft of inode %d: %w", ino, err)
	}
	d := r.draftOf(ino, &row)
	d.Data, err = r.store.Get(key(tableDraftData, ino))
	return d, wrapf(err, "draft of inode %d", ino)
}

func (r *Repo) draftOf(ino Ino, row *draftRow) Draft {
	d := Draft{Ino: ino, Space: row.Space, Saved: time.Unix(0, row.Saved), Why: InvalidError{
		Line: row.Line, Column: row.Column, Pointer: row.Pointer, Reason: row.Reason,
		TooLarge: row.TooLarge, NotText: row.NotText}}
	if p, err := r.Path(ino); err == nil {
		_, d.Path, _ = strings.Cut(p, "/")
	}
	if n, err := getNode(r.store, ino); err == nil {
		d.Gone = n.Name == ""
		d.Changed = !n.Heads.Equal(row.Heads)
	}
	return d
}

// DraftUsage returns how many bytes the drafts of all spaces take, and how many
// they may take.
func (r *Repo) DraftUsage() (used, quota int64) {
	_ = scanPrefix(r.store, []byte{tableDraft}, func(_, v []byte) bool {
		var row draftRow
		if decodeRow(v, &row) == nil {
			used += row.Length
		}
		return true
	})
	return used, r.opts.DraftQuota
}

// Drafts lists the drafts of a space, or of all spaces for the zero id,
// without their Data.
func (r *Repo) Drafts(space SpaceID) ([]Draft, error) {
	var out []Draft
	err := scanRows(r.store, []byte{tableDraft}, func(k []byte, row *draftRow) bool {
		if space.IsZero() || row.Space == space {
			out = append(out, Draft{Ino: keyIno(k, 1), Space: row.Space, Why: InvalidError{Reason: row.Reason}})
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	for i, d := range out {
		full, err := r.DraftOf(d.Ino)
		if err != nil {
			continue // ended meanwhile
		}
		full.Data = nil
		out[i] = full
	}
	return out, nil
}
