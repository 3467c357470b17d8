// Package model says how the bytes of a file correspond to the data of an
// object: how a text is read, which edits a save is, and how data becomes
// text again without disturbing what its author wrote. It is pure: it knows
// no engine, no store and no file, and everything it does is bounded in time
// and memory by the size of its input.
//
// # Reading
//
// [Parse] reads strictly and says where and why it refuses. What it accepts,
// it keeps: a number comes back with the same value, a string with the same
// code points. Since JSON has fewer kinds than a document, a value read from a
// text is compared with what is in the document: [Same] is true of two values
// that are the same data in another spelling, and such a difference is never
// an edit. 1.0 over a stored 1 leaves the stored 1 alone, and the file keeps
// its 1.0.
//
// What JSON cannot say is written as a map of the single key "/", as ECHO
// writes references:
//
//	{"/": {"bytes": "3q2+7w=="}}     bytes, in standard base64
//	{"/": {"float": "NaN"}}          also "Infinity" and "-Infinity"
//	{"/": {"unknown": "AQI="}}       a kind of value this version cannot write
//
// The last is only shown: as long as it is left as it is, the value behind it
// is not touched. Timestamps are strings in RFC 3339 with milliseconds and
// stay timestamps when another time is written there; counters are numbers.
//
// # Saving
//
// [Diff] computes the smallest edits from one version to the next, so that
// edits of different people meet as seldom as possible:
//
//   - Maps are compared by key. Order is no data.
//   - A string with white space, now or before, is prose: it becomes a Text
//     once and is spliced from then on ([DiffText]). A string without is a
//     token, a name, a date, a link, half of which makes no sense: it is one
//     value. So is the value of a reference. A [Schema] can say otherwise.
//   - A counter is incremented by the difference.
//   - An element of a list is the same element if it has the same @id, id, key
//     or name, as long as that tells elements apart in both versions, else if
//     it has the same value. Elements that stay are compared in place. Among
//     what is left at one place of a list, maps that look alike, prose that is
//     half the same, lists, and numbers are taken for changes of each other
//     and compared in place; the others are removed and inserted. Two tokens
//     are not, so that two people who replace one tag both have theirs.
//   - An element with an identity that moved is removed and inserted, with the
//     kinds its values had (an unknown one becomes the map it was shown as).
//     Automerge has no move: what somebody else changes in the element at the
//     same time is lost with the removed one, and if two people move one
//     element there are two of it. Therefore as few elements as possible are
//     moved.
//   - Everything else is put as one value.
//
// Edits are sequential, as package doc says, and [Apply] is their reference
// interpreter: Apply(base, Diff(base, next)) is the same data as next.
//
// # Showing
//
// [Render] writes data that has no text yet, [Patch] changes a text to new
// data and touches nothing else, [Canonical] is the form to compare by.
//
// References are ids in the document and paths in a file: [ShowRefs] and
// [ResolveRefs] translate, with the caller's knowledge of paths, and keep the
// generation in which a reference was written.
//
// # Text bodies
//
// The body of a text file is a Text up to MaxText bytes and a list of lines
// beyond ([NewBody], [DiffBody]), since the core needs about 600 bytes for
// each character of a Text. Short bodies merge by character, long ones by
// line.
package model
