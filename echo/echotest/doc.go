// Package echotest helps to test what stands on package echo: [MemStore] is an
// [echo.Store] in memory, and [TestStore] is the suite that every Store
// passes, the one in memory among them.
//
// # What the suite demands beyond the words of the interface
//
// The contract of [echo.Store] leaves some corners to the reader. The suite
// settles them, so that no implementation can be relied on for more than
// another gives:
//
//   - Any byte string is a key or a value, the empty one included; a value
//     read back is equal to the one written, and empty is not missing.
//   - Commit copies: the caller may change or reuse the batch's slices, and the
//     batch itself, once Commit has returned.
//   - The writes of a batch apply in order, so a DeleteRange spares what the
//     same batch puts after it.
//   - A range whose end is not above its start is empty: Scan calls nothing,
//     DeleteRange removes nothing. A nil end of Scan is the end of the store; a
//     nil end of DeleteRange is the empty string, so such a range is empty too.
//   - The function given to Scan may use the store, Commit included, and does
//     not see what it changes.
//   - A reader sees a batch as a whole or not at all, and commits that returned
//     before it started.
//
// What a commit survives can be tested only with help from the implementation:
// a Store that also is a [Reopener], [Killer] or [PowerCutter] is put through
// the tests of durability.
package echotest
