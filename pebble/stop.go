package pebble

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// guard runs fn in a goroutine and returns what it returns, or ErrStopped when
// the database stops meanwhile; fn is then left behind, for it may never end.
func (db *DB) guard(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				db.fail(fmt.Errorf("panic in the database: %v", r))
			}
		}()
		done <- fn()
	}()
	select {
	case err := <-done:
		return err
	case <-db.stopped:
		return db.alive()
	}
}

// alive returns an error once the database has stopped.
func (db *DB) alive() error {
	select {
	case <-db.stopped:
		return fmt.Errorf("%w: %w", ErrStopped, db.cause)
	default:
		return nil
	}
}

// stop is told about failures of the log. While the database is running it does
// not return, since Pebble has no way to go on; before and after, Pebble returns
// the error to the caller.
func (db *DB) stop(err error) {
	if db.state.Load() != running {
		return
	}
	db.die(err)
}

// die stops the database and does not return, for Pebble cannot cope with what
// has happened.
func (db *DB) die(err error) {
	db.fail(err)
	select {}
}

// fail stops the database, once.
func (db *DB) fail(err error) {
	db.stopOnce.Do(func() {
		db.cause = err
		close(db.stopped)
		db.opts.Log.Error("the database has stopped", "dir", db.dir, "err", err)
		if db.state.Load() == running {
			go db.opts.OnFatal(err)
		}
	})
}

// engineLog is Pebble's log.
type engineLog struct{ db *DB }

var _ pebble.Logger = engineLog{}

// Infof implements pebble.Logger.
func (l engineLog) Infof(format string, args ...any) { l.print(slog.LevelDebug, format, args) }

// Errorf implements pebble.Logger.
func (l engineLog) Errorf(format string, args ...any) { l.print(slog.LevelError, format, args) }

func (l engineLog) print(level slog.Level, format string, args []any) {
	log, ctx := l.db.opts.Log, context.Background()
	if log.Enabled(ctx, level) {
		log.Log(ctx, level, "database: "+fmt.Sprintf(format, args...), "dir", l.db.dir)
	}
}

// Fatalf implements pebble.Logger. Pebble relies on it not to return.
func (l engineLog) Fatalf(format string, args ...any) {
	failure := &engineFailure{text: fmt.Sprintf(format, args...)}
	for _, a := range args {
		if err, ok := a.(error); ok {
			failure.cause = err
		}
	}
	l.db.die(failure)
}

// engineFailure is a failure that Pebble reported as text.
type engineFailure struct {
	text  string
	cause error // the last error among the text's arguments
}

func (f *engineFailure) Error() string { return f.text }
func (f *engineFailure) Unwrap() error { return f.cause }
