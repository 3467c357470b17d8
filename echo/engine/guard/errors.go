package guard

import (
	"errors"
	"fmt"
)

// ErrRefused is wrapped by every error of this package.
var ErrRefused = errors.New("change refused")

// Reason tells in which respect a change is not acceptable.
type Reason string

// The reasons.
const (
	ReasonChunk    Reason = "chunk"    // no chunk, or not exactly one
	ReasonType     Reason = "type"     // a chunk, but not of a change
	ReasonChecksum Reason = "checksum" // checksum does not fit
	ReasonLimit    Reason = "limit"    // exceeds a limit
	ReasonActor    Reason = "actor"    // made by another actor than it must be
	ReasonHeader   Reason = "header"   // malformed fields of the change
	ReasonColumns  Reason = "columns"  // malformed columns
	ReasonOps      Reason = "ops"      // an operation that cannot be
	ReasonContext  Reason = "context"  // does not fit what came before it
)

// Error is a refusal. It wraps ErrRefused.
type Error struct {
	Reason Reason
	Detail string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%v: %s: %s", ErrRefused, e.Reason, e.Detail)
}

// Unwrap returns ErrRefused.
func (e *Error) Unwrap() error { return ErrRefused }

func refuse(reason Reason, format string, args ...any) error {
	return &Error{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
