package echo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"echofs/echo/blob"
	"echofs/echo/doc"
	"echofs/echo/model"
	"echofs/echo/names"
)

// Revision is one change of one object, as this vault has seen them.
type Revision struct {
	Rev     int // from 1, in the order in which the changes arrived here
	Change  string
	Time    time.Time // as the author says
	Author  string
	Device  string
	Fields  []string
	Summary string

	Kind    Kind  // of the object then
	Size    int64 // of its file then, as Show gives it
	Deleted bool

	blob  BlobVersion
	heads doc.Heads
}

// Blob returns the version of a blob that had its name at the revision; false
// where the object was no blob.
func (r Revision) Blob() (BlobVersion, bool) { return r.blob, r.Kind == KindBlob }

// maxLog bounds what one call of History returns; older revisions are left out.
const maxLog = 100_000

// History lists the revisions of an object, newest first. Nodes that are no
// objects have none. It reads no document, but for revisions that an older
// version logged.
func (r *Repo) History(ctx context.Context, ino Ino) ([]Revision, error) {
	row, s, err := r.objectNode(ino)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	out, err := s.History(ctx, row.ID)
	return out, wrapf(err, "history of %q", row.Name)
}

// History lists the revisions of an object, newest first, also of one that was
// deleted.
func (s *Space) History(ctx context.Context, id doc.ObjectID) ([]Revision, error) {
	revs, err := s.revisions(id)
	if err != nil || len(revs) == 0 {
		return nil, err
	}
	obj, err := getObject(s.repo.store, s.id, id)
	if err != nil {
		return nil, err
	}
	members := s.State()
	out := make([]Revision, 0, len(revs))
	err = s.statesOf(ctx, id, obj, revs, func(st state) bool {
		v := st.revision
		out = append(out, Revision{Rev: len(revs) - len(out), Change: v.Change.String(), Time: timeOf(v.Time),
			Author: s.nameOf(members, v.Identity), Device: s.deviceName(v.Device), Fields: v.Fields, Summary: v.Summary,
			Kind: st.Kind, Size: st.size, Deleted: st.Deleted, blob: st.version(), heads: v.Heads})
		return ctx.Err() == nil
	})
	return out, errors.Join(err, ctx.Err())
}

// ReadRevision returns the file of an object as it was at one of its revisions,
// in the layout of an object that was never written here. ErrBlob, ErrIsDir.
func (s *Space) ReadRevision(ctx context.Context, id doc.ObjectID, r Revision) ([]byte, error) {
	switch {
	case r.Kind == KindBlob:
		return nil, fmt.Errorf("revision %d: %w", r.Rev, ErrBlob)
	case !r.Kind.IsFile():
		return nil, fmt.Errorf("revision %d: %w", r.Rev, ErrIsDir)
	}
	structure, err := s.repo.readStructure(ctx, s, id, r.heads)
	if err != nil {
		return nil, fmt.Errorf("revision %d: %w", r.Rev, err)
	}
	return renderView(r.Kind, nil, nil, viewOf(r.Kind, structure), nil), nil
}

// FindDeleted returns the object that was deleted last of those that went by a
// path within the space. ErrNotFound where there is none.
func (s *Space) FindDeleted(path string) (doc.ObjectID, error) {
	var at doc.ObjectID
	parts := strings.Split(path, "/")
	for i, part := range parts {
		next, err := s.findOnce(at, part, i == len(parts)-1)
		if err != nil {
			return doc.ObjectID{}, fmt.Errorf("%q among what was deleted: %w", path, err)
		}
		at = next
	}
	return at, nil
}

// findOnce finds what goes or went by a name in a folder, or the root: one that
// was deleted if deleted is set, else a folder, rather one that is there.
func (s *Space) findOnce(folder doc.ObjectID, name string, deleted bool) (found doc.ObjectID, err error) {
	ids, err := s.onceIn(folder)
	if err != nil {
		return found, err
	}
	var best *objectRow
	for _, id := range ids {
		obj, err := getObject(s.repo.store, s.id, id)
		if err != nil {
			if ignoreNotFound(err) != nil {
				return found, err
			}
			continue
		}
		fits := obj.Parent == folder && names.Component(obj.Label, id.String(), obj.Foreign) == name
		if deleted {
			fits = fits && obj.Deleted
		} else {
			fits = fits && obj.Kind == KindFolder
		}
		if fits && (best == nil || best.Deleted && !obj.Deleted || best.Deleted == obj.Deleted && obj.When > best.When) {
			best, found = obj, id
		}
	}
	if best == nil {
		return found, ErrNotFound
	}
	return found, nil
}

// objectNode returns the row of an object's node and its space.
func (r *Repo) objectNode(ino Ino) (*nodeRow, *Space, error) {
	row, err := getNode(r.store, ino)
	if err != nil {
		return nil, nil, err
	}
	if row.ID.IsZero() {
		return nil, nil, fmt.Errorf("%q is no object: %w", row.Name, ErrNotFound)
	}
	row.ID = row.objectID()
	s, err := r.spaceOf(row)
	return row, s, err
}

// revisions returns the revisions of an object, oldest first.
func (s *Space) revisions(id doc.ObjectID) ([]revisionRow, error) {
	var out []revisionRow
	err := scanRows(s.repo.store, key(tableLog, s.id, id), func(_ []byte, row *revisionRow) bool {
		out = append(out, *row)
		return len(out) < maxLog
	})
	return out, err
}

// ErrBadRevision is wrapped where a text names no revision of the object.
var ErrBadRevision = errors.New("no such revision")

// ErrBadTime is wrapped where a text is neither a revision nor a time.
var ErrBadTime = errors.New("neither a revision nor a time")

// Show returns an object's file as it is, or as it was at a revision: a number
// or the beginning of a change's hash as History gives them, or a time such as
// 2026-11-20T18:00, 2026-11-20, 18:00 or -2h. Canonical output has sorted keys
// and no layout, and is equal on all vaults that hold the same entries.
func (r *Repo) Show(ctx context.Context, ino Ino, at string, canonical bool) ([]byte, error) {
	row, s, err := r.objectNode(ino)
	if err != nil {
		return nil, fmt.Errorf("show: %w", err)
	}
	if row.Kind == KindFolder {
		return nil, fmt.Errorf("show %q: %w", row.Name, ErrIsDir)
	}
	if at == "" && !canonical {
		text, err := currentText(r.store, row)
		return text, wrapf(err, "show %q", row.Name)
	}
	structure, err := r.structureOf(ctx, s, row, at)
	if err != nil {
		return nil, fmt.Errorf("show %q: %w", row.Name, err)
	}
	if row.Kind == KindBlob && !canonical {
		return nil, fmt.Errorf("show %q: %w", row.Name, ErrBlob)
	}
	view := viewOf(row.Kind, structure)
	if canonical {
		return canonicalView(row.Kind, view), nil
	}
	return renderView(row.Kind, nil, nil, view, nil), nil
}

func canonicalView(kind Kind, view *doc.Value) []byte {
	if kind == KindText {
		return []byte(view.Str)
	}
	return append(model.Canonical(view), '\n')
}

func (r *Repo) structureOf(ctx context.Context, s *Space, row *nodeRow, at string) (*doc.Value, error) {
	if row.Stage == Fresh {
		return nil, fmt.Errorf("nothing was saved yet: %w", ErrNotFound)
	}
	if at == "" {
		return getValue(r.store, s.id, row.ID)
	}
	revs, err := s.revisions(row.ID)
	if err != nil {
		return nil, err
	}
	heads, err := findRevision(revs, at, r.now())
	if err != nil {
		return nil, err
	}
	return r.readStructure(ctx, s, row.ID, heads)
}

func (r *Repo) readStructure(ctx context.Context, s *Space, id doc.ObjectID, heads doc.Heads) (*doc.Value, error) {
	obj, err := getObject(r.store, s.id, id)
	if err != nil {
		return nil, err
	}
	d := &document{id: obj.Doc}
	if ok, err := getRow(r.store, key(tableDoc, s.id, d.id), &d.row); err != nil || !ok {
		return nil, orNotFound(ok, err)
	}
	value, err := r.engine.Read(ctx, chunkSource(r.store, s.id, d), heads)
	if err != nil {
		return nil, err
	}
	structure := value.At(keyObjects, id.String())
	if structure == nil {
		return nil, ErrNotFound
	}
	return structure, nil
}

// findRevision returns the version that a text names.
func findRevision(revs []revisionRow, at string, now time.Time) (doc.Heads, error) {
	if n, err := strconv.Atoi(at); err == nil && n > 0 && len(at) < minPrefix+4 {
		if n > len(revs) {
			return nil, fmt.Errorf("revision %d of %d: %w", n, len(revs), ErrBadRevision)
		}
		return revs[n-1].Heads, nil
	}
	if len(at) >= minPrefix {
		for _, v := range revs {
			if strings.HasPrefix(v.Change.String(), at) {
				return v.Heads, nil
			}
		}
	}
	when, err := ParseTime(at, now)
	if err != nil {
		if isHex(at) {
			return nil, fmt.Errorf("%q: %w", at, ErrBadRevision)
		}
		return nil, fmt.Errorf("%q: %w", at, ErrBadTime)
	}
	for _, v := range slices.Backward(revs) {
		if v.Time <= when.UnixMilli() {
			return v.Heads, nil
		}
	}
	return nil, fmt.Errorf("nothing before %s: %w", when.Format(time.RFC3339), ErrBadRevision)
}

var timeForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02", "2006-01"}

// day is what "d" stands for in a text such as -3d; "w" are seven of it.
const day = 24 * time.Hour

// ParseTime reads a point in time: 2026-11-20T18:00, 2026-11-20, 2026-11, 18:00
// (of today), what RFC 3339 allows, or how long before now it was: -2h, -90m,
// -3d, -1w. What a date leaves out is the beginning of it. The error wraps
// ErrBadTime.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if d, ok := parseAgo(s); ok {
		return now.Add(-d), nil
	}
	for _, form := range timeForms {
		if t, err := time.ParseInLocation(form, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, err := time.ParseInLocation("15:04", s, now.Location()); err == nil {
		y, m, d := now.Date()
		return time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, now.Location()), nil
	}
	return time.Time{}, fmt.Errorf("%q: %w", s, ErrBadTime)
}

// parseAgo reads a duration, which may count in days and weeks.
func parseAgo(s string) (time.Duration, bool) {
	if d, err := time.ParseDuration(s); err == nil {
		return max(d, -d), true
	}
	for suffix, unit := range map[string]time.Duration{"d": day, "w": 7 * day} {
		digits, ok := strings.CutSuffix(strings.TrimPrefix(s, "-"), suffix)
		n, err := strconv.ParseUint(digits, 10, 16) // of days: 179 years
		if ok && err == nil {
			return time.Duration(n) * unit, n <= math.MaxInt64/uint64(unit)
		}
	}
	return 0, false
}

// isHex reports whether a text could be the beginning of a change's hash.
func isHex(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }

// ReadVersion returns what an object's file looks like at a version, in the
// layout of an object that was never written here.
func (r *Repo) ReadVersion(ctx context.Context, ino Ino, v Version) ([]byte, error) {
	row, s, err := r.objectNode(ino)
	if err != nil {
		return nil, fmt.Errorf("read version: %w", err)
	}
	heads := v.Heads
	if len(heads) == 0 {
		obj, err := getObject(r.store, s.id, row.ID)
		if err != nil {
			return nil, fmt.Errorf("read version: %w", err)
		}
		if heads = (doc.Heads{obj.First}); obj.First.IsZero() {
			return currentText(r.store, row)
		}
	}
	structure, err := r.readStructure(ctx, s, row.ID, heads)
	if err != nil {
		return nil, fmt.Errorf("read version of %q: %w", row.Name, err)
	}
	return renderView(row.Kind, nil, nil, viewOf(row.Kind, structure), nil), nil
}

// Stat is what `echofs stat` and .echofs/meta tell of a file.
type Stat struct {
	ID       string   `json:"id"`
	Kind     string   `json:"kind"`
	Type     string   `json:"type"`
	Space    string   `json:"space"`
	URI      string   `json:"uri"`
	Heads    []string `json:"heads"`
	Author   string   `json:"author"`
	Base     string   `json:"base"`
	Error    string   `json:"error,omitempty"`
	Replicas int      `json:"replicas"`          // devices known to hold the current version durably, this one included
	Missing  int64    `json:"missing,omitempty"` // of a blob of which not all has come: its bytes

	Versions []StatVersion `json:"versions,omitempty"` // of a blob, the newest first

	Present []Presence `json:"present,omitempty"` // who else has it open; whoever asks fills it in
}

// Presence is that somebody has an object open on another device.
type Presence struct {
	Name   string    `json:"name"` // of the person
	Device string    `json:"device"`
	Since  time.Time `json:"since"`
}

// StatVersion is a version of a blob that has or had its name.
type StatVersion struct {
	Rev  int    `json:"rev"` // the last revision after which it had the name
	Size int64  `json:"size"`
	Here bool   `json:"here"` // its content is on this device; that of one that was replaced may be nowhere
	Root string `json:"root"`
}

// maxStatVersions bounds what a Stat says of versions.
const maxStatVersions = 32

// Stat returns what is known of a node.
func (r *Repo) Stat(ctx context.Context, ino Ino) (Stat, error) {
	n, err := r.Node(ino)
	if err != nil {
		return Stat{}, fmt.Errorf("stat: %w", err)
	}
	st := Stat{Kind: n.Kind.String(), Type: n.Type, Heads: n.Version.Heads.Strings(), Base: n.Base}
	if d, err := r.DraftOf(ino); err == nil {
		st.Error = d.Why.Error()
	}
	s, ok := r.SpaceByID(n.Space)
	if !ok {
		return st, nil
	}
	st.Space = s.PublicID()
	st.URI = "echo://" + s.PublicID()
	if n.ID.IsZero() {
		if n.Kind.IsLocal() {
			st.URI = ""
		}
		return st, nil
	}
	st.ID, st.URI = n.ID.String(), st.URI+"/"+n.ID.String()
	if v, ok := n.Blob(); ok && !s.chunks.isComplete(v.Root) {
		st.Missing = v.Size
	}
	if n.Kind == KindBlob && n.Of.IsZero() {
		if st.Versions, err = s.statVersions(ctx, n.ID); err != nil {
			return st, fmt.Errorf("stat: %w", err)
		}
	}
	return st, s.statObject(&st, n.ID)
}

// statVersions lists the versions of a blob.
func (s *Space) statVersions(ctx context.Context, id doc.ObjectID) ([]StatVersion, error) {
	revs, err := s.History(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []StatVersion
	seen := map[blob.Address]bool{}
	for _, r := range revs {
		v, ok := r.Blob()
		if !ok || seen[v.Root] || len(out) == maxStatVersions {
			continue
		}
		seen[v.Root] = true
		out = append(out, StatVersion{Rev: r.Rev, Size: v.Size, Here: s.HasBlob(v), Root: v.Root.String()})
	}
	return out, nil
}

func (s *Space) statObject(st *Stat, id doc.ObjectID) error {
	st.Author = s.nameOf(s.State(), s.repo.me.id)
	revs, err := s.revisions(id)
	if err != nil || len(revs) == 0 {
		return err
	}
	last := revs[len(revs)-1]
	st.Author = s.nameOf(s.State(), last.Identity)
	want := Vector{}
	for _, v := range revs {
		if v.Seq+1 > want[v.Feed].Next {
			want[v.Feed] = Position{Next: v.Seq + 1}
		}
	}
	st.Replicas = 1 + len(s.AckedBy(want))
	return nil
}
