// Package turn runs a STUN and TURN server for devices that no other way
// connects: behind NATs that give every destination another port, or in networks
// without UDP. What it carries is encrypted from end to end.
//
// # Credentials
//
// Nobody has an account. A rendezvous that goes with the server answers
// GET /turn with a document of URLs, a name and a password ([Offer]), valid for
// [Life]:
//
//	username = unix seconds of its end ":" random
//	password = base64(HMAC-SHA1(secret, username))
//
// This is the scheme that other TURN servers know as "REST API" or "static auth
// secret": with a shared secret, a rendezvous can hand out credentials for one
// of them, and this server accepts those that others made. The secret is random
// for each start unless it is given.
//
// # Limits
//
// A client address has at most [MaxPerAddr] relays at a time, all together
// [MaxAll]. A server with an address of the internet relays to no address of
// local networks, so that nobody reaches through it what is behind it.
package turn
