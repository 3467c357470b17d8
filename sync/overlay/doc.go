// Package overlay decides with whom the devices of a space connect, so that a
// space of many does not need a connection for each pair. It is pure: a device,
// the devices it knows to be there, and what it is connected with go in; whom to
// connect with and whom to let go comes out.
//
// # The shape
//
// Up to [Degree]+1 devices connect each with each. More stand on a ring, in the
// order of the hashes of their ids and the space's. Each connects with its two
// neighbours on either side, which keeps the whole in one piece, and still does
// when every second device goes at once; and with some others across the ring,
// which makes ways short: of each pair the hash is the same for both, and
// everybody prefers the pairs with the smallest. Nobody has more than [Degree]
// connections: who has no room says so and is not asked for a while, except by
// its neighbours on the ring, for whom it lets another one go.
//
// Devices decide by what they know. Those that know the same devices agree, and
// where they do not, what a connection tells makes them.
//
//	O1  Nobody keeps more than Degree connections.
//	O2  Where all know the same devices, the connections that are wanted join
//	    all of them.
//	O3  Whoever is somebody's neighbour on the ring is never refused by it.
package overlay
