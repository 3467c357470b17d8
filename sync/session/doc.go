// Package session makes an authenticated, encrypted session of two devices out
// of any pair of ordered, reliable message channels.
//
// # Handshake
//
// The handshake is Noise_XXpsk0_25519_ChaChaPoly_SHA256; whoever made the offer
// is the initiator. The pre-shared key comes from the epoch of a space (or from
// an invitation), so a stranger fails at the first message and learns nothing.
// The static keys are the devices' session keys. The prologue holds what both
// sides must agree on before they trust anything:
//
//	"echofs/v1/session" 0x00 cbor{1: transport, 2: initiator's fingerprint,
//	  3: responder's fingerprint, 4: topic, 5: session id, 6: [versions]}
//
// The fingerprints are the SHA-256 of the DTLS certificates that the transport
// really used. A signaling server that puts itself in the middle, with
// certificates of its own on both sides, gives the two ends different
// prologues, and the handshake fails.
//
// # Lanes
//
// A session has three lanes, each over a channel of its own: [Control] for small
// messages that must not wait, [Bulk] for large ones, [Chunks] for content of blobs. The keys of a lane and
// direction are HKDF-SHA256 of the key that Noise gave to the direction, under
// the labels "echofs/v1/session-control" 0x00 and "echofs/v1/session-bulk"
// 0x00. Messages of one lane arrive in order; between lanes there is no order.
//
// # Frames
//
// A channel message is one frame: ChaCha20-Poly1305 of a flag byte and data,
// with a counter as nonce, at most [MaxFrame] bytes. Flag 1 says that the
// message goes on in the next frame, flag 2 that the sender's next frame is
// under the next key (HKDF of the old one, label "echofs/v1/session-rekey"
// 0x00); a sender rekeys after 2^16 frames or an hour, and a receiver refuses
// to decrypt more than 2^16 frames under one key. Any other flag, a frame that
// does not open, and a message beyond the limit end the session.
//
// Everything passes through these frames, also where the transport encrypts by
// itself: one argument for every transport.
package session
