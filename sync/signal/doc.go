// Package signal lets devices find each other through servers that need not be
// trusted: a rendezvous that forwards sealed boxes between those who know the
// same topic.
//
// # What the server sees
//
// A client opens a WebSocket (subprotocol [Protocol]) and sends binary
// messages, each one CBOR array:
//
//	[topic, self]            subscribe under a random 16-byte peer id
//	[topic]                  unsubscribe
//	[topic, from, to, box]   forward box to peer `to`, or to all others for null
//
// The server sends only the last kind, as it got it. A topic is 20 opaque bytes
// that change daily, a peer id is fresh for each topic and connection, and a
// box is opaque. So a server learns who (by address) meets whom, when, and how
// much they say: not what, and not the names of spaces, people or devices. It
// keeps nothing and logs no content.
//
// Everything that a client can make grow is bounded ([Limits]); a client that
// does not read what is sent to it is dropped, one that sends too much loses
// the excess. Nothing is promised about delivery: the ends announce themselves
// again.
//
// # What is in a box
//
//	box   = nonce24 || XChaCha20-Poly1305(key, nonce, padded, topic || from || to)
//	plain = cbor Message, 0x80, zeros up to a multiple of 256 bytes
//
// The key is known to those who may meet on the topic. [Message] says what they
// say to each other, [Guard] which boxes a receiver need not look at: replays,
// floods, and boxes that do not open.
package signal
