package echo

import (
	"context"

	"echofs/echo/doc"
)

// Engine runs the CRDT core (package echo/engine, in worker processes). Every
// method may be called from any goroutine and ends when ctx does. An error
// leaves nothing behind: the caller's Source is as it was. Errors that wrap
// ErrEngine mean that the core died or exceeded a limit on this input.
type Engine interface {
	// Edit applies edits at a base version, makes one change of them, merges it
	// with the current version and returns both.
	Edit(ctx context.Context, src doc.Source, req doc.EditRequest) (doc.Result, error)
	// Merge applies changes that are causally ready: each one's dependencies
	// are in src or before it in the list. Changes that src has are ignored.
	Merge(ctx context.Context, src doc.Source, changes [][]byte) (doc.Result, error)
	// Read returns the whole document at a version; nil means the current one.
	Read(ctx context.Context, src doc.Source, at doc.Heads) (*doc.Value, error)
	// Compact returns one chunk that loads to the same heads as src, verified
	// by loading it.
	Compact(ctx context.Context, src doc.Source) ([]byte, error)
	// Changes returns all changes of src in causal order.
	Changes(ctx context.Context, src doc.Source) ([]doc.Change, error)
	// Conflicts lists the places with more than one concurrent value.
	Conflicts(ctx context.Context, src doc.Source) ([]doc.Conflict, error)
}
