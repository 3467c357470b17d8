// Package guard reads Automerge changes without the CRDT core and refuses those
// that the core should not see: bytes from a peer are data to this package,
// and it never runs anything.
//
// [Check] looks at one change alone. It decodes all of it, in memory that does
// not depend on what the change claims: the columns of a change are run-length
// encoded, so that seventy bytes can stand for a hundred million operations,
// and are read here row by row and never expanded. What it accepts has the
// right checksum, is within the limits, has columns of equal length, refers to
// actors and operations that can exist, and holds values of the form their type
// says.
//
// [CheckContext] looks at a change with what is known of those before it.
//
// Since a change that one device refuses and another applies would part them
// for good, both decide by constants and by the change's bytes only.
//
// Some changes pass that the core cannot bear, because that depends on the
// document, and some that take long. Those are left to the limits of the
// worker process.
//
// # Format
//
// Contents of a change, after the header that chunk.go describes:
//
//	uvarint count, hashes    dependencies, ascending
//	bytes                    actor
//	uvarint                  seq, 1 for the actor's first change
//	uvarint                  operation number of the first operation
//	varint                   time in seconds
//	bytes                    message
//	uvarint count, bytes...  other actors
//	uvarint count, pairs     columns: specification and length, ascending
//	                         the columns' data, in this order
//	                         more, of newer versions
package guard
