package echo

import (
	"errors"
	"fmt"
)

// Errors of this package. They are wrapped; use errors.Is.
var (
	ErrExists      = errors.New("already exists")
	ErrReadOnly    = errors.New("not permitted by your role in the space")
	ErrNotEmpty    = errors.New("folder not empty")
	ErrNotDir      = errors.New("not a folder")
	ErrIsDir       = errors.New("is a folder")
	ErrCrossSpace  = errors.New("not within one space")
	ErrInvalidName = errors.New("invalid name")
	ErrReserved    = errors.New("name is reserved")
	ErrLoop        = errors.New("folder would contain itself")
	// ErrTooDeep is wrapped where folders would lie in each other deeper than is
	// followed: 500.
	ErrTooDeep     = errors.New("too many folders in each other")
	ErrClosed      = errors.New("vault is closed")
	ErrAmbiguous   = errors.New("ambiguous name")
	ErrDraftQuota  = errors.New("no room for drafts")
	ErrTooLarge    = errors.New("larger than the limit")
	ErrUnavailable = errors.New("content is not here yet, and no device that has it is connected")
	ErrBlob        = errors.New("a blob has no text")
)

// InvalidError tells why the content of a save was refused. The content is
// not lost: the caller keeps it as a draft (Repo.PutDraft).
type InvalidError struct {
	Line, Column int    // from 1; 0 where the reason has no place
	Pointer      string // JSON pointer to the value, "" for the whole
	Reason       string
	TooLarge     bool // the content is beyond a limit of size
	NotText      bool // the content is not UTF-8 text
}

// Error returns "line L, column C: reason".
func (e *InvalidError) Error() string {
	if e.Line == 0 {
		return "invalid content: " + e.Reason
	}
	return fmt.Sprintf("invalid content: line %d, column %d: %s", e.Line, e.Column, e.Reason)
}
