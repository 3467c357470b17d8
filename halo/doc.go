// Package halo knows who may do what: identities and their devices, the signed
// credentials that make somebody a member of a space, the signed entries in
// which members write, the keys under which entries are sealed, and the codes
// by which people meet. It is pure: functions over bytes and sets, without
// files, sockets, clocks or goroutines.
//
// # Keys and names
//
// An identity is a person; its root key comes from a phrase of 24 words and
// lives on paper only ([RootKeys]). A device ([DeviceKeys]) has three keys with
// one use each: Ed25519 signs, X25519 is the static key of sessions, and the
// hybrid KEM MLKEM768X25519 receives epoch keys. An identity and a space are
// named by the hash of their first credential, a device by the hash of its
// public keys, so a name proves what it names.
//
// # Credentials
//
// A [Credential] is a statement in deterministic CBOR, signed with Ed25519 and
// named by its SHA-256. It names its parents: the newest credentials its
// author knew. So credentials form a directed acyclic graph, and what an
// author could know is what the graph says it knew. Two kinds of graph exist:
// the identity graph (devices of one person, whose credentials name only
// credentials of that person and no space) and the space graph (members,
// roles, epochs), whose credentials also name identity credentials of its
// members. One [Graph] holds a space with the identities in it; identifiers are
// hashes over distinct bodies and cannot clash.
//
// A credential is judged by its strict ancestors alone: by the state they make,
// its author either had the authority or had not, for every replica and for
// ever. Of those that had it, the removals of higher levels void what the
// removed issued without knowing of that, and what builds on it (resolve.go), so
// that backdating is of no use. [State] folds the rest. Where several concurrent
// credentials speak of one subject, the lowest role (or level) wins. Nothing
// depends on the order of arrival, on a clock, or on a local counter.
// Credentials of types a version does not know are kept and count as parents,
// and give no authority.
//
// # Entries
//
// A device writes one hash-chained feed of entries per space ([Entry]). The
// signature covers a header that commits to the sealed payload, so whoever
// carries an entry can verify it without reading it. The header names the
// credentials its author knew; [Graph.Authorize] decides by them whether the
// author was allowed to write, once and for ever.
//
// # Epochs
//
// Every space has epochs, each with a random 32-byte key ([EpochKey]) which is
// wrapped to the devices that may read. Everything symmetric is derived from
// it: payload keys, the meeting topic of a day, the key of sealed signaling,
// the pre-shared key of sessions.
//
// # Invariants
//
//	I1  Nothing is decrypted before its signature and its author's authority
//	    were checked.
//	I3  State and authority are functions of the set of credentials only.
//	I4  Every signature is over "echofs/v1/" || type || 0x00 || bytes, and every
//	    label of a key derivation is used for one purpose.
//	I5  Decoders are strict: what decodes encodes to the same bytes.
//	I6  Public keys of small order are refused where they enter.
//	I7  The limits in limits.go that are marked as consensus never change within
//	    a version of the protocol.
//	I8  Secrets have no printable form: not by fmt, not by slog, not as JSON.
package halo
