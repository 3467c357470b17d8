package control

import (
	"context"
	"errors"
	iofs "io/fs"

	"echofs/echo"
	"echofs/halo"
	echosync "echofs/sync"
)

// Errors that belong to the commands and the API themselves.
var (
	ErrUsage   = errors.New("wrong usage")
	ErrRefused = errors.New("refused")
	ErrTimeout = errors.New("timed out")
	ErrNobody  = errors.New("nobody reachable")
	ErrCut     = errors.New("the daemon ended before it had answered")
)

// Code is the sort of an error, as it goes over the wire and into the exit
// status of a command.
type Code string

// The codes.
const (
	Failed   Code = "failed"
	Usage    Code = "usage"
	NotFound Code = "not_found"
	Refused  Code = "refused"
	Timeout  Code = "timeout"
)

// Exit returns the exit status of a command that ends with this code.
func (c Code) Exit() int {
	switch c {
	case Usage:
		return 2
	case NotFound:
		return 3
	case Refused:
		return 4
	case Timeout:
		return 5
	}
	return 1
}

// codes is the table from error to code. The first that matches counts.
var codes = []struct {
	err  error
	code Code
}{
	{ErrUsage, Usage},
	{ErrRefused, Refused},
	{ErrTimeout, Timeout},
	{ErrNobody, Timeout},
	{context.DeadlineExceeded, Timeout},
	{echosync.ErrUnreachable, Timeout},
	{echosync.ErrOffline, Timeout},
	{echo.ErrUnavailable, Timeout},
	{echosync.ErrWrongCode, Refused},
	{echosync.ErrBurned, Refused},
	{echosync.ErrExpired, Refused},
	{echosync.ErrDeclined, Refused},
	{echosync.ErrBusy, Timeout},
	{echosync.ErrCancelled, Refused},
	{echosync.ErrUsed, Refused},
	{echosync.ErrRefused, Refused},
	{echo.ErrReadOnly, Refused},
	{echo.ErrReserved, Refused},
	{halo.ErrNotAllowed, Refused},
	{halo.ErrBadCode, Refused},
	{halo.ErrKeystore, Refused},
	{iofs.ErrPermission, Refused},
	{echo.ErrBadQuery, Usage},
	{echo.ErrBadTime, Usage},
	{echo.ErrAmbiguous, Usage},
	{echo.ErrInvalidName, Usage},
	{echo.ErrNotFound, NotFound},
	{echo.ErrBadRevision, NotFound},
	{echo.ErrNoConflict, NotFound},
	{echosync.ErrNotFound, NotFound},
	{halo.ErrUnknown, NotFound},
	{iofs.ErrNotExist, NotFound},
}

// CodeOf returns the code of an error: the one it carries, or the one that the
// table gives to an error it wraps. Every other error is Failed.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok && e.Code != "" {
		return e.Code
	}
	for _, row := range codes {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return Failed
}

// Error is an error as it goes over the wire: what was being done and what
// happened, and what the user can do about it.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	cause   error
}

// Error returns the message, without the hint.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the error that was made into e in this process, or nil.
func (e *Error) Unwrap() error { return e.cause }

// WithHint returns err with the advice that is shown below its message. A nil
// err stays nil, and an error that has advice keeps it.
func WithHint(err error, hint string) error {
	if err == nil || HintOf(err) != "" {
		return err
	}
	return &Error{Code: CodeOf(err), Message: err.Error(), Hint: hint, cause: err}
}

// HintOf returns the advice that an error carries, or "".
func HintOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}

// wire makes any error into one that can be sent.
func wire(err error) *Error {
	return &Error{Code: CodeOf(err), Message: err.Error(), Hint: HintOf(err)}
}
