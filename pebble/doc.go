// Package pebble keeps a vault's database: an ordered map from bytes to bytes
// in one directory, an [echo.Store], over Cockroach's Pebble.
//
// # What a commit survives
//
// Pebble knows two kinds of commit. One lets the bytes wait in the memory of
// the process, where kill -9 loses them; the other waits for the disk, which
// costs from a fifth of a millisecond to ten milliseconds. The contract of
// [echo.Durability] needs a third in the middle: handed to the operating
// system, but not waiting for the disk. It is made of the second kind and a
// file system under Pebble ([walFS]):
//
//   - A Memory commit is Pebble's first kind. All others are synchronous ones
//     for Pebble: it writes the record, and those before it, to its log (WAL),
//     then syncs the log, then lets the commit return.
//   - The log file ignores that sync unless a Disk commit is in flight, so a
//     Kernel commit returns when write(2) has.
//   - A Disk commit raises a counter first, so the sync that Pebble makes for
//     it reaches the disk, and with it all that was written to that log before.
//   - A log file that is closed, because the next one begins or the database
//     ends, is synced first if it needs that. So of all logs only the newest
//     can have a tail that the disk does not know, and a power cut leaves a
//     prefix of the commits, never one with a hole.
//
// # The format of Pebble's files
//
// From its format 020 on Pebble notes in each record how much of the log had
// been synced before, and refuses to open a database whose log is damaged
// within that. Syncs that were ignored would make these notes lies, and a power
// cut would look like damage. So databases have Pebble's format 019
// (columnar blocks), which has no such notes; what came after it, table format
// 6 and values in files of their own, gains nothing for this data. A database
// of a newer Pebble format is refused like one of a newer version of ours.
//
// # Keys
//
// The first byte of a key tells whom it belongs to:
//
//	0x00 "format"   the version of the format: an unsigned varint
//	0x00 "seal"     in a sealed database: by what another key is noticed
//	0x01 key...     a key of echo.Store, followed in docs/FORMAT.md
//
// The version is [Format]. Opening a database of an older version brings it up
// to date, one step after the other, each of them noted when it is done;
// opening one of a newer version fails with [ErrNewerFormat] and leaves
// the data alone.
//
// # Encryption
//
// With a [Seal] all values are encrypted, each by itself; see there. A sealed
// database opens with its own seal only, one that is not with none: it can be
// copied into a sealed one ([DB.CopyTo]).
//
// # When the disk fails
//
// Commits are refused with ENOSPC while less than [Options.Reserve] bytes are
// free, and while [Options.Probe] fails, as on a disk that became read-only, which
// is before anything breaks; reading goes on. An error that comes
// from the log itself, from the catalogue of tables (MANIFEST), or from writing
// memory out to tables, cannot be mended while the process lives: what was
// acknowledged may not reach the disk, and Pebble panics, exits, or waits for
// ever. Here the database stops instead: it calls [Options.OnFatal], and every
// call from then on, the waiting ones too, fails with an error that wraps
// [ErrStopped]. What Pebble was doing stays where it is, with its locks held,
// until the process ends; that is the daemon's part, after it has unmounted.
// What was acknowledged before is there when the database is opened again.
package pebble
