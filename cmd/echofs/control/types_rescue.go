package control

import (
	"encoding/json"
	"time"
)

// DiffRequest asks what changed between two versions of a file.
type DiffRequest struct {
	PathRef
	A string `json:"a"` // a revision or a time; "" for the one before the last
	B string `json:"b"` // "" for the last
}

// Diff is the difference between two versions of a file.
type Diff struct {
	Path string `json:"path"`
	A    string `json:"a"` // what the versions are called
	B    string `json:"b"`
	Text string `json:"diff"` // a unified diff; "" for the same content
}

// RestoreRequest asks for an old content to be the current one.
type RestoreRequest struct {
	PathRef
	At string `json:"at"` // a revision or a time
}

// Restored tells whether restoring an old content changed anything.
type Restored struct {
	Path    string `json:"path"`
	Changed bool   `json:"changed"`
}

// Undone is what `echofs undo` took back.
type Undone struct {
	Path  string `json:"path"`  // a file, or a space where a large removal was taken back
	What  string `json:"what"`  // change, removal, removals
	Count int    `json:"count"` // of files that are back or changed
}

// Conflict is one contested field.
type Conflict struct {
	Path    string          `json:"path"` // "<space>/…"
	Pointer string          `json:"pointer"`
	Values  []ConflictValue `json:"values"`
}

// ConflictValue is one of the values of a contested field.
type ConflictValue struct {
	Value  json.RawMessage `json:"value"`
	Author string          `json:"author"`
	Device string          `json:"device"`
	Time   time.Time       `json:"time"`
	Winner bool            `json:"winner"`
}

// SettleRequest gives a contested field its value.
type SettleRequest struct {
	PathRef
	Pointer string          `json:"pointer"`
	Value   json.RawMessage `json:"value"`
}

// TrashList asks for the deleted objects of one space, or of all.
type TrashList struct {
	Space string `json:"space"`
}

// Trashed is one line of `echofs trash list`.
type Trashed struct {
	Path    string     `json:"path"` // "<space>/…", where it was
	ID      string     `json:"id"`
	Kind    string     `json:"kind"`
	Deleted time.Time  `json:"deleted"`
	Author  string     `json:"author"`
	Device  string     `json:"device"`
	Until   *time.Time `json:"until,omitempty"` // removed here, and told to others then
}
