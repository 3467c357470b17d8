// Package archive reads and writes ECHO space archives: one file with all
// documents of a space, as ECHO's own client exports and imports them.
//
// # Format
//
// An archive is a POSIX tar (ustar) of plain files, without directories:
//
//	documents/<document id>.bin   one for each document, the root first
//	metadata.json                 last
//
// A .bin is one or more Automerge chunks, one after the other; this package
// does not look into it. The metadata are
//
//	{"version":1,"createdAt":<ms>,"originalSpaceId":"B...","echo":{"currentRootUrl":"automerge:<document id>"}}
//
// Deleted objects are in an archive; keys and members are not.
//
// # Reading
//
// [Read] takes the files in any order, with or without gzip, which it knows by
// the first bytes, and also what a repacked archive has: directories, and names
// that start with "./". Files it does not know, such as feeds/..., are listed,
// not kept. It refuses what no exporter writes: links and devices, names that
// lead out of the archive, a document twice, a root that is missing. An archive
// comes from anywhere, so everything in it is bounded by [Limits] before it is
// read.
//
// # Writing
//
// [Write] makes equal bytes of equal archives: times and owners come from the
// metadata, or are constants.
package archive
