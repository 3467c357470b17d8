// Package first writes and reads the first change of a document without the
// CRDT core, in Go alone. Most documents of a space have no other change, and
// the core takes a hundred times as long for it: it is made to merge, and here
// is nothing to merge with.
//
// [Write] makes the change that the core would make for the same edits, byte by
// byte. [Read] returns what a document shows whose only change this is. It
// reads a change only if Write could have written it: what it understands is
// written again and compared. So nothing is read here in another way than the
// core would read it, and whatever has another form is left to the core.
//
// # The form
//
// A first change depends on nothing and begins with operation 1. Each operation
// makes an object or sets a value, at a key that has none yet, or behind the
// last element of a list or the last character of a text. What is in an object
// need not follow it directly. Nothing is replaced, deleted, incremented or
// marked.
//
// Package guard describes the format of changes.
package first
