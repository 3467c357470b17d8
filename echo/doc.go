// Package echo keeps the spaces of a vault: replicated sets of objects that
// people see as folders and files, and change by saving files.
//
// # Words
//
// A [Repo] is one vault. A [Space] is a replication domain with members. An
// object is a structure {system, meta, data} in an Automerge document, in the
// shape that other ECHO software uses (shape.go). A [Node] is a place in the
// tree that a mount shows: objects, and files that stay on this machine. A
// [Version] names what somebody was looking at. An entry is what one
// transaction of one device did, signed, in that device's feed.
//
// # A save
//
// [Repo.Save] takes the bytes of a file and the version their author was
// looking at. The bytes are parsed (echo/model) and compared with that version;
// the difference becomes edits, which the engine applies at that version and
// merges with the current one. The new value, the file's text, the rows of the
// tree, the change and the signed entry go into the store in one batch
// (update.go). Content that is not valid is refused with an [InvalidError] and
// kept as a draft by whoever called.
//
// New objects are not documents at once: they settle when they have kept their
// name for [Options.SettleDelay] (settle.go), so that temporary names do not
// travel. Removed objects wait for [Options.RemoveGrace] before they are marked
// deleted, so that editors which remove and re-create a file keep its object.
// Both waits are in the store and survive a restart.
//
// # Deleting
//
// A delete counts against what its author had seen (delete.go): an edit that no
// delete had seen brings the object back, on all vaults alike. Large removals
// are held before they are told to others (remove.go). Concurrent values of one
// field are conflicts until somebody writes the field (conflict.go).
//
// # What others did
//
// [Space.Ingest] takes entries of other devices' feeds. They are checked cheap
// things first (ingest.go), stored, and applied when all they depend on is
// there. Entries can come from anybody and in any order between feeds; the
// result is the same.
//
// Which of the stored entries count is a function of the credentials and the
// entries (inclusion.go): a removal cuts feeds, what lies beyond is left out of
// the documents again (leave.go), kept, and listed (audit.go). Roles, removals
// and revocations are made in roles.go, with the epoch that follows.
//
// # Invariants
//
//  1. A document is the fold of the entries that count; a value, a file's text and
//     the tree's rows follow from the documents. Fsck computes them again.
//  2. Durable, then visible, then told: a transaction is in the store before
//     the space's memory knows of it, and before subscribers do.
//  3. Nothing reaches the engine before its signature, its author's role and
//     its structure were checked.
//  4. Two vaults with the same credentials and entries show the same canonical
//     bytes and the same tree, but for the files of this machine (tree.go).
//  5. A save is never compared with a version its author did not see.
//  7. No acknowledged save is absent after a crash, and no draft is lost.
//
// Going up is an event, never a call: see [Subscription].
//
// # Locks
//
// Each space has one writer at a time (Space.mu), which works on an overlay
// over the store and commits it. Readers take no lock: they see the store as
// the last commit left it. Repo.mu is taken before Space.mu; the locks of
// feeds, keys and acknowledgements are leaves.
package echo
