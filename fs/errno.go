package fs

import (
	"context"
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"echofs/echo"
	"echofs/echo/blob"
)

// errnos is the one table from errors to what a program sees. The first that
// matches counts.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{echo.ErrNotFound, syscall.ENOENT},
	{echo.ErrExists, syscall.EEXIST},
	{echo.ErrReadOnly, syscall.EROFS},
	{echo.ErrNotEmpty, syscall.ENOTEMPTY},
	{echo.ErrNotDir, syscall.ENOTDIR},
	{echo.ErrIsDir, syscall.EISDIR},
	{echo.ErrCrossSpace, syscall.EXDEV},
	{echo.ErrInvalidName, syscall.EILSEQ},
	{echo.ErrReserved, syscall.EPERM},
	{echo.ErrBadTarget, syscall.EPERM},
	{echo.ErrLoop, syscall.EINVAL}, // as rename(2) has it
	{echo.ErrTooDeep, syscall.ENAMETOOLONG},
	{echo.ErrAmbiguous, syscall.EEXIST},
	{echo.ErrNoConflict, syscall.ESTALE}, // settled while the file was open
	{echo.ErrTooLarge, syscall.EFBIG},
	{echo.ErrDraftQuota, syscall.EDQUOT},
	{blob.ErrTooLarge, syscall.EFBIG},
	{echo.ErrUnavailable, syscall.ETIMEDOUT},
	{blob.ErrMissing, syscall.ETIMEDOUT},
	{echo.ErrClosed, syscall.ESHUTDOWN},
	{echo.ErrEngine, syscall.EIO},
	{echo.ErrBadQuery, syscall.ENOENT}, // the name of a directory that is not
	{echo.ErrBadTime, syscall.ENOENT},
	{context.DeadlineExceeded, syscall.ETIMEDOUT},
	{context.Canceled, syscall.ESHUTDOWN}, // only unmounting cancels
}

// errno returns the status that answers a request which ended with err.
func errno(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return fuse.Status(number)
	}
	var invalid *echo.InvalidError
	if errors.As(err, &invalid) {
		if invalid.TooLarge {
			return fuse.Status(syscall.EFBIG)
		}
		return fuse.EINVAL
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return fuse.Status(e.errno)
		}
	}
	return fuse.EIO
}

// errnoElsewhere is errno for requests other than close. Programs read EINVAL at
// a rename as "a subdirectory of itself", and some ignore it at an fsync.
func errnoElsewhere(err error) fuse.Status {
	status := errno(err)
	if isInvalid(err) && status == fuse.EINVAL {
		return fuse.EIO
	}
	return status
}

func isInvalid(err error) bool {
	var invalid *echo.InvalidError
	return errors.As(err, &invalid)
}

// isNotText reports whether content was refused because it is no text.
func isNotText(err error) bool {
	var invalid *echo.InvalidError
	return errors.As(err, &invalid) && invalid.NotText
}
