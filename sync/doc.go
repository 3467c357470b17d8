// Package sync keeps the spaces of a vault equal on all devices of their
// members: it finds them, makes sessions with them, and exchanges signed
// credentials and entries. It judges nothing about content: that is the
// repository's.
//
// Inside this package the standard library's sync keeps its name; outside, it
// is imported as echosync.
//
// # Rooms
//
//	sync/signal   how devices meet through servers that learn nothing
//	sync/lan      how they find each other on a local network
//	sync/overlay  with whom to connect
//	sync/turn     STUN and TURN servers, and credentials for them
//	sync/near     which addresses are of local networks
//	sync/rtc      connections over WebRTC
//	sync/session  Noise sessions over a connection
//	sync/wire     the strict encoding of all messages
//	sync/memrepo  a vault in memory, for tests
//
// # How two devices come together
//
// For each of its epochs a space has a topic for each day ([halo.SwarmSecret]).
// A device sits on the topics of its spaces at all signaling servers
// (meeting), and announces itself there in sealed boxes: when it comes, and
// from time to time. Of two devices the one with the lower id offers a
// connection to the other, on whatever server and topic they met first; the
// other one asks it to. There is at most one connection for each pair of devices
// and space: simple to reason about, and a connection costs some 300 KB. A swarm
// knows the devices of one space, which of them are linked, and when to try
// again; with whom a device connects where there are many says package overlay.
//
// Devices of a local network meet without a server: each runs a small rendezvous
// for it (local). And members tell each other whom they reach (ways), and carry
// sealed boxes to them (carry): two that share no server meet through a third,
// and a mesh heals while all servers are away.
//
// Over the connection runs a Noise handshake under the epoch's pre-shared key
// that is bound to the certificates of the connection. Then both say hello: who
// they are, for which space, which credentials they hold. A device proves by
// its session key that it is who it says; that it is a member follows from the
// credentials. One that is unknown may send credentials that prove it; one that
// was removed is told so, with the credential that did it.
//
// # The exchange
//
// A message is a byte that says its kind and a CBOR map (message.go). On the
// control lane go credentials, heads, vectors, acks, wants, pings, and fresh
// entries that are small; on the bulk lane the entries that were asked for.
//
//   - Credentials first: whoever has credentials that the other lacks sends
//     them, and then its heads, before anything that builds on them.
//   - Vectors: each side tells how much of each feed it holds, and from then on
//     what changes.
//   - Chunks: the content of blobs is asked for chunk by chunk, of any peer, and
//     comes on a lane of its own (chunks.go).
//   - Pull: whoever lacks entries asks one peer for them (want), of as many
//     feeds as there are peers and room. How fast they come is decided by how
//     fast they are ingested: reading stops while the inbox is full.
//   - Push: entries written on this very device are sent at once to every peer
//     that has all before them, without being asked.
//   - Relay: any member has and gives entries of all others, so that the mesh
//     may be sparse.
//   - Vouch: where some devices are reached only through others, each signs now
//     and then what it holds durably, and others hand it on.
//   - Ack: what was ingested is made durable, many entries by one flush, and
//     then acknowledged by vector.
//
// What to send is decided in one place, peer.evaluate; whom to dial in
// another, swarm.arrange. Every event changes some state and calls them.
//
// # Invariants
//
//	N1  Nothing of a space is said before the other end has proved to hold the
//	    epoch's key, and no credential or entry before it is known as a member.
//	N2  Credentials precede, on the same lane or causally, what needs them.
//	N3  Positions of a feed never go back, here and at the peer.
//	N4  What a peer can make grow is bounded (limits.go), and costs that peer its
//	    own session at most.
//	N5  The reader of the control lane never waits for sending.
//	N6  Goroutines end with what started them: a peer's with its session, a
//	    swarm's with the space or the network, the network's with Run.
package sync
