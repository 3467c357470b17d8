package vault

import (
	"context"
	"fmt"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

func (v *Vault) registerObjects() {
	control.Handle(v.server, control.StatObject, v.statObject)
	control.Handle(v.server, control.LogObject, v.logObject)
	control.Handle(v.server, control.ShowObject, v.showObject)
	control.HandleStream(v.server, control.ReadObject, v.readObject)
	control.Handle(v.server, control.BlameObject, v.blameObject)
	control.HandleStream(v.server, control.WatchChanges, v.watchChanges)
	control.Handle(v.server, control.ListDrafts, v.listDrafts)
	control.Handle(v.server, control.ShowDraft, v.showDraft)
	control.Handle(v.server, control.DiscardDraft, v.discardDraft)
	control.Handle(v.server, control.QuerySpace, v.querySpace)
}

// settled finds a file and, if it is a new object, lets it become a document
// now instead of when it has kept its name for a second: who asks for it by
// name has decided on the name.
func (v *Vault) settled(ctx context.Context, ref control.PathRef) (echo.Node, string, error) {
	node, path, err := v.resolve(ref)
	if err != nil || !node.Kind.IsFile() || node.Stage != echo.Nascent {
		return node, path, err
	}
	if err := v.repo.Settle(ctx, node.Ino); err != nil {
		return node, path, fmt.Errorf("settle %s: %w", path, err)
	}
	return v.resolve(ref)
}

func (v *Vault) statObject(ctx context.Context, ref control.PathRef) (control.Stat, error) {
	node, path, err := v.settled(ctx, ref)
	if err != nil {
		return control.Stat{}, err
	}
	st, err := v.repo.Stat(ctx, node.Ino)
	if err != nil {
		return control.Stat{}, fmt.Errorf("stat %s: %w", path, err)
	}
	st.Heads = list(st.Heads)
	st.Present = v.presentAt(node)
	return control.Stat{Stat: st, Path: path, Size: node.Size}, nil
}

func (v *Vault) logObject(ctx context.Context, ref control.PathRef) ([]control.Revision, error) {
	node, path, err := v.settled(ctx, ref)
	if err != nil {
		return nil, err
	}
	revs, err := v.repo.History(ctx, node.Ino)
	if err != nil {
		return nil, fmt.Errorf("log %s: %w", path, err)
	}
	out := make([]control.Revision, 0, len(revs))
	for _, r := range revs {
		out = append(out, control.Revision{Rev: r.Rev, Hash: r.Change, Time: r.Time, Author: r.Author, Device: r.Device,
			Fields: list(r.Fields), Summary: r.Summary})
	}
	return out, nil
}

func (v *Vault) blameObject(ctx context.Context, ref control.PathRef) ([]echo.Blame, error) {
	node, path, err := v.settled(ctx, ref)
	if err != nil {
		return nil, err
	}
	out, err := v.repo.BlameOf(ctx, node.Ino)
	if err != nil {
		return nil, fmt.Errorf("blame %s: %w", path, err)
	}
	return list(out), nil
}

// watchChanges tells what happens to a file, below a folder, or anywhere, until
// the caller goes.
func (v *Vault) watchChanges(ctx context.Context, ref control.PathRef, send func(echo.Change) error) error {
	under := echo.Ino(echo.RootIno)
	if ref.Arg != "" {
		node, _, err := v.resolve(ref)
		if err != nil {
			return err
		}
		under = node.Ino
	}
	feed, err := v.repo.Watch(under)
	if err != nil {
		return err
	}
	defer feed.Close()
	for {
		changes, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if err := send(c); err != nil {
				return err
			}
		}
	}
}

func (v *Vault) showObject(ctx context.Context, req control.ShowRequest) (control.Shown, error) {
	node, path, err := v.settled(ctx, req.PathRef)
	if err != nil {
		return control.Shown{}, err
	}
	if node.Kind == echo.KindBlob && !req.Canonical {
		b, err := v.repo.BlobAt(ctx, node.Ino, req.At)
		if err != nil {
			return control.Shown{}, fmt.Errorf("show %s: %w", path, err)
		}
		return control.Shown{Blob: shownBlob(b)}, nil
	}
	data, err := v.repo.Show(ctx, node.Ino, req.At, req.Canonical)
	if err != nil {
		return control.Shown{}, fmt.Errorf("show %s: %w", path, err)
	}
	return control.Shown{Data: data}, nil
}

func (v *Vault) listDrafts(_ context.Context, req control.DraftList) ([]control.Draft, error) {
	var in echo.SpaceID
	if req.Space != "" {
		s, err := v.space(req.Space)
		if err != nil {
			return nil, err
		}
		in = s.ID()
	}
	drafts, err := v.repo.Drafts(in)
	if err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	out := make([]control.Draft, 0, len(drafts))
	for _, d := range drafts {
		name := d.Space.String()
		if s, ok := v.repo.SpaceByID(d.Space); ok {
			name = s.Name()
		}
		out = append(out, control.Draft{Path: d.Path, Space: name, Line: d.Why.Line, Column: d.Why.Column,
			Pointer: d.Why.Pointer, Reason: d.Why.Reason, Saved: d.Saved, Meanwhile: meanwhile(d)})
	}
	return out, nil
}

// meanwhile says what others did with the object of a draft.
func meanwhile(d echo.Draft) string {
	switch {
	case d.Gone:
		return "deleted"
	case d.Changed:
		return "changed"
	}
	return ""
}

func (v *Vault) showDraft(_ context.Context, ref control.PathRef) (control.Shown, error) {
	node, path, err := v.resolve(ref)
	if err != nil {
		return control.Shown{}, err
	}
	d, err := v.repo.DraftOf(node.Ino)
	if err != nil {
		return control.Shown{}, fmt.Errorf("show the draft of %s: %w", path, err)
	}
	return control.Shown{Data: d.Data}, nil
}

func (v *Vault) discardDraft(ctx context.Context, ref control.PathRef) (control.None, error) {
	node, path, err := v.resolve(ref)
	if err != nil {
		return control.None{}, err
	}
	if _, err := v.repo.DraftOf(node.Ino); err != nil {
		return control.None{}, fmt.Errorf("discard the draft of %s: %w", path, err)
	}
	if err := v.repo.DiscardDraft(ctx, node.Ino); err != nil {
		return control.None{}, fmt.Errorf("discard the draft of %s: %w", path, err)
	}
	return control.None{}, nil
}

func (v *Vault) querySpace(ctx context.Context, req control.QueryRequest) ([]control.QueryResult, error) {
	s, err := v.space(req.Space)
	if err != nil {
		return nil, err
	}
	found, err := s.Query(ctx, echo.Query{Type: req.Type, Where: req.Where, Text: req.Text})
	if err != nil {
		return nil, fmt.Errorf("query space %s: %w", s.Name(), err)
	}
	out := make([]control.QueryResult, 0, len(found))
	for _, f := range found {
		out = append(out, control.QueryResult{ID: f.ID.String(), Path: f.Path, Type: f.Type, Data: f.Data})
	}
	return out, nil
}
