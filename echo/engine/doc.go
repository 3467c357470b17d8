// Package engine runs the CRDT core of Automerge, a library in C ABI, in
// worker processes and implements the engine of package echo with them.
//
// # Why processes
//
// The core ends its process on inputs it does not expect, and some small
// inputs make it take gigabytes or minutes. Nothing in Go can recover from
// that. So a worker is the same program started again with pipes to it and
// nothing else: no keys, no network of use, no environment, and limits on
// memory, descriptors and time. All it knows is in the store, so it is killed
// and started again at will. The daemon's process links the core but never
// calls it.
//
// # Who owns what
//
// An [Engine] has a fixed number of workers. A call takes its turn at one of
// them, uses the process, and gives the turn back; a process that died is
// replaced by whoever needs it next. A caller whose context ends leaves the
// turn to a goroutine that waits for the reply, at most until the deadline of
// the call. [Engine.Close] kills the processes and waits for all of that.
// Documents stick to a worker, by their id, so that it finds them in its cache.
//
// A worker (see [Main]) is single-threaded. It holds loaded documents by id and
// version. A request names both; the worker answers "need" where it does not
// have that version, and the engine asks the document's keeper for its chunks
// and sends the request again with them. An operation that fails frees the
// document it worked on, so nothing half done remains, and an operation whose
// result the keeper did not store is harmless: the next request names another
// version than the worker holds.
//
// Beside a document the worker keeps what it takes to go back by some changes
// (see past), since most saves that are not against the current version are
// against one of a moment ago. What is kept there is never needed, only quicker:
// where it is missing or useless, the core goes back through the history.
//
// # What is promised
//
//   - An input on which the core dies, or which takes too much memory or time,
//     costs the call an error that wraps doc.ErrEngine. The next call works.
//   - A result is returned only if it was read from the document as it is
//     after the operation. Merge asks for each change by its hash, since the
//     core reports success for bytes it skipped. It also queues changes that
//     are not ready; here they are an error.
//   - The core can accept changes after which the form it saves does not load.
//     Compact loads what it returns and compares version and data, so such a
//     document is noticed before its changes are replaced by that form. The
//     changes stay the truth; they load one after another as they were merged.
//   - Text is spliced, never set. Positions are Unicode code points, and what
//     is out of range is an error, not clamped.
//   - A time given with a change is written in seconds, as the format wants.
//   - The first change of a document in its usual form is made and read by
//     package first without a worker, with the same results.
//
// # Inside
//
// The binding (am_*.go, am_shim.c) declares the functions it uses itself and
// imports automerge-go only for linking, since that wrapper's finalizers race
// with the core. Results are freed by hand. The shim writes a whole document in
// the stored form of doc.Value with one call from Go.
//
// Package guard, in Go alone, refuses changes by their form before they come
// here.
package engine
