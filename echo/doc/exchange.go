package doc

import (
	"context"
	"errors"
)

// ErrEngine is wrapped where the CRDT core died on an input or exceeded a
// limit of memory or time.
var ErrEngine = errors.New("CRDT engine failed")

// Source is a document as its keeper has it: what an engine needs to load it.
// An engine may keep the loaded document and ask again only when the heads
// are not the ones it holds.
type Source struct {
	ID    DocumentID
	Heads Heads // the current version; empty for a new document

	// Load returns chunks that together make the version Heads: a saved
	// document first, if there is one, then changes in causal order. It is
	// called at most once per operation, and not at all where the engine still
	// holds this version.
	Load func(ctx context.Context) ([][]byte, error)
}

// Branch is one sequence of changes which this device can continue: an actor
// and its last change. Automerge demands that each change of an actor sees the
// actor's change before it, so a save against a version that lacks it needs
// another actor.
type Branch struct {
	Actor ActorID
	Last  ChangeHash // zero where the actor has made no change yet
}

// EditRequest asks for one change.
type EditRequest struct {
	Base     Heads    // the version the edits refer to; nil means the current one
	Branches []Branch // the first whose Last is zero or seen by Base signs the change
	Time     int64    // seconds since 1970, stored in the change
	Message  string   // stored in the change
	Edits    []Edit   // at least one
}

// Change is one Automerge change as it is stored and sent.
type Change struct {
	Hash  ChangeHash
	Bytes []byte // one chunk with its header
}

// Result is a document after an operation.
type Result struct {
	Change Change // the change that was made; zero Hash where the edits changed nothing, or for Merge
	Branch int    // index into EditRequest.Branches of the actor that made it
	Heads  Heads  // the current version now
	Value  *Value // the whole document at Heads
}

// Conflict is one place of a document with more than one concurrent value.
type Conflict struct {
	Path   Path
	Values []*Value // the winner first
}
