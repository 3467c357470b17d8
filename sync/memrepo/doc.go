// Package memrepo is a vault in memory that has all that replication needs and
// nothing else: real identities, credentials and epoch keys, and entries that
// are opaque bytes in a hash chain. It is for tests of what stands on sync.
//
// An entry is the id of its predecessor (32 bytes; zero for the first) and
// data; its id is its SHA-256. A feed belongs to one device, by its id. Whether
// the author may write is not judged: that is the business of a real
// repository.
package memrepo
