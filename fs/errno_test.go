package fs

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"echofs/echo"
)

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err              error
		close, elsewhere syscall.Errno
	}{
		{nil, 0, 0},
		{echo.ErrNotFound, syscall.ENOENT, syscall.ENOENT},
		{echo.ErrReadOnly, syscall.EROFS, syscall.EROFS},
		{echo.ErrCrossSpace, syscall.EXDEV, syscall.EXDEV},
		{echo.ErrLoop, syscall.EINVAL, syscall.EINVAL},
		{&echo.InvalidError{Reason: "x"}, syscall.EINVAL, syscall.EIO},
		{&echo.InvalidError{Reason: "x", TooLarge: true}, syscall.EFBIG, syscall.EFBIG},
		{syscall.ENOSPC, syscall.ENOSPC, syscall.ENOSPC},
		{context.DeadlineExceeded, syscall.ETIMEDOUT, syscall.ETIMEDOUT},
		{errors.New("else"), syscall.EIO, syscall.EIO},
	} {
		wrapped := c.err
		if wrapped != nil {
			wrapped = fmt.Errorf("do something: %w", wrapped)
		}
		if got := syscall.Errno(errno(wrapped)); got != c.close {
			t.Errorf("%v at a close: got %v, want %v", c.err, got, c.close)
		}
		if got := syscall.Errno(errnoElsewhere(wrapped)); got != c.elsewhere {
			t.Errorf("%v elsewhere: got %v, want %v", c.err, got, c.elsewhere)
		}
	}
}
