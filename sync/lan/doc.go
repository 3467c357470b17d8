// Package lan finds devices on the local network without any server, by mDNS
// and DNS service discovery (RFC 6762, RFC 6763).
//
// A device that listens for others announces the service
// [Service] under a random instance name, fresh for each start, with
// the port of its listener and TXT attributes "t0", "t1", … of thirty tags each: a
// [Tag] is the first eight bytes of SHA-256 of a label and a topic. Topics
// change daily, and so do tags; from a tag the topic cannot be computed. So the
// network learns that echofs runs on a machine and how many topics it is on,
// and nothing that lasts longer than a day; two devices that share a topic know
// each other by it, and meet at one of their listeners in sealed boxes, as they
// would at a server.
//
// A [Finder] asks at once, then less and less often down to once a minute, and
// answers whoever asks. What it heard of nobody for three minutes it forgets. It
// believes only addresses of the local networks, so that nobody on them can
// make this machine call elsewhere, and remembers at most [MaxPeers] devices.
package lan
