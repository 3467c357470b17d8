// Package doc is the vocabulary in which the packages of echofs speak of an
// Automerge document: its identifiers, its values, and the edits that change
// it. It holds no state, does no input or output and knows no CRDT: the engine
// (echo/engine) executes edits, the models (echo/model) compute them from
// files.
//
// # Values
//
// A [Value] is a snapshot of a part of a document at some version. It keeps
// the distinctions Automerge makes and JSON does not: a string that is one
// value ([String]) and one that is merged by character ([Text]), an integer
// and a counter, bytes and timestamps. The fields of a map keep the order in
// which they were given, which is the order of a file's text; an engine
// returns them sorted by key, since Automerge keeps no order.
//
// # Edits
//
// An [Edit] is one operation on a document. A list of edits is applied in
// order, and each path refers to the state which the edits before it left
// behind. A path starts at the root of the document.
//
// # Versions
//
// [Heads] name a version: the hashes of the changes that no other change of
// the version depends on. Heads are kept sorted and without duplicates, so
// equal versions have equal heads.
package doc
