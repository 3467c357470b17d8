package engine

import (
	"errors"

	"echofs/echo/doc"
)

// The errors an engine's methods wrap, beside doc.ErrEngine. None of them is a
// failure of the engine: the request did not fit the document.
var (
	// ErrEdit: an edit does not fit the version it was made for. The message
	// names its path.
	ErrEdit = errors.New("edit does not fit the document")
	// ErrBase: the base of an edit, or the version of a read, is not part of
	// the document.
	ErrBase = errors.New("unknown version")
	// ErrBranch: no branch of the request can continue at its base.
	ErrBranch = errors.New("no branch for this version")
	// ErrChange: a change was not applied, since it is malformed or something
	// it depends on is missing. The message names it.
	ErrChange = errors.New("change cannot be applied")
	// ErrSource: what Source.Load returned does not load, or loads to another
	// version than Source.Heads.
	ErrSource = errors.New("stored document does not load")
	// ErrCompact: the compact form does not load to the same document. The
	// changes are all there; only this form of them is unusable.
	ErrCompact = errors.New("compact form does not load again")
	// ErrLimit: the document is too deep or too large for a doc.Value, or an edit
	// is too much for one change by the limits of package guard.
	ErrLimit = errors.New("limit exceeded")
	// ErrClosed: the engine was closed.
	ErrClosed = errors.New("engine is closed")
)

// errorCodes are the errors that cross the pipe, by their number there.
var errorCodes = []error{nil, ErrEdit, ErrBase, ErrBranch, ErrChange, ErrSource, ErrCompact, ErrLimit, doc.ErrEngine}

func errorCode(err error) byte {
	for i, e := range errorCodes {
		if e != nil && errors.Is(err, e) {
			return byte(i)
		}
	}
	return 0
}

// remoteError is an error as a worker reported it.
type remoteError struct {
	text string
	kind error // one of errorCodes, or nil
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }
