// Package blob keeps the content of files that are neither structured nor text:
// outside of the documents, in sealed chunks of at most [ChunkSize] bytes.
//
// # Chunks
//
// A chunk is encrypted under a key of its own, which is derived from the epoch's
// key and a random id, and named by the SHA-256 of its sealed bytes (chunk.go).
// So whoever stores or carries chunks learns their sizes and nothing else, and
// whoever receives one knows that it is the one that was asked for.
//
// # Versions
//
// A version of a file is named by its root chunk, which holds either the content
// itself, if that is small, or the addresses of the chunks that make it up, if
// need be by way of chunks of addresses (index.go). A new version shares with the
// one before every chunk whose content did not change: writing a byte of a large
// file costs one chunk and the lists above it. A chunk of nothing but zeros is not
// stored; it is a hole.
//
// # Reading and writing
//
// [Reader] reads a version at any offset; what it decrypted last stays in a
// [Cache]. [Work] is a file that is being written: a sparse plain file that holds
// the blocks that differ from the version it began with, with a journal so that
// neither a killed process nor, after Sync, a power cut loses them. [Build] makes
// a version of it. None of them ever holds more than a few chunks in memory.
//
// # Stores
//
// A [Store] holds the sealed chunks of one space; [Dir] is one in a directory,
// [Mem] one in memory. A chunk never changes, so a store has no transactions:
// chunks are put before the entry that names them is committed, and what no
// version needs is found and deleted by whoever knows the versions.
package blob
