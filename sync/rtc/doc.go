// Package rtc makes connections of two channels over WebRTC data channels.
//
// A connection is made by an offer and an answer (SDP) that the caller carries
// to the other end: see [API.Offer] and [API.Answer]. Local candidates are
// gathered within a millisecond and travel inside the SDP; where servers for
// STUN or TURN are given, what they find out follows as single candidates.
//
// The two channels are negotiated in advance under the ids 0 (control) and 1
// (bulk), ordered and reliable. Each connection has a fresh certificate; the
// hashes of the certificates that DTLS really used are the connection's
// [session.Binding], by which the session above detects somebody in the middle.
//
// The settings are those that were found to matter: large socket buffers (the
// usual 208 KiB overflow in slow start, and then SCTP stands still for a
// second), writes that block, a receive window of 4 MiB, a retransmission
// timeout of at most a second, the SCTP handshake inside the SDP (two round
// trips less), no checksums under DTLS.
package rtc
